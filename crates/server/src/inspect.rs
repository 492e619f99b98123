//! Receives requests at inspectors, keeps them, and answers as the owner of the inspector chose.
//!
//! The answer has the origin of this server. Therefore a browser must neither run nor frame any part of it, whatever
//! the owner chose: the headers below forbid that, and `domain/inspector/answer.rs` allows no script and no cookie.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use quickdraw_domain::Timestamp;
use quickdraw_domain::inspector::{Answer, Credentials, Inspected, Inspector, MAX_BODY, Verdicts, is_key, kept_value};
use quickdraw_store::Packed;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;

use crate::body::{self, Held, Kind};
use crate::inspectors::{AT_ONCE, AT_ONCE_OF_ONE, PER_INSPECTOR};
use crate::receive::{address, text};
use crate::seats::{Full, KeyedPermit};
use crate::state::App;
use crate::telemetry::INSPECTOR_REQUESTS;

/// Number of characters of a path that are kept.
const MAX_PATH: usize = 2048;
/// Longest method that is kept, in characters.
const MAX_METHOD: usize = 64;
/// Seconds after which a client can send a request again that was refused because of too much work.
const BUSY_SECONDS: u64 = 10;

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    // The description of the API does not contain this path: it is the receiver of a webhook, and takes every method.
    OpenApiRouter::new().route("/i/{key}", any(receive))
}

/// A request that is not kept.
struct Refused {
    status: StatusCode,

    /// Label of the metric, from a closed set.
    reason: &'static str,
    detail: String,
    retry_after: Option<u64>,
}

impl Refused {
    fn new(status: StatusCode, reason: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            reason,
            detail: detail.into(),
            retry_after: None,
        }
    }

    fn limited(wait: Duration, detail: impl Into<String>) -> Self {
        Self {
            retry_after: Some(wait.as_secs() + 1),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "rate", detail)
        }
    }

    fn busy(detail: impl Into<String>) -> Self {
        Self {
            retry_after: Some(BUSY_SECONDS),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail)
        }
    }
}

impl IntoResponse for Refused {
    /// The connection is closed, because the body may not have been read.
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(json!({ "detail": self.detail }))).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }

        response
    }
}

async fn receive(State(app): State<Arc<App>>, Path(key): Path<String>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut response = match inspect(&app, key, &parts, body).await {
        Ok(response) => {
            metrics::counter!(INSPECTOR_REQUESTS, "result" => "kept").increment(1);
            response
        }
        Err(refused) => {
            metrics::counter!(INSPECTOR_REQUESTS, "result" => refused.reason).increment(1);
            refused.into_response()
        }
    };

    protect(response.headers_mut());
    response
}

/// Forbids browsers everything that an answer could do.
fn protect(headers: &mut HeaderMap) {
    let fixed = [
        (
            header::CONTENT_SECURITY_POLICY,
            "sandbox; default-src 'none'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

async fn inspect(app: &App, key: String, parts: &Parts, body: Body) -> Result<Response, Refused> {
    let address = client(app, parts);
    let (inspector, _permit) = admit(app, &key).await?;

    let read = read(app, &parts.headers, body).await?;
    let now = app.now();
    let status = match &read.refusal {
        Some(body::Refused(status, _)) => status.as_u16(),
        None => inspector.answer.status,
    };

    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let request = Inspected {
        id: app.engine.context.clock().uuid(),
        at: now,
        address: address.to_string(),
        method: parts.method.as_str().chars().take(MAX_METHOD).collect(),
        path: path.chars().take(MAX_PATH).collect(),
        headers: kept_headers(&parts.headers),
        size: read.size(&parts.headers),
        note: read.refusal.map(|body::Refused(_, text)| text.to_owned()),
        verdicts: verify(&inspector, &parts.headers, read.bytes(), now),
        status,
    };

    let packed = Packed::pack(read.bytes());
    let kept = app.store().keep_request(key, request, packed);
    let kept = app.engine.context.in_time(kept).await.map_err(|error| {
        tracing::warn!(%error, "failed to keep a request to an inspector");
        Refused::busy("the request could not be kept; send it again")
    })?;
    if !kept {
        return Err(nothing());
    }

    app.inspectors.announce();
    if let Some(body::Refused(status, text)) = read.refusal {
        return Ok(Refused::new(status, "", text).into_response());
    }

    // The memory of the body is not needed while the client waits.
    drop(read);
    wait(app, inspector.answer.delay).await;
    Ok(answered(&inspector.answer))
}

/// The address of the client.
fn client(app: &App, parts: &Parts) -> IpAddr {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
    address::client(peer, &parts.headers, &app.inspectors.trusted_proxies)
}

/// Finds the inspector, and acquires a permit. Addresses have no limit: all deliveries of this server come from one
/// address, so hooks of one project could use up the limit of another one. A key has 128 random bits, which nobody
/// guesses.
async fn admit(app: &App, key: &str) -> Result<(Inspector, KeyedPermit<String>), Refused> {
    let room = &app.inspectors;
    if !is_key(key) {
        return Err(nothing());
    }

    let found = app.store().find_inspector(key.to_owned());
    let found = app.engine.context.in_time(found).await;
    let found = found.map_err(|_| Refused::busy("the store does not answer; send the request again"))?;
    let found = found.filter(|found| found.inspector.is_alive(app.now()));
    let inspector = found.ok_or_else(nothing)?.inspector;

    room.count(&inspector.key).map_err(|wait| {
        let text = format!("more than {PER_INSPECTOR} requests per minute to this inspector");
        Refused::limited(wait, text)
    })?;

    let permit = room.permits.acquire(inspector.key.clone()).map_err(|full| match full {
        Full::All => Refused::busy(format!(
            "{AT_ONCE} requests to inspectors are being processed at the moment"
        )),
        Full::One => Refused::busy(format!(
            "{AT_ONCE_OF_ONE} requests to this inspector are being processed at the moment"
        )),
    })?;
    Ok((inspector, permit))
}

fn nothing() -> Refused {
    let text = "there is no inspector at this address; an inspector is deleted seven days after its creation";
    Refused::new(StatusCode::NOT_FOUND, "unknown", text)
}

/// A body as far as it was read.
struct Read {
    held: Option<Held>,

    /// The reason for not keeping the body.
    refusal: Option<body::Refused>,
}

impl Read {
    fn bytes(&self) -> &[u8] {
        self.held.as_ref().map_or(&[], |held| &held.bytes)
    }

    /// The size of the body. Of a body that was not read, it is the declared length.
    fn size(&self, headers: &HeaderMap) -> usize {
        let declared = || text(headers, "content-length").and_then(|length| length.parse().ok());
        match &self.held {
            Some(held) => held.bytes.len(),
            None => declared().unwrap_or(0),
        }
    }
}

/// Reads the body. A body that is too large, too slow or compressed is noted and not kept.
async fn read(app: &App, headers: &HeaderMap, body: Body) -> Result<Read, Refused> {
    let kind = Kind::Received(&app.inspectors.bodies);
    match body::read(&app.bodies, headers, body, MAX_BODY, kind).await {
        Ok(held) => Ok(Read {
            held: Some(held),
            refusal: None,
        }),
        Err(body::Refused(status, text)) if status.is_server_error() => Err(Refused::busy(text)),
        Err(refusal) => Ok(Read {
            held: None,
            refusal: Some(refusal),
        }),
    }
}

fn kept_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut kept = Vec::with_capacity(headers.len());
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        // A NUL is not among them: HTTP does not allow it, and PostgreSQL could not store it.
        kept.push((name.to_string(), kept_value(name.as_str(), &value).to_owned()));
    }

    kept
}

fn verify(inspector: &Inspector, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Verdicts {
    let credentials = Credentials {
        token: headers.get("x-gitlab-token").map(HeaderValue::as_bytes),
        id: text(headers, "webhook-id"),
        timestamp: text(headers, "webhook-timestamp"),
        signature: text(headers, "webhook-signature"),
        hub_signature: text(headers, "x-hub-signature-256"),
    };
    inspector.verify(&credentials, body, now)
}

/// Waits until the answer is due. A server that stops answers at once.
async fn wait(app: &App, delay: Duration) {
    if delay.is_zero() {
        return;
    }

    let mut closing = app.streams.closing();
    let closed = async {
        // An error means that the application ends.
        let _ = closing.wait_for(|is_closing| *is_closing).await;
    };
    tokio::select! {
        () = tokio::time::sleep(delay) => {}
        () = closed => {}
    }
}

fn answered(answer: &Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body.clone()));
    // The rules about answers allow valid statuses and headers only.
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);

    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    for (name, value) in &answer.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            headers.insert(name, value);
        }
    }

    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_never_runs_in_a_browser() {
        let answer = Answer {
            headers: vec![("Content-Type".to_owned(), "text/html".to_owned())],
            body: "<script>alert(1)</script>".to_owned(),
            ..Answer::default()
        };

        let mut response = answered(&answer);
        protect(response.headers_mut());
        let header = |name: &str| text(response.headers(), name).unwrap_or_default().to_owned();
        assert_eq!(header("content-type"), "text/html");
        assert!(header("content-security-policy").starts_with("sandbox; default-src 'none'"));
        assert_eq!(header("x-content-type-options"), "nosniff");
    }

    #[test]
    fn credentials_of_a_request_are_not_kept() {
        let mut headers = HeaderMap::new();
        headers.insert("x-gitlab-token", HeaderValue::from_static("s3cret"));
        headers.insert("x-gitlab-event", HeaderValue::from_static("Push Hook"));

        let kept = kept_headers(&headers);
        assert!(!format!("{kept:?}").contains("s3cret"));
        assert!(kept.contains(&("x-gitlab-event".to_owned(), "Push Hook".to_owned())));
    }
}
