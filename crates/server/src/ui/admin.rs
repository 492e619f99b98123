//! Pages of the administration, at `/admin/…`. Their routes have no level, because only the instance has them.

mod audit;
mod audit_words;
mod guard;
mod health;
mod names;
mod settings;
mod support_bundle;
mod tokens;
mod user;
mod user_form;
mod users;
mod workers;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use super::Ui;
use super::frame::Frame;
use super::navigation::Section;
use super::place::Visit;

pub(super) fn routes() -> Router<Arc<Ui>> {
    Router::new()
        .route("/instance/{path}/users", get(users::list).post(users::create))
        .route("/instance/{path}/users/new", get(users::new))
        .route("/instance/{path}/users/{user_id}", get(user::show).post(user::save))
        .route("/instance/{path}/users/{user_id}/block", post(user::block))
        .route("/instance/{path}/users/{user_id}/unblock", post(user::unblock))
        .route(
            "/instance/{path}/users/{user_id}/delete",
            get(user::ask).post(user::delete),
        )
        .route("/instance/{path}/users/{user_id}/tokens", post(user::create_token))
        .route("/instance/{path}/access_tokens", get(tokens::list))
        .route(
            "/instance/{path}/access_tokens/{token_id}",
            get(tokens::ask).post(tokens::revoke),
        )
        .route("/instance/{path}/audit", get(audit::list))
        .route("/instance/{path}/health", get(health::show))
        .route("/instance/{path}/health/live", get(health::follow))
        .route("/instance/{path}/settings", get(settings::show).post(settings::change))
        .route("/instance/{path}/guard", get(guard::show).post(guard::test))
        .route(
            "/instance/{path}/support_bundle",
            get(support_bundle::show).post(support_bundle::download),
        )
}

/// The frame of a page of the administration.
fn frame(ui: &Ui, at: &Visit, section: Section, title: impl Into<String>) -> Frame {
    Frame::at(ui, &at.person, &at.place, section, title)
}
