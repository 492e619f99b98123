//! Who may post: token, Standard Webhooks signature, or body signature.
//!
//! Every credential that a request shows and that we can check must be right, and there must be one. So a signature
//! never falls back to a token, and two different tokens are an error.

use axum::http::HeaderMap;
use quickdraw_domain::signature::{SignedMessage, SigningToken, TokenDigest, hub_verifies};
use quickdraw_domain::{Secret, Timestamp};

use super::text;

const TOKEN: &str = "x-gitlab-token";
const SIGNATURE: &str = "webhook-signature";
const HUB_SIGNATURE: &str = "x-hub-signature-256";

/// A receiver and its secrets.
pub struct Receiver {
    token: TokenDigest,
    secret: Secret,
    signing_token: Option<SigningToken>,
    /// Largest body.
    pub body_limit: usize,
}

/// What is left to be checked when the body is there.
pub struct Checks {
    signature: bool,
    hub_signature: bool,
}

impl Receiver {
    /// A receiver with one secret. A secret of the form `whsec_…` is the signing token at the same time, unless another
    /// one is given.
    #[must_use]
    pub fn new(secret: Secret, signing_token: Option<SigningToken>, body_limit: usize) -> Self {
        let signing_token = signing_token.or_else(|| SigningToken::parse(secret.expose()).ok());
        Self { token: TokenDigest::new(secret.expose().as_bytes()), secret, signing_token, body_limit }
    }

    /// Checks what the head alone can show. `None`: refused, or nothing to go by.
    #[must_use]
    pub fn check_head(&self, headers: &HeaderMap) -> Option<Checks> {
        let mut tokens = headers.get_all(TOKEN).iter();
        let token = tokens.next();
        if tokens.any(|other| Some(other) != token) {
            return None;
        }
        // Constant time, and no early way out that would tell how far it was right.
        if token.is_some_and(|token| !self.token.matches(token.as_bytes())) {
            return None;
        }
        let signature = self.signing_token.is_some() && headers.contains_key(SIGNATURE);
        let hub_signature = headers.contains_key(HUB_SIGNATURE);
        (token.is_some() || signature || hub_signature).then_some(Checks { signature, hub_signature })
    }

    /// Checks the signatures over the exact bytes.
    #[must_use]
    pub fn check_body(&self, checks: &Checks, headers: &HeaderMap, body: &[u8], now: Timestamp) -> bool {
        if checks.signature && !self.signature_holds(headers, body, now) {
            return false;
        }
        !checks.hub_signature
            || text(headers, HUB_SIGNATURE).is_some_and(|header| hub_verifies(&self.secret, header, body))
    }

    fn signature_holds(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> bool {
        let part = |name| text(headers, name);
        let (Some(token), Some(id), Some(timestamp), Some(signatures)) =
            (&self.signing_token, part("webhook-id"), part("webhook-timestamp"), part(SIGNATURE))
        else {
            return false;
        };
        token.verifies(&SignedMessage { id, timestamp, signatures, body }, now)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};
    use quickdraw_domain::signature::hub_signature;

    use super::*;

    const KEY: &str = "whsec_dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0dGVzdHRlc3Q=";
    const NOW: Timestamp = Timestamp::from_seconds(1_744_578_123);

    fn check(receiver: &Receiver, headers: &[(&'static str, &str)], expected: bool) {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value")))
            .fold(HeaderMap::new(), |mut all, (name, value)| {
                all.append(name, value);
                all
            });
        let held =
            receiver.check_head(&headers).is_some_and(|checks| receiver.check_body(&checks, &headers, b"{}", NOW));
        assert_eq!(held, expected, "{headers:?}");
    }

    #[test]
    fn a_token_must_be_the_token() {
        let receiver = Receiver::new(Secret::new("s3cret"), None, 100);
        check(&receiver, &[], false);
        check(&receiver, &[("x-gitlab-token", "s3cret")], true);
        check(&receiver, &[("x-gitlab-token", "s3cre")], false);
        check(&receiver, &[("x-gitlab-token", "s3cret"), ("x-gitlab-token", "wrong")], false);
        check(&receiver, &[("x-gitlab-token", "s3cret"), ("x-gitlab-token", "s3cret")], true);
        check(&receiver, &[("webhook-signature", "v1,AAAA")], false);
    }

    #[test]
    fn a_body_signature_must_fit_even_beside_a_token() {
        let secret = Secret::new("s3cret");
        let right = hub_signature(&secret, b"{}");
        let receiver = Receiver::new(secret, None, 100);
        check(&receiver, &[("x-hub-signature-256", &right)], true);
        check(&receiver, &[("x-hub-signature-256", "sha256=00")], false);
        check(&receiver, &[("x-gitlab-token", "s3cret"), ("x-hub-signature-256", "sha256=00")], false);
    }

    #[test]
    fn a_signature_is_verified_and_never_falls_back_to_the_token() {
        let token = SigningToken::parse(KEY).expect("a token");
        let right = token.sign("id", NOW, b"{}");
        let receiver = Receiver::new(Secret::new("s3cret"), Some(token), 100);
        let signed = |signature: &str, timestamp: &str, expected| {
            check(
                &receiver,
                &[("webhook-id", "id"), ("webhook-timestamp", timestamp), ("webhook-signature", signature)],
                expected,
            );
        };
        signed(&right, "1744578123", true);
        signed(&right, "1744577000", false);
        signed("v1,AAAA", "1744578123", false);
        check(&receiver, &[("x-gitlab-token", "s3cret"), ("webhook-signature", "v1,AAAA")], false);
        check(&receiver, &[("x-gitlab-token", "s3cret")], true);
    }

    #[test]
    fn a_secret_in_the_form_of_a_signing_token_is_one() {
        let receiver = Receiver::new(Secret::new(KEY), None, 100);
        let signature = SigningToken::parse(KEY).expect("a token").sign("id", NOW, b"{}");
        let headers =
            [("webhook-id", "id"), ("webhook-timestamp", "1744578123"), ("webhook-signature", signature.as_str())];
        check(&receiver, &headers, true);
    }
}
