//! The days of a question in their time zone, and their intervals.

use std::time::Duration;

use jiff::ToSpan;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;

use super::Window;
use crate::metrics::{Kind, Metric, Part};
use quickdraw_domain::Timestamp;

/// Largest number of days in one answer.
const MAX_DAYS: i32 = 3_660;
/// Longest window, in days, whose default interval is a day.
const LONGEST_BY_DAY: i32 = 366;
/// Largest number of intervals in a series.
const MAX_POINTS: usize = 4_000;
/// Largest number of intervals in a series of a gauge, because a gauge examines all items again for each interval.
const MAX_GAUGE_POINTS: usize = 400;

/// The days of a question, in a time zone.
#[derive(Clone, Debug)]
pub struct Days {
    /// Time zone.
    pub zone: TimeZone,

    /// Name of the time zone, as the question spells it.
    pub zone_name: String,

    /// First day.
    pub first: Date,

    /// Number of days.
    pub days: i32,

    /// Start of the first day.
    pub from: Timestamp,

    /// End of the last day, exclusive.
    pub to: Timestamp,
}

/// Length of the intervals of a series.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Every {
    /// An hour.
    Hour,

    /// A day.
    Day,

    /// A week, from Monday on.
    Week,

    /// A month.
    Month,
}

/// The reason for which days or their intervals make no question.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DaysError {
    /// A day of the window has no time.
    #[error("from and to are out of range")]
    OutOfRange,

    /// A day of the window before has no time.
    #[error("from is out of range")]
    BeforeOutOfRange,

    /// The window is empty or too long.
    #[error("from must be before to, by at most {MAX_DAYS} days")]
    Length,

    /// The series has more intervals than this.
    #[error("the series has more than {0} intervals; choose a longer interval")]
    TooManyIntervals(usize),
}

impl Every {
    /// Finds a length by its name in the API.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "hour" => Some(Self::Hour),
            "day" => Some(Self::Day),
            "week" => Some(Self::Week),
            "month" => Some(Self::Month),
            _ => None,
        }
    }
}

impl Days {
    /// Builds the days from `first` to before `end`.
    ///
    /// # Errors
    /// When there is no day or there are too many, or when a day is out of range.
    pub fn new(first: Date, end: Date, zone: TimeZone, zone_name: String) -> Result<Self, DaysError> {
        let days = first.until(end).map_err(|_| DaysError::OutOfRange)?.get_days();
        if !(1..=MAX_DAYS).contains(&days) {
            return Err(DaysError::Length);
        }

        let (from, to) = (start_of(first, &zone)?, start_of(end, &zone)?);
        Ok(Self {
            zone,
            zone_name,
            first,
            days,
            from,
            to,
        })
    }

    /// The window of the days.
    #[must_use]
    pub fn window(&self) -> Window {
        Window {
            from: self.from,
            to: self.to,
            days: f64::from(self.days),
        }
    }

    /// The window of as many days before.
    ///
    /// # Errors
    /// When its first day is out of range.
    pub fn before(&self) -> Result<Window, DaysError> {
        let first = self
            .first
            .checked_sub(self.days.days())
            .map_err(|_| DaysError::BeforeOutOfRange)?;

        Ok(Window {
            from: start_of(first, &self.zone)?,
            to: self.from,
            days: f64::from(self.days),
        })
    }

    /// The length of the intervals if the question does not choose one: a day, or a month for windows of more than a
    /// year.
    #[must_use]
    pub const fn usual_interval(&self) -> Every {
        if self.days > LONGEST_BY_DAY {
            Every::Month
        } else {
            Every::Day
        }
    }

    /// The whole window as one interval.
    #[must_use]
    pub fn whole(&self) -> Part {
        Part {
            start: self.from,
            days: f64::from(self.days),
            is_cut: false,
        }
    }

    /// Splits the window into intervals for a series of a metric. The first and the last one can be shorter than the
    /// others, because weeks begin on Mondays.
    ///
    /// # Errors
    /// When there are too many intervals, or when a day is out of range.
    pub fn parts(&self, every: Every, metric: &Metric) -> Result<Vec<Part>, DaysError> {
        let most = if metric.kind == Kind::Gauge {
            MAX_GAUGE_POINTS
        } else {
            MAX_POINTS
        };

        let mut parts = Vec::new();
        let mut add = |part: Part| {
            parts.push(part);
            if parts.len() > most {
                Err(DaysError::TooManyIntervals(most))
            } else {
                Ok(())
            }
        };

        if every == Every::Hour {
            let mut start = self.from;
            while start < self.to {
                add(Part {
                    start,
                    days: 1.0 / 24.0,
                    is_cut: false,
                })?;

                start = start.plus(Duration::from_secs(3_600));
            }

            return Ok(parts);
        }

        // Counts by dates, because not every day of every zone has a midnight.
        let end = self
            .first
            .checked_add(self.days.days())
            .map_err(|_| DaysError::OutOfRange)?;

        let mut date = self.first;
        while date < end {
            let next = match every {
                Every::Month => date.last_of_month().checked_add(1.day()),
                Every::Week => date.checked_add((7 - i32::from(date.weekday().since(Weekday::Monday))).days()),
                Every::Hour | Every::Day => date.checked_add(1.day()),
            };
            let next = next.map_err(|_| DaysError::OutOfRange)?.min(end);
            let days = date.until(next).map_err(|_| DaysError::OutOfRange)?.get_days();

            let is_cut = match every {
                Every::Week => days < 7,
                Every::Month => days < i32::from(date.days_in_month()),
                Every::Hour | Every::Day => false,
            };

            add(Part {
                start: start_of(date, &self.zone)?,
                days: f64::from(days),
                is_cut,
            })?;

            date = next;
        }

        Ok(parts)
    }
}

/// Start of a date in a zone.
fn start_of(date: Date, zone: &TimeZone) -> Result<Timestamp, DaysError> {
    let zoned = date.to_zoned(zone.clone()).map_err(|_| DaysError::OutOfRange)?;
    Ok(Timestamp::from_micros(zoned.timestamp().as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(first: &str, end: &str) -> Result<Days, DaysError> {
        let zone = TimeZone::get("Europe/Bratislava").expect("a zone");
        Days::new(
            first.parse().expect("a date"),
            end.parse().expect("a date"),
            zone,
            String::new(),
        )
    }

    fn check_parts(first: &str, end: &str, every: Every, expected: &[(&str, f64, bool)]) {
        let metric = Metric::by_name("commits").expect("a metric");
        let parts = days(first, end).expect("days").parts(every, metric).expect("few parts");
        let found: Vec<_> = parts
            .iter()
            .map(|part| (part.start.to_iso(), part.days, part.is_cut))
            .collect();

        let expected: Vec<_> = expected
            .iter()
            .map(|(start, days, is_cut)| ((*start).to_owned(), *days, *is_cut))
            .collect();

        assert_eq!(found, expected);
    }

    #[test]
    fn a_window_has_intervals_of_days_weeks_and_months_in_its_zone() {
        // The clock is put forward on 2026-03-29, a Sunday.
        let two = [
            ("2026-03-28T23:00:00.000Z", 1.0, false),
            ("2026-03-29T22:00:00.000Z", 1.0, false),
        ];
        check_parts("2026-03-29", "2026-03-31", Every::Day, &two);

        let weeks = [
            ("2026-03-26T23:00:00.000Z", 3.0, true),
            ("2026-03-29T22:00:00.000Z", 7.0, false),
            ("2026-04-05T22:00:00.000Z", 1.0, true),
        ];
        check_parts("2026-03-27", "2026-04-07", Every::Week, &weeks);

        let months = [
            ("2026-01-31T23:00:00.000Z", 28.0, false),
            ("2026-02-28T23:00:00.000Z", 2.0, true),
        ];
        check_parts("2026-02-01", "2026-03-03", Every::Month, &months);

        let hours = days("2026-03-29", "2026-03-30").expect("a day");
        let hours = hours
            .parts(Every::Hour, Metric::by_name("commits").expect("a metric"))
            .expect("few parts");
        assert_eq!(hours.len(), 23);
    }

    #[test]
    fn a_window_and_its_series_have_bounds() {
        let error = |first: &str, end: &str| days(first, end).err();
        assert_eq!(error("2026-03-02", "2026-03-02"), Some(DaysError::Length));
        assert_eq!(error("2026-03-02", "2026-03-01"), Some(DaysError::Length));
        assert_eq!(error("2010-01-01", "2026-01-01"), Some(DaysError::Length));

        let year = days("2025-01-01", "2026-02-10").expect("days");
        let parts = |name: &str| {
            year.parts(Every::Day, Metric::by_name(name).expect("a metric"))
                .map(|all| all.len())
        };
        assert_eq!(
            (parts("commits"), parts("mr_open")),
            (Ok(405), Err(DaysError::TooManyIntervals(400)))
        );
    }

    #[test]
    fn the_window_before_has_as_many_days() {
        let before = days("2026-03-29", "2026-03-31")
            .expect("days")
            .before()
            .expect("in range");
        assert_eq!(
            (before.from.to_iso().as_str(), before.days),
            ("2026-03-26T23:00:00.000Z", 2.0)
        );

        assert_eq!(before.to.to_iso(), "2026-03-28T23:00:00.000Z");
        assert_eq!(
            days("-009999-06-01", "-009998-06-01")
                .and_then(|days| days.before())
                .err(),
            Some(DaysError::BeforeOutOfRange)
        );
    }
}
