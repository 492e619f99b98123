//! Events that no other kind describes. They are stored and shown, never refused.

use super::Kind;
use crate::Trigger;
use crate::scope::Levels;
use crate::trigger::{Row, Testable};

impl Trigger {
    /// An event that no other kind describes. It is stored and shown, never refused.
    pub const UNKNOWN: Self = Self::of(&UNKNOWN.row);
}

pub(super) static UNKNOWN: Kind = Kind {
    row: Row {
        code: 0,
        name: "unknown",
        meaning: "An event of a kind that this version does not know.",
        attribute: Some("other_events"),
        header: "Other Hook",
        levels: Levels::PGS,
        test: Testable::NOT_AVAILABLE,
        ..Row::USUAL
    },
    ..Kind::USUAL
};
