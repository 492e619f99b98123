//! Recognises the kind of a received body.

use crate::Trigger;
use crate::envelope::Envelope;
use crate::trigger::SYSTEM_HOOK;

impl Trigger {
    /// The kind of a received body.
    ///
    /// The body's `object_kind` or `event_name` decides, because some senders use legacy header names (`Build Hook`).
    /// The header only chooses between rows that share an event name: `project_create` is a group hook's event and a
    /// system hook's event.
    #[must_use]
    pub fn recognise(header: Option<&str>, body: &Envelope<'_>) -> Self {
        let fits = |trigger: &Self| trigger.row().describes(body);
        Self::all()
            .filter(fits)
            .find(|trigger| Some(trigger.row().header) == header)
            .or_else(|| Self::all().find(fits))
            .or_else(|| {
                // The header decides the kind of a body that does not name it, if the header is unambiguous.
                let silent = body.object_kind.is_none() && body.event_name.is_none();
                Self::all()
                    .filter(|_| silent && header != Some(SYSTEM_HOOK))
                    .find(|trigger| Some(trigger.row().header) == header && !trigger.row().is_system_only())
            })
            .unwrap_or(Self::UNKNOWN)
            .for_body(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_recognition(header: Option<&str>, body: &str, expected: &str) {
        let envelope = Envelope::read(body.as_bytes()).expect("the body is JSON");
        assert_eq!(
            Trigger::recognise(header, &envelope).row().name,
            expected,
            "{header:?} {body}"
        );
    }

    #[test]
    fn the_body_says_what_it_is_and_the_header_only_breaks_ties() {
        check_recognition(Some("Push Hook"), r#"{"object_kind":"push"}"#, "push_hooks");
        check_recognition(
            Some("System Hook"),
            r#"{"object_kind":"push","event_name":"push"}"#,
            "push_hooks",
        );

        check_recognition(Some("Build Hook"), r#"{"object_kind":"build"}"#, "job_hooks");
        check_recognition(None, r#"{"object_kind":"tag_push"}"#, "tag_push_hooks");

        check_recognition(
            Some("Project Hook"),
            r#"{"event_name":"project_create"}"#,
            "project_hooks",
        );

        check_recognition(
            Some("System Hook"),
            r#"{"event_name":"project_create"}"#,
            "project_create",
        );

        check_recognition(
            Some("Member Hook"),
            r#"{"event_name":"user_add_to_group"}"#,
            "member_hooks",
        );

        check_recognition(
            Some("System Hook"),
            r#"{"event_name":"user_add_to_group"}"#,
            "user_add_to_group",
        );

        check_recognition(None, r#"{"event_name":"repository_update"}"#, "repository_update_hooks");
        check_recognition(Some("Wiki Page Hook"), "{}", "wiki_page_hooks");
        check_recognition(Some("Push Hook"), r#"{"object_kind":"moon_landing"}"#, "unknown");
        check_recognition(Some("System Hook"), "{}", "unknown");
        check_recognition(None, "{}", "unknown");
    }

    #[test]
    fn confidential_bodies_have_their_own_triggers() {
        let issue = r#"{"object_kind":"issue","event_type":"confidential_issue"}"#;
        check_recognition(Some("Issue Hook"), issue, "confidential_issue_hooks");

        check_recognition(
            Some("Issue Hook"),
            r#"{"object_kind":"work_item","event_type":"work_item"}"#,
            "issue_hooks",
        );

        let note = r#"{"object_kind":"note","event_type":"confidential_note"}"#;
        check_recognition(None, note, "confidential_note_hooks");

        // The marks of the object count, whatever the sender calls the event.
        let on_issue = r#"{"object_kind":"note","event_type":"note","issue":{"confidential":true}}"#;
        check_recognition(Some("Note Hook"), on_issue, "confidential_note_hooks");

        let internal = r#"{"object_kind":"note","event_type":"note","object_attributes":{"internal":true}}"#;
        check_recognition(Some("Note Hook"), internal, "confidential_note_hooks");

        let issue = r#"{"object_kind":"issue","event_type":"issue","object_attributes":{"confidential":true}}"#;
        check_recognition(Some("Issue Hook"), issue, "confidential_issue_hooks");

        let unnamed = r#"{"object_attributes":{"confidential":true}}"#;
        check_recognition(Some("Issue Hook"), unnamed, "confidential_issue_hooks");

        let public = r#"{"object_kind":"note","event_type":"note","issue":{"confidential":false}}"#;
        check_recognition(Some("Note Hook"), public, "note_hooks");

        // Kinds without a confidential half stay as they are.
        let emoji = r#"{"object_kind":"emoji","event_type":"award","issue":{"confidential":true}}"#;
        check_recognition(Some("Emoji Hook"), emoji, "emoji_hooks");
    }
}
