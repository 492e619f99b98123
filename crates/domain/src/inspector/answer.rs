//! The answer of an inspector, and the rules about it.
//!
//! The answer comes from the server's own origin, so a browser must never run or store a part of it. Only header fields
//! and content types that a browser cannot use against the server are allowed.

use std::time::Duration;

/// The largest body of an answer, in bytes.
pub const MAX_BODY: usize = 64 << 10;
/// The longest delay of an answer.
pub const MAX_DELAY: Duration = Duration::from_secs(10);
/// The maximum number of header fields of an answer.
pub const MAX_HEADERS: usize = 10;
/// The longest value of a header field.
const MAX_VALUE: usize = 1024;
/// The longest name of a header field.
const MAX_NAME: usize = 64;

/// Statuses that an answer can have. Statuses below 200 are not final.
const STATUSES: std::ops::RangeInclusive<u16> = 200..=599;
/// Statuses whose answers have no body.
const WITHOUT_BODY: [u16; 3] = [204, 205, 304];
/// Header fields that an answer can have, in addition to those that begin with [`FREE`].
const NAMES: [&str; 3] = ["content-type", "retry-after", "x-request-id"];
/// The beginning of the names of further header fields.
const FREE: &str = "x-webhook-";
/// Content types that an answer can have. A browser runs none of them as a script or style.
const TYPES: [&str; 6] = [
    "application/json",
    "application/octet-stream",
    "application/problem+json",
    "application/xml",
    "text/html",
    "text/plain",
];

/// The answer to every request of an inspector.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,

    /// Header fields.
    pub headers: Vec<(String, String)>,

    /// Body.
    pub body: String,

    /// Time between the request and the answer.
    pub delay: Duration,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body: "ok".to_owned(),
            delay: Duration::ZERO,
        }
    }
}

/// The reason for refusing an answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AnswerError {
    /// The status is not a final one.
    #[error("status must be a number from 200 to 599")]
    Status,

    /// The status forbids a body.
    #[error("body must be empty, because an answer with the status {0} has none")]
    BodyNotAllowed(u16),

    /// The body is too large.
    #[error("body is larger than {MAX_BODY} bytes")]
    BodyTooLarge,

    /// The delay is too long.
    #[error("delay_ms must be a number from 0 to {}", MAX_DELAY.as_millis())]
    Delay,

    /// Too many header fields.
    #[error("headers has more than {MAX_HEADERS} fields")]
    TooManyHeaders,

    /// A header field that is not allowed.
    #[error(
        "headers cannot contain {0:?}; the answer can have Content-Type, Retry-After, X-Request-Id, and names that \
         begin with X-Webhook-"
    )]
    HeaderName(String),

    /// A header field that is present twice.
    #[error("headers contains {0:?} twice")]
    Twice(String),

    /// A value that a header cannot carry.
    #[error("headers has a value for {0:?} that is not 1 to {MAX_VALUE} visible ASCII characters and blanks")]
    HeaderValue(String),

    /// A content type that is not allowed.
    #[error("headers has a Content-Type that an inspector does not send; use one of {}", TYPES.join(", "))]
    ContentType,
}

impl AnswerError {
    /// The field of the request that is wrong.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::BodyNotAllowed(_) | Self::BodyTooLarge => "body",
            Self::Delay => "delay_ms",
            Self::TooManyHeaders | Self::HeaderName(_) | Self::Twice(_) | Self::HeaderValue(_) | Self::ContentType => {
                "headers"
            }
        }
    }
}

impl Answer {
    /// Checks all rules.
    ///
    /// # Errors
    /// The first rule that is violated.
    pub fn check(&self) -> Result<(), AnswerError> {
        if !STATUSES.contains(&self.status) {
            return Err(AnswerError::Status);
        }

        if WITHOUT_BODY.contains(&self.status) && !self.body.is_empty() {
            return Err(AnswerError::BodyNotAllowed(self.status));
        }

        if self.body.len() > MAX_BODY {
            return Err(AnswerError::BodyTooLarge);
        }

        if self.delay > MAX_DELAY {
            return Err(AnswerError::Delay);
        }

        self.check_headers()
    }

    fn check_headers(&self) -> Result<(), AnswerError> {
        if self.headers.len() > MAX_HEADERS {
            return Err(AnswerError::TooManyHeaders);
        }

        for (index, (name, value)) in self.headers.iter().enumerate() {
            if !is_allowed(name) {
                return Err(AnswerError::HeaderName(name.clone()));
            }

            let before = &self.headers[..index];
            if before.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
                return Err(AnswerError::Twice(name.clone()));
            }

            let is_visible = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
            let is_trimmed = value.trim() == value;
            if value.is_empty() || value.len() > MAX_VALUE || !is_visible || !is_trimmed {
                return Err(AnswerError::HeaderValue(name.clone()));
            }

            if name.eq_ignore_ascii_case("content-type") && !is_allowed_type(value) {
                return Err(AnswerError::ContentType);
            }
        }

        Ok(())
    }
}

fn is_allowed(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    if NAMES.contains(&lower.as_str()) {
        return true;
    }

    let Some(rest) = lower.strip_prefix(FREE) else {
        return false;
    };
    let is_word = rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    !rest.is_empty() && is_word && name.len() <= MAX_NAME
}

/// Checks a content type. Of its parameters, only `charset=utf-8` is allowed.
fn is_allowed_type(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    let (kind, parameter) = lower.split_once(';').unwrap_or((lower.as_str(), ""));
    TYPES.contains(&kind.trim()) && matches!(parameter.trim(), "" | "charset=utf-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut Answer), expected: Option<&str>) {
        let mut answer = Answer::default();
        change(&mut answer);
        let field = answer.check().err().map(|error| error.field());
        assert_eq!(field, expected, "{answer:?}");
    }

    fn check_header(name: &str, value: &str, is_allowed: bool) {
        let expected = (!is_allowed).then_some("headers");
        check(
            |answer| answer.headers = vec![(name.to_owned(), value.to_owned())],
            expected,
        );
    }

    #[test]
    fn an_answer_has_a_final_status_and_a_body_only_where_http_allows_one() {
        check(|_| {}, None);
        check(|answer| answer.status = 599, None);
        check(|answer| answer.status = 100, Some("status"));
        check(|answer| answer.status = 600, Some("status"));
        check(|answer| answer.status = 204, Some("body"));
        check(|answer| (answer.status, answer.body) = (204, String::new()), None);
        check(|answer| answer.body = "x".repeat(MAX_BODY), None);
        check(|answer| answer.body = "x".repeat(MAX_BODY + 1), Some("body"));
        check(|answer| answer.delay = MAX_DELAY, None);
        check(|answer| answer.delay = Duration::from_millis(10_001), Some("delay_ms"));
    }

    #[test]
    fn an_answer_has_no_header_that_a_browser_or_a_proxy_acts_on() {
        check_header("Retry-After", "120", true);
        check_header("X-Webhook-Result", "a b", true);
        check_header("X-Request-Id", "1", true);

        for name in [
            "Set-Cookie",
            "Location",
            "Content-Length",
            "Transfer-Encoding",
            "Connection",
            "Content-Security-Policy",
            "Access-Control-Allow-Origin",
            "X-Accel-Redirect",
            "X-Frame-Options",
            "X-Webhook-",
            "X-Webhook-a b",
            "X-Webhook-ä",
        ] {
            check_header(name, "value", false);
        }

        for value in ["", " x", "x\r\nSet-Cookie: a=b", "\u{e9}", "\u{7f}"] {
            check_header("Retry-After", value, false);
        }

        let twice = [("Retry-After", "1"), ("retry-after", "2")];
        let twice = twice.map(|(name, value)| (name.to_owned(), value.to_owned()));
        check(|answer| answer.headers = twice.to_vec(), Some("headers"));

        let many = (0..=MAX_HEADERS).map(|number| (format!("X-Webhook-{number}"), "x".to_owned()));
        check(|answer| answer.headers = many.collect(), Some("headers"));
    }

    #[test]
    fn an_answer_is_never_a_script_or_a_style() {
        for value in ["application/json", "text/plain; charset=utf-8", "Text/HTML"] {
            check_header("Content-Type", value, true);
        }

        for value in [
            "text/javascript",
            "application/javascript",
            "text/css",
            "image/svg+xml",
            "text/plain; charset=utf-7",
            "multipart/x-mixed-replace; boundary=x",
        ] {
            check_header("content-type", value, false);
        }
    }
}
