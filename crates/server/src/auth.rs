//! Who is asking: `PRIVATE-TOKEN`, or `Authorization: Bearer`.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use quickdraw_domain::signature::TokenDigest;
use quickdraw_store::access::Actor;

use crate::error::ApiError;
use crate::state::App;

/// An administrator: so far, whoever has the root token. Handlers that take it are closed to everybody else.
pub struct Admin(pub Actor);

impl FromRequestParts<Arc<App>> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let token = token(&parts.headers).ok_or_else(ApiError::unauthorized)?;
        // Tokens are random, so a fast digest is the right one, and looking it up tells nothing of the others.
        let digest = *TokenDigest::new(token.as_bytes()).as_bytes();
        let actor = app.store().find_actor(digest).await?.ok_or_else(ApiError::unauthorized)?;
        if actor.is_admin { Ok(Self(actor)) } else { Err(ApiError::unauthorized()) }
    }
}

fn token(headers: &HeaderMap) -> Option<&str> {
    if let Some(token) = headers.get("private-token") {
        return token.to_str().ok().filter(|token| !token.is_empty());
    }
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}
