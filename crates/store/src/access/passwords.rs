//! Passwords of local accounts, and the link with which the first administrator sets one. Only hashes are stored.

use async_trait::async_trait;
use quickdraw_domain::Timestamp;

use super::{NewUser, User};
use crate::error::Result;

/// A user who has a password.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredPassword {
    /// The user.
    pub user: User,

    /// The hash of the password, with the parameters of the hash function.
    pub hash: String,
}

/// The administrator whom the set-up link describes.
#[derive(Clone)]
pub struct FirstAdministrator {
    /// Login.
    pub username: String,

    /// Displayed name.
    pub name: String,

    /// The hash of the password.
    pub hash: String,
}

/// Reads and writes passwords and the set-up link.
#[async_trait]
pub trait Passwords {
    /// Sets the password of a user, and ends the user's sessions except one. `Missing` if there is no such user.
    async fn set_password(&self, user: i64, hash: String, keep: Option<i64>, now: Timestamp) -> Result<()>;

    /// Creates a user with a password. `Taken` if another user has the username or the e-mail address.
    async fn create_user_with_password(&self, new: NewUser, hash: String, now: Timestamp) -> Result<User>;

    /// The user with this username, compared without case, and their password. None if they have no password.
    async fn find_password(&self, username: String) -> Result<Option<StoredPassword>>;

    /// The hash of a user's password. None if they have no password.
    async fn password_of(&self, user: i64) -> Result<Option<String>>;

    /// True if at least one user has a password.
    async fn has_passwords(&self) -> Result<bool>;

    /// Replaces the set-up link.
    async fn put_setup_link(&self, digest: [u8; 32], expires_at: Timestamp) -> Result<()>;

    /// True if the set-up link has this digest and is still valid.
    async fn is_setup_link(&self, digest: [u8; 32], now: Timestamp) -> Result<bool>;

    /// Uses the set-up link up: user 1, to whom the root token belongs, gets the name, the username and the password,
    /// and the user's sessions end. None if the link is not valid. `Taken` if another user has the username; the link
    /// then stays valid.
    async fn finish_setup(&self, digest: [u8; 32], new: FirstAdministrator, now: Timestamp) -> Result<Option<User>>;
}
