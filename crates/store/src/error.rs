//! What can go wrong with a store. A caller can do one of three things: mend its input, try later, or stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Shorthand for this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a method failed. Cloneable, because one failed commit is the answer to everybody in the batch.
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
    Unavailable(String),
    /// Too much is asked for at once, or the server is stopping. Trying later makes sense, and nothing is wrong with the store.
    #[error("the server is busy: {0}")]
    Busy(String),
    /// The engine reported something that should not happen.
    #[error("the store failed: {0}")]
    Engine(String),
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

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, ReadOnly, SystemIoFailure};
        match error.sqlite_error_code() {
            Some(DiskFull | SystemIoFailure | DatabaseBusy | DatabaseLocked | CannotOpen | ReadOnly) => {
                Self::Unavailable(error.to_string())
            }
            _ => Self::Engine(error.to_string()),
        }
    }
}

/// How often a server said that a session cannot write. Such a session says so for as long as it lives, so its connection is
/// let go of.
pub(crate) static READ_ONLY: AtomicU64 = AtomicU64::new(0);

/// What a server said, or what failed on the way to it, with its cause.
fn words(error: &tokio_postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        return said.to_string();
    }
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        use tokio_postgres::error::SqlState;
        let text = words(&error);
        match error.code() {
            Some(code) if *code == SqlState::READ_ONLY_SQL_TRANSACTION => {
                READ_ONLY.fetch_add(1, Ordering::Relaxed);
                Self::Unavailable(text)
            }
            // Class 08 connection, 53 resources, 57 operator intervention; no code at all is a lost connection.
            None => Self::Unavailable(text),
            Some(code) if ["08", "53", "57", "25"].iter().any(|class| code.code().starts_with(class)) => {
                Self::Unavailable(text)
            }
            Some(code) if *code == SqlState::T_R_SERIALIZATION_FAILURE || *code == SqlState::T_R_DEADLOCK_DETECTED => {
                Self::Unavailable(text)
            }
            // What was there a moment ago is not any more, or what was free is taken.
            Some(code) if *code == SqlState::FOREIGN_KEY_VIOLATION => Self::Missing("resource"),
            Some(code) if *code == SqlState::UNIQUE_VIOLATION => {
                let constraint = error.as_db_error().and_then(|error| error.constraint()).unwrap_or_default();
                Self::Taken(if constraint.starts_with("users") { "username" } else { "path" })
            }
            Some(_) => Self::Engine(text),
        }
    }
}

impl From<deadpool_postgres::PoolError> for Error {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        match error {
            deadpool_postgres::PoolError::Backend(error) => error.into(),
            other => Self::Unavailable(other.to_string()),
        }
    }
}
