//! Operations: is it alive, is it ready, how is it doing?

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

use crate::auth::Admin;
use crate::error::ApiError;
use crate::state::App;
use crate::views::Iso;

/// A store that takes longer is not ready.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(health)).routes(routes!(ready)).routes(routes!(metrics))
}

/// How it is.
#[derive(Serialize, ToSchema)]
struct Condition {
    /// In words.
    status: &'static str,
    /// The parts that it needs.
    parts: Vec<PartCondition>,
}

/// A part, and whether it answers.
#[derive(Serialize, ToSchema)]
struct PartCondition {
    /// `store`: the database.
    name: &'static str,
    /// Whether it takes what is written, and gives what is read.
    answers: bool,
    /// Since when it does not.
    failing_since: Option<Iso>,
    /// The last failure since the start, also when it is over.
    last_error: Option<String>,
}

impl Condition {
    fn new(status: &'static str, store: StoreStatus) -> Self {
        let part = PartCondition {
            name: "store",
            answers: store.failing_since.is_none(),
            failing_since: store.failing_since.map(Iso),
            last_error: store.last_error,
        };
        Self { status, parts: vec![part] }
    }
}

/// Answers instead of a handler that waits for a store that is known not to answer.
pub(crate) async fn in_time(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    tokio::select! {
        response = next.run(request) => response,
        () = app.engine.context.gives_up() => {
            ApiError::Store(Error::Unavailable("it did not answer in time".to_owned())).into_response()
        }
    }
}

/// Tell that the process answers. How its parts stand is told from memory; nothing is asked of them.
#[utoipa::path(get, path = "/api/v1/health", tag = "Operations", security(()),
    responses((status = 200, body = Condition)))]
async fn health(State(app): State<Arc<App>>) -> Json<Condition> {
    Json(Condition::new("ok", app.engine.context.store_status()))
}

/// Tell whether the store answers: it is read now, and it took what this node wrote last, at most a few seconds ago.
#[utoipa::path(get, path = "/api/v1/ready", tag = "Operations", security(()),
    responses((status = 200, body = Condition), (status = 503, body = Condition)))]
async fn ready(State(app): State<Arc<App>>) -> Response {
    let read = tokio::time::timeout(PATIENCE, app.store().ping()).await;
    let failure = match read {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("it did not answer within {} s", PATIENCE.as_secs())),
    };
    let mut store = app.engine.context.store_status();
    if let Some(failure) = failure {
        store.failing_since.get_or_insert(app.now());
        store.last_error = Some(failure);
    }
    if store.failing_since.is_none() {
        return Json(Condition::new("ready", store)).into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, Json(Condition::new("the store does not answer", store))).into_response()
}

/// Show metrics for Prometheus. How projects stand, and when they were last heard of, is shown to administrators only: it names
/// them, and what runs in them.
#[utoipa::path(get, path = "/metrics", tag = "Operations", security((), ("private_token" = []), ("bearer" = [])),
    responses((status = 200, body = String, content_type = "text/plain"), (status = 401, description = "The token is none.")))]
async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap, admin: Result<Admin, ApiError>) -> Response {
    let has_token = headers.contains_key(header::AUTHORIZATION) || headers.contains_key("private-token");
    let is_admin = match admin {
        Ok(_) => true,
        Err(error) => {
            let refusal = error.into_response();
            // Whoever misspells a token wants to know.
            if has_token && refusal.status() == StatusCode::UNAUTHORIZED {
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
