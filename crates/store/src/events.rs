//! The journal: events are appended, fanned out, read, and one day pruned.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use quickdraw_domain::audience::SkipReason;
use quickdraw_domain::event::{DedupeKey, Event};
use quickdraw_domain::recursion::Chain;
use quickdraw_domain::{EventId, HookId, ProjectId, Timestamp, Trigger};
use uuid::Uuid;

use crate::column_list::column_list;
use crate::error::Result;
use crate::lists::Scanned;
use crate::payload::Packed;

column_list! {
    /// Columns of `events`, as `e`, but for the body.
    EVENT: EventColumns, "e.",
    [
        id, place_kind, place_id, trigger_code, origin_kind, origin_id, received_at, chain, git_ref, object, sent_as,
        instance, duplicate_of, filtered,
    ]
}
column_list! {
    /// The body, which follows [`EVENT`] where it is read at all.
    BODY: BodyColumns after EVENT.filtered, "e.", [payload]
}

/// [`EVENT`] in the text of a statement.
pub(crate) const EVENT_COLUMNS: &str = EVENT.sql;
/// [`BODY`] in the text of a statement.
pub(crate) const BODY_COLUMN: &str = BODY.sql;

/// An event to be journaled.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// The event without its body.
    pub event: Event,

    /// Its bytes.
    pub payload: Packed,

    /// The key that recognises a second copy, if the sender gave one.
    pub dedupe: Option<DedupeKey>,

    /// The hooks that get it, by the directory in memory. `None`: fan-out decides later.
    pub decided: Option<Decided>,

    /// Whether it is to be queued for projection.
    pub counts: bool,
}

/// A fan-out ahead of its time: it is written with the event, in one transaction, if the directory has not changed
/// since it was looked at. Otherwise the event is queued, and the fan-out worker decides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decided {
    /// When it holds.
    pub holds: Holds,

    /// The decision.
    pub audience: FannedOut,

    /// Hooks of `audience.deliver` whose delivery this node begins at once: it is made under a lease.
    pub taken: Vec<HookId>,

    /// When those leases lapse.
    pub lease_until: Timestamp,

    /// When it was decided: deliveries are due from then on, whatever the event's own time says.
    pub now: Timestamp,
}

/// When a decision holds that was made ahead of its event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holds {
    /// While the directory has the version that was looked at.
    AtVersion(i64),

    /// Always. A test goes to one hook and no other, so the directory does not matter.
    Always,
}

impl Holds {
    /// Whether the decision holds at a version of the directory.
    pub(crate) fn at(self, directory: i64) -> bool {
        match self {
            Self::AtVersion(version) => version == directory,
            Self::Always => true,
        }
    }

    /// The number that a statement compares with the version of the directory, which is positive: -1 always holds.
    pub(crate) const fn version(self) -> i64 {
        match self {
            Self::AtVersion(version) => version,
            Self::Always => -1,
        }
    }
}

/// The result of appending an event.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Appended {
    /// It is in the journal.
    New {
        /// Under this id.
        id: EventId,
        /// `Some` when the decision stood: what was taken is leased under this number.
        fence: Option<i64>,
    },

    /// Its key was there already, with this event.
    Duplicate(EventId),
}

impl Appended {
    /// The event that stands for it.
    #[must_use]
    pub const fn id(self) -> EventId {
        match self {
            Self::New { id, .. } | Self::Duplicate(id) => id,
        }
    }
}

/// The hooks that get an event.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FannedOut {
    /// Hooks that are owed a delivery.
    pub deliver: Vec<HookId>,

    /// Those of them that want their events in order: the delivery goes to the end of its ordering queue.
    pub in_order: Vec<HookId>,

    /// Hooks that asked for it and do not get it.
    pub skip: Vec<(HookId, SkipReason)>,
}

/// Decides who gets an event, given what fired before in its chain, and adds to that. It runs inside the transaction,
/// so it must be a look into memory and nothing else. `None` leaves the event waiting: filters have to be asked first.
pub type Decide = Arc<dyn Fn(&Event, &mut Chain) -> Option<FannedOut> + Send + Sync>;

/// Hooks that fired in each of several chains.
pub type Chains = HashMap<Uuid, Chain>;

/// Puts together what fired in chains, from rows of chain, hook and time.
pub(crate) fn chains_of(
    asked: &[Uuid],
    rows: impl IntoIterator<Item = (Uuid, HookId, Timestamp)>,
    now: Timestamp,
) -> Chains {
    let mut fired: HashMap<Uuid, Vec<(HookId, Timestamp)>> = asked.iter().map(|chain| (*chain, Vec::new())).collect();
    for (chain, hook, at) in rows {
        fired.entry(chain).or_default().push((hook, at));
    }

    fired
        .into_iter()
        .map(|(chain, fired)| (chain, Chain::new(fired, now)))
        .collect()
}

/// The result of a fan-out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FanOutCount {
    /// Events that were decided about.
    pub events: usize,

    /// Deliveries that were made.
    pub deliveries: usize,

    /// The directory is newer than the one that decided; nothing was done.
    pub outdated: bool,

    /// Events that `decide` left waiting.
    pub unjudged: Vec<Event>,
}

/// A filter for events, which are listed newest first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EventFilter {
    /// Only of this project.
    pub project: Option<ProjectId>,

    /// Only of this kind.
    pub trigger: Option<Trigger>,

    /// Only older than this one: the cursor.
    pub before: Option<EventId>,

    /// Maximum number of rows.
    pub limit: usize,
}

/// The journal.
#[async_trait]
pub trait Events {
    /// Appends a batch in one transaction; returns when it is flushed. The answers stand in the order of the batch.
    async fn append_events(&self, batch: Vec<NewEvent>) -> Result<Vec<Appended>>;

    /// The event that has a key, if any has: what is appended with this key is a duplicate of it.
    async fn find_key(&self, key: DedupeKey) -> Result<Option<EventId>>;

    /// Takes up to `limit` events that wait for their fan-out, asks `decide` about each, and writes deliveries, skip
    /// reasons and marks in the same transaction. `version` is the directory that `decide` looks into: when the stored
    /// one is newer, nothing is done and the count says so, because a hook that was made before an event must get it.
    async fn fan_out(&self, limit: usize, now: Timestamp, version: i64, decide: Decide) -> Result<FanOutCount>;

    /// Hooks that fired in these chains, as far as they are remembered at a time. Every chain of the question is in the
    /// answer.
    async fn chains(&self, chains: Vec<Uuid>, now: Timestamp) -> Result<Chains>;

    /// Forgets what fired in chains before a point; at most `limit` rows. Returns how many went.
    async fn forget_chains(&self, before: Timestamp, limit: usize) -> Result<usize>;

    /// One event with its body.
    async fn find_event(&self, id: EventId) -> Result<Option<(Event, Packed)>>;

    /// These events without their bodies, in any order; those that are not there any more are left out.
    async fn events_by_id(&self, ids: Vec<EventId>) -> Result<Vec<Event>>;

    /// Events without their bodies.
    async fn list_events(&self, filter: EventFilter) -> Result<Scanned<Event, EventId>>;

    /// Hooks that asked for an event and did not get it.
    async fn list_skips(&self, event: EventId) -> Result<Vec<(HookId, SkipReason)>>;

    /// Deletes events, with deliveries, attempts and keys, that were received before a point; at most about `limit`
    /// rows of a kind. Owed deliveries keep their event. Returns how many rows went.
    async fn prune(&self, before: Timestamp, limit: usize) -> Result<usize>;
}
