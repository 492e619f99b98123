//! The context that all steps share: the store, the clock, the settings, the directory of hooks, and the wakes. It
//! imports no step.

use std::sync::Arc;

use arc_swap::ArcSwap;
use quickdraw_domain::compose::{Happened, Instance, Scene, User};
use quickdraw_domain::scope::{Place, Scope};
use quickdraw_domain::{GroupId, HookId, NodeId, ProjectId, Trigger};
use quickdraw_store::{Error, SharedStore, Wakes};
use serde_json::value::RawValue;
use tokio::sync::{Mutex, watch};

use crate::clock::Clock;
use crate::directory::{Index, places};
use crate::settings::Settings;
use crate::store_watch::{StoreStatus, StoreWatch};
use crate::telemetry;

/// The line in the log while nothing is delivered.
const SILENT_MODE_IS_ON: &str = "silent mode is on: events are stored, and no webhook is called";

/// The context that the journal, the dispatcher and insights share.
pub struct Context {
    pub(crate) store: SharedStore,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
    pub(crate) node: NodeId,
    pub(crate) wakes: Arc<Wakes>,
    pub(crate) store_watch: StoreWatch,

    /// The number of commits of events on this node.
    commits: watch::Sender<u64>,
    index: ArcSwap<Index>,
    refreshing: Mutex<()>,
}

impl Context {
    pub(crate) async fn new(
        store: SharedStore,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> anyhow::Result<Arc<Self>> {
        let node = NodeId(clock.uuid());
        store.prepare_partitions(clock.now()).await?;

        let directory = store.directory().await?;
        let mut index = Index::new(&directory, &Index::default());
        index.silence.always = settings.silent;
        show_silence(&index);
        if index.silence().is_on() {
            tracing::warn!("{}", SILENT_MODE_IS_ON);
        }

        Ok(Arc::new(Self {
            store,
            clock,
            settings,
            node,
            wakes: Arc::default(),
            store_watch: StoreWatch::default(),
            commits: watch::Sender::new(0),
            index: ArcSwap::from_pointee(index),
            refreshing: Mutex::default(),
        }))
    }

    /// The store, for reading.
    #[must_use]
    pub fn store(&self) -> &SharedStore {
        &self.store
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// The operator's choices.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Labels that make an issue an incident, beside `incident`.
    #[must_use]
    pub fn incident_labels(&self) -> Arc<[String]> {
        Arc::clone(&self.settings.incident_labels)
    }

    /// The identity of this process among the nodes of a database.
    #[must_use]
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// The instance that bodies are composed for.
    #[must_use]
    pub fn instance(&self) -> Instance<'_> {
        Instance {
            base_url: &self.settings.instance,
            upload_links: self.settings.upload_links,
        }
    }

    /// An event that happens now on this instance, without earlier values of attributes.
    #[must_use]
    pub fn happened<'a>(
        &'a self,
        scene: Scene<'a>,
        trigger: Trigger,
        user: &'a User,
        object: &'a RawValue,
    ) -> Happened<'a> {
        Happened {
            trigger,
            scene,
            user,
            object,
            previous: None,
            instance: self.instance(),
            at: self.clock.now(),
        }
    }
}

/// Commits of events.
impl Context {
    /// Changes with every commit of events on this node: a reason to read the journal before the next tick.
    #[must_use]
    pub fn commits_of_events(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }

    /// Announces a commit of events.
    pub(crate) fn announce_commit(&self) {
        self.commits.send_modify(|commits| *commits += 1);
    }
}

/// The directory of hooks, projects and groups. All questions but the refresh are answered from memory.
impl Context {
    /// The directory as last read, for short use.
    pub(crate) fn index(&self) -> arc_swap::Guard<Arc<Index>> {
        self.index.load()
    }

    /// The directory as last read.
    #[must_use]
    pub fn directory(&self) -> Arc<Index> {
        self.index.load_full()
    }

    /// Whether some hook subscribes to such an event. A caller need not build a body that no hook gets.
    #[must_use]
    pub fn is_subscribed(&self, place: Place, trigger: Trigger) -> bool {
        self.index().is_subscribed(place, trigger)
    }

    /// States of the expressions of all hooks of a scope but one.
    #[must_use]
    pub fn states_beside(&self, scope: Scope, hook: Option<HookId>) -> usize {
        places::states_beside(&self.index(), scope, hook)
    }

    /// Whether a place belongs to a scope.
    #[must_use]
    pub fn is_in(&self, place: Place, scope: Scope) -> bool {
        self.index().is_in(place, scope)
    }

    /// Whether silent mode is on: nothing is delivered.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.index().silence().is_on()
    }

    /// Whether the project is known. `false` may only mean that it is new.
    #[must_use]
    pub fn knows_project(&self, id: ProjectId) -> bool {
        self.index().has_project(id)
    }

    /// Whether the group is known. `false` may only mean that it is new.
    #[must_use]
    pub fn knows_group(&self, id: GroupId) -> bool {
        self.index().has_group(id)
    }

    /// The projects of a group and of all groups below it, the newest first.
    #[must_use]
    pub fn projects_in(&self, group: GroupId) -> Vec<ProjectId> {
        self.index().projects_in(group)
    }

    /// The group with this path.
    #[must_use]
    pub fn group_at(&self, path: &str) -> Option<GroupId> {
        self.index().group_at(path)
    }

    /// Reads the directory again if it has changed. A handler that changes hooks calls this before it answers, so that
    /// the next event on this node is decided with the change.
    ///
    /// # Errors
    /// When the store cannot be read. The old directory stays, and fan-out refuses to work with it.
    pub async fn refresh_directory(&self) -> anyhow::Result<()> {
        let _one_at_a_time = self.refreshing.lock().await;
        if self.store.directory_version().await? == self.index().version() {
            return Ok(());
        }

        let directory = self.store.directory().await?;
        let mut index = Index::new(&directory, &self.index());
        index.silence.always = self.settings.silent;
        let (was_silent, is_silent) = (self.index().silence().is_on(), index.silence().is_on());
        let was_paused = !self.index().paused().is_empty();
        show_silence(&index);
        self.index.store(Arc::new(index));

        match (was_silent, is_silent) {
            (false, true) => tracing::warn!("{}", SILENT_MODE_IS_ON),
            (true, false) => tracing::info!("silent mode is off: webhooks are called again"),
            _ => {}
        }

        // Deliveries that were held back may go out now.
        if was_paused || was_silent {
            self.wakes.deliver.notify_one();
        }

        Ok(())
    }
}

/// Sets the metric of silent mode. The metric follows the directory, so it changes together with the deliveries.
fn show_silence(index: &Index) {
    let is_silent = u8::from(index.silence().is_on());
    metrics::gauge!(telemetry::SILENT_MODE).set(f64::from(is_silent));
}

/// Waiting for the store.
impl Context {
    /// The state of the store at the last heartbeat.
    #[must_use]
    pub fn store_status(&self) -> StoreStatus {
        self.store_watch.status()
    }

    /// Waits for the store, but no longer than a request may wait. The store may carry out the work all the same.
    ///
    /// # Errors
    /// Those of the store, and `Unavailable` when it does not answer in time.
    pub async fn in_time<T, E: From<Error>>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let within = self.settings.answer_within;
        let late = |_| {
            let text = format!("it did not answer within {} ms", within.as_millis());
            Err(E::from(Error::unavailable(text)))
        };

        tokio::time::timeout(within, work).await.unwrap_or_else(late)
    }

    /// Ends when a request has waited long enough and the store is known not to answer. While the store answers, a long
    /// query takes as long as it takes.
    pub async fn gives_up(&self) {
        loop {
            tokio::time::sleep(self.settings.answer_within).await;
            if self.store_status().failing_since.is_some() {
                return;
            }
        }
    }
}
