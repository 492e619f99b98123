//! Users: `/user`, `/users`; and what clients ask first, `/version` and `/metadata`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use quickdraw_store::access::NewUser;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::groups::path;
use super::page::{Listing, PageQuery};
use crate::auth::{Admin, Caller};
use crate::error::ApiError;
use crate::params::{Line, Params};
use crate::state::App;
use crate::views::{Metadata, User};

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(me))
        .routes(routes!(list, create))
        .routes(routes!(show))
        .routes(routes!(version))
        .routes(routes!(metadata))
}

/// Show whom the token stands for.
#[utoipa::path(get, path = "/user", tag = "Users", responses((status = 200, body = User)))]
async fn me(Caller(actor): Caller, State(app): State<Arc<App>>) -> Result<Json<User>, ApiError> {
    let user = app.store().find_user(actor.user_id).await?.ok_or_else(ApiError::unauthorized)?;
    Ok(Json(User::in_full(&user, &app.external_url)))
}

/// Show the version of GitLab whose contract this is, because clients compare it.
#[utoipa::path(get, path = "/version", tag = "Instance", responses((status = 200, body = Metadata)))]
async fn version(_: Caller) -> Json<Metadata> {
    Json(Metadata::this())
}

/// Show the same as `/version`, under its newer name.
#[utoipa::path(get, path = "/metadata", tag = "Instance", responses((status = 200, body = Metadata)))]
async fn metadata(_: Caller) -> Json<Metadata> {
    Json(Metadata::this())
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct UserSearch {
    /// Only the one with this login.
    #[param(inline)]
    username: Option<Line<255>>,
}

/// List users. Administrators.
#[utoipa::path(get, path = "/users", tag = "Users", params(PageQuery, UserSearch),
    responses((status = 200, body = [User])))]
async fn list(_: Admin, State(app): State<Arc<App>>, listing: Listing) -> Result<Response, ApiError> {
    let page = listing.asked()?;
    let UserSearch { username } = listing.params.read()?;
    let users = app.store().list_users(username.map(|text| text.0), page).await?;
    Ok(listing.answer(page, &users, |user| user.id, |user| User::in_full(user, &app.external_url)))
}

/// Show a user; in full to themselves and administrators.
#[utoipa::path(get, path = "/users/{id}", tag = "Users", responses((status = 200, body = User)))]
async fn show(caller: Caller, State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<User>, ApiError> {
    let id: i64 = id.parse().map_err(|_| ApiError::bad_parameter("id is invalid"))?;
    let user = app.store().find_user(id).await?.ok_or_else(|| ApiError::not_found("User"))?;
    let in_full = caller.0.is_admin || caller.0.user_id == user.id;
    Ok(Json(if in_full { User::in_full(&user, &app.external_url) } else { User::new(&user, &app.external_url) }))
}

/// A user to be made.
#[derive(Deserialize, ToSchema)]
struct UserToMake {
    /// Login.
    username: Line<255>,
    /// Shown name.
    name: Line<255>,
    /// Address.
    email: Option<Line<255>>,
    /// May do everything.
    #[serde(default)]
    admin: Option<bool>,
}

/// Make a user. Administrators.
#[utoipa::path(post, path = "/users", tag = "Users", request_body = UserToMake,
    responses((status = 201, body = User)))]
async fn create(_: Admin, State(app): State<Arc<App>>, params: Params) -> Result<(StatusCode, Json<User>), ApiError> {
    let input: UserToMake = params.read()?;
    let new = NewUser {
        username: path(input.username.0, "username")?,
        name: input.name.0,
        email: input.email.map(|text| text.0),
        is_admin: input.admin.unwrap_or(false),
    };
    let user = app.store().create_user(new, app.belt.clock().now()).await?;
    Ok((StatusCode::CREATED, Json(User::in_full(&user, &app.external_url))))
}
