//! Sessions of people who are signed in with a browser. Only digests of their secrets are stored.

use std::time::Duration;

use async_trait::async_trait;
use quickdraw_domain::Timestamp;
use quickdraw_domain::access::TokenScope;

use crate::access::{Actor, scopes_of};
use crate::error::Result;

/// Time without a request after which a session ends.
pub const IDLE: Duration = Duration::from_secs(8 * 3600);
/// Time after its beginning at which a session ends.
pub const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);
/// Largest number of sessions of a user. A further one ends the session that was unused for the longest time.
pub const MAX_OF_USER: i64 = 50;
/// Number of ended sessions that are deleted when one begins.
pub(crate) const DELETED_AT_ONCE: i64 = 100;

/// A session to be begun.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewSession {
    /// SHA-256 of the secret in the cookie.
    pub digest: [u8; 32],

    /// The user.
    pub user_id: i64,

    /// The access token that the user signed in with, if they did. The session has its scopes, and ends with it.
    pub token_id: Option<i64>,

    /// IP address of the browser.
    pub address: Option<String>,

    /// Name of the browser, as it gave it.
    pub browser: String,
}

/// A session, without its secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// Number of the session.
    pub id: i64,

    /// Time of the sign-in.
    pub created_at: Timestamp,

    /// Time of the last request, to the minute.
    pub used_at: Timestamp,

    /// Time at which the session ends in any case.
    pub expires_at: Timestamp,

    /// IP address at the sign-in.
    pub address: Option<String>,

    /// Name of the browser at the sign-in.
    pub browser: String,
}

/// Reads and writes sessions.
#[async_trait]
pub trait Sessions {
    /// Begins a session. `Missing` if there is no such user or token, `Blocked` if the user is blocked.
    async fn begin_session(&self, new: NewSession, now: Timestamp) -> Result<Session>;

    /// The session with this digest and its user; none if it has ended, or its token was revoked or has expired. An
    /// error if the user is blocked. Notes that the session was used.
    async fn find_session(&self, digest: [u8; 32], now: Timestamp) -> Result<Option<(Session, Actor)>>;

    /// The sessions of a user, the last used first. There are at most [`MAX_OF_USER`].
    async fn list_sessions(&self, user: i64, now: Timestamp) -> Result<Vec<Session>>;

    /// Ends a session of a user. `false` if it was not there.
    async fn end_session(&self, user: i64, id: i64) -> Result<bool>;

    /// Ends all sessions of a user but one. Returns their number.
    async fn end_sessions(&self, user: i64, except: Option<i64>) -> Result<usize>;
}

/// Columns of a session, of its user and of its token.
pub(crate) const SESSION: &str = "s.id, s.created_at, s.used_at, s.expires_at, s.address, s.browser";

/// The condition of a session that has not ended. `mark` begins a parameter's name: 1 is the time, 2 the time before
/// which an unused session has ended.
pub(crate) fn alive(mark: char) -> String {
    format!("s.expires_at > {mark}1 AND s.used_at > {mark}2")
}

/// The time since which a session must have been used.
pub(crate) fn used_since(now: Timestamp) -> i64 {
    now.as_micros() - i64::try_from(IDLE.as_micros()).unwrap_or(i64::MAX)
}

/// The time at which a session that begins now ends.
pub(crate) fn end_of(now: Timestamp) -> Timestamp {
    Timestamp::from_micros(now.as_micros() + i64::try_from(LONGEST.as_micros()).unwrap_or(0))
}

/// The scopes of a session: those of its token, or all that a user has.
pub(crate) fn scopes_of_session(token: Option<&str>) -> Vec<TokenScope> {
    token.map_or_else(|| vec![TokenScope::Api], scopes_of)
}
