//! Values of settings that have a type of their own: durations and secrets.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Secret;
use crate::time::parse_duration;

/// A duration, written `10s`, `1m 30s` or `14d`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span(pub Duration);

impl Span {
    /// From a number of seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// From a number of days of 24 hours.
    #[must_use]
    pub const fn days(days: u64) -> Self {
        Self::seconds(days * 86_400)
    }

    /// Written in the largest unit that leaves no remainder.
    fn text(self) -> String {
        let milliseconds = self.0.as_millis();

        for (unit, length) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)] {
            if milliseconds >= length && milliseconds.is_multiple_of(length) {
                return format!("{}{unit}", milliseconds / length);
            }
        }

        format!("{milliseconds}ms")
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || serde::de::Error::custom(format!("{text:?} is not a duration; write it as 10s, 5m, 24h or 14d"));
        parse_duration(&text).map(Self).ok_or_else(wrong)
    }
}

/// A secret in the settings; empty if it is not set.
///
/// Invariant: it serialises as `[REDACTED]`, so printed settings never contain it, and it has no `Debug`.
#[derive(Clone)]
pub struct SecretText(Secret);

impl SecretText {
    /// The value itself. Every call is a place to check in a review.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// Whether the setting is not set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.expose().is_empty()
    }
}

impl Default for SecretText {
    fn default() -> Self {
        Self::from(String::new())
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(Secret::new(text))
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.is_empty() { "" } else { "[REDACTED]" })
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_written_in_its_largest_unit() {
        for (milliseconds, text) in [
            (0, "0ms"),
            (250, "250ms"),
            (90_000, "90s"),
            (300_000, "5m"),
            (604_800_000, "7d"),
        ] {
            assert_eq!(Span(Duration::from_millis(milliseconds)).text(), text);
        }
    }

    #[test]
    fn a_secret_is_not_serialised() {
        let text = |secret: SecretText| serde_json::to_string(&secret).expect("a string");
        assert_eq!(text(SecretText::default()), r#""""#);
        assert_eq!(text(SecretText::from("s3cret".to_owned())), r#""[REDACTED]""#);
    }
}
