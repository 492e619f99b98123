//! The activity of hooks: their last attempts, and the deliveries that wait for them. The work depends on the number of
//! hooks, and not on the number of attempts and deliveries.
//!
//! Attempts have no index by time. Their numbers rise with time, so the last day is a range of numbers, and its first
//! number is found by bisection. The range is cut into slices. In each slice, the newest attempts of each hook are
//! read, up to a limit. So a hook with many attempts shows a sample from the whole day, and not its last minutes.

use async_trait::async_trait;
use quickdraw_domain::delivery::{BLOCKED, State};
use quickdraw_domain::hook::backlog::Open;
use quickdraw_domain::hook::calls::Call;
use quickdraw_domain::outcome::Outcome;
use quickdraw_domain::{AttemptId, DeliveryId, HookId, Timestamp};

use crate::attempts::outcome_of;
use crate::error::Result;

/// Parts of the range of numbers, in each of which attempts are read.
pub(crate) const SLICES: i64 = 24;
/// Deliveries of a hook and state that are examined for the oldest one.
pub(crate) const AGED: i64 = 100;

/// A question about hooks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ActivityOf {
    /// These hooks.
    pub hooks: Vec<HookId>,

    /// Attempts that began at this time or later.
    pub since: Timestamp,

    /// Maximum number of attempts to read for all hooks together; at least one of each hook and slice is read.
    pub attempts: usize,

    /// Maximum number of open deliveries to count for each hook and state.
    pub deliveries: usize,
}

impl ActivityOf {
    /// Attempts that are read of one hook in one slice.
    pub(crate) fn per_slice(&self) -> i64 {
        let hooks = i64::try_from(self.hooks.len()).unwrap_or(i64::MAX).max(1);
        let attempts = i64::try_from(self.attempts).unwrap_or(i64::MAX);
        (attempts / hooks / SLICES).max(1)
    }

    pub(crate) fn numbers(&self) -> Vec<i64> {
        self.hooks.iter().map(|hook| hook.0).collect()
    }
}

/// The activity of a hook.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HookActivity {
    /// The hook.
    pub hook: HookId,

    /// The last attempt, also one before `since`.
    pub last: Option<LastAttempt>,

    /// Attempts since `since`, in any order.
    pub calls: Vec<Call>,

    /// Whether there are more attempts than were read.
    pub is_sampled: bool,

    /// The deliveries that are open.
    pub open: OpenDeliveries,
}

impl HookActivity {
    pub(crate) fn of(hook: i64) -> Self {
        Self {
            hook: HookId(hook),
            last: None,
            calls: Vec::new(),
            is_sampled: false,
            open: OpenDeliveries::default(),
        }
    }

    /// Adds an attempt that was read. The newest is the last one.
    pub(crate) fn add(&mut self, attempt: LastAttempt, since: Timestamp) {
        if attempt.at >= since {
            self.calls.push(attempt.call());
        }

        if self.last.as_ref().is_none_or(|last| last.id < attempt.id) {
            self.last = Some(attempt);
        }
    }
}

/// The last attempt of a hook.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LastAttempt {
    /// The attempt.
    pub id: AttemptId,

    /// The time at which it began.
    pub at: Timestamp,

    /// The outcome. Details that its word does not show have any value.
    pub outcome: Outcome,

    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,

    /// The duration in microseconds.
    pub micros: i64,
}

impl LastAttempt {
    /// Builds an attempt from its columns.
    pub(crate) fn new(id: i64, started_at: i64, outcome: i16, status: Option<u16>, micros: i64) -> Self {
        Self {
            id: AttemptId(id),
            at: Timestamp::from_micros(started_at),
            outcome: outcome_of(outcome),
            status,
            micros,
        }
    }

    /// Whether the receiver accepted the event.
    #[must_use]
    pub const fn is_delivered(&self) -> bool {
        self.outcome.is_delivered()
    }

    const fn call(&self) -> Call {
        Call {
            at: self.at,
            is_delivered: self.is_delivered(),
            micros: self.micros,
        }
    }
}

/// The calls since a time. Numbers follow the ends of attempts, so some of a range can have begun before it.
pub(crate) fn calls(attempts: &[LastAttempt], since: Timestamp) -> Vec<Call> {
    let recent = attempts.iter().filter(|attempt| attempt.at >= since);
    recent.map(LastAttempt::call).collect()
}

/// Deliveries of a hook that have not ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OpenDeliveries {
    /// Their number, up to the limit of the question for each state.
    pub count: i64,

    /// The time at which the oldest was created; of at most 100 that are due first in each state.
    pub oldest: Option<Timestamp>,

    /// The earliest due time. None if every delivery is under way, or blocked by an earlier one.
    pub next_due: Option<Timestamp>,
}

impl OpenDeliveries {
    /// Adds the deliveries of one state.
    pub(crate) fn add(&mut self, count: i64, oldest: Option<i64>, next_due: Option<i64>) {
        self.count += count;

        let earlier = |known: Option<Timestamp>, micros: Option<i64>| {
            let other = micros.map(Timestamp::from_micros);
            known.into_iter().chain(other).min()
        };
        self.oldest = earlier(self.oldest, oldest);
        self.next_due = earlier(self.next_due, next_due.filter(|due| *due < BLOCKED));
    }
}

/// The activity of hooks: what can be asked.
#[async_trait]
pub trait Activity {
    /// The activity of hooks, in the order of the question.
    async fn hook_activity(&self, of: ActivityOf) -> Result<Vec<HookActivity>>;

    /// The newest calls of all hooks since a time, newest first; at most so many.
    async fn recent_calls(&self, since: Timestamp, most: usize) -> Result<Vec<Call>>;

    /// The open deliveries of a hook, in any order: all under a lease, and at most `most` that wait and `most` that are
    /// retried. Those that are due first come before others; blocked deliveries are due last.
    async fn open_deliveries(&self, hook: HookId, most: usize) -> Result<Vec<Open>>;
}

/// Builds an open delivery from its columns.
pub(crate) fn open_delivery(id: DeliveryId, state: i16, due_at: i64) -> Open {
    Open {
        event_at: id.event_at(),
        stage: State::from_code(state, Timestamp::from_micros(due_at)).stage(),
    }
}

/// A part of a range of numbers: its first number, and the first number after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Slice {
    pub(crate) first: i64,
    pub(crate) end: i64,
}

/// Cuts a range of numbers into slices. The last slice has no end, because attempts are added meanwhile.
pub(crate) fn slices(first: i64, end: i64) -> Vec<Slice> {
    let length = end.saturating_sub(first).max(0);
    let size = (length + SLICES - 1) / SLICES;
    let mut slices = Vec::new();
    let mut at = first;

    while at < end {
        let next = at + size;
        slices.push(Slice { first: at, end: next });
        at = next;
    }

    if let Some(last) = slices.last_mut() {
        last.end = i64::MAX;
    }

    slices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_into_slices_without_gaps() {
        let all = slices(10, 1000);
        assert_eq!(all.len(), 24);
        assert_eq!((all[0].first, all[0].end, all[1].first), (10, 52, 52));
        assert_eq!(all[23].end, i64::MAX);

        assert_eq!(
            slices(5, 7),
            [
                Slice { first: 5, end: 6 },
                Slice {
                    first: 6,
                    end: i64::MAX
                }
            ]
        );
        assert_eq!(slices(5, 5), []);
    }

    #[test]
    fn hooks_share_the_attempts_that_are_read() {
        let of = |hooks: i64| ActivityOf {
            hooks: (0..hooks).map(HookId).collect(),
            since: Timestamp::default(),
            attempts: 24_000,
            deliveries: 1,
        };
        assert_eq!([1, 100, 5000].map(|hooks| of(hooks).per_slice()), [1000, 10, 1]);
    }
}
