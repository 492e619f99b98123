//! GitLab's REST API v4, as far as it goes yet: groups, projects, hooks.

mod groups;
mod hooks;
mod page;
mod projects;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::state::App;

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/groups", get(groups::list).post(groups::create))
        .route("/groups/{id}", get(groups::show).delete(groups::delete))
        .route("/projects", get(projects::list).post(projects::create))
        .route("/projects/{id}", get(projects::show).delete(projects::delete))
        .nest("/projects/{id}/hooks", hooks::routes())
        .nest("/groups/{id}/hooks", hooks::routes())
        .nest("/hooks", hooks::system_routes())
}
