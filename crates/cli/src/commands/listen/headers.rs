//! The headers of a request as `quickdraw listen` prints them. Values that can be secrets are masked.

use axum::http::HeaderMap;

use crate::commands::plain;

/// The text in the place of a secret.
const MASK: &str = "[masked: --show-secrets shows it]";
/// Headers whose values are never secret. A signature proves one body and is useless for another.
const OPEN: [&str; 18] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "host",
    "idempotency-key",
    "transfer-encoding",
    "user-agent",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
    "x-gitlab-event",
    "x-gitlab-event-uuid",
    "x-gitlab-instance",
    "x-gitlab-webhook-uuid",
    "x-hub-signature-256",
    "x-request-id",
];

/// The headers with their names as HTTP/2 and most programs write them: in lower case.
pub(super) fn shown(headers: &HeaderMap, shows_secrets: bool) -> Vec<(String, String)> {
    let mut shown = Vec::new();

    for (name, value) in headers {
        let name = name.as_str();
        let value = if shows_secrets || OPEN.contains(&name) {
            plain(&String::from_utf8_lossy(value.as_bytes()))
        } else {
            MASK.to_owned()
        };

        shown.push((name.to_owned(), value));
    }

    shown
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn check_shown(shows_secrets: bool, expected: [(&str, &str); 3]) {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-gitlab-event", "Push Hook"),
            ("x-gitlab-token", "s3cret"),
            ("x-api-key", "k3y"),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }

        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(shown(&headers, shows_secrets), expected);
    }

    #[test]
    fn unknown_headers_and_tokens_are_masked() {
        check_shown(
            false,
            [
                ("x-gitlab-event", "Push Hook"),
                ("x-gitlab-token", MASK),
                ("x-api-key", MASK),
            ],
        );
    }

    #[test]
    fn secrets_are_shown_on_request() {
        check_shown(
            true,
            [
                ("x-gitlab-event", "Push Hook"),
                ("x-gitlab-token", "s3cret"),
                ("x-api-key", "k3y"),
            ],
        );
    }
}
