//! Examining a store without changing it: no file is made, no schema is brought up to date and nothing is sealed.
//! `doctor` asks this, and every start asks it before it makes anything.

use quickdraw_domain::Timestamp;

use crate::error::{Error, Result};
use crate::seal::{KEY_CHECK, Ring, SealError};
use crate::{Target, postgres, sqlite};

/// How closely a store is examined.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Depth {
    /// The facts that a start needs: whether a database is there, and whether the key fits.
    Quick,

    /// The same, and whether the database is whole and safely configured. This takes longer the larger the database is.
    Whole,
}

/// Whether a ring opens what a store holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyFit {
    /// Nothing has been sealed yet.
    NothingSealed,

    /// Something is sealed, and there was no ring to try.
    NotTried,

    /// The ring opens it.
    Fits,

    /// The ring does not open it.
    DoesNotFit(SealError),
}

impl KeyFit {
    /// Tries a ring on the value that was sealed at the first start.
    pub(crate) fn of(sealed: Option<&[u8]>, ring: Option<&Ring>) -> Self {
        let Some(sealed) = sealed else {
            return Self::NothingSealed;
        };
        let Some(ring) = ring else { return Self::NotTried };

        match ring.open(KEY_CHECK, sealed) {
            Ok(_) => Self::Fits,
            Err(error) => Self::DoesNotFit(error),
        }
    }
}

/// A store as it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Examination {
    /// `sqlite` or `postgres`, with its version.
    pub engine: String,

    /// Number of the newest migration that was applied; `None` where there is no database of ours yet.
    pub schema_version: Option<i64>,

    /// Number of the newest migration that this program knows.
    pub newest_schema: i64,

    /// Whether the ring opens what the store holds.
    pub key: KeyFit,

    /// Nodes with a heartbeat within a minute; on SQLite, nodes that did not stop in good order.
    pub nodes: i64,

    /// The journal is there, and the file of insights that belongs to it is not. On SQLite only.
    pub insights_missing: bool,

    /// Findings; empty when all is well. `Depth::Quick` finds none.
    pub problems: Vec<String>,
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
