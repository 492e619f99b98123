//! Requests with very many parts, and answers that would be very large.

use serde_json::json;

use crate::http::{Sink, eventually};
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

pub(crate) fn strings_in_a_body_are_never_parsed_as_json(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let texts = texts_in_texts();
    let asked = server.call("GET", "/api/v4/projects", &format!(r#"{{"x":{texts}}}"#));
    assert_eq!(asked.status, 200, "{}", asked.body);

    let inside = r#"{"$serde_json::private::RawValue":"{\"per_page\":\"many\"}"}"#;
    assert_eq!(
        server.call("GET", "/api/v4/projects", inside).status,
        200,
        "a string is not parsed as parameters"
    );

    let commit = json!({ "id": "c".repeat(40), "message": "m", "timestamp": "2026-03-01T20:15:00-07:00",
        "author": { "name": "Ida", "email": "ida@x.example" } });
    let payload = format!(
        r#"{{"object_kind":"push","ref":"refs/heads/main","before":"{}","after":"{}","x":{texts},"commits":[{commit}],
            "project":{{"id":1,"path_with_namespace":"gear/rope","default_branch":"main"}}}}"#,
        "b".repeat(40),
        "c".repeat(40),
    );
    let report = format!(r#"{{"trigger":"push_hooks","payload":{payload}}}"#);
    let event = server.call("POST", "/api/v1/projects/1/events", &report);

    assert_eq!(event.status, 202, "{}", event.body);

    let shown = server.call(
        "GET",
        &format!("/api/v1/events/{}", event.json()["id"].as_str().expect("an id")),
        "",
    );
    assert!(
        shown.status == 200 && shown.body.contains(&payload),
        "the body is shown byte for byte"
    );

    eventually("the commit is counted", || {
        server.get("/api/v1/insights/commits?from=2026-03-01&to=2026-04-01")["commits"] == 1
    });
}

pub(crate) fn requests_and_answers_have_memory_limits(engine: Engine) {
    let sink = Sink::start(|_| Some(200));
    let server = Server::start(&engine, &[]);
    server.make_project();

    // The body is short, but its tree would take a hundred times as much memory.
    let many = format!(r#"{{"search":[{}]}}"#, vec!["[]"; 300_000].join(","));
    for path in ["/api/v4/projects", "/api/v1/attempts"] {
        let refused = server.call("GET", path, &many);
        assert_eq!(
            (refused.status, refused.body.contains("too many parts")),
            (413, true),
            "{}",
            refused.body
        );
    }

    let hook = server.make_hook(&sink.url(), "")["id"].clone();
    let text = "x".repeat(900_000);
    let mut last = String::new();

    for number in 0..10 {
        let payload = json!({ "object_kind": "push", "ref": "refs/heads/main", "number": number, "text": text });
        let report = json!({ "trigger": "push_hooks", "payload": payload }).to_string();
        let taken = server.call("POST", "/api/v1/projects/1/events", &report);
        assert_eq!(taken.status, 202, "{}", taken.body);
        last = taken.json()["id"].as_str().expect("an id").to_owned();
    }

    eventually("all deliveries were attempted", || {
        let attempts = server.get(&format!("/api/v1/attempts?hook_id={hook}"));
        attempts["items"]
            .as_array()
            .is_some_and(|attempts| attempts.len() == 10)
    });

    let log = server.get(&format!("/api/v4/projects/1/hooks/{hook}/events"));
    let rows = log.as_array().expect("a list");
    let shown = rows.iter().filter(|row| row["request_data"]["number"].is_i64()).count();

    let oversize = rows
        .iter()
        .filter(|row| row["request_data"] == json!({ "oversize": true }))
        .count();
    assert_eq!((shown, oversize), (9, 1), "the bodies of a page may have 8 MB together");

    assert_eq!(
        server.get(&format!("/api/v1/events/{last}"))["payload"]["text"].as_str(),
        Some(text.as_str())
    );
}
