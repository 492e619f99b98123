//! Operations: liveness, readiness and metrics.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use quickdraw_engine::StoreStatus;
use quickdraw_store::Error;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Caller;
use crate::error::ApiError;
use crate::state::App;
use crate::views::Iso;

/// Time after which a read that has not ended makes the node unready.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(health))
        .routes(routes!(ready))
        .routes(routes!(metrics))
}

/// State of the node.
#[derive(Serialize, ToSchema)]
struct Condition {
    /// State in words.
    status: &'static str,

    /// State of the parts that the node needs.
    parts: Vec<PartCondition>,

    /// Facts that an operator should know, such as that silent mode is on. Absent without one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<&'static str>,
}

/// The warnings of a node, for `health`, `ready` and `workers`.
pub(crate) fn warnings(app: &App) -> Vec<&'static str> {
    let silent = app.engine.context.is_silent();
    silent
        .then_some("silent mode is on: no webhook is called")
        .into_iter()
        .collect()
}

/// State of a part.
#[derive(Serialize, ToSchema)]
struct PartCondition {
    /// `store`: the database.
    name: &'static str,

    /// True if the part accepts writes and answers reads.
    is_healthy: bool,

    /// Time since which it fails; null while it works.
    failing_since: Option<Iso>,

    /// Last failure since the start of the node, even if it is over.
    last_error: Option<String>,
}

impl Condition {
    fn new(status: &'static str, store: StoreStatus, warnings: Vec<&'static str>) -> Self {
        let part = PartCondition {
            name: "store",
            is_healthy: store.failing_since.is_none(),
            failing_since: store.failing_since.map(Iso),
            last_error: store.last_error,
        };
        Self {
            status,
            parts: vec![part],
            warnings,
        }
    }
}

/// Answers 503 if the store does not answer in time while a handler waits for it.
pub(crate) async fn in_time(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    tokio::select! {
        response = next.run(request) => response,
        () = app.engine.context.gives_up() => {
            ApiError::Store(Error::unavailable("it did not answer in time")).into_response()
        }
    }
}

/// Show that the process is running, with the state of its parts.
///
/// The answer comes from memory and does not ask the database. Query parameters are ignored, because monitoring systems
/// add their own.
#[utoipa::path(get, path = "/api/v1/health", tag = "Operations", security(()),
    responses((status = 200, body = Condition)))]
async fn health(State(app): State<Arc<App>>) -> Json<Condition> {
    Json(Condition::new("ok", app.engine.context.store_status(), warnings(&app)))
}

/// Check that the database answers.
///
/// The endpoint reads from the database now, and checks that the last write of this node succeeded. That write is at
/// most a few seconds old. Query parameters are ignored.
#[utoipa::path(get, path = "/api/v1/ready", tag = "Operations", security(()),
    responses((status = 200, body = Condition), (status = 503, body = Condition)))]
async fn ready(State(app): State<Arc<App>>) -> Response {
    let read = tokio::time::timeout(PATIENCE, app.store().ping()).await;
    let failure = match read {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("the store did not answer within {} s", PATIENCE.as_secs())),
    };

    let mut store = app.engine.context.store_status();
    if let Some(failure) = failure {
        store.failing_since.get_or_insert(app.now());
        store.last_error = Some(failure);
    }

    if store.failing_since.is_none() {
        return Json(Condition::new("ready", store, warnings(&app))).into_response();
    }

    (
        StatusCode::SERVICE_UNAVAILABLE,
        Json(Condition::new("the store does not answer", store, warnings(&app))),
    )
        .into_response()
}

/// Show metrics for Prometheus.
///
/// Metrics about projects are shown to administrators only, because they name projects and their branches or jobs. The
/// token needs the scope `metrics`, `read_api` or `api`. With the setting `server.metrics_token_required`, other
/// metrics need such a token too. Query parameters are ignored.
#[utoipa::path(get, path = "/metrics", tag = "Operations", security((), ("private_token" = []), ("bearer" = [])),
    responses((status = 200, body = String, content_type = "text/plain"), (status = 401, description = "The token is invalid, or missing although it is required."), (status = 403, description = "The token lacks a scope, or a token of an administrator is required.")))]
async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap, caller: Result<Caller, ApiError>) -> Response {
    let has_token = headers.contains_key(header::AUTHORIZATION) || headers.contains_key("private-token");
    let is_required = app.metrics_token_required;
    let is_admin = match caller {
        Ok(caller) if caller.actor.is_admin => true,
        Ok(_) if is_required => return ApiError::forbidden().into_response(),
        Ok(_) => false,
        Err(error) => {
            let refusal = error.into_response();
            // A wrong token is reported instead of being ignored. If the store fails, its metrics must still be shown.
            if is_required || has_token && refusal.status().is_client_error() {
                return refusal;
            }

            false
        }
    };

    app.metrics.run_upkeep();

    let mut text = app.metrics.render();
    if is_admin {
        text.push_str(&app.engine.insights.last_events_text());
        text.push_str(&app.engine.insights.insights_text());
    }

    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
