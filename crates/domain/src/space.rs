//! Disk space: how fast a database grows, and when its disk is full.

use std::time::Duration;

use crate::Timestamp;

/// The shortest time between two samples from which a growth is calculated. Over a shorter time, a single checkpoint
/// would look like a trend.
const SHORTEST: Duration = Duration::from_secs(600);
const HOUR_MICROS: i128 = 3_600_000_000;
/// The longest time for which a forecast is given. Beyond it, the growth of a few hours says nothing.
const LONGEST_HOURS: i128 = 24 * 365;

/// Sizes at one time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sample {
    /// The time.
    pub at: Timestamp,

    /// Size of the database in bytes.
    pub database_bytes: u64,

    /// Free bytes of its file system, if they are known.
    pub free_bytes: Option<u64>,
}

/// The growth between two samples, and its consequence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Forecast {
    /// The time between the samples.
    pub over: Duration,

    /// Bytes by which the database grows each hour; negative if it shrinks.
    pub database_bytes_per_hour: i64,

    /// The time at which no byte is free, if the free space decreases and is used up within a year.
    pub full_at: Option<Timestamp>,
}

/// Calculates the growth between two samples. `None` if they are too close to each other.
#[must_use]
pub fn forecast(first: &Sample, last: &Sample) -> Option<Forecast> {
    let over = last.at.since(first.at);
    if over < SHORTEST {
        return None;
    }

    let per_hour = |from: u64, to: u64| {
        let change = i128::from(to) - i128::from(from);
        change * HOUR_MICROS / i128::try_from(over.as_micros()).unwrap_or(i128::MAX)
    };

    let growth = per_hour(first.database_bytes, last.database_bytes);
    let full_at = match (first.free_bytes, last.free_bytes) {
        (Some(before), Some(free)) => full_at(last.at, free, per_hour(before, free)),
        _ => None,
    };

    Some(Forecast {
        over,
        database_bytes_per_hour: i64::try_from(growth).unwrap_or(i64::MAX),
        full_at,
    })
}

fn full_at(now: Timestamp, free: u64, change_per_hour: i128) -> Option<Timestamp> {
    if change_per_hour >= 0 {
        return None;
    }

    let micros_left = i128::from(free) * HOUR_MICROS / -change_per_hour;
    if micros_left > LONGEST_HOURS * HOUR_MICROS {
        return None;
    }

    let left = u64::try_from(micros_left).ok()?;
    Some(now.plus(Duration::from_micros(left)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60;

    fn sample(seconds: u64, database_bytes: u64, free_bytes: Option<u64>) -> Sample {
        Sample {
            at: Timestamp::from_seconds(1_790_000_000).plus(Duration::from_secs(seconds)),
            database_bytes,
            free_bytes,
        }
    }

    fn check(first: Sample, last: Sample, expected: Option<(i64, Option<u64>)>) {
        let found = forecast(&first, &last);
        let found = found.map(|found| {
            let full_in = found.full_at.map(|full_at| full_at.since(last.at).as_secs());
            (found.database_bytes_per_hour, full_in)
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn a_growth_needs_ten_minutes() {
        check(sample(0, 0, Some(9)), sample(9 * MINUTE, 5, Some(4)), None);
        check(sample(0, 0, None), sample(10 * MINUTE, 100, None), Some((600, None)));
    }

    #[test]
    fn a_disk_is_full_when_its_free_space_is_used_up() {
        let (first, last) = (sample(0, 0, Some(1000)), sample(30 * MINUTE, 100, Some(900)));
        check(first, last, Some((200, Some(16_200))));
    }

    #[test]
    fn a_disk_that_does_not_fill_is_never_full() {
        let first = sample(0, 100, Some(1000));
        check(first, sample(60 * MINUTE, 50, Some(1000)), Some((-50, None)));
        check(first, sample(60 * MINUTE, 50, Some(1050)), Some((-50, None)));

        let large = sample(0, 0, Some(1 << 40));
        check(large, sample(60 * MINUTE, 1, Some((1 << 40) - 1)), Some((1, None)));
    }
}
