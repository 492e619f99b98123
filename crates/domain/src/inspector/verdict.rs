//! The check of the credentials of a request to an inspector. Each credential is judged separately, because the owner
//! wants to see which of them is wrong.

use std::time::Duration;

use crate::signature::{SignedMessage, SigningToken, TokenDigest, hub_verifies};
use crate::{Secret, Timestamp};

/// The largest difference between the time of a signature and the clock, as receivers commonly allow.
const WINDOW: Duration = Duration::from_secs(300);

/// The credentials of a request, as its headers have them.
#[derive(Clone, Copy, Default, Debug)]
pub struct Credentials<'a> {
    /// `X-Gitlab-Token`.
    pub token: Option<&'a [u8]>,

    /// `webhook-id`.
    pub id: Option<&'a str>,

    /// `webhook-timestamp`.
    pub timestamp: Option<&'a str>,

    /// `webhook-signature`.
    pub signature: Option<&'a str>,

    /// `X-Hub-Signature-256`.
    pub hub_signature: Option<&'a str>,
}

/// The result for one credential. Its number is stored: never change one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The inspector has no secret to compare it with.
    NotChecked,

    /// The request does not have it.
    Missing,

    /// It fits the secret of the inspector.
    Right,

    /// It does not fit.
    Wrong,

    /// `webhook-id` or `webhook-timestamp` is missing, or the time differs too much from the clock.
    WrongTime,
}

impl Verdict {
    /// All results, by their numbers.
    const ALL: [Self; 5] = [
        Self::NotChecked,
        Self::Missing,
        Self::Right,
        Self::Wrong,
        Self::WrongTime,
    ];

    /// The number that stands for it in the store.
    #[must_use]
    pub const fn code(self) -> i16 {
        match self {
            Self::NotChecked => 0,
            Self::Missing => 1,
            Self::Right => 2,
            Self::Wrong => 3,
            Self::WrongTime => 4,
        }
    }

    /// The result with this number. An unknown number is a result that was not checked.
    #[must_use]
    pub fn by_code(code: i16) -> Self {
        let known = Self::ALL.into_iter().find(|verdict| verdict.code() == code);
        known.unwrap_or(Self::NotChecked)
    }
}

/// The results for all credentials of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdicts {
    /// Of `X-Gitlab-Token`.
    pub token: Verdict,

    /// Of `webhook-signature`.
    pub signature: Verdict,

    /// Of `X-Hub-Signature-256`.
    pub hub_signature: Verdict,
}

impl Verdicts {
    pub(super) fn of(
        secret: Option<&Secret>,
        signing: Option<&SigningToken>,
        credentials: &Credentials<'_>,
        body: &[u8],
        now: Timestamp,
    ) -> Self {
        Self {
            token: token(secret, credentials.token),
            signature: signature(signing, credentials, body, now),
            hub_signature: hub_signature(secret, credentials.hub_signature, body),
        }
    }
}

const fn verdict(fits: bool) -> Verdict {
    if fits { Verdict::Right } else { Verdict::Wrong }
}

fn token(secret: Option<&Secret>, given: Option<&[u8]>) -> Verdict {
    let Some(secret) = secret else {
        return Verdict::NotChecked;
    };
    let Some(given) = given else { return Verdict::Missing };

    // The comparison takes the same time for all tokens.
    verdict(TokenDigest::new(secret.expose().as_bytes()).matches(given))
}

fn signature(signing: Option<&SigningToken>, credentials: &Credentials<'_>, body: &[u8], now: Timestamp) -> Verdict {
    let Some(signing) = signing else {
        return Verdict::NotChecked;
    };
    let Some(signatures) = credentials.signature else {
        return Verdict::Missing;
    };
    let (Some(id), Some(timestamp)) = (credentials.id, credentials.timestamp) else {
        return Verdict::WrongTime;
    };

    let message = SignedMessage {
        id,
        timestamp,
        signatures,
        body,
    };
    if !signing.signed(&message) {
        return Verdict::Wrong;
    }

    if message.is_within(WINDOW, now) {
        Verdict::Right
    } else {
        Verdict::WrongTime
    }
}

fn hub_signature(secret: Option<&Secret>, given: Option<&str>, body: &[u8]) -> Verdict {
    let Some(secret) = secret else {
        return Verdict::NotChecked;
    };
    let Some(given) = given else { return Verdict::Missing };

    verdict(hub_verifies(secret, given, body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature;

    const KEY: &str = "whsec_dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0dGVzdHRlc3Q=";
    const NOW: Timestamp = Timestamp::from_seconds(1_744_578_123);

    fn check(credentials: &Credentials<'_>, expected: [Verdict; 3]) {
        let signing = SigningToken::parse(KEY).expect("a token");
        let found = Verdicts::of(Some(&Secret::new("s3cret")), Some(&signing), credentials, b"{}", NOW);
        assert_eq!([found.token, found.signature, found.hub_signature], expected);
    }

    #[test]
    fn each_credential_is_judged_separately() {
        use Verdict::{Missing, Right, Wrong, WrongTime};

        let signing = SigningToken::parse(KEY).expect("a token");
        let signed = signing.sign("id", NOW, b"{}");
        let hub = signature::hub_signature(&Secret::new("s3cret"), b"{}");
        let nothing = Credentials::default();
        check(&nothing, [Missing; 3]);

        let all = Credentials {
            token: Some(b"s3cret"),
            id: Some("id"),
            timestamp: Some("1744578123"),
            signature: Some(&signed),
            hub_signature: Some(&hub),
        };
        check(&all, [Right; 3]);

        let wrong = Credentials {
            token: Some(b"s3cret "),
            signature: Some("v1,AAAA"),
            hub_signature: Some("sha256=00"),
            ..all
        };
        check(&wrong, [Wrong; 3]);

        let timeless = Credentials { timestamp: None, ..all };
        check(&timeless, [Right, WrongTime, Right]);

        let old = signing.sign("id", Timestamp::from_seconds(1_744_570_000), b"{}");
        let late = Credentials {
            timestamp: Some("1744570000"),
            signature: Some(&old),
            ..all
        };
        check(&late, [Right, WrongTime, Right]);
    }

    #[test]
    fn without_a_secret_nothing_is_checked() {
        let credentials = Credentials {
            token: Some(b"s3cret"),
            ..Credentials::default()
        };
        let found = Verdicts::of(None, None, &credentials, b"{}", NOW);
        assert_eq!(
            [found.token, found.signature, found.hub_signature],
            [Verdict::NotChecked; 3]
        );
    }

    #[test]
    fn a_verdict_is_found_by_its_number() {
        for verdict in Verdict::ALL {
            assert_eq!(Verdict::by_code(verdict.code()), verdict);
        }
    }
}
