//! Who is asking: `PRIVATE-TOKEN`, or `Authorization: Bearer`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

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
        let known = app.actors.get(digest);
        let actor = match known {
            Some(actor) => actor,
            None => {
                let actor = app.store().find_actor(digest).await?.ok_or_else(ApiError::unauthorized)?;
                app.actors.put(digest, actor.clone());
                actor
            }
        };
        if actor.is_admin { Ok(Self(actor)) } else { Err(ApiError::unauthorized()) }
    }
}

/// How long a token is believed without a look into the store, on every node: the price of a revocation.
const BELIEVED: Duration = Duration::from_secs(1);
const MOST_ACTORS: usize = 1024;

/// Who tokens stood for a moment ago: a forge that reports a thousand events a second asks with one and the same.
#[derive(Default)]
pub(crate) struct Actors(Mutex<HashMap<[u8; 32], (Actor, Instant)>>);

impl Actors {
    fn get(&self, digest: [u8; 32]) -> Option<Actor> {
        let actors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        actors.get(&digest).filter(|(_, since)| since.elapsed() < BELIEVED).map(|(actor, _)| actor.clone())
    }

    fn put(&self, digest: [u8; 32], actor: Actor) {
        let mut actors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if actors.len() >= MOST_ACTORS {
            actors.clear();
        }
        actors.insert(digest, (actor, Instant::now()));
    }
}

fn token(headers: &HeaderMap) -> Option<&str> {
    if let Some(token) = headers.get("private-token") {
        return token.to_str().ok().filter(|token| !token.is_empty());
    }
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}
