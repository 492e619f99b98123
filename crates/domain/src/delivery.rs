//! Deliveries: one event owed to one hook.

use crate::Timestamp;

/// Where a delivery stands. The first three are owed; the others are final, and only a person reopens one (resend).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// Never answered yet. First attempts have slots of their own, so retries cannot crowd them out.
    Waiting {
        /// Not before then.
        due_at: Timestamp,
    },
    /// Behind another delivery about the same object, for a hook that wants its events in order. Owed like the others, and
    /// waiting as soon as that one is final.
    Blocked,
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

/// Blocked deliveries are stored as waiting, due this much later than they would be: far beyond any time there is. So no
/// claim sees them, and they keep their order and their age.
pub const BLOCKED: i64 = 1 << 61;

/// The state of a delivery without its times.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Stage {
    /// See [`State::Waiting`].
    Waiting,
    /// See [`State::Blocked`].
    Blocked,
    /// See [`State::Retrying`].
    Retrying,
    /// See [`State::Delivered`].
    Delivered,
    /// See [`State::GivenUp`].
    GivenUp,
    /// See [`State::Cancelled`].
    Cancelled,
}

impl Stage {
    /// The number in the databases. Never change one. Blocked deliveries have that of waiting ones, and another due time.
    #[must_use]
    pub const fn code(self) -> i16 {
        match self {
            Self::Waiting | Self::Blocked => 0,
            Self::Retrying => 1,
            Self::Delivered => 2,
            Self::GivenUp => 3,
            Self::Cancelled => 4,
        }
    }

    /// The word of the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Blocked => "blocked",
            Self::Retrying => "retrying",
            Self::Delivered => "delivered",
            Self::GivenUp => "given_up",
            Self::Cancelled => "cancelled",
        }
    }
}

impl State {
    /// The state without its times.
    #[must_use]
    pub const fn stage(self) -> Stage {
        match self {
            Self::Waiting { .. } => Stage::Waiting,
            Self::Blocked => Stage::Blocked,
            Self::Retrying { .. } => Stage::Retrying,
            Self::Delivered => Stage::Delivered,
            Self::GivenUp => Stage::GivenUp,
            Self::Cancelled => Stage::Cancelled,
        }
    }

    /// The number in the databases.
    #[must_use]
    pub const fn code(self) -> i16 {
        self.stage().code()
    }

    /// The state that a number and a due time of the databases stand for.
    #[must_use]
    pub const fn from_code(code: i16, due_at: Timestamp) -> Self {
        match code {
            0 if due_at.as_micros() >= BLOCKED => Self::Blocked,
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
        self.stage().word()
    }

    /// When the next attempt is due, if one is owed.
    #[must_use]
    pub const fn due_at(self) -> Option<Timestamp> {
        match self {
            Self::Waiting { due_at } | Self::Retrying { due_at } => Some(due_at),
            Self::Blocked | Self::Delivered | Self::GivenUp | Self::Cancelled => None,
        }
    }

    /// Whether something is still to be done.
    #[must_use]
    pub const fn is_owed(self) -> bool {
        matches!(self, Self::Waiting { .. } | Self::Blocked | Self::Retrying { .. })
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
