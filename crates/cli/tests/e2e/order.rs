//! Hooks that get their events in order, object by object.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::http::{Got, Sink, eventually};
use crate::server::{Engine, Server};

/// The number of the issue, and the step of the event.
fn what(got: &Got) -> (i64, i64) {
    let body: Value = serde_json::from_slice(&got.body).expect("JSON");
    let number = |name: &str| body["object_attributes"][name].as_i64().expect("a number");
    (number("iid"), number("step"))
}

pub(crate) fn a_failing_head_blocks_its_own_object_and_no_other(engine: Engine) {
    let broken = Arc::new(AtomicBool::new(true));
    let fails = broken.clone();

    let sink = Sink::scripted(move |got| {
        Some(if what(got).0 == 1 && fails.load(Ordering::Relaxed) {
            503
        } else {
            200
        })
    });

    let settings = [
        (
            "QUICKDRAW__DELIVERY__RETRY",
            r#"["100ms", "100ms", "100ms", "100ms", "100ms", "24h", "24h"]"#,
        ),
        ("QUICKDRAW__DELIVERY__AUTO_DISABLE", "off"),
    ];
    let mut server = Server::start(&engine, &settings);
    server.make_project();

    let hook = server.make_hook(&sink.url(), r#","issues_events":true,"ordered":true"#);
    assert_eq!(hook["ordered"], true);

    let report = |server: &Server, iid: i64, step: i64| {
        let body = format!(
            r#"{{"trigger":"issue_hooks","payload":{{"object_kind":"issue","object_attributes":{{"iid":{iid},"step":{step}}}}}}}"#
        );
        let reply = server.call("POST", "/api/v1/projects/1/events", &body);
        assert_eq!(reply.status, 202, "{}", reply.body);
    };
    for step in 1..=5 {
        report(&server, 1, step);
        report(&server, 2, step);
    }

    let of = |iid: i64| {
        sink.got()
            .iter()
            .map(what)
            .filter(|(of, _)| *of == iid)
            .map(|(_, step)| step)
            .collect::<Vec<_>>()
    };
    eventually("all events of the other issue arrive in order", || {
        of(2) == [1, 2, 3, 4, 5]
    });

    let items = |server: &Server, state: &str| {
        server.get(&format!("/api/v1/deliveries?state={state}"))["items"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    };
    let blocked = items(&server, "blocked");
    assert_eq!(blocked.len(), 4, "{blocked:?}");

    assert!(
        blocked
            .iter()
            .all(|one| one["next_attempt_at"].is_null() && one["attempts"] == 0)
    );

    assert!(of(1).iter().all(|step| *step == 1), "{:?}", of(1));
    eventually("the first delivery has used its short pauses", || {
        items(&server, "retrying")
            .first()
            .is_some_and(|head| head["attempts"].as_u64() >= Some(6))
    });

    // The ordering queues survive a crash.
    server.kill();
    server.restart();
    assert_eq!(items(&server, "blocked").len(), 4);
    broken.store(false, Ordering::Relaxed);

    // The next pause is 24 hours. A manual resend succeeds and unblocks the other deliveries.
    let path = format!("/api/v4/projects/1/hooks/{}/events", hook["id"]);
    let log = server.get(&format!("{path}?per_page=20"));

    let head = log
        .as_array()
        .into_iter()
        .flatten()
        .find(|entry| entry["response_status"] == "503");
    let resent = server.call("POST", &format!("{path}/{}/resend", head.expect("it failed")["id"]), "");
    assert_eq!(resent.status, 201, "{}", resent.body);
    eventually("all events of the first issue arrive", || of(1).last() == Some(&5));

    let mut steps = of(1);
    assert!(steps.is_sorted(), "{steps:?}");
    steps.dedup();
    assert_eq!(steps, [1, 2, 3, 4, 5]);
    assert!(items(&server, "blocked").is_empty());
}
