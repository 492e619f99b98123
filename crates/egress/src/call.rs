//! The request and the answer of one attempt.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use http::header::{HOST, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::Full;

use crate::error::Failure;
use crate::timing::Timing;
use crate::trust::Presented;

/// A request whose URL the caller has already parsed and checked. Nothing here is parsed again.
pub struct Call<'a> {
    /// Deliveries use POST.
    pub method: Method,

    /// True for TLS.
    pub https: bool,

    /// Host name in ASCII, or an address; IPv6 in brackets.
    pub host: &'a str,

    /// The address, if the host is one. The resolver is not asked then.
    pub literal: Option<IpAddr>,

    /// Port.
    pub port: u16,

    /// Value of `Host`.
    pub authority: &'a str,

    /// Path and query.
    pub path: &'a str,

    /// Header names as they are documented. On the wire, every word begins with a capital letter.
    pub headers: &'a [(Cow<'static, str>, String)],

    /// The exact bytes to send.
    pub body: Bytes,

    /// True if the certificate of the receiver is verified.
    pub verify_tls: bool,

    /// Certificate for a receiver that asks for one. It replaces the client's own.
    pub certificate: Option<Presented<'a>>,
}

/// The answer of a receiver, cut to the limits.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,

    /// Header fields.
    pub headers: HeaderMap,

    /// The beginning of the body.
    pub body: Bytes,
}

/// The result of an attempt.
#[derive(Debug)]
pub struct Report<B> {
    /// The answer, or the reason for its absence.
    pub result: Result<Answer, Failure<B>>,

    /// The address of the receiver that was called. None if a proxy resolved the name.
    pub address: Option<SocketAddr>,

    /// The duration of each phase.
    pub timing: Timing,
}

/// The HTTP request of a call.
pub(crate) fn request<B>(call: &Call<'_>) -> Result<Request<Full<Bytes>>, Failure<B>> {
    let refused = |what: &str| Failure::Request(what.to_owned());
    let uri: Uri = call
        .path
        .parse()
        .map_err(|_| refused("the path has an illegal character"))?;

    let mut request = Request::new(Full::new(call.body.clone()));
    *request.method_mut() = call.method.clone();
    *request.uri_mut() = uri;

    let headers = request.headers_mut();
    headers.reserve(call.headers.len() + 2);

    let host = HeaderValue::from_str(call.authority).map_err(|_| refused("the host has an illegal character"))?;
    headers.insert(HOST, host);

    for (name, value) in call.headers {
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refused("a header name is illegal"))?;
        // The second check of header values. Line breaks, above all, must never be sent.
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| refused("a header value is illegal"))?;
        headers.insert(header, value);
    }

    Ok(request)
}
