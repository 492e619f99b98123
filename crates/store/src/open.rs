//! Finds the engine of a database URL, and opens or examines the store with it. No other code chooses between the two
//! engines.

use std::path::PathBuf;
use std::sync::Arc;

use quickdraw_domain::Timestamp;

use crate::error::{Error, Result};
use crate::examine::{Depth, Examination};
use crate::seal::Ring;
use crate::{SharedStore, postgres, sqlite};

/// Opens the store that a URL names, creating and migrating it as needed: `sqlite:path` or `postgres://…`.
///
/// # Errors
/// When the URL is neither, the store cannot be reached or migrated, another process owns the SQLite file, or the ring
/// does not hold the key that the store was sealed with.
pub async fn open(url: &str, ring: Ring) -> Result<SharedStore> {
    match Target::of(url)? {
        Target::Sqlite(path) => Ok(Arc::new(sqlite::Sqlite::open(path, ring).await?)),
        Target::Postgres(url) => Ok(Arc::new(postgres::Postgres::open(url, ring).await?)),
    }
}

/// Examines the store that a URL names.
///
/// # Errors
/// When the URL names no engine, the store cannot be reached or read, or another process owns the SQLite file.
pub async fn examine(url: &str, ring: Option<&Ring>, depth: Depth, now: Timestamp) -> Result<Examination> {
    match Target::of(url)? {
        Target::Sqlite(path) => sqlite::examine(path, ring, depth).await,
        Target::Postgres(url) => postgres::examine(url, ring, depth, now).await,
    }
}

/// Checks a URL as far as that is possible without opening what it names.
///
/// # Errors
/// When it names no engine or no file, or PostgreSQL's client does not understand it.
pub fn check_url(url: &str) -> Result<()> {
    match Target::of(url)? {
        Target::Sqlite(path) if path.as_os_str().is_empty() => {
            Err(Error::unavailable("the database URL names no file"))
        }
        Target::Sqlite(_) => Ok(()),
        Target::Postgres(url) => postgres::configure(url).map(drop),
    }
}

/// The store that a URL names.
enum Target<'a> {
    /// A file.
    Sqlite(PathBuf),

    /// A database, by the URL that its client reads.
    Postgres(&'a str),
}

impl<'a> Target<'a> {
    fn of(url: &'a str) -> Result<Self> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            return Ok(Self::Sqlite(path.strip_prefix("//").unwrap_or(path).into()));
        }

        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Postgres(url));
        }

        Err(Error::Url)
    }
}
