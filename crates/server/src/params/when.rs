//! Points in time that a filter names, also as a span back from now.

use std::time::Duration;

use quickdraw_domain::Timestamp;
use quickdraw_domain::time::parse_duration;
use serde::de::value::Error;
use serde::de::{Error as _, IntoDeserializer};
use serde::{Deserialize, Deserializer};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::Moment;

/// A point in time: `2026-03-16T09:30:00Z`, a day, which stands for its beginning in UTC, or a span back from now, such
/// as `2h` or `3d`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// At a time.
    At(Timestamp),

    /// Before now.
    Ago(Duration),
}

impl When {
    /// The time that is meant at `now`.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(span) => now.minus(span),
        }
    }
}

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if let Some(span) = parse_duration(&text) {
            return Ok(Self::Ago(span));
        }

        let moment: Result<Moment, Error> = Moment::deserialize(text.as_str().into_deserializer());
        moment.map(|Moment(at)| Self::At(at)).map_err(|_| {
            let expected =
                "a time such as 2026-03-16T09:30:00Z, a day such as 2026-03-16, or a span back from now such as 2h";
            D::Error::invalid_type(serde::de::Unexpected::Str(&text), &expected)
        })
    }
}

impl PartialSchema for When {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).into()
    }
}

impl ToSchema for When {}

/// A time for which a request waits for the count of events: `10s`, at most 30 s.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wait(pub Duration);

/// Longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

impl<'de> Deserialize<'de> for Wait {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let span = parse_duration(&text).filter(|span| *span <= LONGEST_WAIT);
        let wrong = || D::Error::invalid_type(serde::de::Unexpected::Str(&text), &"a duration of at most 30s");
        span.map(Self).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_has_a_limit() {
        let read = |text: &str| Wait::deserialize(IntoDeserializer::<Error>::into_deserializer(text)).ok();
        assert_eq!(read("10s"), Some(Wait(Duration::from_secs(10))));
        assert_eq!(read("31s"), None);
        assert_eq!(read("10"), None);
    }

    fn check(text: &str, expected: Option<When>) {
        let read: Result<When, Error> = When::deserialize(text.into_deserializer());
        assert_eq!(read.ok(), expected, "{text}");
    }

    #[test]
    fn a_time_a_day_and_a_span_back_are_points_in_time() {
        check("1970-01-01T00:01:00Z", Some(When::At(Timestamp::from_seconds(60))));
        check("1970-01-02", Some(When::At(Timestamp::from_seconds(86_400))));
        check("2h", Some(When::Ago(Duration::from_secs(7200))));
        check("yesterday", None);
    }
}
