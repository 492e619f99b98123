//! The journal: events come in, get their deliveries, are replayed, and are deleted when their time is over.
//!
//! The journal asks the scheduler of deliveries for permits in the commit of an event, and notes for insights when a
//! project last sent an event. It knows no other struct.

mod audience;
pub(crate) mod directory;
pub(crate) mod fan_out;
pub(crate) mod filters;
pub(crate) mod ingest;
pub(crate) mod judge;
mod limits;
pub(crate) mod operations;
pub(crate) mod relay;
pub(crate) mod replay;
pub(crate) mod report;
pub(crate) mod retention;

use std::sync::Arc;

use quickdraw_domain::{ProjectId, Timestamp};

use self::ingest::Queue;
use self::judge::Turns;
use self::limits::NamespaceLimit;
use self::relay::Relay;
use crate::context::Context;
use crate::last_events::LastEvents;
use crate::scheduler::Scheduler;

/// The journal of events.
pub struct Journal {
    context: Arc<Context>,
    scheduler: Arc<Scheduler>,
    last_events: Arc<LastEvents>,

    /// Events that wait for a commit.
    queue: Queue,

    /// Deliveries of each namespace in this minute.
    limit: Arc<NamespaceLimit>,

    /// Turns of costly filters.
    turns: Turns,
    relay: Relay,
}

impl Journal {
    pub(crate) fn new(context: Arc<Context>, scheduler: Arc<Scheduler>, last_events: Arc<LastEvents>) -> Self {
        let limit = Arc::new(NamespaceLimit::new(context.settings.per_minute));
        let relay = Relay::new(Arc::clone(&context));

        Self {
            context,
            scheduler,
            last_events,
            queue: Queue::default(),
            limit,
            turns: Turns::default(),
            relay,
        }
    }
}

/// The projects whose last received event came between two times, the latest first; of at most 500 projects. Other
/// nodes can have received later events.
#[must_use]
pub fn last_received_between(journal: &Journal, from: Timestamp, to: Timestamp) -> Vec<(ProjectId, Timestamp)> {
    journal.last_events.between(from, to)
}
