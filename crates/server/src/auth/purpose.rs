//! The table of operations that a token with a narrow scope can use.

use axum::extract::MatchedPath;
use axum::http::request::Parts;
use axum::http::{Method, Uri};
use quickdraw_domain::access::Purpose;

/// The paths at which events are reported.
const REPORTS: [&str; 3] = [
    "/api/v1/events",
    "/api/v1/projects/{id}/events",
    "/api/v1/groups/{id}/events",
];

/// Returns the purpose of the operation that a request calls.
pub(super) fn of(parts: &Parts) -> Purpose {
    let pattern = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    of_operation(&parts.method, pattern, &parts.uri)
}

fn of_operation(method: &Method, pattern: &str, uri: &Uri) -> Purpose {
    let is_own_token = uri.path().ends_with("/personal_access_tokens/self");
    if is_own_token && (method.is_safe() || method == Method::DELETE) {
        return Purpose::OwnToken;
    }

    if pattern == "/metrics" {
        return Purpose::Metrics;
    }

    if pattern.starts_with("/api/v1/insights/") {
        return Purpose::Insights;
    }

    let reports = method == Method::POST && REPORTS.contains(&pattern);
    let asks_for_hooks = pattern.starts_with("/api/v1/") && pattern.ends_with("/active_hooks");
    if reports || asks_for_hooks {
        return Purpose::Reporting;
    }

    Purpose::General
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: Method, pattern: &str, expected: Purpose) {
        let uri: Uri = pattern.replace(['{', '}'], "").parse().expect("a path");
        assert_eq!(of_operation(&method, pattern, &uri), expected, "{method} {pattern}");
    }

    #[test]
    fn only_named_operations_accept_narrow_scopes() {
        check(Method::POST, "/api/v1/projects/{id}/events", Purpose::Reporting);
        check(Method::POST, "/api/v1/events", Purpose::Reporting);
        check(Method::GET, "/api/v1/events", Purpose::General);
        check(Method::GET, "/api/v1/groups/{id}/active_hooks", Purpose::Reporting);
        check(Method::GET, "/api/v1/insights/metrics/{name}", Purpose::Insights);
        check(Method::GET, "/metrics", Purpose::Metrics);
        check(Method::GET, "/api/v4/personal_access_tokens/self", Purpose::OwnToken);
        check(Method::POST, "/api/v4/personal_access_tokens/self", Purpose::General);
        check(Method::GET, "/api/v4/projects/{id}/hooks", Purpose::General);
        check(Method::GET, "/nothing", Purpose::General);
    }
}
