//! Values of settings: durations as `10s`, retry policies as a preset or a list of pauses.

use std::time::Duration;

use anyhow::Context;
use quickdraw_domain::retry::RetryPolicy;
use quickdraw_domain::time::parse_duration;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A duration, written `10s`, `1m 30s`, `14d`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span(pub(crate) Duration);

impl Span {
    pub(crate) const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&show(self.0))
    }
}

/// The largest unit that fits without a rest.
fn show(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    for (unit, length) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)] {
        if milliseconds >= length && milliseconds.is_multiple_of(length) {
            return format!("{}{unit}", milliseconds / length);
        }
    }
    format!("{milliseconds}ms")
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || serde::de::Error::custom(format!("{text:?} is no duration; write it as 10s, 5m, 24h or 14d"));
        parse_duration(&text).map(Self).ok_or_else(wrong)
    }
}

/// `"standard"`, `"gitlab"`, `"patient"`, or the longest pauses before each further attempt.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Retry {
    Preset(String),
    Pauses(Vec<Span>),
}

impl Retry {
    pub(crate) fn policy(&self) -> anyhow::Result<RetryPolicy> {
        match self {
            Self::Preset(name) => RetryPolicy::preset(name)
                .with_context(|| format!("delivery.retry {name:?} is none of standard, gitlab, patient")),
            Self::Pauses(pauses) => {
                Ok(RetryPolicy { pauses: pauses.iter().map(|pause| pause.0).collect(), ..RetryPolicy::standard() })
            }
        }
    }
}
