//! Sessions of people who are signed in with a browser: a cookie with a random secret, whose digest is in the store.
//!
//! The API never accepts the cookie: pages call the API within the process, with the user of the session.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use quickdraw_domain::source::Addresses;
use quickdraw_engine::Context;
use quickdraw_store::access::Actor;
use quickdraw_store::sessions::{LONGEST, NewSession};
use sha2::{Digest, Sha256};

use crate::error::ApiError;
use crate::receive::address;

/// Number of random bytes of a secret.
const SECRET: usize = 32;
/// Number of characters of a browser's name that are stored.
const MAX_BROWSER: usize = 300;

/// A person who is signed in.
pub(crate) struct SignIn {
    /// The user.
    pub(crate) actor: Actor,

    /// Number of the session.
    pub(crate) session: i64,

    /// The token that each form of this session has. Pages of other sites cannot know it.
    pub(crate) form_token: String,
}

/// Sessions and their cookies.
pub(crate) struct Sessions {
    context: Arc<Context>,

    /// True if browsers reach the server over TLS only.
    is_secure: bool,

    /// Reverse proxies whose `X-Forwarded-For` is trusted.
    trusted_proxies: Addresses,
}

impl Sessions {
    pub(crate) fn new(context: Arc<Context>, is_secure: bool, trusted_proxies: Addresses) -> Self {
        Self {
            context,
            is_secure,
            trusted_proxies,
        }
    }

    /// Name of the cookie. Browsers accept the prefix `__Host-` only for this host, this path and over TLS.
    const fn cookie(&self) -> &'static str {
        if self.is_secure {
            "__Host-quickdraw-session"
        } else {
            "quickdraw-session"
        }
    }

    /// Begins a session, and returns the value of `Set-Cookie`.
    ///
    /// # Errors
    /// When the store fails, or the user is blocked.
    pub(crate) async fn begin(&self, parts: &Parts, user: i64, token: Option<i64>) -> Result<HeaderValue, ApiError> {
        let mut bytes = [0; SECRET];
        getrandom::fill(&mut bytes).map_err(|error| ApiError::internal(error.into()))?;

        let secret = hex::encode(bytes);

        let browser = parts.headers.get(header::USER_AGENT);
        let browser = browser.and_then(|name| name.to_str().ok()).unwrap_or_default();

        let new = NewSession {
            digest: digest(&secret),
            user_id: user,
            token_id: token,
            address: self.address(parts).map(|address| address.to_string()),
            browser: browser.chars().take(MAX_BROWSER).collect(),
        };

        let now = self.context.clock().now();
        self.context.store().begin_session(new, now).await?;
        Ok(self.set_cookie(&secret, LONGEST.as_secs()))
    }

    /// Finds the session of a request. None without a cookie, or if the session has ended.
    ///
    /// # Errors
    /// When the store fails, or the user is blocked.
    pub(crate) async fn find(&self, headers: &HeaderMap) -> Result<Option<SignIn>, ApiError> {
        let Some(secret) = self.secret(headers) else {
            return Ok(None);
        };

        let now = self.context.clock().now();
        let found = self.context.store().find_session(digest(secret), now).await?;

        Ok(found.map(|(session, actor)| SignIn {
            actor,
            session: session.id,
            form_token: form_token(secret),
        }))
    }

    /// Ends a session, and returns the value of `Set-Cookie` that deletes the cookie.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn end(&self, user: i64, session: i64) -> Result<HeaderValue, ApiError> {
        self.context.store().end_session(user, session).await?;
        Ok(self.set_cookie("", 0))
    }

    /// The address of the browser.
    fn address(&self, parts: &Parts) -> Option<IpAddr> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip();
        Some(address::client(peer, &parts.headers, &self.trusted_proxies))
    }

    fn secret<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        cookie(headers, self.cookie()).filter(|secret| secret.len() == 2 * SECRET)
    }

    fn set_cookie(&self, secret: &str, seconds: u64) -> HeaderValue {
        let secure = if self.is_secure { "; Secure" } else { "" };
        let name = self.cookie();
        let line = format!("{name}={secret}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
        HeaderValue::try_from(line).expect("hexadecimal digits can be in a header")
    }
}

/// The value of a cookie.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter();
    let mut cookies = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'));

    cookies.find_map(|cookie| {
        let (name, value) = cookie.trim().split_once('=')?;
        (name == wanted).then_some(value)
    })
}

/// Secrets are random, so a fast digest is sufficient.
pub(crate) fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// The form token of a session. It cannot be turned back into the secret.
pub(crate) fn form_token(secret: &str) -> String {
    let mut hash = Sha256::new_with_prefix(b"form token\0");
    hash.update(secret.as_bytes());
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_token_differs_from_what_the_store_keeps() {
        let secret = "00".repeat(SECRET);
        assert_ne!(form_token(&secret), hex::encode(digest(&secret)));
        assert_eq!(form_token(&secret), form_token(&secret));
    }
}
