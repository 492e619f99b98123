//! `/api/v4/groups`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{OriginalUri, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use quickdraw_domain::GroupId;
use quickdraw_domain::access::Action;
use quickdraw_domain::scope::{Scope, check_path_segment};
use quickdraw_store::scopes::NewGroup;
use serde_json::{Value, json};

use super::page::Asked;
use crate::api::find_group;
use crate::auth::{Admin, Caller};
use crate::error::ApiError;
use crate::params::Params;
use crate::state::App;
use crate::views;

pub(super) async fn list(
    _: Admin,
    State(app): State<Arc<App>>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    let asked = Asked::read(&params)?;
    let groups = app.store().list_groups(asked.rows()).await?;
    let rows = groups.rows.iter().map(|group| views::group(group, &app.external_url)).collect();
    Ok(asked.answer(rows, groups.total, &headers, &uri))
}

pub(super) async fn create(
    _: Admin,
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let new = NewGroup {
        parent: params.integer("parent_id")?.map(GroupId),
        name: params.required("name", 255)?,
        path: path(&params, "path")?,
        description: params.text("description")?,
        visibility_level: visibility(&params)?,
    };
    let group = app.store().create_group(new, app.belt.clock().now()).await?;
    refresh(&app).await;
    Ok((StatusCode::CREATED, Json(views::group(&group, &app.external_url))))
}

pub(super) async fn show(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let group = find_group(&app, &id).await?;
    caller.require(&app, Scope::Group(group.id), Action::See).await?;
    Ok(Json(views::group(&group, &app.external_url)))
}

pub(super) async fn delete(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let group = find_group(&app, &id).await?;
    app.store().delete_group(group.id).await?;
    refresh(&app).await;
    Ok((StatusCode::ACCEPTED, Json(json!({ "message": "202 Accepted" }))))
}

/// The path of a new group or project.
pub(super) fn path(params: &Params, name: &str) -> Result<String, ApiError> {
    let path = params.required(name, 255)?;
    check_path_segment(&path)
        .map_err(|error| ApiError::Message(StatusCode::BAD_REQUEST, json!({ name: [error.to_string()] })))?;
    Ok(path)
}

pub(super) fn visibility(params: &Params) -> Result<i64, ApiError> {
    match params.text("visibility")? {
        None => Ok(0),
        Some(word) => views::visibility_level(&word)
            .ok_or_else(|| ApiError::bad_parameter("visibility does not have a valid value")),
    }
}

/// The next event on this node must hear of the change. If the store fails just now, fan-out notices by itself.
pub(super) async fn refresh(app: &App) {
    if let Err(error) = app.belt.refresh_directory().await {
        tracing::warn!("failed to read the directory again: {error:#}");
    }
}
