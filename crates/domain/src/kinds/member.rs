//! Members of groups and projects, for group hooks and for system hooks. Source: GitLab's webhook events and system
//! hooks pages.

use super::Kind;
use crate::Trigger;
use crate::compose::system_events::Shape;
use crate::scope::Levels;
use crate::trigger::{Row, Testable};

impl Trigger {
    /// Members of a group, for group hooks.
    pub const MEMBER: Self = Self::of(&MEMBER.row);
    /// New members of projects.
    pub const USER_ADD_TO_TEAM: Self = Self::of(&USER_ADD_TO_TEAM.row);
    /// Removed members of projects.
    pub const USER_REMOVE_FROM_TEAM: Self = Self::of(&USER_REMOVE_FROM_TEAM.row);
    /// Changed members of projects.
    pub const USER_UPDATE_FOR_TEAM: Self = Self::of(&USER_UPDATE_FOR_TEAM.row);
    /// New members of groups.
    pub const USER_ADD_TO_GROUP: Self = Self::of(&USER_ADD_TO_GROUP.row);
    /// Removed members of groups.
    pub const USER_REMOVE_FROM_GROUP: Self = Self::of(&USER_REMOVE_FROM_GROUP.row);
    /// Changed members of groups.
    pub const USER_UPDATE_FOR_GROUP: Self = Self::of(&USER_UPDATE_FOR_GROUP.row);
}

pub(super) static MEMBER: Kind = Kind::without_object(
    Row {
        code: 19,
        name: "member_hooks",
        meaning: "A member was added to the group, changed or removed.",
        attribute: Some("member_events"),
        header: "Member Hook",
        event_names: &[
            "user_add_to_group",
            "user_update_for_group",
            "user_remove_from_group",
            "user_access_request_to_group",
            "user_access_request_denied_for_group",
        ],
        levels: Levels::G,
        test: Testable::NOT_AVAILABLE,
        ..Row::USUAL
    },
    &MEMBER_HOOK,
);

pub(super) static USER_ADD_TO_TEAM: Kind = Kind::system(
    28,
    &["user_add_to_team"],
    "A user became a member of a project.",
    &MEMBER_OF_PROJECT,
);
pub(super) static USER_REMOVE_FROM_TEAM: Kind = Kind::system(
    29,
    &["user_remove_from_team"],
    "A user is no longer a member of a project.",
    &MEMBER_OF_PROJECT,
);
pub(super) static USER_UPDATE_FOR_TEAM: Kind = Kind::system(
    30,
    &["user_update_for_team"],
    "The role of a member of a project changed.",
    &MEMBER_OF_PROJECT,
);
pub(super) static USER_ACCESS_REQUEST_TO_PROJECT: Kind = Kind::system(
    31,
    &["user_access_request_to_project"],
    "A user asked for access to a project.",
    &MEMBER_OF_PROJECT,
);
pub(super) static USER_ACCESS_REQUEST_REVOKED_FOR_PROJECT: Kind = Kind::system(
    32,
    &["user_access_request_revoked_for_project"],
    "A request for access to a project was withdrawn or denied.",
    &MEMBER_OF_PROJECT,
);
pub(super) static USER_ADD_TO_GROUP: Kind = Kind::system(
    33,
    &["user_add_to_group"],
    "A user became a member of a group.",
    &MEMBER_OF_GROUP,
);
pub(super) static USER_REMOVE_FROM_GROUP: Kind = Kind::system(
    34,
    &["user_remove_from_group"],
    "A user is no longer a member of a group.",
    &MEMBER_OF_GROUP,
);
pub(super) static USER_UPDATE_FOR_GROUP: Kind = Kind::system(
    35,
    &["user_update_for_group"],
    "The role of a member of a group changed.",
    &MEMBER_OF_GROUP,
);
pub(super) static USER_ACCESS_REQUEST_TO_GROUP: Kind = Kind::system(
    36,
    &["user_access_request_to_group"],
    "A user asked for access to a group.",
    &MEMBER_OF_GROUP,
);
pub(super) static USER_ACCESS_REQUEST_REVOKED_FOR_GROUP: Kind = Kind::system(
    37,
    &["user_access_request_revoked_for_group"],
    "A request for access to a group was withdrawn or denied.",
    &MEMBER_OF_GROUP,
);

const MEMBER_HOOK: Shape = Shape {
    fields: &[
        "created_at",
        "updated_at",
        "group_name",
        "group_path",
        "group_id",
        "user_username",
        "user_name",
        "user_email",
        "user_id",
        "group_access",
        "group_plan",
        "expires_at",
        "event_name",
    ],
    needed: &["group_id", "user_id"],
};

const MEMBER_OF_PROJECT: Shape = Shape {
    fields: &[
        "created_at",
        "updated_at",
        "event_name",
        "access_level",
        "project_id",
        "project_name",
        "project_path",
        "project_path_with_namespace",
        "user_email",
        "user_name",
        "user_username",
        "user_id",
        "project_visibility",
    ],
    needed: &["project_id", "user_id"],
};

const MEMBER_OF_GROUP: Shape = Shape {
    fields: &[
        "created_at",
        "updated_at",
        "event_name",
        "group_access",
        "group_id",
        "group_name",
        "group_path",
        "user_email",
        "user_name",
        "user_username",
        "user_id",
    ],
    needed: &["group_id", "user_id"],
};
