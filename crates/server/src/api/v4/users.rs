//! Users and their personal access tokens: `/user`, `/users`, `/personal_access_tokens`; and what clients ask first,
//! `/version` and `/metadata`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use quickdraw_domain::Timestamp;
use quickdraw_domain::scope::check_path_segment;
use quickdraw_domain::signature::TokenDigest;
use quickdraw_store::access::{NewToken, NewUser, Token, User};
use serde_json::{Value, json};

use super::page::Listing;
use crate::auth::{Admin, Caller};
use crate::error::ApiError;
use crate::params::Params;
use crate::state::App;

const DAY: i64 = 86_400;
/// How long a token is good that says nothing else.
const DEFAULT_DAYS: i64 = 365;

pub(super) async fn me(Caller(actor): Caller, State(app): State<Arc<App>>) -> Result<Json<Value>, ApiError> {
    let user = app.store().find_user(actor.user_id).await?.ok_or_else(ApiError::unauthorized)?;
    Ok(Json(view(&user, &app.external_url, true)))
}

/// The version of GitLab whose contract this is, because clients compare it.
pub(super) async fn version(_: Caller) -> Json<Value> {
    Json(json!({ "version": "19.1.0-quickdraw", "revision": env!("CARGO_PKG_VERSION"), "enterprise": false }))
}

pub(super) async fn list(_: Admin, State(app): State<Arc<App>>, listing: Listing) -> Result<Response, ApiError> {
    let asked = listing.asked()?;
    let users = app.store().list_users(listing.params.text("username")?, asked.rows()).await?;
    Ok(listing.answer(&asked, users.total, users.rows.iter().map(|user| view(user, &app.external_url, true))))
}

pub(super) async fn show(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let id: i64 = id.parse().map_err(|_| ApiError::bad_parameter("id is invalid"))?;
    let user = app.store().find_user(id).await?.ok_or_else(|| ApiError::not_found("User"))?;
    let all = caller.0.is_admin || caller.0.user_id == user.id;
    Ok(Json(view(&user, &app.external_url, all)))
}

pub(super) async fn create(
    _: Admin,
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let username = params.required("username", 255)?;
    check_path_segment(&username)
        .map_err(|error| ApiError::Message(StatusCode::BAD_REQUEST, json!({ "username": [error.to_string()] })))?;
    let new = NewUser {
        name: params.required("name", 255)?,
        email: params.line("email", 255)?.filter(|email| !email.is_empty()),
        is_admin: params.flag("admin")?.unwrap_or(false),
        username,
    };
    let user = app.store().create_user(new, app.belt.clock().now()).await?;
    Ok((StatusCode::CREATED, Json(view(&user, &app.external_url, true))))
}

/// An administrator makes a token for somebody.
pub(super) async fn create_token_for(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    params: Params,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let id = id.parse().map_err(|_| ApiError::bad_parameter("id is invalid"))?;
    make_token(&app, id, &params).await
}

/// Somebody makes a token of their own. With a token that may only read, nobody gets this far.
pub(super) async fn create_token(
    Caller(actor): Caller,
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    make_token(&app, actor.user_id, &params).await
}

async fn make_token(app: &App, user_id: i64, params: &Params) -> Result<(StatusCode, Json<Value>), ApiError> {
    let scopes = params.words("scopes")?;
    if scopes.is_empty() {
        return Err(ApiError::bad_parameter("scopes is missing"));
    }
    if scopes.iter().any(|scope| scope != "api" && scope != "read_api") {
        return Err(ApiError::bad_parameter("scopes does not have a valid value"));
    }
    let now = app.belt.clock().now();
    let invalid = || ApiError::bad_parameter("expires_at is invalid");
    let expires_at = match params.text("expires_at")? {
        Some(date) => day(&date).filter(|at| *at > now).ok_or_else(invalid)?,
        None => Timestamp::from_seconds((now.as_seconds().div_euclid(DAY) + DEFAULT_DAYS) * DAY),
    };
    // A prefix that secret scanners can know, and 32 random bytes.
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| ApiError::internal(anyhow::anyhow!("no randomness: {error}")))?;
    let text = format!("qdpat-{}", hex::encode(bytes));
    let new = NewToken {
        digest: *TokenDigest::new(text.as_bytes()).as_bytes(),
        user_id,
        name: params.required("name", 255)?,
        read_only: !scopes.iter().any(|scope| scope == "api"),
        expires_at: Some(expires_at),
    };
    let token = app.store().create_token(new, now).await?;
    let mut view = token_view(&token, now);
    view["token"] = json!(text);
    Ok((StatusCode::CREATED, Json(view)))
}

pub(super) async fn show_token(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(token_view(&own_token(&app, &caller, &id).await?, app.belt.clock().now())))
}

pub(super) async fn revoke_token(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let token = own_token(&app, &caller, &id).await?;
    app.store().revoke_token(token.id).await?;
    app.actors.forget();
    Ok(StatusCode::NO_CONTENT)
}

/// A token of the caller's; an administrator sees everybody's.
async fn own_token(app: &App, caller: &Caller, id: &str) -> Result<Token, ApiError> {
    let id = if id == "self" { Some(caller.0.token) } else { id.parse().ok() };
    let id = id.ok_or_else(|| ApiError::bad_parameter("id is invalid"))?;
    let found = app.store().find_token(id).await?;
    let own = found.filter(|token| caller.0.is_admin || token.user_id == caller.0.user_id);
    own.ok_or_else(|| ApiError::not_found("Personal Access Token"))
}

/// A user; `all` with what only they and administrators see.
pub(super) fn view(user: &User, base_url: &str, all: bool) -> Value {
    let mut view = json!({
        "id": user.id,
        "username": user.username,
        "name": user.name,
        "state": "active",
        "avatar_url": null,
        "web_url": format!("{base_url}/{}", user.username),
        "created_at": user.created_at.to_iso(),
    });
    if all {
        view["email"] = json!(user.email);
        view["is_admin"] = json!(user.is_admin);
    }
    view
}

fn token_view(token: &Token, now: Timestamp) -> Value {
    let is_over = token.expires_at.is_some_and(|at| at <= now);
    json!({
        "id": token.id,
        "name": token.name,
        "revoked": token.revoked,
        "active": !token.revoked && !is_over,
        "created_at": token.created_at.to_iso(),
        "scopes": if token.read_only { ["read_api"] } else { ["api"] },
        "user_id": token.user_id,
        "last_used_at": token.last_used_at.map(Timestamp::to_iso),
        "expires_at": token.expires_at.map(date),
    })
}

/// The day of a time, as `2026-03-16`.
pub(super) fn date(at: Timestamp) -> String {
    at.to_iso().chars().take(10).collect()
}

/// The beginning of a day, UTC.
pub(super) fn day(text: &str) -> Option<Timestamp> {
    let date: jiff::civil::Date = text.parse().ok()?;
    let zoned = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(Timestamp::from_seconds(zoned.timestamp().as_second()))
}
