//! Users, their access tokens and their memberships. Only digests of tokens are stored.

mod filters;
mod identities;
mod passwords;
pub(crate) mod portals;

use async_trait::async_trait;
use quickdraw_domain::access::{AccessLevel, TokenScope};
use quickdraw_domain::scope::Scope;
use quickdraw_domain::{Edit, Timestamp};

use crate::error::Result;
use crate::lists::{Page, Paged};

pub(crate) use filters::tokens_of;
pub use filters::{Between, MemberFilter, TokenFilter, UserFilter};
pub use identities::{Identities, Identity};
pub use passwords::{FirstAdministrator, Passwords, StoredPassword};
pub use portals::{MAX_PORTAL_SESSIONS, NewPortalSession, PortalCreated, PortalSession, PortalSessions, Theme};

/// The user that a token belongs to.
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

    /// The scopes of the token.
    pub scopes: Vec<TokenScope>,

    /// A program of this project or group, with an access token of its own.
    pub bot_of: Option<Scope>,
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

    /// Stands for an access token of this project or group.
    pub bot_of: Option<Scope>,

    /// Their tokens are refused.
    pub blocked: bool,
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

/// A change of a user. `None` and [`Edit::Keep`] keep what is there.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UserEdit {
    /// Login.
    pub username: Option<String>,

    /// Shown name.
    pub name: Option<String>,

    /// Address.
    pub email: Edit<String>,

    /// May do everything.
    pub is_admin: Option<bool>,

    /// Their tokens are refused.
    pub blocked: Option<bool>,
}

/// An access token as its owner sees it again: without the token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// Its number.
    pub id: i64,

    /// Whose it is.
    pub user_id: i64,

    /// The name that its owner gave it.
    pub name: String,

    /// Its scopes, in the order of the request.
    pub scopes: Vec<TokenScope>,

    /// When it was made.
    pub created_at: Timestamp,

    /// From when on it is no longer taken.
    pub expires_at: Option<Timestamp>,

    /// Last use, to the minute.
    pub last_used_at: Option<Timestamp>,

    /// Was taken back.
    pub revoked: bool,

    /// The administrator's token that settings or a file give.
    pub is_root: bool,

    /// The project or group that it is of; `None` for a personal one.
    pub scope: Option<Scope>,

    /// The role of a project's or group's token, while it is good.
    pub level: Option<AccessLevel>,
}

/// A token to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewToken {
    /// SHA-256 of the token.
    pub digest: [u8; 32],

    /// Whom it stands for.
    pub holder: Holder,

    /// The name that its owner gave it.
    pub name: String,

    /// Its scopes, each once.
    pub scopes: Vec<TokenScope>,

    /// From when on it is no longer taken.
    pub expires_at: Option<Timestamp>,
}

/// Whom a token stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Holder {
    /// A user who is there.
    User(i64),

    /// A user made for it, who is a member of a project or group.
    Bot {
        /// Of which.
        scope: Scope,
        /// As what.
        level: AccessLevel,
        /// Login of the new user.
        username: String,
    },
}

/// Which tokens to list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tokens {
    /// All personal ones.
    All,

    /// The personal ones of a user.
    Of(i64),

    /// Those of a project or group.
    In(Scope),
}

/// A member of a project or group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// The user.
    pub user: User,

    /// As what.
    pub level: AccessLevel,

    /// Until when.
    pub expires_at: Option<Timestamp>,
}

/// Reads and writes users.
#[async_trait]
pub trait Users {
    /// Makes a user. `Taken` when the login or the address is, both compared without case.
    async fn create_user(&self, new: NewUser, now: Timestamp) -> Result<User>;

    /// Changes a user. `None` if they are not there; `Taken` when the new login or address is. Blocking a user ends
    /// their sessions.
    async fn update_user(&self, id: i64, edit: UserEdit) -> Result<Option<User>>;

    /// Deletes a user with their tokens and memberships. `false` if they were not there.
    async fn delete_user(&self, id: i64) -> Result<bool>;

    /// One user.
    async fn find_user(&self, id: i64) -> Result<Option<User>>;

    /// Users by number.
    async fn list_users(&self, filter: UserFilter, page: Page) -> Result<Paged<User>>;
}

/// Reads and writes access tokens.
#[async_trait]
pub trait AccessTokens {
    /// Makes the token with this digest the administrator's one and only root token.
    async fn set_root_token(&self, digest: [u8; 32], now: Timestamp) -> Result<()>;

    /// Whether a root token was ever set.
    async fn has_root_token(&self) -> Result<bool>;

    /// The user of a token, by its digest; nobody when it was revoked or has expired. `Blocked` when its user is.
    /// Notes that it was used.
    async fn find_actor(&self, digest: [u8; 32], now: Timestamp) -> Result<Option<Actor>>;

    /// Makes a token, and the user that it stands for if that is a bot. `Missing` when there is no such user or scope.
    async fn create_token(&self, new: NewToken, now: Timestamp) -> Result<Token>;

    /// One token.
    async fn find_token(&self, id: i64) -> Result<Option<Token>>;

    /// Tokens by number.
    async fn list_tokens(&self, which: Tokens, filter: TokenFilter, page: Page) -> Result<Paged<Token>>;

    /// Takes a token back and makes another that stands for the same user, with the same name and scope. `None` if it
    /// was not there, or can no longer be used.
    async fn rotate_token(
        &self,
        id: i64,
        digest: [u8; 32],
        expires_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Option<Token>>;

    /// Takes a token back, and the membership of its bot. `false` if it was not there.
    async fn revoke_token(&self, id: i64) -> Result<bool>;
}

/// Reads and writes memberships, and finds roles.
#[async_trait]
pub trait Members {
    /// Makes somebody a member of a project or group. `Missing` when one of them is not there, `Taken` when they are
    /// one.
    async fn add_member(
        &self,
        scope: Scope,
        user: i64,
        level: AccessLevel,
        expires_at: Option<Timestamp>,
    ) -> Result<Member>;

    /// The same, and changes as what if they are one already.
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
    async fn list_members(&self, scope: Scope, filter: MemberFilter, page: Page) -> Result<Paged<Member>>;

    /// Members of a project or group and of the groups above at that time, by number of the user, each with their
    /// highest role and when the last of their memberships ends.
    async fn list_all_members(
        &self,
        scope: Scope,
        now: Timestamp,
        filter: MemberFilter,
        page: Page,
    ) -> Result<Paged<Member>>;

    /// The highest role of a user in a scope, those inherited from groups above included.
    async fn role(&self, scope: Scope, user: i64, now: Timestamp) -> Result<Option<AccessLevel>>;
}

/// How exactly last use is kept: writing it at each request would cost a flush.
pub(crate) const USED_EVERY_MICROS: i64 = 60_000_000;

/// The scopes of a token as they are stored: words with blanks between them.
pub(crate) fn scopes_column(scopes: &[TokenScope]) -> String {
    scopes.iter().map(|scope| scope.word()).collect::<Vec<_>>().join(" ")
}

/// The scopes of a token as they were stored.
pub(crate) fn scopes_of(column: &str) -> Vec<TokenScope> {
    column.split(' ').filter_map(TokenScope::by_word).collect()
}

/// Columns of a token, of the user that it stands for, and of that user's role.
pub(crate) const TOKEN: &str = "t.id, t.user_id, t.name, t.scopes, t.created_at, t.expires_at, t.last_used_at,
    t.revoked, u.project_id, u.group_id, (SELECT max(m.access_level) FROM members m
        WHERE m.user_id = u.id AND (m.project_id = u.project_id OR m.group_id = u.group_id)) AS level, t.is_root
    FROM access_tokens t JOIN users u ON u.id = t.user_id";
