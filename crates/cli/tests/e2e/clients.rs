//! What libraries for GitLab's REST API ask for and rely on.

use serde_json::json;

use crate::access::People;
use crate::http::{Reply, send};
use crate::server::{Engine, Server, TOKEN};

/// Group `gear` (Gear Works) with `gear/sub` (Sub Unit), and project `gear/sub/rope`; their numbers.
fn furnish(server: &Server) -> (i64, i64, i64) {
    let number = |reply: Reply| {
        assert_eq!(reply.status, 201, "{}", reply.body);
        reply.json()["id"].as_i64().expect("a number")
    };
    let gear = number(server.call("POST", "/api/v4/groups", r#"{"name":"Gear Works","path":"gear"}"#));
    let sub = json!({ "name": "Sub Unit", "path": "sub", "parent_id": gear }).to_string();
    let sub = number(server.call("POST", "/api/v4/groups", &sub));
    let rope = json!({ "name": "Rope", "path": "rope", "namespace_id": sub }).to_string();
    (gear, sub, number(server.call("POST", "/api/v4/projects", &rope)))
}

pub(crate) fn a_body_of_null_is_no_body(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let (_, token) = People { server: &server }.make("ida", "api");
    let headers = [("PRIVATE-TOKEN", token.as_str()), ("Content-Type", "application/json")];
    let rotate = |body: &str| {
        send(server.port, "POST", "/api/v4/personal_access_tokens/self/rotate", &headers, body.as_bytes())
            .expect("an answer")
    };
    assert_eq!(rotate("[]").status, 400, "a list is not parameters");
    let fresh = rotate("null");
    assert_eq!((fresh.status, fresh.json()["token"].is_string()), (200, true), "{}", fresh.body);
}

pub(crate) fn a_request_to_act_as_somebody_else_is_refused(engine: Engine) {
    let server = Server::start(&engine, &[]);
    People { server: &server }.make("plain", "api");
    let with = |token: &str, sudo: &str, method: &str, path: &str, body: &str| {
        let headers = [("PRIVATE-TOKEN", token), ("Content-Type", "application/json"), ("Sudo", sudo)];
        let headers = if sudo.is_empty() { &headers[..2] } else { &headers[..] };
        send(server.port, method, path, headers, body.as_bytes()).expect("an answer")
    };
    let group = r#"{"name":"g","path":"g","sudo":"plain"}"#;
    for reply in [
        with(TOKEN, "plain", "GET", "/api/v4/user", ""),
        with(TOKEN, "", "GET", "/api/v4/user?sudo=plain", ""),
        with(TOKEN, "", "POST", "/api/v4/groups", group),
    ] {
        let answer = reply.json();
        assert_eq!((reply.status, &answer["error"]), (403, &json!("insufficient_scope")), "{answer}");
        assert_eq!(answer["scope"], "sudo", "{answer}");
    }
    assert_eq!(with("wrong", "plain", "GET", "/api/v4/user", "").status, 401);
    assert_eq!(with(TOKEN, "plain", "GET", "/api/v1/events", "").status, 403);
    assert_eq!(with(TOKEN, "", "POST", "/api/v4/groups", r#"{"name":"g","path":"g","sudo":null}"#).status, 201);
}

pub(crate) fn namespaces_are_found_by_number_and_by_path(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let (gear, sub, _) = furnish(&server);
    for id in [sub.to_string(), "gear%2Fsub".to_owned()] {
        let found = server.get(&format!("/api/v4/namespaces/{id}"));
        assert_eq!((&found["id"], &found["full_path"]), (&json!(sub), &json!("gear/sub")), "{found}");
        assert_eq!((&found["kind"], &found["parent_id"]), (&json!("group"), &json!(gear)), "{found}");
    }
    let missing = server.call("GET", "/api/v4/namespaces/nowhere", "");
    assert_eq!((missing.status, &missing.json()["message"]), (404, &json!("404 Namespace Not Found")));
    let (_, stranger) = People { server: &server }.make("stranger", "api");
    let headers = [("PRIVATE-TOKEN", stranger.as_str())];
    let hidden = send(server.port, "GET", "/api/v4/namespaces/gear", &headers, b"").expect("an answer");
    assert_eq!((hidden.status, &hidden.json()["message"]), (404, &json!("404 Namespace Not Found")));

    let exists = |path: &str| server.get(&format!("/api/v4/namespaces/{path}"));
    assert_eq!(exists("gear/exists"), json!({ "exists": true, "suggests": ["gear1"] }));
    assert_eq!(exists("sub/exists"), json!({ "exists": false, "suggests": [] }), "it is in another group");
    assert_eq!(exists(&format!("SUB/exists?parent_id={gear}"))["exists"], true);
    assert_eq!(exists("1/exists")["exists"], false, "a number is a path here");
}

pub(crate) fn names_are_those_of_the_groups_above(engine: Engine) {
    let server = Server::start(&engine, &[("QUICKDRAW_EXTERNAL_URL", "https://git.example.com")]);
    let (gear, sub, project) = furnish(&server);
    assert_eq!(server.get(&format!("/api/v4/groups/{sub}"))["full_name"], "Gear Works / Sub Unit");
    let groups = server.get("/api/v4/groups");
    assert_eq!(
        (&groups[0]["full_name"], &groups[1]["full_name"]),
        (&json!("Gear Works"), &json!("Gear Works / Sub Unit"))
    );
    let before = server.get("/api/v4/projects/gear%2Fsub%2Frope");
    for rope in [&before, &server.get("/api/v4/projects")[0]] {
        assert_eq!(rope["name_with_namespace"], "Gear Works / Sub Unit / Rope", "{rope}");
        assert_eq!(rope["ssh_url_to_repo"], "git@git.example.com:gear/sub/rope.git", "{rope}");
        let namespace = json!({
            "id": sub, "name": "Sub Unit", "path": "sub", "kind": "group", "full_path": "gear/sub", "parent_id": gear,
            "avatar_url": null, "web_url": "https://git.example.com/groups/gear/sub",
        });
        assert_eq!(rope["namespace"], namespace, "{rope}");
        assert_eq!((&rope["archived"], &rope["empty_repo"]), (&json!(false), &json!(false)), "{rope}");
        assert_eq!((&rope["topics"], &rope["last_activity_at"]), (&json!([]), &rope["created_at"]), "{rope}");
    }
    let report = json!({ "trigger": "push_hooks", "payload": { "object_kind": "push", "ref": "refs/heads/main" } });
    let path = format!("/api/v1/projects/{project}/events");
    assert_eq!(server.call("POST", &path, &report.to_string()).status, 202);
    let event = server.get("/api/v1/events?limit=1")["items"][0].clone();
    assert_eq!(server.get("/api/v4/projects/gear%2Fsub%2Frope")["last_activity_at"], event["received_at"], "{event}");
}

pub(crate) fn a_project_in_a_namespace_that_is_not_there_is_refused(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let made = server.call("POST", "/api/v4/projects", r#"{"name":"Rope","namespace_id":99}"#);
    assert_eq!((made.status, made.json()), (400, json!({ "message": { "namespace": ["is not valid"] } })));
    let (_, _, project) = furnish(&server);
    let moved = server.call("PUT", &format!("/api/v4/projects/{project}/transfer"), r#"{"namespace":"nowhere"}"#);
    assert_eq!((moved.status, &moved.json()["message"]), (404, &json!("404 Namespace Not Found")));
}

pub(crate) fn lists_of_parameters_are_bounded(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();
    let hook = server.make_hook("https://example.com/", "");
    let log = format!("/api/v4/projects/1/hooks/{}/events", hook["id"]);
    let statuses = |many: usize| vec!["404"; many].join(",");
    assert_eq!(server.call("GET", &format!("{log}?status={}", statuses(100)), "").status, 200);
    let over = server.call("GET", &format!("{log}?status={}", statuses(101)), "");
    assert_eq!((over.status, &over.json()["error"]), (400, &json!("status does not have a valid value")));
    let over = server.call("GET", &format!("{log}?status={}", statuses(3000)), "");
    assert_eq!((over.status, &over.json()["error"]), (400, &json!("status has too many values (maximum is 1000)")));
    let replay = json!({ "from": "2026-01-01", "status": statuses(101), "dry_run": true }).to_string();
    assert_eq!(server.call("POST", "/api/v1/replays", &replay).status, 400);
    let scopes = json!({ "name": "t", "scopes": vec!["api"; 1001] }).to_string();
    assert_eq!(server.call("POST", "/api/v4/user/personal_access_tokens", &scopes).status, 400);
}
