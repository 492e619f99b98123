//! Replays: jobs that make deliveries that are over due again. They go through the deliveries in the order of their ids
//! and remember how far they came, so a restart or another node goes on where the last step ended.

use async_trait::async_trait;
use quickdraw_domain::audience::SkipReason;
use quickdraw_domain::delivery::State;
use quickdraw_domain::event::Event;
use quickdraw_domain::replay::{Filter, Progress};
use quickdraw_domain::scope::Scope;
use quickdraw_domain::{DeliveryId, HookId, Timestamp};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::events::FannedOut;
use crate::payload::Packed;

/// A replay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replay {
    /// Its number.
    pub id: i64,

    /// The login of the user who created it.
    pub created_by: String,

    /// When.
    pub created_at: Timestamp,

    /// The project or group to whose events and hooks it is bound. Only users who may manage the hooks of this scope
    /// see the replay; of the instance, only administrators.
    pub scope: Scope,

    /// The deliveries that it chooses.
    pub filter: Filter,

    /// Maximum number of deliveries a second.
    pub rate: i64,

    /// How it stands.
    pub progress: Progress,

    /// The last delivery that it looked at.
    pub cursor: DeliveryId,

    /// When it last made some due.
    pub advanced_at: Timestamp,

    /// How many it has looked at.
    pub scanned: i64,

    /// How many it has rescheduled.
    pub replayed: i64,

    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// A replay to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewReplay {
    /// The project or group to whose events and hooks it is bound.
    pub scope: Scope,

    /// The deliveries that it chooses.
    pub filter: Filter,

    /// Maximum number of deliveries a second.
    pub rate: i64,

    /// The login of the user who creates it.
    pub created_by: String,
}

/// A filter for replays, which are listed newest first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplayFilter {
    /// Only replays of this scope, and of the groups and projects in it.
    pub within: Scope,

    /// Also replays of administrators that name the scope, or one in it.
    pub of_admins: bool,

    /// Only older than this replay: the cursor.
    pub before: Option<i64>,

    /// Only replays with this progress.
    pub progress: Option<Progress>,

    /// Only replays that were created at this time or later.
    pub since: Option<Timestamp>,

    /// Only replays that were created before this time.
    pub until: Option<Timestamp>,

    /// Maximum number of rows.
    pub limit: usize,
}

/// A delivery that a replay looks at.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Which.
    pub delivery: DeliveryId,

    /// For whom.
    pub hook: HookId,

    /// Where it stands.
    pub state: State,

    /// The status of the answer to its last attempt.
    pub status: Option<u16>,

    /// Of what.
    pub event: Event,

    /// Its body, if it was asked for.
    pub payload: Option<Packed>,
}

/// Where to look for candidates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Look {
    /// Behind this one, in the order of ids.
    pub after: DeliveryId,

    /// Of events that delivered since then.
    pub from: Timestamp,

    /// Of events that delivered before then.
    pub to: Timestamp,

    /// With their bodies.
    pub bodies: bool,

    /// Maximum number of rows.
    pub limit: usize,
}

/// An event that a hook did not get, as a replay looks at it.
#[derive(Clone, Debug)]
pub struct Skipped {
    /// The event.
    pub event: Event,

    /// The hook.
    pub hook: HookId,
}

/// Deliveries to be made for an event that hooks did not get.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Later {
    /// The event.
    pub event: Event,

    /// The hooks that get it now.
    pub audience: FannedOut,
}

/// A step of a replay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// Which replay.
    pub replay: i64,

    /// Where it stood. If it stands elsewhere by now, another node was faster, and nothing is done.
    pub from: DeliveryId,

    /// Where it stands then.
    pub to: DeliveryId,

    /// How many were looked at.
    pub scanned: usize,

    /// The deliveries to reschedule.
    pub selected: Vec<DeliveryId>,

    /// The deliveries to make.
    pub made: Vec<Later>,

    /// Whether it has come to its end.
    pub finished: bool,
}

/// Since a replay began, what became of the deliveries of its time and hook that it has come past.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Results {
    /// Delivered since.
    pub delivered: i64,

    /// Given up since.
    pub given_up: i64,

    /// Owed now.
    pub pending: i64,
}

/// Replays: what can be done with them.
#[async_trait]
pub trait Replays {
    /// Makes a replay, running.
    async fn create_replay(&self, new: NewReplay, now: Timestamp) -> Result<Replay>;

    /// One replay.
    async fn find_replay(&self, id: i64) -> Result<Option<Replay>>;

    /// Counts what became of the deliveries that a replay has come past.
    async fn replay_results(&self, replay: Replay) -> Result<Results>;

    /// Replays by filter.
    async fn list_replays(&self, filter: ReplayFilter) -> Result<Vec<Replay>>;

    /// Pauses, goes on with or cancels one that has not ended. `None` if it has, or is not there.
    async fn set_progress(&self, id: i64, progress: Progress, now: Timestamp) -> Result<Option<Replay>>;

    /// Deliveries in the order of their ids.
    async fn candidates(&self, look: Look) -> Result<Vec<Candidate>>;

    /// Events that hooks did not get for a reason, in the order of the events' ids, with all those hooks of each event
    /// and without bodies. The place to look after is the id of an event, and the limit counts events.
    async fn skipped(&self, look: Look, reason: SkipReason) -> Result<Vec<Skipped>>;

    /// Reschedules the selected deliveries that are neither running nor pending, makes the deliveries of skipped events
    /// and removes their skip reasons, and stores the progress of the replay, in one transaction. Earlier attempts do
    /// not count against the promised attempts. Returns the number of rescheduled and new deliveries.
    async fn advance_replay(&self, step: Step, now: Timestamp) -> Result<usize>;
}

/// The columns of a replay, in the order in which both engines read them.
pub(crate) const COLUMNS: &str = "id, created_by, created_at, project_id, group_id, filter, rate, progress, cursor,
    advanced_at, scanned, replayed, finished_at";

/// The last id of a delivery that a replay has come past. A replay of skipped events stands at an event, and the ids of
/// its deliveries share only the first 48 bits with it.
pub(crate) fn last_delivery(replay: &Replay) -> Uuid {
    let at = replay.cursor.0;
    if replay.filter.skipped.is_none() || at.is_nil() {
        return at;
    }

    Uuid::from_u128(at.as_u128() | ((1 << 80) - 1))
}

/// The condition that a delivery is among those that a filter names. `literal` writes an id as the engine reads it.
pub(crate) fn named(filter: &Filter, literal: impl Fn(&Uuid) -> String) -> String {
    if filter.deliveries.is_empty() {
        return String::new();
    }

    let ids: Vec<String> = filter.deliveries.iter().map(literal).collect();
    format!(" AND id IN ({})", ids.join(", "))
}

impl ReplayFilter {
    /// The condition on the scope, from the engine's two conditions.
    pub(crate) fn within(&self, is_within: &str, is_about: &str) -> String {
        if self.of_admins {
            format!("({is_within} OR {is_about})")
        } else {
            is_within.to_owned()
        }
    }

    /// The conditions on progress and time, for both engines.
    pub(crate) fn conditions(&self) -> String {
        let mut conditions = String::new();
        let mut add = |condition: Option<String>| conditions.extend(condition);

        add(self
            .progress
            .map(|progress| format!(" AND progress = {}", progress.code())));
        add(self
            .since
            .map(|since| format!(" AND created_at >= {}", since.as_micros())));
        add(self
            .until
            .map(|until| format!(" AND created_at < {}", until.as_micros())));
        conditions
    }
}

/// A filter as stored.
pub(crate) fn filter(text: &str) -> Result<Filter> {
    serde_json::from_str(text).map_err(|_| Error::Damaged("the filter of a replay"))
}

/// A filter as it is stored.
pub(crate) fn filter_text(filter: &Filter) -> Result<String> {
    serde_json::to_string(filter).map_err(|_| Error::Damaged("the filter of a replay"))
}
