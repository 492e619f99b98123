//! SSH keys of users: `/user/keys` and `/users/:id/keys`. Quickdraw stores keys for the events about them, and lets
//! nobody in with them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use quickdraw_domain::directory::Change;
use quickdraw_domain::ssh_key::{MAX_KEYS, SshKey as Key, Usage};
use quickdraw_store::Error;
use quickdraw_store::access::Actor;
use quickdraw_store::ssh_keys::{NewKey, UserKey};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::changes;
use super::page::{Listing, PageQuery};
use super::users;
use crate::auth::{Admin, Caller};
use crate::error::ApiError;
use crate::params::{Line, Moment, Params};
use crate::state::App;
use crate::views::SshKey;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list_own, add_own))
        .routes(routes!(show_own, remove_own))
        .routes(routes!(list, add))
        .routes(routes!(show, remove))
}

/// Use of a key.
#[derive(Deserialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum UsageType {
    /// Access to repositories.
    Auth,

    /// Signatures of commits.
    Signing,

    /// Both.
    AuthAndSigning,
}

impl UsageType {
    const fn usage(self) -> Usage {
        match self {
            Self::Auth => Usage::Auth,
            Self::Signing => Usage::Signing,
            Self::AuthAndSigning => Usage::AuthAndSigning,
        }
    }
}

/// An SSH key to add.
#[derive(Deserialize, ToSchema)]
struct KeyToAdd {
    /// Name of the key.
    title: Line<255>,

    /// The public key, such as the content of `id_ed25519.pub`. A key belongs to one user only.
    #[schema(min_length = 1, max_length = 8192)]
    key: String,

    /// Use of the key. Default: `auth_and_signing`.
    usage_type: Option<UsageType>,

    /// Time at which the key expires, or the day at whose beginning it does.
    expires_at: Option<Moment>,
}

/// List the SSH keys of the current user.
#[utoipa::path(get, path = "/user/keys", tag = "Users", params(PageQuery), responses((status = 200, body = [SshKey])))]
async fn list_own(caller: Caller, State(app): State<Arc<App>>, listing: Listing) -> Result<Response, ApiError> {
    let Actor { user_id, name, .. } = &caller.actor;
    list_of(&app, *user_id, name, &listing).await
}

/// List the SSH keys of a user.
#[utoipa::path(get, path = "/users/{id}/keys", tag = "Users", params(PageQuery),
    responses((status = 200, body = [SshKey])))]
async fn list(
    _: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    listing: Listing,
) -> Result<Response, ApiError> {
    let user = users::find(&app, &id).await?;
    list_of(&app, user.id, &user.name, &listing).await
}

async fn list_of(app: &App, user: i64, name: &str, listing: &Listing) -> Result<Response, ApiError> {
    let page = listing.asked()?;
    let keys = app.store().list_ssh_keys(user, page).await?;

    Ok(listing.answer(
        page,
        &keys,
        |key| key.id,
        |key| SshKey::new(key, name, &app.external_url),
    ))
}

/// Show an SSH key of the current user.
#[utoipa::path(get, path = "/user/keys/{key_id}", tag = "Users", responses((status = 200, body = SshKey)))]
async fn show_own(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(key): Path<String>,
) -> Result<Json<SshKey>, ApiError> {
    let Actor { user_id, name, .. } = &caller.actor;
    let found = find(&app, *user_id, &key).await?;
    Ok(Json(SshKey::new(&found, name, &app.external_url)))
}

/// Show an SSH key of a user.
#[utoipa::path(get, path = "/users/{id}/keys/{key_id}", tag = "Users", responses((status = 200, body = SshKey)))]
async fn show(
    _: Caller,
    State(app): State<Arc<App>>,
    Path((id, key)): Path<(String, String)>,
) -> Result<Json<SshKey>, ApiError> {
    let user = users::find(&app, &id).await?;
    let found = find(&app, user.id, &key).await?;
    Ok(Json(SshKey::new(&found, &user.name, &app.external_url)))
}

/// Add an SSH key to the current user.
///
/// Quickdraw lets nobody in with an SSH key. It stores keys, and fires the event `key_create` for system hooks. A user
/// has at most 100 keys.
#[utoipa::path(post, path = "/user/keys", tag = "Users", request_body = KeyToAdd,
    responses((status = 201, body = SshKey)))]
async fn add_own(
    Caller { actor, .. }: Caller,
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<(StatusCode, Json<SshKey>), ApiError> {
    if actor.bot_of.is_some() {
        return Err(ApiError::forbidden());
    }

    let holder = Holder {
        id: actor.user_id,
        name: &actor.name,
        username: &actor.username,
    };
    add_to(&app, &actor, holder, params.read()?).await
}

/// Add an SSH key to a user. Administrators only.
///
/// The request works as for the current user.
#[utoipa::path(post, path = "/users/{id}/keys", tag = "Users", request_body = KeyToAdd,
    responses((status = 201, body = SshKey)))]
async fn add(
    Admin(actor): Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    params: Params,
) -> Result<(StatusCode, Json<SshKey>), ApiError> {
    let user = users::find(&app, &id).await?;
    if user.bot_of.is_some() {
        return Err(ApiError::bad_parameter(
            "the user is a bot of a project or group and cannot have SSH keys",
        ));
    }

    let holder = Holder {
        id: user.id,
        name: &user.name,
        username: &user.username,
    };
    add_to(&app, &actor, holder, params.read()?).await
}

/// The user to whom a key belongs.
#[derive(Clone, Copy)]
struct Holder<'a> {
    id: i64,
    name: &'a str,
    username: &'a str,
}

async fn add_to(
    app: &App,
    by: &Actor,
    holder: Holder<'_>,
    input: KeyToAdd,
) -> Result<(StatusCode, Json<SshKey>), ApiError> {
    let key = Key::parse(&input.key).map_err(|error| refused("key", &error.to_string()))?;
    let expires_at = input.expires_at.map(|at| at.0);
    if expires_at.is_some_and(|at| at <= app.now()) {
        return Err(refused("expires_at", "must be in the future"));
    }

    let new = NewKey {
        user: holder.id,
        title: input.title.0,
        key,
        usage: input.usage_type.map_or(Usage::AuthAndSigning, UsageType::usage),
        expires_at,
    };

    let added = app.store().add_ssh_key(new, MAX_KEYS, app.now()).await;
    let added = added.map_err(|error| match error {
        Error::Full(most) => refused(
            "key",
            &format!("is one too many (maximum is {most}); delete another one first"),
        ),
        other => other.into(),
    })?;

    let change = Change::KeyAdded(changes::key(&added, holder.username));
    changes::report(app, by, &[change]).await;

    let shown = SshKey::new(&added, holder.name, &app.external_url);
    Ok((StatusCode::CREATED, Json(shown)))
}

/// Delete an SSH key of the current user.
#[utoipa::path(delete, path = "/user/keys/{key_id}", tag = "Users", responses((status = 204)))]
async fn remove_own(
    Caller { actor, .. }: Caller,
    State(app): State<Arc<App>>,
    Path(key): Path<String>,
    _: Params,
) -> Result<StatusCode, ApiError> {
    remove_from(&app, &actor, actor.user_id, &actor.username, &key).await
}

/// Delete an SSH key of a user. Administrators only.
#[utoipa::path(delete, path = "/users/{id}/keys/{key_id}", tag = "Users", responses((status = 204)))]
async fn remove(
    Admin(actor): Admin,
    State(app): State<Arc<App>>,
    Path((id, key)): Path<(String, String)>,
    _: Params,
) -> Result<StatusCode, ApiError> {
    let user = users::find(&app, &id).await?;
    remove_from(&app, &actor, user.id, &user.username, &key).await
}

async fn remove_from(app: &App, by: &Actor, user: i64, username: &str, key: &str) -> Result<StatusCode, ApiError> {
    let removed = app.store().remove_ssh_key(user, number(key)?).await?;
    let removed = removed.ok_or_else(|| ApiError::not_found("Key"))?;

    let change = Change::KeyRemoved(changes::key(&removed, username));
    changes::report(app, by, &[change]).await;

    Ok(StatusCode::NO_CONTENT)
}

async fn find(app: &App, user: i64, key: &str) -> Result<UserKey, ApiError> {
    let found = app.store().find_ssh_key(user, number(key)?).await?;
    found.ok_or_else(|| ApiError::not_found("Key"))
}

fn number(key: &str) -> Result<i64, ApiError> {
    key.parse().map_err(|_| ApiError::bad_parameter("key_id is invalid"))
}

/// 400 with the reason for a parameter, in the shape that GitLab has for invalid attributes.
fn refused(name: &str, why: &str) -> ApiError {
    ApiError::Message(StatusCode::BAD_REQUEST, json!({ name: [why] }))
}
