//! The kinds of event that a hook can select. A [`Trigger`] lets the rest of the program speak of a kind without
//! knowing which one it is. The registry in `kinds.rs` has the kinds and finds them by name, code and body.

mod row;

use std::fmt;
use std::hash::{Hash, Hasher};

pub use row::{Row, Testable};

use crate::envelope::Envelope;

/// A kind of event: a handle to its row. Kinds that other code must name have a constant, which is defined in the file
/// of the kind.
#[derive(Clone, Copy)]
pub struct Trigger(&'static Row);

/// The header of every hook of the instance, whatever the kind of event.
pub(crate) const SYSTEM_HOOK: &str = "System Hook";

impl Trigger {
    /// The handle of a kind.
    pub(crate) const fn of(row: &'static Row) -> Self {
        Self(row)
    }

    /// The columns of the kind.
    #[must_use]
    pub const fn row(self) -> &'static Row {
        self.0
    }

    /// The kind of the same events when they are about something confidential; the kind itself if it has no such half.
    #[must_use]
    pub fn confidential(self) -> Self {
        self.row().confidential_half.map_or(self, Self::of)
    }

    /// The kind of a body: this kind, or its confidential half if the body says that it is about something
    /// confidential. The name that a sender gives the event (a header, `event_type`, the trigger of a report) does not
    /// make a confidential body public.
    #[must_use]
    pub fn for_body(self, body: &Envelope<'_>) -> Self {
        if body.confidential { self.confidential() } else { self }
    }
}

// The code identifies a kind.
impl PartialEq for Trigger {
    fn eq(&self, other: &Self) -> bool {
        self.row().code == other.row().code
    }
}

impl Eq for Trigger {}

impl Hash for Trigger {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.row().code.hash(state);
    }
}

impl fmt::Debug for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().name)
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().name)
    }
}

/// The triggers that a hook selects: one bit per code of the registry.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct TriggerSet(u64);

impl TriggerSet {
    /// Whether the trigger is selected.
    #[must_use]
    pub fn contains(self, trigger: Trigger) -> bool {
        self.0 & (1 << trigger.row().code) != 0
    }

    /// Selects or deselects.
    pub fn set(&mut self, trigger: Trigger, selected: bool) {
        let bit = 1 << trigger.row().code;
        if selected { self.0 |= bit } else { self.0 &= !bit }
    }
}

impl FromIterator<Trigger> for TriggerSet {
    fn from_iter<I: IntoIterator<Item = Trigger>>(triggers: I) -> Self {
        let mut set = Self::default();
        for trigger in triggers {
            set.set(trigger, true);
        }

        set
    }
}
