//! What all steps share: the store, the way out, the clock, the directory, and who is woken for what.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use quickdraw_domain::NodeId;
use quickdraw_domain::Trigger;
use quickdraw_domain::compose::UploadLinks;
use quickdraw_domain::guard;
use quickdraw_domain::hook::BranchFilter;
use quickdraw_domain::scope::{Place, Scope};
use quickdraw_domain::settle::Policies;
use quickdraw_store::{SharedStore, Wakes};
use tokio::sync::{Semaphore, watch};

use crate::clock::Clock;
use crate::delivery::attempt::Redactors;
use crate::delivery::limits::Rates;
use crate::delivery::permits::SlotLimits;
use crate::delivery::scheduler::Flow;
use crate::delivery::transport::Transport;
use crate::directory::Index;
use crate::insights::last_events::LastEvents;
use crate::insights::prometheus::Current;
use crate::insights::rebuild::Rebuilds;
use crate::journal::ingest::Ingest;
use crate::journal::judge::Turns;
use crate::journal::relay::Relay;
use crate::store_watch::StoreWatch;

/// Bodies that may be in memory for attempts at once, in KiB: usual ones, and large ones. They have separate room, so that the delivery
/// of a usual body never waits for a receiver of a large one.
const BODIES_KIB: usize = 64 << 10;
const LARGE_BODIES_KIB: usize = 192 << 10;

/// What becomes of events while their hook is disabled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WhileDisabled {
    /// They wait, within a budget, and are delivered when it is well again.
    Hold {
        /// For at most so long.
        longest: Duration,
        /// At most so many for one hook.
        most: u32,
    },
    /// They are dropped, as GitLab does.
    Drop,
}

/// The operator's choices for the belt.
#[derive(Clone, Debug)]
pub struct Settings {
    /// When to retry, when to disable.
    pub policies: Arc<Policies>,
    /// The rules for destinations.
    pub guard: Arc<guard::Settings>,
    /// How many attempts at once.
    pub slots: SlotLimits,
    /// The longest that an attempt takes.
    pub deadline: Duration,
    /// The longest that somebody who waits for an answer waits for the store.
    pub answer_within: Duration,
    /// How long a claimed delivery is ours. Longer than the deadline, or healthy work would be repeated.
    pub lease: Duration,
    /// `X-Gitlab-Instance` of what we send: our own base URL.
    pub instance: String,
    /// Where links to uploaded files lead in bodies that are composed.
    pub upload_links: UploadLinks,
    /// How long history is kept.
    pub retention: Duration,
    /// What becomes of events while their hook is disabled.
    pub while_disabled: WhileDisabled,
    /// Deliveries a minute of project and group hooks under one top-level group; 0 for no limit.
    pub per_minute: u32,
    /// Branches, tags and, as `!12`, merge requests whose last pipelines are shown beside those of default branches.
    pub shown_refs: Vec<BranchFilter>,
    /// Labels that make an issue an incident, beside `incident`.
    pub incident_labels: Arc<[String]>,
}

/// The belt. Cheap to share; everything behind it is.
pub struct Belt {
    pub(crate) store: SharedStore,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
    pub(crate) node: NodeId,
    pub(crate) wakes: Arc<Wakes>,
    pub(crate) ingest: Ingest,
    pub(crate) flow: Flow,
    pub(crate) rates: Arc<Rates>,
    pub(crate) turns: Turns,
    pub(crate) redactors: Redactors,
    pub(crate) relay: Relay,
    pub(crate) last_events: LastEvents,
    pub(crate) rebuilds: Rebuilds,
    pub(crate) current: Current,
    /// Before when facts of projects are gone, as far as this node deleted them.
    pub(crate) forgotten: std::sync::Mutex<std::collections::HashMap<i64, i64>>,
    /// Whether it is written down by which definitions this node counts.
    pub(crate) definitions_noted: tokio::sync::OnceCell<()>,
    /// Held from facts to marks.
    pub(crate) projecting: tokio::sync::Mutex<()>,
    /// Goes up with every commit of events on this node.
    pub(crate) news: watch::Sender<u64>,
    pub(crate) store_watch: StoreWatch,
    /// Room for usual bodies of attempts under way, in KiB.
    pub(crate) bodies: Semaphore,
    /// Room for large ones.
    pub(crate) large_bodies: Semaphore,
    index: ArcSwap<Index>,
    refreshing: tokio::sync::Mutex<()>,
}

impl Belt {
    /// Labels that make an issue an incident, beside `incident`.
    #[must_use]
    pub fn incident_labels(&self) -> Arc<[String]> {
        self.settings.incident_labels.clone()
    }

    /// Puts a belt together; [`crate::Lifecycle`] sets it in motion.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub async fn new(
        store: SharedStore,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> anyhow::Result<Arc<Self>> {
        let node = NodeId(clock.uuid());
        store.prepare_partitions(clock.now()).await?;
        let directory = store.directory().await?;
        Ok(Arc::new(Self {
            flow: Flow::new(settings.slots, settings.deadline),
            rates: Arc::new(Rates::new(settings.per_minute)),
            turns: Turns::default(),
            redactors: Redactors::default(),
            relay: Relay::default(),
            last_events: LastEvents::default(),
            rebuilds: Rebuilds::default(),
            definitions_noted: tokio::sync::OnceCell::new(),
            current: Current::default(),
            forgotten: std::sync::Mutex::default(),
            projecting: tokio::sync::Mutex::default(),
            bodies: Semaphore::new(BODIES_KIB),
            large_bodies: Semaphore::new(LARGE_BODIES_KIB),
            news: watch::Sender::new(0),
            store_watch: StoreWatch::default(),
            store,
            transport,
            clock,
            settings,
            node,
            wakes: Arc::default(),
            ingest: Ingest::default(),
            index: ArcSwap::from_pointee(Index::new(&directory, &Index::default())),
            refreshing: tokio::sync::Mutex::new(()),
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

    /// The directory as last read.
    pub(crate) fn index(&self) -> arc_swap::Guard<Arc<Index>> {
        self.index.load()
    }

    /// Whether some hook hears such an event: is it worth building a body? Answered from memory.
    #[must_use]
    pub fn is_heard(&self, place: Place, trigger: Trigger) -> bool {
        self.index().is_heard(place, trigger)
    }

    /// States of the expressions of all hooks of a scope but one. Answered from memory.
    #[must_use]
    pub fn states_beside(&self, scope: Scope, hook: Option<quickdraw_domain::HookId>) -> usize {
        self.index().states_beside(scope, hook)
    }

    /// Changes with every commit of events on this node: a reason to look into the journal before the next tick.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Whether what happens in a place happens in a scope. Answered from memory.
    #[must_use]
    pub fn is_in(&self, place: Place, scope: Scope) -> bool {
        self.index().is_in(place, scope)
    }

    /// Whether there is such a project. Answered from memory; `false` may only mean that it is new.
    #[must_use]
    pub fn knows_project(&self, id: quickdraw_domain::ProjectId) -> bool {
        self.index().has_project(id)
    }

    /// The same of a group.
    #[must_use]
    pub fn knows_group(&self, id: quickdraw_domain::GroupId) -> bool {
        self.index().has_group(id)
    }

    /// The projects of a group and of all groups below it, the newest first. Answered from memory.
    #[must_use]
    pub fn projects_in(&self, group: quickdraw_domain::GroupId) -> Vec<quickdraw_domain::ProjectId> {
        self.index().projects_in(group)
    }

    /// Reads the directory again if it has changed. Whoever changes hooks calls this before answering, so that the next
    /// event on this node hears of the change from memory.
    ///
    /// # Errors
    /// When the store cannot be read; the old directory stays, and fan-out refuses to work with it.
    pub async fn refresh_directory(&self) -> anyhow::Result<()> {
        let _one_at_a_time = self.refreshing.lock().await;
        if self.store.directory_version().await? != self.index().version() {
            let directory = self.store.directory().await?;
            let index = Index::new(&directory, &self.index());
            self.index.store(Arc::new(index));
        }
        Ok(())
    }
}
