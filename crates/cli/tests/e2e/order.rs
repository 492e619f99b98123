//! Hooks that get their events in order, object by object.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::http::{Got, Sink, eventually};
use crate::server::{Engine, Server};

/// The number of the issue, and the step of the event.
fn what(got: &Got) -> (i64, i64) {
    let body: Value = serde_json::from_slice(&got.body).expect("JSON");
    let number = |name: &str| body["object_attributes"][name].as_i64().expect("a number");
    (number("iid"), number("step"))
}

/// A server with an ordered hook and five events of each of two issues. The receiver fails for the first issue until it
/// is repaired.
struct Scene {
    server: Server,
    sink: Sink,
    broken: Arc<AtomicBool>,
    hook: Value,
}

impl Scene {
    fn start(engine: &Engine) -> Self {
        let pauses = r#"["100ms", "100ms", "100ms", "100ms", "100ms", "24h", "24h"]"#;
        let settings = [
            ("QUICKDRAW__DELIVERY__RETRY", pauses),
            ("QUICKDRAW__DELIVERY__AUTO_DISABLE", "off"),
        ];
        let server = Server::start(engine, &settings);
        server.make_project();

        let broken = Arc::new(AtomicBool::new(true));
        let sink = failing_for_first_issue(broken.clone());
        let hook = server.make_hook(&sink.url(), r#","issues_events":true,"ordered":true"#);
        assert_eq!(hook["ordered"], true);

        for step in 1..=5 {
            report(&server, 1, step);
            report(&server, 2, step);
        }

        Self {
            server,
            sink,
            broken,
            hook,
        }
    }

    /// The steps of an issue that arrived.
    fn steps(&self, iid: i64) -> Vec<i64> {
        let got = self.sink.got();
        let events = got.iter().map(what).filter(|(of, _)| *of == iid);
        events.map(|(_, step)| step).collect()
    }

    fn deliveries(&self, state: &str) -> Vec<Value> {
        let list = self.server.get(&format!("/api/v1/deliveries?state={state}"));
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// Waits until the next attempt of the first delivery is in 24 hours.
    fn wait_for_the_long_pause(&self) {
        eventually("the first delivery has used its short pauses", || {
            let retrying = self.deliveries("retrying");
            let head = retrying.first();
            head.is_some_and(|head| head["attempts"].as_u64() >= Some(6))
        });
    }

    /// Repairs the receiver, and sends the failed delivery again.
    fn repair_and_resend(&self) {
        self.broken.store(false, Ordering::Relaxed);

        let path = format!("/api/v4/projects/1/hooks/{}/events", self.hook["id"]);
        let log = self.server.get(&format!("{path}?per_page=20"));
        let mut entries = log.as_array().into_iter().flatten();
        let failed = entries.find(|entry| entry["response_status"] == "503");

        let id = &failed.expect("it failed")["id"];
        self.server.call("POST", &format!("{path}/{id}/resend"), "").check(201);
    }
}

fn failing_for_first_issue(broken: Arc<AtomicBool>) -> Sink {
    Sink::scripted(move |got| {
        let fails = what(got).0 == 1 && broken.load(Ordering::Relaxed);
        Some(if fails { 503 } else { 200 })
    })
}

fn report(server: &Server, iid: i64, step: i64) {
    let payload = json!({ "object_kind": "issue", "object_attributes": { "iid": iid, "step": step } });
    server.report_event(&json!({ "trigger": "issue_hooks", "payload": payload }));
}

pub(crate) fn a_failing_head_blocks_its_own_object_and_no_other(engine: Engine) {
    let scene = Scene::start(&engine);
    eventually("all events of the other issue arrive in order", || {
        scene.steps(2) == [1, 2, 3, 4, 5]
    });

    let blocked = scene.deliveries("blocked");
    assert_eq!(blocked.len(), 4, "{blocked:?}");

    for one in blocked {
        assert!(one["next_attempt_at"].is_null() && one["attempts"] == 0, "{one}");
    }

    let steps = scene.steps(1);
    assert!(steps.iter().all(|step| *step == 1), "{steps:?}");
}

/// The next pause is 24 hours. A manual resend succeeds and unblocks the other deliveries.
pub(crate) fn an_ordering_queue_survives_a_crash_and_a_resend_unblocks_it(engine: Engine) {
    let mut scene = Scene::start(&engine);
    scene.wait_for_the_long_pause();
    scene.server.kill();
    scene.server.restart();
    assert_eq!(scene.deliveries("blocked").len(), 4);

    scene.repair_and_resend();
    eventually("all events of the first issue arrive", || {
        scene.steps(1).last() == Some(&5)
    });

    let mut steps = scene.steps(1);
    assert!(steps.is_sorted(), "{steps:?}");
    steps.dedup();
    assert_eq!(steps, [1, 2, 3, 4, 5]);
    assert!(scene.deliveries("blocked").is_empty());
}
