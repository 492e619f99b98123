//! Reads the ten formats in which GitLab writes times. An event is never refused because of an unreadable time.

pub(crate) mod spelling;

use jiff::civil;
use jiff::fmt::temporal::{Pieces, PiecesOffset};

use crate::Timestamp;

/// A point in time, with the offset of its text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Written {
    /// The point in time.
    pub at: Timestamp,

    /// Minutes east of UTC.
    pub offset_minutes: i16,
}

/// Reads `2026-03-16T08:30:00Z`, with fractions, with offsets such as `+01:00` or `+0100`, with a blank in place of the
/// `T`, and `2026-03-16 08:30:00 UTC`. A time without an offset is in UTC. A date alone is its midnight in UTC.
#[must_use]
pub fn read(text: &str) -> Option<Written> {
    let text = text.trim();
    let text = text
        .strip_suffix(" UTC")
        .map_or_else(|| text.to_owned(), |time| format!("{time}Z"));
    // The parser accepts a blank between date and time, but not before an offset.
    let text = match text.rsplit_once(' ') {
        Some((time, offset)) if offset.starts_with(['+', '-']) => format!("{time}{offset}"),
        _ => text,
    };
    let pieces = Pieces::parse(&text).ok()?;
    let time = pieces.time().unwrap_or_else(civil::Time::midnight);

    let offset = match pieces.offset() {
        Some(PiecesOffset::Numeric(offset)) => offset.offset(),
        _ => jiff::tz::Offset::UTC,
    };
    let at = offset.to_timestamp(pieces.date().to_datetime(time)).ok()?;
    let offset_minutes = i16::try_from(offset.seconds() / 60).ok()?;
    Some(Written {
        at: Timestamp::from_micros(at.as_microsecond()),
        offset_minutes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, seconds: i64, offset_minutes: i16) {
        let at = Timestamp::from_seconds(seconds);
        assert_eq!(read(text), Some(Written { at, offset_minutes }), "{text}");
    }

    #[test]
    fn every_format_of_gitlab_is_read() {
        let eight_thirty = 1_773_649_800; // 2026-03-16 08:30:00 UTC
        check("2026-03-16T08:30:00Z", eight_thirty, 0);
        check("2026-03-16 08:30:00 UTC", eight_thirty, 0);
        check("2026-03-16 09:30:00 +0100", eight_thirty, 60);
        check("2026-03-16T09:30:00+01:00", eight_thirty, 60);
        check("2026-03-16T03:00:00-05:30", eight_thirty, -330);
        check("2026-03-16T08:30:00", eight_thirty, 0);
        check("2026-03-16", eight_thirty - 30_600, 0);

        assert_eq!(
            read("2026-03-16T08:30:00.250Z").map(|w| w.at.as_micros() % 1_000_000),
            Some(250_000)
        );

        for bad in ["", "yesterday", "2026-13-01T00:00:00Z", "1773649800"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
