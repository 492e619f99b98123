//! `/api/v4/projects`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use quickdraw_domain::access::Action;
use quickdraw_domain::scope::Scope;
use quickdraw_domain::{GroupId, ProjectId};
use quickdraw_store::scopes::{NewProject, ProjectEdit};
use serde_json::{Value, json};

use super::groups::{Seen, new_visibility, path, refresh, visibility};
use super::page::Listing;
use super::target::{group_for, project_for};
use crate::api::find_project;
use crate::auth::{Admin, Caller};
use crate::error::ApiError;
use crate::params::Params;
use crate::state::App;
use crate::views;

pub(super) async fn list(caller: Caller, State(app): State<Arc<App>>, listing: Listing) -> Result<Response, ApiError> {
    answer(&app, &listing, Seen::By(&caller)).await
}

pub(super) async fn answer(app: &App, listing: &Listing, seen: Seen<'_>) -> Result<Response, ApiError> {
    let asked = listing.asked()?;
    let projects = app.store().list_projects(seen.filter(app, listing)?, asked.rows()).await?;
    let rows = projects.rows.iter().map(|project| views::project(project, &app.external_url));
    Ok(listing.answer(&asked, projects.total, rows))
}

pub(super) async fn edit(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let project = project_for(&app, &caller, &id, Action::Administer).await?;
    let edit = ProjectEdit {
        group: None,
        name: params.line("name", 255)?.filter(|name| !name.is_empty()),
        description: params.change("description", 2048)?,
        default_branch: params.line("default_branch", 255)?.filter(|branch| !branch.is_empty()),
        visibility_level: new_visibility(&params)?,
    };
    changed(&app, project.id, edit).await
}

/// `PUT /projects/:id/transfer`: into another group, whose hooks hear of the project from then on. It needs an owner of
/// both, because it takes the project out of the hearing of one group and into that of another.
pub(super) async fn transfer(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<Value>, ApiError> {
    let project = project_for(&app, &caller, &id, Action::See).await?;
    let namespace = params.text("namespace")?.ok_or_else(|| ApiError::bad_parameter("namespace is missing"))?;
    let target = group_for(&app, &caller, &namespace, Action::Administer).await?;
    caller.require(&app, Scope::Group(project.group), Action::Administer).await?;
    changed(&app, project.id, ProjectEdit { group: Some(target.id), ..ProjectEdit::default() }).await
}

async fn changed(app: &App, id: ProjectId, edit: ProjectEdit) -> Result<Json<Value>, ApiError> {
    let changed = app.store().update_project(id, edit).await?.ok_or_else(|| ApiError::not_found("Project"))?;
    refresh(app).await;
    Ok(Json(views::project(&changed, &app.external_url)))
}

pub(super) async fn create(
    _: Admin,
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    // GitLab takes either and makes the other from it.
    let name = params.line("name", 255)?.filter(|name| !name.is_empty());
    let path = match params.text("path")? {
        Some(_) => path(&params, "path")?,
        None => match &name {
            Some(_) => path(&params, "name")?.to_lowercase(),
            None => {
                return Err(ApiError::bad_parameter("name, path are missing, at least one parameter must be provided"));
            }
        },
    };
    let group = params.integer("namespace_id")?.ok_or_else(|| ApiError::bad_parameter("namespace_id is missing"))?;
    let new = NewProject {
        group: GroupId(group),
        name: name.unwrap_or_else(|| path.clone()),
        path,
        description: params.text("description")?,
        default_branch: Some(params.line("default_branch", 255)?.unwrap_or_else(|| "main".to_owned())),
        visibility_level: visibility(&params)?,
    };
    let project = app.store().create_project(new, app.belt.clock().now()).await?;
    refresh(&app).await;
    Ok((StatusCode::CREATED, Json(views::project(&project, &app.external_url))))
}

pub(super) async fn show(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let project = project_for(&app, &caller, &id, Action::See).await?;
    Ok(Json(views::project(&project, &app.external_url)))
}

pub(super) async fn delete(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let project = find_project(&app, &id).await?;
    app.store().delete_project(project.id).await?;
    refresh(&app).await;
    Ok((StatusCode::ACCEPTED, Json(json!({ "message": "202 Accepted" }))))
}
