//! The guard in front of all pages: host names, requests of other sites, and the headers of each answer.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use url::Url;

use super::Ui;
use super::client::Calls;
use super::person::Framing;
use crate::files::POLICY;

/// Refuses requests that no page of ours can have made, and adds the headers that protect a page.
pub(super) async fn check(State(ui): State<Arc<Ui>>, mut request: Request, next: Next) -> Response {
    let headers = request.headers();
    if !is_own_host(headers, &ui.app.external_url, &ui.app.host_names) {
        let text = "This server has another name. Use the address in the setting server.external_url, or let an \
                    administrator add this name to server.host_names.";
        return refuse(StatusCode::MISDIRECTED_REQUEST, text);
    }

    if !request.method().is_safe() && comes_from_elsewhere(headers) {
        let text =
            "Forms are accepted from pages of this server only. Open the page again, and send the form from there.";
        return refuse(StatusCode::FORBIDDEN, text);
    }

    let calls = Calls::default();
    request.extensions_mut().insert(calls.clone());
    let framing = Framing::default();
    request.extensions_mut().insert(framing.clone());

    let mut response = next.run(request).await;

    if framing.is_allowed()
        && let Some(policy) = framed_policy(&ui.app.portals.origins)
    {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }

    protect(response.headers_mut(), ui.app.external_url.starts_with("https://"));
    name_calls(response.headers_mut(), calls.count());
    response
}

/// Names the number of calls of the API that made the page, which browsers show beside its time.
fn name_calls(headers: &mut HeaderMap, calls: u32) {
    if let Ok(value) = HeaderValue::try_from(format!("api;desc=\"{calls} calls\"")) {
        headers.insert(HeaderName::from_static("server-timing"), value);
    }
}

/// The policy of a page that these origins may show in an iframe. None if there are no origins.
fn framed_policy(origins: &[String]) -> Option<HeaderValue> {
    if origins.is_empty() {
        return None;
    }

    let framed = format!("frame-ancestors {}", origins.join(" "));
    HeaderValue::try_from(POLICY.replace("frame-ancestors 'none'", &framed)).ok()
}

fn refuse(status: StatusCode, text: &'static str) -> Response {
    let mut response = (status, text).into_response();
    protect(response.headers_mut(), false);
    response
}

fn protect(headers: &mut HeaderMap, is_secure: bool) {
    let mut set = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };

    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "same-origin");
    set(header::CACHE_CONTROL, "no-store");
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    if is_secure {
        set(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
}

/// Checks whether the request was meant for this server. A page of another site can let its own host name point to this
/// server, but it cannot let a browser send another name, or an IP address.
fn is_own_host(headers: &HeaderMap, external_url: &str, more: &[String]) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else {
        return false;
    };

    let name = host_name(host);
    let own = Url::parse(external_url).ok();
    let own = own.as_ref().and_then(|url| url.host_str()).unwrap_or_default();
    let is_listed = more.iter().any(|known| name.eq_ignore_ascii_case(known));
    let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    is_address || is_listed || name.eq_ignore_ascii_case("localhost") || name.eq_ignore_ascii_case(own)
}

/// A host without its port.
fn host_name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Checks whether a page of another site made the request. Programs send neither header.
fn comes_from_elsewhere(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    if text("sec-fetch-site").is_some_and(|site| site != "same-origin") {
        return true;
    }

    let Some(origin) = text("origin") else { return false };
    let own = text("host").unwrap_or_default();
    origin
        .split_once("://")
        .is_none_or(|(_, host)| !host.eq_ignore_ascii_case(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }

        headers
    }

    #[test]
    fn pages_answer_to_their_own_names_only() {
        let more = ["Hooks.internal".to_owned()];
        let is_own = |host: &'static str| is_own_host(&headers(&[("host", host)]), "https://hooks.example.com", &more);
        for own in [
            "hooks.internal:8000",
            "hooks.example.com",
            "HOOKS.example.com:443",
            "localhost:8000",
            "127.0.0.1:8000",
            "[::1]:8000",
        ] {
            assert!(is_own(own), "{own}");
        }

        for other in [
            "evil.example.com",
            "internal",
            "hooks.example.com.evil.com",
            "",
            "127.0.0.1.nip.example",
        ] {
            assert!(!is_own(other), "{other}");
        }

        assert!(!is_own_host(&HeaderMap::new(), "https://hooks.example.com", &more));
    }

    #[test]
    fn only_the_origins_of_the_settings_may_frame_a_portal() {
        assert_eq!(framed_policy(&[]), None);

        let origins = ["https://a.example", "https://b.example"].map(str::to_owned);
        let policy = framed_policy(&origins).expect("a policy");
        let policy = policy.to_str().expect("text");
        assert!(
            policy.ends_with("frame-ancestors https://a.example https://b.example"),
            "{policy}"
        );
    }

    #[test]
    fn forms_of_other_sites_are_recognised() {
        let elsewhere = |lines: &[(&'static str, &'static str)]| comes_from_elsewhere(&headers(lines));
        assert!(!elsewhere(&[("host", "a.example")]));
        assert!(!elsewhere(&[
            ("host", "a.example"),
            ("origin", "https://a.example"),
            ("sec-fetch-site", "same-origin")
        ]));
        assert!(elsewhere(&[("host", "a.example"), ("origin", "https://b.example")]));
        assert!(elsewhere(&[("host", "a.example"), ("origin", "null")]));
        assert!(elsewhere(&[("host", "a.example"), ("sec-fetch-site", "same-site")]));
        assert!(elsewhere(&[("host", "a.example"), ("sec-fetch-site", "cross-site")]));
    }
}
