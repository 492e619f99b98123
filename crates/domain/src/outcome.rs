//! The outcome of an attempt. A receiver's failure is a value and never an error of ours.

mod answers;

use std::fmt;
use std::time::Duration;

pub use answers::Answers;

use crate::guard::Rule;

/// The reason for the absence of an HTTP answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Unreachable {
    /// The deadline for the whole attempt passed.
    TimedOut,

    /// The host name has no address, or the look-up failed.
    Dns,

    /// The guard refused the destination.
    Blocked(Rule),

    /// The operator's proxy failed. The state of the receiver is unknown, and nothing counts against it.
    Proxy,

    /// The connection was refused, reset or unreachable before the request was sent.
    Connect,

    /// TLS could not be negotiated, or the certificate is not valid.
    Tls,

    /// The connection broke after the request may have been received.
    Broken,

    /// The answer was not HTTP, or exceeded our limits.
    InvalidAnswer,

    /// The stored URL or headers can no longer be sent.
    Request,
}

impl Unreachable {
    /// A stable word for metrics and the database.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::TimedOut => "timed_out",
            Self::Dns => "dns",
            Self::Blocked(_) => "blocked",
            Self::Proxy => "proxy",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Broken => "broken",
            Self::InvalidAnswer => "invalid_answer",
            Self::Request => "request",
        }
    }
}

/// The outcome of an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    /// 2xx: the receiver accepted the event.
    Delivered {
        /// The status.
        status: u16,
    },

    /// 4xx: the receiver rejected the request.
    Rejected {
        /// The status.
        status: u16,
        /// `Retry-After`, if present.
        retry_after: Option<Duration>,
    },

    /// 5xx and every other status that is no success. Redirects are not followed, so a 3xx delivered nothing.
    Failed {
        /// The status.
        status: u16,
        /// `Retry-After`, if present.
        retry_after: Option<Duration>,
    },

    /// No HTTP answer.
    Unreachable(Unreachable),

    /// We stopped between sending and recording. The receiver may have the event. This never counts against it.
    Unknown,
}

impl Outcome {
    /// The HTTP status, if there was an answer.
    #[must_use]
    pub const fn status(self) -> Option<u16> {
        match self {
            Self::Delivered { status } | Self::Rejected { status, .. } | Self::Failed { status, .. } => Some(status),
            Self::Unreachable(_) | Self::Unknown => None,
        }
    }

    /// A stable word for metrics, the API and the database.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Delivered { .. } => "delivered",
            Self::Rejected { .. } => "rejected",
            Self::Failed { .. } => "failed",
            Self::Unreachable(why) => why.word(),
            Self::Unknown => "unknown",
        }
    }

    /// Whether the outcome has a cause on our side: we stopped, our proxy failed, or our guard refused the address
    /// because of our settings.
    #[must_use]
    pub const fn is_ours(self) -> bool {
        matches!(
            self,
            Self::Unknown | Self::Unreachable(Unreachable::Proxy | Unreachable::Blocked(_))
        )
    }

    /// Whether the receiver accepted the event.
    #[must_use]
    pub const fn is_delivered(self) -> bool {
        matches!(self, Self::Delivered { .. })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status() {
            Some(status) => write!(f, "{} ({status})", self.word()),
            None => f.write_str(self.word()),
        }
    }
}

/// Classifies an attempt by the status of its answer, or by the reason for having none.
#[must_use]
pub const fn classify(answer: Result<u16, Unreachable>, retry_after: Option<Duration>) -> Outcome {
    match answer {
        Ok(status @ 200..=299) => Outcome::Delivered { status },
        Ok(status @ 400..=499) => Outcome::Rejected { status, retry_after },
        Ok(status) => Outcome::Failed { status, retry_after },
        Err(why) => Outcome::Unreachable(why),
    }
}

/// Reads `Retry-After`, in seconds or as a date. A date is converted relative to `now`.
#[must_use]
pub fn retry_after(header: &str, now: crate::Timestamp) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }

    let at = jiff::fmt::rfc2822::parse(header).ok()?.timestamp();
    Some(crate::Timestamp::from_micros(at.as_microsecond()).since(now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    #[test]
    fn only_2xx_is_a_success() {
        for (status, word) in [
            (200, "delivered"),
            (204, "delivered"),
            (299, "delivered"),
            (101, "failed"),
            (302, "failed"),
            (304, "failed"),
            (400, "rejected"),
            (404, "rejected"),
            (429, "rejected"),
            (500, "failed"),
            (503, "failed"),
            (999, "failed"),
        ] {
            assert_eq!(classify(Ok(status), None).word(), word, "{status}");
        }

        assert_eq!(classify(Err(Unreachable::TimedOut), None).word(), "timed_out");
    }

    #[test]
    fn retry_after_is_read_in_seconds_and_as_a_date() {
        let now = Timestamp::from_seconds(1_445_412_000); // 2015-10-21 07:20:00 UTC
        assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
        assert_eq!(retry_after(" 0 ", now), Some(Duration::ZERO));

        assert_eq!(
            retry_after("Wed, 21 Oct 2015 07:28:00 GMT", now),
            Some(Duration::from_secs(480))
        );

        assert_eq!(retry_after("Wed, 21 Oct 2015 07:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("-5", now), None);
        assert_eq!(retry_after("soon", now), None);
    }
}
