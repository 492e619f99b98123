//! Replays: many deliveries are sent again, through a restart and with the command.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::http::{Sink, eventually};
use crate::server::{Engine, Server, TOKEN};

const EVENTS: usize = 40;

fn made(server: &Server, body: &Value) -> Value {
    let reply = server.call("POST", "/api/v1/replays", &body.to_string());
    assert!(matches!(reply.status, 200 | 201), "{} {}", reply.status, reply.body);
    reply.json()
}

pub(crate) fn a_replay_sends_the_selected_deliveries_again_and_survives_a_crash(engine: Engine) {
    let (sink, answer) = Sink::switchable(410);
    let other = Sink::start(|_| Some(200));

    let settings = [
        ("QUICKDRAW__DELIVERY__RETRY", "gitlab"),
        ("QUICKDRAW__DELIVERY__AUTO_DISABLE", "off"),
    ];
    let mut server = Server::start(&engine, &settings);
    server.make_project();
    server.make_hook(&sink.url(), "");
    server.make_hook(&other.url(), "");

    for number in 0..EVENTS {
        server.report(number).expect("accepted");
    }

    eventually("all deliveries were attempted", || {
        sink.got().len() == EVENTS && other.got().len() == EVENTS
    });

    let all = json!({ "from": "2020-01-01", "state": "given_up", "dry_run": true });
    eventually("all attempts are recorded", || made(&server, &all)["matched"] == EVENTS);

    let one = json!({ "from": "2020-01-01", "status": "410", "text": "\"number\":7}", "dry_run": true });
    assert_eq!(made(&server, &one), json!({ "matched": 1, "complete": true }));
    answer.store(200, Ordering::Relaxed);

    // The rate is low enough for an interruption.
    let replay = made(
        &server,
        &json!({ "from": "2020-01-01", "project_id": "gear/rope", "state": "given_up", "rate": 20 }),
    );
    assert_eq!(
        (&replay["state"], &replay["created_by"]),
        (&json!("running"), &json!("root"))
    );

    let path = format!("/api/v1/replays/{}", replay["id"]);
    eventually("the replay has started", || sink.got().len() > EVENTS + 3);
    server.kill();

    assert!(
        sink.got().len() < 2 * EVENTS,
        "the replay was not finished before the crash"
    );

    server.restart();
    eventually("the replay is paused", || {
        server.call("POST", &format!("{path}/pause"), "{}").status == 200
    });
    assert_eq!(server.get(&path)["state"], "paused");

    assert_eq!(
        server.call("POST", &format!("{path}/resume"), "{}").json()["state"],
        "running"
    );

    eventually("the replay is finished", || server.get(&path)["state"] == "finished");
    eventually("all events arrive again", || {
        let bodies: HashSet<Vec<u8>> = sink.got()[EVENTS..].iter().map(|got| got.body.clone()).collect();
        bodies.len() == EVENTS
    });

    let mut keys: HashMap<Vec<u8>, HashSet<String>> = HashMap::new();
    for got in sink.got() {
        keys.entry(got.body.clone())
            .or_default()
            .insert(got.headers["Idempotency-Key"].clone());
    }

    assert!(
        keys.values().all(|keys| keys.len() == 1),
        "repeated deliveries keep their ids"
    );

    assert_eq!(
        (other.got().len(), &server.get(&path)["replayed"]),
        (EVENTS, &json!(EVENTS)),
        "other hooks get nothing"
    );

    let over = server.call("POST", &format!("{path}/cancel"), "{}");
    assert_eq!(
        (
            over.status,
            over.json()["detail"]
                .as_str()
                .is_some_and(|text| text.contains("finished"))
        ),
        (409, true)
    );

    for wrong in [
        json!({}),
        json!({ "from": "soon" }),
        json!({ "from": "2020-01-01", "rate": 0 }),
        json!({ "from": "2999-01-01" }),
    ] {
        let reply = server.call("POST", "/api/v1/replays", &wrong.to_string());
        assert_eq!(reply.status, 400, "{wrong}: {}", reply.body);
    }
}

pub(crate) fn the_replay_command_counts_starts_and_follows_a_replay(engine: Engine) {
    let sink = Sink::start(|_| Some(200));
    let server = Server::start(&engine, &[]);
    server.make_project();
    server.make_hook(&sink.url(), "");

    for number in 0..3 {
        server.report(number).expect("accepted");
    }

    eventually("all events arrive", || sink.got().len() == 3);

    let url = format!("http://127.0.0.1:{}", server.port);
    let run = |arguments: &[&str]| {
        let mut all = vec!["replay", "--url", url.as_str(), "--token", TOKEN];
        all.extend(arguments);

        let done = server.command(&all).output().expect("it runs");
        (
            done.status.success(),
            String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned(),
        )
    };
    eventually("all attempts are recorded", || {
        run(&["--from", "1h", "--dry-run"]).1 == "matching deliveries: 3\n"
    });

    let (well, text) = run(&[
        "--from",
        "1h",
        "--trigger",
        "push_hooks",
        "--project",
        "gear/rope",
        "--rate",
        "1000",
    ]);

    let end = "rescheduled: 3, then delivered: 3, failed for good: 0, still pending: 0\n";
    assert!(
        well && text.contains("replay 1 is finished") && text.ends_with(end),
        "{text}"
    );

    eventually("all events arrive again", || sink.got().len() == 6);

    let (well, text) = run(&["--from", "1h", "--trigger", "pull_hooks"]);
    assert!(!well && text.contains("trigger does not have a valid value"), "{text}");

    let (well, text) = run(&["--cancel", "1"]);
    assert!(!well && text.contains("409"), "{text}");
}
