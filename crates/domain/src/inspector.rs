//! Inspectors: private addresses that keep the requests which they get, and answer as their owner chose. They show a
//! developer the requests of a webhook without a tool of another company.

mod answer;
mod verdict;

use std::time::Duration;

use uuid::Uuid;

pub use answer::{Answer, AnswerError, MAX_BODY as MAX_ANSWER_BODY, MAX_DELAY, MAX_HEADERS};
pub use verdict::{Credentials, Verdict, Verdicts};

use crate::redact::MASK;
use crate::signature::SigningToken;
use crate::{Secret, Timestamp};

/// Time after which an inspector is deleted with its requests.
pub const LIFETIME: Duration = Duration::from_secs(7 * 86_400);
/// The maximum number of inspectors of one user, and of all users.
pub const MAX_OF_USER: usize = 10;
/// The maximum number of inspectors of all users.
pub const MAX_IN_ALL: usize = 500;
/// The maximum number of requests that an inspector keeps.
pub const MAX_REQUESTS: usize = 200;
/// The maximum size of all requests that an inspector keeps, in bytes of their headers and bodies.
pub const MAX_BYTES: usize = 5 << 20;
/// The largest body that an inspector keeps, in bytes.
pub const MAX_BODY: usize = 256 << 10;

/// The path of all inspectors.
const ROOT: &str = "/i/";
/// Length of a key: 128 bits in hexadecimal digits.
const KEY_LEN: usize = 32;

/// An inspector.
#[derive(Clone)]
pub struct Inspector {
    /// The random part of its address, which cannot be guessed.
    pub key: String,

    /// The user who created it.
    pub owner: i64,

    /// Display name.
    pub name: Option<String>,

    /// The secret that `X-Gitlab-Token` and `X-Hub-Signature-256` are compared with.
    pub secret: Option<Secret>,

    /// The signing token that `webhook-signature` is verified with, in its text form `whsec_…`.
    pub signing_token: Option<Secret>,

    /// The answer to every request.
    pub answer: Answer,

    /// The time of its creation.
    pub created_at: Timestamp,

    /// The time of its last change.
    pub updated_at: Timestamp,

    /// The time at which it is deleted.
    pub expires_at: Timestamp,
}

impl Inspector {
    /// Whether it still exists at this time. It may not be deleted yet.
    #[must_use]
    pub fn is_alive(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }

    /// The path of its address.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{ROOT}{}", self.key)
    }

    /// Compares the credentials of a request with its secrets.
    #[must_use]
    pub fn verify(&self, credentials: &Credentials<'_>, body: &[u8], now: Timestamp) -> Verdicts {
        let signing = self.signing_token.as_ref();
        let signing = signing.and_then(|token| SigningToken::parse(token.expose()).ok());
        Verdicts::of(self.secret.as_ref(), signing.as_ref(), credentials, body, now)
    }
}

/// A request to an inspector, without its body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inspected {
    /// Its id. Later requests have larger ids.
    pub id: Uuid,

    /// The time at which it came.
    pub at: Timestamp,

    /// The address of the client.
    pub address: String,

    /// HTTP method.
    pub method: String,

    /// Path with query.
    pub path: String,

    /// Header fields in their order. Values that look like credentials are masked.
    pub headers: Vec<(String, String)>,

    /// Size of the body in bytes, also of one that was not kept.
    pub size: usize,

    /// The reason why the body was not kept.
    pub note: Option<String>,

    /// The result of the check of its credentials.
    pub verdicts: Verdicts,

    /// The status of the answer.
    pub status: u16,
}

/// Whether a text has the form of a key.
#[must_use]
pub fn is_key(text: &str) -> bool {
    text.len() == KEY_LEN && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a path is the address of an inspector, and of nothing else.
#[must_use]
pub fn is_address(path: &str) -> bool {
    path.strip_prefix(ROOT).is_some_and(is_key)
}

/// The value of a header field as it is kept. The values of credentials are masked.
#[must_use]
pub fn kept_value<'a>(name: &str, value: &'a str) -> &'a str {
    let name = name.to_ascii_lowercase();
    let is_credential = ["token", "secret", "key", "auth", "cookie", "session", "password"]
        .iter()
        .any(|word| name.contains(word));

    if is_credential && name != "idempotency-key" {
        return MASK;
    }

    // The path of a page that leads here can contain a secret, such as a link to set a password.
    if name == "referer" {
        return origin(value);
    }

    value
}

/// The scheme and the host of a URL.
fn origin(url: &str) -> &str {
    let Some((scheme, rest)) = url.split_once("://") else {
        return MASK;
    };
    let host = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    if rest[..host].contains('@') {
        return MASK;
    }

    &url[..scheme.len() + 3 + host]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_an_inspector_is_exactly_its_key() {
        let key = "0123456789abcdef0123456789abcdef";
        assert!(is_address(&format!("/i/{key}")));

        for path in [
            "/i/",
            "/i/0123",
            "/i/0123456789ABCDEF0123456789abcdef",
            "/i/0123456789abcdef0123456789abcdef/",
            "/i/0123456789abcdef0123456789abcdef/../api",
            "/x/0123456789abcdef0123456789abcdef",
            "//i/0123456789abcdef0123456789abcdef",
        ] {
            assert!(!is_address(path), "{path}");
        }
    }

    #[test]
    fn credentials_are_masked_and_other_values_are_kept() {
        for name in [
            "X-Gitlab-Token",
            "authorization",
            "Cookie",
            "Private-Token",
            "X-Api-Key",
            "X-Amz-Security-Token",
        ] {
            assert_eq!(kept_value(name, "s3cret"), MASK, "{name}");
        }

        for name in [
            "Idempotency-Key",
            "X-Gitlab-Event",
            "webhook-signature",
            "X-Hub-Signature-256",
            "User-Agent",
        ] {
            assert_eq!(kept_value(name, "value"), "value", "{name}");
        }
    }
}
