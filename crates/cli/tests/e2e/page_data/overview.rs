//! The overview.

use serde_json::{Value, json};

use crate::access::People;
use crate::answers::items;
use crate::gitlab::{SENDER, Sender};
use crate::http::{Sink, check_parts, eventually};
use crate::server::{Engine, Server};

const OF_PROJECT: &str = "/api/v1/overview?project=gear%2Frope";

fn start(engine: &Engine) -> Server {
    let server = Server::start(engine, &[]);
    server.make_project();
    server
}

/// The sum of a column of the minutes.
fn sum(overview: &Value, column: &str) -> u64 {
    let minutes = items(&overview["minutes"]);
    assert_eq!(minutes.len(), 60);
    minutes.iter().filter_map(|minute| minute[column].as_u64()).sum()
}

pub(crate) fn hooks_that_fail_come_first(engine: Engine) {
    let server = start(&engine);
    let (good, bad, worst) = (
        Sink::start(|_| Some(200)),
        Sink::start(|_| Some(500)),
        Sink::start(|_| Some(404)),
    );
    server.make_hook(&good.url(), "");
    server.make_hook(&bad.url(), r#","name":"Bad""#);
    server.make_hook(&worst.url(), r#","name":"Worst""#);
    for number in 0..4 {
        server.report(number).expect("it is accepted");
    }

    let counts =
        json!({ "total": 3, "healthy": 1, "failing": 0, "temporarily_disabled": 1, "disabled": 1, "paused": 0 });
    eventually("two hooks are disabled", || server.get(OF_PROJECT)["hooks"] == counts);

    let shown = server.get(OF_PROJECT);
    check_parts(
        &shown["attention"][0],
        json!({ "title": "Worst", "state": "disabled", "project_id": 1 }),
    );
    check_parts(
        &shown["attention"][1],
        json!({ "title": "Bad", "state": "temporarily_disabled" }),
    );
    assert!(
        shown["backlog"]["deliveries"].as_u64().is_some_and(|count| count >= 4),
        "{shown}"
    );
    assert!(shown["backlog"]["oldest_at"].is_string(), "{shown}");
}

pub(crate) fn the_minutes_of_an_hour_count_events_and_deliveries(engine: Engine) {
    let server = start(&engine);
    let sink = Sink::start(|_| Some(200));
    server.make_hook(&sink.url(), "");
    for number in 0..3 {
        server.report(number).expect("it is accepted");
    }

    for path in [OF_PROJECT, "/api/v1/overview", "/api/v1/overview?group=gear"] {
        eventually("three deliveries are counted", || {
            sum(&server.get(path), "delivered") == 3
        });
        let shown = server.get(path);
        // Changes of projects and groups are events too.
        assert!(sum(&shown, "events") >= 3, "{shown}");
        assert_eq!(sum(&shown, "failed"), 0);
    }
}

pub(crate) fn a_source_that_refuses_requests_needs_attention(engine: Engine) {
    let server = start(&engine);
    let wrong = Sender {
        secret: "wrong",
        ..SENDER
    };
    wrong.post(&server, "Push Hook", "1", "{}").check(401);

    let shown = server.get("/api/v1/overview");
    check_parts(&shown["sources"][0], json!({ "id": "default", "refused": 1 }));
    assert_eq!((&shown["gaps"], &shown["silent_projects"]), (&json!([]), &json!([])));
}

pub(crate) fn the_overview_of_a_project_knows_only_the_project(engine: Engine) {
    let server = start(&engine);
    let people = People { server: &server };
    let (id, token) = people.make("maintainer", "api");
    people.add("projects/1", id, 40);
    let hook = json!({ "url": "https://example.com/", "push_events": true });
    server.create("/api/v4/hooks", &hook);

    let shown = server.call_as(&token, "GET", OF_PROJECT, "").check(200).json();
    check_parts(
        &shown,
        json!({ "/hooks/total": 0, "sources": null, "gaps": [], "attention": [] }),
    );
    server.call_as(&token, "GET", "/api/v1/overview", "").check(403);
    server
        .call_as(&token, "GET", "/api/v1/overview?group=gear", "")
        .check(404);
}
