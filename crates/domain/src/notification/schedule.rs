//! When notifications are sent: digests, pauses after failures, and the limits of a rule.

use std::time::Duration;

use jiff::tz::TimeZone;

use crate::Timestamp;

/// Shortest time between two messages of a rule. News that comes earlier waits for the next message.
pub const GAP: Duration = Duration::from_secs(10);
/// Maximum number of attempts to send a message: about twelve hours.
pub const MAX_ATTEMPTS: u32 = 20;
/// Maximum number of news that wait for a message of a rule. More are only counted.
pub const MAX_PENDING: i64 = 500;
/// Messages that a rule remembers.
pub const MAX_MESSAGES: i64 = 50;

const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
const HOUR: i64 = 3600;
const DAY: Duration = Duration::from_secs(86_400);

/// When news is sent.
#[derive(Clone, PartialEq, Debug)]
pub enum Digest {
    /// As soon as it is known.
    AtOnce,

    /// At the next full hour of UTC.
    Hourly,

    /// Once a day.
    Daily(DailyTime),
}

/// An hour of the day in a zone.
#[derive(Clone, PartialEq, Debug)]
pub struct DailyTime {
    hour: i8,
    zone: TimeZone,
}

/// The reason for refusing the time of a digest.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ZoneError {
    /// No hour of a day.
    #[error("hour must be a whole number from 0 to 23")]
    Hour,

    /// No known zone.
    #[error("zone {0:?} is not known; write it as Europe/Berlin or UTC")]
    Zone(String),
}

impl DailyTime {
    /// An hour, 0 to 23, in a zone such as `Europe/Berlin`.
    ///
    /// # Errors
    /// Every reason of [`ZoneError`].
    pub fn new(hour: i64, zone: &str) -> Result<Self, ZoneError> {
        let hour = i8::try_from(hour).ok().filter(|hour| (0..24).contains(hour));
        let hour = hour.ok_or(ZoneError::Hour)?;
        let zone = TimeZone::get(zone).map_err(|_| ZoneError::Zone(zone.chars().take(64).collect()))?;

        Ok(Self { hour, zone })
    }

    /// The hour.
    #[must_use]
    pub const fn hour(&self) -> i8 {
        self.hour
    }

    /// The name of the zone.
    #[must_use]
    pub fn zone(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    /// The first time after `now` at which the clock of the zone shows the hour.
    fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let now = jiff::Timestamp::from_microsecond(now.as_micros()).ok()?;
        let mut date = now.to_zoned(self.zone.clone()).date();

        loop {
            // On a day without this hour, jiff takes the time after the gap.
            let at = date.at(self.hour, 0, 0, 0).to_zoned(self.zone.clone()).ok()?;
            if at.timestamp() > now {
                return Some(Timestamp::from_micros(at.timestamp().as_microsecond()));
            }

            date = date.tomorrow().ok()?;
        }
    }
}

impl Digest {
    /// The word in the API.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::AtOnce => "at_once",
            Self::Hourly => "hourly",
            Self::Daily(_) => "daily",
        }
    }

    /// The time at which news of `now` is sent.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> Timestamp {
        match self {
            Self::AtOnce => now,
            Self::Hourly => Timestamp::from_seconds((now.as_seconds().div_euclid(HOUR) + 1) * HOUR),
            Self::Daily(time) => time.next(now).unwrap_or_else(|| now.plus(DAY)),
        }
    }
}

/// The pause after the last of so many failures in a row; `None` if the message is given up. `retry_after` is the wish
/// of the recipient's server.
#[must_use]
pub fn pause(failures: u32, retry_after: Option<Duration>) -> Option<Duration> {
    if failures >= MAX_ATTEMPTS {
        return None;
    }

    let doubled = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16));
    Some(doubled.max(retry_after.unwrap_or_default()).min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        let at: jiff::Timestamp = text.parse().expect("a time");
        Timestamp::from_micros(at.as_microsecond())
    }

    fn check_due(digest: &Digest, now: &str, expected: &str) {
        assert_eq!(digest.due(at(now)), at(expected), "{digest:?} at {now}");
    }

    #[test]
    fn a_digest_is_due_at_its_next_time() {
        check_due(&Digest::AtOnce, "2026-12-01T04:12:30Z", "2026-12-01T04:12:30Z");
        check_due(&Digest::Hourly, "2026-12-01T04:12:30Z", "2026-12-01T05:00:00Z");
        check_due(&Digest::Hourly, "2026-12-01T05:00:00Z", "2026-12-01T06:00:00Z");

        let daily = Digest::Daily(DailyTime::new(8, "Europe/Berlin").expect("a time"));
        check_due(&daily, "2026-12-01T04:12:30Z", "2026-12-01T07:00:00Z");
        check_due(&daily, "2026-12-01T07:00:00Z", "2026-12-02T07:00:00Z");
    }

    #[test]
    fn a_daily_digest_follows_summer_time() {
        let early = Digest::Daily(DailyTime::new(2, "Europe/Berlin").expect("a time"));
        // The clock goes from 02:00 to 03:00 on this day.
        check_due(&early, "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z");
        check_due(&early, "2026-03-29T12:00:00Z", "2026-03-30T00:00:00Z");
    }

    #[test]
    fn unknown_hours_and_zones_are_refused() {
        assert_eq!(DailyTime::new(24, "UTC"), Err(ZoneError::Hour));
        assert_eq!(DailyTime::new(-1, "UTC"), Err(ZoneError::Hour));
        assert_eq!(
            DailyTime::new(8, "Mars/Base"),
            Err(ZoneError::Zone("Mars/Base".to_owned()))
        );

        let time = DailyTime::new(8, "Europe/Berlin").expect("a time");
        assert_eq!((time.hour(), time.zone()), (8, "Europe/Berlin"));
        assert_eq!(DailyTime::new(8, "UTC").expect("a time").zone(), "UTC");
    }

    #[test]
    fn pauses_double_up_to_an_hour_and_end() {
        let seconds = |failures| pause(failures, None).map(|pause| pause.as_secs());
        assert_eq!([1, 2, 3, 10, 19].map(seconds), [10, 20, 40, 3600, 3600].map(Some));
        assert_eq!(seconds(MAX_ATTEMPTS), None);

        let wish = Some(Duration::from_secs(120));
        assert_eq!(pause(1, wish), wish);
        assert_eq!(
            pause(1, Some(DAY)),
            Some(LONGEST_PAUSE),
            "a wish cannot stop a rule for a day"
        );
    }
}
