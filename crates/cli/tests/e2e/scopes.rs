//! Scopes of tokens: the operations that a token with a narrow scope can use.

use serde_json::json;

use crate::access::People;
use crate::http::send;
use crate::server::{Engine, Server};

const PUSH: &str = r#"{"trigger":"push_hooks","payload":{"object_kind":"push","ref":"refs/heads/main"}}"#;
const BOTS: &str = "/api/v4/projects/1/access_tokens";

/// A server with a project, and a token of the project with one scope.
fn start(engine: &Engine, scope: &str) -> (Server, String) {
    let server = Server::start(engine, &[]);
    server.make_project();

    let made = server.create(BOTS, &json!({ "name": "t", "scopes": [scope] }));
    let token = made["token"].as_str().expect("shown once").to_owned();
    (server, token)
}

pub(crate) fn a_report_token_reports_events_and_does_nothing_else(engine: Engine) {
    let (server, token) = start(&engine, "report");
    let check = |method: &str, path: &str, body: &str, status: u16| {
        let reply = server.call_as(&token, method, path, body);
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.body);
    };

    check("POST", "/api/v1/projects/1/events", PUSH, 202);
    check("POST", "/api/v1/projects/gear%2Frope/events", PUSH, 202);
    check("GET", "/api/v1/projects/1/active_hooks?trigger=push_hooks", "", 200);

    check("GET", "/api/v1/events", "", 403);
    check("GET", "/api/v4/projects/1", "", 403);
    check("GET", "/api/v1/insights/metrics", "", 403);
    check("POST", "/api/v4/projects/1/hooks", "{}", 403);
    check("POST", BOTS, "{}", 403);
}

pub(crate) fn a_token_with_a_narrow_scope_shows_and_revokes_itself(engine: Engine) {
    let (server, token) = start(&engine, "report");
    let own = "/api/v4/personal_access_tokens/self";

    let shown = server.call_as(&token, "GET", own, "").check(200).json();
    assert_eq!(shown["scopes"], json!(["report"]));
    server.call_as(&token, "POST", &format!("{own}/rotate"), "").check(403);

    server.call_as(&token, "DELETE", own, "").check(204);
    server.call_as(&token, "GET", own, "").check(401);
}

pub(crate) fn an_insufficient_scope_names_the_scopes_that_would_do(engine: Engine) {
    let (server, token) = start(&engine, "read_insights");
    let report = server.call_as(&token, "POST", "/api/v1/projects/1/events", PUSH);
    report.check_says(403, "api or report");

    let hooks = server.call_as(&token, "GET", "/api/v4/projects/1/hooks", "").check(403);
    let error = hooks.json();
    assert_eq!(error["error"], "insufficient_scope");
    assert_eq!(error["scope"], "api read_api");
}

pub(crate) fn a_read_insights_token_reads_insights_of_its_project(engine: Engine) {
    let (server, token) = start(&engine, "read_insights");
    let read = |path: &str| server.call_as(&token, "GET", &format!("/api/v1/insights/{path}"), "");

    read("metrics").check(200);
    read("metrics/mr_open?project=gear/rope").check(200);
    read("metrics/mr_open").check_says(403, "project=");
    read("members").check(403);
    server
        .call_as(&token, "GET", "/api/v1/replays?project=1", "")
        .check(403);
}

pub(crate) fn a_project_token_cannot_have_a_scope_of_administrators(engine: Engine) {
    let (server, _) = start(&engine, "api");
    for scope in ["sudo", "metrics", "nonsense"] {
        let body = json!({ "name": "t", "scopes": [scope] }).to_string();
        let refused = server.call("POST", BOTS, &body);
        refused.check_says(400, "this token can have api, read_api, report, read_insights");
    }
}

pub(crate) fn a_metrics_token_reads_metrics_and_nothing_else(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let token = People { server: &server }.token(1, "metrics");

    let metrics = server.call_as(&token, "GET", "/metrics", "").check(200);
    assert!(metrics.body.contains("quickdraw_"), "{}", metrics.body);
    server.call_as(&token, "GET", "/api/v1/events", "").check(403);
    server.call_as(&token, "GET", "/api/v4/user", "").check(403);

    let report = People { server: &server }.token(1, "report");
    server.call_as(&report, "GET", "/metrics", "").check(403);
}

pub(crate) fn metrics_need_a_token_if_the_settings_say_so(engine: Engine) {
    let server = Server::start(&engine, &[("QUICKDRAW__SERVER__METRICS_TOKEN_REQUIRED", "true")]);
    let people = People { server: &server };
    let (_, plain) = people.make("plain", "api");

    let anonymous = send(server.port, "GET", "/metrics", &[], b"").expect("an answer");
    anonymous.check(401);
    server.call_as(&plain, "GET", "/metrics", "").check(403);
    server
        .call_as(&people.token(1, "metrics"), "GET", "/metrics", "")
        .check(200);
}
