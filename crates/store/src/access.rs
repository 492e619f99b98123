//! Who may ask: users, their access tokens and memberships. Of tokens only digests are stored.

use async_trait::async_trait;
use quickdraw_domain::Timestamp;
use quickdraw_domain::access::AccessLevel;
use quickdraw_domain::scope::Scope;

use crate::error::Result;
use crate::scopes::{Page, Paged};

/// Who a token stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Actor {
    /// GitLab's number of the user.
    pub user_id: i64,
    /// Login.
    pub username: String,
    /// Shown name.
    pub name: String,
    /// May do everything.
    pub is_admin: bool,
    /// The token's number.
    pub token: i64,
    /// The token has no scope but `read_api`.
    pub read_only: bool,
}

/// A user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    /// GitLab's number.
    pub id: i64,
    /// Login; unique, compared without case.
    pub username: String,
    /// Shown name.
    pub name: String,
    /// Address.
    pub email: Option<String>,
    /// May do everything.
    pub is_admin: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A user to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewUser {
    /// Login.
    pub username: String,
    /// Shown name.
    pub name: String,
    /// Address.
    pub email: Option<String>,
    /// May do everything.
    pub is_admin: bool,
}

/// An access token as its owner sees it again: without the token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// Its number.
    pub id: i64,
    /// Whose it is.
    pub user_id: i64,
    /// What it is for.
    pub name: String,
    /// Has no scope but `read_api`.
    pub read_only: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is no longer taken.
    pub expires_at: Option<Timestamp>,
    /// Last use, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// Was taken back.
    pub revoked: bool,
}

/// A token to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewToken {
    /// SHA-256 of the token.
    pub digest: [u8; 32],
    /// Whose it is.
    pub user_id: i64,
    /// What it is for.
    pub name: String,
    /// Has no scope but `read_api`.
    pub read_only: bool,
    /// From when on it is no longer taken.
    pub expires_at: Option<Timestamp>,
}

/// A member of a project or group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// Who.
    pub user: User,
    /// As what.
    pub level: AccessLevel,
    /// Until when.
    pub expires_at: Option<Timestamp>,
}

/// Users, tokens, members: what can be done with them.
#[async_trait]
pub trait Access {
    /// Makes the token with this digest the administrator's one and only root token.
    async fn set_root_token(&self, digest: [u8; 32], now: Timestamp) -> Result<()>;
    /// Whether a root token was ever set.
    async fn has_root_token(&self) -> Result<bool>;
    /// Who a token stands for, by its digest; nobody when it was revoked or has expired. Notes that it was used.
    async fn find_actor(&self, digest: [u8; 32], now: Timestamp) -> Result<Option<Actor>>;
    /// Makes a user. `Taken` when the login is.
    async fn create_user(&self, new: NewUser, now: Timestamp) -> Result<User>;
    /// One user.
    async fn find_user(&self, id: i64) -> Result<Option<User>>;
    /// Users by number; with `username`, only that one.
    async fn list_users(&self, username: Option<String>, page: Page) -> Result<Paged<User>>;
    /// Makes a token. `Missing` when there is no such user.
    async fn create_token(&self, new: NewToken, now: Timestamp) -> Result<Token>;
    /// One token.
    async fn find_token(&self, id: i64) -> Result<Option<Token>>;
    /// Takes a token back. `false` if it was not there.
    async fn revoke_token(&self, id: i64) -> Result<bool>;
    /// Makes somebody a member of a project or group, or changes as what. `Missing` when one of them is not there.
    async fn set_member(
        &self,
        scope: Scope,
        user: i64,
        level: AccessLevel,
        expires_at: Option<Timestamp>,
    ) -> Result<Member>;
    /// Ends a membership. `false` if there was none.
    async fn remove_member(&self, scope: Scope, user: i64) -> Result<bool>;
    /// One direct member.
    async fn find_member(&self, scope: Scope, user: i64) -> Result<Option<Member>>;
    /// Direct members of a project or group by number of the user.
    async fn list_members(&self, scope: Scope, page: Page) -> Result<Paged<Member>>;
    /// The highest role of a user in a scope, those inherited from groups above included.
    async fn role(&self, scope: Scope, user: i64, now: Timestamp) -> Result<Option<AccessLevel>>;
}

/// How exactly last use is kept: writing it at each request would cost a flush.
pub(crate) const USED_EVERY_MICROS: i64 = 60_000_000;

/// A token as it was just made.
pub(crate) fn made(id: i64, new: NewToken, now: Timestamp) -> Token {
    let NewToken { user_id, name, read_only, expires_at, .. } = new;
    Token { id, user_id, name, read_only, created_at: now, expires_at, last_used_at: None, revoked: false }
}
