//! The object that an event is about, for hooks that want the events of an object in order.

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::Trigger;
use crate::ids::ObjectKey;
use crate::kinds::Kind;
use crate::scope::Place;

/// The key of the object that a body is about: an issue, a merge request, a branch or a pipeline has the same key in
/// all its events. The events of a comment or a reaction have the key of the object that it belongs to.
///
/// Events without a numbered object (a member joins) share one key for each kind and place. So do bodies that cannot be
/// read, because waiting needlessly is better than overtaking.
#[must_use]
pub fn object_key(trigger: Trigger, place: Place, body: &[u8]) -> ObjectKey {
    let body: Body<'_> = serde_json::from_slice(body).unwrap_or_default();
    let said = text(body.object_kind);
    // The word of the body decides, because a report may have the trigger of another kind.
    let known = said.as_deref().and_then(Kind::by_object_kind);
    let attributes = nested(body.object_attributes).number();
    let (kind, number) = match known {
        None => (said.as_deref().unwrap_or(trigger.row().name), attributes),
        Some(known) => {
            let kind = known.row.object_kinds[0];
            match &known.object_name {
                ObjectName::Attributes => (kind, attributes),
                ObjectName::Member(member) => (kind, number(member(&body))),
                ObjectName::Noteable => noteable(&body).unwrap_or((kind, None)),
            }
        }
    };

    let project = nested(body.project).id.or(body.project_id).map_or("", RawValue::get);
    let place = match place {
        Place::Project(id) => format!("p{id}"),
        Place::Group(id) => format!("g{id}"),
        Place::Instance => "i".to_owned(),
        Place::Elsewhere => String::new(),
    };
    let parts = [&place, project, kind, number.unwrap_or_default()];
    // JSON texts and words hold no line feed, so the parts cannot run into each other.
    let digest = Sha256::digest(parts.join("\n"));
    let mut key = [0; 8];
    key.copy_from_slice(&digest[..8]);
    ObjectKey(i64::from_be_bytes(key))
}

/// The part of a body that names the object of an event.
pub(crate) enum ObjectName {
    /// `iid`, `id` or `slug` of `object_attributes`.
    Attributes,
    /// A member of the body.
    Member(for<'a> fn(&Body<'a>) -> Option<&'a RawValue>),
    /// The object that a comment or a reaction belongs to.
    Noteable,
}

/// The object that a comment or a reaction belongs to: its kind and its number.
fn noteable<'a>(body: &Body<'a>) -> Option<(&'static str, Option<&'a str>)> {
    let objects = [
        ("merge_request", body.merge_request),
        ("issue", body.issue),
        ("snippet", body.snippet),
        ("commit", body.commit),
        ("wiki_page", body.wiki_page),
    ];
    objects.into_iter().find_map(|(kind, object)| Some((kind, Some(nested(object).number()?))))
}

/// The members of a body that can name an object.
#[derive(Deserialize, Default)]
pub(crate) struct Body<'a> {
    #[serde(borrow)]
    object_kind: Option<&'a RawValue>,
    #[serde(borrow)]
    object_attributes: Option<&'a RawValue>,
    #[serde(borrow)]
    merge_request: Option<&'a RawValue>,
    #[serde(borrow)]
    issue: Option<&'a RawValue>,
    #[serde(borrow)]
    snippet: Option<&'a RawValue>,
    #[serde(borrow)]
    commit: Option<&'a RawValue>,
    #[serde(borrow)]
    wiki_page: Option<&'a RawValue>,
    #[serde(borrow)]
    project: Option<&'a RawValue>,
    #[serde(borrow)]
    project_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) build_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) deployment_id: Option<&'a RawValue>,
    #[serde(borrow, rename = "ref")]
    pub(crate) git_ref: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) tag: Option<&'a RawValue>,
}

/// The names of an object: its number within the project, its number on the instance, the slug of a page.
#[derive(Deserialize, Default)]
struct Numbers<'a> {
    #[serde(borrow)]
    iid: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    slug: Option<&'a RawValue>,
}

impl<'a> Numbers<'a> {
    fn number(&self) -> Option<&'a str> {
        number(self.iid).or_else(|| number(self.id)).or_else(|| number(self.slug))
    }
}

/// The numbers of an object. Any other value has none.
fn nested(value: Option<&RawValue>) -> Numbers<'_> {
    value.and_then(|value| serde_json::from_str(value.get()).ok()).unwrap_or_default()
}

fn number(value: Option<&RawValue>) -> Option<&str> {
    value.map(RawValue::get).filter(|text| *text != "null")
}

fn text(value: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(value?.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ProjectId;

    fn key(trigger: Trigger, body: &str) -> ObjectKey {
        object_key(trigger, Place::Project(ProjectId(1)), body.as_bytes())
    }

    #[test]
    fn events_of_one_object_share_its_key_and_others_do_not() {
        let merge_request = |rest: &str| {
            key(Trigger::UNKNOWN, &format!(r#"{{"object_kind":"merge_request","project":{{"id":7}},{rest}}}"#))
        };
        let five = merge_request(r#""object_attributes":{"iid":5,"id":93,"action":"open"}"#);
        assert_eq!(five, merge_request(r#""object_attributes":{"action":"merge","id":93,"iid":5}"#));
        assert_ne!(five, merge_request(r#""object_attributes":{"iid":6,"id":94}"#));
        let note = r#"{"object_kind":"note","project_id":7,"object_attributes":{"id":1},
            "issue":null,"merge_request":{"iid":5}}"#;
        assert_eq!(five, key(Trigger::UNKNOWN, note), "a comment comes after what it stands on");
        let issue = r#"{"object_kind":"issue","project":{"id":7},"object_attributes":{"iid":5}}"#;
        assert_ne!(five, key(Trigger::UNKNOWN, issue));
        let elsewhere = r#"{"object_kind":"merge_request","project":{"id":8},"object_attributes":{"iid":5}}"#;
        assert_ne!(five, key(Trigger::UNKNOWN, elsewhere));
    }

    #[test]
    fn each_kind_is_told_by_what_it_has() {
        for (trigger, one, other) in [
            (
                Trigger::PUSH,
                r#""object_kind":"push","ref":"refs/heads/a""#,
                r#""object_kind":"push","ref":"refs/heads/b""#,
            ),
            (Trigger::UNKNOWN, r#""object_kind":"build","build_id":1"#, r#""object_kind":"build","build_id":2"#),
            (
                Trigger::UNKNOWN,
                r#""object_kind":"pipeline","object_attributes":{"id":1},"merge_request":{"iid":5}"#,
                r#""object_kind":"pipeline","object_attributes":{"id":2},"merge_request":{"iid":5}"#,
            ),
            (Trigger::UNKNOWN, r#""object_kind":"release","tag":"v1""#, r#""object_kind":"release","tag":"v2""#),
        ] {
            let body = |inside: &str, rest: &str| format!("{{{inside},{rest}}}");
            assert_eq!(key(trigger, &body(one, r#""x":1"#)), key(trigger, &body(one, r#""x":2"#)), "{one}");
            assert_ne!(key(trigger, &body(one, r#""x":1"#)), key(trigger, &body(other, r#""x":1"#)), "{one}");
        }
        let odd = r#"{"object_kind":5,"object_attributes":[],"project":"x"}"#;
        assert_eq!(key(Trigger::PUSH, odd), key(Trigger::PUSH, r#"{"project":"x","object_attributes":null}"#));
        let twice = r#"{"object_kind":"push","ref":"refs/heads/a","ref":"refs/heads/b"}"#;
        assert_eq!(key(Trigger::PUSH, twice), key(Trigger::PUSH, "[]"), "too odd to be read");
    }
}
