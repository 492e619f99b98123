//! The key of the object that an event is about, for hooks that want the events of an object in order.

use super::Kind;
use crate::Trigger;
use crate::envelope::{Envelope, NamedObject, ObjectName};
use crate::ids::ObjectKey;
use crate::scope::Place;

impl Trigger {
    /// The key of the object of an event of this kind: the same issue, merge request, branch, pipeline and so on have
    /// the same key in all their events. A comment or a reaction belongs to the object that it stands on. Events about
    /// an object without a number of its own (a member joins) share one key for each kind and place. Ambiguous bodies
    /// share one key too, because waiting needlessly is better than overtaking.
    #[must_use]
    pub fn object_key(self, body: &Envelope<'_>, place: Place) -> ObjectKey {
        let stated = body.stated_kind();

        // The word of the body decides, because a report may have the trigger of another kind.
        match stated.as_deref().and_then(Kind::by_object_kind) {
            Some(known) => body.key_of(known.row.object_kinds[0], &known.object_name, place),
            None => body.key_of(
                stated.as_deref().unwrap_or(self.row().name),
                &ObjectName::Attributes,
                place,
            ),
        }
    }

    /// The object of an event of this kind.
    pub(crate) fn object(self, body: &Envelope<'_>) -> NamedObject {
        let stated = body.stated_kind();

        match stated.as_deref().and_then(Kind::by_object_kind) {
            Some(known) => body.object_of(known.row.object_kinds[0], &known.object_name),
            None => body.object_of(stated.as_deref().unwrap_or(self.row().name), &ObjectName::Attributes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{GroupId, ProjectId};

    fn key(trigger: Trigger, body: &str) -> ObjectKey {
        let envelope = Envelope::read(body.as_bytes()).expect("this is JSON");
        trigger.object_key(&envelope, Place::Project(ProjectId(1)))
    }

    #[test]
    fn events_of_one_object_share_its_key_and_others_do_not() {
        let merge_request = |rest: &str| {
            key(
                Trigger::UNKNOWN,
                &format!(r#"{{"object_kind":"merge_request","project":{{"id":7}},{rest}}}"#),
            )
        };
        let five = merge_request(r#""object_attributes":{"iid":5,"id":93,"action":"open"}"#);
        assert_eq!(
            five,
            merge_request(r#""object_attributes":{"action":"merge","id":93,"iid":5}"#)
        );

        assert_ne!(five, merge_request(r#""object_attributes":{"iid":6,"id":94}"#));

        let note = r#"{"object_kind":"note","project_id":7,"object_attributes":{"id":1},
            "issue":null,"merge_request":{"iid":5}}"#;
        assert_eq!(
            five,
            key(Trigger::UNKNOWN, note),
            "a comment comes after what it stands on"
        );

        let issue = r#"{"object_kind":"issue","project":{"id":7},"object_attributes":{"iid":5}}"#;
        assert_ne!(five, key(Trigger::UNKNOWN, issue));

        let elsewhere = r#"{"object_kind":"merge_request","project":{"id":8},"object_attributes":{"iid":5}}"#;
        assert_ne!(five, key(Trigger::UNKNOWN, elsewhere));
    }

    #[test]
    fn the_kind_decides_the_member_that_names_the_object() {
        for (trigger, one, other) in [
            (
                Trigger::PUSH,
                r#""object_kind":"push","ref":"refs/heads/a""#,
                r#""object_kind":"push","ref":"refs/heads/b""#,
            ),
            (
                Trigger::UNKNOWN,
                r#""object_kind":"build","build_id":1"#,
                r#""object_kind":"build","build_id":2"#,
            ),
            (
                Trigger::UNKNOWN,
                r#""object_kind":"pipeline","object_attributes":{"id":1},"merge_request":{"iid":5}"#,
                r#""object_kind":"pipeline","object_attributes":{"id":2},"merge_request":{"iid":5}"#,
            ),
            (
                Trigger::UNKNOWN,
                r#""object_kind":"release","tag":"v1""#,
                r#""object_kind":"release","tag":"v2""#,
            ),
        ] {
            let body = |inside: &str, rest: &str| format!("{{{inside},{rest}}}");
            assert_eq!(
                key(trigger, &body(one, r#""x":1"#)),
                key(trigger, &body(one, r#""x":2"#)),
                "{one}"
            );

            assert_ne!(
                key(trigger, &body(one, r#""x":1"#)),
                key(trigger, &body(other, r#""x":1"#)),
                "{one}"
            );
        }

        let odd = r#"{"object_kind":5,"object_attributes":[],"project":"x"}"#;
        assert_eq!(
            key(Trigger::PUSH, odd),
            key(Trigger::PUSH, r#"{"project":"x","object_attributes":null}"#)
        );

        let twice = r#"{"object_kind":"push","ref":"refs/heads/a","ref":"refs/heads/b"}"#;
        assert_eq!(key(Trigger::PUSH, twice), key(Trigger::PUSH, "{}"), "it is ambiguous");
    }

    #[test]
    fn an_ambiguous_body_has_the_key_of_an_empty_one() {
        let empty = key(Trigger::PUSH, "{}");
        for body in [
            r#"{"object_kind":"push","ref":"refs/heads/a","project":{"id":7},"project":{"id":7}}"#,
            r#"{"object_kind":"push","ref":"refs/heads/a","issue":null,"issue":null}"#,
            r#"{"object_kind":"push","ref":"refs/heads/a","\ud800":1}"#,
            "{\"object_kind\":\"push\",\"ref\":\"refs/heads/a\",\"a\u{1}b\":1}",
        ] {
            assert_eq!(key(Trigger::PUSH, body), empty, "{body}");
        }

        for body in [
            r#"{"object_kind":"push","ref":"refs/heads/a","user":{},"user":{},"x":1,"x":2}"#,
            r#"{"object_kind":"push","ref":"refs/heads/a","\u0001":1,"\u00e9":2}"#,
            r#"{"object_kind":"push","ref":"refs/heads/a","x":{"\ud800":1,"ref":1,"ref":2}}"#,
        ] {
            assert_eq!(
                key(Trigger::PUSH, body),
                key(Trigger::PUSH, r#"{"object_kind":"push","ref":"refs/heads/a"}"#)
            );
        }
    }

    #[test]
    fn keys_never_change() {
        // Databases store the keys.
        let check = |body: &str, place: Place, expected: i64| {
            let envelope = Envelope::read(body.as_bytes()).expect("this is JSON");
            assert_eq!(
                Trigger::PUSH.object_key(&envelope, place),
                ObjectKey(expected),
                "{body}"
            );
        };
        check("{}", Place::Elsewhere, 2_066_750_556_670_367_047);

        check(
            r#"{"object_kind":"push","ref":"refs/heads/main","project_id":7}"#,
            Place::Project(ProjectId(1)),
            8_932_488_984_711_520_759,
        );

        check(
            r#"{"object_kind":"issue","object_attributes":{"iid":5},"project":{"id":7}}"#,
            Place::Instance,
            6_154_314_074_239_267_553,
        );

        check(
            r#"{"object_kind":"note","merge_request":{"iid":5},"project":{"id":7}}"#,
            Place::Group(GroupId(3)),
            -8_636_289_196_335_679_582,
        );

        check(
            r#"{"object_kind":"wiki_page","object_attributes":{"slug":"a\nb"}}"#,
            Place::Instance,
            -9_208_126_737_385_041_502,
        );

        check(
            r#"{"object_kind":"moon_landing","object_attributes":{"id":1e3}}"#,
            Place::Instance,
            -3_797_331_389_166_091_597,
        );

        check(
            r#"{"object_kind":"issue","object_attributes":[1,2,3],"project":[1,2,3]}"#,
            Place::Instance,
            -5_153_386_336_808_038_863,
        );
    }
}
