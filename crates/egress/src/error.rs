//! The reasons for which an attempt has no answer. Messages contain neither URLs nor header values.

use std::fmt;

/// The phase that an attempt has reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Resolving the host name.
    Resolving,

    /// Connecting to the operator's proxy.
    Proxying,

    /// Opening the connection.
    Connecting,

    /// Negotiating TLS.
    Handshaking,

    /// Sending the request, and waiting for the head of the answer.
    Waiting,

    /// Reading the body of the answer.
    Reading,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolving => "resolving the host name",
            Self::Proxying => "connecting to the proxy",
            Self::Connecting => "connecting",
            Self::Handshaking => "negotiating TLS",
            Self::Waiting => "waiting for the answer",
            Self::Reading => "reading the answer",
        })
    }
}

/// The reason for which an attempt has no answer. `B` is the reason that the judge gives for a refusal.
#[derive(Debug, thiserror::Error)]
pub enum Failure<B> {
    /// The deadline passed.
    #[error("timed out while {0}")]
    TimedOut(Stage),

    /// The name could not be resolved, or has no address.
    #[error("the host name could not be resolved: {0}")]
    Dns(String),

    /// The judge refused the destination.
    #[error("{0}")]
    Blocked(B),

    /// The operator's proxy failed. The receiver may not have been reached.
    #[error("the proxy failed: {0}")]
    Proxy(String),

    /// No connection could be opened.
    #[error("could not connect: {0}")]
    Connect(String),

    /// TLS could not be negotiated.
    #[error("TLS failed: {0}")]
    Tls(String),

    /// The certificate of the server could not be verified: its authority is not trusted, it has expired, or it is for
    /// another name. A repetition fails too, until someone changes the certificate or the trusted authorities.
    #[error("TLS failed: {0}")]
    Certificate(String),

    /// The connection broke before the answer was read. The receiver may have got the request.
    #[error("the connection broke: {0}; the receiver may have got the request")]
    Broken(String),

    /// The answer is not HTTP/1.1, or exceeds the limits.
    #[error("the answer is not valid HTTP: {0}")]
    InvalidAnswer(String),

    /// The request is not valid HTTP.
    #[error("the request cannot be sent: {0}")]
    Request(String),
}

/// Translates an error of hyper.
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

/// Translates an error of a TLS handshake.
pub(crate) fn of_handshake<B>(error: &std::io::Error) -> Failure<B> {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let text = innermost(error);

    match inner {
        Some(rustls::Error::InvalidCertificate(_)) => Failure::Certificate(text),
        _ => Failure::Tls(text),
    }
}

/// The message of the deepest cause. Outer errors of hyper and rustls name no reason.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }

    let text = deepest.to_string();
    if text.is_empty() { error.to_string() } else { text }
}
