//! GitLab's REST API v4, as far as it goes yet: groups, projects, hooks.

mod groups;
mod hooks;
mod members;
mod page;
mod projects;
mod target;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post, put};

use crate::state::App;

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/groups", get(groups::list).post(groups::create))
        .route("/groups/{id}", get(groups::show).put(groups::edit).delete(groups::delete))
        .route("/groups/{id}/subgroups", get(groups::subgroups))
        .route("/groups/{id}/projects", get(groups::projects))
        .route("/namespaces", get(groups::namespaces))
        .route("/projects", get(projects::list).post(projects::create))
        .route("/projects/{id}", get(projects::show).put(projects::edit).delete(projects::delete))
        .route("/projects/{id}/transfer", put(projects::transfer))
        .route("/user", get(users::me))
        .route("/user/personal_access_tokens", post(users::create_token))
        .route("/users", get(users::list).post(users::create))
        .route("/users/{id}", get(users::show))
        .route("/users/{id}/personal_access_tokens", post(users::create_token_for))
        .route("/personal_access_tokens/{id}", get(users::show_token).delete(users::revoke_token))
        .route("/version", get(users::version))
        .route("/metadata", get(users::version))
        .nest("/projects/{id}/members", members::routes())
        .nest("/groups/{id}/members", members::routes())
        .nest("/projects/{id}/hooks", hooks::routes())
        .nest("/groups/{id}/hooks", hooks::routes())
        .nest("/hooks", hooks::system_routes())
}
