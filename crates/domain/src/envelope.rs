//! The envelope of a body: the fields by which an event is recognised, placed, ordered and deduplicated.
//!
//! Every body from outside is parsed here once. The parser validates the whole body, remembers where the members of
//! `Member` are, and skips all others. It builds no tree, so its memory does not depend on the body. The other files
//! only read the remembered members: `place.rs` the project, group and user, `object.rs` the object.
//!
//! A value of an unexpected type counts as absent: such a body is stored, not refused. The bytes are never changed.

mod confidential;
mod member;
mod object;
mod place;

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

pub(crate) use self::member::Member;
use self::member::{MemberName, Members};
pub(crate) use self::object::{NamedObject, ObjectName};
pub use self::place::{Group, Project, User};

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

/// The envelope of a body. The default is the envelope of an empty object.
#[derive(Clone, Default, Debug)]
pub struct Envelope<'a> {
    /// `object_kind`.
    pub object_kind: Option<Cow<'a, str>>,

    /// `event_name`.
    pub event_name: Option<Cow<'a, str>>,

    /// `event_type`.
    pub event_type: Option<Cow<'a, str>>,

    /// `ref`, if it is a full name of a ref.
    pub git_ref: Option<Cow<'a, str>>,

    /// Whether the body declares something confidential: by `event_type`, or by `confidential` or `internal` of the
    /// object or of the issue that a comment belongs to.
    pub confidential: bool,
    members: Members<'a>,

    /// The members of `project`, which most questions need.
    project: place::ProjectMembers<'a>,

    /// Whether a member that can name the object is repeated, or a member has a name that is not a text. Readers
    /// disagree on such bodies, so their objects have no name.
    is_ambiguous: bool,
}

impl<'a> Envelope<'a> {
    /// Validates a body and reads its envelope. The last value of a repeated name counts, as in serde.
    ///
    /// # Errors
    /// When the bytes are not one JSON object in UTF-8 of at most [`MAX_DEPTH`] levels.
    pub fn read(body: &'a [u8]) -> Result<Self, BodyError> {
        if body.is_empty() {
            return Err(BodyError::Empty);
        }

        let text = std::str::from_utf8(body).map_err(|error| BodyError::NotUtf8(error.valid_up_to()))?;
        if nests_too_deep(body) {
            return Err(BodyError::TooDeep);
        }

        let mut parser = serde_json::Deserializer::from_str(text);
        let Pass {
            members,
            is_marked,
            has_repeated,
            has_doubtful_name,
        } = parser.deserialize_map(PassVisitor)?;

        parser.end()?;

        let event_type = members.word(Member::EventType);
        let is_declared = event_type
            .as_deref()
            .is_some_and(|kind| kind.starts_with("confidential_"));

        Ok(Self {
            object_kind: members.word(Member::ObjectKind),
            event_name: members.word(Member::EventName),
            event_type,
            git_ref: members.word(Member::Ref).filter(|name| name.starts_with("refs/")),
            confidential: is_marked || is_declared,
            project: members.nested(Member::Project),
            members,
            is_ambiguous: has_repeated || (has_doubtful_name && !names_are_texts(text)),
        })
    }
}

/// Counts the depth, because serde_json skips values without recursion. A body with few brackets cannot be deep, so
/// only the others are walked.
fn nests_too_deep(body: &[u8]) -> bool {
    if opening_brackets(body) <= MAX_DEPTH {
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

fn opening_brackets(body: &[u8]) -> usize {
    let mut count = 0;
    // The sum of a chunk fits a byte, so the compiler can count many bytes at once.
    for chunk in body.chunks(255) {
        let brackets: u8 = chunk.iter().map(|byte| u8::from(matches!(byte, b'[' | b'{'))).sum();
        count += usize::from(brackets);
    }

    count
}

/// Whether all names of an object are texts: no name contains a lone surrogate, or a control character that is not
/// escaped. This parses the body again, so it is only asked about a body with an unusual name.
fn names_are_texts(text: &str) -> bool {
    /// Reads names as texts and skips all members.
    #[derive(serde::Deserialize)]
    struct Nothing {}

    serde_json::from_str::<Nothing>(text).is_ok()
}

/// The result of the pass over a body.
#[derive(Default)]
struct Pass<'a> {
    members: Members<'a>,

    /// Whether some value marks the body as confidential.
    is_marked: bool,

    /// Whether a member that can name the object is repeated.
    has_repeated: bool,

    /// Whether some name may not be a text.
    has_doubtful_name: bool,
}

struct PassVisitor;

impl<'de> Visitor<'de> for PassVisitor {
    type Value = Pass<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pass<'de>, A::Error> {
        let mut pass = Pass::default();
        while let Some(name) = map.next_key::<MemberName>()? {
            let member = match name {
                MemberName::Known(member) => member,
                MemberName::Other { is_doubtful } => {
                    pass.has_doubtful_name |= is_doubtful;
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };

            let value: &RawValue = map.next_value()?;
            pass.is_marked |= confidential::marks(member, value);

            let is_repeated = pass.members.put(member, value);
            pass.has_repeated |= is_repeated && member.can_name_object();
        }

        Ok(pass)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_kind_and_the_ref_are_read_from_the_top_level() {
        let body = br#"{"a":[1,{"object_kind":"x"}],"object_kind":"push","ref":"refs/heads/main"}"#;
        let envelope = Envelope::read(body).expect("this is JSON");
        assert_eq!(envelope.object_kind.as_deref(), Some("push"));
        assert_eq!(envelope.git_ref.as_deref(), Some("refs/heads/main"));
    }

    #[test]
    fn a_body_can_be_marked_confidential_in_several_ways() {
        let check = |body: &str, expected: bool| {
            let envelope = Envelope::read(body.as_bytes()).expect("this is JSON");
            assert_eq!(envelope.confidential, expected, "{body}");
        };
        check(r#"{"event_type":"confidential_note"}"#, true);
        check(r#"{"object_attributes":{"confidential":true}}"#, true);
        check(r#"{"object_attributes":{"note":"n","internal":true}}"#, true);

        check(
            r#"{"object_attributes":{"internal":false},"issue":{"iid":1,"confidential":true}}"#,
            true,
        );

        check(r#"{"confidential":true,"iid":1}"#, true);
        check(
            r#"{"object_attributes":{"confidential":false,"internal":null},"issue":{"confidential":false}}"#,
            false,
        );

        check(
            r#"{"object_attributes":{"changes":{"confidential":true}},"changes":{"confidential":true}}"#,
            false,
        );

        check(r#"{"object_attributes":[],"issue":7}"#, false);
        // A mark in an unknown form, or a repeated mark, does not make a body public.
        check(r#"{"object_attributes":{"confidential":"true"}}"#, true);

        check(
            r#"{"object_attributes":{"confidential":true,"confidential":false}}"#,
            true,
        );

        check(
            r#"{"object_attributes":{"confidential":true},"object_attributes":{"confidential":false}}"#,
            true,
        );
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
            assert!(Envelope::read(body.as_bytes()).is_ok(), "{body}");
        }

        let twice = Envelope::read(br#"{"object_kind":"push","object_kind":"issue"}"#).expect("legal");
        assert_eq!(twice.object_kind.as_deref(), Some("issue"));
    }

    #[test]
    fn a_body_that_is_not_one_json_object_is_refused() {
        for body in [
            "",
            "[]",
            "7",
            "{",
            "{}{}",
            "{} x",
            r#"{"m":"a"#,
            "{\"m\":\"a\0b\"}",
            "\u{feff}{}",
            "{'a':1}",
        ] {
            assert!(Envelope::read(body.as_bytes()).is_err(), "{body}");
        }

        assert!(matches!(
            Envelope::read(b"{\"m\":\"\xff\"}"),
            Err(BodyError::NotUtf8(6))
        ));
    }

    #[test]
    fn depth_is_counted_outside_strings() {
        let nested = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
        assert!(Envelope::read(nested(MAX_DEPTH - 1).as_bytes()).is_ok());

        assert!(matches!(
            Envelope::read(nested(MAX_DEPTH).as_bytes()),
            Err(BodyError::TooDeep)
        ));

        assert!(matches!(
            Envelope::read(nested(100_000).as_bytes()),
            Err(BodyError::TooDeep)
        ));

        let body = format!("{{\"a\":\"{}\\\"[\"}}", "[".repeat(500));
        assert!(Envelope::read(body.as_bytes()).is_ok());
    }

    #[test]
    fn words_are_short_texts_and_the_last_of_a_repeated_name_counts() {
        let check = |value: &str, expected: Option<&str>| {
            let body = format!(r#"{{"object_kind":"first","object_kind":{value},"ref":{value}}}"#);
            let envelope = Envelope::read(body.as_bytes()).expect("this is JSON");
            assert_eq!(envelope.object_kind.as_deref(), expected, "{body}");

            assert_eq!(
                envelope.git_ref.as_deref(),
                expected.filter(|word| word.starts_with("refs/")),
                "{body}"
            );
        };
        check(r#""issue""#, Some("issue"));
        check(r#""""#, Some(""));
        check(r#""refs/heads/main""#, Some("refs/heads/main"));
        check(r#""re\u0066s/heads/\u00e9""#, Some("refs/heads/\u{e9}"));
        check(&format!("\"{}\"", "k".repeat(1024)), Some(&"k".repeat(1024)));

        for absent in [
            "null",
            "7",
            "1e999",
            "true",
            "[]",
            "{}",
            r#"["issue"]"#,
            r#""\ud800""#,
            r#""a\u0000b""#,
            "\"a\u{7f}\"",
        ] {
            check(absent, None);
        }

        check(&format!("\"{}\"", "k".repeat(1025)), None);
    }

    #[test]
    fn marks_are_read_from_unusual_bodies_too() {
        let check = |body: &str, expected: bool| {
            let envelope = Envelope::read(body.as_bytes()).expect("this is JSON");
            assert_eq!(envelope.confidential, expected, "{body}");
        };
        check(r#"{"internal":0}"#, true);
        check(r#"{"internal":true,"internal":false}"#, true);
        check(r#"{"issue":{"internal":true}}"#, true);
        check(r#"{"issue":{"\u0069nternal":true}}"#, true);

        check(
            r#"{"object_attributes":{"confidential":null,"confidential":null}}"#,
            true,
        );

        check(r#"{"object_attributes":{"\ud800":1}}"#, true);
        check(
            r#"{"object_attributes":{"$serde_json::private::RawValue":"{}"}}"#,
            false,
        );

        check(r#"{"object_attributes":[true,true]}"#, false);
        check(r#"{"merge_request":{"confidential":true}}"#, false);
        check(r#"{"\ud800":1,"event_type":"confidential"}"#, false);
    }

    proptest! {
        #[test]
        fn reading_never_panics_and_agrees_with_serde_json(body in "\\PC{0,200}|[\\[\\]{}\":,a0 \\\\]{0,80}") {
            let ours = Envelope::read(body.as_bytes()).is_ok();
            let theirs = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&body).is_ok();
            prop_assert!(ours || !theirs, "serde_json reads it and we do not: {body}");
        }
    }
}
