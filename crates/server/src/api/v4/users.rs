//! Users: `/user` and `/users`; also `/version` and `/metadata`, which clients request first.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use quickdraw_domain::directory::Change;
use quickdraw_domain::password::{Password, PasswordError};
use quickdraw_store::access::{self, Between, NewUser, UserEdit, UserFilter};
use serde::Deserialize;
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::changes;
use super::groups::path;
use super::page::{Listing, OrderQuery, PageQuery};
use crate::auth::{Admin, AdminCaller, Caller};
use crate::error::ApiError;
use crate::params::{Clearable, Hidden, Line, Moment, Params};
use crate::state::App;
use crate::views::{Metadata, User};

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(me))
        .routes(routes!(list, create))
        .routes(routes!(show, edit, delete))
        .routes(routes!(block))
        .routes(routes!(unblock))
        .routes(routes!(version))
        .routes(routes!(metadata))
}

/// Show the current user.
#[utoipa::path(get, path = "/user", tag = "Users", responses((status = 200, body = User)))]
async fn me(Caller { actor, .. }: Caller, State(app): State<Arc<App>>) -> Result<Json<User>, ApiError> {
    let user = app
        .store()
        .find_user(actor.user_id)
        .await?
        .ok_or_else(ApiError::unauthorized)?;
    Ok(Json(User::in_full(&user, &app.external_url)))
}

/// Show the GitLab version with which this API is compatible. Clients compare it.
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
struct UserQuery {
    /// Only the user with this username.
    #[param(inline)]
    username: Option<Line<255>>,

    /// Only users with this text in their username or name, or with this e-mail address.
    #[param(inline)]
    search: Option<Line<255>>,

    /// Only users who are not blocked.
    active: Option<bool>,

    /// Only blocked users.
    blocked: Option<bool>,

    /// Only users who are not active.
    exclude_active: Option<bool>,

    /// Only administrators.
    admins: Option<bool>,

    /// Only people, without the bots of projects and groups.
    humans: Option<bool>,

    /// Exclude the bots of projects and groups.
    without_project_bots: Option<bool>,

    /// Only bots.
    exclude_humans: Option<bool>,

    /// Only users who were created at this time or later.
    #[param(inline)]
    created_after: Option<Moment>,

    /// Only users who were created at this time or earlier.
    #[param(inline)]
    created_before: Option<Moment>,
}

/// List users. Non-administrators must give `username`.
#[utoipa::path(get, path = "/users", tag = "Users", params(PageQuery, OrderQuery, UserQuery),
    responses((status = 200, body = [User])))]
async fn list(caller: Caller, State(app): State<Arc<App>>, listing: Listing) -> Result<Response, ApiError> {
    let (page, numbers) = listing.asked_in_order()?;
    let asked: UserQuery = listing.params.read()?;
    let is_admin = caller.actor.is_admin;
    // E-mail addresses and administrators are visible to administrators only.
    if !is_admin && (asked.username.is_none() || asked.search.is_some() || asked.admins == Some(true)) {
        return Err(ApiError::forbidden());
    }

    let is_asked = |flag: Option<bool>| flag == Some(true);
    let filter = UserFilter {
        username: asked.username.map(|text| text.0),
        search: asked.search.map(|text| text.0),
        by_email: is_admin,
        active: is_asked(asked.active),
        blocked: is_asked(asked.blocked) || is_asked(asked.exclude_active),
        admins: is_asked(asked.admins),
        humans: is_asked(asked.humans) || is_asked(asked.without_project_bots),
        bots: is_asked(asked.exclude_humans),
        created: Between {
            after: asked.created_after.map(|at| at.0),
            before: asked.created_before.map(|at| at.0),
        },
        numbers,
    };
    let users = app.store().list_users(filter, page).await?;
    let view = if is_admin { User::in_full } else { User::new };

    Ok(listing.answer(page, &users, |user| user.id, |user| view(user, &app.external_url)))
}

/// Show a user. E-mail address and other private fields are shown to the user and to administrators.
#[utoipa::path(get, path = "/users/{id}", tag = "Users", responses((status = 200, body = User)))]
async fn show(caller: Caller, State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<User>, ApiError> {
    let user = find(&app, &id).await?;
    let in_full = caller.actor.is_admin || caller.actor.user_id == user.id;

    Ok(Json(if in_full {
        User::in_full(&user, &app.external_url)
    } else {
        User::new(&user, &app.external_url)
    }))
}

/// A user to create.
#[derive(Deserialize, ToSchema)]
struct UserToMake {
    /// Username.
    username: Line<255>,

    /// Display name.
    name: Line<255>,

    /// E-mail address.
    email: Option<Line<255>>,

    /// True for an administrator.
    #[serde(default)]
    admin: Option<bool>,

    /// Password for the web interface: at least 10 characters, at most 128 bytes. Without a password, the user signs in
    /// with an access token or at the OpenID Connect provider.
    password: Option<Hidden>,

    /// True for a user without a password. No mail is sent: an administrator sets the first password later. Refused
    /// together with `password`.
    reset_password: Option<bool>,

    /// The same as `reset_password`: nobody could sign in with a random password.
    force_random_password: Option<bool>,
}

/// Checks a new password of the user with this username.
fn read_password(given: Option<&Hidden>, username: &str) -> Result<Option<Password>, ApiError> {
    let Some(Hidden(text)) = given else { return Ok(None) };
    let password = Password::parse(text.expose(), username);
    let refused = |error: PasswordError| json!({ "password": [error.to_string()] });
    password
        .map(Some)
        .map_err(|error| ApiError::Message(StatusCode::BAD_REQUEST, refused(error)))
}

/// Create a user. Administrators only.
#[utoipa::path(post, path = "/users", tag = "Users", request_body = UserToMake,
    responses((status = 201, body = User)))]
async fn create(
    Admin(actor): Admin,
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<(StatusCode, Json<User>), ApiError> {
    let input: UserToMake = params.read()?;
    let is_without = [input.reset_password, input.force_random_password].contains(&Some(true));
    if is_without && input.password.is_some() {
        let text =
            "reset_password and force_random_password make a user without a password; leave them or password out";
        return Err(ApiError::bad_parameter(text));
    }

    let password = read_password(input.password.as_ref(), &input.username.0)?;
    let new = NewUser {
        username: path(input.username.0, "username")?,
        name: input.name.0,
        email: input.email.map(|text| text.0),
        is_admin: input.admin.unwrap_or(false),
    };
    let user = match password {
        None => app.store().create_user(new, app.now()).await?,
        Some(password) => {
            let hash = app.passwords.hash(password).await?;
            app.store().create_user_with_password(new, hash, app.now()).await?
        }
    };
    changes::report(&app, &actor, &[Change::UserCreated(changes::account(&user))]).await;

    Ok((StatusCode::CREATED, Json(User::in_full(&user, &app.external_url))))
}

/// Finds the user with an id.
pub(super) async fn find(app: &App, id: &str) -> Result<access::User, ApiError> {
    let id: i64 = id.parse().map_err(|_| ApiError::bad_parameter("id is invalid"))?;
    app.store()
        .find_user(id)
        .await?
        .ok_or_else(|| ApiError::not_found("User"))
}

/// Changes to a user.
#[derive(Deserialize, ToSchema)]
struct UserToChange {
    /// Username.
    username: Option<Line<255>>,

    /// Display name.
    name: Option<Line<255>>,

    /// E-mail address.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 255)]
    email: Clearable<Line<255>>,

    /// True for an administrator.
    admin: Option<bool>,

    /// New password for the web interface: at least 10 characters, at most 128 bytes.
    password: Option<Hidden>,
}

/// Change a user. Administrators only.
///
/// Administrators cannot remove their own administrator role. A new password ends the user's sessions in browsers.
#[utoipa::path(put, path = "/users/{id}", tag = "Users", request_body = UserToChange,
    responses((status = 200, body = User)))]
async fn edit(
    admin: AdminCaller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<User>, ApiError> {
    let user = find(&app, &id).await?;
    let input: UserToChange = params.read()?;

    // User 1 is the user of the root token.
    if (user.id == admin.actor.user_id || user.id == 1) && input.admin == Some(false) {
        return Err(ApiError::forbidden());
    }

    // A manager of the bot's project could use every permission that the bot is given.
    if user.bot_of.is_some() {
        return Err(ApiError::bad_parameter(
            "the user is a bot of a project or group and cannot be changed",
        ));
    }

    let username = input.username.as_ref().map_or(&user.username, |text| &text.0);
    let hash = match read_password(input.password.as_ref(), username)? {
        Some(password) => Some(app.passwords.hash(password).await?),
        None => None,
    };

    let edit = UserEdit {
        username: input.username.map(|text| path(text.0, "username")).transpose()?,
        name: input.name.map(|text| text.0),
        email: input.email.0.map(|text| text.0),
        is_admin: input.admin,
        blocked: None,
    };

    let changed = app
        .store()
        .update_user(user.id, edit)
        .await?
        .ok_or_else(|| ApiError::not_found("User"))?;

    if let Some(hash) = hash {
        app.store()
            .set_password(user.id, hash, admin.kept_session(user.id), app.now())
            .await?;
    }

    app.access.forget();
    if changed.username != user.username {
        let change = Change::UserRenamed(changes::account(&changed), &user.username);
        changes::report(&app, &admin.actor, &[change]).await;
    }

    Ok(Json(User::in_full(&changed, &app.external_url)))
}

/// Delete a user with their tokens, SSH keys and memberships. Administrators only.
///
/// Administrators cannot delete themselves.
#[utoipa::path(delete, path = "/users/{id}", tag = "Users", responses((status = 204)))]
async fn delete(
    Admin(actor): Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    _: Params,
) -> Result<StatusCode, ApiError> {
    let user = find(&app, &id).await?;
    // User 1 is the user of the root token.
    if user.id == actor.user_id || user.id == 1 {
        return Err(ApiError::forbidden());
    }

    let keys = changes::keys(&app, user.id).await?;
    let is_deleted = app.store().delete_user(user.id).await?;
    app.access.forget();

    if is_deleted {
        let mut removed = Vec::new();
        for key in &keys {
            removed.push(Change::KeyRemoved(changes::key(key, &user.username)));
        }

        removed.push(Change::UserRemoved(changes::account(&user)));
        changes::report(&app, &actor, &removed).await;
    }

    Ok(StatusCode::NO_CONTENT)
}

/// Block a user. Administrators only.
///
/// Their tokens are refused immediately on this node, and within a second on others. Their sessions in browsers end.
/// Administrators cannot block themselves.
#[utoipa::path(post, path = "/users/{id}/block", tag = "Users", responses((status = 201, body = bool, content_type = "application/json")))]
async fn block(
    Admin(actor): Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    _: Params,
) -> Result<(StatusCode, Json<bool>), ApiError> {
    let user = find(&app, &id).await?;
    // User 1 is the user of the root token.
    if user.id == actor.user_id || user.id == 1 {
        let words = "403 Forbidden - The API initiating user and the root user cannot be blocked by the API";
        return Err(ApiError::Message(StatusCode::FORBIDDEN, json!(words)));
    }

    set_blocked(&app, user.id, true).await
}

/// Unblock a user. Administrators only.
#[utoipa::path(post, path = "/users/{id}/unblock", tag = "Users", responses((status = 201, body = bool, content_type = "application/json")))]
async fn unblock(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    _: Params,
) -> Result<(StatusCode, Json<bool>), ApiError> {
    let user = find(&app, &id).await?;
    set_blocked(&app, user.id, false).await
}

async fn set_blocked(app: &App, id: i64, blocked: bool) -> Result<(StatusCode, Json<bool>), ApiError> {
    let edit = UserEdit {
        blocked: Some(blocked),
        ..UserEdit::default()
    };
    app.store()
        .update_user(id, edit)
        .await?
        .ok_or_else(|| ApiError::not_found("User"))?;

    app.access.forget();
    Ok((StatusCode::CREATED, Json(true)))
}
