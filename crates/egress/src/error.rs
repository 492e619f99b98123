//! Why an attempt brought no answer. Texts name neither URL nor header values.

use std::fmt;

/// How far an attempt had come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Looking the name up.
    Resolving,
    /// Getting as far as the operator's proxy.
    Proxying,
    /// Opening the connection.
    Connecting,
    /// Agreeing on TLS.
    Handshaking,
    /// Sending, and waiting for the head of the answer.
    Waiting,
    /// Reading the body of the answer.
    Reading,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolving => "looking the name up",
            Self::Proxying => "asking the proxy",
            Self::Connecting => "connecting",
            Self::Handshaking => "agreeing on TLS",
            Self::Waiting => "waiting for the answer",
            Self::Reading => "reading the answer",
        })
    }
}

/// Why there is no answer. `B` is what the judge says when it refuses.
#[derive(Debug, thiserror::Error)]
pub enum Failure<B> {
    /// The one deadline passed.
    #[error("timed out while {0}")]
    TimedOut(Stage),
    /// The name has no address, or could not be looked up.
    #[error("the host name could not be resolved: {0}")]
    Dns(String),
    /// The judge refuses the destination.
    #[error("{0}")]
    Blocked(B),
    /// The operator's proxy failed; nobody knows of the receiver.
    #[error("the proxy failed: {0}")]
    Proxy(String),
    /// No connection.
    #[error("could not connect: {0}")]
    Connect(String),
    /// No TLS.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// The connection broke before the request was sent as a whole.
    #[error("the connection broke: {0}; the receiver may have got the request")]
    Broken(String),
    /// What came back is not HTTP/1.1, or over the limits.
    #[error("the answer is not valid HTTP: {0}")]
    InvalidAnswer(String),
    /// The request itself cannot be sent.
    #[error("the request cannot be sent: {0}")]
    Request(String),
}

/// What a hyper error means for an attempt.
pub(crate) fn of_hyper<B>(error: &hyper::Error) -> Failure<B> {
    let text = innermost(error);
    if error.is_parse() || error.is_parse_status() || error.is_parse_too_large() {
        Failure::InvalidAnswer(text)
    } else if error.is_user() {
        Failure::Request(text)
    } else {
        Failure::Broken(text)
    }
}

/// The words of the deepest cause, which is where the reason stands.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    let text = deepest.to_string();
    if text.is_empty() { error.to_string() } else { text }
}
