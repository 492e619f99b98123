//! Verifies the credentials of a source: token, Standard Webhooks signature, or body signature.
//!
//! Every credential that the request carries and the source uses must be valid, and the credentials that the mode
//! requires must be present. Therefore an invalid signature is never replaced by a valid token, and two different
//! tokens are an error.

use axum::http::HeaderMap;
use quickdraw_domain::signature::{SignedMessage, SigningToken, TokenDigest, hub_verifies};
use quickdraw_domain::source::{Mode, Source};
use quickdraw_domain::{Secret, Timestamp};

use super::text;

const TOKEN: &str = "x-gitlab-token";
const SIGNATURE: &str = "webhook-signature";
const HUB_SIGNATURE: &str = "x-hub-signature-256";

/// Verifies credentials for one source.
pub struct Verifier {
    mode: Mode,
    window: std::time::Duration,
    secrets: Vec<Known>,
}

struct Known {
    token: TokenDigest,
    secret: Secret,
    signing: Option<SigningToken>,
    until: Option<Timestamp>,
}

/// The checks that remain for when the body has arrived.
#[derive(Clone, Copy, Debug)]
pub struct Checks {
    signature: bool,
    hub_signature: bool,
}

impl Checks {
    /// Whether the request is authenticated only after its body was verified.
    pub(crate) const fn need_body(self) -> bool {
        self.signature || self.hub_signature
    }
}

/// Reason why a request is not authenticated. It is shown to the owner of the source, and never to the sender.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wrong {
    /// The request has no credential that the source uses.
    Nothing,

    /// A required token is missing.
    NoToken,

    /// A required signature is missing.
    NoSignature,

    /// The request has several different tokens.
    TwoTokens,

    /// The token is wrong.
    Token,

    /// The time of the signature is missing, or differs too much from the server's clock.
    Time,

    /// The signature matches no secret of the source.
    Signature,
}

impl Wrong {
    /// The reason in words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Nothing => "no token and no signature",
            Self::NoToken => "no X-Gitlab-Token",
            Self::NoSignature => "no signature",
            Self::TwoTokens => "two different tokens",
            Self::Token => "wrong token",
            Self::Time => "webhook-timestamp is missing or too far from the server's time",
            Self::Signature => "wrong signature",
        }
    }
}

impl Verifier {
    /// Builds a verifier with the secrets of a source. A secret of the form `whsec_…` is also a signing token.
    #[must_use]
    pub fn new(source: &Source) -> Self {
        let known = source.secrets.iter().map(|one| Known {
            token: TokenDigest::new(one.secret.expose().as_bytes()),
            signing: SigningToken::parse(one.secret.expose()).ok(),
            secret: one.secret.clone(),
            until: one.until,
        });

        Self {
            mode: source.mode,
            window: source.window,
            secrets: known.collect(),
        }
    }

    fn good(&self, now: Timestamp) -> impl Iterator<Item = &Known> {
        self.secrets
            .iter()
            .filter(move |one| one.until.is_none_or(|until| now < until))
    }

    /// Verifies all that the head alone allows.
    ///
    /// # Errors
    /// The reason why the request is refused.
    pub fn check_head(&self, headers: &HeaderMap, now: Timestamp) -> Result<Checks, Wrong> {
        let mut tokens = headers.get_all(TOKEN).iter();
        let token = tokens.next().filter(|_| self.mode != Mode::Signature);
        if token.is_some() && tokens.any(|other| Some(other) != token) {
            return Err(Wrong::TwoTokens);
        }

        // The comparison takes constant time and has no early exit, so that it does not reveal how much of a token is
        // right.
        if let Some(token) = token {
            let fits = self
                .good(now)
                .fold(false, |fits, one| one.token.matches(token.as_bytes()) | fits);
            if !fits {
                return Err(Wrong::Token);
            }
        }

        let looks = self.mode != Mode::Token;
        let signs = self.good(now).any(|one| one.signing.is_some());
        let checks = Checks {
            signature: looks && signs && headers.contains_key(SIGNATURE),
            hub_signature: looks && headers.contains_key(HUB_SIGNATURE),
        };
        let signed = checks.signature || checks.hub_signature;

        match self.mode {
            Mode::Any if token.is_none() && !signed => Err(Wrong::Nothing),
            Mode::Token | Mode::Both if token.is_none() => Err(Wrong::NoToken),
            Mode::Signature | Mode::Both if !signed => Err(Wrong::NoSignature),
            _ => Ok(checks),
        }
    }

    /// Verifies the signatures of the exact bytes.
    ///
    /// # Errors
    /// The reason why the request is refused.
    pub fn check_body(&self, checks: Checks, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<(), Wrong> {
        if checks.signature {
            let part = |name| text(headers, name);
            let (Some(id), Some(timestamp), Some(signatures)) =
                (part("webhook-id"), part("webhook-timestamp"), part(SIGNATURE))
            else {
                return Err(Wrong::Time);
            };

            let message = SignedMessage {
                id,
                timestamp,
                signatures,
                body,
            };
            if !message.is_within(self.window, now) {
                return Err(Wrong::Time);
            }

            if !self
                .good(now)
                .filter_map(|one| one.signing.as_ref())
                .any(|token| token.signed(&message))
            {
                return Err(Wrong::Signature);
            }
        }

        let hub = || text(headers, HUB_SIGNATURE).unwrap_or_default();
        if checks.hub_signature && !self.good(now).any(|one| hub_verifies(&one.secret, hub(), body)) {
            return Err(Wrong::Signature);
        }

        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};
    use quickdraw_domain::SourceId;
    use quickdraw_domain::signature::hub_signature;
    use quickdraw_domain::source::{ActiveSecret, Addresses};

    use super::*;

    const KEY: &str = "whsec_dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0dGVzdHRlc3Q=";
    const NOW: Timestamp = Timestamp::from_seconds(1_744_578_123);

    fn source(mode: Mode, secrets: &[(&str, Option<i64>)]) -> Verifier {
        let secret = |(text, until): &(&str, Option<i64>)| ActiveSecret {
            secret: Secret::new(*text),
            until: until.map(Timestamp::from_seconds),
        };

        Verifier::new(&Source {
            id: SourceId(1),
            key: String::new(),
            name: String::new(),
            mode,
            secrets: secrets.iter().map(secret).collect(),
            window: Source::WINDOW,
            addresses: Addresses::default(),
            per_minute: None,
            sender_per_minute: None,
            body_limit: 100,
            deduplicate: false,
            created_at: NOW,
            updated_at: NOW,
        })
    }

    fn check(source: &Verifier, headers: &[(&'static str, &str)], expected: Result<(), Wrong>) {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_str(value).expect("a value"),
                )
            })
            .fold(HeaderMap::new(), |mut all, (name, value)| {
                all.append(name, value);
                all
            });

        let held = source.check_head(&headers, NOW);
        let held = held.and_then(|checks| source.check_body(checks, &headers, b"{}", NOW));
        assert_eq!(held, expected, "{headers:?}");
    }

    #[test]
    fn a_token_must_be_the_token() {
        let source = source(Mode::Any, &[("s3cret", None)]);
        check(&source, &[], Err(Wrong::Nothing));
        check(&source, &[("x-gitlab-token", "s3cret")], Ok(()));
        check(&source, &[("x-gitlab-token", "s3cre")], Err(Wrong::Token));

        check(
            &source,
            &[("x-gitlab-token", "s3cret"), ("x-gitlab-token", "wrong")],
            Err(Wrong::TwoTokens),
        );

        check(
            &source,
            &[("x-gitlab-token", "s3cret"), ("x-gitlab-token", "s3cret")],
            Ok(()),
        );

        check(&source, &[("webhook-signature", "v1,AAAA")], Err(Wrong::Nothing));
    }

    #[test]
    fn a_body_signature_must_fit_even_beside_a_token() {
        let right = hub_signature(&Secret::new("s3cret"), b"{}");
        let source = source(Mode::Any, &[("s3cret", None)]);
        check(&source, &[("x-hub-signature-256", &right)], Ok(()));
        check(&source, &[("x-hub-signature-256", "sha256=00")], Err(Wrong::Signature));

        let both = [("x-gitlab-token", "s3cret"), ("x-hub-signature-256", "sha256=00")];
        check(&source, &both, Err(Wrong::Signature));
    }

    #[test]
    fn a_signature_is_verified_and_never_falls_back_to_the_token() {
        let right = SigningToken::parse(KEY).expect("a token").sign("id", NOW, b"{}");
        let source = source(Mode::Any, &[("s3cret", None), (KEY, None)]);

        let signed = |signature: &str, timestamp: &str, expected| {
            check(
                &source,
                &[
                    ("webhook-id", "id"),
                    ("webhook-timestamp", timestamp),
                    ("webhook-signature", signature),
                ],
                expected,
            );
        };
        signed(&right, "1744578123", Ok(()));
        signed(&right, "1744577000", Err(Wrong::Time));
        signed("v1,AAAA", "1744578123", Err(Wrong::Signature));

        let fallback = [("x-gitlab-token", "s3cret"), ("webhook-signature", "v1,AAAA")];
        check(&source, &fallback, Err(Wrong::Time));
        check(&source, &[("x-gitlab-token", "s3cret")], Ok(()));
    }

    #[test]
    fn the_mode_says_what_is_wanted_and_looked_at() {
        let signature = SigningToken::parse(KEY).expect("a token").sign("id", NOW, b"{}");
        let token = ("x-gitlab-token", KEY);

        let signed = [
            ("webhook-id", "id"),
            ("webhook-timestamp", "1744578123"),
            ("webhook-signature", &*signature),
        ];
        let [id, at, right] = signed;
        let wrong = ("webhook-signature", "v1,AAAA");

        for (mode, only_token, only_signature, both, wrong_token, wrong_signature) in [
            (
                Mode::Any,
                Ok(()),
                Ok(()),
                Ok(()),
                Err(Wrong::Token),
                Err(Wrong::Signature),
            ),
            (
                Mode::Token,
                Ok(()),
                Err(Wrong::NoToken),
                Ok(()),
                Err(Wrong::Token),
                Ok(()),
            ),
            (
                Mode::Signature,
                Err(Wrong::NoSignature),
                Ok(()),
                Ok(()),
                Ok(()),
                Err(Wrong::Signature),
            ),
            (
                Mode::Both,
                Err(Wrong::NoSignature),
                Err(Wrong::NoToken),
                Ok(()),
                Err(Wrong::Token),
                Err(Wrong::Signature),
            ),
        ] {
            let source = source(mode, &[(KEY, None)]);
            check(&source, &[token], only_token);
            check(&source, &[id, at, right], only_signature);
            check(&source, &[token, id, at, right], both);
            check(&source, &[("x-gitlab-token", "wrong"), id, at, right], wrong_token);
            check(&source, &[token, id, at, wrong], wrong_signature);
        }
    }

    #[test]
    fn a_replaced_secret_is_good_until_its_time() {
        let source = source(
            Mode::Any,
            &[
                ("new", None),
                ("old", Some(1_744_578_124)),
                ("older", Some(1_744_578_123)),
            ],
        );
        check(&source, &[("x-gitlab-token", "new")], Ok(()));
        check(&source, &[("x-gitlab-token", "old")], Ok(()));
        check(&source, &[("x-gitlab-token", "older")], Err(Wrong::Token));
    }
}
