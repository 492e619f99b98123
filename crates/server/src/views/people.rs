//! Views of users, members, access tokens and SSH keys.

use quickdraw_domain::Timestamp;
use quickdraw_store::access;
use quickdraw_store::ssh_keys::UserKey;
use serde::Serialize;
use url::Url;
use utoipa::ToSchema;

use super::Iso;

/// A user.
#[derive(Serialize, ToSchema)]
pub struct User {
    /// Id of the user.
    pub id: i64,

    /// Username.
    pub username: String,

    /// Display name.
    pub name: String,

    /// `active` or `blocked`.
    pub state: &'static str,

    /// Always null, because there are no avatars.
    pub avatar_url: Option<String>,

    /// URL of the user's page.
    pub web_url: String,

    /// Time at which the user was created.
    pub created_at: Iso,

    /// E-mail address; visible to the user and to administrators.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub email: Option<Option<String>>,

    /// True for an administrator; visible to the user and to administrators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_admin: Option<bool>,

    /// True for the bot of a project or group token.
    pub bot: bool,
}

impl User {
    /// Builds the public view.
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

    /// Builds the view for the user and for administrators.
    #[must_use]
    pub fn in_full(user: &access::User, base_url: &str) -> Self {
        Self {
            email: Some(user.email.clone()),
            is_admin: Some(user.is_admin),
            ..Self::new(user, base_url)
        }
    }
}

/// A member of a project or group.
#[derive(Serialize, ToSchema)]
pub struct Member {
    /// The user.
    #[serde(flatten)]
    pub user: User,

    /// Role: 10 Guest, 20 Reporter, 30 Developer, 40 Maintainer, 50 Owner.
    pub access_level: i64,

    /// Day on which the membership ends.
    #[schema(format = Date)]
    pub expires_at: Option<String>,
}

impl Member {
    /// Builds the view, with URLs below `base_url`.
    #[must_use]
    pub fn new(member: &access::Member, base_url: &str) -> Self {
        Self {
            user: User::new(&member.user, base_url),
            access_level: member.level.number(),
            expires_at: member.expires_at.map(date),
        }
    }
}

/// An access token without its secret text.
#[derive(Serialize, ToSchema)]
pub struct Token {
    /// Id of the token.
    pub id: i64,

    /// Purpose of the token.
    pub name: String,

    /// True if the token was revoked.
    pub revoked: bool,

    /// True if the token can be used.
    pub active: bool,

    /// Time at which the token was created.
    pub created_at: Iso,

    /// Scopes as requested: `api`, `read_api` (read access only), `sudo` (act as another user), `report` (report events
    /// only), `metrics` (read metrics for Prometheus only) and `read_insights` (read insights only).
    pub scopes: Vec<&'static str>,

    /// Id of the user.
    pub user_id: i64,

    /// Time of the last use, to the minute.
    pub last_used_at: Option<Iso>,

    /// Day on which the token expires.
    #[schema(format = Date)]
    pub expires_at: Option<String>,

    /// Role of a project or group token: 10 Guest to 50 Owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_level: Option<i64>,
}

impl Token {
    /// Builds the view of a token at `now`.
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

/// A new access token, with its secret text, which is shown once only.
#[derive(Serialize, ToSchema)]
pub struct CreatedToken {
    /// The other fields of the token.
    #[serde(flatten)]
    pub about: Token,

    /// The secret text of the token.
    pub token: String,
}

/// An SSH key of a user.
#[derive(Serialize, ToSchema)]
pub struct SshKey {
    /// Id of the key.
    pub id: i64,

    /// Name of the key.
    pub title: String,

    /// Time at which the key was added.
    pub created_at: Iso,

    /// Time at which the key expires.
    pub expires_at: Option<Iso>,

    /// The key, with the name of the user and the host of this server in place of its comment, which is often an e-mail
    /// address.
    pub key: String,

    /// `auth`, `signing` or `auth_and_signing`.
    pub usage_type: &'static str,
}

impl SshKey {
    /// Builds the view of a key of the user with this name.
    #[must_use]
    pub fn new(key: &UserKey, name: &str, base_url: &str) -> Self {
        let url = Url::parse(base_url).ok();
        let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();

        Self {
            id: key.id,
            title: key.title.clone(),
            created_at: Iso(key.created_at),
            expires_at: key.expires_at.map(Iso),
            key: format!("{} {name} ({host})", key.key.public()),
            usage_type: key.usage.word(),
        }
    }
}

/// Version of the API, which clients compare before other requests.
#[derive(Serialize, ToSchema)]
pub struct Metadata {
    /// GitLab version with which this API is compatible.
    pub version: &'static str,

    /// Version of Quickdraw.
    pub revision: &'static str,

    /// Always false.
    pub enterprise: bool,
}

impl Metadata {
    /// The metadata of this build.
    #[must_use]
    pub const fn this() -> Self {
        Self {
            version: "19.1.0-quickdraw",
            revision: env!("CARGO_PKG_VERSION"),
            enterprise: false,
        }
    }
}

/// Formats the day of a time, such as `2026-03-16`.
fn date(at: Timestamp) -> String {
    at.to_iso().chars().take(10).collect()
}
