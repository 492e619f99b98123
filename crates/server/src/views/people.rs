//! Users, members and access tokens.

use quickdraw_domain::Timestamp;
use quickdraw_store::access;
use serde::Serialize;
use utoipa::ToSchema;

use super::Iso;

/// A user.
#[derive(Serialize, ToSchema)]
pub struct User {
    /// Their number.
    pub id: i64,
    /// Login.
    pub username: String,
    /// Shown name.
    pub name: String,
    /// `active` or `blocked`.
    pub state: &'static str,
    /// Always null: there are no pictures here.
    pub avatar_url: Option<String>,
    /// Their page.
    pub web_url: String,
    /// When they were made.
    pub created_at: Iso,
    /// Address; seen by themselves and administrators.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub email: Option<Option<String>>,
    /// May do everything; seen by themselves and administrators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_admin: Option<bool>,
    /// Whether it is a program that acts with an access token of a project or group.
    pub bot: bool,
}

impl User {
    /// As everybody sees them.
    #[must_use]
    pub fn new(user: &access::User, base_url: &str) -> Self {
        Self {
            id: user.id,
            username: user.username.clone(),
            name: user.name.clone(),
            state: if user.blocked { "blocked" } else { "active" },
            avatar_url: None,
            web_url: format!("{base_url}/{}", user.username),
            created_at: Iso(user.created_at),
            email: None,
            is_admin: None,
            bot: user.bot_of.is_some(),
        }
    }

    /// As they themselves and administrators see them.
    #[must_use]
    pub fn in_full(user: &access::User, base_url: &str) -> Self {
        Self { email: Some(user.email.clone()), is_admin: Some(user.is_admin), ..Self::new(user, base_url) }
    }
}

/// A member of a project or group.
#[derive(Serialize, ToSchema)]
pub struct Member {
    /// Who.
    #[serde(flatten)]
    pub user: User,
    /// 10 Guest, 20 Reporter, 30 Developer, 40 Maintainer, 50 Owner.
    pub access_level: i64,
    /// The day on which it ends.
    #[schema(format = Date)]
    pub expires_at: Option<String>,
}

impl Member {
    /// As seen under a base URL.
    #[must_use]
    pub fn new(member: &access::Member, base_url: &str) -> Self {
        Self {
            user: User::new(&member.user, base_url),
            access_level: member.level.number(),
            expires_at: member.expires_at.map(date),
        }
    }
}

/// An access token as it is seen again: without the token.
#[derive(Serialize, ToSchema)]
pub struct Token {
    /// Its number.
    pub id: i64,
    /// What it is for.
    pub name: String,
    /// Was taken back.
    pub revoked: bool,
    /// Can be used.
    pub active: bool,
    /// When it was made.
    pub created_at: Iso,
    /// `api`, `read_api` for reading only, or both, as they were asked for.
    pub scopes: Vec<&'static str>,
    /// Whom it stands for.
    pub user_id: i64,
    /// Last use, to the minute.
    pub last_used_at: Option<Iso>,
    /// The day on which it ends.
    #[schema(format = Date)]
    pub expires_at: Option<String>,
    /// The role of a project's or group's token: 10 Guest to 50 Owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_level: Option<i64>,
}

impl Token {
    /// As it stands now.
    #[must_use]
    pub fn new(token: &access::Token, now: Timestamp) -> Self {
        let is_over = token.expires_at.is_some_and(|at| at <= now);
        Self {
            id: token.id,
            name: token.name.clone(),
            revoked: token.revoked,
            active: !token.revoked && !is_over,
            created_at: Iso(token.created_at),
            scopes: token.scopes.iter().map(|scope| scope.word()).collect(),
            user_id: token.user_id,
            last_used_at: token.last_used_at.map(Iso),
            expires_at: token.expires_at.map(date),
            access_level: token.level.map(|level| level.number()),
        }
    }
}

/// An access token that was just made: the one time that it is shown.
#[derive(Serialize, ToSchema)]
pub struct MadeToken {
    /// Everything else about it.
    #[serde(flatten)]
    pub about: Token,
    /// The token.
    pub token: String,
}

/// What clients compare before they ask for more.
#[derive(Serialize, ToSchema)]
pub struct Metadata {
    /// The version of GitLab whose contract this is.
    pub version: &'static str,
    /// Our own version.
    pub revision: &'static str,
    /// Always false.
    pub enterprise: bool,
}

impl Metadata {
    /// Ours.
    #[must_use]
    pub const fn this() -> Self {
        Self { version: "19.1.0-quickdraw", revision: env!("CARGO_PKG_VERSION"), enterprise: false }
    }
}

/// The day of a time, as `2026-03-16`.
fn date(at: Timestamp) -> String {
    at.to_iso().chars().take(10).collect()
}
