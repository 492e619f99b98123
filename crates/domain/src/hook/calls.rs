//! The calls of a hook in the last day, hour by hour.

use std::time::Duration;

use crate::Timestamp;

/// Hours that are shown: the current one, which has not ended, and those before it.
pub const HOURS: usize = 24;

pub(crate) const HOUR: i64 = 3_600_000_000;
/// The whole hours before the current one.
const BEFORE: Duration = Duration::from_secs(23 * 3600);

/// A call of a receiver: one attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Call {
    /// The time at which the attempt began.
    pub at: Timestamp,

    /// Whether the receiver accepted the event.
    pub is_delivered: bool,

    /// The duration in microseconds.
    pub micros: i64,
}

/// The calls of one hour.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hour {
    /// The beginning of the hour.
    pub start: Timestamp,

    /// Calls that the receiver accepted.
    pub delivered: usize,

    /// Calls that failed.
    pub failed: usize,

    /// The median duration in microseconds.
    pub p50: Option<i64>,

    /// The duration in microseconds that 95 % of the calls do not exceed.
    pub p95: Option<i64>,
}

/// The calls of the last day.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Day {
    /// The hours, the oldest first.
    pub hours: Vec<Hour>,

    /// Calls that the receiver accepted.
    pub delivered: usize,

    /// Calls that failed.
    pub failed: usize,

    /// The duration in microseconds that 95 % of the calls do not exceed.
    pub p95: Option<i64>,
}

/// The beginning of the first hour that is shown.
#[must_use]
pub fn first_hour(now: Timestamp) -> Timestamp {
    let current = now.as_micros().div_euclid(HOUR) * HOUR;
    Timestamp::from_micros(current).minus(BEFORE)
}

/// Sorts calls into the hours of the last day. Calls from before it do not count.
#[must_use]
pub fn last_day(calls: &[Call], now: Timestamp) -> Day {
    let first = first_hour(now);
    let mut by_hour: Vec<Vec<Call>> = vec![Vec::new(); HOURS];
    let mut durations = Vec::new();

    for call in calls {
        let hour = (call.at.as_micros() - first.as_micros()).div_euclid(HOUR);
        // The clock of another node can be ahead of ours.
        let hour = usize::try_from(hour).map(|hour| hour.min(HOURS - 1));
        let Ok(hour) = hour else { continue };

        by_hour[hour].push(*call);
        durations.push(call.micros);
    }

    let mut hours = Vec::with_capacity(HOURS);
    let mut start = first;
    for calls in by_hour {
        hours.push(hour_of(start, &calls));
        start = Timestamp::from_micros(start.as_micros() + HOUR);
    }

    durations.sort_unstable();
    Day {
        delivered: hours.iter().map(|hour| hour.delivered).sum(),
        failed: hours.iter().map(|hour| hour.failed).sum(),
        p95: percentile(&durations, 95),
        hours,
    }
}

fn hour_of(start: Timestamp, calls: &[Call]) -> Hour {
    let delivered = calls.iter().filter(|call| call.is_delivered).count();
    let mut durations: Vec<i64> = calls.iter().map(|call| call.micros).collect();
    durations.sort_unstable();

    Hour {
        start,
        delivered,
        failed: calls.len() - delivered,
        p50: percentile(&durations, 50),
        p95: percentile(&durations, 95),
    }
}

/// The smallest of the sorted values that at least so many percent do not exceed.
fn percentile(sorted: &[i64], percent: usize) -> Option<i64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(at: i64, is_delivered: bool, micros: i64) -> Call {
        Call {
            at: Timestamp::from_seconds(at),
            is_delivered,
            micros,
        }
    }

    #[test]
    fn calls_are_counted_in_the_hour_in_which_they_began() {
        let now = Timestamp::from_seconds(100 * 3600 + 60);
        let calls = [
            call(77 * 3600 - 1, false, 1),
            call(77 * 3600, true, 10),
            call(100 * 3600, true, 20),
            call(100 * 3600 + 59, false, 30),
            call(101 * 3600 + 1, false, 40),
        ];

        let day = last_day(&calls, now);
        assert_eq!((day.hours.len(), day.delivered, day.failed), (HOURS, 2, 2));
        assert_eq!(day.hours[0].start, Timestamp::from_seconds(77 * 3600));
        assert_eq!((day.hours[0].delivered, day.hours[0].failed), (1, 0));

        let last = &day.hours[HOURS - 1];
        assert_eq!((last.delivered, last.failed), (1, 2), "a clock ahead counts as now");
        assert_eq!((last.p50, last.p95), (Some(30), Some(40)));
        assert_eq!(day.hours[1].p95, None, "an hour without calls");
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let hundred: Vec<i64> = (1..=100).collect();
        assert_eq!(
            (percentile(&hundred, 50), percentile(&hundred, 95)),
            (Some(50), Some(95))
        );
        assert_eq!(percentile(&[7], 95), Some(7));
        assert_eq!(percentile(&[], 95), None);
    }
}
