//! Validates a body and reads its kind without building a tree.
//!
//! Every body from outside passes through this code. Skipping over values costs a quarter of building a tree, and the
//! memory does not depend on the body. The fields are for routing only; the bytes are never changed.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The maximum nesting of a body. GitLab's own bodies stay below 10 levels. Deeper bodies would break recursive parsers
/// in receivers.
pub const MAX_DEPTH: usize = 128;

/// The reason for refusing a body.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The body has no bytes.
    #[error("the body is empty; send a JSON object")]
    Empty,
    /// RFC 8259 requires UTF-8.
    #[error("the body is not UTF-8 (byte {0} is not)")]
    NotUtf8(usize),
    /// More than [`MAX_DEPTH`] levels.
    #[error("the body nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// Not JSON, or not an object.
    #[error("the body is not a JSON object: {0}")]
    NotJson(#[from] serde_json::Error),
}

/// The fields of a body by which it is routed. A value of an unexpected type counts as absent: such a body is stored,
/// not refused.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Skim {
    /// `object_kind`.
    pub object_kind: Option<String>,
    /// `event_name`.
    pub event_name: Option<String>,
    /// `event_type`.
    pub event_type: Option<String>,
    /// `ref`, if it is a full name of a ref.
    pub git_ref: Option<String>,
    /// Whether the body declares something confidential: by `event_type`, or by `confidential` or `internal` of the
    /// object or of the issue that a comment belongs to.
    pub confidential: bool,
}

impl Skim {
    /// Validates a body and reads its routing fields. The last value of a repeated key counts, as in serde.
    ///
    /// # Errors
    /// When the bytes are not one JSON object in UTF-8 of at most [`MAX_DEPTH`] levels.
    pub fn read(body: &[u8]) -> Result<Self, BodyError> {
        if body.is_empty() {
            return Err(BodyError::Empty);
        }
        let text = std::str::from_utf8(body).map_err(|error| BodyError::NotUtf8(error.valid_up_to()))?;
        if nests_too_deep(body) {
            return Err(BodyError::TooDeep);
        }
        Ok(serde_json::from_str(text)?)
    }
}

/// Counts the depth, because serde_json skips values without recursion. A body with few brackets cannot be deep, so
/// only the others are walked.
fn nests_too_deep(body: &[u8]) -> bool {
    if body.iter().filter(|byte| matches!(byte, b'[' | b'{')).count() <= MAX_DEPTH {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return true;
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// A key, read as bytes: unlike a `String` it may contain the lone surrogates that JSON allows.
enum Key {
    ObjectKind,
    EventName,
    EventType,
    Ref,
    Object,
    Mark,
    Other,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_bytes<E>(self, key: &[u8]) -> Result<Key, E> {
                Ok(match key {
                    b"object_kind" => Key::ObjectKind,
                    b"event_name" => Key::EventName,
                    b"event_type" => Key::EventType,
                    b"ref" => Key::Ref,
                    b"object_attributes" | b"issue" => Key::Object,
                    b"confidential" | b"internal" => Key::Mark,
                    _ => Key::Other,
                })
            }
        }
        deserializer.deserialize_bytes(KeyVisitor)
    }
}

impl<'de> Deserialize<'de> for Skim {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SkimVisitor;
        impl<'de> Visitor<'de> for SkimVisitor {
            type Value = Skim;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Skim, A::Error> {
                let mut skim = Skim::default();
                while let Some(key) = map.next_key::<Key>()? {
                    match key {
                        Key::ObjectKind => skim.object_kind = word(map.next_value()?),
                        Key::EventName => skim.event_name = word(map.next_value()?),
                        Key::EventType => skim.event_type = word(map.next_value()?),
                        Key::Ref => skim.git_ref = word(map.next_value()?).filter(|name| name.starts_with("refs/")),
                        Key::Object => skim.confidential |= is_marked(map.next_value()?),
                        Key::Mark => skim.confidential |= is_set(map.next_value()?),
                        Key::Other => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                skim.confidential |= skim.event_type.as_deref().is_some_and(|kind| kind.starts_with("confidential_"));
                Ok(skim)
            }
        }
        deserializer.deserialize_map(SkimVisitor)
    }
}

/// A short text without control characters. Any other value counts as absent.
fn word(value: &RawValue) -> Option<String> {
    let text: String = serde_json::from_str(value.get()).ok()?;
    (text.len() <= 1024 && !text.chars().any(char::is_control)).then_some(text)
}

/// The fields that mark an object as confidential.
#[derive(serde::Deserialize)]
struct Marks<'a> {
    #[serde(borrow)]
    confidential: Option<&'a RawValue>,
    #[serde(borrow)]
    internal: Option<&'a RawValue>,
}

/// Whether an object declares itself confidential. An object that repeats a mark counts as confidential, because
/// readers disagree on which of the two values counts.
fn is_marked(object: &RawValue) -> bool {
    if !object.get().starts_with('{') {
        return false;
    }
    match serde_json::from_str::<Marks<'_>>(object.get()) {
        Ok(marks) => marks.confidential.is_some_and(is_set) || marks.internal.is_some_and(is_set),
        Err(_) => true,
    }
}

/// Any value except `false` and `null` sets a mark: a mark in an unknown form must not make a body public.
fn is_set(mark: &RawValue) -> bool {
    !matches!(mark.get(), "false" | "null")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_kind_and_the_ref_are_read_from_the_top_level() {
        let skim = Skim::read(br#"{"a":[1,{"object_kind":"x"}],"object_kind":"push","ref":"refs/heads/main"}"#);
        let skim = skim.expect("this is JSON");
        assert_eq!(skim.object_kind.as_deref(), Some("push"));
        assert_eq!(skim.git_ref.as_deref(), Some("refs/heads/main"));
    }

    #[test]
    fn a_body_can_be_marked_confidential_in_several_ways() {
        let check = |body: &str, expected: bool| {
            let skim = Skim::read(body.as_bytes()).expect("this is JSON");
            assert_eq!(skim.confidential, expected, "{body}");
        };
        check(r#"{"event_type":"confidential_note"}"#, true);
        check(r#"{"object_attributes":{"confidential":true}}"#, true);
        check(r#"{"object_attributes":{"note":"n","internal":true}}"#, true);
        check(r#"{"object_attributes":{"internal":false},"issue":{"iid":1,"confidential":true}}"#, true);
        check(r#"{"confidential":true,"iid":1}"#, true);
        check(r#"{"object_attributes":{"confidential":false,"internal":null},"issue":{"confidential":false}}"#, false);
        check(r#"{"object_attributes":{"changes":{"confidential":true}},"changes":{"confidential":true}}"#, false);
        check(r#"{"object_attributes":[],"issue":7}"#, false);
        // A mark in an unknown form, or a repeated mark, does not make a body public.
        check(r#"{"object_attributes":{"confidential":"true"}}"#, true);
        check(r#"{"object_attributes":{"confidential":true,"confidential":false}}"#, true);
        check(r#"{"object_attributes":{"confidential":true},"object_attributes":{"confidential":false}}"#, true);
    }

    #[test]
    fn valid_json_is_never_refused_for_its_values() {
        for body in [
            r#"{"object_kind":"push","m":"a\u0000b"}"#,
            r#"{"m":"\ud800","\udfff":1}"#,
            r#"{"object_kind":"\ud800"}"#,
            r#"{"n":1e999999,"m":123456789012345678901234567890}"#,
            r#"{"object_kind":"push","object_kind":"issue"}"#,
            r#"{"object_kind":null,"event_name":7,"project":null,"commits":null}"#,
            " \n{ } ",
        ] {
            assert!(Skim::read(body.as_bytes()).is_ok(), "{body}");
        }
        let twice = Skim::read(br#"{"object_kind":"push","object_kind":"issue"}"#).expect("legal");
        assert_eq!(twice.object_kind.as_deref(), Some("issue"));
    }

    #[test]
    fn a_body_that_is_not_one_json_object_is_refused() {
        for body in ["", "[]", "7", "{", "{}{}", "{} x", r#"{"m":"a"#, "{\"m\":\"a\0b\"}", "\u{feff}{}", "{'a':1}"] {
            assert!(Skim::read(body.as_bytes()).is_err(), "{body}");
        }
        assert!(matches!(Skim::read(b"{\"m\":\"\xff\"}"), Err(BodyError::NotUtf8(6))));
    }

    #[test]
    fn depth_is_counted_outside_strings() {
        let nested = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
        assert!(Skim::read(nested(MAX_DEPTH - 1).as_bytes()).is_ok());
        assert!(matches!(Skim::read(nested(MAX_DEPTH).as_bytes()), Err(BodyError::TooDeep)));
        assert!(matches!(Skim::read(nested(100_000).as_bytes()), Err(BodyError::TooDeep)));
        let flat = format!("{{\"a\":\"{}\\\"[\"}}", "[".repeat(500));
        assert!(Skim::read(flat.as_bytes()).is_ok());
    }

    proptest! {
        #[test]
        fn reading_never_panics_and_agrees_with_serde_json(body in "\\PC{0,200}|[\\[\\]{}\":,a0 \\\\]{0,80}") {
            let ours = Skim::read(body.as_bytes()).is_ok();
            let theirs = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&body).is_ok();
            prop_assert!(ours || !theirs, "serde_json reads it and we do not: {body}");
        }
    }
}
