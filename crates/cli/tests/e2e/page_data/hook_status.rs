//! The status of hooks.

use serde_json::{Value, json};

use crate::access::People;
use crate::http::{Sink, check_parts, eventually};
use crate::server::{Engine, Server};

const STATUS: &str = "/api/v1/hooks/status?project=gear%2Frope";

/// A server with a project and a hook whose receiver answers with a status. Returns the hook's id.
fn start(engine: &Engine, status: u16) -> (Server, Sink, i64) {
    let server = Server::start(engine, &[]);
    server.make_project();
    let sink = Sink::start(move |_| Some(status));
    let hook = server.make_hook(&sink.url(), "");

    (server, sink, hook["id"].as_i64().expect("a number"))
}

fn report(server: &Server, count: usize) {
    for number in 0..count {
        server.report(number).expect("it is accepted");
    }
}

fn status(server: &Server, hook: i64) -> Value {
    server.get(&format!("/api/v1/hooks/{hook}/status"))
}

pub(crate) fn the_status_of_hooks_says_whether_they_work(engine: Engine) {
    let (server, _sink, good) = start(&engine, 200);
    let failing = Sink::start(|_| Some(500));
    let bad = server.make_hook(&failing.url(), r#","name":"Bad""#)["id"].clone();
    report(&server, 1);
    eventually("both hooks were called", || {
        let items = server.get(STATUS)["items"].clone();
        items[0]["attempts"] == 1 && items[1]["attempts"] == 1
    });

    let shown = server.get(STATUS);
    assert_eq!(shown["items"].as_array().map(Vec::len), Some(2));
    let healthy = json!({ "id": good, "state": "healthy", "reason": "The last attempt succeeded.", "delivered": 1,
        "success_share": 1.0, "is_sampled": false, "/last_attempt/status": 200, "/backlog/deliveries": 0 });
    check_parts(&shown["items"][0], healthy);
    let failing = json!({ "id": bad, "name": "Bad", "state": "failing", "failures_in_a_row": 1, "delivered": 0,
        "/last_attempt/outcome": "failed", "/backlog/deliveries": 1, "/backlog/has_more": false });
    check_parts(&shown["items"][1], failing);

    let hours = shown["items"][0]["hours"].as_array().cloned().unwrap_or_default();
    let delivered: u64 = hours.iter().filter_map(|hour| hour["delivered"].as_u64()).sum();
    assert_eq!((hours.len(), delivered), (24, 1));
    assert!(server.get(&format!("{STATUS}&limit=1"))["next"].is_number());
}

pub(crate) fn a_temporarily_disabled_hook_names_its_next_attempt(engine: Engine) {
    let (server, _sink, hook) = start(&engine, 500);
    report(&server, 4);
    eventually("four failures disable the hook", || {
        status(&server, hook)["state"] == "temporarily_disabled"
    });

    let shown = status(&server, hook);
    check_parts(
        &shown,
        json!({ "failures_in_a_row": 4, "next_pause": 120, "/backlog/deliveries": 4 }),
    );
    let reason = shown["reason"].as_str().unwrap_or_default();
    assert!(
        reason.starts_with("Temporarily disabled after 4 failures in a row until"),
        "{reason}"
    );
    assert!(reason.ends_with("the webhook is disabled for 2 minutes."), "{reason}");
    assert_eq!(shown["backlog"]["next_attempt_at"], shown["disabled_until"]);
}

pub(crate) fn a_paused_hook_names_the_person_and_waits(engine: Engine) {
    let (server, _sink, hook) = start(&engine, 200);
    let path = format!("/api/v4/projects/1/hooks/{hook}/pause");
    server.call("POST", &path, "");
    report(&server, 2);

    eventually("two deliveries wait", || {
        status(&server, hook)["backlog"]["deliveries"] == 2
    });
    let shown = status(&server, hook);
    check_parts(
        &shown,
        json!({ "state": "paused", "attempts": 0, "/backlog/next_attempt_at": null }),
    );
    assert!(
        shown["reason"]
            .as_str()
            .is_some_and(|reason| reason.starts_with("Paused by root at"))
    );
}

pub(crate) fn the_status_of_a_foreign_hook_does_not_exist(engine: Engine) {
    let (server, _sink, hook) = start(&engine, 200);
    let (_, token) = People { server: &server }.make("stranger", "api");
    let path = format!("/api/v1/hooks/{hook}/status");
    server
        .call_as(&token, "GET", &path, "")
        .check_says(404, "there is no hook with this id");
    server.call_as(&token, "GET", STATUS, "").check(404);
    server.call_as(&token, "GET", "/api/v1/hooks/status", "").check(403);
}

pub(crate) fn the_backlog_of_a_hook_shows_since_when_deliveries_wait(engine: Engine) {
    let (server, _sink, hook) = start(&engine, 500);
    report(&server, 1);
    let backlog = || server.get(&format!("/api/v1/hooks/{hook}/backlog"));
    let count = |name: &str| {
        let hours = backlog()["hours"].as_array().cloned().unwrap_or_default();
        assert_eq!(hours.len(), 24);
        hours.iter().filter_map(|hour| hour[name].as_u64()).sum::<u64>()
    };
    eventually("a delivery is retried", || count("retrying") == 1);

    server.call("POST", &format!("/api/v4/projects/1/hooks/{hook}/pause"), "");
    for number in [1, 2] {
        server.report(number).expect("it is accepted");
    }
    eventually("two deliveries wait", || count("waiting") == 2);
    let none = json!({ "waiting": 0, "blocked": 0, "retrying": 0 });
    check_parts(&backlog(), json!({ "earlier": none, "is_partial": false }));

    let (_, token) = People { server: &server }.make("stranger", "api");
    server
        .call_as(&token, "GET", &format!("/api/v1/hooks/{hook}/backlog"), "")
        .check(404);
}
