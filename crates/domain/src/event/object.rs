//! Which object an event is about: what hooks that want their events in order go by.

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::Trigger;
use crate::ids::ObjectKey;
use crate::scope::Place;

/// Reads from a body which object it is about: the same issue, merge request, branch, pipeline and so on have the same
/// key in all their events. A comment or a reaction belongs to what it stands on. Events about nothing that has a number
/// of its own (a member joins) share one key for each kind and place; and so do bodies that are too odd to be read, because
/// waiting needlessly is better than overtaking.
#[must_use]
pub fn object_key(trigger: Trigger, place: Place, body: &[u8]) -> ObjectKey {
    let body: Body<'_> = serde_json::from_slice(body).unwrap_or_default();
    let kind = text(body.object_kind).unwrap_or_else(|| trigger.row().name.to_owned());
    let attributes = nested(body.object_attributes);
    let (kind, number) = match kind.as_str() {
        "note" | "emoji" => [
            ("merge_request", body.merge_request),
            ("issue", body.issue),
            ("snippet", body.snippet),
            ("commit", body.commit),
            ("wiki_page", body.wiki_page),
        ]
        .into_iter()
        .find_map(|(kind, on)| nested(on).number().map(|number| (kind, Some(number))))
        .unwrap_or((kind.as_str(), None)),
        "work_item" => ("issue", attributes.number()),
        "build" => ("build", known(body.build_id)),
        "deployment" => ("deployment", known(body.deployment_id)),
        "push" | "tag_push" => (kind.as_str(), known(body.git_ref)),
        "release" => ("release", known(body.tag)),
        kind => (kind, attributes.number()),
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

#[derive(Deserialize, Default)]
struct Body<'a> {
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
    build_id: Option<&'a RawValue>,
    #[serde(borrow)]
    deployment_id: Option<&'a RawValue>,
    #[serde(borrow, rename = "ref")]
    git_ref: Option<&'a RawValue>,
    #[serde(borrow)]
    tag: Option<&'a RawValue>,
}

/// What an object can be told by: GitLab's number within the project, the number of all, the name of a page.
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
        known(self.iid).or_else(|| known(self.id)).or_else(|| known(self.slug))
    }
}

/// What is not an object has no numbers.
fn nested(value: Option<&RawValue>) -> Numbers<'_> {
    value.and_then(|value| serde_json::from_str(value.get()).ok()).unwrap_or_default()
}

fn known(value: Option<&RawValue>) -> Option<&str> {
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
