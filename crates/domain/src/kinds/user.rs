//! Accounts, for system hooks. Source: GitLab's system hooks page.

use super::Kind;
use crate::Trigger;
use crate::compose::system_events::Shape;

impl Trigger {
    /// New users.
    pub const USER_CREATE: Self = Self::of(&USER_CREATE.row);
    /// Deleted users.
    pub const USER_DESTROY: Self = Self::of(&USER_DESTROY.row);
    /// Users with a new username.
    pub const USER_RENAME: Self = Self::of(&USER_RENAME.row);
}

pub(super) static USER_CREATE: Kind = Kind::system(38, &["user_create"], "A user account was created.", &USER);
pub(super) static USER_DESTROY: Kind = Kind::system(39, &["user_destroy"], "A user account was deleted.", &USER);
pub(super) static USER_RENAME: Kind = Kind::system(40, &["user_rename"], "A user got a new username.", &RENAMED_USER);
pub(super) static USER_FAILED_LOGIN: Kind = Kind::system(
    41,
    &["user_failed_login"],
    "A blocked user tried to sign in.",
    &BLOCKED_USER,
);

const USER: Shape = Shape {
    fields: &[
        "created_at",
        "updated_at",
        "email",
        "event_name",
        "name",
        "username",
        "user_id",
    ],
    needed: &["user_id", "username"],
};

const RENAMED_USER: Shape = Shape {
    fields: &[
        "event_name",
        "created_at",
        "updated_at",
        "name",
        "email",
        "user_id",
        "username",
        "old_username",
    ],
    needed: &["user_id", "username", "old_username"],
};

const BLOCKED_USER: Shape = Shape {
    fields: &[
        "event_name",
        "created_at",
        "updated_at",
        "name",
        "email",
        "user_id",
        "username",
        "state",
    ],
    needed: &["user_id", "username"],
};
