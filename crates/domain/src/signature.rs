//! Signatures and tokens, which prove the sender of a request.
//!
//! Sources: Standard Webhooks 1.0.0 and GitLab 19.0 for `webhook-signature`; GitHub's format for `X-Hub-Signature-256`.
//! The `hmac` crate computes the MAC and compares it in constant time.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use crate::source::Source;
use crate::{Secret, Timestamp};

/// The maximum number of entries of a `webhook-signature` list that are checked.
pub const MAX_SIGNATURES: usize = 10;

const PREFIX: &str = "whsec_";

/// The text is not a signing token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("must be 'whsec_' followed by the base64 of exactly 32 bytes")]
pub struct SigningTokenError;

/// The key of `webhook-signature`. It has no `Debug` and no `==`, like any secret.
#[derive(Clone)]
pub struct SigningToken(Vec<u8>);

impl Drop for SigningToken {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl SigningToken {
    /// Parses `whsec_` and the padded base64 of 32 bytes, GitLab's form.
    ///
    /// # Errors
    /// For any other text.
    pub fn parse(text: &str) -> Result<Self, SigningTokenError> {
        let encoded = text.strip_prefix(PREFIX).ok_or(SigningTokenError)?;
        let key = STANDARD.decode(encoded).map_err(|_| SigningTokenError)?;

        if key.len() == 32 {
            Ok(Self(key))
        } else {
            Err(SigningTokenError)
        }
    }

    /// A token from key bytes of any length: Standard Webhooks allows 24 to 64.
    #[must_use]
    pub fn from_key(key: &[u8]) -> Self {
        Self(key.to_vec())
    }

    /// The text form, for storing it sealed or for showing it once when it is created.
    #[must_use]
    pub fn to_text(&self) -> Secret {
        Secret::new(format!("{PREFIX}{}", STANDARD.encode(&self.0)))
    }

    fn mac(&self, id: &str, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }

        mac
    }

    /// The `webhook-signature` of a message: `v1,` and the base64 of the MAC over `id.timestamp.body`.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: Timestamp, body: &[u8]) -> String {
        let mac = self.mac(id, &timestamp.as_seconds().to_string(), body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }

    /// Whether a message is signed with this key and recent. Entries of unknown versions are skipped, and at most
    /// [`MAX_SIGNATURES`] are checked. The signature includes the timestamp in the form in which it was sent.
    #[must_use]
    pub fn verifies(&self, signed: &SignedMessage<'_>, now: Timestamp) -> bool {
        signed.is_within(Source::WINDOW, now) && self.signed(signed)
    }

    /// Whether a message is signed with this key, whatever its time.
    #[must_use]
    pub fn signed(&self, signed: &SignedMessage<'_>) -> bool {
        let mac = self.mac(signed.id, signed.timestamp, signed.body);
        signed
            .signatures
            .split(' ')
            .take(MAX_SIGNATURES)
            .filter_map(|entry| entry.strip_prefix("v1,"))
            .any(|encoded| {
                STANDARD
                    .decode(encoded)
                    .is_ok_and(|signature| mac.clone().verify_slice(&signature).is_ok())
            })
    }
}

/// A received message with a Standard Webhooks signature.
#[derive(Clone, Copy, Debug)]
pub struct SignedMessage<'a> {
    /// `webhook-id`.
    pub id: &'a str,

    /// `webhook-timestamp`, as sent.
    pub timestamp: &'a str,

    /// `webhook-signature`: a list separated by blanks.
    pub signatures: &'a str,

    /// The exact bytes.
    pub body: &'a [u8],
}

impl SignedMessage<'_> {
    /// Whether the difference between the timestamp and `now` is within a window, in both directions.
    #[must_use]
    pub fn is_within(&self, window: Duration, now: Timestamp) -> bool {
        self.timestamp
            .parse::<i64>()
            .is_ok_and(|at| at.abs_diff(now.as_seconds()) <= window.as_secs())
    }
}

/// `X-Hub-Signature-256` of a body: `sha256=` and the MAC in lower-case hex.
#[must_use]
pub fn hub_signature(secret: &Secret, body: &[u8]) -> String {
    format!("sha256={}", hex::encode(hub_mac(secret, body).finalize().into_bytes()))
}

/// Whether `X-Hub-Signature-256` is valid for the body. The hex digits may be in either case, and the prefix is
/// required.
#[must_use]
pub fn hub_verifies(secret: &Secret, header: &str, body: &[u8]) -> bool {
    let Some(digits) = header.strip_prefix("sha256=") else {
        return false;
    };
    hex::decode(digits).is_ok_and(|signature| hub_mac(secret, body).verify_slice(&signature).is_ok())
}

fn hub_mac(secret: &Secret, body: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body);
    mac
}

/// The digest of a secret token, for comparisons in a time that depends on neither side. Both sides are hashed first,
/// so not even the length is revealed.
#[derive(Clone)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// Hashes a token.
    #[must_use]
    pub fn new(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// A digest from the store.
    #[must_use]
    pub const fn from_bytes(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The digest. The store keeps this of an API token.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether a token has this digest.
    #[must_use]
    pub fn matches(&self, token: &[u8]) -> bool {
        Self::new(token).0.ct_eq(&self.0).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "whsec_dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0dGVzdHRlc3Q=";
    const ID: &str = "f5e5f430-f57b-4e6e-9fac-d9128cd7232f";

    fn check_vector(key: &SigningToken, id: &str, seconds: i64, body: &str, signature: &str) {
        let at = Timestamp::from_seconds(seconds);
        assert_eq!(key.sign(id, at, body.as_bytes()), signature);

        let timestamp = seconds.to_string();
        let message = SignedMessage {
            id,
            timestamp: &timestamp,
            signatures: signature,
            body: body.as_bytes(),
        };
        assert!(key.verifies(&message, at));
    }

    #[test]
    fn the_published_vectors_hold() {
        let short = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64");
        check_vector(
            &SigningToken::from_key(&short),
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        );

        let token = SigningToken::parse(TOKEN).expect("a token");
        let sign = |body, signature| check_vector(&token, ID, 1_744_578_123, body, signature);
        sign(
            r#"{"object_kind":"push"}"#,
            "v1,Q/Xs0AQwFCrSU+Jqzp4d4uGCI2fQlx3ls7vaEn5SqGY=",
        );

        sign(r#"{"text":"héllo"}"#, "v1,y7jd0xojgOlUa92ticQq35hvvQiDEkcML9M/cSYX1Sg=");
    }

    #[test]
    fn any_known_entry_of_the_list_is_enough_and_wrong_ones_are_not() {
        let token = SigningToken::parse(TOKEN).expect("a token");
        let now = Timestamp::from_seconds(1_744_578_123);
        let good = token.sign(ID, now, b"{}");

        let verifies = |signatures: &str, timestamp: &str, body: &[u8]| {
            token.verifies(
                &SignedMessage {
                    id: ID,
                    timestamp,
                    signatures,
                    body,
                },
                now,
            )
        };
        assert!(verifies(&format!("v2,xx v1,AAAA {good}"), "1744578123", b"{}"));
        assert!(!verifies(&good, "1744578123", b"{ }"));
        assert!(!verifies(&good.replace("v1,", ""), "1744578123", b"{}"));
        assert!(!verifies(&good, "yesterday", b"{}"));

        assert!(!verifies(
            &format!("{}{good}", "v1,AAAA ".repeat(10)),
            "1744578123",
            b"{}"
        ));

        let late = Timestamp::from_seconds(1_744_578_123 + 301);
        let message = SignedMessage {
            id: ID,
            timestamp: "1744578123",
            signatures: &good,
            body: b"{}",
        };
        assert!(!token.verifies(&message, late));
    }

    #[test]
    fn the_hub_signature_has_its_known_value() {
        let (secret, body) = (Secret::new("s3cret"), br#"{"object_kind":"push"}"#);
        let header = "sha256=715f829797c7e3aef25031967946b3e25aa29669ec370fd72c25f7d8c64761c4";
        assert_eq!(hub_signature(&secret, body), header);
        assert!(hub_verifies(&secret, header, body));

        assert!(hub_verifies(
            &secret,
            &format!("sha256={}", header[7..].to_uppercase()),
            body
        ));

        assert!(!hub_verifies(&secret, &header[7..], body));
        assert!(!hub_verifies(&secret, header, b"{}"));
        assert!(!hub_verifies(&secret, "sha256=zz", body));
    }

    #[test]
    fn a_signing_token_has_exactly_32_bytes() {
        assert_eq!(SigningToken::parse(TOKEN).expect("a token").to_text().expose(), TOKEN);

        for bad in [
            "",
            "whsec_",
            "dGVzdA==",
            "whsec_dGVzdA==",
            "whsec_!!",
            "WHSEC_dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0dGVzdHRlc3Q=",
        ] {
            assert!(SigningToken::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn tokens_match_only_themselves() {
        let digest = TokenDigest::new(b"token");
        assert!(digest.matches(b"token"));

        for other in [&b""[..], b"toke", b"token2", b"Token"] {
            assert!(!digest.matches(other));
        }
    }
}
