//! SSH keys of accounts, for system hooks. Source: GitLab's system hooks page.

use super::Kind;
use crate::Trigger;
use crate::compose::system_events::Shape;

impl Trigger {
    /// New SSH keys.
    pub const KEY_CREATE: Self = Self::of(&KEY_CREATE.row);
    /// Deleted SSH keys.
    pub const KEY_DESTROY: Self = Self::of(&KEY_DESTROY.row);
}

pub(super) static KEY_CREATE: Kind = Kind::system(42, &["key_create"], "A user added an SSH key.", &KEY);
pub(super) static KEY_DESTROY: Kind = Kind::system(43, &["key_destroy"], "A user removed an SSH key.", &KEY);

const KEY: Shape = Shape {
    fields: &["event_name", "created_at", "updated_at", "username", "key", "id"],
    needed: &["id", "key", "username"],
};
