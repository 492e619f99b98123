//! Replays: many deliveries are sent again, through a restart and with the command.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::commands::{administer, output_of};
use crate::http::{Reply, Sink, check_parts, eventually};
use crate::server::{Engine, Server};

const EVENTS: usize = 40;

fn replay(server: &Server, body: &Value) -> Value {
    let reply = server.call("POST", "/api/v1/replays", &body.to_string());
    assert!(matches!(reply.status, 200 | 201), "{} {}", reply.status, reply.body);
    reply.json()
}

/// A server on which all deliveries of one hook failed, and all deliveries of another hook succeeded. Now both
/// receivers answer 200.
struct Scene {
    server: Server,
    failed: Sink,
    other: Sink,
}

impl Scene {
    fn start(engine: &Engine) -> Self {
        let (failed, answer) = Sink::switchable(410);
        let other = Sink::start(|_| Some(200));

        let settings = [
            ("QUICKDRAW__DELIVERY__RETRY", "gitlab"),
            ("QUICKDRAW__DELIVERY__AUTO_DISABLE", "off"),
        ];
        let server = Server::start(engine, &settings);
        server.make_project();
        server.make_hook(&failed.url(), "");
        server.make_hook(&other.url(), "");

        for number in 0..EVENTS {
            server.report(number).expect("accepted");
        }

        eventually("all deliveries were attempted", || {
            failed.got().len() == EVENTS && other.got().len() == EVENTS
        });

        let all = json!({ "since": "2020-01-01", "state": "given_up", "dry_run": true });
        eventually("all attempts are recorded", || {
            replay(&server, &all)["matched"] == EVENTS
        });
        answer.store(200, Ordering::Relaxed);

        let one = json!({ "since": "2020-01-01", "status": "410", "text": "\"number\":7}", "dry_run": true });
        assert_eq!(replay(&server, &one), json!({ "matched": 1, "complete": true }));

        Self { server, failed, other }
    }

    /// Starts a replay of the failed deliveries. Returns its path.
    fn replay(&self, rate: u64) -> String {
        let body = json!({ "since": "2020-01-01", "project": "gear/rope", "state": "given_up", "rate": rate });
        let replay = replay(&self.server, &body);
        check_parts(&replay, json!({ "state": "running", "created_by": "root" }));

        format!("/api/v1/replays/{}", replay["id"])
    }

    fn wait_for_the_end(&self, path: &str) {
        eventually("the replay is finished", || {
            self.server.get(path)["state"] == "finished"
        });
        eventually("all events arrive again", || {
            let got = self.failed.got();
            let bodies: HashSet<&Vec<u8>> = got[EVENTS..].iter().map(|got| &got.body).collect();
            bodies.len() == EVENTS
        });
    }

    fn post(&self, path: &str) -> Reply {
        self.server.call("POST", path, "{}")
    }

    /// Kills the server while a replay runs, and starts it again.
    fn interrupt(&mut self) {
        eventually("the replay has started", || self.failed.got().len() > EVENTS + 3);
        self.server.kill();

        let unfinished = self.failed.got().len() < 2 * EVENTS;
        assert!(unfinished, "the replay was not finished before the crash");
        self.server.restart();
    }
}

pub(crate) fn a_replay_survives_a_crash_and_a_pause(engine: Engine) {
    let mut scene = Scene::start(&engine);
    // The rate is low enough for an interruption.
    let path = scene.replay(20);
    scene.interrupt();

    eventually("the replay is paused", || {
        scene.post(&format!("{path}/pause")).status == 200
    });
    assert_eq!(scene.server.get(&path)["state"], "paused");

    let resumed = scene.post(&format!("{path}/resume"));
    assert_eq!(resumed.json()["state"], "running");
    scene.wait_for_the_end(&path);
    assert_eq!(scene.server.get(&path)["replayed"], EVENTS);
}

fn check_it_cannot_be_cancelled(scene: &Scene, path: &str) {
    let over = scene.post(&format!("{path}/cancel")).check(409).json();
    let detail = over["detail"].as_str().expect("a text");
    assert!(detail.contains("finished"), "{detail}");
}

pub(crate) fn a_replay_sends_the_selected_deliveries_again_with_the_same_keys(engine: Engine) {
    let scene = Scene::start(&engine);
    let path = scene.replay(1000);
    scene.wait_for_the_end(&path);

    let mut keys: HashMap<Vec<u8>, HashSet<String>> = HashMap::new();
    for got in scene.failed.got() {
        let key = got.headers["Idempotency-Key"].clone();
        keys.entry(got.body).or_default().insert(key);
    }

    assert!(keys.values().all(|keys| keys.len() == 1), "{keys:?}");
    assert_eq!(scene.other.got().len(), EVENTS, "other hooks get nothing");
    assert_eq!(scene.server.get(&path)["replayed"], EVENTS);
    check_it_cannot_be_cancelled(&scene, &path);
}

pub(crate) fn invalid_parameters_of_a_replay_are_refused(engine: Engine) {
    let server = Server::start(&engine, &[]);
    for wrong in [
        json!({}),
        json!({ "since": "soon" }),
        json!({ "since": "2020-01-01", "rate": 0 }),
        json!({ "since": "2999-01-01" }),
    ] {
        let reply = server.call("POST", "/api/v1/replays", &wrong.to_string());
        assert_eq!(reply.status, 400, "{wrong}: {}", reply.body);
    }

    let (succeeded, text) = command(&server, "--since 1h --trigger pull_hooks");
    assert!(!succeeded, "{text}");
    assert!(text.contains("trigger does not have a valid value"), "{text}");
}

/// Runs `quickdraw replay`. Returns its success and its output.
fn command(server: &Server, words: &str) -> (bool, String) {
    let words: Vec<&str> = ["replay"].into_iter().chain(words.split(' ')).collect();
    let done = administer(server, &words);
    (done.status.success(), output_of(&done))
}

pub(crate) fn the_replay_command_counts_starts_and_follows_a_replay(engine: Engine) {
    let sink = Sink::start(|_| Some(200));
    let server = Server::start(&engine, &[]);
    server.make_project();
    server.make_hook(&sink.url(), "");

    for number in 0..3 {
        server.report(number).expect("accepted");
    }

    eventually("all attempts are recorded", || {
        command(&server, "--since 1h --dry-run").1 == "matching deliveries: 3\n"
    });
    assert_eq!(sink.got().len(), 3);

    let all = "--since 1h --trigger push_hooks --project gear/rope --rate 1000";
    let (succeeded, text) = command(&server, all);
    let end = "rescheduled: 3, then delivered: 3, failed for good: 0, still pending: 0\n";

    assert!(succeeded && text.contains("replay 1 is finished"), "{text}");
    assert!(text.ends_with(end), "{text}");
    eventually("all events arrive again", || sink.got().len() == 6);

    let (succeeded, text) = command(&server, "--cancel 1");
    assert!(!succeeded && text.contains("409"), "{text}");
}
