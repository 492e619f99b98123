//! Views of the open deliveries of a hook.

use quickdraw_domain::Timestamp;
use quickdraw_domain::delivery::Stage;
use quickdraw_domain::hook::backlog::{Counts, Open, by_hour};
use serde::Serialize;
use utoipa::ToSchema;

use super::Iso;

/// The deliveries of a hook that have not ended, by the time of their events.
#[derive(Serialize, ToSchema)]
pub struct HookBacklog {
    /// Deliveries of the last 24 hours, by the hour in which the event was received, the oldest hour first. The last
    /// hour has not ended.
    hours: Vec<BacklogHour>,

    /// Deliveries of older events.
    earlier: OpenCounts,

    /// True if there are more deliveries than were counted. The counted ones are those that are due first.
    is_partial: bool,
}

/// Open deliveries of an hour.
#[derive(Serialize, ToSchema)]
struct BacklogHour {
    /// Beginning of the hour.
    at: Iso,

    #[serde(flatten)]
    counts: OpenCounts,
}

/// Numbers of open deliveries.
#[derive(Serialize, ToSchema)]
struct OpenCounts {
    /// Number of deliveries without an attempt.
    waiting: usize,

    /// Number of deliveries that wait for an earlier one of their ordering queue.
    blocked: usize,

    /// Number of deliveries whose attempts failed, and that are tried again.
    retrying: usize,
}

impl HookBacklog {
    /// Builds the view of open deliveries. `most` is the number of each state to which reading was limited.
    #[must_use]
    pub fn new(open: &[Open], most: usize, now: Timestamp) -> Self {
        let backlog = by_hour(open, now);
        let retried = open.iter().filter(|open| open.stage == Stage::Retrying).count();
        let hours = backlog.hours.into_iter().map(|(at, counts)| BacklogHour {
            at: Iso(at),
            counts: counts.into(),
        });

        Self {
            hours: hours.collect(),
            earlier: backlog.earlier.into(),
            is_partial: retried >= most || open.len() - retried >= most,
        }
    }
}

impl From<Counts> for OpenCounts {
    fn from(counts: Counts) -> Self {
        Self {
            waiting: counts.waiting,
            blocked: counts.blocked,
            retrying: counts.retrying,
        }
    }
}
