//! Deliveries: one event that is owed to one hook.

use crate::Timestamp;

/// The state of a delivery. The first three states are owed. The others are final, and only a person reopens such a
/// delivery (resend).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// No attempt has been answered yet. First attempts have permits of their own, so retries cannot crowd them out.
    Waiting {
        /// The earliest time of the attempt.
        due_at: Timestamp,
    },

    /// Waits for another delivery about the same object, because the hook wants its events in order. Blocked deliveries
    /// are owed too, and become waiting as soon as the other delivery is final.
    Blocked,

    /// Failed at least once, and due again.
    Retrying {
        /// The earliest time of the next attempt.
        due_at: Timestamp,
    },

    /// The receiver accepted it.
    Delivered,

    /// The allowed attempts are used up, or the receiver answered 410.
    GivenUp,

    /// The hook was deleted before the delivery succeeded.
    Cancelled,
}

/// Added to the due time of a blocked delivery, which is stored as waiting: the result is later than any real time. So
/// no claim selects it, and it keeps its order and its age.
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
    /// The number in the databases. Never change one. Blocked deliveries have that of waiting ones, and another due
    /// time.
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

    /// The state with this number in the databases.
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

    /// The time at which the next attempt is due, if one is owed.
    #[must_use]
    pub const fn due_at(self) -> Option<Timestamp> {
        match self {
            Self::Waiting { due_at } | Self::Retrying { due_at } => Some(due_at),
            Self::Blocked | Self::Delivered | Self::GivenUp | Self::Cancelled => None,
        }
    }

    /// Whether the delivery is not yet final.
    #[must_use]
    pub const fn is_owed(self) -> bool {
        matches!(self, Self::Waiting { .. } | Self::Blocked | Self::Retrying { .. })
    }
}

/// The number of attempts of a delivery.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Tally {
    /// Recorded attempts of every outcome.
    pub attempts: u32,

    /// Attempts that do not use up the allowed ones: their outcome is unknown because we stopped, they failed at our
    /// proxy or as a probe, or they were made before a replay.
    pub unknown: u32,
}

impl Tally {
    /// Attempts that count against the retry policy.
    #[must_use]
    pub const fn counted(self) -> u32 {
        self.attempts.saturating_sub(self.unknown)
    }
}
