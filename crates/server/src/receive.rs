//! Receives events at the sources: verify, commit, answer. Cheap checks that need no authentication come first. A 2xx
//! is sent only after the event is flushed to disk.

pub(crate) mod address;
mod gates;
pub(crate) mod limits;
mod verify;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Body;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use quickdraw_domain::envelope::Envelope;
use quickdraw_domain::source::{Addresses, Source};
use quickdraw_domain::{Timestamp, Trigger};
use quickdraw_engine::{Engine, ReceiveError, Received, RequestRecord, outage};
use quickdraw_store::events::Appended;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub use verify::{Checks, Verifier, Wrong};

use crate::aside;
use crate::body::{self, BodyMemory, Held, Kind};
use crate::telemetry::{SOURCE_REFUSED, WEBHOOK_REQUESTS, WEBHOOK_SECONDS};
use gates::{Gate, Gates};
use limits::Client;

pub(crate) fn routes() -> OpenApiRouter<Arc<Sources>> {
    OpenApiRouter::new()
        .routes(routes!(receive))
        .routes(routes!(receive_at))
}

/// The default source, which the settings describe.
pub struct DefaultSource {
    /// The source.
    pub source: Source,

    /// Whether its secret is a setting. Otherwise the nodes share a generated one.
    pub secret_is_set: bool,
}

/// The state of the sources.
pub(crate) struct Sources {
    engine: Arc<Engine>,
    gates: Gates,

    /// Whether the secret of the default source is a setting.
    pub(crate) secret_is_set: bool,

    /// Reverse proxies whose `X-Forwarded-For` is trusted.
    trusted_proxies: Addresses,

    /// Memory for request bodies, which is shared with the API.
    bodies: Arc<BodyMemory>,
}

impl Sources {
    pub(crate) fn new(
        engine: Arc<Engine>,
        default: DefaultSource,
        trusted_proxies: Addresses,
        bodies: Arc<BodyMemory>,
    ) -> Arc<Self> {
        Arc::new(Self {
            engine,
            gates: Gates::new(default.source),
            secret_is_set: default.secret_is_set,
            trusted_proxies,
            bodies,
        })
    }

    /// The default source, as the settings describe it.
    pub(crate) fn default_source(&self) -> &Source {
        &self.gates.default().source
    }

    /// Logs requests over a rate limit whose log line is due.
    pub(crate) fn log_due_refusals(&self) {
        self.gates.log_due_refusals(Instant::now());
    }

    /// Logs all requests over a rate limit that are not logged yet.
    pub(crate) fn log_all_refusals(&self) {
        self.gates.log_all_refusals();
    }

    fn now(&self) -> Timestamp {
        self.engine.context.clock().now()
    }
}

/// Result of a received event.
#[derive(Serialize, ToSchema)]
struct Receipt {
    /// `accepted`, or `duplicate`.
    status: &'static str,

    /// Id of the event; for a duplicate, the id of the first copy.
    #[schema(format = Uuid)]
    job_id: String,
}

/// Refusal of a received event.
#[derive(Serialize, ToSchema)]
struct Refusal<'a> {
    /// Reason in words.
    detail: &'a str,
}

/// Result of a request, as the metric counts it.
enum End {
    Accepted {
        trigger: Trigger,
        appended: Appended,
        copy: bool,
    },
    Refused(Refused),
    Failed(StatusCode, String),
}

/// A refusal. `detail` is for the sender, `note` for the owner of the source.
struct Refused {
    status: StatusCode,
    detail: String,

    /// Label of the metric, from a closed set.
    reason: &'static str,
    note: String,
    retry_after: Option<u64>,
}

impl Refused {
    fn new(status: StatusCode, reason: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            status,
            reason,
            note: detail.clone(),
            detail,
            retry_after: None,
        }
    }
}

impl From<Wrong> for Refused {
    /// The sender of a wrong credential does not learn what is wrong with it.
    fn from(wrong: Wrong) -> Self {
        let refused = Self::new(StatusCode::UNAUTHORIZED, "credential", "Invalid token");
        Self {
            note: wrong.text().to_owned(),
            ..refused
        }
    }
}

/// Receive a webhook from GitLab at the default source.
///
/// The event is stored before the answer is sent. Authenticate with `X-Gitlab-Token`, `webhook-signature` or
/// `X-Hub-Signature-256`. A repeated `webhook-id` or `Idempotency-Key` is not stored again.
#[utoipa::path(post, path = "/api/v1/webhooks/gitlab", tag = "Source", request_body = serde_json::Value,
    security(("gitlab_token" = [])),
    responses((status = 200, body = Receipt), (status = "4XX", body = Refusal), (status = 503, body = Refusal)))]
async fn receive(State(sources): State<Arc<Sources>>, request: Request) -> Response {
    let gate = Arc::clone(sources.gates.default());
    handle(&sources, &gate, request).await
}

/// Receive a webhook from GitLab at another source.
///
/// The request works as for the default source, with the secrets and limits of this source.
#[utoipa::path(post, path = "/api/v1/webhooks/gitlab/{key}", tag = "Source", request_body = serde_json::Value,
    security(("gitlab_token" = [])),
    responses((status = 200, body = Receipt), (status = "4XX", body = Refusal), (status = 503, body = Refusal)))]
async fn receive_at(State(sources): State<Arc<Sources>>, Path(key): Path<String>, request: Request) -> Response {
    if let Some(gate) = sources.gates.find(&sources.engine.context.directory(), &key) {
        return handle(&sources, &gate, request).await;
    }

    // An unknown key gets the same answer as a wrong token, after about the same time, so that guessing keys reveals
    // nothing.
    let _ = sources
        .gates
        .default()
        .verifier
        .check_head(request.headers(), sources.now());

    metrics::counter!(WEBHOOK_REQUESTS, "event" => "unknown", "status" => "rejected").increment(1);
    metrics::counter!(SOURCE_REFUSED, "reason" => "unknown").increment(1);

    Refused::from(Wrong::Token).into_response()
}

async fn handle(sources: &Arc<Sources>, gate: &Arc<Gate>, request: Request) -> Response {
    let started = Instant::now();
    let (parts, body) = request.into_parts();

    let peer = parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map(|peer| peer.0.ip());
    let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let address = address::client(peer, &parts.headers, &sources.trusted_proxies);
    let (end, bytes) = take(sources, gate, address, &parts.headers, body).await;

    let (event, status) = match &end {
        End::Accepted {
            trigger,
            appended: Appended::New { .. },
            ..
        } => (header_of(*trigger), "success"),
        End::Accepted {
            trigger,
            appended: Appended::Duplicate(_),
            ..
        } => (header_of(*trigger), "duplicate"),
        // An unverified request must not choose the label.
        End::Refused(refused) => {
            metrics::counter!(SOURCE_REFUSED, "reason" => refused.reason).increment(1);
            ("unknown", "rejected")
        }
        End::Failed(..) => ("unknown", "error"),
    };

    metrics::counter!(WEBHOOK_REQUESTS, "event" => event, "status" => status).increment(1);
    metrics::histogram!(WEBHOOK_SECONDS).record(started.elapsed());

    let (note, event_id) = match &end {
        End::Accepted { appended, copy, .. } => {
            let note = match appended {
                Appended::Duplicate(_) => Some("duplicate"),
                Appended::New { .. } => copy.then_some("duplicate of an event from another hook"),
            };
            (note.map(str::to_owned), Some(appended.id().0))
        }
        End::Refused(refused) => (Some(refused.note.clone()), None),
        End::Failed(_, detail) => (Some(detail.clone()), None),
    };

    let response = match end {
        End::Accepted { appended, .. } => accepted(appended),
        End::Refused(refused) => refused.into_response(),
        End::Failed(status, detail) => {
            let refused = Refused::new(status, "", detail);
            Refused {
                retry_after: Some(5),
                ..refused
            }
            .into_response()
        }
    };

    let seen = RequestRecord {
        at: sources.now().as_micros(),
        address: address.to_string(),
        status: response.status().as_u16(),
        note,
        event: text(&parts.headers, "x-gitlab-event").map(|event| event.chars().take(100).collect()),
        bytes,
        event_id,
        count: 1,
    };
    sources.engine.journal.note_request(gate.source.id, seen);
    response
}

fn header_of(trigger: Trigger) -> &'static str {
    if trigger == Trigger::UNKNOWN {
        "unknown"
    } else {
        trigger.row().header
    }
}

/// A request of which the head was checked.
#[derive(Clone, Copy)]
struct Head {
    address: IpAddr,
    checks: Checks,
    now: Timestamp,
}

/// Processes a request. Returns the result, and the number of body bytes that were read.
async fn take(
    sources: &Arc<Sources>,
    gate: &Arc<Gate>,
    address: IpAddr,
    headers: &HeaderMap,
    body: Body,
) -> (End, usize) {
    let source = &gate.source;
    if !source.addresses.is_empty() && !source.addresses.contains(address) {
        let refused = Refused::new(
            StatusCode::FORBIDDEN,
            "address",
            "this address is not allowed to post here",
        );
        return (refuse_stranger(gate, address, refused), 0);
    }

    // The head is verified before anything is counted, so that a valid token never counts against the limit of
    // strangers. This takes microseconds. Nothing of the body is read for a request whose head is wrong.
    let now = sources.now();
    let head = gate.verifier.check_head(headers, now);
    let is_proven = matches!(head, Ok(checks) if !checks.need_body());

    if is_proven && let Err(refused) = count_sender(gate, address) {
        return (End::Refused(refused), 0);
    }

    let refuse = |refused: Refused| match is_proven {
        true => End::Refused(refused),
        false => refuse_stranger(gate, address, refused),
    };

    if let Some(words) = ambiguous(headers) {
        return (refuse(Refused::new(StatusCode::BAD_REQUEST, "headers", words)), 0);
    }

    let head = match head {
        Ok(checks) => Head { address, checks, now },
        Err(wrong) => return (refuse(wrong.into()), 0),
    };

    let permit = if is_proven {
        Ok(None)
    } else {
        gate.limits.body_permit(address).await
    };
    let _permit = match permit {
        Ok(permit) => permit,
        Err(wait) => return (End::Refused(limited(gate, Client::Stranger, address, wait)), 0),
    };

    let kind = Kind::Received(&gate.share);
    let held = match body::read(&sources.bodies, headers, body, source.body_limit, kind).await {
        Ok(held) => held,
        Err(body::Refused(status, text)) if status.is_server_error() => {
            return (End::Failed(status, text.to_owned()), 0);
        }
        Err(body::Refused(status, text)) => return (refuse(Refused::new(status, "body", text)), 0),
    };
    let bytes = held.bytes.len();
    if !aside::is_large(bytes) {
        return (admit(sources, gate, headers, &held, head).await, bytes);
    }

    let (sources, gate, headers) = (Arc::clone(sources), Arc::clone(gate), headers.clone());
    let end = aside::by_weight(
        bytes,
        async move { admit(&sources, &gate, &headers, &held, head).await },
    );
    (end.await, bytes)
}

/// Refuses a request without a valid credential, and counts it against the limit of its address.
fn refuse_stranger(gate: &Gate, address: IpAddr, refused: Refused) -> End {
    match gate.limits.count_stranger(address, Instant::now()) {
        Ok(()) => End::Refused(refused),
        Err(wait) => End::Refused(limited(gate, Client::Stranger, address, wait)),
    }
}

/// Counts a request with a valid credential against the limit of the source.
fn count_sender(gate: &Gate, address: IpAddr) -> Result<(), Refused> {
    let counted = gate.limits.count_sender();
    counted.map_err(|wait| limited(gate, Client::Sender, address, wait))
}

/// The refusal of a request over a rate limit.
fn limited(gate: &Gate, client: Client, address: IpAddr, wait: Duration) -> Refused {
    gate.limits.note_refusal(client, &gate.source, address, Instant::now());

    let detail = match client {
        Client::Stranger => "too many requests without a valid credential from this address".to_owned(),
        Client::Sender => format!(
            "more than {} requests per minute with a valid credential; GitLab does not send this event again: raise \
             sender_rate_limit of the source",
            gate.source.sender_per_minute.unwrap_or_default()
        ),
    };

    Refused {
        retry_after: Some(wait.as_secs() + 1),
        ..Refused::new(StatusCode::TOO_MANY_REQUESTS, "rate", detail)
    }
}

/// Verifies and commits an event whose body was read.
async fn admit(sources: &Sources, gate: &Gate, headers: &HeaderMap, held: &Held, head: Head) -> End {
    let Head { address, checks, now } = head;
    if let Err(wrong) = gate.verifier.check_body(checks, headers, &held.bytes, now) {
        return refuse_stranger(gate, address, wrong.into());
    }

    if checks.need_body()
        && let Err(refused) = count_sender(gate, address)
    {
        return End::Refused(refused);
    }

    let envelope = match Envelope::read(&held.bytes) {
        Ok(envelope) => envelope,
        Err(error) => return End::Refused(Refused::new(StatusCode::BAD_REQUEST, "json", error.to_string())),
    };

    let event = text(headers, "x-gitlab-event");
    let trigger = Trigger::recognise(event, &envelope);

    let received = Received {
        source: &gate.source,
        trigger,
        sent_as: event,
        instance: text(headers, "x-gitlab-instance"),
        chain: text(headers, "x-gitlab-event-uuid").and_then(|text| Uuid::parse_str(text).ok()),
        key: idempotency_key(headers),
        body: &held.bytes,
        envelope: &envelope,
    };

    match sources
        .engine
        .context
        .in_time(sources.engine.journal.receive(received))
        .await
    {
        Ok((appended, copy)) => End::Accepted {
            trigger,
            appended,
            copy,
        },
        Err(error @ (ReceiveError::Instance(_) | ReceiveError::Taken(_))) => {
            End::Refused(Refused::new(StatusCode::FORBIDDEN, "instance", error.to_string()))
        }
        Err(ReceiveError::Store(error)) => {
            if outage::stands_alone(&error) {
                tracing::error!(%error, "failed to commit a received event");
            }

            let detail = "the event could not be stored; send it again";
            End::Failed(StatusCode::SERVICE_UNAVAILABLE, detail.to_owned())
        }
    }
}

/// Headers that must have a single value. The verifier checks `X-Gitlab-Token`.
const SINGLE: [&str; 8] = [
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "x-hub-signature-256",
    "idempotency-key",
    "x-gitlab-event",
    "x-gitlab-instance",
    "x-gitlab-event-uuid",
];

/// Returns an error if a header appears with different values, because it is unclear which one is meant.
pub(crate) fn ambiguous(headers: &HeaderMap) -> Option<String> {
    let differs = |name: &&&str| {
        let mut lines = headers.get_all(**name).iter();
        let first = lines.next();
        lines.any(|line| Some(line) != first)
    };
    SINGLE
        .iter()
        .find(differs)
        .map(|name| format!("the header {name} is present twice with different values"))
}

/// Returns `webhook-id`, else `Idempotency-Key`. Repeats of equal values count once, and an empty value counts as
/// absent.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Option<String> {
    let key = |name| text(headers, name).map(str::trim).filter(|key| !key.is_empty());
    key("webhook-id").or_else(|| key("idempotency-key")).map(str::to_owned)
}

pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn accepted(appended: Appended) -> Response {
    let status = match appended {
        Appended::New { .. } => "accepted",
        Appended::Duplicate(_) => "duplicate",
    };

    Json(Receipt {
        status,
        job_id: appended.id().to_string(),
    })
    .into_response()
}

impl IntoResponse for Refused {
    /// The connection is closed after a refusal, because the body may not have been read.
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(Refusal { detail: &self.detail })).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));

        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }

        response
    }
}
