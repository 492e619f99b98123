//! Calls of the API within the process, as the person who is signed in.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower::ServiceExt;

use crate::auth::SignedIn;

/// Largest answer that a page reads, in bytes.
const MAX_ANSWER: usize = 32 << 20;
/// The header that names clients behind a proxy. The audit log needs it.
const FORWARDED: &str = "x-forwarded-for";

/// Number of calls of the API that a page has made.
#[derive(Clone, Default)]
pub(super) struct Calls(Arc<AtomicU32>);

impl Calls {
    pub(super) fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The API, as a person may use it.
#[derive(Clone)]
pub(super) struct Api {
    router: Router,
    signed_in: SignedIn,
    peer: Option<ConnectInfo<SocketAddr>>,
    forwarded: HeaderMap,
    calls: Calls,
}

/// A refusal of the API.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,

    /// The reason as a whole.
    pub(super) text: String,

    /// Errors of parameters, by name.
    pub(super) fields: Vec<(String, String)>,
}

/// A page of a list of `/api/v4`.
pub(super) struct Listed<T> {
    pub(super) rows: Vec<T>,

    /// Number of the next page.
    pub(super) next: Option<u32>,

    /// Number of all rows, if GitLab would count them.
    pub(super) total: Option<u64>,
}

/// A page of a list of `/api/v1`.
#[derive(Deserialize)]
pub(super) struct Items<T> {
    pub(super) items: Vec<T>,

    /// The position of the next page.
    pub(super) next: Option<String>,
}

impl Api {
    pub(super) fn new(router: &Router, signed_in: SignedIn, parts: &Parts) -> Self {
        let mut forwarded = HeaderMap::new();
        for line in parts.headers.get_all(FORWARDED) {
            forwarded.append(FORWARDED, line.clone());
        }

        Self {
            router: router.clone(),
            signed_in,
            peer: parts.extensions.get().copied(),
            forwarded,
            calls: parts.extensions.get().cloned().unwrap_or_default(),
        }
    }

    /// Reads an object.
    ///
    /// # Errors
    /// The refusal of the API.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Refusal> {
        self.call(Method::GET, path, None).await.map(|(_, value)| value)
    }

    /// Reads a page of a list of `/api/v4`.
    ///
    /// # Errors
    /// The refusal of the API.
    pub(super) async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Listed<T>, Refusal> {
        let (headers, rows) = self.call(Method::GET, path, None).await?;
        Ok(Listed {
            rows,
            next: number(&headers, "x-next-page"),
            total: number(&headers, "x-total"),
        })
    }

    /// Sends a change.
    ///
    /// # Errors
    /// The refusal of the API.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<T, Refusal> {
        self.call(method, path, Some(body)).await.map(|(_, value)| value)
    }

    /// Sends a change whose answer has no content.
    ///
    /// # Errors
    /// The refusal of the API.
    pub(super) async fn send_only(&self, method: Method, path: &str, body: &Value) -> Result<(), Refusal> {
        self.call::<Value>(method, path, Some(body)).await.map(drop)
    }

    /// Reads a file, with the headers that describe it.
    ///
    /// # Errors
    /// The refusal of the API.
    pub(super) async fn file(&self, path: &str) -> Result<(HeaderMap, Bytes), Refusal> {
        self.answer(Method::GET, path, None).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(HeaderMap, T), Refusal> {
        let (headers, body) = self.answer(method, path, body).await?;
        let text: &[u8] = if body.is_empty() { b"null" } else { &body };
        let value = serde_json::from_slice(text).map_err(|error| {
            tracing::error!(%error, path, "a page cannot read an answer of the API");
            Refusal::broken("the answer cannot be shown")
        })?;
        Ok((headers, value))
    }

    async fn answer(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(HeaderMap, Bytes), Refusal> {
        let mut request = Request::new(body.map_or_else(Body::empty, |body| Body::from(body.to_string())));
        *request.method_mut() = method;
        *request.uri_mut() = path
            .parse()
            .map_err(|_| Refusal::broken("a page made a wrong address"))?;
        *request.headers_mut() = self.forwarded.clone();

        let headers = request.headers_mut();
        if body.is_some() {
            let json = header::HeaderValue::from_static("application/json");
            headers.insert(header::CONTENT_TYPE, json);
        }

        request.extensions_mut().insert(self.signed_in.clone());
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(peer);
        }

        self.calls.add();
        let response = match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, MAX_ANSWER)
            .await
            .map_err(|_| Refusal::broken("the answer is too large to be shown"))?;

        if !parts.status.is_success() {
            return Err(Refusal::read(parts.status, &body));
        }

        Ok((parts.headers, body))
    }
}

fn number<T: std::str::FromStr>(headers: &HeaderMap, name: &str) -> Option<T> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

impl Refusal {
    fn broken(text: &str) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            text: text.to_owned(),
            fields: Vec::new(),
        }
    }

    /// Reads the three shapes of refusals: GitLab's `message` and `error`, and problem details.
    fn read(status: StatusCode, body: &[u8]) -> Self {
        let value: Value = serde_json::from_slice(body).unwrap_or_default();
        let mut fields = Vec::new();

        for error in value["errors"].as_array().into_iter().flatten() {
            let (name, detail) = (error["field"].as_str(), error["detail"].as_str());
            fields.extend(
                name.zip(detail)
                    .map(|(name, detail)| (name.to_owned(), detail.to_owned())),
            );
        }

        for (name, texts) in value["message"].as_object().into_iter().flatten() {
            fields.push((name.clone(), words(texts)));
        }

        let whole = ["detail", "error", "message"].into_iter().map(|name| &value[name]);
        let whole = whole
            .filter(|text| !text.is_null() && !text.is_object())
            .map(words)
            .next();
        let text = whole.unwrap_or_else(|| {
            let reason = status.canonical_reason().unwrap_or("The server refused the request");
            if fields.is_empty() {
                reason.to_owned()
            } else {
                "Some values cannot be used".to_owned()
            }
        });

        Self { status, text, fields }
    }
}

/// The words of a text, or of a list of texts.
fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(texts) => texts.iter().map(words).collect::<Vec<_>>().join("; "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, text: &str, fields: &[(&str, &str)]) {
        let refusal = Refusal::read(StatusCode::BAD_REQUEST, body.as_bytes());
        let found: Vec<_> = refusal.fields.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
        assert_eq!((refusal.text.as_str(), found.as_slice()), (text, fields));
    }

    #[test]
    fn every_shape_of_a_refusal_is_read() {
        check(r#"{"message": "404 Not found"}"#, "404 Not found", &[]);
        check(r#"{"error": "url is missing"}"#, "url is missing", &[]);
        check(
            r#"{"message": {"url": ["is blocked", "is long"]}}"#,
            "Some values cannot be used",
            &[("url", "is blocked; is long")],
        );
        check(
            r#"{"detail": "wrong", "errors": [{"field": "since", "detail": "is no time"}]}"#,
            "wrong",
            &[("since", "is no time")],
        );
        check("<html>", "Bad Request", &[]);
    }
}
