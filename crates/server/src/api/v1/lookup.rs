//! Finds the project of a filter, and says which one an unknown name probably means.

use axum::http::StatusCode;
use quickdraw_domain::scope::Project;
use quickdraw_store::insights::NamedProject;

use crate::api;
use crate::auth::Caller;
use crate::error::{ApiError, FieldError, Kind};
use crate::params::near;
use crate::state::App;

/// Largest number of paths that are compared with a misspelled one.
const MAX_COMPARED: usize = 10_000;

/// Finds a project for a filter. An administrator gets the path that was probably meant; other users do not learn
/// paths.
///
/// # Errors
/// 404 for an unknown project.
pub(super) async fn find(app: &App, caller: &Caller, name: &str) -> Result<Project, ApiError> {
    if caller.actor.is_admin {
        find_for_admin(app, name).await
    } else {
        api::find_project(app, name).await
    }
}

/// Finds a project for a filter of an administrator.
///
/// # Errors
/// 404 for an unknown project, with the path that was probably meant.
pub(super) async fn find_for_admin(app: &App, name: &str) -> Result<Project, ApiError> {
    match app.store().find_project(api::name(name)).await? {
        Some(project) => Ok(project),
        None => Err(unknown(name, &app.store().insights_projects().await?)),
    }
}

/// The 404 for an unknown project, with the path that was probably meant.
pub(super) fn unknown(name: &str, known: &[NamedProject]) -> ApiError {
    let shown = near::shown(name);
    let of_gitlab = known.iter().find(|one| one.id.to_string() == name);

    let (detail, meant) = match of_gitlab {
        Some(project) => (
            format!(
                "there is no project with the id {shown} in Quickdraw; if you mean the id in GitLab, use the path {}",
                project.path
            ),
            Some(project.path.clone()),
        ),

        None => {
            let paths = known.iter().take(MAX_COMPARED).map(|one| one.path.as_str());
            match near::nearest(name, paths) {
                Some(meant) => (
                    format!("there is no project {shown}; did you mean {meant}?"),
                    Some(meant.to_owned()),
                ),
                None => (
                    format!("there is no project {shown}; use its id in Quickdraw or its full path"),
                    None,
                ),
            }
        }
    };

    let error = FieldError {
        field: "project".to_owned(),
        detail,
        choices: Vec::new(),
        did_you_mean: meant,
    };
    ApiError::fields_with(StatusCode::NOT_FOUND, Kind::NotFound, vec![error])
}

#[cfg(test)]
mod tests {
    use quickdraw_domain::Timestamp;

    use super::*;

    fn check(name: &str, detail: &str, meant: Option<&str>) {
        let known = [(77, "gear/rope"), (78, "gear/sling")].map(|(id, path)| NamedProject {
            id,
            path: path.to_owned(),
            seen_at: Timestamp::default(),
        });

        let ApiError::Fields(status, _, problem) = unknown(name, &known) else {
            panic!("it names the parameter");
        };
        assert_eq!((status, problem.kind), (StatusCode::NOT_FOUND, Kind::NotFound));

        let error = &problem.errors[0];
        assert!(error.detail.contains(detail), "{}", error.detail);
        assert_eq!(error.did_you_mean.as_deref(), meant);
    }

    #[test]
    fn an_unknown_project_gets_the_path_that_was_probably_meant() {
        check("gear/rpoe", "did you mean gear/rope?", Some("gear/rope"));
        check("77", "use the path gear/rope", Some("gear/rope"));
        check("5", "use its id in Quickdraw or its full path", None);
    }
}
