//! Deliveries: claimed under a lease, attempted elsewhere, settled under its fence.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use quickdraw_domain::audience::SkipReason;
use quickdraw_domain::delivery::{self, Stage, State, Tally};
use quickdraw_domain::event::Event;
use quickdraw_domain::health::Health;
use quickdraw_domain::outcome::Outcome;
use quickdraw_domain::phases::Phases;
use quickdraw_domain::retry::{Chance, RetryPolicy};
use quickdraw_domain::settle::{Attempted, Occasion, Policies};
use quickdraw_domain::{DeliveryId, EventId, HookId, NodeId, ObjectKey, Timestamp};

use crate::column_list::column_list;
use crate::error::Result;
use crate::events::BODY;
use crate::lists::Scanned;
use crate::payload::Packed;

column_list! {
    /// Columns of `deliveries` that history shows.
    DELIVERY: DeliveryColumns, "",
    [id, event_id, hook_id, state, due_at, attempts, unknown, created_at, finished_at]
}
column_list! {
    /// Columns of a delivery `l` that was just leased, which follow those of its event and the body.
    LEASED: LeasedColumns after BODY.payload, "l.", [id, hook_id, attempts, unknown, fence, object]
}

/// [`DELIVERY`] in the text of a statement.
pub(crate) const DELIVERY_COLUMNS: &str = DELIVERY.sql;

/// The limits of a claim.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The node that claims.
    pub node: NodeId,

    /// Deliveries that are due by then are claimed.
    pub now: Timestamp,

    /// When the lease lapses.
    pub lease_until: Timestamp,

    /// Maximum number of first attempts to take.
    pub first: usize,

    /// Maximum number of retries to take.
    pub retries: usize,

    /// Maximum number of deliveries for one hook that has none in flight on this node.
    pub per_hook: usize,

    /// Hooks with less room left than that: 0 for paused ones.
    pub hook_limits: HashMap<HookId, usize>,
}

/// A delivery under our lease, with all that its attempt needs but the hook.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Which.
    pub delivery: DeliveryId,

    /// For whom.
    pub hook: HookId,

    /// Its attempts so far.
    pub tally: Tally,

    /// Number of the lease; a settle with another one is refused.
    pub fence: i64,

    /// When the lease lapses.
    pub lease_until: Timestamp,

    /// The event.
    pub event: Event,

    /// Its body.
    pub payload: Packed,

    /// Its ordering queue, if its hook wanted events in order when it was made.
    pub queue: Option<OrderingQueue>,
}

/// An ordering queue: deliveries of one hook about one object. One of them is attempted, and the others are blocked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct OrderingQueue {
    /// For whom.
    pub hook: HookId,

    /// About what.
    pub object: ObjectKey,
}

/// The record of an attempt. The request is not recorded: it follows from event, hook and attempt.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Record {
    /// When it began.
    pub started_at: Timestamp,

    /// How long it took, in microseconds.
    pub duration_micros: i64,

    /// The address that was called.
    pub address: Option<String>,

    /// Where the time went, if it was called at all.
    pub phases: Option<Phases>,

    /// The version of the hook's settings that the request was made of: see [`crate::hooks::Hooks::past_hook`].
    pub hook_version: Option<Timestamp>,

    /// Why there was no answer, in words without secrets.
    pub error: Option<String>,

    /// Headers of the answer, one a line, cut to what history keeps.
    pub response_headers: Option<String>,

    /// Body of the answer, cut to what history keeps.
    pub response_body: Option<Vec<u8>>,
}

/// A finished attempt.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Which delivery.
    pub delivery: DeliveryId,

    /// Whose.
    pub hook: HookId,

    /// Whether the hook is a system hook, whose health never changes.
    pub is_system: bool,

    /// The lease it was made under.
    pub fence: i64,

    /// The attempts of the delivery before this one.
    pub tally: Tally,

    /// The verdict.
    pub outcome: Outcome,

    /// The reason for the attempt.
    pub occasion: Occasion,

    /// For the jitter of a retry.
    pub chance: Chance,

    /// The hook's own retry policy.
    pub retry: Option<Arc<RetryPolicy>>,

    /// The record of it.
    pub record: Record,
}

impl Finished {
    /// The attempt, as [`quickdraw_domain::settle::settle`] takes it.
    pub(crate) const fn attempted(&self) -> Attempted {
        Attempted {
            tally: self.tally,
            is_system: self.is_system,
            outcome: self.outcome,
            occasion: self.occasion,
            chance: self.chance,
        }
    }

    /// The policies that apply to it: the usual ones, with the hook's own retries.
    pub(crate) fn policies<'a>(&self, usual: &'a Policies) -> Cow<'a, Policies> {
        match &self.retry {
            Some(own) => Cow::Owned(Policies {
                retry: own.as_ref().clone(),
                disable: usual.disable,
            }),
            None => Cow::Borrowed(usual),
        }
    }
}

/// The result of a finished attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settlement {
    /// Which delivery.
    pub delivery: DeliveryId,

    /// Whose.
    pub hook: HookId,

    /// Where it stands. `None`: the lease was lost meanwhile and nothing was written.
    pub state: Option<State>,

    /// The health of the hook now.
    pub health: Health,
}

/// A delivery as history shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// Which.
    pub id: DeliveryId,

    /// Of what.
    pub event: EventId,

    /// For whom.
    pub hook: HookId,

    /// Where it stands.
    pub state: State,

    /// Its attempts.
    pub tally: Tally,

    /// When it was made.
    pub created_at: Timestamp,

    /// When it reached a final state.
    pub finished_at: Option<Timestamp>,
}

/// Deliveries that are no longer held for a disabled hook.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held {
    /// Deliveries that have been due since before this time.
    pub older_than: Timestamp,

    /// All but so many of the newest.
    pub most: i64,

    /// Why.
    pub reason: SkipReason,
}

/// A filter for deliveries, which are listed newest first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DeliveryFilter {
    /// Only of this event.
    pub event: Option<EventId>,

    /// Only for this hook.
    pub hook: Option<HookId>,

    /// Only in this state.
    pub state: Option<Stage>,

    /// Only older than this one: the cursor.
    pub before: Option<DeliveryId>,

    /// Maximum number of rows.
    pub limit: usize,
}

/// Work that waits for the workers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Backlog {
    /// Deliveries that have not ended, up to a bound that keeps counting cheap.
    pub deliveries: i64,

    /// Due time of the delivery that has been due longest.
    pub oldest_due_at: Option<Timestamp>,

    /// Events that wait for their fan-out, up to the same bound.
    pub fan_out: i64,

    /// Events that wait for their projection, up to the same bound.
    pub projection: i64,

    /// The event that has waited longest for its fan-out.
    pub oldest_fan_out: Option<EventId>,

    /// The event that has waited longest for its projection.
    pub oldest_projection: Option<EventId>,
}

/// Deliveries: what can be done with them.
#[async_trait]
pub trait Deliveries {
    /// Takes due deliveries under a lease. The intent is on disk when this returns.
    async fn claim_deliveries(&self, claim: Claim) -> Result<Vec<Claimed>>;

    /// Records attempts and settles their deliveries and hooks in one transaction, by [`quickdraw_domain::settle`].
    async fn finish_attempts(
        &self,
        batch: Vec<Finished>,
        now: Timestamp,
        policies: Arc<Policies>,
    ) -> Result<Vec<Settlement>>;

    /// Advances ordering queues: the oldest blocked delivery of each is due now, unless another delivery of the queue
    /// is attempted or retried. It stays blocked while an older event of any kind waits for its fan-out, because that
    /// event may belong in the queue too.
    async fn advance(&self, queues: Vec<OrderingQueue>, now: Timestamp) -> Result<()>;

    /// Looks at so many ordering queues after this one. Returns those in which every delivery is blocked, and the last
    /// queue that was looked at, if there may be more.
    async fn blocked_queues_after(
        &self,
        after: Option<OrderingQueue>,
        number: usize,
    ) -> Result<(Vec<OrderingQueue>, Option<OrderingQueue>)>;

    /// Leases one delivery in any state for a manual attempt. `None` when it is not
    /// there, or somebody holds it.
    async fn lease_delivery(&self, id: DeliveryId, lease_until: Timestamp) -> Result<Option<Claimed>>;

    /// Gives back deliveries of this node that were claimed and never begun: nothing is recorded of them.
    async fn release_leases(&self, node: NodeId, deliveries: Vec<(DeliveryId, i64)>) -> Result<()>;

    /// Takes lapsed leases away: each is recorded as an attempt of unknown outcome and due again. Returns how many.
    async fn expire_leases(&self, now: Timestamp, policies: Arc<Policies>) -> Result<usize>;

    /// Cancels what deleted hooks were owed, at most `limit`. Returns how many.
    async fn cancel_orphans(&self, now: Timestamp, limit: usize) -> Result<usize>;

    /// Gives up what a hook is owed and nobody has begun: what has been due since before `older_than`, and of the rest
    /// all but the newest `most`; at most about `limit`. Each is a skip with this reason. Returns how many.
    async fn drop_held(&self, hook: HookId, held: Held, now: Timestamp, limit: usize) -> Result<usize>;

    /// One delivery.
    async fn find_delivery(&self, id: DeliveryId) -> Result<Option<Delivery>>;

    /// Deliveries by filter.
    async fn list_deliveries(&self, filter: DeliveryFilter) -> Result<Scanned<Delivery, DeliveryId>>;

    /// How much is owed.
    async fn backlog(&self) -> Result<Backlog>;
}

/// The text that history shows for an attempt without a recorded outcome.
pub(crate) const UNKNOWN: &str = "we stopped before the result was recorded; the receiver may have got it";

/// The smallest and largest delivery ids that fan-out can have given to an event: they share its 48 bits of time.
pub(crate) fn id_range(event: EventId) -> (DeliveryId, DeliveryId) {
    let (mut low, mut high) = ([0; 16], [0xff; 16]);
    low[..6].copy_from_slice(&event.0.as_bytes()[..6]);
    high[..6].copy_from_slice(&event.0.as_bytes()[..6]);

    (
        DeliveryId(uuid::Uuid::from_bytes(low)),
        DeliveryId(uuid::Uuid::from_bytes(high)),
    )
}

/// The due time of a blocked delivery. Queues are in the order of their events' ids, and the id of a delivery begins
/// with the time of its event.
pub(crate) fn blocked_at(delivery: DeliveryId) -> i64 {
    let milliseconds = delivery.0.as_u64_pair().0 >> 16;
    delivery::BLOCKED + i64::try_from(milliseconds).unwrap_or(0) * 1000
}
