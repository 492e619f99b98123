//! `/api/v4/groups`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use quickdraw_domain::GroupId;
use quickdraw_domain::access::Action;
use quickdraw_domain::scope::check_path_segment;
use quickdraw_store::scopes::{GroupEdit, NewGroup, ScopeFilter};
use serde::Deserialize;
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::page::{Listing, PageQuery};
use super::shown;
use super::target::group_for;
use crate::api::find_group;
use crate::auth::{Admin, Caller};
use crate::error::ApiError;
use crate::params::{Clearable, Line, Params, Prose};
use crate::state::App;
use crate::views::{Group, Message, Project, Visibility};

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, edit, delete))
        .routes(routes!(subgroups))
        .routes(routes!(projects))
}

/// What a list of groups or projects is narrowed to.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Search {
    /// Only those with this in name or path.
    #[param(inline)]
    search: Option<Line<255>>,
}

/// List groups: those that the caller is a member of, and all for administrators.
#[utoipa::path(get, path = "/groups", tag = "Groups", params(PageQuery, Search),
    responses((status = 200, body = [Group])))]
async fn list(caller: Caller, State(app): State<Arc<App>>, listing: Listing) -> Result<Response, ApiError> {
    answer(&app, &listing, Seen::By(&caller)).await
}

/// List the groups directly in a group.
#[utoipa::path(get, path = "/groups/{id}/subgroups", tag = "Groups", params(PageQuery, Search),
    responses((status = 200, body = [Group])))]
async fn subgroups(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    listing: Listing,
) -> Result<Response, ApiError> {
    let group = group_for(&app, &caller, &id, Action::See).await?;
    answer(&app, &listing, Seen::In(group.id)).await
}

/// List the projects directly in a group.
#[utoipa::path(get, path = "/groups/{id}/projects", tag = "Groups", params(PageQuery, Search),
    responses((status = 200, body = [Project])))]
async fn projects(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    listing: Listing,
) -> Result<Response, ApiError> {
    let group = group_for(&app, &caller, &id, Action::See).await?;
    super::projects::answer(&app, &listing, Seen::In(group.id)).await
}

async fn answer(app: &App, listing: &Listing, seen: Seen<'_>) -> Result<Response, ApiError> {
    let page = listing.asked()?;
    let groups = app.store().list_groups(seen.filter(app, listing)?, page).await?;
    let names = shown::group_names(app, &groups.rows).await?;
    Ok(listing.answer(page, &groups, |group| group.id.0, |group| shown::named_group(app, group, &names)))
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
        let search = listing.params.read::<Search>()?.search.map(|text| text.0);
        Ok(match self {
            Self::By(caller) => ScopeFilter { search, parent: None, visible_to: caller.sees(app) },
            Self::In(group) => ScopeFilter { search, parent: Some(*group), visible_to: None },
        })
    }
}

/// A group to be made.
#[derive(Deserialize, ToSchema)]
struct GroupToMake {
    /// The group that it goes into.
    parent_id: Option<i64>,
    /// Shown name.
    name: Line<255>,
    /// Last segment of its path.
    path: Line<255>,
    /// Free text.
    description: Option<Prose<2048>>,
    /// Who may see it.
    visibility: Option<Visibility>,
}

/// Make a group. Administrators.
#[utoipa::path(post, path = "/groups", tag = "Groups", request_body = GroupToMake,
    responses((status = 201, body = Group)))]
async fn create(_: Admin, State(app): State<Arc<App>>, params: Params) -> Result<(StatusCode, Json<Group>), ApiError> {
    let input: GroupToMake = params.read()?;
    let new = NewGroup {
        parent: input.parent_id.map(GroupId),
        name: input.name.0,
        path: path(input.path.0, "path")?,
        description: input.description.map(|text| text.0),
        visibility_level: input.visibility.map_or(0, Visibility::level),
    };
    let group = app.store().create_group(new, app.belt.clock().now()).await?;
    refresh(&app).await;
    Ok((StatusCode::CREATED, Json(shown::group(&app, &group).await?)))
}

/// What is to be changed of a group.
#[derive(Deserialize, ToSchema)]
struct GroupToChange {
    /// Shown name.
    name: Option<Line<255>>,
    /// Last segment of its path. The paths of all that lies in it change along.
    path: Option<Line<255>>,
    /// Free text.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 2048)]
    description: Clearable<Prose<2048>>,
    /// Who may see it.
    visibility: Option<Visibility>,
}

/// Change a group. Owners.
#[utoipa::path(put, path = "/groups/{id}", tag = "Groups", request_body = GroupToChange,
    responses((status = 200, body = Group)))]
async fn edit(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Group>, ApiError> {
    let group = group_for(&app, &caller, &id, Action::Administer).await?;
    let input: GroupToChange = params.read()?;
    let edit = GroupEdit {
        name: input.name.map(|text| text.0),
        path: input.path.map(|text| path(text.0, "path")).transpose()?,
        description: input.description.0.map(|text| text.map(|text| text.0)),
        visibility_level: input.visibility.map(Visibility::level),
    };
    let changed = app.store().update_group(group.id, edit).await?.ok_or_else(|| ApiError::not_found("Group"))?;
    refresh(&app).await;
    Ok(Json(shown::group(&app, &changed).await?))
}

/// Show a group. Members.
#[utoipa::path(get, path = "/groups/{id}", tag = "Groups", responses((status = 200, body = Group)))]
async fn show(caller: Caller, State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Group>, ApiError> {
    let group = group_for(&app, &caller, &id, Action::See).await?;
    Ok(Json(shown::group(&app, &group).await?))
}

/// Delete a group with its subgroups, projects and their hooks. Administrators.
#[utoipa::path(delete, path = "/groups/{id}", tag = "Groups", responses((status = 202, body = Message)))]
async fn delete(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Message>), ApiError> {
    let group = find_group(&app, &id).await?;
    app.store().delete_group(group.id).await?;
    refresh(&app).await;
    Ok((StatusCode::ACCEPTED, Json(Message::new("202 Accepted"))))
}

/// The path of a new group or project, made from the parameter of that name.
pub(super) fn path(path: String, name: &str) -> Result<String, ApiError> {
    check_path_segment(&path)
        .map_err(|error| ApiError::Message(StatusCode::BAD_REQUEST, json!({ name: [error.to_string()] })))?;
    Ok(path)
}

/// The next event on this node must hear of the change. If the store fails just now, fan-out notices by itself.
pub(crate) async fn refresh(app: &App) {
    if let Err(error) = app.belt.refresh_directory().await {
        tracing::warn!("failed to read the directory again: {error:#}");
    }
}
