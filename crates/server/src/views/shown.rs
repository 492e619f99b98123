//! JSON that is shown exactly as it was written, without building a tree.

use std::sync::Arc;

use quickdraw_domain::tree;
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

/// JSON text; cheap to clone.
#[derive(Clone)]
pub struct Shown(Arc<RawValue>);

impl Shown {
    /// Returns a text as JSON. `None` if it is not valid JSON, or if not every reader can read it: a lone surrogate,
    /// a number out of range, or more than 127 levels.
    #[must_use]
    pub fn json(text: &str) -> Option<Self> {
        // Only checks readability. No tree is built, so there is no limit.
        tree::weigh(text.as_bytes(), usize::MAX).ok()?;

        let raw: &RawValue = serde_json::from_str(text).ok()?;
        Some(Self(Arc::from(raw.to_owned())))
    }

    /// Returns a text as JSON if it is valid, else as a JSON string.
    #[must_use]
    pub fn json_or_text(text: &str) -> Self {
        Self::json(text).unwrap_or_else(|| Self(Arc::from(to_raw_value(text).expect("a text can be written as JSON"))))
    }

    /// An empty object.
    #[must_use]
    pub fn nothing() -> Self {
        Self(Arc::from(
            to_raw_value(&serde_json::Map::new()).expect("an empty object can be written as JSON"),
        ))
    }

    /// Length in bytes.
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
        assert_eq!(
            shown(r#"{"b": 1.50, "a": [],"b": 2}"#),
            r#"{"b": 1.50, "a": [],"b": 2}"#
        );

        assert_eq!(shown(" {}\n"), "{}");
        assert_eq!(shown("{"), r#""{""#);

        assert_eq!(
            shown(r#"{"a":"\ud800"}"#),
            r#""{\"a\":\"\\ud800\"}""#,
            "not every reader accepts a lone surrogate"
        );

        assert_eq!(serde_json::to_string(&Shown::nothing()).expect("JSON"), "{}");
    }
}
