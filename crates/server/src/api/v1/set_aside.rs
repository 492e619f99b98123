//! Events that were set aside, because insights could not read them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use quickdraw_domain::EventId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{MAX_PER_PAGE, limit, page};
use crate::auth::Admin;
use crate::error::ApiError;
use crate::params::Input;
use crate::state::App;
use crate::views::Page;

/// Largest number of events in the list.
const MAX_EVENTS: usize = 100;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(retry))
}

/// An event that does not count, because insights could not read it.
#[derive(Serialize, ToSchema)]
struct SetAside {
    /// Id of the event.
    event_id: String,

    /// Reason why it could not be read.
    reason: String,
}

/// The page of the list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct SetAsideQuery {
    /// Only events before this id: `next` of the previous page.
    before: Option<uuid::Uuid>,

    /// Maximum number of rows.
    #[param(default = 100, minimum = 1, maximum = 100)]
    limit: Option<i64>,
}

/// List the newest 100 events that insights could not read, newest first. Administrators only.
///
/// Reasons are JSON that cannot be represented, too many parts, or a large event during whose reading the server
/// stopped twice. These events are still delivered.
#[utoipa::path(get, path = "/insights/set_aside", tag = "Insights", params(SetAsideQuery),
    responses((status = 200, body = Page<SetAside>)))]
async fn list(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(query): Input<SetAsideQuery>,
) -> Result<Json<Page<SetAside>>, ApiError> {
    let limit = limit(query.limit.or(Some(MAX_PER_PAGE)))?;
    let mut found = app.store().list_set_aside(MAX_EVENTS).await?;
    found.retain(|(event, _)| query.before.is_none_or(|before| event.0 < before));

    Ok(Json(page(&found, limit, |(event, _)| event.to_string())))
}

impl From<&(EventId, String)> for SetAside {
    fn from((event, reason): &(EventId, String)) -> Self {
        Self {
            event_id: event.to_string(),
            reason: reason.clone(),
        }
    }
}

/// The events to read again.
#[derive(Deserialize, ToSchema)]
struct EventsToRetry {
    /// Only this event. Without it, all events that were set aside.
    event_id: Option<uuid::Uuid>,
}

/// Result of a retry.
#[derive(Serialize, ToSchema)]
struct Retried {
    /// Number of events that insights will read again.
    retried: usize,
}

/// Read events again that were set aside: one of them, or all. Administrators only.
#[utoipa::path(post, path = "/insights/set_aside/retry", tag = "Insights", request_body = EventsToRetry,
    responses((status = 200, body = Retried)))]
async fn retry(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(what): Input<EventsToRetry>,
) -> Result<Json<Retried>, ApiError> {
    let retried = app
        .engine
        .insights
        .retry_set_aside(what.event_id.map(EventId))
        .await
        .map_err(ApiError::internal)?;
    Ok(Json(Retried { retried }))
}
