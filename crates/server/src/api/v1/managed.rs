//! The project or group that a request names, for callers who may manage its hooks. Everything that `/api/v1` shows to
//! users who are no administrators is limited to such a project or group.

use std::collections::HashMap;

use axum::http::StatusCode;
use quickdraw_domain::access::Action;
use quickdraw_domain::scope::Scope;
use quickdraw_engine::BodyNames;
use quickdraw_store::scopes::Name;

use super::lookup;
use crate::api::find_group;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::state::App;

/// Finds the project or group that a request names, each by id or full path. Administrators can name none, for the
/// whole instance.
///
/// # Errors
/// 404 for a project or group in which the caller is no member, 403 if the role of the caller is too low, or if a
/// caller who is no administrator names none.
pub(super) async fn scope_of(
    app: &App,
    caller: &Caller,
    project: Option<&str>,
    group: Option<&str>,
) -> Result<Scope, ApiError> {
    let scope = match (project, group) {
        (Some(_), Some(_)) => {
            return Err(ApiError::field(
                "group",
                "project and group cannot be combined; remove one of them",
            ));
        }
        (Some(project), None) => Scope::Project(lookup::find(app, caller, project).await?.id),
        (None, Some(group)) => Scope::Group(find_group(app, group).await?.id),
        (None, None) if caller.actor.is_admin => return Ok(Scope::Instance),
        (None, None) => {
            let text = "name a project or group that you maintain: project=… or group=…";
            return Err(ApiError::problem(StatusCode::FORBIDDEN, text));
        }
    };
    caller.require(scope, Action::Hooks).await?;

    Ok(scope)
}

/// Returns the ids by which insights know the projects of a scope. Projects of other users are never among them, even
/// if events name them by the same id.
///
/// # Errors
/// 404 if insights know no project of the scope.
pub(super) async fn ids_in_insights(app: &App, scope: Scope) -> Result<Vec<i64>, ApiError> {
    let found = ids_of(app, scope).await?;
    if found.is_empty() {
        let text = "insights do not know a project of this name yet, or its id also stands for a project of another \
            instance";
        return Err(ApiError::problem(StatusCode::NOT_FOUND, text));
    }

    Ok(found)
}

/// Returns the ids by which insights know the projects of a scope. The list is empty if insights know none of them.
///
/// # Errors
/// When the store fails.
pub(super) async fn ids_of(app: &App, scope: Scope) -> Result<Vec<i64>, ApiError> {
    let ids = BodyNames(&app.engine.context.directory()).of(scope);
    let mut found = ids.of_instances;

    if !ids.own.is_empty() {
        let named = app.store().insights_projects().await?;
        let paths: HashMap<i64, String> = named.into_iter().map(|project| (project.id, project.path)).collect();
        let place = path_of(app, scope).await?;

        // A backfill can contain a project of another instance with the same id and another path.
        let is_here = |id: &i64| paths.get(id).is_none_or(|path| place.contains(path));
        found.extend(ids.own.into_iter().map(|project| project.0).filter(is_here));
    }

    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// The path of a scope, in lower case.
struct ScopePath {
    path: String,
    is_group: bool,
}

impl ScopePath {
    /// Checks whether the path of a project is the path of the scope, or a path in the scope.
    fn contains(&self, project: &str) -> bool {
        let project = project.to_ascii_lowercase();
        if !self.is_group {
            return project == self.path;
        }

        project
            .strip_prefix(&self.path)
            .is_some_and(|rest| rest.starts_with('/'))
    }
}

async fn path_of(app: &App, scope: Scope) -> Result<ScopePath, ApiError> {
    let (path, is_group) = match scope {
        Scope::Project(id) => {
            let project = app.store().find_project(Name::Id(id.0)).await?;
            (project.map(|project| project.path_with_namespace), false)
        }
        Scope::Group(id) => {
            let group = app.store().find_group(Name::Id(id.0)).await?;
            (group.map(|group| group.full_path), true)
        }
        Scope::Instance => (None, false),
    };
    let path = path.ok_or_else(|| ApiError::not_found("Project"))?.to_ascii_lowercase();

    Ok(ScopePath { path, is_group })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_contains_projects_below_its_path() {
        let group = ScopePath {
            path: "gear".to_owned(),
            is_group: true,
        };
        assert!(group.contains("Gear/rope"));
        assert!(!group.contains("gearbox/rope"));

        let project = ScopePath {
            path: "gear/rope".to_owned(),
            is_group: false,
        };
        assert!(project.contains("gear/Rope"));
        assert!(!project.contains("gear/rope/x"));
    }
}
