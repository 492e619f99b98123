//! The open deliveries of a hook by the hour of their events.

use crate::Timestamp;
use crate::delivery::Stage;
use crate::hook::calls::{HOUR, HOURS, first_hour};

/// A delivery that has not ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Open {
    /// The time of its event.
    pub event_at: Timestamp,

    /// Its stage: waiting, blocked or retrying.
    pub stage: Stage,
}

/// Numbers of open deliveries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Deliveries without an attempt.
    pub waiting: usize,

    /// Deliveries that wait for an earlier one of their ordering queue.
    pub blocked: usize,

    /// Deliveries whose attempts failed, and that are tried again.
    pub retrying: usize,
}

impl Counts {
    fn add(&mut self, stage: Stage) {
        match stage {
            Stage::Waiting => self.waiting += 1,
            Stage::Blocked => self.blocked += 1,
            Stage::Retrying => self.retrying += 1,
            Stage::Delivered | Stage::GivenUp | Stage::Cancelled => {}
        }
    }
}

/// The open deliveries of a hook.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Backlog {
    /// Deliveries of events before the first hour.
    pub earlier: Counts,

    /// The last 24 hours with their beginnings, the oldest first.
    pub hours: Vec<(Timestamp, Counts)>,
}

/// Sorts open deliveries into the hours of the last day.
#[must_use]
pub fn by_hour(open: &[Open], now: Timestamp) -> Backlog {
    let first = first_hour(now);
    let mut earlier = Counts::default();
    let mut hours = Vec::with_capacity(HOURS);
    let mut start = first;
    for _ in 0..HOURS {
        hours.push((start, Counts::default()));
        start = Timestamp::from_micros(start.as_micros() + HOUR);
    }

    for delivery in open {
        let hour = (delivery.event_at.as_micros() - first.as_micros()).div_euclid(HOUR);
        match usize::try_from(hour) {
            // The clock of another node can be ahead of ours.
            Ok(hour) => hours[hour.min(HOURS - 1)].1.add(delivery.stage),
            Err(_) => earlier.add(delivery.stage),
        }
    }

    Backlog { earlier, hours }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_deliveries_are_counted_in_the_hour_of_their_event() {
        let now = Timestamp::from_seconds(100 * 3600 + 60);
        let open = |hour: i64, stage| Open {
            event_at: Timestamp::from_seconds(hour * 3600),
            stage,
        };
        let all = [
            open(3, Stage::Blocked),
            open(77, Stage::Waiting),
            open(100, Stage::Retrying),
            open(102, Stage::Retrying),
            open(100, Stage::Delivered),
        ];

        let backlog = by_hour(&all, now);
        let counts = |waiting, blocked, retrying| Counts {
            waiting,
            blocked,
            retrying,
        };
        assert_eq!(backlog.earlier, counts(0, 1, 0));
        assert_eq!(backlog.hours.len(), HOURS);
        assert_eq!(backlog.hours[0], (Timestamp::from_seconds(77 * 3600), counts(1, 0, 0)));
        assert_eq!(
            backlog.hours[HOURS - 1].1,
            counts(0, 0, 2),
            "a clock ahead counts as now"
        );
    }
}
