//! Words of the pipeline as values of parameters: kinds of events, and outcomes of attempts.

use std::sync::LazyLock;

use quickdraw_domain::Trigger;
use quickdraw_store::attempts::outcome_words;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// A kind of event, such as `push_hooks`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TriggerName(pub Trigger);

impl<'de> Deserialize<'de> for TriggerName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        static NAMES: LazyLock<Vec<&'static str>> =
            LazyLock::new(|| Trigger::all().map(|trigger| trigger.row().name).collect());

        let text = String::deserialize(deserializer)?;
        Trigger::by_name(&text)
            .map(Self)
            .ok_or_else(|| D::Error::unknown_variant(&text, NAMES.as_slice()))
    }
}

/// An outcome of attempts, such as `rejected`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Class(pub String);

impl<'de> Deserialize<'de> for Class {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        static WORDS: LazyLock<Vec<&'static str>> = LazyLock::new(outcome_words);

        let text = String::deserialize(deserializer)?;
        if WORDS.contains(&text.as_str()) {
            return Ok(Self(text));
        }

        Err(D::Error::unknown_variant(&text, WORDS.as_slice()))
    }
}
