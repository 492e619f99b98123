//! Examining a store without changing it: no file is made, no schema is brought up to date and nothing is sealed.
//! `doctor` asks this, and every start asks it before it makes anything.

use crate::seal::{KEY_CHECK, Ring, SealError};

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
