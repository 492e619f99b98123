//! The retry policy as settings name it: a preset, or a list of pauses.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::Span;
use crate::retry::RetryPolicy;

/// `"standard"`, `"gitlab"`, `"patient"`, or the longest pause before each further attempt.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(untagged)]
pub enum Retry {
    /// A policy with a name.
    Preset(RetryPreset),

    /// The longest pause before the second, third, … attempt.
    Pauses(Vec<Span>),
}

/// A retry policy with a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RetryPreset {
    /// [`RetryPolicy::standard`].
    Standard,

    /// [`RetryPolicy::gitlab`].
    Gitlab,

    /// [`RetryPolicy::patient`].
    Patient,
}

impl Retry {
    /// The policy that is meant.
    #[must_use]
    pub fn policy(&self) -> RetryPolicy {
        match self {
            Self::Preset(RetryPreset::Standard) => RetryPolicy::standard(),
            Self::Preset(RetryPreset::Gitlab) => RetryPolicy::gitlab(),
            Self::Preset(RetryPreset::Patient) => RetryPolicy::patient(),
            Self::Pauses(pauses) => RetryPolicy {
                pauses: pauses.iter().map(|pause| pause.0).collect(),
                ..RetryPolicy::standard()
            },
        }
    }
}

impl<'de> Deserialize<'de> for Retry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RetryVisitor)
    }
}

/// Reads a word or a list. serde's untagged enums would not say which pause of a list is wrong.
struct RetryVisitor;

impl<'de> Visitor<'de> for RetryVisitor {
    type Value = Retry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("standard, gitlab, patient, or a list of pauses")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Retry, E> {
        match word {
            "standard" => Ok(Retry::Preset(RetryPreset::Standard)),
            "gitlab" => Ok(Retry::Preset(RetryPreset::Gitlab)),
            "patient" => Ok(Retry::Preset(RetryPreset::Patient)),
            _ => Err(E::unknown_variant(
                word,
                &["standard", "gitlab", "patient", r#"a list such as ["10s", "5m"]"#],
            )),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Retry, A::Error> {
        let mut pauses = Vec::new();
        while let Some(pause) = list.next_element()? {
            pauses.push(pause);
        }

        Ok(Retry::Pauses(pauses))
    }
}
