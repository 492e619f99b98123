//! Events that insights could not read.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use quickdraw_domain::EventId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Admin;
use crate::error::ApiError;
use crate::params::Input;
use crate::state::App;

/// Most events of the list.
const MOST: usize = 100;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(retry))
}

/// An event that counts for nothing because it could not be read.
#[derive(Serialize, ToSchema)]
struct SetAside {
    /// The event.
    event_id: String,
    /// Why it could not be read.
    reason: String,
}

/// Events that were set aside.
#[derive(Serialize, ToSchema)]
struct AllSetAside {
    /// The newest first, at most 100.
    items: Vec<SetAside>,
}

/// List events that insights could not read: not JSON that can be represented, with too many parts, or large and read when the
/// server ended for the second time. They are delivered all the same. Administrators.
#[utoipa::path(get, path = "/insights/set_aside", tag = "Insights", responses((status = 200, body = AllSetAside)))]
async fn list(_: Admin, State(app): State<Arc<App>>) -> Result<Json<AllSetAside>, ApiError> {
    let found = app.store().list_poison(MOST).await?;
    let items = found.into_iter().map(|(event, reason)| SetAside { event_id: event.to_string(), reason }).collect();
    Ok(Json(AllSetAside { items }))
}

/// Which events are read once more.
#[derive(Deserialize, ToSchema)]
struct WhatToRetry {
    /// Only this event. Without it, all that were set aside.
    event_id: Option<uuid::Uuid>,
}

/// How many events are read once more.
#[derive(Serialize, ToSchema)]
struct Retried {
    /// Events that wait for insights again.
    retried: usize,
}

/// Let insights read events once more that were set aside: one, or all. Administrators.
#[utoipa::path(post, path = "/insights/set_aside/retry", tag = "Insights", request_body = WhatToRetry,
    responses((status = 200, body = Retried)))]
async fn retry(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(what): Input<WhatToRetry>,
) -> Result<Json<Retried>, ApiError> {
    let retried = app.engine.insights.retry_set_aside(what.event_id.map(EventId)).await.map_err(ApiError::internal)?;
    Ok(Json(Retried { retried }))
}
