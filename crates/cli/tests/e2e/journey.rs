//! The first start, received and reported events, signatures, and the stop of the server.

use std::collections::HashSet;
use std::io::Write;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use quickdraw_domain::Timestamp;
use quickdraw_domain::signature::SigningToken;
use serde_json::{Value, json};

use crate::answers::check_shows;
use crate::http::{Got, Reply, Sink, eventually, send};
use crate::server::{Engine, Server, TOKEN};

/// A server that was started in an empty folder without settings, and so made its own secrets.
struct FirstStart {
    server: Server,
    secret: String,
    token: String,
}

impl FirstStart {
    fn new(engine: &Engine) -> Self {
        let mut server = Server::new(engine);
        server.restart();

        let kept = |name: &str| {
            let file = server.folder.path().join("quickdraw-data").join(name);
            let text = std::fs::read_to_string(file).expect("the file exists");
            text.trim().to_owned()
        };
        let (secret, token) = (kept("webhook-secret"), kept("root-token"));

        Self { server, secret, token }
    }

    /// Sends a push, which has no project and no time.
    fn push(&self) -> Reply {
        let body = br#"{
    "object_kind": "push",
    "ref": "refs/heads/main",
    "commits": [{
      "id": "test123",
      "message": "Test commit",
      "author": {"name": "Test", "email": "test@example.com"}
    }]
  }"#;

        let headers = [
            ("Content-Type", "application/json"),
            ("X-Gitlab-Token", self.secret.as_str()),
            ("X-Gitlab-Event", "Push Hook"),
            ("Idempotency-Key", "f5e5f430-f57b-4e6e-9fac-d9128cd7232f"),
        ];
        send(self.server.port, "POST", "/api/v1/webhooks/gitlab", &headers, body).expect("an answer")
    }

    fn get(&self, path: &str) -> Value {
        let headers = [("Authorization", &*format!("Bearer {}", self.token))];
        send(self.server.port, "GET", path, &headers, b"")
            .expect("an answer")
            .json()
    }

    fn metrics(&self) -> String {
        send(self.server.port, "GET", "/metrics", &[], b"")
            .expect("an answer")
            .body
    }
}

pub(crate) fn secrets_are_printed_only_to_a_terminal(engine: Engine) {
    let FirstStart { mut server, secret, .. } = FirstStart::new(&engine);
    assert!(!server.output().contains(&secret), "{}", server.output());

    // A second start keeps the generated files and does not print the secrets again.
    server.kill();
    server.restart();
    assert!(!server.output().contains(&secret), "{}", server.output());
}

pub(crate) fn the_first_start_accepts_a_push_and_detects_its_duplicate(engine: Engine) {
    let start = FirstStart::new(&engine);
    let first = start.push().checked(200).json();
    let second = start.push().checked(200).json();

    check_shows(&first, &json!({ "status": "accepted" }));
    check_shows(&second, &json!({ "status": "duplicate", "job_id": first["job_id"] }));

    let metrics = start.metrics();
    for line in [
        r#"gitlab_webhook_requests_total{event="Push Hook",status="success"} 1"#,
        r#"gitlab_webhook_requests_total{event="Push Hook",status="duplicate"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

pub(crate) fn a_commit_without_a_project_is_counted_on_the_day_of_its_receipt(engine: Engine) {
    let start = FirstStart::new(&engine);
    start.push().checked(200);
    eventually("the commit is counted", || {
        start.get("/api/v1/insights/commits")["commits"] == 1
    });

    let insights = start.get("/api/v1/insights/commits?author=test@example.com&zone=Europe/Bratislava");
    assert_eq!(insights["commits"], 1, "{insights}");
    assert_eq!(insights["authors"][0]["name"], "Test", "{insights}");
}

pub(crate) fn every_prometheus_metric_has_a_help_line(engine: Engine) {
    let start = FirstStart::new(&engine);
    start.push().checked(200);
    start.push().checked(200);
    eventually("the commit is counted", || {
        start.get("/api/v1/insights/commits")["commits"] == 1
    });

    let metrics = start.metrics();
    for line in metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().unwrap_or_default();
        assert!(metrics.contains(&format!("# HELP {name} ")), "{name} has a HELP line");
    }
}

pub(crate) fn health_and_readiness_can_be_asked_with_head(engine: Engine) {
    let start = FirstStart::new(&engine);
    for path in ["/api/v1/health", "/api/v1/ready"] {
        let reply = send(start.server.port, "HEAD", path, &[], b"").expect("an answer");
        assert_eq!(reply.status, 200, "{path}");
    }
}

const SIGNING: &str = "whsec_c2lnbmluZy1rZXktb2YtdGhpcnR5LXR3by1ieXRlcyE=";
const PUSH: &[u8] = br#"{"object_kind":"push"}"#;

/// A server with a signing token. The times of requests are in seconds from now.
struct Signed {
    server: Server,
    token: SigningToken,
    now: i64,
}

impl Signed {
    fn start(engine: &Engine) -> Self {
        Self {
            server: Server::start(engine, &[("GITLAB_WEBHOOK_SIGNING_TOKEN", SIGNING)]),
            token: SigningToken::parse(SIGNING).expect("a token"),
            now: jiff::Timestamp::now().as_second(),
        }
    }

    /// Sends the body with the signature of a push, which was signed at another time perhaps.
    fn post(&self, id: &str, at: i64, signed_at: i64, body: &[u8]) -> Reply {
        let at = (self.now + at).to_string();
        let signed_at = Timestamp::from_seconds(self.now + signed_at);
        let signature = self.token.sign(id, signed_at, PUSH);

        let headers = [
            ("webhook-id", id),
            ("webhook-timestamp", at.as_str()),
            ("webhook-signature", signature.as_str()),
        ];
        send(self.server.port, "POST", "/api/v1/webhooks/gitlab", &headers, body).expect("an answer")
    }

    fn check_refusal(&self, at: i64, signed_at: i64, body: &[u8], reason: &str) {
        assert_eq!(self.post("b", at, signed_at, body).status, 401, "{reason}");
    }

    fn check_duplicate(&self, id: &str) {
        assert_eq!(self.post(id, 0, 0, PUSH).json()["status"], "accepted", "{id}");
        assert_eq!(self.post(id, 0, 0, PUSH).json()["status"], "duplicate", "{id}");
    }
}

pub(crate) fn a_signed_request_is_accepted_once(engine: Engine) {
    let signed = Signed::start(&engine);
    signed.check_duplicate("a");

    // Long keys detect duplicates too.
    signed.check_duplicate(&"k".repeat(300));
}

pub(crate) fn signatures_are_verified_and_must_be_recent(engine: Engine) {
    let signed = Signed::start(&engine);
    signed.check_refusal(0, 0, b"{}", "the body differs");
    signed.check_refusal(0, -1, PUSH, "the signed time differs");
    signed.check_refusal(-3600, -3600, PUSH, "an hour old");
    signed.check_refusal(3600, 3600, PUSH, "an hour ahead");
}

pub(crate) fn a_stop_is_quick_and_loses_nothing(engine: Engine) {
    let sink = Sink::start(|_| Some(200));
    let mut server = Server::start(&engine, &[]);
    server.make_project();
    server.make_hook(&sink.url(), "");

    for number in 0..50 {
        server.report(number).expect("accepted");
    }

    let started = Instant::now();
    assert_eq!(server.terminate(), Some(0), "{}", server.output());
    assert!(started.elapsed() < Duration::from_secs(25));
    server.restart();

    let key = |got: Got| got.headers.get("Idempotency-Key").cloned();
    eventually("all events are delivered", || {
        let keys: HashSet<String> = sink.got().into_iter().filter_map(key).collect();
        keys.len() == 50
    });
}

/// A project with a hook for pushes to `main`.
struct Reported {
    server: Server,
    sink: Sink,
    hook: Value,
}

impl Reported {
    fn start(engine: &Engine) -> Self {
        let sink = Sink::start(|_| Some(200));
        let server = Server::start(engine, &[]);
        server.make_project();

        let hook = server.make_hook(&sink.url(), r#","token":"s3cret","push_events_branch_filter":"main""#);

        Self { server, sink, hook }
    }

    /// Reports a push and returns the id of the event.
    fn push(&self, branch: &str) -> String {
        let object = json!({ "before": "a".repeat(40), "after": "b".repeat(40), "ref": format!("refs/heads/{branch}"), "commits": [] });
        let body = json!({ "trigger": "push_hooks", "user": { "id": 7, "name": "Ida" }, "object": object });
        let reply = self.server.call("POST", "/api/v1/projects/1/events", &body.to_string());

        reply.checked(202).json()["id"].as_str().expect("an id").to_owned()
    }

    /// Reports a push to `main` and returns the request that the receiver got.
    fn deliver(&self) -> Got {
        let event = self.push("main");
        eventually("the delivery is recorded", || {
            self.server.get(&format!("/api/v1/events/{event}"))["deliveries"][0]["state"] == "delivered"
        });

        let mut got = self.sink.got();
        assert_eq!(got.len(), 1);
        got.remove(0)
    }

    fn check_active(&self, project: &str, trigger: &str, expected: bool) {
        let path = format!("/api/v1/projects/{project}/active_hooks?trigger={trigger}");
        assert_eq!(self.server.get(&path)["active"], expected, "{trigger}");
    }
}

pub(crate) fn a_report_is_composed_and_delivered(engine: Engine) {
    let got = Reported::start(&engine).deliver();

    let body: Value = serde_json::from_slice(&got.body).expect("JSON");
    let expected = json!({ "user_name": "Ida", "project": { "path_with_namespace": "gear/rope" } });
    check_shows(&body, &expected);

    // The names have the case that GitLab uses.
    for name in [
        "X-Gitlab-Token",
        "X-Gitlab-Event",
        "X-Hub-Signature-256",
        "Idempotency-Key",
        "Webhook-Id",
    ] {
        assert!(got.headers.contains_key(name), "{name} in {:?}", got.headers);
    }
}

pub(crate) fn a_delivery_shows_its_attempts(engine: Engine) {
    let reported = Reported::start(&engine);
    let key = reported.deliver().headers["Idempotency-Key"].clone();

    let delivery = reported.server.get(&format!("/api/v1/deliveries/{key}"));
    let expected = json!({ "outcome": "delivered", "response_status": 200, "response_body": "ok" });
    check_shows(&delivery["history"][0], &expected);

    let hook = &reported.hook["id"];
    let attempts = reported.server.get(&format!("/api/v1/attempts?hook={hook}"));
    assert_eq!(attempts["items"].as_array().map(Vec::len), Some(1));
}

pub(crate) fn an_event_shows_the_hooks_whose_filter_skipped_it(engine: Engine) {
    let reported = Reported::start(&engine);
    reported.deliver();

    let skipped = reported.push("other");
    eventually("the skip is recorded", || {
        reported.server.get(&format!("/api/v1/events/{skipped}"))["skipped"][0]["reason"] == "branch_filter"
    });

    let newest = reported.server.get("/api/v1/events?limit=1")["items"][0]["id"].clone();
    assert_eq!(newest, skipped.as_str(), "the newest event comes first");
    assert_eq!(reported.sink.got().len(), 1);
}

pub(crate) fn active_hooks_are_found_by_trigger(engine: Engine) {
    let reported = Reported::start(&engine);
    let hook = &reported.hook;
    check_shows(
        hook,
        &json!({ "token_present": true, "branch_filter_strategy": "wildcard" }),
    );

    assert!(!hook.to_string().contains("s3cret"));

    reported.check_active("gear%2Frope", "push_hooks", true);
    reported.check_active("1", "issue_hooks", false);

    let path = format!("/api/v4/projects/1/hooks/{}", hook["id"]);
    reported.server.call("DELETE", &path, "").checked(204);
    reported.check_active("1", "push_hooks", false);
}

/// Runs `quickdraw emit` with a payload.
fn emit(server: &Server, payload: &[u8]) -> Output {
    let url = format!("http://127.0.0.1:{}", server.port);
    let mut child = server
        .command(&["emit", "push_hooks", "--project", "gear/rope", "--server", &url])
        .env("QUICKDRAW_TOKEN", TOKEN)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");

    let stdin = child.stdin.as_mut().expect("piped");
    stdin.write_all(payload).expect("it reads");
    child.wait_with_output().expect("it runs")
}

pub(crate) fn the_emit_command_reports_an_event(engine: Engine) {
    let Reported { server, sink, .. } = Reported::start(&engine);
    let emitted = emit(&server, br#"{"object_kind":"push","ref":"refs/heads/main"}"#);
    assert!(emitted.status.success());
    eventually("the emitted event is delivered", || sink.got().len() == 1);
}
