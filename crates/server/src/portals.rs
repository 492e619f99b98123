//! Portal sessions: the secret in a link, and the cookie of a browser that opened the link.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue};
use quickdraw_domain::Timestamp;
use quickdraw_engine::Context;
use quickdraw_store::access::PortalSession;

use crate::error::ApiError;
use crate::sessions::{cookie, digest, form_token};

/// Number of random bytes of a secret.
const SECRET: usize = 32;
/// Time for which the browser keeps the cookie after the end, so that a page can say why it shows nothing.
const SAYS_SO_FOR: u64 = 24 * 3600;

/// Makes a secret, and the digest that is stored.
pub(crate) fn new_secret() -> Result<(String, [u8; 32]), ApiError> {
    let mut bytes = [0; SECRET];
    getrandom::fill(&mut bytes).map_err(|error| ApiError::internal(error.into()))?;

    let secret = hex::encode(bytes);
    let digest = digest(&secret);
    Ok((secret, digest))
}

/// Finds portal sessions, and makes their cookies.
pub(crate) struct Portals {
    context: Arc<Context>,

    /// True if browsers reach the server over TLS only.
    is_secure: bool,

    /// Origins whose pages may show the pages of a portal session in an iframe.
    pub(crate) origins: Vec<String>,
}

/// A portal session that a browser opened.
pub(crate) struct Visit {
    pub(crate) session: PortalSession,

    /// The token that each form of this session has. Pages of other sites cannot know it.
    pub(crate) form_token: String,
}

impl Portals {
    pub(crate) fn new(context: Arc<Context>, is_secure: bool, origins: Vec<String>) -> Self {
        Self {
            context,
            is_secure,
            origins,
        }
    }

    const fn cookie(&self) -> &'static str {
        if self.is_secure {
            "__Host-quickdraw-portal"
        } else {
            "quickdraw-portal"
        }
    }

    /// Finds the portal session of a link. None if the link was altered or has ended.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn open(&self, secret: &str) -> Result<Option<Visit>, ApiError> {
        if secret.len() != 2 * SECRET {
            return Ok(None);
        }

        let found = self
            .context
            .store()
            .find_portal_session(digest(secret), self.now())
            .await?;
        Ok(found.map(|session| Visit {
            session,
            form_token: form_token(secret),
        }))
    }

    /// Checks whether the browser has the cookie of a portal session, which may have ended.
    pub(crate) fn has_cookie(&self, headers: &HeaderMap) -> bool {
        self.secret(headers).is_some()
    }

    /// Finds the portal session of a browser.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn find(&self, headers: &HeaderMap) -> Result<Option<Visit>, ApiError> {
        match self.secret(headers) {
            Some(secret) => self.open(secret).await,
            None => Ok(None),
        }
    }

    fn secret<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        cookie(headers, self.cookie()).filter(|secret| secret.len() == 2 * SECRET)
    }

    fn now(&self) -> Timestamp {
        self.context.clock().now()
    }

    /// The cookie of a browser that opened the link. A browser sends it in an iframe of another site only with TLS, and
    /// keeps it apart for each site that shows the iframe.
    pub(crate) fn set_cookie(&self, secret: &str, session: &PortalSession) -> HeaderValue {
        let left = session.expires_at.since(self.now()).as_secs();
        self.line(secret, left + SAYS_SO_FOR)
    }

    /// The line that deletes the cookie.
    pub(crate) fn delete_cookie(&self) -> HeaderValue {
        self.line("", 0)
    }

    fn line(&self, secret: &str, seconds: u64) -> HeaderValue {
        let site = if self.is_secure {
            "SameSite=None; Secure; Partitioned"
        } else {
            "SameSite=Lax"
        };

        let name = self.cookie();
        let line = format!("{name}={secret}; Path=/; Max-Age={seconds}; HttpOnly; {site}");
        HeaderValue::try_from(line).expect("hexadecimal digits can be in a header")
    }
}
