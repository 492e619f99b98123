//! Who may ask: access tokens. Only digests are stored.

use async_trait::async_trait;
use quickdraw_domain::Timestamp;

use crate::error::Result;

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
}

/// Access tokens: what can be done with them.
#[async_trait]
pub trait Access {
    /// Makes the token with this digest the administrator's one and only root token.
    async fn set_root_token(&self, digest: [u8; 32], now: Timestamp) -> Result<()>;
    /// Whether a root token was ever set.
    async fn has_root_token(&self) -> Result<bool>;
    /// Who a token stands for, by its digest.
    async fn find_actor(&self, digest: [u8; 32]) -> Result<Option<Actor>>;
}
