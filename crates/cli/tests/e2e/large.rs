//! Requests with very many parts, and answers that would be very large.

use serde_json::{Value, json};

use crate::answers::items;
use crate::http::{Reply, Sink, eventually};
use crate::server::{Engine, Server};

/// Nested strings, each under the name by which serde_json marks a raw value. serde_json's own tree would parse each of
/// them, deeper than the stack of a thread allows.
fn texts_in_texts() -> String {
    let mut text = "1".to_owned();
    for _ in 0..10 {
        let inside = json!({ "$serde_json::private::RawValue": text });
        text = format!("{}{inside}{}", "[".repeat(120), "]".repeat(120));
    }

    text
}

/// A push with nested strings and one commit.
fn push_with_texts() -> String {
    let commit = json!({ "id": "c".repeat(40), "message": "m", "timestamp": "2026-03-01T20:15:00-07:00",
        "author": { "name": "Ida", "email": "ida@x.example" } });

    format!(
        r#"{{"object_kind":"push","ref":"refs/heads/main","before":"{}","after":"{}","x":{},"commits":[{commit}],
            "project":{{"id":1,"path_with_namespace":"gear/rope","default_branch":"main"}}}}"#,
        "b".repeat(40),
        "c".repeat(40),
        texts_in_texts(),
    )
}

fn report(server: &Server, payload: &str) -> Reply {
    let report = format!(r#"{{"trigger":"push_hooks","payload":{payload}}}"#);
    server.call("POST", "/api/v1/projects/1/events", &report).checked(202)
}

fn id(event: &Reply) -> String {
    event.json()["id"].as_str().expect("an id").to_owned()
}

pub(crate) fn strings_in_parameters_are_never_parsed_as_json(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let texts = format!(r#"{{"x":{}}}"#, texts_in_texts());
    server.call("GET", "/api/v4/projects", &texts).checked(200);

    // If the string was parsed as parameters, it would be refused.
    let inside = r#"{"$serde_json::private::RawValue":"{\"per_page\":\"many\"}"}"#;
    server.call("GET", "/api/v4/projects", inside).checked(200);
}

pub(crate) fn a_body_with_nested_strings_is_shown_byte_for_byte_and_counted(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let payload = push_with_texts();
    let event = report(&server, &payload);
    let shown = server.call("GET", &format!("/api/v1/events/{}", id(&event)), "");
    assert!(shown.checked(200).body.contains(&payload));
    eventually("the commit is counted", || {
        server.get("/api/v1/insights/commits?from=2026-03-01&to=2026-04-01")["commits"] == 1
    });
}

pub(crate) fn a_request_with_too_many_parts_is_refused(engine: Engine) {
    let server = Server::start(&engine, &[]);

    // The body is short, but its tree would take a hundred times as much memory.
    let many = format!(r#"{{"search":[{}]}}"#, vec!["[]"; 300_000].join(","));
    for path in ["/api/v4/projects", "/api/v1/attempts"] {
        server.call("GET", path, &many).check_refusal(413, "too many parts");
    }
}

/// Reports ten events with the text, waits until all are delivered, and returns the id of the last event.
fn deliver_ten(server: &Server, hook: &Value, text: &str) -> String {
    let mut last = String::new();
    for number in 0..10 {
        let payload = json!({ "object_kind": "push", "ref": "refs/heads/main", "number": number, "text": text });
        last = id(&report(server, &payload.to_string()));
    }

    eventually("all deliveries were attempted", || {
        let attempts = server.get(&format!("/api/v1/attempts?hook={hook}"));
        attempts["items"]
            .as_array()
            .is_some_and(|attempts| attempts.len() == 10)
    });

    last
}

pub(crate) fn the_bodies_of_a_page_have_8_mb_together(engine: Engine) {
    let sink = Sink::start(|_| Some(200));
    let server = Server::start(&engine, &[]);
    server.make_project();

    let hook = server.make_hook(&sink.url(), "")["id"].clone();
    let text = "x".repeat(900_000);
    let last = deliver_ten(&server, &hook, &text);

    let log = server.get(&format!("/api/v4/projects/1/hooks/{hook}/events"));
    let bodies = || items(&log).iter().map(|row| &row["request_data"]);
    let shown = bodies().filter(|body| body["number"].is_i64()).count();
    let oversize = bodies().filter(|body| **body == json!({ "oversize": true })).count();

    assert_eq!((shown, oversize), (9, 1));

    let event = server.get(&format!("/api/v1/events/{last}"));
    assert_eq!(event["payload"]["text"].as_str(), Some(text.as_str()));
}
