//! Chains of events that deliveries caused, and the rate limit of a namespace.

use std::collections::HashSet;

use serde_json::{Value, json};

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

/// The webhooks that did not get an event, with the reasons.
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

/// A server with two webhooks. The receiver of the first got a push and caused an event, which the second one got.
struct Chain {
    server: Server,
    first: Sink,
    second: Sink,

    /// The ids of the webhooks.
    hooks: (i64, i64),
    chain: String,
}

impl Chain {
    fn start(engine: &Engine) -> Self {
        let (first, second) = (Sink::start(|_| Some(200)), Sink::start(|_| Some(200)));
        let server = Server::start(engine, &[]);
        server.make_project();

        let make = |sink: &Sink| server.make_hook(&sink.url(), "")["id"].as_i64().expect("a number");
        let one = make(&first);
        server.report(1).expect("accepted");
        eventually("the first hook has it", || first.got().len() == 1);

        let two = make(&second);
        let chain = first.got()[0].headers["X-Gitlab-Event-Uuid"].clone();
        let caused = report(&server, &chain);
        assert_eq!(skipped(&server, &caused), [(one, "recursion".to_owned())]);
        eventually("the second hook has it", || second.got().len() == 1);

        Self {
            server,
            first,
            second,
            hooks: (one, two),
            chain,
        }
    }
}

/// The number of different events that a receiver got.
fn events(sink: &Sink) -> usize {
    let mut keys = HashSet::new();
    for got in sink.got() {
        keys.insert(got.headers["Idempotency-Key"].clone());
    }

    keys.len()
}

pub(crate) fn an_event_caused_by_a_hook_is_delivered_to_other_hooks_only(engine: Engine) {
    let chain = Chain::start(&engine);
    let got = chain.second.got();
    assert_eq!(got[0].headers["X-Gitlab-Event-Uuid"], chain.chain);
}

pub(crate) fn a_chain_of_events_is_known_after_a_crash(engine: Engine) {
    let mut chain = Chain::start(&engine);
    chain.server.kill();
    chain.server.restart();

    let again = report(&chain.server, &chain.chain);
    let recursion = |hook: i64| (hook, "recursion".to_owned());
    let (one, two) = chain.hooks;

    assert_eq!(skipped(&chain.server, &again), [recursion(one), recursion(two)]);

    let other = report(&chain.server, "0b0a7c6e-53a5-4f2e-9f0e-2f0a1c7f5d11");
    assert_eq!(skipped(&chain.server, &other), [], "an unknown chain");

    // A delivery that was in progress at the crash may arrive twice, with the same key.
    eventually("both hooks have the other event", || {
        events(&chain.first) == 2 && events(&chain.second) == 2
    });
}

/// A server that delivers three events per minute, with a project webhook and a system webhook.
fn start_limited(engine: &Engine) -> (Server, Sink, Sink) {
    let (project, system) = (Sink::start(|_| Some(200)), Sink::start(|_| Some(200)));
    let server = Server::start(engine, &[("QUICKDRAW__LIMITS__DELIVERIES_PER_MINUTE", "3")]);
    server.make_project();
    server.make_hook(&project.url(), "");
    server.create("/api/v4/hooks", &json!({ "url": system.url(), "push_events": true }));

    (server, project, system)
}

pub(crate) fn deliveries_of_a_namespace_are_limited_per_minute(engine: Engine) {
    let (server, project, system) = start_limited(&engine);
    let events: Vec<String> = (0..8).map(|number| server.report(number).expect("accepted")).collect();
    eventually("the limit does not apply to system hooks", || system.got().len() == 8);

    let mut limited = 0;
    for event in &events {
        for (_, reason) in skipped(&server, event) {
            assert_eq!(reason, "rate_limit");
            limited += 1;
        }
    }

    // The reports may fall into two minutes.
    assert!((2..=5).contains(&limited), "{limited}");
    eventually("the rest arrived", || project.got().len() + limited == 8);
}
