//! Checks of answers: the status of a reply, and the attributes that JSON shows.

use serde_json::Value;

use crate::http::Reply;

impl Reply {
    /// The reply, which must have the status.
    pub(crate) fn checked(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    /// Checks that the request was refused with the status, for a reason that contains the words.
    pub(crate) fn check_refusal(&self, status: u16, words: &str) {
        assert_eq!(self.status, status, "{}", self.body);
        assert!(self.body.contains(words), "{words} in {}", self.body);
    }
}

/// Checks that JSON shows the expected attributes; further attributes may be there. `null` also stands for an attribute
/// that is absent. Lists must be equal.
pub(crate) fn check_shows(shown: &Value, expected: &Value) {
    let Some(attributes) = expected.as_object() else {
        assert_eq!(shown, expected);
        return;
    };

    for (name, value) in attributes {
        let attribute = &shown[name];
        if value.as_object().is_some_and(|inner| !inner.is_empty()) {
            assert!(attribute.is_object(), "{name} in {shown}");
            check_shows(attribute, value);
        } else {
            assert_eq!(attribute, value, "{name} in {shown}");
        }
    }
}

/// The items of a JSON list.
pub(crate) fn items(list: &Value) -> &[Value] {
    list.as_array().expect("a list")
}
