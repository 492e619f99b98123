//! Silent mode: events are stored, and no webhook is called.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::http::{Sink, eventually, stays};
use crate::server::{Engine, Server, TOKEN};

const SETTINGS: &str = "/api/v4/application/settings";

fn server(engine: &Engine) -> (Server, Sink) {
    let server = Server::start(engine, &[]);
    server.make_project();
    (server, Sink::start(|_| Some(200)))
}

fn set(server: &Server, enabled: bool) -> Value {
    let reply = server.call("PUT", SETTINGS, &json!({ "silent_mode_enabled": enabled }).to_string());
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()
}

fn reasons(server: &Server, event: &str) -> Value {
    server.get(&format!("/api/v1/events/{event}"))["skipped"].clone()
}

pub(crate) fn silent_mode_stores_events_with_the_reason_and_calls_nobody(engine: Engine) {
    let (server, sink) = server(&engine);
    let hook = server.make_hook(&sink.url(), "");
    let shown = set(&server, true);
    assert_eq!(shown["silent_mode_enabled"], true);
    assert!(shown["silent_mode_since"].is_string(), "{shown}");

    let event = server.report(1).expect("accepted");
    stays("nothing arrives", || sink.got().is_empty());

    let skipped = reasons(&server, &event);
    assert_eq!(
        (&skipped[0]["hook_id"], &skipped[0]["reason"]),
        (&hook["id"], &json!("silent_mode"))
    );

    set(&server, false);
    server.report(2).expect("accepted");
    eventually("the next event arrives", || sink.got().len() == 1);
}

pub(crate) fn retries_wait_for_the_end_of_silent_mode(engine: Engine) {
    let server = Server::start(&engine, &[("QUICKDRAW__DELIVERY__AUTO_DISABLE", "off")]);
    server.make_project();
    let (sink, answer) = Sink::switchable(500);
    let retry = ["200ms"; 30].join(",");
    server.make_hook(&sink.url(), &format!(r#","retry":"{retry}""#));

    server.report(1).expect("accepted");
    eventually("attempts fail", || sink.got().len() > 1);
    set(&server, true);

    // An attempt that was under way may still arrive.
    let before = sink.got().len();
    stays("no retry is sent", || sink.got().len() <= before + 1);

    answer.store(200, Ordering::Relaxed);
    let now = sink.got().len();
    set(&server, false);
    eventually("the retry arrives", || sink.got().len() > now);
}

pub(crate) fn skipped_events_are_delivered_later_by_a_replay(engine: Engine) {
    let (mut server, sink) = server(&engine);
    server.make_hook(&sink.url(), "");
    set(&server, true);
    for number in 0..60 {
        server.report(number).expect("accepted");
    }
    set(&server, false);

    let mut asked = json!({ "since": "2020-01-01", "skipped": "silent_mode", "dry_run": true });
    let counted = server.call("POST", "/api/v1/replays", &asked.to_string());
    assert_eq!(
        counted.json(),
        json!({ "matched": 60, "complete": true }),
        "{}",
        counted.body
    );

    // The rate is low enough for a crash in between.
    asked["dry_run"] = json!(false);
    asked["rate"] = json!(20);
    let replay = server.call("POST", "/api/v1/replays", &asked.to_string());
    assert_eq!(
        (replay.status, &replay.json()["filter"]["skipped"]),
        (201, &json!("silent_mode"))
    );
    let path = format!("/api/v1/replays/{}", replay.json()["id"]);

    eventually("the replay has started", || !sink.got().is_empty());
    server.kill();
    server.restart();
    eventually("the replay ends", || server.get(&path)["state"] == "finished");
    assert_eq!(server.get(&path)["replayed"], 60);

    eventually("every event has arrived", || {
        let mut numbers: Vec<Vec<u8>> = sink.got().into_iter().map(|got| got.body).collect();
        numbers.sort();
        numbers.dedup();
        numbers.len() == 60
    });

    let again = server.call(
        "POST",
        "/api/v1/replays",
        &json!({ "since": "2020-01-01", "skipped": "silent_mode",
        "dry_run": true })
        .to_string(),
    );
    assert_eq!(again.json()["matched"], 0, "no reason is left");
}

pub(crate) fn tests_are_refused_in_silent_mode(engine: Engine) {
    let (server, sink) = server(&engine);
    let hook = server.make_hook(&sink.url(), "");
    set(&server, true);

    let test = format!("/api/v4/projects/1/hooks/{}/test/push_events", hook["id"]);
    let refused = server.call("POST", &test, "{}");
    assert_eq!(refused.status, 422, "{}", refused.body);
    assert!(refused.body.contains("Silent mode enabled"), "{}", refused.body);
    assert!(sink.got().is_empty());
}

pub(crate) fn silent_mode_is_shown_to_operators(engine: Engine) {
    let (mut server, _) = server(&engine);
    server.set("QUICKDRAW__TELEMETRY__LOG", "info");
    set(&server, true);

    for path in ["/api/v1/health", "/api/v1/ready", "/api/v1/workers"] {
        let warnings = &server.get(path)["warnings"];
        assert_eq!(warnings[0], "silent mode is on: no webhook is called", "{path}");
    }

    server.kill();
    server.restart();
    let output = server.output();
    assert!(output.contains("silent mode is on: events are stored"), "{output}");

    set(&server, false);
    assert!(server.get("/api/v1/ready").get("warnings").is_none());
}

pub(crate) fn the_setting_of_silent_mode_wins_over_the_api(engine: Engine) {
    let server = Server::start(&engine, &[("QUICKDRAW__DELIVERY__SILENT", "true")]);
    let shown = server.get(SETTINGS);
    assert_eq!(
        (&shown["silent_mode_enabled"], &shown["silent_mode_set_by_settings"]),
        (&json!(true), &json!(true))
    );

    let refused = server.call("PUT", SETTINGS, r#"{"silent_mode_enabled":false}"#);
    assert_eq!(refused.status, 422, "{}", refused.body);
    assert!(refused.body.contains("delivery.silent"), "{}", refused.body);
}

/// The value of the metric.
fn shown(server: &Server) -> Option<String> {
    let text = server.call("GET", "/metrics", "").check(200).body;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix("quickdraw_silent_mode "));
    value.map(str::to_owned)
}

pub(crate) fn the_metric_of_silent_mode_follows_the_switch_at_once(engine: Engine) {
    let (server, _) = server(&engine);
    assert_eq!(shown(&server).as_deref(), Some("0"));

    set(&server, true);
    assert_eq!(shown(&server).as_deref(), Some("1"));

    set(&server, false);
    assert_eq!(shown(&server).as_deref(), Some("0"));
}

pub(crate) fn silent_mode_stops_the_deliveries_of_all_nodes(engine: Engine) {
    if !matches!(engine, Engine::Postgres(_)) {
        // SQLite has one node.
        return;
    }

    let (first, sink) = server(&engine);
    let mut second = first.other_node(&engine);
    second.set("QUICKDRAW_ROOT_TOKEN", TOKEN);
    second.restart();
    first.make_hook(&sink.url(), "");
    second.report(0).expect("accepted");
    eventually("the second node delivers", || sink.got().len() == 1);

    set(&first, true);
    eventually("the second node is silent", || shown(&second).as_deref() == Some("1"));
    let event = second.report(1).expect("accepted");
    stays("the second node delivers nothing", || sink.got().len() == 1);
    assert_eq!(reasons(&second, &event)[0]["reason"], "silent_mode");

    set(&first, false);
    let replay = json!({ "since": "2020-01-01", "skipped": "silent_mode" }).to_string();
    first.call("POST", "/api/v1/replays", &replay).check(201);
    eventually("a replay delivers the event", || sink.got().len() == 2);
}

pub(crate) fn a_replay_of_skipped_events_refuses_other_reasons_and_states(engine: Engine) {
    let (server, _) = server(&engine);
    for (name, value, text) in [
        ("skipped", "recursion", "the choices are silent_mode, rate_limit"),
        ("state", "given_up", "skipped excludes state and status"),
    ] {
        let mut body = json!({ "since": "2020-01-01", "skipped": "silent_mode" });
        body[name] = json!(value);
        let refused = server.call("POST", "/api/v1/replays", &body.to_string());
        assert_eq!(refused.status, 400, "{}", refused.body);
        assert!(refused.body.contains(text), "{}", refused.body);
    }
}
