//! The columns of a kind of event. All crates read them, except for those that only composing needs.

use crate::envelope::Envelope;
use crate::scope::Levels;
use crate::times::spelling::Times;

/// The columns of one kind of event.
#[derive(Debug)]
pub struct Row {
    /// The number that databases store. It never changes and is never used again.
    pub code: u8,

    /// GitLab's internal name, shown as `trigger` in histories and used to report an event. Events that only system
    /// hooks receive, and that no attribute selects, go by their `event_name`.
    pub name: &'static str,

    /// The meaning of an event in one sentence, for people who choose kinds.
    pub meaning: &'static str,

    /// The REST attribute that selects it. `None`: every system hook gets it.
    pub attribute: Option<&'static str>,

    /// `X-Gitlab-Event` of project and group hooks. System hooks always say `System Hook`.
    pub header: &'static str,

    /// Values of `object_kind` in its bodies.
    pub object_kinds: &'static [&'static str],

    /// Values of `event_name` in its bodies.
    pub event_names: &'static [&'static str],

    /// Whether it carries the confidential half of its kind.
    pub confidential: bool,

    /// Levels whose hooks can have it.
    pub levels: Levels,

    /// Levels whose new hooks have it by default.
    pub on_by_default: Levels,

    /// Whether the branch filter of a hook applies.
    pub branch_filter: bool,

    /// Whether the test endpoint offers it.
    pub test: Testable,

    /// The kind of the same events when they are about something confidential.
    pub(crate) confidential_half: Option<&'static Row>,

    /// Attributes of a reported object that must be objects themselves.
    pub(crate) objects: &'static [&'static str],

    /// Attributes of a reported object that must be lists of objects, besides those that every kind may have.
    pub(crate) lists: &'static [&'static str],

    /// Allowed values of `action`, empty for a kind without actions. They never change.
    pub(crate) actions: &'static [&'static str],

    /// The spelling of its times.
    pub(crate) times: Times,
}

/// Whether a sample of a trigger can be sent on demand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Testable {
    /// A sample can be sent.
    Yes,

    /// No sample can be sent. The text is GitLab's answer.
    No(&'static str),
}

impl Testable {
    /// GitLab's answer for the kinds that it does not test.
    pub(crate) const NOT_AVAILABLE: Self = Self::No("Testing not available for this hook");
}

impl Row {
    /// The values that most kinds share; each kind states its differences.
    pub(crate) const USUAL: Self = Self {
        code: 0,
        name: "",
        meaning: "",
        attribute: None,
        header: "",
        object_kinds: &[],
        event_names: &[],
        confidential: false,
        levels: Levels::NONE,
        on_by_default: Levels::NONE,
        branch_filter: false,
        test: Testable::Yes,
        confidential_half: None,
        objects: &[],
        lists: &[],
        actions: &[],
        times: Times::UTC,
    };

    /// A kind that every system hook receives, and no other hook.
    pub(crate) const fn system(
        code: u8,
        name: &'static str,
        meaning: &'static str,
        event_names: &'static [&'static str],
    ) -> Self {
        Self {
            code,
            name,
            meaning,
            header: super::SYSTEM_HOOK,
            event_names,
            levels: Levels::S,
            on_by_default: Levels::S,
            test: Testable::NOT_AVAILABLE,
            ..Self::USUAL
        }
    }

    /// Whether a body is of this kind.
    #[must_use]
    pub fn describes(&self, body: &Envelope<'_>) -> bool {
        if let Some(kind) = body.object_kind.as_deref() {
            let confidential = body
                .event_type
                .as_deref()
                .is_some_and(|kind| kind.starts_with("confidential_"));
            return self.object_kinds.contains(&kind) && confidential == self.confidential;
        }

        body.event_name
            .as_deref()
            .is_some_and(|name| self.event_names.contains(&name))
    }

    /// Whether only system hooks receive it, and no attribute selects it.
    #[must_use]
    pub const fn is_system_only(&self) -> bool {
        self.attribute.is_none()
    }
}
