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

/// A line for each header, with its name as HTTP/2 and most programs write it: in lower case.
pub(super) fn lines(headers: &HeaderMap, shows_secrets: bool) -> Vec<String> {
    let mut lines = Vec::new();

    for (name, value) in headers {
        let name = name.as_str();
        let value = if shows_secrets || OPEN.contains(&name) {
            plain(&String::from_utf8_lossy(value.as_bytes()))
        } else {
            MASK.to_owned()
        };

        lines.push(format!("  {name}: {value}"));
    }

    lines
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn check_lines(shows_secrets: bool, expected: &[&str]) {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-gitlab-event", "Push Hook"),
            ("x-gitlab-token", "s3cret"),
            ("x-api-key", "k3y"),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }

        assert_eq!(lines(&headers, shows_secrets), expected);
    }

    #[test]
    fn unknown_headers_and_tokens_are_masked() {
        let mask = |name: &str| format!("  {name}: {MASK}");
        check_lines(
            false,
            &[
                "  x-gitlab-event: Push Hook",
                &mask("x-gitlab-token"),
                &mask("x-api-key"),
            ],
        );
    }

    #[test]
    fn secrets_are_shown_on_request() {
        let shown = [
            "  x-gitlab-event: Push Hook",
            "  x-gitlab-token: s3cret",
            "  x-api-key: k3y",
        ];
        check_lines(true, &shown);
    }
}
