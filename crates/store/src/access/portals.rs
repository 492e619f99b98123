//! Portal sessions: links that show the webhooks of one project or group to a platform's customers, who have no account
//! here. Only digests of the links are stored.

use async_trait::async_trait;
use quickdraw_domain::Timestamp;
use quickdraw_domain::scope::Scope;

use super::User;
use crate::error::Result;

/// Largest number of valid portal sessions of one project or group.
pub const MAX_PORTAL_SESSIONS: i64 = 1000;

/// Colours of pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Theme {
    /// As the browser prefers.
    #[default]
    Auto,

    /// Dark text on a light background.
    Light,

    /// Light text on a dark background.
    Dark,
}

impl Theme {
    /// The word in the API, in pages and in the databases.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// The theme with this word. An unknown word is the default.
    #[must_use]
    pub fn by_word(word: &str) -> Self {
        match word {
            "light" => Self::Light,
            "dark" => Self::Dark,
            _ => Self::Auto,
        }
    }
}

/// A portal session to be created.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewPortalSession {
    /// SHA-256 of the secret in the link.
    pub digest: [u8; 32],

    /// The user who creates it. The session ends when the user is deleted or blocked.
    pub user_id: i64,

    /// The project or group that it shows.
    pub scope: Scope,

    /// True if it may change webhooks.
    pub manages: bool,

    /// Colours of its pages.
    pub theme: Theme,

    /// Address of the page to which it links back.
    pub return_url: Option<String>,

    /// Time of its end.
    pub expires_at: Timestamp,
}

/// The result of creating a portal session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PortalCreated {
    /// It was created.
    Created,

    /// The project or group has [`MAX_PORTAL_SESSIONS`] valid ones.
    TooMany,
}

/// A portal session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortalSession {
    /// Number of the session.
    pub id: i64,

    /// The user who created it.
    pub user: User,

    /// The project or group that it shows.
    pub scope: Scope,

    /// True if it may change webhooks.
    pub manages: bool,

    /// Colours of its pages.
    pub theme: Theme,

    /// Address of the page to which it links back.
    pub return_url: Option<String>,

    /// Time of its end.
    pub expires_at: Timestamp,
}

/// Number of ended portal sessions that are deleted when one is created.
pub(crate) const DELETED_AT_ONCE: i64 = 100;

/// Columns of a portal session, and of the user who created it.
pub(crate) const PORTAL: &str = "p.id AS portal_id, p.project_id AS portal_project, p.group_id AS portal_group,
    p.manages, p.theme, p.return_url, p.expires_at";

/// Reads and writes portal sessions.
#[async_trait]
pub trait PortalSessions {
    /// Creates a portal session, and deletes some that have ended. `Missing` if the user, project or group does not
    /// exist.
    async fn create_portal_session(&self, new: NewPortalSession, now: Timestamp) -> Result<PortalCreated>;

    /// The portal session with this digest; none if it has ended, or its user is blocked.
    async fn find_portal_session(&self, digest: [u8; 32], now: Timestamp) -> Result<Option<PortalSession>>;
}
