//! `/api/v4/application/settings`: the few of GitLab's application settings that exist here.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::refresh;
use crate::auth::Admin;
use crate::error::ApiError;
use crate::params::Params;
use crate::state::App;
use crate::views::Iso;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(show, edit))
}

/// Application settings. GitLab's other settings do not exist here.
#[derive(Serialize, ToSchema)]
struct ApplicationSettings {
    /// True in silent mode: events are stored, and no webhook is called.
    silent_mode_enabled: bool,

    /// Time at which silent mode was turned on; null if it is off, and if only the settings turn it on.
    silent_mode_since: Option<Iso>,

    /// True if `delivery.silent` in the settings turns silent mode on, so that this API cannot turn it off.
    silent_mode_set_by_settings: bool,

    /// True if webhooks can call local networks: `guard.allow_local_networks` in the settings. It cannot be changed
    /// here.
    allow_local_requests_from_web_hooks_and_services: bool,
}

impl ApplicationSettings {
    fn of(app: &App) -> Self {
        let context = &app.engine.context;
        let directory = context.directory();
        Self {
            silent_mode_enabled: directory.silence().is_on(),
            silent_mode_since: directory.silence().since.map(Iso),
            silent_mode_set_by_settings: context.settings().silent,
            allow_local_requests_from_web_hooks_and_services: context.settings().guard.allow_local_networks,
        }
    }
}

/// Settings to change.
#[derive(Deserialize, ToSchema)]
struct SettingsToChange {
    /// True to turn silent mode on: events are stored, and no webhook is called. False to turn it off.
    silent_mode_enabled: Option<bool>,
}

/// Show the application settings. Administrators only.
#[utoipa::path(get, path = "/application/settings", tag = "Settings",
    responses((status = 200, body = ApplicationSettings)))]
async fn show(_: Admin, State(app): State<Arc<App>>) -> Json<ApplicationSettings> {
    refresh(&app).await;
    Json(ApplicationSettings::of(&app))
}

/// Change the application settings. Administrators only.
///
/// All nodes follow within seconds. An event that arrives in silent mode is stored, with the skip reason `silent_mode`
/// for each webhook that would have got it. Retries wait. A replay with `skipped=silent_mode` delivers the skipped
/// events later.
#[utoipa::path(put, path = "/application/settings", tag = "Settings", request_body = SettingsToChange,
    responses((status = 200, body = ApplicationSettings)))]
async fn edit(_: Admin, State(app): State<Arc<App>>, params: Params) -> Result<Json<ApplicationSettings>, ApiError> {
    let SettingsToChange { silent_mode_enabled } = params.read()?;
    let Some(enabled) = silent_mode_enabled else {
        return Err(ApiError::bad_parameter("silent_mode_enabled is missing"));
    };

    if app.engine.context.settings().silent {
        return Err(ApiError::unprocessable(
            "silent_mode_enabled is set by delivery.silent in the settings of this server; change it there",
        ));
    }

    app.store().set_silent(enabled.then(|| app.now())).await?;
    refresh(&app).await;
    Ok(Json(ApplicationSettings::of(&app)))
}
