//! The requests that an inspector keeps.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use quickdraw_store::inspectors::InspectedPage;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::find;
use crate::api::v1::limit;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::{Input, Params};
use crate::state::App;
use crate::views::{InspectedRequest, InspectedRequestWithBody, Page};

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list, clear)).routes(routes!(show))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Query {
    /// Only requests before this id.
    before: Option<Uuid>,

    /// Maximum number of rows.
    #[param(default = 20, minimum = 1, maximum = 100)]
    limit: Option<i64>,
}

/// List the requests that an inspector keeps, newest first. Its owner and administrators.
#[utoipa::path(get, path = "/inspectors/{inspector_id}/requests", tag = "Inspectors", params(Query),
    responses((status = 200, body = Page<InspectedRequest>)))]
async fn list(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Input(query): Input<Query>,
) -> Result<Json<Page<InspectedRequest>>, ApiError> {
    find(&app, &caller, &id).await?;
    let limit = limit(query.limit)?;

    // One more row shows whether there is another page.
    let page = InspectedPage {
        before: query.before,
        after: None,
        limit: limit + 1,
    };
    let mut found = app.store().list_inspected(id, page).await?;
    let is_last = found.len() <= limit;
    found.truncate(limit);
    let last = found.last().filter(|_| !is_last);

    Ok(Json(Page {
        next: last.map(|request| request.id.to_string()),
        items: found.iter().map(InspectedRequest::from).collect(),
    }))
}

/// Delete all requests that an inspector keeps. Its owner and administrators.
#[utoipa::path(delete, path = "/inspectors/{inspector_id}/requests", tag = "Inspectors", responses((status = 204)))]
async fn clear(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    _: Params,
) -> Result<StatusCode, ApiError> {
    find(&app, &caller, &id).await?;
    app.store().clear_requests(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Show a request that an inspector keeps, with its headers and body. Its owner and administrators.
///
/// The audit log has an entry when an administrator reads a body.
#[utoipa::path(get, path = "/inspectors/{inspector_id}/requests/{request_id}", tag = "Inspectors",
    responses((status = 200, body = InspectedRequestWithBody)))]
async fn show(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path((id, request)): Path<(String, String)>,
) -> Result<Json<InspectedRequestWithBody>, ApiError> {
    find(&app, &caller, &id).await?;

    let Ok(request) = request.parse::<Uuid>() else {
        return Err(nothing());
    };
    let found = app.store().find_inspected(id, request).await?;
    let (request, body) = found.ok_or_else(nothing)?;
    caller.is_shown_bodies();

    Ok(Json(InspectedRequestWithBody::new(&request, &body.unpack()?)))
}

fn nothing() -> ApiError {
    let text = "the inspector keeps no request with this id; it keeps the newest 200";
    ApiError::problem(StatusCode::NOT_FOUND, text)
}
