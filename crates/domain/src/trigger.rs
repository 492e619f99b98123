//! The kinds of event that a hook can select. The registry of all kinds is in `kinds.rs`; a [`Trigger`] lets the rest
//! of the program speak of a kind without knowing which one it is.

mod row;

use std::fmt;

pub use row::{Row, Testable};

use crate::envelope::Envelope;
use crate::kinds::{KINDS, Kind};

/// A kind of event: a handle to its place in the registry. Kinds that other code must name have a constant, which is
/// defined in the file of the kind.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Trigger(u8);

/// The header of every hook of the instance, whatever the kind of event.
pub(crate) const SYSTEM_HOOK: &str = "System Hook";

impl Trigger {
    /// The handle of a kind.
    pub(crate) const fn of(kind: &Kind) -> Self {
        Self(kind.row.code)
    }

    /// All that is known of the kind.
    pub(crate) fn kind(self) -> &'static Kind {
        KINDS[usize::from(self.0)]
    }

    /// The columns of the kind.
    #[must_use]
    pub fn row(self) -> &'static Row {
        &self.kind().row
    }

    /// Every kind, in the order of the registry, [`Trigger::UNKNOWN`] last.
    pub fn all() -> impl Iterator<Item = Self> {
        let known = KINDS.into_iter().skip(1).map(Self::of);
        known.chain([Self::UNKNOWN])
    }

    /// By the name used in history and in reports: `push_hooks`.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::all().find(|trigger| trigger.row().name == name)
    }

    /// The kind of the same events when they are about something confidential; the kind itself if it has no such half.
    #[must_use]
    pub fn confidential(self) -> Self {
        self.kind().confidential.map_or(self, Self::of)
    }

    /// The kind of a body: this kind, or its confidential half if the body says that it is about something
    /// confidential. The name that a sender gives the event (a header, `event_type`, the trigger of a report) does not
    /// make a confidential body public.
    #[must_use]
    pub fn for_body(self, body: &Envelope<'_>) -> Self {
        if body.confidential { self.confidential() } else { self }
    }

    /// By the REST attribute: `push_events`.
    #[must_use]
    pub fn by_attribute(attribute: &str) -> Option<Self> {
        Self::all().find(|trigger| trigger.row().attribute == Some(attribute))
    }

    /// By the number that the database stores.
    #[must_use]
    pub fn by_code(code: u8) -> Self {
        KINDS
            .get(usize::from(code))
            .map_or(Self::UNKNOWN, |kind| Self::of(kind))
    }

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

impl fmt::Debug for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().name)
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().name)
    }
}

/// The triggers that a hook selects: one bit per code of the registry.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct TriggerSet(u64);

impl TriggerSet {
    /// Whether the trigger is selected.
    #[must_use]
    pub fn contains(self, trigger: Trigger) -> bool {
        self.0 & (1 << trigger.row().code) != 0
    }

    /// Selects or deselects.
    pub fn set(&mut self, trigger: Trigger, selected: bool) {
        let bit = 1 << trigger.row().code;
        if selected { self.0 |= bit } else { self.0 &= !bit }
    }

    /// The selected triggers in the order of the registry.
    pub fn iter(self) -> impl Iterator<Item = Trigger> {
        Trigger::all().filter(move |trigger| self.contains(*trigger))
    }
}

impl FromIterator<Trigger> for TriggerSet {
    fn from_iter<I: IntoIterator<Item = Trigger>>(triggers: I) -> Self {
        let mut set = Self::default();
        for trigger in triggers {
            set.set(trigger, true);
        }

        set
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

    #[test]
    fn a_set_gives_back_what_was_put_in() {
        let mut set: TriggerSet = Trigger::all().collect();
        assert_eq!(set.iter().count(), Trigger::all().count());
        set.set(Trigger::PUSH, false);
        assert!(!set.contains(Trigger::PUSH));
        assert!(set.contains(Trigger::TAG_PUSH));
    }
}
