//! Deliveries: one event owed to one hook.

use crate::Timestamp;

/// Where a delivery stands. The first two are owed; the others are final, and only a person reopens one (resend).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// Never answered yet. First attempts have slots of their own, so retries cannot crowd them out.
    Waiting {
        /// Not before then.
        due_at: Timestamp,
    },
    /// Failed at least once and due again.
    Retrying {
        /// Not before then.
        due_at: Timestamp,
    },
    /// The receiver has it.
    Delivered,
    /// The promised attempts are used up, or the receiver said 410.
    GivenUp,
    /// The hook was deleted first.
    Cancelled,
}

impl State {
    /// What the databases store. Never change a number.
    #[must_use]
    pub const fn code(self) -> i16 {
        match self {
            Self::Waiting { .. } => 0,
            Self::Retrying { .. } => 1,
            Self::Delivered => 2,
            Self::GivenUp => 3,
            Self::Cancelled => 4,
        }
    }

    /// From what the databases store.
    #[must_use]
    pub const fn from_code(code: i16, due_at: Timestamp) -> Self {
        match code {
            0 => Self::Waiting { due_at },
            1 => Self::Retrying { due_at },
            2 => Self::Delivered,
            3 => Self::GivenUp,
            _ => Self::Cancelled,
        }
    }

    /// The word of the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting { .. } => "waiting",
            Self::Retrying { .. } => "retrying",
            Self::Delivered => "delivered",
            Self::GivenUp => "given_up",
            Self::Cancelled => "cancelled",
        }
    }

    /// When the next attempt is due, if one is owed.
    #[must_use]
    pub const fn due_at(self) -> Option<Timestamp> {
        match self {
            Self::Waiting { due_at } | Self::Retrying { due_at } => Some(due_at),
            Self::Delivered | Self::GivenUp | Self::Cancelled => None,
        }
    }
}

/// How many attempts a delivery has had.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Tally {
    /// Recorded attempts of every outcome.
    pub attempts: u32,
    /// Those that do not use up the promised attempts: their outcome was never learned because we stopped, or they were
    /// made before a replay.
    pub unknown: u32,
}

impl Tally {
    /// Attempts that count against the retry policy.
    #[must_use]
    pub const fn counted(self) -> u32 {
        self.attempts.saturating_sub(self.unknown)
    }
}
