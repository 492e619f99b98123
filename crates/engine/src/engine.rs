//! The engine: the context and the structs that share it, as the server and the command line hold them.

pub(crate) mod table;

use std::sync::Arc;

use quickdraw_store::SharedStore;

use self::table::Statuses;
use crate::clock::Clock;
use crate::context::Context;
use crate::delivery::Dispatcher;
use crate::delivery::transport::Transport;
use crate::insights::Insights;
use crate::journal::Journal;
use crate::last_events::LastEvents;
use crate::notifications::Notifier;
use crate::scheduler::Scheduler;
use crate::settings::Settings;
use crate::space::{Samples, SpaceStatus};
use crate::workers::WorkerStatus;

/// The engine. [`crate::Lifecycle`] runs its workers.
pub struct Engine {
    /// The store, the clock, the settings and the directory.
    pub context: Arc<Context>,

    /// The way in, fan-out, replays and retention.
    pub journal: Arc<Journal>,

    /// Deliveries, from the claim to the recorded result.
    pub dispatcher: Arc<Dispatcher>,

    /// Facts, metrics, alerts and privacy.
    pub insights: Arc<Insights>,

    /// Messages to people.
    pub notifier: Arc<Notifier>,
    pub(crate) statuses: Statuses,
    pub(crate) samples: Samples,
}

impl Engine {
    /// Puts an engine together. Nothing runs before [`crate::Lifecycle::start`].
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub async fn new(
        store: SharedStore,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> anyhow::Result<Arc<Self>> {
        let context = Context::new(store, clock, settings).await?;
        let scheduler = Arc::new(Scheduler::new(context.settings.permits, context.settings.deadline));
        let last_events = Arc::new(LastEvents::default());

        let journal = Arc::new(Journal::new(context.clone(), scheduler.clone(), last_events.clone()));
        let notifier = Arc::new(Notifier::new(context.clone(), journal.clone(), transport.clone()));
        let dispatcher = Arc::new(Dispatcher::new(context.clone(), journal.clone(), scheduler, transport));
        let insights = Arc::new(Insights::new(context.clone(), journal.clone(), last_events));

        Ok(Arc::new(Self {
            context,
            journal,
            dispatcher,
            insights,
            notifier,
            statuses: Statuses::default(),
            samples: Samples::default(),
        }))
    }

    /// The disk space of the database. `None` before the first sample.
    #[must_use]
    pub fn space(&self) -> Option<SpaceStatus> {
        self.samples.status()
    }

    /// The status of the workers of this node. The backlog is missing while the store does not answer.
    pub async fn workers(&self) -> Vec<WorkerStatus> {
        let backlog = self.context.in_time(self.context.store.backlog()).await;
        self.statuses.all(backlog.ok().as_ref())
    }
}
