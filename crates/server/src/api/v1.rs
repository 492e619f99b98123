//! `/api/v1`: what GitLab has no word for. Lists go by cursor: `limit`, `before`, and `next` in the answer.

mod audit;
mod events;
mod history;
mod insights;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::state::App;

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/audit", get(audit::list))
        .route("/events", get(history::events).post(events::report_instance))
        .route("/events/{id}", get(history::event))
        .route("/projects/{id}/events", post(events::report_project))
        .route("/groups/{id}/events", post(events::report_group))
        .route("/projects/{id}/active_hooks", get(events::active_in_project))
        .route("/groups/{id}/active_hooks", get(events::active_in_group))
        .route("/deliveries", get(history::deliveries))
        .route("/deliveries/{id}", get(history::delivery))
        .route("/attempts", get(history::attempts))
        .route("/insights/commits", get(insights::commits))
}
