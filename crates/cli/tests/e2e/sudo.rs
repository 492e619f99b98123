//! Acting as another user with `sudo`.

use serde_json::json;

use crate::access::People;
use crate::http::{Reply, send};
use crate::server::{Engine, Server, TOKEN};

/// A server with a project and its maintainer `ida`, who has id 2.
fn start(engine: &Engine) -> Server {
    let server = Server::start(engine, &[]);
    server.make_project();

    let people = People { server: &server };
    let (id, _) = people.make("ida", "api");
    people.add("projects/1", id, 40);
    server
}

/// Calls the API with a token and the header `Sudo`.
fn call_as(server: &Server, token: &str, user: &str, method: &str, path: &str) -> Reply {
    let headers = [("PRIVATE-TOKEN", token), ("Sudo", user)];
    send(server.port, method, path, &headers, b"").expect("an answer")
}

#[track_caller]
fn check_is_ida(reply: Reply) {
    assert_eq!(reply.check(200).json()["username"], "ida");
}

pub(crate) fn an_administrator_acts_as_another_user(engine: Engine) {
    let server = start(&engine);
    check_is_ida(call_as(&server, TOKEN, "ida", "GET", "/api/v4/user"));
    check_is_ida(call_as(&server, TOKEN, "IDA", "GET", "/api/v4/user"));
    check_is_ida(server.call("GET", "/api/v4/user?sudo=ida", ""));

    let users = server.get("/api/v4/users?username=ida");
    check_is_ida(server.call("GET", &format!("/api/v4/user?sudo={}", users[0]["id"]), ""));
}

pub(crate) fn an_administrator_who_acts_as_a_user_has_the_rights_of_that_user(engine: Engine) {
    let server = start(&engine);
    call_as(&server, TOKEN, "ida", "GET", "/api/v4/projects/1/hooks").check(200);
    call_as(&server, TOKEN, "ida", "GET", "/api/v4/groups/gear/hooks").check(404);
    call_as(&server, TOKEN, "ida", "GET", "/api/v4/hooks").check(403);
    call_as(&server, TOKEN, "ida", "GET", "/api/v1/events").check(403);
    call_as(&server, TOKEN, "ida", "GET", "/api/v1/replays?project=1").check(200);
}

pub(crate) fn a_body_can_name_the_user(engine: Engine) {
    let server = start(&engine);
    let hook = json!({ "url": "https://example.com/", "sudo": "ida" });
    server.create("/api/v4/projects/1/hooks", &hook);

    let of_group = server.call("POST", "/api/v4/groups/gear/hooks", &hook.to_string());
    of_group.check(404);

    let headers = [
        ("PRIVATE-TOKEN", TOKEN),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    let form = b"url=https://example.com/&sudo=ida";
    let reply = send(server.port, "POST", "/api/v4/hooks", &headers, form).expect("an answer");
    reply.check(403);

    server.create("/api/v4/groups", &json!({ "name": "g", "path": "g", "sudo": null }));
}

pub(crate) fn sudo_is_for_administrators_with_its_scope(engine: Engine) {
    let server = start(&engine);
    let people = People { server: &server };
    let (_, plain) = people.make("plain", "api");

    let refused = call_as(&server, &plain, "ida", "GET", "/api/v4/user");
    refused.check_says(403, r#"{"message":"403 Forbidden - Must be admin to use sudo"}"#);

    let body = server.call_as(
        &plain,
        "POST",
        "/api/v4/user/personal_access_tokens",
        r#"{"sudo":"ida"}"#,
    );
    body.check_says(403, "Must be admin to use sudo");

    let without = people.token(1, "api");
    let refused = call_as(&server, &without, "ida", "GET", "/api/v4/user");
    assert_eq!(refused.check(403).json()["scope"], "sudo");

    let problem = call_as(&server, &plain, "ida", "GET", "/api/v1/events").check(403);
    assert_eq!(problem.content_type(), "application/problem+json");
    call_as(&server, "wrong", "ida", "GET", "/api/v4/user").check(401);
}

pub(crate) fn sudo_with_an_unknown_or_blocked_user_is_refused(engine: Engine) {
    let server = start(&engine);
    let unknown = call_as(&server, TOKEN, "nobody", "GET", "/api/v4/user");
    unknown.check_says(404, "404 User with ID or username 'nobody' Not Found");

    let users = server.get("/api/v4/users?username=ida");
    server
        .call("POST", &format!("/api/v4/users/{}/block", users[0]["id"]), "")
        .check(201);
    call_as(&server, TOKEN, "ida", "GET", "/api/v4/user").check_says(403, "blocked");
}

pub(crate) fn the_audit_log_names_the_administrator_and_the_user(engine: Engine) {
    let server = start(&engine);
    let hook = json!({ "url": "https://example.com/", "sudo": "ida" });
    server.create("/api/v4/projects/1/hooks", &hook);

    let entry = server.get("/api/v1/audit?limit=1")["items"][0].clone();
    assert_eq!(entry["username"], "root");
    assert_eq!(entry["on_behalf_of"]["username"], "ida");

    server.create("/api/v4/projects/1/hooks", &json!({ "url": "https://example.com/" }));
    let entry = server.get("/api/v1/audit?limit=1")["items"][0].clone();
    assert_eq!(entry["on_behalf_of"], json!(null));
}
