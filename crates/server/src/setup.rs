//! The set-up link, with which the first administrator chooses a name and a password in a browser. It can be used once.

use std::time::Duration;

use quickdraw_domain::Timestamp;
use quickdraw_store::SharedStore;
use quickdraw_store::access::{FirstAdministrator, User};
use sha2::{Digest, Sha256};

/// Time for which a link is valid.
pub const VALID_FOR: Duration = Duration::from_secs(30 * 60);
/// Number of random bytes in a link.
const SECRET: usize = 32;

/// A set-up link.
pub struct SetupLink {
    /// Its address. It is a secret.
    pub url: String,

    /// Time of its end.
    pub expires_at: Timestamp,
}

/// Creates a set-up link below the base URL of the server. It replaces the link before.
///
/// # Errors
/// When the system has no randomness, or the store fails.
pub async fn create(store: &SharedStore, external_url: &str, now: Timestamp) -> anyhow::Result<SetupLink> {
    let mut bytes = [0; SECRET];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("failed to read random bytes: {error}"))?;

    let secret = hex::encode(bytes);

    let expires_at = now.plus(VALID_FOR);
    store.put_setup_link(digest(&secret), expires_at).await?;

    Ok(SetupLink {
        url: format!("{external_url}/-/setup/{secret}"),
        expires_at,
    })
}

/// Checks whether a link is valid.
///
/// # Errors
/// When the store fails.
pub(crate) async fn is_valid(store: &SharedStore, secret: &str, now: Timestamp) -> quickdraw_store::Result<bool> {
    store.is_setup_link(digest(secret), now).await
}

/// Uses a link up. None if it is not valid.
///
/// # Errors
/// When the store fails, or another user has the username.
pub(crate) async fn finish(
    store: &SharedStore,
    secret: &str,
    administrator: FirstAdministrator,
    now: Timestamp,
) -> quickdraw_store::Result<Option<User>> {
    store.finish_setup(digest(secret), administrator, now).await
}

/// Secrets are random, so a fast digest is sufficient.
fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}
