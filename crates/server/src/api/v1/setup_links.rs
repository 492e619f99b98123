//! Set-up links, with which an administrator regains access to the web interface.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Admin;
use crate::error::ApiError;
use crate::params::Params;
use crate::setup;
use crate::state::App;
use crate::views::Iso;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(create))
}

/// A set-up link.
#[derive(Serialize, ToSchema)]
struct SetupLink {
    /// Address to open in a browser. It is a secret.
    url: String,

    /// Time until which the link is valid.
    expires_at: Iso,
}

/// Create a link with which an administrator chooses a name and a password in a browser. Administrators only.
///
/// The link is for user 1, to whom the root token belongs. It can be used once, is valid for 30 minutes, and replaces
/// the link before.
#[utoipa::path(post, path = "/setup_links", tag = "Users", responses((status = 201, body = SetupLink)))]
async fn create(_: Admin, State(app): State<Arc<App>>, _: Params) -> Result<(StatusCode, Json<SetupLink>), ApiError> {
    let link = setup::create(app.store(), &app.external_url, app.now())
        .await
        .map_err(ApiError::internal)?;
    let link = SetupLink {
        url: link.url,
        expires_at: Iso(link.expires_at),
    };
    Ok((StatusCode::CREATED, Json(link)))
}
