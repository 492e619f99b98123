//! Operations: is it alive, is it ready, how is it doing?

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Admin;
use crate::error::ApiError;
use crate::state::App;

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
}

/// Tell that the process answers; nothing else is asked.
#[utoipa::path(get, path = "/api/v1/health", tag = "Operations", security(()),
    responses((status = 200, body = Condition)))]
async fn health() -> Json<Condition> {
    Json(Condition { status: "ok" })
}

/// Tell whether the store answers.
#[utoipa::path(get, path = "/api/v1/ready", tag = "Operations", security(()),
    responses((status = 200, body = Condition), (status = 503, body = Condition)))]
async fn ready(State(app): State<Arc<App>>) -> Response {
    match tokio::time::timeout(PATIENCE, app.store().ping()).await {
        Ok(Ok(())) => Json(Condition { status: "ready" }).into_response(),
        _ => (StatusCode::SERVICE_UNAVAILABLE, Json(Condition { status: "the store does not answer" })).into_response(),
    }
}

/// Show metrics for Prometheus. How projects stand is shown to administrators only: it names them, and what runs in them.
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
        text.push_str(&app.belt.insights_text());
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
