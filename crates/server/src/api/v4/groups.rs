//! `/api/v4/groups`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use quickdraw_domain::GroupId;
use quickdraw_domain::access::{AccessLevel, Action};
use quickdraw_domain::directory::Change;
use quickdraw_domain::scope::{Scope, check_path_segment};
use quickdraw_store::Error;
use quickdraw_store::scopes::{GroupEdit, GroupPlace, NewGroup, ScopeFilter};
use serde::Deserialize;
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::changes::{self, Doomed};
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

/// Filters of a list of groups.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct GroupQuery {
    /// Only groups with this text in their name or path.
    #[param(inline)]
    search: Option<Line<255>>,

    /// Only groups that the caller owns.
    owned: Option<bool>,

    /// Only groups in which the caller has at least this role.
    #[param(inline)]
    min_access_level: Option<Level>,

    /// `false`: only groups that the caller is a member of, for administrators too.
    all_available: Option<bool>,

    /// Only groups with this visibility.
    #[param(inline)]
    visibility: Option<Visibility>,

    /// Only top-level groups.
    top_level_only: Option<bool>,

    /// Exclude the groups with these ids.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    skip_groups: Vec<i64>,

    /// `false`: only archived groups. Groups are never archived here, so the list is then empty.
    active: Option<bool>,

    /// `true`: only archived groups. `false`: only groups that are not archived.
    archived: Option<bool>,
}

/// List groups. Non-administrators see only the groups that they are a member of.
#[utoipa::path(get, path = "/groups", tag = "Groups", params(PageQuery, OrderQuery, GroupQuery),
    responses((status = 200, body = [Group])))]
async fn list(caller: Caller, State(app): State<Arc<App>>, listing: Listing) -> Result<Response, ApiError> {
    answer(&app, &caller, &listing, Among::All).await
}

/// List the direct subgroups of a group. Members and administrators.
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

/// List all subgroups of a group, at any depth. Members and administrators.
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

/// List the projects of a group. Members and administrators.
///
/// With `include_subgroups`, projects of its subgroups are included.
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

    let among = if include_subgroups == Some(true) {
        Among::Below(group.id)
    } else {
        Among::In(group.id)
    };
    super::projects::answer(&app, &caller, &listing, among).await
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Inclusion {
    /// Include projects of subgroups.
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

    Ok(listing.answer(
        page,
        &groups,
        |group| group.id.0,
        |group| shown::named_group(app, group, &names),
    ))
}

/// The groups or projects that a list selects from.
#[derive(Clone, Copy)]
pub(super) enum Among {
    /// All that the caller is a member of; for administrators, all.
    All,

    /// Those directly in a group that the caller can see.
    In(GroupId),

    /// Those at any depth in a group that the caller can see.
    Below(GroupId),
}

impl Among {
    /// Builds the filter of the groups or projects that the caller can see. With a role, only those in which the
    /// caller has at least this role.
    pub(super) fn filter(self, app: &App, caller: &Caller, least_role: Option<AccessLevel>) -> ScopeFilter {
        let visible_to = match (least_role, self) {
            (Some(_), _) => Some((caller.actor.user_id, app.now())),
            (None, Self::All) => caller.sees(),
            // Members of a group can see everything in it.
            (None, Self::In(_) | Self::Below(_)) => None,
        };

        let (parent, below) = match self {
            Self::All => (None, None),
            Self::In(group) => (Some(group), None),
            Self::Below(group) => (None, Some(group)),
        };

        ScopeFilter {
            parent,
            below,
            visible_to,
            least_role,
            ..ScopeFilter::default()
        }
    }
}

/// Combines `archived` with `active`, its opposite.
pub(super) fn archived(archived: Option<bool>, active: Option<bool>) -> Result<Option<bool>, ApiError> {
    if archived.is_some() && archived == active {
        return Err(ApiError::bad_parameter("archived and active contradict each other"));
    }

    Ok(archived.or(active.map(|active| !active)))
}

/// Returns the highest role that the filters require.
pub(super) fn least_role(owned: Option<bool>, least: Option<Level>, is_member: bool) -> Option<AccessLevel> {
    let owner = (owned == Some(true)).then_some(AccessLevel::Owner);
    let member = is_member.then_some(AccessLevel::Guest);
    [owner, least.map(|level| level.0), member].into_iter().flatten().max()
}

/// A group to create.
#[derive(Deserialize, ToSchema)]
struct GroupToMake {
    /// Id of the parent group. Default: a top-level group.
    parent_id: Option<i64>,

    /// Display name.
    name: Line<255>,

    /// Last segment of the path.
    path: Line<255>,

    /// Free text.
    description: Option<Prose<2048>>,

    /// Visibility of the group.
    visibility: Option<Visibility>,
}

/// Create a group. Administrators only.
#[utoipa::path(post, path = "/groups", tag = "Groups", request_body = GroupToMake,
    responses((status = 201, body = Group)))]
async fn create(
    Admin(actor): Admin,
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<(StatusCode, Json<Group>), ApiError> {
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
    let parent = changes::parent(&app, &group).await;
    let change = Change::GroupCreated(changes::group(&group, parent.as_ref()));
    changes::report(&app, &actor, &[change]).await;

    Ok((StatusCode::CREATED, Json(shown::group(&app, &group).await?)))
}

/// Changes to a group.
#[derive(Deserialize, ToSchema)]
struct GroupToChange {
    /// Display name.
    name: Option<Line<255>>,

    /// Last segment of the path. The paths of all subgroups and projects change as well.
    path: Option<Line<255>>,

    /// Free text.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 2048)]
    description: Clearable<Prose<2048>>,

    /// Visibility of the group.
    visibility: Option<Visibility>,
}

/// Change a group. Owners and administrators.
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
        description: input.description.0.map(|text| text.0),
        visibility_level: input.visibility.map(Visibility::level),
        path_set_by: caller.path_set_by(),
    };

    let changed = app
        .store()
        .update_group(group.id, edit)
        .await?
        .ok_or_else(|| ApiError::not_found("Group"))?;

    refresh(&app).await;
    let parent = changes::parent(&app, &changed).await;
    let change = Change::of_group(&group, changes::group(&changed, parent.as_ref()));
    changes::report(&app, &caller.actor, change.as_slice()).await;

    Ok(Json(shown::group(&app, &changed).await?))
}

/// Target of a transfer.
#[derive(Deserialize, ToSchema)]
struct GroupDestination {
    /// Id of the new parent group. Without it, the group becomes a top-level group.
    group_id: Option<i64>,
}

/// Move a group into another group, or make it a top-level group. Owners of the group, of its parent and of the new
/// parent, and administrators.
///
/// The hooks of the new parent get the events of the group from then on. As in GitLab, no event reports the move. Only
/// administrators can make it a top-level group.
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

    // The transfer takes events of the group away from the hooks of one parent and gives them to those of another.
    if let Some(parent) = group.parent {
        caller.require(Scope::Group(parent), Action::Administer).await?;
    }

    let place = match target {
        Some(target) => GroupPlace::In(
            group_for(&app, &caller, &target.0.to_string(), Action::Administer)
                .await?
                .id,
        ),
        // Only administrators can create top-level groups, too.
        None if caller.actor.is_admin => GroupPlace::Top,
        None => return Err(ApiError::forbidden()),
    };

    let edit = GroupEdit {
        place: Some(place),
        path_set_by: caller.path_set_by(),
        ..GroupEdit::default()
    };

    let moved = app
        .store()
        .update_group(group.id, edit)
        .await
        .map_err(|error| match error {
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

/// Show a group. Members and administrators.
#[utoipa::path(get, path = "/groups/{id}", tag = "Groups", responses((status = 200, body = Group)))]
async fn show(caller: Caller, State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Group>, ApiError> {
    let group = group_for(&app, &caller, &id, Action::See).await?;
    Ok(Json(shown::group(&app, &group).await?))
}

/// Delete a group with its subgroups, projects and their hooks. Administrators only.
#[utoipa::path(delete, path = "/groups/{id}", tag = "Groups", responses((status = 202, body = Message)))]
async fn delete(
    Admin(actor): Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    _: Params,
) -> Result<(StatusCode, Json<Message>), ApiError> {
    let group = find_group(&app, &id).await?;
    let doomed = Doomed::read(&app, &group).await?;
    let is_deleted = app.store().delete_group(group.id).await?;
    refresh(&app).await;

    if is_deleted {
        changes::report(&app, &actor, &doomed.changes()).await;
    }

    Ok((StatusCode::ACCEPTED, Json(Message::new("202 Accepted"))))
}

/// Checks the path of a new group or project, which is the parameter `name`.
pub(super) fn path(path: String, name: &str) -> Result<String, ApiError> {
    check_path_segment(&path)
        .map_err(|error| ApiError::Message(StatusCode::BAD_REQUEST, json!({ name: [error.to_string()] })))?;
    Ok(path)
}

/// Reads the directory again, so that the next event on this node is decided with the change. If this fails, fan-out
/// notices the change later.
pub(crate) async fn refresh(app: &App) {
    if let Err(error) = app.engine.context.refresh_directory().await {
        tracing::warn!("failed to read the directory again: {error:#}");
    }
}
