//! JSON that is shown as it came: no tree is made of it.

use std::sync::Arc;

use quickdraw_domain::tree;
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

/// JSON as it was written, cheap to clone.
#[derive(Clone)]
pub struct Shown(Arc<RawValue>);

impl Shown {
    /// A text that is JSON; `None` for any other, and for JSON that not every reader can read: a half of a surrogate pair, a number
    /// beyond all bounds, more than 127 levels.
    #[must_use]
    pub fn json(text: &str) -> Option<Self> {
        // Nothing is made and so nothing is bounded: this only looks whether it can be read.
        tree::weigh(text.as_bytes(), usize::MAX).ok()?;
        let raw: &RawValue = serde_json::from_str(text).ok()?;
        Some(Self(Arc::from(raw.to_owned())))
    }

    /// The same, where what is no JSON is shown as a text.
    #[must_use]
    pub fn json_or_text(text: &str) -> Self {
        Self::json(text).unwrap_or_else(|| Self(Arc::from(to_raw_value(text).expect("a text can be written as JSON"))))
    }

    /// An object without members.
    #[must_use]
    pub fn nothing() -> Self {
        Self(Arc::from(to_raw_value(&serde_json::Map::new()).expect("an empty object can be written as JSON")))
    }

    /// How long it is, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.get().len()
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_shown_as_it_came_and_anything_else_as_a_text() {
        let shown = |text: &str| serde_json::to_string(&Shown::json_or_text(text)).expect("JSON");
        assert_eq!(shown(r#"{"b": 1.50, "a": [],"b": 2}"#), r#"{"b": 1.50, "a": [],"b": 2}"#);
        assert_eq!(shown(" {}\n"), "{}");
        assert_eq!(shown("{"), r#""{""#);
        assert_eq!(shown(r#"{"a":"\ud800"}"#), r#""{\"a\":\"\\ud800\"}""#, "not everybody can read half a pair");
        assert_eq!(serde_json::to_string(&Shown::nothing()).expect("JSON"), "{}");
    }
}
