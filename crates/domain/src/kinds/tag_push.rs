//! Pushes of tags. Their bodies are those of pushes.

use super::{Kind, push};
use crate::Trigger;
use crate::compose::Composer;
use crate::envelope::{Member, ObjectName};
use crate::scope::Levels;
use crate::trigger::Row;

impl Trigger {
    /// Pushes of tags.
    pub const TAG_PUSH: Self = Self::of(&TAG_PUSH.row);
}

pub(super) static TAG_PUSH: Kind = Kind {
    row: Row {
        code: 2,
        name: "tag_push_hooks",
        meaning: "A tag was created or deleted.",
        attribute: Some("tag_push_events"),
        header: "Tag Push Hook",
        object_kinds: &["tag_push"],
        event_names: &["tag_push"],
        levels: Levels::PGS,
        ..Row::USUAL
    },
    composer: Some(Composer::Push(push::compose)),
    object_name: ObjectName::Member(Member::Ref),
    report: Some(include_str!("../../../../fixtures/gitlab/tag_push_hooks/report.json")),
    ..Kind::USUAL
};
