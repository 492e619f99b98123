//! View of an event that a hook did not get.

use quickdraw_store::history;
use serde::Serialize;
use utoipa::ToSchema;

/// A subscribed hook that did not get an event, and the reason.
#[derive(Serialize, ToSchema)]
pub struct Skip {
    /// Id of the event.
    #[schema(format = Uuid)]
    pub event_id: String,

    /// Id of the hook.
    pub hook_id: i64,

    /// Reason, such as `branch_filter` or `duplicate`.
    pub reason: &'static str,
}

impl From<&history::Skip> for Skip {
    fn from(skip: &history::Skip) -> Self {
        Self {
            event_id: skip.event.to_string(),
            hook_id: skip.hook.0,
            reason: skip.reason.map_or("unknown", |reason| reason.word()),
        }
    }
}
