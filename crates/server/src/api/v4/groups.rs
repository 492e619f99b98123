//! `/api/v4/groups`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{OriginalUri, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use quickdraw_domain::GroupId;
use quickdraw_domain::access::Action;
use quickdraw_domain::scope::{Group, Scope, check_path_segment};
use quickdraw_store::scopes::{GroupEdit, NewGroup, ScopeFilter};
use serde_json::{Value, json};

use super::page::Asked;
use crate::api::find_group;
use crate::auth::{Admin, Caller};
use crate::error::ApiError;
use crate::params::Params;
use crate::state::App;
use crate::views;

pub(super) async fn list(
    caller: Caller,
    State(app): State<Arc<App>>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    let asked = Asked::read(&params)?;
    let filter = ScopeFilter { search: search(&params)?, parent: None, visible_to: caller.sees(&app) };
    let groups = app.store().list_groups(filter, asked.rows()).await?;
    let rows = groups.rows.iter().map(|group| views::group(group, &app.external_url)).collect();
    Ok(asked.answer(rows, groups.total, &headers, &uri))
}

/// `/groups/:id/subgroups` and `/groups/:id/projects`.
pub(super) async fn subgroups(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    let group = find_group(&app, &id).await?;
    caller.require(&app, Scope::Group(group.id), Action::See).await?;
    let asked = Asked::read(&params)?;
    let filter = ScopeFilter { search: search(&params)?, parent: Some(group.id), visible_to: None };
    let groups = app.store().list_groups(filter, asked.rows()).await?;
    let rows = groups.rows.iter().map(|group| views::group(group, &app.external_url)).collect();
    Ok(asked.answer(rows, groups.total, &headers, &uri))
}

pub(super) async fn projects(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    let group = find_group(&app, &id).await?;
    caller.require(&app, Scope::Group(group.id), Action::See).await?;
    let asked = Asked::read(&params)?;
    let filter = ScopeFilter { search: search(&params)?, parent: Some(group.id), visible_to: None };
    let projects = app.store().list_projects(filter, asked.rows()).await?;
    let rows = projects.rows.iter().map(|project| views::project(project, &app.external_url)).collect();
    Ok(asked.answer(rows, projects.total, &headers, &uri))
}

pub(super) fn search(params: &Params) -> Result<Option<String>, ApiError> {
    Ok(params.line("search", 255)?.filter(|text| !text.is_empty()))
}

/// Groups as the places that projects can be made in.
pub(super) async fn namespaces(
    caller: Caller,
    State(app): State<Arc<App>>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    let asked = Asked::read(&params)?;
    let filter = ScopeFilter { search: search(&params)?, parent: None, visible_to: caller.sees(&app) };
    let groups = app.store().list_groups(filter, asked.rows()).await?;
    let row = |group: &Group| {
        let view = views::group(group, &app.external_url);
        let of = |name: &str| view[name].clone();
        json!({
            "id": of("id"),
            "name": of("name"),
            "path": of("path"),
            "kind": "group",
            "full_path": of("full_path"),
            "parent_id": of("parent_id"),
            "web_url": of("web_url"),
        })
    };
    let rows = groups.rows.iter().map(row).collect();
    Ok(asked.answer(rows, groups.total, &headers, &uri))
}

pub(super) async fn edit(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let group = find_group(&app, &id).await?;
    caller.require(&app, Scope::Group(group.id), Action::Administer).await?;
    let edit = GroupEdit {
        name: params.line("name", 255)?.filter(|name| !name.is_empty()),
        description: params.change("description", 2048)?,
        visibility_level: new_visibility(&params)?,
    };
    let changed = app.store().update_group(group.id, edit).await?.ok_or_else(|| ApiError::not_found("Group"))?;
    refresh(&app).await;
    Ok(Json(views::group(&changed, &app.external_url)))
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
    Ok(new_visibility(params)?.unwrap_or(0))
}

pub(super) fn new_visibility(params: &Params) -> Result<Option<i64>, ApiError> {
    let wrong = || ApiError::bad_parameter("visibility does not have a valid value");
    params.text("visibility")?.map(|word| views::visibility_level(&word).ok_or_else(wrong)).transpose()
}

/// The next event on this node must hear of the change. If the store fails just now, fan-out notices by itself.
pub(super) async fn refresh(app: &App) {
    if let Err(error) = app.belt.refresh_directory().await {
        tracing::warn!("failed to read the directory again: {error:#}");
    }
}
