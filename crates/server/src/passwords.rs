//! Passwords of local accounts: hashing with Argon2id, and the check of a password with a delay after failures.
//!
//! An unknown account, an account without a password and a wrong password get the same answer, after the same work.

mod failures;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use axum::http::StatusCode;
use quickdraw_domain::Secret;
use quickdraw_domain::password::{MAX_BYTES, Password};
use quickdraw_domain::source::client_network;
use quickdraw_engine::Context;
use quickdraw_store::access::User;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::aside::HeavyWork;
use crate::error::ApiError;
use failures::{Attempt, Failures};

/// Memory in KiB, passes and lanes of Argon2id: the least that OWASP's password storage cheat sheet recommends.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Number of passwords that are hashed at once, and number of further ones that may wait for it.
const AT_ONCE: usize = 4;
const MAX_WAITING: usize = 64;
/// Longest username that is looked up, in characters.
const LONGEST_USERNAME: usize = 255;
/// The salt for accounts without a password. Nothing is compared with its hash.
const NO_SALT: [u8; 16] = [0; 16];

/// The passwords of this node: the limit on hashing, and the recent failures.
pub(crate) struct Passwords {
    context: Arc<Context>,
    work: HeavyWork,
    waiting: Arc<Semaphore>,
    failures: Failures,
}

/// The reason for which a username and password are refused.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The account is unknown, has no password, or has another one. The audit log needs the user, if there is one.
    Wrong(Option<Box<User>>),

    /// The password is right, and the user is blocked.
    Blocked,

    /// There were too many failures. The next attempt is allowed after this time.
    Wait(Duration),

    /// The check failed.
    Failed(ApiError),
}

impl Refused {
    /// The answer of the API to a parameter with a password.
    pub(crate) fn of_parameter(self, name: &str) -> ApiError {
        match self {
            Self::Wrong(_) => ApiError::field(name, format!("{name} is not the password of the user")),
            Self::Blocked => quickdraw_store::Error::Blocked.into(),
            Self::Wait(time) => ApiError::too_many(time.as_secs() + 1),
            Self::Failed(error) => error,
        }
    }
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self::Failed(error)
    }
}

impl From<quickdraw_store::Error> for Refused {
    fn from(error: quickdraw_store::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl Passwords {
    pub(crate) fn new(context: Arc<Context>) -> Arc<Self> {
        Arc::new(Self {
            context,
            work: HeavyWork::new(AT_ONCE),
            waiting: Arc::new(Semaphore::new(AT_ONCE + MAX_WAITING)),
            failures: Failures::default(),
        })
    }

    /// Hashes a new password.
    ///
    /// # Errors
    /// 503 if too many passwords wait to be hashed.
    pub(crate) async fn hash(&self, password: Password) -> Result<String, ApiError> {
        let place = self.place()?;
        let permit = self.work.acquire().await?;
        let hashed = permit.run(move || argon2().hash_password(password.expose()).map(|hash| hash.to_string()));
        let hashed = hashed.await.map_err(|error| ApiError::internal(error.into()))?;

        drop(place);

        hashed.map_err(|error| ApiError::internal(anyhow::anyhow!("failed to hash a password: {error}")))
    }

    /// Finds the user with this username and password. `address` is the address of the client.
    pub(crate) async fn sign_in(&self, username: &str, password: &Secret, address: IpAddr) -> Result<User, Refused> {
        let attempt = self.begin(username, address)?;
        let is_username = username.chars().count() <= LONGEST_USERNAME && !username.contains('\0');

        let found = if is_username {
            self.context.store().find_password(username.to_owned()).await
        } else {
            Ok(None)
        };

        let (user, hash) = match found {
            Ok(Some(found)) => (Some(found.user), Some(found.hash)),
            Ok(None) => (None, None),
            Err(error) => {
                attempt.withdraw();
                return Err(error.into());
            }
        };

        let is_right = self.check(attempt, hash, password).await?;
        match user {
            Some(user) if is_right && user.blocked => Err(Refused::Blocked),
            Some(user) if is_right => Ok(user),
            other => Err(Refused::Wrong(other.map(Box::new))),
        }
    }

    /// Checks the password of a user who is signed in already, for changes that need it again.
    pub(crate) async fn confirm(&self, user: &User, password: &Secret, address: IpAddr) -> Result<(), Refused> {
        let attempt = self.begin(&user.username, address)?;
        let hash = match self.context.store().password_of(user.id).await {
            Ok(hash) => hash,
            Err(error) => {
                attempt.withdraw();
                return Err(error.into());
            }
        };

        if self.check(attempt, hash, password).await? {
            Ok(())
        } else {
            Err(Refused::Wrong(None))
        }
    }

    /// Counts an attempt before its result is known, so that simultaneous attempts do not pass the limit together.
    fn begin(&self, username: &str, address: IpAddr) -> Result<Attempt<'_>, Refused> {
        let account: String = username.to_lowercase().chars().take(LONGEST_USERNAME).collect();
        let attempt = self.failures.begin(account, client_network(address), Instant::now());
        attempt.map_err(Refused::Wait)
    }

    async fn check(&self, attempt: Attempt<'_>, hash: Option<String>, password: &Secret) -> Result<bool, Refused> {
        match self.matches(hash, password.clone()).await {
            Ok(true) => {
                attempt.succeed();
                Ok(true)
            }
            Ok(false) => {
                attempt.fail(Instant::now());
                Ok(false)
            }
            Err(error) => {
                attempt.withdraw();
                Err(error.into())
            }
        }
    }

    async fn matches(&self, hash: Option<String>, password: Secret) -> Result<bool, ApiError> {
        let place = self.place()?;
        let permit = self.work.acquire().await?;
        let matches = permit.run(move || matches(hash.as_deref(), password.expose().as_bytes()));
        let matches = matches.await.map_err(|error| ApiError::internal(error.into()));

        drop(place);

        matches
    }

    /// A place among those who wait for a hash.
    fn place(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let place = Arc::clone(&self.waiting).try_acquire_owned();
        place.map_err(|_| {
            let text = "too many passwords are being checked at the moment; try again in a few seconds";
            ApiError::problem(StatusCode::SERVICE_UNAVAILABLE, text)
        })
    }
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("the parameters are within their ranges");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// Compares a password with a hash. Without a hash, it does the same work.
fn matches(hash: Option<&str>, password: &[u8]) -> bool {
    let bytes = &password[..password.len().min(MAX_BYTES)];
    let Some(hash) = hash else {
        let mut unused = [0; 32];
        // The result is never right, so an error changes nothing.
        let _ = argon2().hash_password_into(bytes, &NO_SALT, &mut unused);
        return false;
    };

    let Ok(hash) = PasswordHash::new(hash) else {
        return false;
    };
    let is_right = argon2().verify_password(bytes, &hash).is_ok();
    is_right && password.len() <= MAX_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashed(text: &str) -> String {
        let password = Password::parse(text, "").expect("a password");
        let hash = argon2().hash_password(password.expose()).expect("a hash");
        hash.to_string()
    }

    #[test]
    fn a_password_matches_its_own_hash_only() {
        let hash = hashed("correct horse");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(hash, hashed("correct horse"), "each hash has its own salt");

        assert!(matches(Some(&hash), b"correct horse"));
        assert!(!matches(Some(&hash), b"correct hors"));
        assert!(!matches(None, b"correct horse"));
        assert!(!matches(Some("damaged"), b"correct horse"));
    }

    #[test]
    fn a_longer_text_that_begins_with_the_password_does_not_match() {
        let longest = "ab".repeat(MAX_BYTES / 2);
        let hash = hashed(&longest);
        assert!(matches(Some(&hash), longest.as_bytes()));
        assert!(!matches(Some(&hash), format!("{longest}c").as_bytes()));
    }
}
