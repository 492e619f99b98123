//! Access tokens of projects and groups. Each belongs to a bot, which is a member.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use quickdraw_domain::access::{AccessLevel, Action, TokenScope};
use quickdraw_domain::scope::Scope;
use quickdraw_store::access::{self, Holder, Tokens};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Rotation, ScopeWord, TokenQuery, TokenToMake, answer, end, make, prefix, renew};
use crate::api::v4::page::{Listing, PageQuery};
use crate::api::v4::target::Target;
use crate::error::ApiError;
use crate::params::{Day, Level, Line, Params};
use crate::state::App;
use crate::views::{CreatedToken, Token};

/// Routes of project and group tokens. The path before them names the scope.
pub(in crate::api::v4) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, revoke))
        .routes(routes!(rotate))
}

/// A project or group token to create.
#[derive(Deserialize, ToSchema)]
struct ScopeTokenToMake {
    /// Purpose of the token.
    name: Line<255>,

    /// Scopes of the token.
    #[schema(min_items = 1, value_type = Vec<ScopeWord>)]
    scopes: Vec<String>,

    /// Role of the token's bot. Default: Maintainer.
    #[serde(default)]
    access_level: Option<Level>,

    /// Day on which the token expires. Default: after one year.
    expires_at: Option<Day>,
}

/// The tokens of a project or group, for a caller who administers it.
struct At(Target);

impl FromRequestParts<Arc<App>> for At {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        Target::read(parts, app, Action::Administer).await.map(Self)
    }
}

impl At {
    async fn token(&self, app: &App) -> Result<access::Token, ApiError> {
        let found = app.store().find_token(self.0.number("token_id")?).await?;
        let here = found.filter(|token| token.scope == Some(self.0.scope));
        let token = here.ok_or_else(|| ApiError::not_found("Access Token"))?;
        // A caller who gets the token gets its role.
        if let Some(level) = token.level {
            self.0.may_give(app, level).await?;
        }

        Ok(token)
    }
}

/// List the tokens of a project or group. Maintainers of the project, owners of the group, and administrators.
#[utoipa::path(get, path = "/", tag = "Tokens", params(PageQuery, TokenQuery),
    responses((status = 200, body = [Token])))]
async fn list(at: At, State(app): State<Arc<App>>, listing: Listing) -> Result<Response, ApiError> {
    answer(&app, &listing, Tokens::In(at.0.scope)).await
}

/// Create a token of a project or group. Maintainers of the project, owners of the group, and administrators.
///
/// The token belongs to a new bot, which is a member. A caller cannot give a role above their own.
#[utoipa::path(post, path = "/", tag = "Tokens", request_body = ScopeTokenToMake,
    responses((status = 201, body = CreatedToken)))]
async fn create(
    at: At,
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<(StatusCode, Json<CreatedToken>), ApiError> {
    let ScopeTokenToMake {
        name,
        scopes,
        access_level,
        expires_at,
    } = params.read()?;

    let level = access_level.map_or(AccessLevel::Maintainer, |level| level.0);
    at.0.may_give(&app, level).await?;

    let kind = if matches!(at.0.scope, Scope::Group(_)) {
        "group"
    } else {
        "project"
    };
    let username = format!("{kind}_bot_{}", uuid::Uuid::new_v4().simple());

    let holder = Holder::Bot {
        scope: at.0.scope,
        level,
        username,
    };

    make(
        &app,
        holder,
        TokenToMake {
            name,
            scopes,
            expires_at,
        },
        &TokenScope::OF_BOTS,
        prefix(Some(at.0.scope)),
    )
    .await
}

/// Show a token of a project or group. Maintainers of the project, owners of the group, and administrators.
///
/// The role of the caller must be at least that of the token.
#[utoipa::path(get, path = "/{token_id}", tag = "Tokens", responses((status = 200, body = Token)))]
async fn show(at: At, State(app): State<Arc<App>>) -> Result<Json<Token>, ApiError> {
    Ok(Json(Token::new(&at.token(&app).await?, app.now())))
}

/// Revoke a token of a project or group. Maintainers of the project, owners of the group, and administrators.
///
/// The role of the caller must be at least that of the token.
#[utoipa::path(delete, path = "/{token_id}", tag = "Tokens", responses((status = 204)))]
async fn revoke(at: At, State(app): State<Arc<App>>, _: Params) -> Result<StatusCode, ApiError> {
    end(&app, &at.token(&app).await?).await
}

/// Rotate a token of a project or group. Maintainers of the project, owners of the group, and administrators.
///
/// The old token is revoked immediately. The role of the caller must be at least that of the token.
#[utoipa::path(post, path = "/{token_id}/rotate", tag = "Tokens", request_body = Rotation,
    responses((status = 200, body = CreatedToken)))]
async fn rotate(at: At, State(app): State<Arc<App>>, params: Params) -> Result<Json<CreatedToken>, ApiError> {
    let token = at.token(&app).await?;
    renew(&app, &token, params.read()?).await
}
