//! Insights: events are projected into facts, and facts are shown, watched, rebuilt and deleted.

pub(crate) mod alerts;
pub(crate) mod ask;
pub mod counted;
pub(crate) mod definitions;
pub(crate) mod privacy;
pub(crate) mod projection;
pub(crate) mod prometheus;
pub mod rebuild;

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::OnceCell;

use self::counted::Counted;
use self::prometheus::Shown;
use self::rebuild::Rebuilds;
use crate::context::Context;
use crate::journal::Journal;
use crate::last_events::LastEvents;

/// Insights of what the journal contains.
pub struct Insights {
    context: Arc<Context>,
    journal: Arc<Journal>,
    last_events: Arc<LastEvents>,
    pub(crate) rebuilds: Rebuilds,
    shown: Shown,

    /// For each project, the time before which this node has deleted facts.
    deleted_before: parking_lot::Mutex<HashMap<i64, i64>>,

    /// Set when the database names the definitions of this program.
    definitions_noted: OnceCell<()>,

    /// Held from the facts of a batch to its marks.
    projecting: tokio::sync::Mutex<()>,
    counted: Counted,
}

impl Insights {
    pub(crate) fn new(context: Arc<Context>, journal: Arc<Journal>, last_events: Arc<LastEvents>) -> Self {
        Self {
            context,
            journal,
            last_events,
            rebuilds: Rebuilds::default(),
            shown: Shown::default(),
            deleted_before: parking_lot::Mutex::default(),
            definitions_noted: OnceCell::new(),
            projecting: tokio::sync::Mutex::default(),
            counted: Counted::default(),
        }
    }

    /// The time of the last event of each project, in Prometheus' text format.
    #[must_use]
    pub fn last_events_text(&self) -> String {
        let index = self.context.index();
        self.last_events.text(|project| index.has_project(project))
    }

    /// Reads from the journal, once after a start, when each project sent its last event.
    pub(crate) async fn load_last_events(&self) -> anyhow::Result<()> {
        self.last_events.load(&self.context).await
    }
}
