//! Projects, for hooks of their group and for system hooks. Source: GitLab's webhook events and system hooks pages.

use super::Kind;
use crate::Trigger;
use crate::compose::system_events::Shape;
use crate::scope::Levels;
use crate::trigger::{Row, Testable};

impl Trigger {
    /// Projects of a group, for group hooks.
    pub const PROJECT: Self = Self::of(&PROJECT.row);
    /// New projects.
    pub const PROJECT_CREATE: Self = Self::of(&PROJECT_CREATE.row);
    /// Deleted projects.
    pub const PROJECT_DESTROY: Self = Self::of(&PROJECT_DESTROY.row);
    /// Changed projects.
    pub const PROJECT_UPDATE: Self = Self::of(&PROJECT_UPDATE.row);
    /// Projects with a new path.
    pub const PROJECT_RENAME: Self = Self::of(&PROJECT_RENAME.row);
    /// Projects that moved to another group.
    pub const PROJECT_TRANSFER: Self = Self::of(&PROJECT_TRANSFER.row);
}

pub(super) static PROJECT: Kind = Kind::without_object(
    Row {
        code: 21,
        name: "project_hooks",
        meaning: "A project of the group was created or deleted.",
        attribute: Some("project_events"),
        header: "Project Hook",
        event_names: &["project_create", "project_destroy"],
        levels: Levels::G,
        test: Testable::NOT_AVAILABLE,
        ..Row::USUAL
    },
    &PROJECT_OF_GROUP,
);

pub(super) static PROJECT_CREATE: Kind =
    Kind::system(23, &["project_create"], "A project was created.", &OWNED_PROJECT);
pub(super) static PROJECT_DESTROY: Kind =
    Kind::system(24, &["project_destroy"], "A project was deleted.", &OWNED_PROJECT);
pub(super) static PROJECT_UPDATE: Kind = Kind::system(
    25,
    &["project_update"],
    "The settings of a project changed.",
    &OWNED_PROJECT,
);
pub(super) static PROJECT_RENAME: Kind =
    Kind::system(26, &["project_rename"], "A project got a new path.", &MOVED_PROJECT);
pub(super) static PROJECT_TRANSFER: Kind = Kind::system(
    27,
    &["project_transfer"],
    "A project moved to another namespace.",
    &MOVED_PROJECT,
);

const PROJECT_OF_GROUP: Shape = Shape {
    fields: &[
        "event_name",
        "created_at",
        "updated_at",
        "name",
        "path",
        "path_with_namespace",
        "project_id",
        "project_namespace_id",
        "owners",
        "project_visibility",
    ],
    needed: &["project_id", "path_with_namespace"],
};

const OWNED_PROJECT: Shape = Shape {
    fields: &[
        "created_at",
        "updated_at",
        "event_name",
        "name",
        "owner_email",
        "owner_name",
        "owners",
        "path",
        "path_with_namespace",
        "project_id",
        "project_namespace_id",
        "project_visibility",
    ],
    needed: &["project_id", "path_with_namespace"],
};

const MOVED_PROJECT: Shape = Shape {
    fields: &[
        "created_at",
        "updated_at",
        "event_name",
        "name",
        "path",
        "path_with_namespace",
        "project_id",
        "owner_name",
        "owner_email",
        "owners",
        "project_namespace_id",
        "project_visibility",
        "old_path_with_namespace",
    ],
    needed: &["project_id", "path_with_namespace", "old_path_with_namespace"],
};
