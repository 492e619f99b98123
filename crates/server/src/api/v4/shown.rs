//! Views of groups and projects, with the names of their parent groups.

use std::collections::HashMap;

use quickdraw_domain::{GroupId, ProjectId, scope};
use quickdraw_store::details::ProjectDetails;

use crate::error::ApiError;
use crate::state::App;
use crate::views::{Group, Project};

/// Builds the view of one group.
pub(super) async fn group(app: &App, group: &scope::Group) -> Result<Group, ApiError> {
    let names = group_names(app, std::slice::from_ref(group)).await?;
    Ok(named_group(app, group, &names))
}

/// Reads the full names of the groups in a page.
pub(super) async fn group_names(app: &App, groups: &[scope::Group]) -> Result<HashMap<GroupId, String>, ApiError> {
    Ok(app
        .store()
        .group_names(groups.iter().map(|group| group.id).collect())
        .await?)
}

/// Builds the view of a group in a page. A group that was just deleted shows its own name only.
pub(super) fn named_group(app: &App, group: &scope::Group, names: &HashMap<GroupId, String>) -> Group {
    let full_name = names.get(&group.id).unwrap_or(&group.name).clone();
    Group::new(group, full_name, &app.external_url)
}

/// Builds the view of one project.
pub(super) async fn project(app: &App, project: &scope::Project) -> Result<Project, ApiError> {
    let details = project_details(app, std::slice::from_ref(project)).await?;
    Ok(Project::new(project, details.get(&project.id), &app.external_url))
}

/// Reads the details with which the projects of a page are shown.
pub(super) async fn project_details(
    app: &App,
    projects: &[scope::Project],
) -> Result<HashMap<ProjectId, ProjectDetails>, ApiError> {
    Ok(app
        .store()
        .project_details(projects.iter().map(|project| project.id).collect())
        .await?)
}
