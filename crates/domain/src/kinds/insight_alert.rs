//! Alerts of insights. GitLab has no such event; insights write the body.

use super::Kind;
use crate::Trigger;
use crate::scope::Levels;
use crate::trigger::Row;

impl Trigger {
    /// An alert of a metric. GitLab has no such event.
    pub const INSIGHT_ALERT: Self = Self::of(&INSIGHT_ALERT.row);
}

/// It is off by default.
pub(super) static INSIGHT_ALERT: Kind = Kind {
    row: Row {
        attribute: Some("insight_alert_events"),
        on_by_default: Levels::NONE,
        ..Row::system(
            50,
            "insight_alert_hooks",
            "An alert about a metric began or ended.",
            &["insight_alert"],
        )
    },
    ..Kind::USUAL
};
