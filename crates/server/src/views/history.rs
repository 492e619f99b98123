//! Views of events, deliveries, attempts, and the audit log.

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
    /// Id of the event. Ids follow the order of arrival.
    #[schema(format = Uuid)]
    pub id: String,

    /// Kind of event, such as `push_hooks`.
    pub trigger: &'static str,

    /// Id of the project in which it happened.
    pub project_id: Option<i64>,

    /// Id of the group in which it happened.
    pub group_id: Option<i64>,

    /// Way in which the event arrived: `api`, `test`, `backfill`, or a source such as `source 1`.
    pub origin: String,

    /// Branch or tag of a push.
    pub r#ref: Option<String>,

    /// Time of arrival.
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

/// A subscribed hook that did not get an event.
#[derive(Serialize, ToSchema)]
pub struct Skipped {
    /// Id of the hook.
    pub hook_id: i64,

    /// Reason, such as `branch_filter` or `duplicate`.
    pub reason: &'static str,
}

/// An event with its body, its deliveries and skipped hooks.
#[derive(Serialize, ToSchema)]
pub struct EventWithDeliveries {
    /// The event.
    #[serde(flatten)]
    pub event: Event,

    /// The body: as JSON if it is valid JSON, else as text.
    #[schema(value_type = serde_json::Value)]
    pub payload: Shown,

    /// Its deliveries.
    pub deliveries: Vec<Delivery>,

    /// Subscribed hooks that did not get the event.
    pub skipped: Vec<Skipped>,

    /// Ids of hooks that get the event only because the push does not list the commits that their filter needs.
    pub unlisted: Vec<i64>,
}

/// An event that is owed to a hook.
#[derive(Serialize, ToSchema)]
pub struct Delivery {
    /// Id of the delivery. It is the `Idempotency-Key` of every attempt.
    #[schema(format = Uuid)]
    pub id: String,

    /// Id of the event.
    #[schema(format = Uuid)]
    pub event_id: String,

    /// Id of the hook.
    pub hook_id: i64,

    /// State: `waiting`, `blocked`, `retrying`, `delivered`, `given_up` or `cancelled`.
    pub state: &'static str,

    /// Number of attempts so far.
    pub attempts: u32,

    /// Time of the next attempt, after the pause of the hook if there is one. Null if no attempt is owed, while
    /// the hook is disabled or paused by a person, and in silent mode.
    pub next_attempt_at: Option<Iso>,

    /// Time at which the delivery was created.
    pub created_at: Iso,

    /// Time at which the delivery ended.
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

/// One attempt of a delivery.
#[derive(Serialize, ToSchema)]
pub struct Attempt {
    /// Id of the attempt.
    pub id: i64,

    /// Id of the delivery.
    #[schema(format = Uuid)]
    pub delivery_id: String,

    /// Id of the hook.
    pub hook_id: i64,

    /// Kind of event, in lists of attempts. Null if the event has been deleted.
    pub trigger: Option<&'static str>,

    /// Number of the attempt within its delivery, starting at 1.
    pub number: u32,

    /// Result: `delivered`, `rejected` (4xx), `failed` (another status), `unknown`, or the reason why no answer came,
    /// such as `timed_out`, `dns`, `connect` or `tls`.
    pub outcome: String,

    /// HTTP status of the answer; null without an answer.
    pub response_status: Option<u16>,

    /// Error, if there was no answer.
    pub error: Option<String>,

    /// IP address that was called.
    pub address: Option<String>,

    /// Time at which the attempt began.
    pub started_at: Iso,

    /// Duration in microseconds.
    pub duration_us: i64,

    /// Duration of each phase in microseconds.
    pub phases: Option<Phases>,

    /// TLS version, such as `TLS 1.3`; null without TLS.
    pub tls_version: Option<String>,

    /// Headers of the answer.
    pub response_headers: BTreeMap<String, String>,

    /// Beginning of the answer's body.
    pub response_body: Option<String>,
}

/// Phases of an attempt in microseconds. A phase is null if it was not reached, or not needed because a connection
/// was reused.
#[derive(Serialize, ToSchema)]
pub struct Phases {
    /// Resolving the host name.
    pub resolve_us: Option<u64>,

    /// Connecting.
    pub connect_us: Option<u64>,

    /// TLS handshake.
    pub tls_us: Option<u64>,

    /// Sending the request, and waiting for the head of the answer.
    pub wait_us: Option<u64>,

    /// Reading the body of the answer.
    pub read_us: Option<u64>,
}

impl Phases {
    fn new(phases: phases::Phases) -> Self {
        let [resolve_us, connect_us, tls_us, wait_us, read_us] = phases
            .took
            .map(|took| took.and_then(|took| u64::try_from(took.as_micros()).ok()));
        Self {
            resolve_us,
            connect_us,
            tls_us,
            wait_us,
            read_us,
        }
    }
}

impl From<&attempts::Attempt> for Attempt {
    fn from(attempt: &attempts::Attempt) -> Self {
        let record = &attempt.record;
        Self {
            id: attempt.id.0,
            delivery_id: attempt.delivery.to_string(),
            hook_id: attempt.hook.0,
            trigger: None,
            number: attempt.number,
            outcome: attempt.outcome.clone(),
            response_status: attempt.status,
            error: record.error.clone(),
            address: record.address.clone(),
            started_at: Iso(record.started_at),
            duration_us: record.duration_micros,
            phases: record.phases.map(Phases::new),
            tls_version: record
                .phases
                .and_then(|phases| phases.tls_minor)
                .map(|minor| format!("TLS 1.{minor}")),
            response_headers: response_headers(record, str::to_owned),
            response_body: record
                .response_body
                .as_deref()
                .map(|body| String::from_utf8_lossy(body).into_owned()),
        }
    }
}

/// Parses the stored headers of an answer. `shown` formats their names.
pub(crate) fn response_headers(record: &deliveries::Record, shown: fn(&str) -> String) -> BTreeMap<String, String> {
    let lines = record.response_headers.as_deref().unwrap_or_default().lines();
    lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (shown(name), value.to_owned()))
        .collect()
}

/// An entry of the audit log: a change, a refused request, or a read of bodies.
#[derive(Serialize, ToSchema)]
pub struct AuditEntry {
    /// Id of the entry.
    pub id: i64,

    /// Time of the request.
    pub at: Iso,

    /// Id of the user; 0 for a move.
    pub user_id: i64,

    /// Username; for a move, the source of the event.
    pub username: String,

    /// The user as whom the administrator acted with `sudo`; null if they acted as themselves.
    pub on_behalf_of: Option<OnBehalfOf>,

    /// IP address of the client.
    pub address: Option<String>,

    /// HTTP method; `MOVE` for a project or group that moved here because it moved in GitLab.
    pub method: String,

    /// Path of the request; for a move, the old and the new path.
    pub path: String,

    /// HTTP status of the answer.
    pub status: i64,

    /// Names of the attributes that were sent, without their values.
    pub attributes: Vec<String>,
}

/// The user as whom an administrator acted.
#[derive(Serialize, ToSchema)]
pub struct OnBehalfOf {
    /// Id of the user.
    pub id: i64,

    /// Username at that time.
    pub username: String,
}

impl From<&audit::AuditEntry> for AuditEntry {
    fn from(entry: &audit::AuditEntry) -> Self {
        let attributes = entry.attributes.split(' ').filter(|name| !name.is_empty());
        Self {
            id: entry.id,
            at: Iso(entry.at),
            user_id: entry.user_id,
            username: entry.username.clone(),
            on_behalf_of: entry.behalf.as_ref().map(|behalf| OnBehalfOf {
                id: behalf.user_id,
                username: behalf.username.clone(),
            }),
            address: entry.address.clone(),
            method: entry.method.clone(),
            path: entry.path.clone(),
            status: entry.status,
            attributes: attributes.map(str::to_owned).collect(),
        }
    }
}

/// A page of a list in `/api/v1`.
#[derive(Serialize, ToSchema)]
pub struct Page<T: ToSchema> {
    /// Rows of the page.
    pub items: Vec<T>,

    /// Value of `before`, or of `after` in lists that have it, for the next page; null on the last page.
    pub next: Option<String>,
}

impl<T: ToSchema> Page<T> {
    /// A list that is always complete.
    pub fn whole(items: impl Iterator<Item = T>) -> Self {
        Self {
            items: items.collect(),
            next: None,
        }
    }
}
