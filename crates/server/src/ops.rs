//! Operations: is it alive, is it ready, how is it doing?

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::state::App;

/// A store that takes longer is not ready.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/v1/health", get(health))
        .route("/api/v1/ready", get(ready))
        .route("/metrics", get(metrics))
}

/// The process answers; nothing else is asked.
async fn health() -> Json<serde_json::Value> {
    Json(json!({ "status": "ok" }))
}

async fn ready(State(app): State<Arc<App>>) -> Response {
    match tokio::time::timeout(PATIENCE, app.store().ping()).await {
        Ok(Ok(())) => Json(json!({ "status": "ready" })).into_response(),
        _ => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "the store does not answer" }))).into_response(),
    }
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    app.metrics.run_upkeep();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], app.metrics.render()).into_response()
}
