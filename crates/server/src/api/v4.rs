//! GitLab's REST API v4: groups, projects, members, users, tokens, SSH keys, hooks.

mod changes;
mod groups;
mod hooks;
mod members;
mod namespaces;
mod page;
mod projects;
mod settings;
mod shown;
mod ssh_keys;
mod target;
mod tokens;
mod users;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;

pub(crate) use groups::refresh;

use crate::state::App;

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .merge(groups::routes())
        .merge(namespaces::routes())
        .merge(projects::routes())
        .merge(settings::routes())
        .merge(users::routes())
        .merge(ssh_keys::routes())
        .merge(tokens::routes())
        .nest("/projects/{id}/members", members::routes())
        .nest("/groups/{id}/members", members::routes())
        .nest("/projects/{id}/access_tokens", tokens::scope_routes())
        .nest("/groups/{id}/access_tokens", tokens::scope_routes())
        .nest("/projects/{id}/hooks", hooks::routes())
        .nest("/groups/{id}/hooks", hooks::routes())
        .nest("/hooks", hooks::system_routes())
}
