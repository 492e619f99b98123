//! What happened: events, deliveries, attempts, and the audit log.

use std::collections::BTreeMap;

use quickdraw_domain::event::{self, Origin};
use quickdraw_domain::phases;
use quickdraw_domain::scope::Place;
use quickdraw_store::{attempts, audit, deliveries};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Iso, Shown};

/// An event of the journal.
#[derive(Serialize, ToSchema)]
pub struct Event {
    /// Its number, in the order of arrival.
    #[schema(format = Uuid)]
    pub id: String,
    /// What kind it is: `push_hooks`.
    pub trigger: &'static str,
    /// The project that it happened in.
    pub project_id: Option<i64>,
    /// The group that it happened in.
    pub group_id: Option<i64>,
    /// Where it came from: `api`, `test`, `backfill`, or `source 1`.
    pub origin: String,
    /// The branch or tag of a push.
    pub r#ref: Option<String>,
    /// When it arrived.
    pub received_at: Iso,
}

impl From<&event::Event> for Event {
    fn from(event: &event::Event) -> Self {
        let (project_id, group_id) = match event.place {
            Place::Project(id) => (Some(id.0), None),
            Place::Group(id) => (None, Some(id.0)),
            Place::Instance | Place::Elsewhere => (None, None),
        };
        let origin = match event.origin {
            Origin::Api => "api".to_owned(),
            Origin::Source(id) => format!("source {id}"),
            Origin::Test => "test".to_owned(),
            Origin::Backfill => "backfill".to_owned(),
        };
        Self {
            id: event.id.to_string(),
            trigger: event.trigger.row().name,
            project_id,
            group_id,
            origin,
            r#ref: event.git_ref.clone(),
            received_at: Iso(event.received_at),
        }
    }
}

/// A hook that an event was not delivered to.
#[derive(Serialize, ToSchema)]
pub struct Skipped {
    /// Which.
    pub hook_id: i64,
    /// Why not.
    pub reason: &'static str,
}

/// An event with its body and what became of it.
#[derive(Serialize, ToSchema)]
pub struct EventWithDeliveries {
    /// The event.
    #[serde(flatten)]
    pub event: Event,
    /// Its body: as JSON where it can be shown so, else as text.
    #[schema(value_type = serde_json::Value)]
    pub payload: Shown,
    /// Its deliveries.
    pub deliveries: Vec<Delivery>,
    /// Hooks that heard of its kind and still did not get it.
    pub skipped: Vec<Skipped>,
    /// Hooks that get it because the push does not list the commits that their filter asks for.
    pub unlisted: Vec<i64>,
}

/// An event on its way to a hook.
#[derive(Serialize, ToSchema)]
pub struct Delivery {
    /// The same on every attempt; its `Idempotency-Key`.
    #[schema(format = Uuid)]
    pub id: String,
    /// The event.
    #[schema(format = Uuid)]
    pub event_id: String,
    /// The hook.
    pub hook_id: i64,
    /// `pending`, `delivered`, …
    pub state: &'static str,
    /// Attempts made so far.
    pub attempts: u32,
    /// When the next one is made: not before its hook's pause ends. Null when none is owed, and while its hook is disabled until
    /// somebody re-enables it.
    pub next_attempt_at: Option<Iso>,
    /// When it was made.
    pub created_at: Iso,
    /// When it ended.
    pub finished_at: Option<Iso>,
}

impl From<&deliveries::Delivery> for Delivery {
    fn from(delivery: &deliveries::Delivery) -> Self {
        Self {
            id: delivery.id.to_string(),
            event_id: delivery.event.to_string(),
            hook_id: delivery.hook.0,
            state: delivery.state.word(),
            attempts: delivery.tally.attempts,
            next_attempt_at: delivery.state.due_at().map(Iso),
            created_at: Iso(delivery.created_at),
            finished_at: delivery.finished_at.map(Iso),
        }
    }
}

/// A delivery with its attempts.
#[derive(Serialize, ToSchema)]
pub struct DeliveryWithHistory {
    /// The delivery.
    #[serde(flatten)]
    pub delivery: Delivery,
    /// Its attempts, newest first.
    pub history: Vec<Attempt>,
}

/// One try to deliver.
#[derive(Serialize, ToSchema)]
pub struct Attempt {
    /// Its number.
    pub id: i64,
    /// The delivery.
    #[schema(format = Uuid)]
    pub delivery_id: String,
    /// The hook.
    pub hook_id: i64,
    /// 1 for the first of its delivery.
    pub number: u32,
    /// How it ended: `delivered`, `refused`, `timed out`, …
    pub outcome: String,
    /// Status of the answer.
    pub response_status: Option<u16>,
    /// What went wrong, if there was no answer.
    pub error: Option<String>,
    /// The address that was called.
    pub address: Option<String>,
    /// When it began.
    pub started_at: Iso,
    /// How long it took, in microseconds.
    pub duration_us: i64,
    /// Where the time went, in microseconds.
    pub phases: Option<Phases>,
    /// What was agreed on, if the connection was encrypted: `TLS 1.3`.
    pub tls_version: Option<String>,
    /// Header fields of the answer.
    pub response_headers: BTreeMap<String, String>,
    /// Beginning of the answer's body.
    pub response_body: Option<String>,
}

/// The phases of an attempt. One that it did not come to, or that a kept connection made needless, is null.
#[derive(Serialize, ToSchema)]
pub struct Phases {
    /// Looking the name up.
    pub resolve_us: Option<u64>,
    /// Opening the connection.
    pub connect_us: Option<u64>,
    /// Agreeing on TLS.
    pub tls_us: Option<u64>,
    /// Sending, and waiting for the head of the answer.
    pub wait_us: Option<u64>,
    /// Reading the body of the answer.
    pub read_us: Option<u64>,
}

impl Phases {
    fn new(phases: phases::Phases) -> Self {
        let [resolve_us, connect_us, tls_us, wait_us, read_us] =
            phases.took.map(|took| took.and_then(|took| u64::try_from(took.as_micros()).ok()));
        Self { resolve_us, connect_us, tls_us, wait_us, read_us }
    }
}

impl From<&attempts::Attempt> for Attempt {
    fn from(attempt: &attempts::Attempt) -> Self {
        let record = &attempt.record;
        Self {
            id: attempt.id.0,
            delivery_id: attempt.delivery.to_string(),
            hook_id: attempt.hook.0,
            number: attempt.number,
            outcome: attempt.outcome.clone(),
            response_status: attempt.status,
            error: record.error.clone(),
            address: record.address.clone(),
            started_at: Iso(record.started_at),
            duration_us: record.duration_micros,
            phases: record.phases.map(Phases::new),
            tls_version: record.phases.and_then(|phases| phases.tls_minor).map(|minor| format!("TLS 1.{minor}")),
            response_headers: response_headers(record, str::to_owned),
            response_body: record.response_body.as_deref().map(|body| String::from_utf8_lossy(body).into_owned()),
        }
    }
}

/// Header fields of an answer, as history keeps them, with their names as `shown` writes them.
pub(crate) fn response_headers(record: &deliveries::Record, shown: fn(&str) -> String) -> BTreeMap<String, String> {
    let lines = record.response_headers.as_deref().unwrap_or_default().lines();
    lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (shown(name), value.to_owned())).collect()
}

/// A change, or the refusal of one.
#[derive(Serialize, ToSchema)]
pub struct AuditEntry {
    /// Its number.
    pub id: i64,
    /// When.
    pub at: Iso,
    /// Who; 0 for a move.
    pub user_id: i64,
    /// Their login; of a move, the source of the event.
    pub username: String,
    /// Where the request came from.
    pub address: Option<String>,
    /// HTTP method; `MOVE` for a project or group that moved because GitLab calls it otherwise now.
    pub method: String,
    /// Path of the request; of a move, what moved from where to where.
    pub path: String,
    /// What was answered.
    pub status: i64,
    /// Names of the attributes that were sent; never their values.
    pub attributes: Vec<String>,
}

impl From<&audit::AuditEntry> for AuditEntry {
    fn from(entry: &audit::AuditEntry) -> Self {
        let attributes = entry.attributes.split(' ').filter(|name| !name.is_empty());
        Self {
            id: entry.id,
            at: Iso(entry.at),
            user_id: entry.user_id,
            username: entry.username.clone(),
            address: entry.address.clone(),
            method: entry.method.clone(),
            path: entry.path.clone(),
            status: entry.status,
            attributes: attributes.map(str::to_owned).collect(),
        }
    }
}

/// A page of a list of `/api/v1`, newest first.
#[derive(Serialize, ToSchema)]
pub struct Page<T: ToSchema> {
    /// What is on it.
    pub items: Vec<T>,
    /// What to give as `before` for the next page; null on the last one.
    pub next: Option<String>,
}
