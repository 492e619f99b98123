//! The REST API: `/api/v4` follows GitLab, `/api/v1` covers what GitLab's API does not have.

pub mod v1;
pub mod v4;

use std::sync::Arc;

use quickdraw_domain::scope::{Group, Project};
use quickdraw_store::scopes::Name;
use utoipa_axum::router::OpenApiRouter;

use crate::error::ApiError;
use crate::state::App;

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .nest("/api/v4", v4::routes())
        .nest("/api/v1", v1::routes())
}

/// Reads `:id` of a project or group: a number, or a full path. The router has already decoded `%2F` to a slash.
pub(crate) fn name(id: &str) -> Name {
    id.parse()
        .map_or_else(|_| Name::Path(id.replace('\0', "\u{fffd}")), Name::Id)
}

pub(crate) async fn find_project(app: &App, id: &str) -> Result<Project, ApiError> {
    app.store()
        .find_project(name(id))
        .await?
        .ok_or_else(|| ApiError::not_found("Project"))
}

pub(crate) async fn find_group(app: &App, id: &str) -> Result<Group, ApiError> {
    app.store()
        .find_group(name(id))
        .await?
        .ok_or_else(|| ApiError::not_found("Group"))
}
