//! The account of the user who calls: the password, and the sessions in browsers.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use quickdraw_domain::password::Password;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Caller;
use crate::error::ApiError;
use crate::extract::ClientAddress;
use crate::params::{Hidden, Input, Params};
use crate::state::App;
use crate::views::{Iso, Page};

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(change_password))
        .routes(routes!(list_sessions, end_sessions))
        .routes(routes!(end_session))
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
/// All other sessions of the user in browsers end. Access tokens stay valid. An administrator sets the first password
/// of a user with `PUT /api/v4/users/{id}`. After several wrong passwords, further attempts are answered with 429 for a
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
    app.store()
        .set_password(user.id, hash, caller.session, app.now())
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A session in a browser.
#[derive(Serialize, ToSchema)]
struct Session {
    /// Id of the session.
    id: i64,

    /// Time of the sign-in.
    created_at: Iso,

    /// Time of the last request, to the minute.
    last_used_at: Iso,

    /// Time at which the session ends in any case. It also ends after 8 hours without a request.
    expires_at: Iso,

    /// IP address at the sign-in.
    address: Option<String>,

    /// Name that the browser gave itself at the sign-in.
    browser: String,

    /// True for the session that sent this request. Only pages of the web interface have one.
    is_current: bool,
}

/// List the own sessions in browsers, the last used first. There are at most 50.
#[utoipa::path(get, path = "/user/sessions", tag = "Users", responses((status = 200, body = Page<Session>)))]
async fn list_sessions(caller: Caller, State(app): State<Arc<App>>) -> Result<Json<Page<Session>>, ApiError> {
    let found = app.store().list_sessions(caller.actor.user_id, app.now()).await?;
    let sessions = found.into_iter().map(|session| Session {
        is_current: caller.session == Some(session.id),
        id: session.id,
        created_at: Iso(session.created_at),
        last_used_at: Iso(session.used_at),
        expires_at: Iso(session.expires_at),
        address: session.address,
        browser: session.browser,
    });
    Ok(Json(Page::whole(sessions)))
}

/// Result of ending sessions.
#[derive(Serialize, ToSchema)]
struct Ended {
    /// Number of sessions that ended.
    ended: usize,
}

/// Sign out of all browsers. The session that sends this request continues.
#[utoipa::path(delete, path = "/user/sessions", tag = "Users", responses((status = 200, body = Ended)))]
async fn end_sessions(caller: Caller, State(app): State<Arc<App>>, _: Params) -> Result<Json<Ended>, ApiError> {
    let ended = app.store().end_sessions(caller.actor.user_id, caller.session).await?;
    Ok(Json(Ended { ended }))
}

/// Sign out of one browser.
#[utoipa::path(delete, path = "/user/sessions/{session_id}", tag = "Users", responses((status = 204)))]
async fn end_session(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    _: Params,
) -> Result<StatusCode, ApiError> {
    let id: i64 = id
        .parse()
        .map_err(|_| ApiError::bad_parameter("session_id is invalid"))?;
    if app.store().end_session(caller.actor.user_id, id).await? {
        return Ok(StatusCode::NO_CONTENT);
    }

    let text = "there is no session with this id; GET /api/v1/user/sessions lists your sessions";
    Err(ApiError::problem(StatusCode::NOT_FOUND, text))
}
