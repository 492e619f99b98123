//! Errors of a store. A caller can correct its input, try later, or stop.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Shorthand for this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// The kind of a failure of an engine. Callers decide by the kind, never by the words of a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The database cannot be reached, is shutting down, or has no connection or memory left.
    Unavailable,

    /// The session, the server or the file takes no writes.
    ReadOnly,

    /// The disk is full.
    Full,

    /// Another transaction was in the way.
    Conflict,

    /// No partition was prepared for the time of a row.
    NoPartition,

    /// The engine found its own data damaged.
    Corrupt,

    /// Anything else, which should not happen.
    Other,
}

impl Kind {
    /// Whether trying later makes sense.
    const fn passes(self) -> bool {
        match self {
            Self::Unavailable | Self::ReadOnly | Self::Full | Self::Conflict => true,
            Self::NoPartition | Self::Corrupt | Self::Other => false,
        }
    }
}

/// A failure of an engine: its kind, its words, and the error of the driver.
///
/// [`Error`] shows the words in its own text, because most log lines show nothing else. The driver's error is therefore
/// the source of the failure and not of [`Error`]: a chain that is printed as a whole has every word once.
#[derive(Clone)]
pub struct Failure {
    kind: Kind,
    words: String,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Failure {
    fn new(kind: Kind, words: impl Into<String>) -> Self {
        Self {
            kind,
            words: words.into(),
            source: None,
        }
    }

    fn of(kind: Kind, words: String, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self {
            kind,
            words,
            source: Some(Arc::new(source)),
        }
    }

    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.words)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let source = self.source.as_deref()?;
        Some(source)
    }
}

/// The driver's error is left out, because it may hold values of rows that its words do not show.
impl std::fmt::Debug for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_tuple("Failure")
            .field(&self.kind)
            .field(&self.words)
            .finish()
    }
}

/// The reason for which a method failed. It is cloneable, because a failed commit answers every caller of its batch.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Something with that path or name is there already.
    #[error("{0} has already been taken")]
    Taken(&'static str),

    /// Something that was referred to is not there.
    #[error("{0} does not exist")]
    Missing(&'static str),

    /// A token is valid, but its user is blocked.
    #[error("the user of this token is blocked")]
    Blocked,

    /// A group was to be moved into itself or a group in it.
    #[error("a group cannot be moved into itself")]
    Circular,

    /// There are as many as there may be.
    #[error("maximum number exceeded ({0})")]
    Full(i64),

    /// The store cannot take writes or answer now: full, unreachable, shutting down. Trying later makes sense.
    #[error("the store is not available: {0}")]
    Unavailable(Failure),

    /// Too much is asked for at once, or the server is stopping. Trying later makes sense, and nothing is wrong with
    /// the store.
    #[error("the server is busy: {0}")]
    Busy(String),

    /// The engine reported something that should not happen.
    #[error("the store failed: {0}")]
    Engine(Failure),

    /// A stored value cannot be read back.
    #[error("a stored value is damaged: {0}")]
    Damaged(&'static str),

    /// A sealed value does not open.
    #[error("a sealed value does not open: {0}")]
    Seal(#[from] crate::seal::SealError),

    /// A schema change failed.
    #[error("migration {0} failed")]
    Migration(&'static str, #[source] Arc<Error>),

    /// Another process has the SQLite file.
    #[error(
        "another quickdraw is running on {0}: stop it first, or give this one a data directory of its own (several nodes on one database need PostgreSQL)"
    )]
    InUse(String),

    /// The URL names no engine.
    #[error("the database URL must begin with sqlite: or postgres://")]
    Url,
}

impl Error {
    /// The store cannot take writes or answer now, for a reason that no driver gives.
    pub fn unavailable(words: impl Into<String>) -> Self {
        Self::Unavailable(Failure::new(Kind::Unavailable, words))
    }

    /// The kind, where an engine failed.
    #[must_use]
    pub const fn kind(&self) -> Option<Kind> {
        match self {
            Self::Unavailable(failure) | Self::Engine(failure) => Some(failure.kind()),
            _ => None,
        }
    }

    /// A file cannot be opened or written.
    pub(crate) fn file(path: &Path, error: std::io::Error) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::StorageFull => Kind::Full,
            std::io::ErrorKind::ReadOnlyFilesystem => Kind::ReadOnly,
            _ => Kind::Unavailable,
        };
        Failure::of(kind, format!("{}: {error}", path.display()), error).into()
    }

    /// A thread of ours did not start.
    pub(crate) fn thread(error: std::io::Error) -> Self {
        Failure::of(Kind::Unavailable, error.to_string(), error).into()
    }

    /// A task of ours ended without a result.
    pub(crate) fn task(error: tokio::task::JoinError) -> Self {
        Failure::of(Kind::Other, error.to_string(), error).into()
    }

    /// A write of ours panicked.
    pub(crate) fn panicked() -> Self {
        Failure::new(Kind::Other, "a write panicked").into()
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        if failure.kind.passes() {
            Self::Unavailable(failure)
        } else {
            Self::Engine(failure)
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;

        let kind = match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Kind::Full,
            Some(ErrorCode::ReadOnly) => Kind::ReadOnly,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Kind::Conflict,
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => Kind::Unavailable,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Kind::Corrupt,
            _ => Kind::Other,
        };
        Failure::of(kind, error.to_string(), error).into()
    }
}

/// How often a session could not write. Such a session never can, so its connection is closed.
pub(crate) static READ_ONLY: AtomicU64 = AtomicU64::new(0);

/// The words of a server, or of the failure on the way to it with its cause.
fn words(error: &tokio_postgres::Error) -> String {
    if let Some(answer) = error.as_db_error() {
        return answer.to_string();
    }

    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// The kind of a failure by its SQLSTATE. No code at all is a lost connection.
fn kind_of(error: &tokio_postgres::Error) -> Kind {
    use tokio_postgres::error::SqlState;

    let Some(code) = error.code() else {
        return Kind::Unavailable;
    };

    if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
        return Kind::ReadOnly;
    }

    if *code == SqlState::DISK_FULL {
        return Kind::Full;
    }

    if *code == SqlState::T_R_SERIALIZATION_FAILURE || *code == SqlState::T_R_DEADLOCK_DETECTED {
        return Kind::Conflict;
    }

    if *code == SqlState::DATA_CORRUPTED || *code == SqlState::INDEX_CORRUPTED {
        return Kind::Corrupt;
    }

    // A row without a partition has the code of a check that failed, and names no constraint.
    let constraint = error.as_db_error().and_then(|answer| answer.constraint());
    if *code == SqlState::CHECK_VIOLATION && constraint.is_none() {
        return Kind::NoPartition;
    }

    // Class 08 connection, 53 resources, 57 operator intervention, 25 transaction state.
    if ["08", "53", "57", "25"]
        .iter()
        .any(|class| code.code().starts_with(class))
    {
        return Kind::Unavailable;
    }

    Kind::Other
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        use tokio_postgres::error::SqlState;

        // A row that was there a moment ago is gone, or a name that was free is taken.
        match error.code() {
            Some(code) if *code == SqlState::FOREIGN_KEY_VIOLATION => return Self::Missing("resource"),
            Some(code) if *code == SqlState::UNIQUE_VIOLATION => {
                let constraint = error
                    .as_db_error()
                    .and_then(|error| error.constraint())
                    .unwrap_or_default();

                return Self::Taken(if constraint.starts_with("users") {
                    "username"
                } else {
                    "path"
                });
            }
            _ => {}
        }

        let kind = kind_of(&error);
        if kind == Kind::ReadOnly {
            READ_ONLY.fetch_add(1, Ordering::Relaxed);
        }

        Failure::of(kind, words(&error), error).into()
    }
}

impl From<deadpool_postgres::PoolError> for Error {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        match error {
            deadpool_postgres::PoolError::Backend(error) => error.into(),
            other => Failure::of(Kind::Unavailable, other.to_string(), other).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_engine_keeps_its_kind_its_words_and_the_error_of_its_driver() {
        let check = |code: std::ffi::c_int, kind: Kind, text: &str| {
            let error = Error::from(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(code),
                Some("its words".to_owned()),
            ));
            assert_eq!((error.kind(), error.to_string().as_str()), (Some(kind), text));

            let (Error::Unavailable(failure) | Error::Engine(failure)) = error else {
                panic!("an engine failed")
            };
            let source = std::error::Error::source(&failure).expect("the driver's error");
            assert!(source.downcast_ref::<rusqlite::Error>().is_some());
        };

        check(
            rusqlite::ffi::SQLITE_FULL,
            Kind::Full,
            "the store is not available: its words",
        );

        check(
            rusqlite::ffi::SQLITE_BUSY,
            Kind::Conflict,
            "the store is not available: its words",
        );

        check(
            rusqlite::ffi::SQLITE_CORRUPT,
            Kind::Corrupt,
            "the store failed: its words",
        );
    }
}
