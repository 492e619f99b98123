//! Conditions on the bodies of events, by which history is searched.

use crate::Trigger;
use crate::envelope::Envelope;

/// Shortest beginning of a commit id that names a commit.
const SHORTEST_SHA: usize = 7;

/// The name of an object of GitLab, as people write it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ObjectReference {
    /// An object with a number in its project or group: `!12`, `#7`, `&3`, `$4`. The word is its `object_kind`.
    Numbered(&'static str, u64),

    /// A branch, a tag, or the beginning of a commit id.
    Named(String),
}

impl ObjectReference {
    /// Reads a reference. `None` if it is empty, or its number is not a number.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let kind = match text.chars().next()? {
            '!' => "merge_request",
            '#' => "issue",
            '&' => "epic",
            '$' => "snippet",
            _ => return Some(Self::Named(text.to_owned())),
        };

        text[1..].parse().ok().map(|number| Self::Numbered(kind, number))
    }

    /// Checks whether an event is about the object. A comment is about the object that it belongs to.
    #[must_use]
    pub fn is_of(&self, trigger: Trigger, body: &[u8]) -> bool {
        let Ok(envelope) = Envelope::read(body) else {
            return false;
        };
        let object = trigger.object(&envelope);

        match self {
            Self::Numbered(kind, number) => object.kind == *kind && object.number == number.to_string(),
            Self::Named(name) => {
                let full = envelope.git_ref.as_deref().unwrap_or_default();
                let short = full.strip_prefix("refs/heads/").or(full.strip_prefix("refs/tags/"));

                full == name || short == Some(name) || object.number.trim_matches('"') == name || has_sha(body, name)
            }
        }
    }
}

fn has_sha(body: &[u8], name: &str) -> bool {
    let is_sha = name.len() >= SHORTEST_SHA && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_sha && contains(body, &format!("\"{}", name.to_ascii_lowercase()))
}

/// Conditions on the body of an event; all of them apply.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BodyFilter {
    /// The body contains exactly this text.
    pub text: Option<String>,

    /// The event is about this object.
    pub object: Option<ObjectReference>,
}

impl BodyFilter {
    /// Checks whether there are any conditions.
    #[must_use]
    pub const fn is_any(&self) -> bool {
        self.text.is_none() && self.object.is_none()
    }

    /// Checks whether an event meets the conditions.
    #[must_use]
    pub fn passes(&self, trigger: Trigger, body: &[u8]) -> bool {
        self.text.as_ref().is_none_or(|text| contains(body, text))
            && self.object.as_ref().is_none_or(|object| object.is_of(trigger, body))
    }
}

fn contains(body: &[u8], text: &str) -> bool {
    match std::str::from_utf8(body) {
        Ok(body) => body.contains(text),
        Err(_) => body.windows(text.len().max(1)).any(|window| window == text.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(reference: &str, body: &str, expected: bool) {
        let parsed = ObjectReference::parse(reference).expect("a reference");
        assert_eq!(
            parsed.is_of(Trigger::UNKNOWN, body.as_bytes()),
            expected,
            "{reference} {body}"
        );
    }

    #[test]
    fn a_reference_names_the_object_of_an_event_or_of_a_comment() {
        let merge_request = r#"{"object_kind":"merge_request","object_attributes":{"iid":12,"id":900}}"#;
        let note = r#"{"object_kind":"note","object_attributes":{"id":1},"merge_request":{"iid":12}}"#;
        check("!12", merge_request, true);
        check("!12", note, true);
        check("!900", merge_request, false);
        check("#12", merge_request, false);
        check(
            "#7",
            r#"{"object_kind":"work_item","object_attributes":{"iid":7}}"#,
            true,
        );
        check("!12", "not JSON", false);
    }

    #[test]
    fn a_name_is_a_branch_a_tag_or_the_beginning_of_a_commit_id() {
        let push =
            r#"{"object_kind":"push","ref":"refs/heads/main","after":"da1560886d4f094c3e6c9ef40349f7d38b5d27d7"}"#;
        check("main", push, true);
        check("refs/heads/main", push, true);
        check("DA15608", push, true);
        check("da1560", push, false);
        check("v1", r#"{"object_kind":"release","tag":"v1"}"#, true);
        check("v2", r#"{"object_kind":"release","tag":"v1"}"#, false);
    }

    #[test]
    fn a_sign_needs_a_number() {
        assert_eq!(ObjectReference::parse("!x"), None);
        assert_eq!(ObjectReference::parse(""), None);
    }
}
