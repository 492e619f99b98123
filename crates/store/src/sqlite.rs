//! The SQLite engine: one file, one process, one thread that writes, a few that read.
//!
//! Everything that writes is a job for the writer (`writer.rs`), which commits all jobs that piled up while the last
//! commit was running in one transaction: that is the group commit. Leases live in memory, because one process owns the
//! file (a lock on a sibling file makes sure), and their claims on disk.
//!
//! Facts and rollups live in a file of their own with a writer of their own: they touch many scattered pages, which in
//! the journal's transactions would delay every caller that waits for an answer (`docs/decisions/0005`).

mod access;
mod activity;
mod appends;
mod attempts;
mod audit;
mod checkpoint;
mod claims;
mod deliveries;
mod details;
mod events;
mod examine;
mod facts;
mod history;
mod hooks;
mod insights;
mod inspectors;
mod keys;
mod known;
mod nodes;
mod operations;
mod ordering;
mod overview;
mod readers;
mod replays;
mod rows;
mod scopes;
mod search;
mod sessions;
mod settle;
mod shadow;
mod sources;
mod ssh_keys;
mod writer;

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::seal::{KEY_CHECK, Ring};
pub(crate) use examine::examine;
use readers::Readers;
pub(crate) use shadow::ShadowFile;
use writer::{Failing, Tx, Writer};

type Migration = (i64, &'static str, &'static str);

const MIGRATIONS: &[Migration] = &[
    (1, "belt", include_str!("migrations/sqlite/0001_belt.sql")),
    (2, "hook_values", include_str!("migrations/sqlite/0002_hook_values.sql")),
    (3, "access", include_str!("migrations/sqlite/0003_access.sql")),
    (4, "audit", include_str!("migrations/sqlite/0004_audit.sql")),
    (5, "bots", include_str!("migrations/sqlite/0005_bots.sql")),
    (6, "rotation", include_str!("migrations/sqlite/0006_rotation.sql")),
    (7, "retry", include_str!("migrations/sqlite/0007_retry.sql")),
    (8, "search", include_str!("migrations/sqlite/0008_search.sql")),
    (
        9,
        "confidential_notes",
        include_str!("migrations/sqlite/0009_confidential_notes.sql"),
    ),
    (10, "chains", include_str!("migrations/sqlite/0010_chains.sql")),
    (11, "as_sent", include_str!("migrations/sqlite/0011_as_sent.sql")),
    (12, "replays", include_str!("migrations/sqlite/0012_replays.sql")),
    (
        13,
        "claimed_attempts",
        include_str!("migrations/sqlite/0013_claimed_attempts.sql"),
    ),
    (14, "lines", include_str!("migrations/sqlite/0014_lines.sql")),
    (15, "receivers", include_str!("migrations/sqlite/0015_receivers.sql")),
    (
        16,
        "event_filters",
        include_str!("migrations/sqlite/0016_event_filters.sql"),
    ),
    (17, "appends", include_str!("migrations/sqlite/0017_appends.sql")),
    (
        18,
        "insights_seen",
        include_str!("migrations/sqlite/0018_insights_seen.sql"),
    ),
    (
        19,
        "insights_items",
        include_str!("migrations/sqlite/0019_insights_items.sql"),
    ),
    (20, "roster", include_str!("migrations/sqlite/0020_roster.sql")),
    (
        21,
        "project_paths",
        include_str!("migrations/sqlite/0021_project_paths.sql"),
    ),
    (22, "documents", include_str!("migrations/sqlite/0022_documents.sql")),
    (23, "operations", include_str!("migrations/sqlite/0023_operations.sql")),
    (24, "clients", include_str!("migrations/sqlite/0024_clients.sql")),
    (
        25,
        "told_pushes",
        include_str!("migrations/sqlite/0025_told_pushes.sql"),
    ),
    (26, "identity", include_str!("migrations/sqlite/0026_identity.sql")),
    (
        27,
        "receiver_instances",
        include_str!("migrations/sqlite/0027_receiver_instances.sql"),
    ),
    (28, "names", include_str!("migrations/sqlite/0028_names.sql")),
    (
        29,
        "plain_names",
        include_str!("migrations/sqlite/0029_plain_names.sql"),
    ),
    (30, "all_events", include_str!("migrations/sqlite/0030_all_events.sql")),
    (31, "roles", include_str!("migrations/sqlite/0031_roles.sql")),
    (
        32,
        "sender_limits",
        include_str!("migrations/sqlite/0032_sender_limits.sql"),
    ),
    (33, "ssh_keys", include_str!("migrations/sqlite/0033_ssh_keys.sql")),
    (34, "sessions", include_str!("migrations/sqlite/0034_sessions.sql")),
    (35, "sign_in", include_str!("migrations/sqlite/0035_sign_in.sql")),
    (37, "inspectors", include_str!("migrations/sqlite/0037_inspectors.sql")),
];
const INSIGHTS_MIGRATIONS: &[Migration] = &[
    (1, "insights", include_str!("migrations/sqlite/0001_insights.sql")),
    (
        2,
        "insights_seen",
        include_str!("migrations/sqlite/0002_insights_seen.sql"),
    ),
    (
        3,
        "insights_items",
        include_str!("migrations/sqlite/0003_insights_items.sql"),
    ),
    (
        4,
        "project_paths",
        include_str!("migrations/sqlite/0004_project_paths.sql"),
    ),
    (
        5,
        "rows_in_order",
        include_str!("migrations/sqlite/0005_rows_in_order.sql"),
    ),
    (
        6,
        "pushes_by_end",
        include_str!("migrations/sqlite/0006_pushes_by_end.sql"),
    ),
    (7, "told_pushes", include_str!("migrations/sqlite/0007_told_pushes.sql")),
    (8, "names", include_str!("migrations/sqlite/0008_names.sql")),
    (9, "plain_names", include_str!("migrations/sqlite/0009_plain_names.sql")),
];

/// Large pages, because SQLite's cost is pages and not the flush.
const PAGE_BYTES: i64 = 16 << 10;
/// Length of the write-ahead log. It is written with zeros before it is used: flushing into blocks that exist takes
/// half as long as flushing into a file that grows, and a tenth at the 99th percentile.
const LOG_BYTES: i64 = 32 << 20;
/// Threads that read the journal.
const READERS: usize = 2;

pub(crate) struct Sqlite {
    writer: Writer,
    readers: Readers,

    /// The one thread that reads and writes facts and rollups.
    insights: Readers,
    ring: Arc<Ring>,
    path: PathBuf,

    /// Held for as long as the store is open: a second process must not think that it owns the leases.
    lock: Mutex<Option<File>>,
}

impl Sqlite {
    pub(crate) async fn open(path: PathBuf, ring: Ring) -> Result<Self> {
        let ring = Arc::new(ring);
        let (opening, main) = (Arc::clone(&ring), path.clone());

        let opened = tokio::task::spawn_blocking(move || {
            let lock = lock(&path)?;
            let continues = holds_something(&path);
            let insights_file = beside(&path, "-insights");
            let has_insights = holds_something(&insights_file);

            if has_insights && !continues {
                // The numbers of its projects would mean other projects in a new journal.
                let (journal, insights) = (path.display(), insights_file.display());
                return Err(Error::unavailable(format!(
                    "{insights} exists, but its database {journal} does not: restore the copy of {journal}, or move {insights} away to start with an empty database"
                )));
            }

            for file in [path.clone(), beside(&path, "-insights")] {
                make_private(&file)?;
            }

            lengthen_log(&beside(&path, "-wal"))?;

            let mut connection = connect(&path)?;
            migrate(&mut connection, MIGRATIONS)?;
            check_key(&connection, &opening)?;

            if continues && !has_insights {
                // Insights are counted again from the journal. The marks come before the file: a crash in between is
                // met by the next start, which finds the file missing once more.
                connection.execute("INSERT OR IGNORE INTO projection_pending SELECT id FROM events", [])?;
            }

            let writer = Writer::start(connection, path.clone())?;
            let readers = (0..READERS).map(|_| connect_to_read(&path)).collect::<Result<_>>()?;
            let mut insights = connect_to_insights(&beside(&path, "-insights"))?;
            migrate(&mut insights, INSIGHTS_MIGRATIONS)?;

            Ok::<_, Error>((lock, writer, Readers::start(readers)?, Readers::start(vec![insights])?))
        });
        let (lock, writer, readers, insights) = opened.await.map_err(Error::task)??;

        Ok(Self {
            writer,
            readers,
            insights,
            ring,
            path: main,
            lock: Mutex::new(Some(lock)),
        })
    }

    /// Runs a job in the writer's next transaction; returns when that is flushed.
    async fn write<T: Send + 'static>(&self, job: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static) -> Result<T> {
        self.writer.run(Failing::Together, job).await
    }

    /// The same for a job that may fail for reasons of its caller: its neighbours must not suffer.
    async fn configure<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.writer.run(Failing::Alone, job).await
    }

    /// Runs a query on a reading connection.
    async fn read<T: Send + 'static>(&self, job: impl FnOnce(&Connection) -> Result<T> + Send + 'static) -> Result<T> {
        self.readers.run(job).await
    }
}

/// Whether a file is there and was written. An empty one was made by a start that came no further.
fn holds_something(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.len() > 0)
}

/// A file beside the database, named after the whole of its name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Makes a file that is not there yet readable for its owner alone: it will hold bodies. SQLite gives its logs the mode
/// of the database.
fn make_private(path: &Path) -> Result<()> {
    let made = File::options().create_new(true).write(true).mode(0o600).open(path);
    match made {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(Error::file(path, error)),
    }
}

fn lock(path: &Path) -> Result<File> {
    let beside = beside(path, "-lock");
    let unavailable = |error| Error::file(&beside, error);

    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&beside)
        .map_err(unavailable)?;

    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::InUse(path.display().to_string())),
        Err(std::fs::TryLockError::Error(error)) => Err(unavailable(error)),
    }
}

/// Zeros behind what a log holds are no frames to SQLite: they lack the salt and the checksum. So this is safe also on
/// a log that a crash has left.
fn lengthen_log(path: &Path) -> Result<()> {
    let unavailable = |error| Error::file(path, error);
    let mut log = File::options()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map_err(unavailable)?;
    let missing = LOG_BYTES
        .unsigned_abs()
        .saturating_sub(log.metadata().map_err(unavailable)?.len());
    std::io::copy(&mut std::io::repeat(0).take(missing), &mut log).map_err(unavailable)?;

    log.sync_all().map_err(unavailable)
}

/// Opens a connection with the settings that measuring taught; every commit is flushed.
fn connect(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", "on")?;
    connection.pragma_update(None, "busy_timeout", 5_000)?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    connection.set_prepared_statement_cache_capacity(128);

    Ok(connection)
}

fn connect_to_read(path: &Path) -> Result<Connection> {
    let connection = connect(path)?;
    connection.pragma_update(None, "query_only", true)?;

    // Rows that were just written are in the system's cache.
    connection.pragma_update(None, "cache_size", -4_096)?;
    Ok(connection)
}

/// Flushed too, because the mark in the journal is deleted right after: once a batch. Small pages, because facts touch
/// them here and there.
fn connect_to_insights(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "page_size", 4_096)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;

    // A page that is written in many batches is written back once.
    connection.pragma_update(None, "wal_autocheckpoint", 8_000)?;
    connection.pragma_update(None, "cache_size", -32_768)?;
    connection.pragma_update(None, "busy_timeout", 5_000)?;
    connection.set_prepared_statement_cache_capacity(64);

    Ok(connection)
}

fn migrate(connection: &mut Connection, migrations: &[Migration]) -> Result<()> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY NOT NULL, name TEXT NOT NULL)",
    )?;

    let done: i64 = connection.query_row("SELECT coalesce(max(version), 0) FROM migrations", [], rows::scalar)?;
    if migrations.last().is_some_and(|(newest, ..)| done > *newest) {
        return Err(Error::unavailable(format!(
            "the database has schema {done}, which is newer than this program"
        )));
    }

    for (version, name, sql) in migrations.iter().filter(|(version, ..)| *version > done) {
        let transaction = connection.transaction()?;
        let applied = transaction
            .execute_batch(sql)
            .and_then(|()| transaction.execute("INSERT INTO migrations VALUES (?1, ?2)", (version, name)));
        applied.map_err(|error| Error::Migration(name, Arc::new(error.into())))?;
        transaction.commit()?;
    }

    Ok(())
}

/// Opens a value that was sealed at the first start, so that nothing is written with a wrong key.
fn check_key(connection: &Connection, ring: &Ring) -> Result<()> {
    use rusqlite::OptionalExtension;

    let sealed: Option<Vec<u8>> = connection
        .query_row("SELECT value FROM settings WHERE name = 'key_check'", [], rows::scalar)
        .optional()?;
    match sealed {
        Some(sealed) => drop(ring.open(KEY_CHECK, &sealed)?),
        None => {
            let sealed = ring.seal(KEY_CHECK, "quickdraw")?;
            connection.execute("INSERT INTO settings (name, value) VALUES ('key_check', ?1)", [sealed])?;
        }
    }

    Ok(())
}
