//! Chains of events that deliveries caused, and the rate limit of a namespace.

use std::collections::HashSet;

use serde_json::Value;

use crate::http::{Sink, eventually, send};
use crate::server::{Engine, Server, TOKEN};

/// Reports a push with a chain, as a receiver that passes the chain on does. Returns the id of the event.
fn report(server: &Server, chain: &str) -> String {
    let headers = [("PRIVATE-TOKEN", TOKEN), ("X-Gitlab-Event-UUID", chain)];
    let body = br#"{"trigger":"push_hooks","payload":{"object_kind":"push","ref":"refs/heads/main"}}"#;
    let reply = send(server.port, "POST", "/api/v1/projects/1/events", &headers, body).expect("an answer");
    assert_eq!(reply.status, 202, "{}", reply.body);

    reply.json()["id"].as_str().expect("an id").to_owned()
}

/// The hooks that did not get an event, with the reasons.
fn skipped(server: &Server, event: &str) -> Vec<(i64, String)> {
    let event = server.get(&format!("/api/v1/events/{event}"));
    let rows = event["skipped"].as_array().cloned().unwrap_or_default();

    let one = |row: &Value| {
        (
            row["hook_id"].as_i64().unwrap_or_default(),
            row["reason"].as_str().unwrap_or_default().to_owned(),
        )
    };
    rows.iter().map(one).collect()
}

pub(crate) fn a_chain_of_events_does_not_return_to_a_hook(engine: Engine) {
    let (first, second) = (Sink::start(|_| Some(200)), Sink::start(|_| Some(200)));
    let mut server = Server::start(&engine, &[]);
    server.make_project();

    let one = server.make_hook(&first.url(), "")["id"].as_i64().expect("a number");
    server.report(1).expect("accepted");
    eventually("the first hook has it", || first.got().len() == 1);

    let two = server.make_hook(&second.url(), "")["id"].as_i64().expect("a number");
    let chain = first.got()[0].headers["X-Gitlab-Event-Uuid"].clone();
    // An event caused by the first hook's receiver goes to the second hook and not to the first, also after a crash.
    let caused = report(&server, &chain);
    assert_eq!(skipped(&server, &caused), [(one, "recursion".to_owned())]);
    eventually("the second hook has it", || second.got().len() == 1);

    assert_eq!(
        second.got()[0].headers["X-Gitlab-Event-Uuid"],
        chain,
        "the chain is passed on"
    );

    server.kill();
    server.restart();

    let again = report(&server, &chain);
    assert_eq!(
        skipped(&server, &again),
        [(one, "recursion".to_owned()), (two, "recursion".to_owned())]
    );

    let other = report(&server, "0b0a7c6e-53a5-4f2e-9f0e-2f0a1c7f5d11");
    assert_eq!(skipped(&server, &other), [], "an unknown chain");

    // A delivery that was in progress at the crash may arrive twice, with the same key.
    let events = |sink: &Sink| {
        sink.got()
            .iter()
            .map(|got| got.headers["Idempotency-Key"].clone())
            .collect::<HashSet<String>>()
            .len()
    };
    eventually("both hooks have the other event", || {
        events(&first) == 2 && events(&second) == 2
    });
}

pub(crate) fn deliveries_of_a_namespace_are_limited_per_minute(engine: Engine) {
    let sink = Sink::start(|_| Some(200));
    let server = Server::start(&engine, &[("QUICKDRAW__LIMITS__DELIVERIES_PER_MINUTE", "3")]);
    server.make_project();
    server.make_hook(&sink.url(), "");

    let system = Sink::start(|_| Some(200));
    let body = format!(r#"{{"url":"{}","push_events":true}}"#, system.url());
    assert_eq!(server.call("POST", "/api/v4/hooks", &body).status, 201);

    let events: Vec<String> = (0..8).map(|number| server.report(number).expect("accepted")).collect();
    eventually("the limit does not apply to system hooks", || system.got().len() == 8);

    let reasons: Vec<String> = events
        .iter()
        .flat_map(|event| skipped(&server, event))
        .map(|(_, why)| why)
        .collect();

    // The reports may fall into two minutes.
    assert!(
        (2..=5).contains(&reasons.len()) && reasons.iter().all(|why| why == "rate_limit"),
        "{reasons:?}"
    );

    eventually("the rest arrived", || sink.got().len() + reasons.len() == 8);
}
