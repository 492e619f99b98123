//! The account of the user who calls: the password.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use quickdraw_domain::password::Password;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Caller;
use crate::error::ApiError;
use crate::extract::ClientAddress;
use crate::params::{Hidden, Input};
use crate::state::App;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(change_password))
}

/// A change of the own password.
#[derive(Deserialize, ToSchema)]
struct PasswordToChange {
    /// The password until now.
    current_password: Hidden,

    /// The new password: at least 10 characters, at most 128 bytes.
    password: Hidden,
}

/// Change the own password.
///
/// All other sessions of the user in browsers end. Access tokens stay valid. An administrator sets the first password of
/// a user with `PUT /api/v4/users/{id}`. After several wrong passwords, further attempts are answered with 429 for a
/// time that grows.
#[utoipa::path(put, path = "/user/password", tag = "Users", request_body = PasswordToChange,
    responses((status = 204)))]
async fn change_password(
    caller: Caller,
    State(app): State<Arc<App>>,
    ClientAddress(address): ClientAddress,
    Input(input): Input<PasswordToChange>,
) -> Result<StatusCode, ApiError> {
    let user = app.store().find_user(caller.actor.user_id).await?;
    let user = user.ok_or_else(ApiError::unauthorized)?;
    if app.store().password_of(user.id).await?.is_none() {
        let text = "the user has no password yet; an administrator sets the first one with PUT /api/v4/users/:id";
        return Err(ApiError::problem(StatusCode::CONFLICT, text));
    }

    let password = Password::parse(input.password.0.expose(), &user.username)
        .map_err(|error| ApiError::field("password", format!("password {error}")))?;

    let confirmed = app.passwords.confirm(&user, &input.current_password.0, address).await;
    confirmed.map_err(|refused| refused.of_parameter("current_password"))?;

    let hash = app.passwords.hash(password).await?;
    app.store().set_password(user.id, hash, None, app.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
