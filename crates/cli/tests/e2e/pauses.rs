//! Pauses of hooks that a person sets.

use serde_json::{Value, json};

use crate::http::{Sink, eventually, stays};
use crate::server::{Engine, Server};

fn change(server: &Server, hook: &Value, verb: &str) -> Value {
    let path = format!("/api/v4/projects/1/hooks/{}/{verb}", hook["id"]);
    let reply = server.call("POST", &path, "{}");
    assert_eq!(reply.status, 200, "{verb}: {}", reply.body);
    reply.json()
}

fn server(engine: &Engine) -> (Server, Sink) {
    let server = Server::start(engine, &[]);
    server.make_project();
    (server, Sink::start(|_| Some(200)))
}

pub(crate) fn a_paused_hook_holds_its_deliveries_until_it_is_resumed(engine: Engine) {
    let (server, sink) = server(&engine);
    let hook = server.make_hook(&sink.url(), "");
    change(&server, &hook, "pause");

    for number in 0..10 {
        server.report(number).expect("accepted");
    }
    let waiting = server.get("/api/v1/deliveries?limit=1");
    assert!(waiting["items"][0]["next_attempt_at"].is_null(), "{waiting}");
    stays("nothing arrives", || sink.got().is_empty());

    change(&server, &hook, "resume");
    eventually("all events arrive", || sink.got().len() == 10);
}

pub(crate) fn held_deliveries_of_an_ordered_hook_arrive_in_order(engine: Engine) {
    let (server, sink) = server(&engine);
    let hook = server.make_hook(&sink.url(), r#","ordered":true"#);
    change(&server, &hook, "pause");

    for number in 0..6 {
        server.report(number).expect("accepted");
    }
    change(&server, &hook, "resume");
    eventually("all events arrive", || sink.got().len() == 6);

    let mut numbers = Vec::new();
    for got in sink.got() {
        let body: Value = serde_json::from_slice(&got.body).expect("JSON");
        numbers.push(body["number"].as_i64().expect("a number"));
    }
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
}

pub(crate) fn a_pause_is_shown_and_is_apart_from_the_health_of_a_hook(engine: Engine) {
    let (server, sink) = server(&engine);
    let hook = server.make_hook(&sink.url(), "");
    assert_eq!((&hook["paused"], &hook["paused_at"]), (&json!(false), &Value::Null));

    let paused = change(&server, &hook, "pause");
    assert_eq!(
        (&paused["paused"], &paused["paused_by"]),
        (&json!(true), &json!("root"))
    );
    assert!(paused["paused_at"].is_string(), "{paused}");
    assert_eq!(paused["alert_status"], "executable");
    assert_eq!(
        change(&server, &hook, "pause"),
        paused,
        "a second pause changes nothing"
    );

    let resumed = change(&server, &hook, "resume");
    assert_eq!(
        (&resumed["paused"], &resumed["paused_by"]),
        (&json!(false), &Value::Null)
    );
}

pub(crate) fn a_change_of_a_hook_can_pause_and_resume_it(engine: Engine) {
    let (server, sink) = server(&engine);
    let hook = server.make_hook(&sink.url(), r#","paused":true"#);
    assert_eq!(hook["paused"], true, "{hook}");

    server.report(1).expect("accepted");
    stays("nothing arrives", || sink.got().is_empty());

    let one = format!("/api/v4/projects/1/hooks/{}", hook["id"]);
    assert_eq!(server.call("PUT", &one, r#"{"paused":false}"#).json()["paused"], false);
    eventually("the event arrives", || sink.got().len() == 1);
}

pub(crate) fn tests_of_a_paused_hook_are_still_sent(engine: Engine) {
    let (server, sink) = server(&engine);
    let hook = server.make_hook(&sink.url(), "");
    change(&server, &hook, "pause");

    let test = format!("/api/v4/projects/1/hooks/{}/test/push_events", hook["id"]);
    assert_eq!(server.call("POST", &test, "{}").status, 201);
    assert_eq!(sink.got().len(), 1);

    let one = format!("/api/v4/projects/1/hooks/{}", hook["id"]);
    assert_eq!(server.get(&one)["paused"], true, "a success does not resume the hook");
}

pub(crate) fn events_of_a_paused_hook_are_dropped_where_the_settings_say_so(engine: Engine) {
    let server = Server::start(&engine, &[("QUICKDRAW__DELIVERY__WHILE_DISABLED", "drop")]);
    server.make_project();
    let sink = Sink::start(|_| Some(200));
    let hook = server.make_hook(&sink.url(), "");
    change(&server, &hook, "pause");

    let event = server.report(1).expect("accepted");
    let path = format!("/api/v1/events/{event}");
    eventually("the reason is stored", || {
        server.get(&path)["skipped"][0]["reason"] == "hook_paused"
    });
}

pub(crate) fn system_hooks_get_an_event_when_a_person_pauses_or_resumes_a_hook(engine: Engine) {
    let (server, news) = server(&engine);
    let body = json!({ "url": news.url(), "hook_state_events": true, "repository_update_events": false });
    assert_eq!(server.call("POST", "/api/v4/hooks", &body.to_string()).status, 201);
    let hook = server.make_hook("http://127.0.0.1:8999/in", "");

    change(&server, &hook, "pause");
    eventually("the pause is reported", || news.got().len() == 1);
    change(&server, &hook, "resume");
    eventually("the end of the pause is reported", || news.got().len() == 2);

    let body: Value = serde_json::from_slice(&news.got()[0].body).expect("JSON");
    assert_eq!(
        (&body["event_name"], &body["reason"]),
        (&json!("hook_paused_by_user"), &json!("paused by root"))
    );
}

pub(crate) fn a_pause_outlives_a_crash(engine: Engine) {
    let (mut server, sink) = server(&engine);
    let hook = server.make_hook(&sink.url(), "");
    change(&server, &hook, "pause");
    server.report(1).expect("accepted");

    server.kill();
    server.restart();
    stays("nothing arrives", || sink.got().is_empty());

    change(&server, &hook, "resume");
    eventually("the event arrives", || sink.got().len() == 1);
}
