//! The receiver: verify, commit, answer. Cheap and unauthenticated checks come first; a 2xx is given only after the
//! event is flushed to disk.

mod verify;

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use quickdraw_domain::event::{Skim, Source};
use quickdraw_domain::scope::Place;
use quickdraw_domain::{ReceiverId, Trigger};
use quickdraw_engine::Arrival;
use quickdraw_store::events::Appended;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub use verify::Receiver;

use crate::body;
use crate::state::App;
use crate::telemetry::{WEBHOOK_REQUESTS, WEBHOOK_SECONDS};

/// The default receiver's number.
const DEFAULT: ReceiverId = ReceiverId(1);

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(receive))
}

/// What became of a received event.
#[derive(Serialize, ToSchema)]
struct Receipt {
    /// `accepted`, or `duplicate`.
    status: &'static str,
    /// Number of the event; of a duplicate, that of the first.
    #[schema(format = Uuid)]
    job_id: String,
}

/// Why a received event was refused.
#[derive(Serialize, ToSchema)]
struct Refusal<'a> {
    /// In words.
    detail: &'a str,
}

/// How a request ended, as the seed's metric names it.
enum End {
    Accepted(Trigger, Appended),
    Rejected(StatusCode, String),
    Failed(StatusCode, String),
}

/// Receive a webhook of GitLab's. It is committed when the answer comes. Give `X-Gitlab-Token`, `webhook-signature` or
/// `X-Hub-Signature-256`; `webhook-id` or `Idempotency-Key` drops repeats.
#[utoipa::path(post, path = "/api/v1/webhooks/gitlab", tag = "Receiver", request_body = serde_json::Value,
    security(("gitlab_token" = [])),
    responses((status = 200, body = Receipt), (status = "4XX", body = Refusal), (status = 503, body = Refusal)))]
async fn receive(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Response {
    let started = Instant::now();
    let end = take(&app, &headers, body).await;
    let (event, status) = match &end {
        End::Accepted(trigger, Appended::New { .. }) => (header_of(*trigger), "success"),
        End::Accepted(trigger, Appended::Duplicate(_)) => (header_of(*trigger), "duplicate"),
        // An unverified request must not choose a label.
        End::Rejected(..) => ("unknown", "rejected"),
        End::Failed(..) => ("unknown", "error"),
    };
    metrics::counter!(WEBHOOK_REQUESTS, "event" => event, "status" => status).increment(1);
    metrics::histogram!(WEBHOOK_SECONDS).record(started.elapsed());
    match end {
        End::Accepted(_, appended) => accepted(appended),
        End::Rejected(status, detail) => refused(status, &detail),
        End::Failed(status, detail) => {
            let mut response = refused(status, &detail);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            response
        }
    }
}

fn header_of(trigger: Trigger) -> &'static str {
    if trigger == Trigger::UNKNOWN { "unknown" } else { trigger.row().header }
}

async fn take(app: &App, headers: &HeaderMap, body: Body) -> End {
    let wrong = || End::Rejected(StatusCode::UNAUTHORIZED, "Invalid token".to_owned());
    // Before the body is read: whoever has no credential at all costs us nothing more.
    let Some(checks) = app.receiver.check_head(headers) else { return wrong() };
    let held = match body::read(app, headers, body, app.receiver.body_limit).await {
        Ok(held) => held,
        Err(body::Refused(status, text)) if status.is_server_error() => return End::Failed(status, text.to_owned()),
        Err(body::Refused(status, text)) => return End::Rejected(status, text.to_owned()),
    };
    if !app.receiver.check_body(&checks, headers, &held.bytes, app.belt.clock().now()) {
        return wrong();
    }
    let skim = match Skim::read(&held.bytes) {
        Ok(skim) => skim,
        Err(error) => return End::Rejected(StatusCode::BAD_REQUEST, error.to_string()),
    };
    let trigger = Trigger::recognise(text(headers, "x-gitlab-event"), &skim);
    let arrival = Arrival {
        place: Place::Elsewhere,
        trigger,
        source: Source::Receiver(DEFAULT),
        chain: text(headers, "x-gitlab-event-uuid").and_then(|text| Uuid::parse_str(text).ok()),
        git_ref: skim.git_ref,
        key: idempotency_key(headers),
        body: &held.bytes,
    };
    match app.belt.ingest(arrival).await {
        Ok(appended) => End::Accepted(trigger, appended),
        Err(error) => {
            tracing::error!(%error, "failed to commit a received event");
            let detail = "the event could not be stored; send it again";
            End::Failed(StatusCode::SERVICE_UNAVAILABLE, detail.to_owned())
        }
    }
}

/// `webhook-id`, else `Idempotency-Key`; of equal lines the first, and an empty one is none.
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
    Json(Receipt { status, job_id: appended.id().to_string() }).into_response()
}

/// The seed's form of an error. The connection ends, because the body may not have been read.
fn refused(status: StatusCode, detail: &str) -> Response {
    let mut response = (status, Json(Refusal { detail })).into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
