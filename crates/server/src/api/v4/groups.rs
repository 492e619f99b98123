//! `/api/v4/groups`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use quickdraw_domain::GroupId;
use quickdraw_domain::access::Action;
use quickdraw_domain::scope::{Group, check_path_segment};
use quickdraw_store::scopes::{GroupEdit, NewGroup, ScopeFilter};
use serde_json::{Value, json};

use super::page::Listing;
use super::target::group_for;
use crate::api::find_group;
use crate::auth::{Admin, Caller};
use crate::error::ApiError;
use crate::params::Params;
use crate::state::App;
use crate::views;

pub(super) async fn list(caller: Caller, State(app): State<Arc<App>>, listing: Listing) -> Result<Response, ApiError> {
    answer(&app, &listing, Seen::By(&caller), views::group).await
}

/// Groups as the places that projects can be made in.
pub(super) async fn namespaces(
    caller: Caller,
    State(app): State<Arc<App>>,
    listing: Listing,
) -> Result<Response, ApiError> {
    answer(&app, &listing, Seen::By(&caller), views::namespace).await
}

/// `/groups/:id/subgroups`.
pub(super) async fn subgroups(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    listing: Listing,
) -> Result<Response, ApiError> {
    let group = group_for(&app, &caller, &id, Action::See).await?;
    answer(&app, &listing, Seen::In(group.id), views::group).await
}

/// `/groups/:id/projects`.
pub(super) async fn projects(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    listing: Listing,
) -> Result<Response, ApiError> {
    let group = group_for(&app, &caller, &id, Action::See).await?;
    super::projects::answer(&app, &listing, Seen::In(group.id)).await
}

async fn answer(
    app: &App,
    listing: &Listing,
    seen: Seen<'_>,
    view: fn(&Group, &str) -> Value,
) -> Result<Response, ApiError> {
    let asked = listing.asked()?;
    let groups = app.store().list_groups(seen.filter(app, listing)?, asked.rows()).await?;
    Ok(listing.answer(&asked, groups.total, groups.rows.iter().map(|group| view(group, &app.external_url))))
}

/// Which groups or projects a list has.
pub(super) enum Seen<'a> {
    /// All that somebody is a member of; for administrators, all.
    By(&'a Caller),
    /// Those directly in a group, which they may see.
    In(GroupId),
}

impl Seen<'_> {
    /// With what the request searches for.
    pub(super) fn filter(&self, app: &App, listing: &Listing) -> Result<ScopeFilter, ApiError> {
        let search = listing.params.line("search", 255)?.filter(|text| !text.is_empty());
        Ok(match self {
            Self::By(caller) => ScopeFilter { search, parent: None, visible_to: caller.sees(app) },
            Self::In(group) => ScopeFilter { search, parent: Some(*group), visible_to: None },
        })
    }
}

pub(super) async fn edit(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let group = group_for(&app, &caller, &id, Action::Administer).await?;
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
    let group = group_for(&app, &caller, &id, Action::See).await?;
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
