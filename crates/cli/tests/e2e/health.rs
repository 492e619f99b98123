//! Disabled hooks: their events, and the events that system hooks get about them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::{Value, json};

use crate::answers::{check_shows, items};
use crate::http::{Sink, eventually};
use crate::server::{Engine, Server};

/// A project with one hook, and the hook's receiver, which rejects requests until it is repaired.
pub(crate) struct Rejected {
    pub(crate) server: Server,
    pub(crate) receiver: Sink,
    pub(crate) hook: Value,

    /// The path of the hook.
    pub(crate) path: String,
    answer: Arc<AtomicU16>,
}

impl Rejected {
    /// The settings disable a hook after four failures and do not retry. `attributes` are more attributes of the hook.
    pub(crate) fn start(engine: &Engine, settings: &[(&str, &str)], attributes: &str) -> Self {
        let (receiver, answer) = Sink::switchable(404);
        let retry = ("QUICKDRAW__DELIVERY__RETRY", "gitlab");
        let server = Server::start(engine, &[&[retry], settings].concat());
        server.make_project();

        let hook = server.make_hook(&receiver.url(), attributes);
        let path = format!("/api/v4/projects/1/hooks/{}", hook["id"]);

        Self {
            server,
            receiver,
            hook,
            path,
            answer,
        }
    }

    /// Reports four events, which are rejected.
    pub(crate) fn reject_four(&self) {
        for number in 0..4 {
            self.server.report(number).expect("accepted");
            eventually("the delivery was attempted", || self.receiver.got().len() > number);
        }
    }

    pub(crate) fn disable(&self) {
        self.reject_four();
        eventually("four rejections disable the hook", || {
            self.server.get(&self.path)["alert_status"] == "disabled"
        });
    }

    /// From now on the receiver accepts requests.
    pub(crate) fn repair(&self) {
        self.answer.store(200, Ordering::Relaxed);
    }

    /// A successful test re-enables the hook.
    pub(crate) fn test(&self) {
        let test = format!("{}/test/push_events", self.path);
        self.server.call("POST", &test, "{}").checked(201);
    }
}

/// Creates a system hook for the events about hooks, and disables the hook of the project.
fn disable_with_system_hook(engine: &Engine) -> (Rejected, Sink) {
    let log = ("QUICKDRAW__TELEMETRY__LOG", "info");
    let rejected = Rejected::start(engine, &[log], r#","name":"rope hook""#);

    let reported = Sink::start(|_| Some(200));
    let body = json!({ "url": reported.url(), "hook_state_events": true, "token": "canary-system", "repository_update_events": false });
    let system = rejected.server.call("POST", "/api/v4/hooks", &body.to_string());
    check_shows(&system.checked(201).json(), &json!({ "hook_state_events": true }));

    rejected.reject_four();
    eventually("the system hook is called", || reported.got().len() == 1);

    (rejected, reported)
}

fn body(reported: &Sink, number: usize) -> Value {
    serde_json::from_slice(&reported.got()[number].body).expect("JSON")
}

pub(crate) fn system_hooks_get_an_event_when_a_hook_is_disabled(engine: Engine) {
    let (rejected, reported) = disable_with_system_hook(&engine);

    let id = &rejected.hook["id"];
    let expected = json!({
        "event_name": "hook_disabled",
        "reason": "4 failures in a row, the last: rejected (404)",
        "hook": { "id": id, "alert_status": "disabled", "name": "rope hook" },
    });
    check_shows(&body(&reported, 0), &expected);

    let line = "is not called until somebody re-enables it: 4 failures in a row";
    assert!(rejected.server.output().contains(line));
}

pub(crate) fn system_hooks_get_an_event_when_a_hook_is_re_enabled(engine: Engine) {
    let (rejected, reported) = disable_with_system_hook(&engine);
    rejected.repair();
    rejected.test();
    eventually("the system hook is called again", || reported.got().len() == 2);

    let expected = json!({ "event_name": "hook_enabled", "hook": { "alert_status": "executable" } });
    check_shows(&body(&reported, 1), &expected);
}

/// Reports four events to a receiver that fails, waits until the hook is paused, and returns the end of the pause.
fn pause(server: &Server, receiver: &Sink) -> Value {
    let hook = server.make_hook(&receiver.url(), "");
    let path = format!("/api/v4/projects/1/hooks/{}", hook["id"]);

    for number in 0..4 {
        server.report(number).expect("accepted");
    }

    eventually("four failures pause the hook", || {
        server.get(&path)["alert_status"] == "temporarily_disabled"
    });

    server.get(&path)["disabled_until"].clone()
}

/// Checks the next attempt in the delivery, also where it is shown alone and with its event.
fn check_next_attempt(server: &Server, delivery: &Value, expected: &Value) {
    assert_eq!(delivery["next_attempt_at"], *expected, "{delivery}");

    let id = delivery["id"].as_str().expect("an id");
    let alone = server.get(&format!("/api/v1/deliveries/{id}"));
    assert_eq!(alone["next_attempt_at"], *expected, "{alone}");

    let id = delivery["event_id"].as_str().expect("an id");
    let event = server.get(&format!("/api/v1/events/{id}"));
    assert_eq!(event["deliveries"][0]["next_attempt_at"], *expected, "{event}");
}

pub(crate) fn no_attempt_is_planned_before_the_end_of_a_pause(engine: Engine) {
    let receiver = Sink::start(|_| Some(500));
    let server = Server::start(&engine, &[]);
    server.make_project();

    let until = pause(&server, &receiver);

    let deliveries = || server.get("/api/v1/deliveries")["items"].clone();
    eventually("all deliveries were attempted", || {
        items(&deliveries())
            .iter()
            .all(|delivery| delivery["state"] == "retrying")
    });

    for delivery in items(&deliveries()) {
        check_next_attempt(&server, delivery, &until);
    }
}

/// Checks the recorded reason for an event of a disabled hook, and the number of requests after the hook is re-enabled.
fn check_event_of_disabled_hook(engine: &Engine, mode: &str, reason: Option<&str>, requests: usize) {
    let rejected = Rejected::start(engine, &[("QUICKDRAW__DELIVERY__WHILE_DISABLED", mode)], "");
    let (server, receiver) = (&rejected.server, &rejected.receiver);
    rejected.disable();

    let event = server.report(9).expect("accepted");
    let skipped = server.get(&format!("/api/v1/events/{event}"))["skipped"].clone();
    assert_eq!(skipped[0]["reason"].as_str(), reason, "{mode}: {skipped}");

    rejected.repair();
    rejected.test();
    eventually("the test and the held events arrive", || {
        receiver.got().len() == requests
    });

    server.report(10).expect("accepted");
    eventually("later events arrive", || receiver.got().len() == requests + 1);
}

pub(crate) fn events_of_a_disabled_hook_are_held(engine: Engine) {
    check_event_of_disabled_hook(&engine, "hold", None, 6);
}

pub(crate) fn events_of_a_disabled_hook_are_dropped_if_the_settings_say_so(engine: Engine) {
    check_event_of_disabled_hook(&engine, "drop", Some("hook_disabled"), 5);
}
