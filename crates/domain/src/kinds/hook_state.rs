//! Changes of the condition of a hook, and pauses by people. GitLab sends e-mails instead. `notices.rs` writes the
//! bodies.

use super::Kind;
use crate::Trigger;
use crate::scope::Levels;
use crate::trigger::Row;

impl Trigger {
    /// A hook was paused, disabled or enabled again. GitLab has no such event.
    pub const HOOK_STATE: Self = Self::of(&HOOK_STATE.row);
}

/// It is off by default.
pub(super) static HOOK_STATE: Kind = Kind {
    row: Row {
        attribute: Some("hook_state_events"),
        on_by_default: Levels::NONE,
        ..Row::system(
            49,
            "hook_state_hooks",
            "A webhook was disabled, paused, or enabled again.",
            &[
                "hook_paused",
                "hook_disabled",
                "hook_enabled",
                "hook_paused_by_user",
                "hook_resumed_by_user",
            ],
        )
    },
    ..Kind::USUAL
};
