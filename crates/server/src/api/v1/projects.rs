//! Finds the projects and groups that a request about insights names: each by its id in Quickdraw or by its full path.
//! Insights know projects by their ids in received bodies, which are GitLab's.
//!
//! Administrators also find projects by paths that only events name, such as those of a backfill.

use axum::http::StatusCode;
use quickdraw_domain::scope::Scope;
use quickdraw_store::insights::NamedProject;
use quickdraw_store::scopes::Name;

use super::lookup::unknown;
use super::managed;
use crate::api;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::state::App;

/// Returns the ids by which insights know the projects that a request names; `None` for all projects.
///
/// # Errors
/// See [`managed::scope_of`]; 404 if insights know no such project.
pub(super) async fn chosen(
    app: &App,
    caller: &Caller,
    project: Option<&str>,
    group: Option<&str>,
) -> Result<Option<Vec<i64>>, ApiError> {
    if !caller.actor.is_admin {
        let scope = managed::scope_of(app, caller, project, group).await?;
        return Ok(Some(managed::ids_in_insights(app, scope).await?));
    }

    match (project, group) {
        (Some(_), Some(_)) => Err(ApiError::field(
            "group",
            "project and group cannot be combined; remove one of them",
        )),
        (Some(name), None) => Ok(Some(of_project(app, name).await?.ids)),
        (None, Some(name)) => Ok(Some(of_group(app, name).await?)),
        (None, None) => Ok(None),
    }
}

/// A project that an administrator named.
pub(super) struct Named {
    /// Its full path.
    pub(super) path: String,

    /// The ids by which insights know it. A path can have had several projects, one after the other.
    ids: Vec<i64>,
}

impl Named {
    /// The id of one project, where several make no sense: the highest one, which is that of the newest project.
    pub(super) fn newest(&self) -> i64 {
        self.ids.iter().copied().max().unwrap_or_default()
    }
}

/// Finds a project that an administrator named.
///
/// # Errors
/// 404 with the path that was probably meant, if neither Quickdraw nor insights know such a project.
pub(super) async fn of_project(app: &App, name: &str) -> Result<Named, ApiError> {
    let known = app.store().insights_projects().await?;
    let here = app.store().find_project(api::name(name)).await?;
    let is_number = name.parse::<i64>().is_ok();

    let path = match &here {
        Some(project) => project.path_with_namespace.clone(),
        None if is_number => return Err(unknown(name, &known)),
        None => name.to_owned(),
    };

    let of_path = known.iter().filter(|one| one.path.eq_ignore_ascii_case(&path));
    let mut ids: Vec<i64> = of_path.map(|one| one.id).collect();

    if let Some(project) = &here {
        ids.extend(managed::ids_of(app, Scope::Project(project.id)).await?);
    }

    if ids.is_empty() {
        return Err(unknown(name, &known));
    }

    ids.sort_unstable();
    ids.dedup();
    Ok(Named { path, ids })
}

/// Finds the projects of a group and its subgroups for an administrator.
async fn of_group(app: &App, name: &str) -> Result<Vec<i64>, ApiError> {
    let path = match name.parse::<i64>() {
        Ok(id) => {
            let group = app.store().find_group(Name::Id(id)).await?;
            group.ok_or_else(|| ApiError::not_found("Group"))?.full_path
        }
        Err(_) => name.to_owned(),
    };

    let start = format!("{}/", path.trim_matches('/').to_ascii_lowercase());
    let all = app.store().insights_projects().await?;
    let is_in = |project: &NamedProject| project.path.to_ascii_lowercase().starts_with(&start);
    let found: Vec<i64> = all.into_iter().filter(is_in).map(|project| project.id).collect();

    if found.is_empty() {
        return Err(ApiError::problem(
            StatusCode::NOT_FOUND,
            "no event has named a project of this group yet",
        ));
    }

    Ok(found)
}
