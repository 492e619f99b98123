//! Disabled hooks: their events, and the events that system hooks get about them.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::http::{Sink, eventually};
use crate::server::{Engine, Server};

pub(crate) fn system_hooks_get_an_event_when_a_hook_is_disabled_and_when_it_is_re_enabled(engine: Engine) {
    let (sink, answer) = Sink::switchable(404);
    let told = Sink::start(|_| Some(200));

    let settings = [
        ("QUICKDRAW__DELIVERY__RETRY", "gitlab"),
        ("QUICKDRAW__TELEMETRY__LOG", "info"),
    ];
    let server = Server::start(&engine, &settings);
    server.make_project();

    let hook = server.make_hook(&sink.url(), r#","name":"rope hook""#);
    let body = json!({ "url": told.url(), "hook_state_events": true, "token": "canary-system", "repository_update_events": false });
    let system = server.call("POST", "/api/v4/hooks", &body.to_string());

    assert_eq!(
        (system.status, &system.json()["hook_state_events"]),
        (201, &json!(true)),
        "{}",
        system.body
    );

    for number in 0..4 {
        server.report(number).expect("accepted");
        eventually("the delivery was attempted", || sink.got().len() > number);
    }

    eventually("the system hook is called", || told.got().len() == 1);

    let news: Value = serde_json::from_slice(&told.got()[0].body).expect("JSON");
    assert_eq!(
        (&news["event_name"], &news["hook"]["id"]),
        (&json!("hook_disabled"), &hook["id"]),
        "{news}"
    );

    assert_eq!(news["reason"], "4 failures in a row, the last: rejected (404)");
    assert_eq!(
        (&news["hook"]["alert_status"], &news["hook"]["name"]),
        (&json!("disabled"), &json!("rope hook"))
    );

    assert!(
        server
            .output()
            .contains("is not called until somebody re-enables it: 4 failures in a row")
    );

    answer.store(200, Ordering::Relaxed);

    let test = format!("/api/v4/projects/1/hooks/{}/test/push_events", hook["id"]);
    assert_eq!(server.call("POST", &test, "{}").status, 201);
    eventually("the system hook is called again", || told.got().len() == 2);

    let news: Value = serde_json::from_slice(&told.got()[1].body).expect("JSON");
    assert_eq!(
        (&news["event_name"], &news["hook"]["alert_status"]),
        (&json!("hook_enabled"), &json!("executable"))
    );
}

pub(crate) fn no_attempt_is_planned_before_the_end_of_a_pause(engine: Engine) {
    let sink = Sink::start(|_| Some(500));
    let server = Server::start(&engine, &[]);
    server.make_project();

    let hook = server.make_hook(&sink.url(), "");
    let one = format!("/api/v4/projects/1/hooks/{}", hook["id"]);

    for number in 0..4 {
        server.report(number).expect("accepted");
    }

    eventually("four failures pause the hook", || {
        server.get(&one)["alert_status"] == "temporarily_disabled"
    });

    let until = server.get(&one)["disabled_until"].clone();
    let owed = || {
        server.get("/api/v1/deliveries")["items"]
            .as_array()
            .expect("a list")
            .clone()
    };
    eventually("all deliveries were attempted", || {
        owed().iter().all(|delivery| delivery["state"] == "retrying")
    });

    for delivery in owed() {
        assert_eq!(delivery["next_attempt_at"], until, "{delivery}");

        let alone = server.get(&format!(
            "/api/v1/deliveries/{}",
            delivery["id"].as_str().expect("an id")
        ));
        assert_eq!(alone["next_attempt_at"], until, "{alone}");

        let event = server.get(&format!(
            "/api/v1/events/{}",
            delivery["event_id"].as_str().expect("an id")
        ));
        assert_eq!(event["deliveries"][0]["next_attempt_at"], until, "{event}");
    }
}

pub(crate) fn events_of_a_disabled_hook_are_held_or_dropped(engine: Engine) {
    for (mode, reason) in [("hold", None), ("drop", Some("hook_disabled"))] {
        let (sink, answer) = Sink::switchable(404);
        let retry = ("QUICKDRAW__DELIVERY__RETRY", "gitlab");
        let server = Server::start(&engine, &[retry, ("QUICKDRAW__DELIVERY__WHILE_DISABLED", mode)]);
        server.make_project();

        let hook = server.make_hook(&sink.url(), "");
        let one = format!("/api/v4/projects/1/hooks/{}", hook["id"]);

        for number in 0..4 {
            server.report(number).expect("accepted");
            eventually("the delivery was attempted", || sink.got().len() > number);
        }

        eventually("four rejections disable the hook", || {
            server.get(&one)["alert_status"] == "disabled"
        });

        let event = server.report(9).expect("accepted");
        let skipped = server.get(&format!("/api/v1/events/{event}"))["skipped"].clone();
        assert_eq!(skipped[0]["reason"].as_str(), reason, "{mode}: {skipped}");
        answer.store(200, Ordering::Relaxed);

        assert_eq!(
            server.call("POST", &format!("{one}/test/push_events"), "{}").status,
            201
        );

        let expected = if mode == "hold" { 6 } else { 5 };
        eventually("the test and the held events arrive", || sink.got().len() == expected);
        server.report(10).expect("accepted");
        eventually("later events arrive", || sink.got().len() == expected + 1);
    }
}
