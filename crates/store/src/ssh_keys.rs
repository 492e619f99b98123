//! SSH keys of users.

use async_trait::async_trait;
use quickdraw_domain::Timestamp;
use quickdraw_domain::ssh_key::{SshKey, Usage};

use crate::error::{Error, Result};
use crate::lists::{Page, Paged};

/// An SSH key of a user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserKey {
    /// Id of the key.
    pub id: i64,

    /// Id of the user.
    pub user: i64,

    /// Name that the user gave the key.
    pub title: String,

    /// The key.
    pub key: SshKey,

    /// Use of the key.
    pub usage: Usage,

    /// Time at which the key was added.
    pub created_at: Timestamp,

    /// Time at which the key expires.
    pub expires_at: Option<Timestamp>,
}

/// An SSH key to add.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewKey {
    /// Id of the user.
    pub user: i64,

    /// Name of the key.
    pub title: String,

    /// The key.
    pub key: SshKey,

    /// Use of the key.
    pub usage: Usage,

    /// Time at which the key expires.
    pub expires_at: Option<Timestamp>,
}

impl NewKey {
    /// The key after it was added under an id.
    pub(crate) fn added(self, id: i64, created_at: Timestamp) -> UserKey {
        UserKey {
            id,
            user: self.user,
            title: self.title,
            key: self.key,
            usage: self.usage,
            created_at,
            expires_at: self.expires_at,
        }
    }
}

/// Reads and writes SSH keys.
#[async_trait]
pub trait SshKeys {
    /// Adds a key. `Missing` if the user does not exist, `Taken` if the key belongs to this or another user already,
    /// `Full` if the user has `most` keys.
    async fn add_ssh_key(&self, new: NewKey, most: i64, now: Timestamp) -> Result<UserKey>;

    /// Finds a key of a user.
    async fn find_ssh_key(&self, user: i64, id: i64) -> Result<Option<UserKey>>;

    /// Lists the keys of a user by id.
    async fn list_ssh_keys(&self, user: i64, page: Page) -> Result<Paged<UserKey>>;

    /// Deletes a key of a user and returns it. `None` if the user has no such key.
    async fn remove_ssh_key(&self, user: i64, id: i64) -> Result<Option<UserKey>>;
}

/// Columns of a key.
pub(crate) const COLUMNS: &str = "k.id, k.user_id, k.title, k.public_key, k.usage_type, k.created_at, k.expires_at";

/// A key as it is stored.
pub(crate) struct StoredKey {
    pub(crate) id: i64,
    pub(crate) user: i64,
    pub(crate) title: String,
    pub(crate) public_key: String,
    pub(crate) usage: String,
    pub(crate) created_at: i64,
    pub(crate) expires_at: Option<i64>,
}

impl StoredKey {
    pub(crate) fn read(self) -> Result<UserKey> {
        Ok(UserKey {
            id: self.id,
            user: self.user,
            title: self.title,
            key: SshKey::parse(&self.public_key).map_err(|_| Error::Damaged("an SSH key"))?,
            usage: Usage::by_word(&self.usage).ok_or(Error::Damaged("the use of an SSH key"))?,
            created_at: Timestamp::from_micros(self.created_at),
            expires_at: self.expires_at.map(Timestamp::from_micros),
        })
    }
}
