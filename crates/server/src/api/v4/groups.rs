//! `/api/v4/groups`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use quickdraw_domain::GroupId;
use quickdraw_domain::access::{AccessLevel, Action};
use quickdraw_domain::scope::{Scope, check_path_segment};
use quickdraw_store::Error;
use quickdraw_store::scopes::{GroupEdit, GroupPlace, NewGroup, ScopeFilter};
use serde::Deserialize;
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::page::{Listing, OrderQuery, PageQuery};
use super::projects::ProjectQuery;
use super::shown;
use super::target::group_for;
use crate::api::find_group;
use crate::auth::{Admin, Caller};
use crate::error::ApiError;
use crate::params::{Clearable, Level, Line, Params, Prose};
use crate::state::App;
use crate::views::{Group, Message, Project, Visibility};

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, edit, delete))
        .routes(routes!(subgroups))
        .routes(routes!(descendants))
        .routes(routes!(transfer))
        .routes(routes!(projects))
}

/// What a list of groups is narrowed to.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct GroupQuery {
    /// Only those with this in name or path.
    #[param(inline)]
    search: Option<Line<255>>,
    /// Only those that the caller owns.
    owned: Option<bool>,
    /// Only those where the caller is a member with at least this role.
    #[param(inline)]
    min_access_level: Option<Level>,
    /// `false`: only those that the caller is a member of, for administrators too.
    all_available: Option<bool>,
    /// Only of this visibility.
    #[param(inline)]
    visibility: Option<Visibility>,
    /// Only those that are in no other group.
    top_level_only: Option<bool>,
    /// Not the groups with these numbers.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    skip_groups: Vec<i64>,
    /// `false`: only those that are archived, which no group ever is.
    active: Option<bool>,
    /// Only those that are archived, or only the others.
    archived: Option<bool>,
}

/// List groups: those that the caller is a member of, and all for administrators.
#[utoipa::path(get, path = "/groups", tag = "Groups", params(PageQuery, OrderQuery, GroupQuery),
    responses((status = 200, body = [Group])))]
async fn list(caller: Caller, State(app): State<Arc<App>>, listing: Listing) -> Result<Response, ApiError> {
    answer(&app, &caller, &listing, Among::All).await
}

/// List the groups directly in a group.
#[utoipa::path(get, path = "/groups/{id}/subgroups", tag = "Groups", params(PageQuery, OrderQuery, GroupQuery),
    responses((status = 200, body = [Group])))]
async fn subgroups(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    listing: Listing,
) -> Result<Response, ApiError> {
    let group = group_for(&app, &caller, &id, Action::See).await?;
    answer(&app, &caller, &listing, Among::In(group.id)).await
}

/// List the groups in a group, however deep.
#[utoipa::path(get, path = "/groups/{id}/descendant_groups", tag = "Groups", params(PageQuery, OrderQuery, GroupQuery),
    responses((status = 200, body = [Group])))]
async fn descendants(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    listing: Listing,
) -> Result<Response, ApiError> {
    let group = group_for(&app, &caller, &id, Action::See).await?;
    answer(&app, &caller, &listing, Among::Below(group.id)).await
}

/// List the projects in a group: directly in it, or with `include_subgroups` in the groups below too.
#[utoipa::path(get, path = "/groups/{id}/projects", tag = "Groups",
    params(PageQuery, OrderQuery, ProjectQuery, Inclusion), responses((status = 200, body = [Project])))]
async fn projects(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    listing: Listing,
) -> Result<Response, ApiError> {
    let group = group_for(&app, &caller, &id, Action::See).await?;
    let Inclusion { include_subgroups } = listing.params.read()?;
    let among = if include_subgroups == Some(true) { Among::Below(group.id) } else { Among::In(group.id) };
    super::projects::answer(&app, &caller, &listing, among).await
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Inclusion {
    /// Projects of the groups below too.
    include_subgroups: Option<bool>,
}

async fn answer(app: &App, caller: &Caller, listing: &Listing, among: Among) -> Result<Response, ApiError> {
    let (page, numbers) = listing.asked_in_order()?;
    let asked: GroupQuery = listing.params.read()?;
    let least = least_role(asked.owned, asked.min_access_level, asked.all_available == Some(false));
    let filter = ScopeFilter {
        search: asked.search.map(|text| text.0),
        top_level: asked.top_level_only == Some(true),
        visibility_level: asked.visibility.map(Visibility::level),
        archived: archived(asked.archived, asked.active)?,
        without: asked.skip_groups,
        numbers,
        ..among.filter(app, caller, least)
    };
    let groups = app.store().list_groups(filter, page).await?;
    let names = shown::group_names(app, &groups.rows).await?;
    Ok(listing.answer(page, &groups, |group| group.id.0, |group| shown::named_group(app, group, &names)))
}

/// Which groups or projects a list is about.
#[derive(Clone, Copy)]
pub(super) enum Among {
    /// All that the caller is a member of; for administrators, all.
    All,
    /// Those directly in a group, which the caller may see.
    In(GroupId),
    /// Those in a group however deep, which the caller may see.
    Below(GroupId),
}

impl Among {
    /// Those of them that the caller may see; with a role, those where the caller is a member with at least that.
    pub(super) fn filter(self, app: &App, caller: &Caller, least_role: Option<AccessLevel>) -> ScopeFilter {
        let visible_to = match (least_role, self) {
            (Some(_), _) => Some((caller.actor.user_id, app.now())),
            (None, Self::All) => caller.sees(app),
            // Everything in a group is visible to those who see the group.
            (None, Self::In(_) | Self::Below(_)) => None,
        };
        let (parent, below) = match self {
            Self::All => (None, None),
            Self::In(group) => (Some(group), None),
            Self::Below(group) => (None, Some(group)),
        };
        ScopeFilter { parent, below, visible_to, least_role, ..ScopeFilter::default() }
    }
}

/// What is active is not archived.
pub(super) fn archived(archived: Option<bool>, active: Option<bool>) -> Result<Option<bool>, ApiError> {
    if archived.is_some() && archived == active {
        return Err(ApiError::bad_parameter("archived and active contradict each other"));
    }
    Ok(archived.or(active.map(|active| !active)))
}

/// The highest of the roles that a list asks for: that of an owner, a given one, that of any member.
pub(super) fn least_role(owned: Option<bool>, least: Option<Level>, is_member: bool) -> Option<AccessLevel> {
    let owner = (owned == Some(true)).then_some(AccessLevel::Owner);
    let member = is_member.then_some(AccessLevel::Guest);
    [owner, least.map(|level| level.0), member].into_iter().flatten().max()
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
    let group = app.store().create_group(new, app.now()).await?;
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
        place: None,
        name: input.name.map(|text| text.0),
        path: input.path.map(|text| path(text.0, "path")).transpose()?,
        description: input.description.0.map(|text| text.map(|text| text.0)),
        visibility_level: input.visibility.map(Visibility::level),
        chosen_by: caller.chosen_by(),
    };
    let changed = app.store().update_group(group.id, edit).await?.ok_or_else(|| ApiError::not_found("Group"))?;
    refresh(&app).await;
    Ok(Json(shown::group(&app, &changed).await?))
}

/// Where a group goes.
#[derive(Deserialize, ToSchema)]
struct GroupDestination {
    /// The number of the group; without it, the group is in no other.
    group_id: Option<i64>,
}

/// Move a group into another one, whose hooks hear of it from then on, or into none. Owners of the group and of both groups
/// around it; administrators, where there is none.
#[utoipa::path(post, path = "/groups/{id}/transfer", tag = "Groups", request_body = GroupDestination,
    responses((status = 201, body = Group)))]
async fn transfer(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    params: Params,
) -> Result<(StatusCode, Json<Group>), ApiError> {
    let group = group_for(&app, &caller, &id, Action::Administer).await?;
    let GroupDestination { group_id } = params.read()?;
    let target = group_id.map(GroupId);
    if target == group.parent {
        return Err(not_moved(match target {
            Some(_) => "Group is already associated to the parent group.",
            None => "Group is already a root group.",
        }));
    }
    // It takes the group out of the hearing of one group and into that of another.
    if let Some(parent) = group.parent {
        caller.require(&app, Scope::Group(parent), Action::Administer).await?;
    }
    let place = match target {
        Some(target) => GroupPlace::In(group_for(&app, &caller, &target.0.to_string(), Action::Administer).await?.id),
        // Making groups that are in no other is for administrators, too.
        None if caller.actor.is_admin => GroupPlace::Top,
        None => return Err(ApiError::forbidden()),
    };
    let edit = GroupEdit { place: Some(place), chosen_by: caller.chosen_by(), ..GroupEdit::default() };
    let moved = app.store().update_group(group.id, edit).await.map_err(|error| match error {
        Error::Circular => not_moved("Cannot transfer group to one of its subgroup."),
        Error::Taken(_) => not_moved("The parent group already has a subgroup or a project with the same path."),
        other => other.into(),
    })?;
    let moved = moved.ok_or_else(|| ApiError::not_found("Group"))?;
    refresh(&app).await;
    Ok((StatusCode::CREATED, Json(shown::group(&app, &moved).await?)))
}

fn not_moved(why: &str) -> ApiError {
    ApiError::Message(StatusCode::BAD_REQUEST, json!(format!("Transfer failed: {why}")))
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
    if let Err(error) = app.engine.context.refresh_directory().await {
        tracing::warn!("failed to read the directory again: {error:#}");
    }
}
