//! Examining a SQLite file without changing it, its log, or the files beside it.

use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::rows::scalar;
use super::{MIGRATIONS, beside, holds_something};
use crate::error::{Error, Result};
use crate::examine::{Depth, Examination, KeyFit};
use crate::seal::Ring;

pub(crate) async fn examine(path: PathBuf, ring: Option<&Ring>, depth: Depth) -> Result<Examination> {
    let ring = ring.cloned();
    let examined = tokio::task::spawn_blocking(move || examine_file(&path, ring.as_ref(), depth));
    examined.await.map_err(Error::task)?
}

fn examine_file(path: &Path, ring: Option<&Ring>, depth: Depth) -> Result<Examination> {
    refuse_if_in_use(path)?;

    let mut found = Examination {
        engine: format!("sqlite {}", rusqlite::version()),
        schema_version: None,
        newest_schema: MIGRATIONS.last().map_or(0, |(version, ..)| *version),
        key: KeyFit::NothingSealed,
        nodes: 0,
        insights_missing: false,
        problems: Vec::new(),
    };
    if !holds_something(path) {
        return Ok(found);
    }

    let connection = open_unchanged(path)?;
    let is_migrated = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'migrations')";
    if !connection.query_row(is_migrated, [], scalar::<bool>)? {
        return Ok(found);
    }

    found.schema_version = connection.query_row("SELECT max(version) FROM migrations", [], scalar)?;
    if found.schema_version.is_none() {
        return Ok(found);
    }

    let sealed: Option<Vec<u8>> = connection
        .query_row("SELECT value FROM settings WHERE name = 'key_check'", [], scalar)
        .optional()?;
    found.key = KeyFit::of(sealed.as_deref(), ring);
    found.nodes = connection.query_row("SELECT count(*) FROM nodes", [], scalar)?;

    let insights = beside(path, "-insights");
    found.insights_missing = !holds_something(&insights);

    if depth == Depth::Whole {
        found.problems.extend(quick_check(&connection, path)?);
        drop(connection);

        if !found.insights_missing {
            found
                .problems
                .extend(quick_check(&open_unchanged(&insights)?, &insights)?);
        }

        // A server that began to write meanwhile makes what was read mean nothing.
        refuse_if_in_use(path)?;
    }

    Ok(found)
}

fn quick_check(connection: &Connection, path: &Path) -> Result<Option<String>> {
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], scalar)?;
    Ok((verdict != "ok").then(|| format!("{}: quick_check: {verdict}", path.display())))
}

/// The lock is given back at once: an examination must not keep a server from its start.
fn refuse_if_in_use(path: &Path) -> Result<()> {
    let lock = beside(path, "-lock");
    let unavailable = |error| Error::file(&lock, error);

    let file = match File::open(&lock) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unavailable(error)),
    };

    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::InUse(path.display().to_string())),
        Err(std::fs::TryLockError::Error(error)) => Err(unavailable(error)),
    }
}

/// Opens a file so that nothing is written, not even beside it. A file that was closed in order has no log, and is read
/// as one that cannot change. A log that a crash has left is read by a connection that has the file alone: it keeps the
/// log's index in its memory, and leaves the log as it is when it ends.
fn open_unchanged(path: &Path) -> Result<Connection> {
    if !holds_something(&beside(path, "-wal")) {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        return Ok(Connection::open_with_flags(immutable(path)?, flags)?);
    }

    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.pragma_update(None, "locking_mode", "exclusive")?;
    connection.pragma_update(None, "query_only", true)?;

    Ok(connection)
}

/// The name of a file that SQLite is to read as one that cannot change.
fn immutable(path: &Path) -> Result<String> {
    let whole = path.canonicalize().map_err(|error| Error::file(path, error))?;
    let mut uri = String::from("file:");

    for byte in whole.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }

    uri.push_str("?immutable=1");
    Ok(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_examination_changes_no_file_whether_the_last_end_was_orderly_or_a_crash() {
        let folder = tempfile::tempdir().expect("a folder");
        // A name with everything that a URI takes for something else.
        let path = folder.path().join("a b?c#d%e.db");
        let mut connection = super::super::connect(&path).expect("it opens");
        super::super::migrate(&mut connection, MIGRATIONS).expect("migrated");

        let crashed = folder.path().join("crashed.db");
        for suffix in ["", "-wal"] {
            std::fs::copy(beside(&path, suffix), beside(&crashed, suffix)).expect("copied");
        }

        drop(connection);

        for path in [path, crashed] {
            let files = || -> Vec<(std::ffi::OsString, u64, std::time::SystemTime)> {
                let mut files: Vec<_> = std::fs::read_dir(folder.path())
                    .expect("listed")
                    .map(|entry| {
                        let entry = entry.expect("an entry");
                        let about = entry.metadata().expect("it is there");
                        (entry.file_name(), about.len(), about.modified().expect("a time"))
                    })
                    .collect();

                files.sort();
                files
            };
            let before = files();
            let found = examine_file(&path, None, Depth::Whole).expect("examined");
            assert_eq!(found.schema_version, Some(found.newest_schema));
            assert_eq!((found.key, found.insights_missing), (KeyFit::NothingSealed, true));
            assert_eq!(found.problems, Vec::<String>::new());
            assert_eq!(files(), before);
        }
    }
}
