//! Authentication: `PRIVATE-TOKEN` or `Authorization: Bearer`, and the user as whom an administrator acts.

mod portal;
mod purpose;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use parking_lot::Mutex;
use quickdraw_domain::Timestamp;
use quickdraw_domain::access::{AccessLevel, Action, Verdict, verdict};
use quickdraw_domain::identity::PathSetBy;
use quickdraw_domain::scope::Scope;
use quickdraw_domain::signature::TokenDigest;
use quickdraw_engine::Context;
use quickdraw_store::Error;
use quickdraw_store::access::{Actor, User, UserFilter};
use quickdraw_store::lists::{Page, Start};
use serde_json::Value;
use serde_json::json;

use crate::audit::Note;
use crate::error::ApiError;
use crate::params::Known;
use crate::sudo;
pub(crate) use portal::Limit;

/// A caller with a valid token whose scopes allow the operation. Handlers check the role.
pub struct Caller {
    /// The user of the token, or the user as whom an administrator acts.
    pub actor: Actor,

    /// The session of a person who is signed in with a browser.
    pub(crate) session: Option<i64>,

    /// The part of the user's rights that a portal session has.
    limit: Option<Limit>,

    /// Digest of the token; none for a person who is signed in with a browser.
    digest: Option<[u8; 32]>,

    /// The user as whom an administrator acts, as the request names them.
    sudo: Option<String>,
    note: Note,
    access: Arc<Access>,
}

/// The user of a page that calls the API within the process. Requests from outside cannot have this extension.
#[derive(Clone)]
pub(crate) struct SignedIn {
    pub(crate) actor: Actor,

    /// The session; none for a portal session.
    pub(crate) session: Option<i64>,

    /// The part of the user's rights that a portal session has.
    pub(crate) limit: Option<Limit>,
}

/// The credential of a request.
struct Credential {
    signed_in: SignedIn,

    /// Digest of the token, if there is one.
    digest: Option<[u8; 32]>,
}

/// Refuses query parameters that the operation does not have, even if its handler reads none.
fn check_query(parts: &Parts, known: Option<&Known>) -> Result<(), ApiError> {
    let Some(operation) = known.and_then(|known| known.operation(parts)) else {
        return Ok(());
    };
    let query = parts.uri.query().unwrap_or_default();
    let pairs: Vec<(String, Value)> = url::form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name != sudo::NAME)
        .map(|(name, value)| (name.into_owned(), Value::from(value.into_owned())))
        .collect();

    operation.check(pairs.iter().map(|(name, value)| (name.as_str(), value)))
}

impl Caller {
    /// Authenticates a request, and refuses a token whose scopes do not allow the operation.
    ///
    /// # Errors
    /// 401 for a missing or invalid token, 403 for an insufficient scope or for `sudo` without the right, 404 for
    /// `sudo` with an unknown user, and a query parameter that the operation does not have.
    pub(crate) async fn authenticate(
        parts: &mut Parts,
        access: &Arc<Access>,
        known: Option<&Known>,
    ) -> Result<Self, ApiError> {
        let Credential { signed_in, digest } = access.authenticated(parts).await?;
        let SignedIn { actor, session, limit } = signed_in;
        let note = parts.extensions.get::<Note>().cloned().unwrap_or_default();

        note.actor(&actor);

        if limit.is_some() && !portal::allows(parts) {
            return Err(ApiError::forbidden());
        }

        let needed = purpose::of(parts).scopes(parts.method.is_safe());
        if !actor.scopes.iter().any(|scope| needed.contains(scope)) {
            return Err(ApiError::insufficient_scope(needed));
        }

        let sudo = sudo::wanted(parts);
        parts.extensions.insert(sudo::Right::of(&actor));

        let actor = access.acting(actor, sudo.as_deref()).await?;
        if sudo.is_some() {
            note.on_behalf_of(&actor);
        }

        check_query(parts, known)?;
        Ok(Self {
            actor,
            session,
            limit,
            digest,
            sudo,
            note,
            access: Arc::clone(access),
        })
    }

    /// The restriction of lists: none for administrators; for others, the scopes that they are a member of.
    #[must_use]
    pub fn sees(&self) -> Option<(i64, Timestamp)> {
        (!self.actor.is_admin).then(|| (self.actor.user_id, self.access.now()))
    }

    /// The kind of user who chooses the path that this request sets.
    #[must_use]
    pub const fn path_set_by(&self) -> PathSetBy {
        if self.actor.is_admin {
            PathSetBy::Administrator
        } else {
            PathSetBy::Member
        }
    }

    /// Authenticates the token again, for requests that continue for a long time.
    ///
    /// # Errors
    /// 401 if the token is no longer valid; 403 or 404 if its user may no longer act as the other user.
    pub async fn look_again(&mut self) -> Result<(), ApiError> {
        // Pages ask again for each part of a list, so a session is looked up again with every request.
        let Some(digest) = self.digest else { return Ok(()) };

        let actor = self.access.actor(digest).await?;
        self.actor = self.access.acting(actor, self.sudo.as_deref()).await?;
        Ok(())
    }

    /// Notes that the answer shows bodies, which is logged for administrators.
    pub fn is_shown_bodies(&self) {
        self.note.shows_bodies();
    }

    /// Notes that the answer hides an object from the caller, which is logged.
    pub fn is_refused_silently(&self) {
        self.note.hidden();
    }

    /// Checks whether the role of the caller allows an action. A refusal is not revealed, so the caller gets the answer
    /// for an object that does not exist, and the audit log an entry.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn may(&self, scope: Scope, action: Action) -> Result<bool, ApiError> {
        let is_allowed = self.verdict(scope, action).await? == Verdict::Allowed;
        if !is_allowed {
            self.note.hidden();
        }

        Ok(is_allowed)
    }

    async fn verdict(&self, scope: Scope, action: Action) -> Result<Verdict, ApiError> {
        let Actor {
            user_id, mut is_admin, ..
        } = self.actor;
        if let Some(limit) = self.limit {
            let directory = self.access.context.directory();
            if let Some(verdict) = limit.verdict(&directory, scope, action) {
                return Ok(verdict);
            }

            is_admin = limit.is_of_admin();
        }

        let role = match scope {
            _ if is_admin => None,
            Scope::Instance => None,
            _ => self.access.role(scope, user_id).await?,
        };

        Ok(verdict(is_admin, role, scope, action))
    }

    /// Checks that the role of the caller allows an action.
    ///
    /// # Errors
    /// 403, or 404 if the caller must not learn that the scope exists.
    pub async fn require(&self, scope: Scope, action: Action) -> Result<(), ApiError> {
        match self.verdict(scope, action).await? {
            Verdict::Allowed => Ok(()),
            Verdict::Forbidden => Err(ApiError::forbidden()),
            Verdict::Hidden => {
                self.note.hidden();
                Err(ApiError::not_found(if matches!(scope, Scope::Group(_)) {
                    "Group"
                } else {
                    "Project"
                }))
            }
        }
    }
}

/// An administrator. Handlers that take it refuse all other callers with 403.
pub struct Admin(pub Actor);

/// An administrator, with their session if they use the web interface.
pub(crate) struct AdminCaller {
    pub(crate) actor: Actor,
    pub(crate) session: Option<i64>,
}

impl AdminCaller {
    /// Refuses a caller who is no administrator.
    pub(crate) fn new(caller: Caller) -> Result<Self, ApiError> {
        let session = caller.session;
        Admin::new(caller).map(|Admin(actor)| Self { actor, session })
    }

    /// The session that a change of this user's password keeps: the own one.
    pub(crate) fn kept_session(&self, user: i64) -> Option<i64> {
        self.session.filter(|_| self.actor.user_id == user)
    }
}

impl Admin {
    /// Refuses a caller who is no administrator.
    pub(crate) fn new(caller: Caller) -> Result<Self, ApiError> {
        if caller.actor.is_admin {
            Ok(Self(caller.actor))
        } else {
            Err(ApiError::forbidden())
        }
    }
}

/// Time for which a token is not looked up again. A revocation takes this long to reach other nodes.
const BELIEVED: Duration = Duration::from_secs(1);
const MAX_ACTORS: usize = 1024;
/// One row.
const ONE: Page = Page {
    start: Start::Offset(0),
    limit: 1,
};
/// Number of characters of an unknown user that an error shows.
const MAX_SHOWN: usize = 255;

/// The users and roles of the instance, with the users of recently used tokens.
pub(crate) struct Access {
    context: Arc<Context>,
    actors: Actors,
}

impl Access {
    pub(crate) fn new(context: Arc<Context>) -> Arc<Self> {
        Arc::new(Self {
            context,
            actors: Actors::default(),
        })
    }

    /// Forgets all tokens, because one was revoked on this node.
    pub(crate) fn forget(&self) {
        self.actors.forget();
    }

    fn now(&self) -> Timestamp {
        self.context.clock().now()
    }

    /// The user of a token.
    async fn actor(&self, digest: [u8; 32]) -> Result<Actor, ApiError> {
        if let Some(actor) = self.actors.get(digest) {
            return Ok(actor);
        }

        let actor = self
            .context
            .store()
            .find_actor(digest, self.now())
            .await?
            .ok_or_else(ApiError::unauthorized)?;
        self.actors.put(digest, actor.clone());

        Ok(actor)
    }

    /// The user of a request, with the digest of its token. Pages pass the user of their session.
    async fn authenticated(&self, parts: &mut Parts) -> Result<Credential, ApiError> {
        if let Some(signed_in) = parts.extensions.remove() {
            let digest = None;
            return Ok(Credential { signed_in, digest });
        }

        let token = token(&parts.headers)?;
        // Tokens are random, so a fast digest is sufficient, and looking it up reveals nothing about other tokens.
        let digest = *TokenDigest::new(token.as_bytes()).as_bytes();
        let signed_in = SignedIn {
            actor: self.actor(digest).await?,
            session: None,
            limit: None,
        };
        let digest = Some(digest);
        Ok(Credential { signed_in, digest })
    }

    /// The user of a token that the request contains. `None` if it contains no valid token.
    pub(crate) async fn actor_of(&self, headers: &HeaderMap) -> Option<Actor> {
        let digest = *TokenDigest::new(token(headers).ok()?.as_bytes()).as_bytes();
        self.actor(digest).await.ok()
    }

    /// The user of a token that a person types.
    ///
    /// # Errors
    /// 401 if the token is not valid, 403 if its user is blocked.
    pub(crate) async fn user_of_token(&self, token: &str) -> Result<Actor, ApiError> {
        self.actor(*TokenDigest::new(token.as_bytes()).as_bytes()).await
    }

    /// The user as whom a request acts: the one that it names, or the user of the token.
    async fn acting(&self, actor: Actor, wanted: Option<&str>) -> Result<Actor, ApiError> {
        let Some(wanted) = wanted else { return Ok(actor) };
        sudo::Right::of(&actor).check()?;

        let user = self.user_named(wanted).await?.ok_or_else(|| {
            let shown: String = wanted.chars().filter(|c| !c.is_control()).take(MAX_SHOWN).collect();
            ApiError::not_found(&format!("User with ID or username '{shown}'"))
        })?;
        if user.blocked {
            return Err(Error::Blocked.into());
        }

        Ok(Actor {
            user_id: user.id,
            username: user.username,
            name: user.name,
            is_admin: user.is_admin,
            bot_of: user.bot_of,
            token: actor.token,
            scopes: actor.scopes,
        })
    }

    /// Finds a user by id or username.
    async fn user_named(&self, name: &str) -> Result<Option<User>, ApiError> {
        let store = self.context.store();
        if let Ok(id) = name.parse() {
            return Ok(store.find_user(id).await?);
        }

        if name.is_empty() || name.contains('\0') {
            return Ok(None);
        }

        let filter = UserFilter {
            username: Some(name.to_owned()),
            ..UserFilter::default()
        };
        Ok(store.list_users(filter, ONE).await?.rows.into_iter().next())
    }

    async fn role(&self, scope: Scope, user: i64) -> Result<Option<AccessLevel>, ApiError> {
        Ok(self.context.store().role(scope, user, self.now()).await?)
    }
}

/// Users of recently used tokens, because a forge that reports a thousand events a second always uses the same one.
#[derive(Default)]
struct Actors(Mutex<HashMap<[u8; 32], (Actor, Instant)>>);

impl Actors {
    fn get(&self, digest: [u8; 32]) -> Option<Actor> {
        let actors = self.0.lock();
        actors
            .get(&digest)
            .filter(|(_, since)| since.elapsed() < BELIEVED)
            .map(|(actor, _)| actor.clone())
    }

    fn forget(&self) {
        self.0.lock().clear();
    }

    fn put(&self, digest: [u8; 32], actor: Actor) {
        let mut actors = self.0.lock();
        if actors.len() >= MAX_ACTORS {
            actors.clear();
        }

        actors.insert(digest, (actor, Instant::now()));
    }
}

/// Returns the token of a request. If there are two different tokens, it is unclear which one is meant.
fn token(headers: &HeaderMap) -> Result<&str, ApiError> {
    let mut shown = Vec::new();
    for line in headers.get_all("private-token") {
        shown.push(line.to_str().map_err(|_| ApiError::unauthorized())?.trim());
    }

    // Another scheme is meant for another program, such as a proxy.
    shown.extend(headers.get_all(AUTHORIZATION).iter().filter_map(bearer));
    shown.retain(|token| !token.is_empty());

    let Some(first) = shown.first() else {
        return Err(ApiError::unauthorized());
    };
    if shown.iter().any(|token| token != first) {
        let text = "401 Unauthorized: PRIVATE-TOKEN and Authorization have different tokens; send one of them";
        return Err(ApiError::Message(StatusCode::UNAUTHORIZED, json!(text)));
    }

    Ok(*first)
}

fn bearer(line: &HeaderValue) -> Option<&str> {
    let (scheme, token) = line.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn check_token(lines: &[(&'static str, &'static str)], expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }

        assert_eq!(token(&headers).ok(), expected, "{lines:?}");
    }

    #[test]
    fn one_token_may_be_shown_twice_and_two_may_not() {
        check_token(&[], None);
        check_token(&[("private-token", "a")], Some("a"));
        check_token(&[("authorization", "bearer a")], Some("a"));
        check_token(&[("private-token", "a"), ("authorization", "Bearer a")], Some("a"));
        check_token(&[("private-token", "a"), ("authorization", "Basic YTpi")], Some("a"));
        check_token(&[("private-token", ""), ("authorization", "Bearer a")], Some("a"));
        check_token(&[("private-token", "a"), ("authorization", "Bearer b")], None);
        check_token(&[("private-token", "a"), ("private-token", "b")], None);
        check_token(&[("authorization", "Bearer a"), ("authorization", "Bearer b")], None);
    }
}
