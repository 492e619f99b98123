//! Invalid input: received requests, hooks and reports that are refused, and the status of each refusal.

use serde_json::json;

use crate::answers::check_shows;
use crate::http::{Reply, send};
use crate::server::{Engine, SECRET, Server};

const WITH_SECRET: (&str, &str) = ("X-Gitlab-Token", SECRET);

fn receive(server: &Server, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    send(server.port, "POST", "/api/v1/webhooks/gitlab", headers, body).expect("an answer")
}

pub(crate) fn requests_without_a_valid_credential_are_refused(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let refused = receive(&server, &[], b"{}").checked(401);
    assert_eq!(refused.json()["detail"], "Invalid token");

    receive(&server, &[("X-Gitlab-Token", "wrong")], b"{}").checked(401);
    receive(&server, &[WITH_SECRET, ("X-Hub-Signature-256", "sha256=00")], b"{}").checked(401);

    let anonymous = send(server.port, "GET", "/api/v4/projects", &[], b"").expect("an answer");
    assert_eq!(anonymous.checked(401).json()["message"], "401 Unauthorized");
}

pub(crate) fn a_body_that_is_not_acceptable_json_is_refused(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let deep = [b"{\"a\":".as_slice(), &[b'['; 100_000]].concat();
    let long = vec![b' '; 26 << 20];

    for (body, status) in [
        (b"{\"object_kind\":".as_slice(), 400),
        (b"", 400),
        (&deep, 400),
        (&long, 413),
    ] {
        receive(&server, &[WITH_SECRET], body).checked(status);
    }

    receive(&server, &[WITH_SECRET, ("Content-Encoding", "gzip")], b"{}").checked(415);
}

pub(crate) fn an_event_of_an_unknown_kind_is_stored(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let body = br#"{"object_kind":"moon_landing"}"#;
    let reply = receive(&server, &[WITH_SECRET, ("X-Gitlab-Event", "Moon Hook")], body).checked(200);

    let id = reply.json()["job_id"].as_str().expect("an id").to_owned();
    let expected = json!({ "trigger": "unknown", "payload": { "object_kind": "moon_landing" } });
    check_shows(&server.get(&format!("/api/v1/events/{id}")), &expected);
}

pub(crate) fn a_hook_with_invalid_attributes_is_refused(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let hook = |body: &str| server.call("POST", "/api/v4/projects/1/hooks", body);
    hook(r#"{"url":"http://169.254.169.254/"}"#).check_refusal(422, "rule metadata");
    assert_eq!(hook("{}").json()["error"], "url is missing");

    for (body, status) in [
        (r#"{"url":"ftp://example.com/"}"#, 422),
        (r#"{"url":"https://example.com/","push_events":"perhaps"}"#, 400),
        (r#"{"url":"https://example.com/","signing_token":"short"}"#, 422),
        (r#"{"url":"https://example.com/","token":"a\r\nb"}"#, 422),
        (r#"{"url":"https://example.com/","custom_headers":[]}"#, 201),
    ] {
        assert_eq!(hook(body).status, status, "{body}");
    }
}

pub(crate) fn unknown_projects_and_hooks_are_not_found(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    server.call("GET", "/api/v4/projects/0/hooks", "").checked(404);
    server.call("DELETE", "/api/v4/projects/1/hooks/99", "{}").checked(404);
    server.call("DELETE", "/api/v4/hooks", "{}").checked(404);

    let unknown = server.call("GET", "/api/v4/projects/1/hooks/99", "");
    assert_eq!(unknown.json()["message"], "404 Not found");

    let invalid = server.call("GET", "/api/v4/groups/gear/hooks/abc", "");
    assert_eq!(invalid.json()["error"], "hook_id is invalid");
}

pub(crate) fn an_invalid_report_is_refused(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    for (body, status) in [
        (r#"{"trigger":"no_hooks","payload":{}}"#, 422),
        (r#"{"trigger":"push_hooks"}"#, 422),
        ("nonsense", 400),
    ] {
        let reply = server.call("POST", "/api/v1/projects/1/events", body);
        assert_eq!(reply.status, status, "{body}");
    }
}
