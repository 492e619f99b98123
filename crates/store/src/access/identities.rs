//! Identities of users at an OpenID Connect provider.

use async_trait::async_trait;
use quickdraw_domain::Timestamp;

use super::{NewUser, User};
use crate::error::Result;

/// An account at a provider. The subject is unique at its issuer, and never given to another account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// URL of the provider.
    pub issuer: String,

    /// The provider's identifier of the account.
    pub subject: String,
}

/// Reads and writes identities.
#[async_trait]
pub trait Identities {
    /// The user with this identity.
    async fn find_identity(&self, identity: Identity) -> Result<Option<User>>;

    /// The users with this e-mail address, compared without case; at most two, because a second one makes the address
    /// ambiguous. Bots are left out.
    async fn users_by_email(&self, email: String) -> Result<Vec<User>>;

    /// Gives an identity to a user. `Missing` if there is no such user, `Taken` if a user has the identity already.
    async fn add_identity(&self, identity: Identity, user: i64, now: Timestamp) -> Result<()>;

    /// Creates a user who has an identity. `Taken` if the username or the e-mail address belongs to another user, or if
    /// a user has the identity already.
    async fn create_user_with_identity(&self, identity: Identity, new: NewUser, now: Timestamp) -> Result<User>;
}
