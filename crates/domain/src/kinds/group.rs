//! Groups, and subgroups for group hooks. Source: GitLab's webhook events and system hooks pages.

use super::Kind;
use crate::Trigger;
use crate::compose::system_events::Shape;
use crate::scope::Levels;
use crate::trigger::{Row, Testable};

impl Trigger {
    /// Subgroups, for group hooks.
    pub const SUBGROUP: Self = Self::of(&SUBGROUP.row);
    /// New groups.
    pub const GROUP_CREATE: Self = Self::of(&GROUP_CREATE.row);
    /// Deleted groups.
    pub const GROUP_DESTROY: Self = Self::of(&GROUP_DESTROY.row);
    /// Groups with a new path.
    pub const GROUP_RENAME: Self = Self::of(&GROUP_RENAME.row);
}

pub(super) static SUBGROUP: Kind = Kind::without_object(
    Row {
        code: 20,
        name: "subgroup_hooks",
        meaning: "A subgroup was created or deleted.",
        attribute: Some("subgroup_events"),
        header: "Subgroup Hook",
        event_names: &["subgroup_create", "subgroup_destroy"],
        levels: Levels::G,
        test: Testable::NOT_AVAILABLE,
        ..Row::USUAL
    },
    &NEW_SUBGROUP,
);

pub(super) static GROUP_CREATE: Kind = Kind::system(44, &["group_create"], "A group was created.", &GROUP);
pub(super) static GROUP_DESTROY: Kind = Kind::system(45, &["group_destroy"], "A group was deleted.", &GROUP);
pub(super) static GROUP_RENAME: Kind = Kind::system(46, &["group_rename"], "A group got a new path.", &RENAMED_GROUP);

const NEW_SUBGROUP: Shape = Shape {
    fields: &[
        "created_at",
        "updated_at",
        "event_name",
        "name",
        "path",
        "full_path",
        "group_id",
        "parent_group_id",
        "parent_name",
        "parent_path",
        "parent_full_path",
    ],
    needed: &["group_id", "full_path"],
};

const GROUP: Shape = Shape {
    fields: &[
        "created_at",
        "updated_at",
        "event_name",
        "name",
        "path",
        "full_path",
        "group_id",
    ],
    needed: &["group_id", "path"],
};

const RENAMED_GROUP: Shape = Shape {
    fields: &[
        "event_name",
        "created_at",
        "updated_at",
        "name",
        "path",
        "full_path",
        "group_id",
        "old_path",
        "old_full_path",
    ],
    needed: &["group_id", "path", "old_path"],
};
