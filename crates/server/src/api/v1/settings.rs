//! The settings in force on this node, and where each of them comes from.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Admin;
use crate::process::SettingInForce;
use crate::state::App;
use crate::views::Page;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list))
}

/// List the settings in force on the node that answers, and where each comes from. Administrators only.
///
/// Secrets are shown as set or not set, never with their values. Settings are read when the server starts.
#[utoipa::path(get, path = "/settings", tag = "Operations",
    responses((status = 200, body = Page<SettingInForce>)))]
async fn list(_: Admin, State(app): State<Arc<App>>) -> Json<Page<SettingInForce>> {
    Json(Page::whole(app.process().settings.iter().cloned()))
}
