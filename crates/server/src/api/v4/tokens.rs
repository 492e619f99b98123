//! Access tokens: personal ones, and the parts that they share with those of projects and groups in `of_scope`.

mod of_scope;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use quickdraw_domain::Timestamp;
use quickdraw_domain::access::TokenScope;
use quickdraw_domain::scope::Scope;
use quickdraw_domain::signature::TokenDigest;
use quickdraw_store::access::{self, Between, Holder, NewToken, TokenFilter, Tokens};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) use self::of_scope::routes as scope_routes;
use super::page::{Listing, PageQuery};
use crate::auth::{Admin, Caller};
use crate::error::ApiError;
use crate::params::{Day, Invalid, Line, Moment, Params};
use crate::state::App;
use crate::views::{CreatedToken, Token};

const DAY: i64 = 86_400;
/// Default and largest lifetime of a token in days, as in GitLab.
const DEFAULT_DAYS: i64 = 365;
const MAX_DAYS: i64 = 400;
/// Default lifetime of a rotated token in days.
const ROTATED_DAYS: i64 = 7;

/// Routes of personal tokens.
pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(create_own))
        .routes(routes!(create_for))
        .routes(routes!(list_personal))
        .routes(routes!(show_personal, revoke_personal))
        .routes(routes!(rotate_personal))
}

/// Scope of a token.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(
    dead_code,
    reason = "schema of the words that are read as text, so that an error can list them"
)]
enum ScopeWord {
    /// All actions that the user can perform.
    Api,

    /// Read access only.
    ReadApi,

    /// Act as another user. Tokens of administrators only.
    Sudo,

    /// Report events, and nothing else.
    Report,

    /// Read the metrics for Prometheus, and nothing else. Tokens of administrators only.
    Metrics,

    /// Read insights, and nothing else.
    ReadInsights,
}

/// A token to create.
#[derive(Deserialize, ToSchema)]
struct TokenToMake {
    /// Purpose of the token.
    name: Line<255>,

    /// Scopes of the token.
    #[schema(min_items = 1, value_type = Vec<ScopeWord>)]
    scopes: Vec<String>,

    /// Day on which the token expires. Default: after one year.
    expires_at: Option<Day>,
}

/// A rotation of a token.
#[derive(Deserialize, ToSchema)]
struct Rotation {
    /// Day on which the new token expires. Default: after one week.
    expires_at: Option<Day>,
}

/// Filters of a list of tokens.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct TokenQuery {
    /// `active`: only usable tokens. `inactive`: only revoked or expired tokens.
    #[param(inline)]
    state: Option<TokenState>,

    /// `true`: only revoked tokens. `false`: only tokens that are not revoked.
    revoked: Option<bool>,

    /// Only tokens with this text in their name.
    #[param(inline)]
    search: Option<Line<255>>,

    /// Only tokens that were created at this time or later.
    #[param(inline)]
    created_after: Option<Moment>,

    /// Only tokens that were created at this time or earlier.
    #[param(inline)]
    created_before: Option<Moment>,

    /// Only tokens that expire at this time or later.
    #[param(inline)]
    expires_after: Option<Moment>,

    /// Only tokens that expire at this time or earlier.
    #[param(inline)]
    expires_before: Option<Moment>,

    /// Only tokens that were last used at this time or later.
    #[param(inline)]
    last_used_after: Option<Moment>,

    /// Only tokens that were last used at this time or earlier.
    #[param(inline)]
    last_used_before: Option<Moment>,

    /// Order of the list. Default: `created_asc`.
    #[param(inline)]
    sort: Option<TokenSort>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct OwnerQuery {
    /// Only tokens of this user.
    user_id: Option<i64>,
}

/// Order of tokens.
#[derive(Deserialize, ToSchema, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum TokenSort {
    /// Oldest first.
    CreatedAsc,

    /// Newest first.
    CreatedDesc,
}

#[derive(Deserialize, ToSchema, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum TokenState {
    /// Usable.
    Active,

    /// Revoked or expired.
    Inactive,
}

/// Create a personal token for the current user.
///
/// A project or group token cannot do this, because the new token could outlive it.
#[utoipa::path(post, path = "/user/personal_access_tokens", tag = "Tokens", request_body = TokenToMake,
    responses((status = 201, body = CreatedToken)))]
async fn create_own(
    Caller { actor, .. }: Caller,
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<(StatusCode, Json<CreatedToken>), ApiError> {
    if actor.bot_of.is_some() {
        return Err(ApiError::forbidden());
    }

    let allowed = scopes_of(actor.is_admin);
    make(
        &app,
        Holder::User(actor.user_id),
        params.read()?,
        &allowed,
        prefix(None),
    )
    .await
}

/// Create a personal token for a user. Administrators only.
#[utoipa::path(post, path = "/users/{id}/personal_access_tokens", tag = "Tokens", request_body = TokenToMake,
    responses((status = 201, body = CreatedToken)))]
async fn create_for(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    params: Params,
) -> Result<(StatusCode, Json<CreatedToken>), ApiError> {
    let id = id.parse().map_err(|_| ApiError::bad_parameter("id is invalid"))?;
    let user = app
        .store()
        .find_user(id)
        .await?
        .ok_or_else(|| ApiError::not_found("User"))?;

    if user.bot_of.is_some() {
        return Err(ApiError::bad_parameter(
            "the user is a bot; rotate the token of its project or group instead",
        ));
    }

    let allowed = scopes_of(user.is_admin);
    make(&app, Holder::User(id), params.read()?, &allowed, prefix(None)).await
}

/// The scopes that a personal token can have.
fn scopes_of(is_admin: bool) -> Vec<TokenScope> {
    TokenScope::ALL
        .into_iter()
        .filter(|scope| is_admin || !scope.is_of_admins())
        .collect()
}

/// Reads the scopes of a request. Clients compare them with those that they sent, so the order stays and repeats are
/// removed.
fn read_scopes(words: &[String], allowed: &[TokenScope]) -> Result<Vec<TokenScope>, ApiError> {
    if words.is_empty() {
        return Err(Invalid::missing("scopes").into());
    }

    let mut scopes = Vec::new();
    for word in words {
        let known = TokenScope::by_word(word).filter(|scope| allowed.contains(scope));
        let Some(scope) = known else {
            let choices: Vec<&str> = allowed.iter().map(|scope| scope.word()).collect();
            return Err(ApiError::bad_parameter(format!(
                "scopes does not have a valid value; this token can have {}",
                choices.join(", ")
            )));
        };

        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }

    Ok(scopes)
}

async fn make(
    app: &App,
    holder: Holder,
    input: TokenToMake,
    allowed: &[TokenScope],
    prefix: &str,
) -> Result<(StatusCode, Json<CreatedToken>), ApiError> {
    let scopes = read_scopes(&input.scopes, allowed)?;
    let now = app.now();
    let (text, digest) = fresh(prefix)?;

    let new = NewToken {
        digest,
        holder,
        name: input.name.0,
        scopes,
        expires_at: Some(expiry(input.expires_at, DEFAULT_DAYS, now)?),
    };
    let about = Token::new(&app.store().create_token(new, now).await?, now);
    Ok((StatusCode::CREATED, Json(CreatedToken { about, token: text })))
}

/// Prefix by which secret scanners recognise a token.
const fn prefix(of: Option<Scope>) -> &'static str {
    match of {
        None | Some(Scope::Instance) => "qdpat-",
        Some(Scope::Project(_)) => "qdprat-",
        Some(Scope::Group(_)) => "qdgat-",
    }
}

/// Generates a token from a prefix and 32 random bytes, and the digest that is stored.
fn fresh(prefix: &str) -> Result<(String, [u8; 32]), ApiError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| ApiError::internal(anyhow::anyhow!("failed to read random bytes: {error}")))?;

    let text = format!("{prefix}{}", hex::encode(bytes));
    let digest = *TokenDigest::new(text.as_bytes()).as_bytes();
    Ok((text, digest))
}

fn expiry(given: Option<Day>, days: i64, now: Timestamp) -> Result<Timestamp, ApiError> {
    let in_days = |days| Timestamp::from_seconds((now.as_seconds().div_euclid(DAY) + days) * DAY);
    match given {
        Some(Day(at)) if at <= now => Err(ApiError::bad_parameter("expires_at must be in the future")),
        Some(Day(at)) if at > in_days(MAX_DAYS) => Err(ApiError::bad_parameter(format!(
            "expires_at must be within {MAX_DAYS} days"
        ))),
        Some(Day(at)) => Ok(at),
        None => Ok(in_days(days)),
    }
}

async fn answer(app: &App, listing: &Listing, which: Tokens) -> Result<Response, ApiError> {
    let asked: TokenQuery = listing.params.read()?;
    let page = match asked.sort {
        Some(TokenSort::CreatedDesc) => listing.asked_downwards()?,
        Some(TokenSort::CreatedAsc) | None => listing.asked()?,
    };

    let now = app.now();
    let between = |after: Option<Moment>, before: Option<Moment>| Between {
        after: after.map(|at| at.0),
        before: before.map(|at| at.0),
    };

    let filter = TokenFilter {
        active: asked.state.map(|state| (state == TokenState::Active, now)),
        revoked: asked.revoked,
        search: asked.search.map(|text| text.0),
        created: between(asked.created_after, asked.created_before),
        expires: between(asked.expires_after, asked.expires_before),
        last_used: between(asked.last_used_after, asked.last_used_before),
    };
    let tokens = app.store().list_tokens(which, filter, page).await?;
    Ok(listing.answer(page, &tokens, |token| token.id, |token| Token::new(token, now)))
}

/// List personal tokens. Non-administrators see only their own tokens.
#[utoipa::path(get, path = "/personal_access_tokens", tag = "Tokens", params(PageQuery, TokenQuery, OwnerQuery),
    responses((status = 200, body = [Token])))]
async fn list_personal(
    Caller { actor, .. }: Caller,
    State(app): State<Arc<App>>,
    listing: Listing,
) -> Result<Response, ApiError> {
    let OwnerQuery { user_id } = listing.params.read()?;
    let which = match user_id {
        Some(user) if actor.is_admin || user == actor.user_id => Tokens::Of(user),
        Some(_) => return Err(ApiError::forbidden()),
        None if actor.is_admin => Tokens::All,
        None => Tokens::Of(actor.user_id),
    };
    answer(&app, &listing, which).await
}

/// Show a personal token. The owner of the token, and administrators.
///
/// `self` stands for the token of the request.
#[utoipa::path(get, path = "/personal_access_tokens/{token_id}", tag = "Tokens",
    responses((status = 200, body = Token)))]
async fn show_personal(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Token>, ApiError> {
    Ok(Json(Token::new(&own(&app, &caller, &id).await?, app.now())))
}

/// Revoke a personal token. The owner of the token, and administrators.
#[utoipa::path(delete, path = "/personal_access_tokens/{token_id}", tag = "Tokens", responses((status = 204)))]
async fn revoke_personal(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    _: Params,
) -> Result<StatusCode, ApiError> {
    end(&app, &own(&app, &caller, &id).await?).await
}

/// Rotate a personal token. The owner of the token, and administrators.
///
/// The old token is revoked immediately.
#[utoipa::path(post, path = "/personal_access_tokens/{token_id}/rotate", tag = "Tokens", request_body = Rotation,
    responses((status = 200, body = CreatedToken)))]
async fn rotate_personal(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    params: Params,
) -> Result<Json<CreatedToken>, ApiError> {
    let token = own(&app, &caller, &id).await?;
    renew(&app, &token, params.read()?).await
}

/// Finds a token of the caller; for administrators, a token of any user.
async fn own(app: &App, caller: &Caller, id: &str) -> Result<access::Token, ApiError> {
    let id = if id == "self" {
        Some(caller.actor.token)
    } else {
        id.parse().ok()
    };
    let id = id.ok_or_else(|| ApiError::bad_parameter("token_id is invalid"))?;
    let found = app.store().find_token(id).await?;
    let own = found.filter(|token| caller.actor.is_admin || token.user_id == caller.actor.user_id);

    own.ok_or_else(|| ApiError::not_found("Personal Access Token"))
}

/// Refuses changes to the root token. It comes from the settings, so a revoked one would be valid again after a
/// restart.
fn check_not_root(token: &access::Token) -> Result<(), ApiError> {
    if token.is_root {
        let words = "this is the root token: replace QUICKDRAW_ROOT_TOKEN, or the file root-token in the data folder, \
            and restart";
        return Err(ApiError::bad_parameter(words));
    }

    Ok(())
}

async fn end(app: &App, token: &access::Token) -> Result<StatusCode, ApiError> {
    check_not_root(token)?;
    app.store().revoke_token(token.id).await?;
    app.access.forget();

    Ok(StatusCode::NO_CONTENT)
}

async fn renew(app: &App, token: &access::Token, input: Rotation) -> Result<Json<CreatedToken>, ApiError> {
    check_not_root(token)?;

    let now = app.now();
    let (text, digest) = fresh(prefix(token.scope))?;
    let expires_at = expiry(input.expires_at, ROTATED_DAYS, now)?;
    let made = app
        .store()
        .rotate_token(token.id, digest, Some(expires_at), now)
        .await?;

    let made = made.ok_or_else(|| ApiError::bad_parameter("Token already revoked"))?;
    app.access.forget();

    Ok(Json(CreatedToken {
        about: Token::new(&made, now),
        token: text,
    }))
}
