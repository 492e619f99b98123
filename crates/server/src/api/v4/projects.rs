//! `/api/v4/projects`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use quickdraw_domain::GroupId;
use quickdraw_domain::access::{AccessLevel, Action};
use quickdraw_domain::directory::Change;
use quickdraw_domain::scope::{self, Scope};
use quickdraw_store::Error;
use quickdraw_store::access::{Actor, Member, MemberFilter};
use quickdraw_store::scopes::{NewProject, ProjectEdit, ScopeFilter};
use serde::Deserialize;
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::changes;
use super::groups::{Among, archived, least_role, path, refresh};
use super::namespaces::namespace_for;
use super::page::{Listing, OrderQuery, PageQuery};
use super::shown;
use super::target::project_for;
use crate::api::find_project;
use crate::auth::{Admin, Caller};
use crate::error::ApiError;
use crate::params::{Clearable, Level, Line, Params, Prose};
use crate::state::App;
use crate::views::{Message, Project, User, Visibility};

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, edit, delete))
        .routes(routes!(transfer))
        .routes(routes!(archive))
        .routes(routes!(unarchive))
        .routes(routes!(users))
}

/// Filters of a list of projects.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ProjectQuery {
    /// Only projects with this text in their name or path.
    #[param(inline)]
    search: Option<Line<255>>,

    /// Only projects that the caller owns.
    owned: Option<bool>,

    /// Only projects that the caller is a member of, for administrators too.
    membership: Option<bool>,

    /// Only projects in which the caller has at least this role.
    #[param(inline)]
    min_access_level: Option<Level>,

    /// Only projects with this visibility.
    #[param(inline)]
    visibility: Option<Visibility>,

    /// `true`: only archived projects. `false`: only projects that are not archived.
    archived: Option<bool>,

    /// `true`: only projects that are not archived. `false`: only archived projects.
    active: Option<bool>,
}

/// List projects. Non-administrators see only the projects that they are a member of.
#[utoipa::path(get, path = "/projects", tag = "Projects", params(PageQuery, OrderQuery, ProjectQuery),
    responses((status = 200, body = [Project])))]
async fn list(caller: Caller, State(app): State<Arc<App>>, listing: Listing) -> Result<Response, ApiError> {
    answer(&app, &caller, &listing, Among::All).await
}

pub(super) async fn answer(app: &App, caller: &Caller, listing: &Listing, among: Among) -> Result<Response, ApiError> {
    let (page, numbers) = listing.asked_in_order()?;
    let asked: ProjectQuery = listing.params.read()?;
    let least = least_role(asked.owned, asked.min_access_level, asked.membership == Some(true));

    let filter = ScopeFilter {
        search: asked.search.map(|text| text.0),
        visibility_level: asked.visibility.map(Visibility::level),
        archived: archived(asked.archived, asked.active)?,
        numbers,
        ..among.filter(app, caller, least)
    };
    let projects = app.store().list_projects(filter, page).await?;
    let details = shown::project_details(app, &projects.rows).await?;
    let view = |project: &scope::Project| Project::new(project, details.get(&project.id), &app.external_url);

    Ok(listing.answer(page, &projects, |project| project.id.0, view))
}

/// A project to create. Either `name` or `path` is required.
#[derive(Deserialize, ToSchema)]
struct ProjectToMake {
    /// Id of the group.
    namespace_id: i64,

    /// Display name.
    name: Option<Line<255>>,

    /// Last segment of the path.
    path: Option<Line<255>>,

    /// Free text.
    description: Option<Prose<2048>>,

    /// Default branch. Default: `main`.
    default_branch: Option<Line<255>>,

    /// Visibility of the project.
    visibility: Option<Visibility>,
}

/// Create a project in a group. Administrators only.
#[utoipa::path(post, path = "/projects", tag = "Projects", request_body = ProjectToMake,
    responses((status = 201, body = Project)))]
async fn create(
    Admin(actor): Admin,
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<(StatusCode, Json<Project>), ApiError> {
    let input: ProjectToMake = params.read()?;

    // GitLab accepts one of the two, and derives the other from it.
    let (name, path) = match (input.name, input.path) {
        (Some(name), Some(given)) => (name.0, path(given.0, "path")?),
        (None, Some(given)) => (given.0.clone(), path(given.0, "path")?),
        (Some(name), None) => (name.0.clone(), path(slug(&name.0), "name")?),
        (None, None) => {
            return Err(ApiError::bad_parameter(
                "name, path are missing, at least one parameter must be provided",
            ));
        }
    };

    let new = NewProject {
        group: GroupId(input.namespace_id),
        name,
        path,
        description: input.description.map(|text| text.0),
        default_branch: Some(
            input
                .default_branch
                .map_or_else(|| "main".to_owned(), |branch| branch.0),
        ),
        visibility_level: input.visibility.map_or(0, Visibility::level),
    };
    let made = app.store().create_project(new, app.now()).await;

    let project = made.map_err(|error| match error {
        // The group is a parameter here, so its absence is not a 404.
        Error::Missing(_) => ApiError::Message(StatusCode::BAD_REQUEST, json!({ "namespace": ["is not valid"] })),
        other => other.into(),
    })?;

    refresh(&app).await;
    let owners = changes::owners(&app, Scope::Project(project.id)).await;
    let change = Change::ProjectCreated(changes::project(&project, &owners));
    changes::report(&app, &actor, &[change]).await;

    Ok((StatusCode::CREATED, Json(shown::project(&app, &project).await?)))
}

/// Derives a path from a name as GitLab does: `My Project` becomes `my-project`.
fn slug(name: &str) -> String {
    let letters = name.chars().map(|c| {
        if c.is_ascii_alphanumeric() || "_.".contains(c) {
            c.to_ascii_lowercase()
        } else {
            ' '
        }
    });

    letters
        .collect::<String>()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join("-")
}

/// Changes to a project.
#[derive(Deserialize, ToSchema)]
struct ProjectToChange {
    /// Display name.
    name: Option<Line<255>>,

    /// Last segment of the path.
    path: Option<Line<255>>,

    /// Free text.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 2048)]
    description: Clearable<Prose<2048>>,

    /// Default branch.
    default_branch: Option<Line<255>>,

    /// Visibility of the project.
    visibility: Option<Visibility>,
}

/// Change a project. Maintainers and administrators.
#[utoipa::path(put, path = "/projects/{id}", tag = "Projects", request_body = ProjectToChange,
    responses((status = 200, body = Project)))]
async fn edit(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Project>, ApiError> {
    let project = project_for(&app, &caller, &id, Action::Administer).await?;
    let input: ProjectToChange = params.read()?;

    let edit = ProjectEdit {
        group: None,
        name: input.name.map(|text| text.0),
        path: input.path.map(|text| path(text.0, "path")).transpose()?,
        description: input.description.0.map(|text| text.0),
        default_branch: input.default_branch.map(|text| text.0),
        visibility_level: input.visibility.map(Visibility::level),
        archived: None,
        path_set_by: caller.path_set_by(),
    };
    changed(&app, &caller.actor, &project, edit).await
}

/// Target of a transfer.
#[derive(Deserialize, ToSchema)]
struct Destination {
    /// The group: id or full path.
    namespace: Line<255>,
}

/// Move a project into another group. Owners of both groups, and administrators.
///
/// The hooks of the new group get the events of the project from then on.
#[utoipa::path(put, path = "/projects/{id}/transfer", tag = "Projects", request_body = Destination,
    responses((status = 200, body = Project)))]
async fn transfer(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Project>, ApiError> {
    let project = project_for(&app, &caller, &id, Action::See).await?;
    let Destination { namespace } = params.read()?;

    // The transfer takes events of the project away from the hooks of one group and gives them to those of another.
    let target = namespace_for(&app, &caller, &namespace.0, Action::Administer).await?;
    caller.require(Scope::Group(project.group), Action::Administer).await?;

    let path_set_by = caller.path_set_by();
    changed(
        &app,
        &caller.actor,
        &project,
        ProjectEdit {
            group: Some(target.id),
            path_set_by,
            ..ProjectEdit::default()
        },
    )
    .await
}

/// Archive a project, so that lists can exclude it. Owners and administrators.
///
/// Its events are still delivered.
#[utoipa::path(post, path = "/projects/{id}/archive", tag = "Projects", responses((status = 201, body = Project)))]
async fn archive(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    _: Params,
) -> Result<(StatusCode, Json<Project>), ApiError> {
    set_archived(&app, &caller, &id, true).await
}

/// Restore a project from the archive. Owners and administrators.
#[utoipa::path(post, path = "/projects/{id}/unarchive", tag = "Projects", responses((status = 201, body = Project)))]
async fn unarchive(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    _: Params,
) -> Result<(StatusCode, Json<Project>), ApiError> {
    set_archived(&app, &caller, &id, false).await
}

async fn set_archived(
    app: &App,
    caller: &Caller,
    id: &str,
    archived: bool,
) -> Result<(StatusCode, Json<Project>), ApiError> {
    let project = project_for(app, caller, id, Action::See).await?;
    let role = app
        .store()
        .role(Scope::Project(project.id), caller.actor.user_id, app.now())
        .await?;
    if !caller.actor.is_admin && role != Some(AccessLevel::Owner) {
        return Err(ApiError::forbidden());
    }

    let edit = ProjectEdit {
        archived: Some(archived),
        ..ProjectEdit::default()
    };
    Ok((StatusCode::CREATED, changed(app, &caller.actor, &project, edit).await?))
}

/// Filters of a list of a project's users.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ProjectUserQuery {
    /// Only users with this text in their username or name; for administrators, in their e-mail address too.
    #[param(inline)]
    search: Option<Line<255>>,

    /// Exclude users with these ids.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    skip_users: Vec<i64>,
}

/// List the users of a project: its direct and inherited members. Members and administrators.
#[utoipa::path(get, path = "/projects/{id}/users", tag = "Projects", params(PageQuery, ProjectUserQuery),
    responses((status = 200, body = [User])))]
async fn users(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    listing: Listing,
) -> Result<Response, ApiError> {
    let project = project_for(&app, &caller, &id, Action::See).await?;
    let page = listing.asked()?;
    let ProjectUserQuery { search, skip_users } = listing.params.read()?;

    let filter = MemberFilter {
        search: search.map(|text| text.0),
        by_email: caller.actor.is_admin,
        users: None,
        without: skip_users,
    };

    let now = app.now();
    let members = app
        .store()
        .list_all_members(Scope::Project(project.id), now, filter, page)
        .await?;

    let view = |member: &Member| User::new(&member.user, &app.external_url);
    Ok(listing.answer(page, &members, |member| member.user.id, view))
}

async fn changed(app: &App, by: &Actor, before: &scope::Project, edit: ProjectEdit) -> Result<Json<Project>, ApiError> {
    let is_archiving = edit.archived.is_some();
    let changed = app
        .store()
        .update_project(before.id, edit)
        .await?
        .ok_or_else(|| ApiError::not_found("Project"))?;

    refresh(app).await;
    let owners = changes::owners(app, Scope::Project(changed.id)).await;
    let after = changes::project(&changed, &owners);
    let change = match Change::of_project(before, after) {
        None if is_archiving => Some(Change::ProjectUpdated(after)),
        change => change,
    };
    changes::report(app, by, change.as_slice()).await;

    Ok(Json(shown::project(app, &changed).await?))
}

/// Show a project. Members and administrators.
#[utoipa::path(get, path = "/projects/{id}", tag = "Projects", responses((status = 200, body = Project)))]
async fn show(caller: Caller, State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Project>, ApiError> {
    let project = project_for(&app, &caller, &id, Action::See).await?;
    Ok(Json(shown::project(&app, &project).await?))
}

/// Delete a project with its hooks. Administrators only.
///
/// Its events and insights are kept.
#[utoipa::path(delete, path = "/projects/{id}", tag = "Projects", responses((status = 202, body = Message)))]
async fn delete(
    Admin(actor): Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    _: Params,
) -> Result<(StatusCode, Json<Message>), ApiError> {
    let project = find_project(&app, &id).await?;
    let owners = changes::owners(&app, Scope::Project(project.id)).await;
    let is_deleted = app.store().delete_project(project.id).await?;
    refresh(&app).await;

    // Another request can have deleted it at the same time, and reports it.
    if is_deleted {
        let change = Change::ProjectRemoved(changes::project(&project, &owners));
        changes::report(&app, &actor, &[change]).await;
    }

    Ok((StatusCode::ACCEPTED, Json(Message::new("202 Accepted"))))
}
