//! Administration: settings in force, status, the support bundle, and the traffic of sources.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::gitlab::SIGNING;
use crate::http::{Sink, check_parts, send};
use crate::server::{Engine, SECRET, Server, TOKEN};

fn setting(server: &Server, name: &str) -> Value {
    let all = server.get("/api/v1/settings");
    let items = all["items"].as_array().expect("a list");
    let found = items.iter().find(|setting| setting["name"] == name);
    found.expect("the setting is listed").clone()
}

pub(crate) fn settings_show_their_values_and_origins(engine: Engine) {
    let mut server = Server::new(&engine);
    server.set("QUICKDRAW_ROOT_TOKEN", TOKEN);
    let file = server.folder.path().join("quickdraw.toml");
    std::fs::write(&file, "[delivery]\ntimeout = \"7s\"\n").expect("written");
    server.restart();

    check_parts(
        &setting(&server, "delivery.timeout"),
        json!({ "value": "7s", "source": "file", "is_secret": false, "is_set": true }),
    );
    check_parts(
        &setting(&server, "guard.allow_local_networks"),
        json!({ "value": true, "source": "environment", "source_name": "QUICKDRAW_ALLOW_LOCAL_NETWORKS" }),
    );
    check_parts(
        &setting(&server, "source.rate_limit"),
        json!({ "source": "environment", "source_name": "QUICKDRAW__SOURCE__RATE_LIMIT" }),
    );
    check_parts(
        &setting(&server, "history.retention"),
        json!({ "source": "default", "source_name": null, "is_set": true }),
    );
}

pub(crate) fn a_secret_setting_shows_only_that_it_is_set(engine: Engine) {
    let server = Server::start(&engine, &[]);
    for name in ["server.root_token", "source.secret"] {
        check_parts(
            &setting(&server, name),
            json!({ "value": null, "is_secret": true, "is_set": true, "source": "environment" }),
        );
    }

    check_parts(
        &setting(&server, "source.signing_token"),
        json!({ "value": null, "is_secret": true, "is_set": false, "source": "default" }),
    );

    let all = server.call("GET", "/api/v1/settings", "").body;
    assert!(!all.contains(TOKEN) && !all.contains(SECRET));
}

pub(crate) fn the_status_shows_database_queues_nodes_and_keys(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let status = server.get("/api/v1/status");
    let is_sqlite = matches!(engine, Engine::Sqlite);
    let name = if is_sqlite { "sqlite " } else { "postgres " };
    assert!(status["database"]["engine"].as_str().expect("a name").starts_with(name));
    assert!(
        status["database"]["bytes"].as_u64().is_some_and(|bytes| bytes > 0),
        "{status}"
    );
    assert_eq!(status["database"]["is_healthy"], true);

    let queues = status["queues"].as_array().expect("a list");
    let workers: Vec<&str> = queues.iter().filter_map(|queue| queue["worker"].as_str()).collect();
    assert_eq!(workers, ["fan_out", "claim", "projection"]);
    assert!(queues.iter().all(|queue| queue["depth"] == 0), "{status}");

    assert_eq!(status["nodes"][0]["is_this_node"], true);
    assert_eq!(status["nodes"][0]["clock_ahead_ms"].is_null(), is_sqlite);
    assert_eq!(status["disk"]["free_bytes"].is_null(), !is_sqlite);
    check_parts(&status["keys"][0], json!({ "is_known": true, "seals": true }));
}

pub(crate) fn the_status_counts_refusals_of_the_guard(engine: Engine) {
    // The rule is on after the webhook was created, so that only a delivery is refused.
    let mut server = Server::start(&engine, &[]);
    server.make_project();
    let hook = server.make_hook(&Sink::start(|_| Some(200)).url(), "");
    server.terminate();
    server.set("QUICKDRAW_ALLOW_LOCAL_NETWORKS", "false");
    server.restart();

    let test = format!("/api/v4/projects/1/hooks/{}/test/push_events", hook["id"]);
    server.call("POST", &test, "");
    let refusals = server.get("/api/v1/status")["guard_refusals"].clone();
    assert_eq!(refusals, json!([{ "rule": "loopback", "count": 1 }]));
}

/// Unpacks an archive, and returns the names and the content of its files as text.
fn unpack(server: &Server) -> (Vec<String>, String) {
    let head = format!("GET /api/v1/support_bundle HTTP/1.0\r\nHost: x\r\nPRIVATE-TOKEN: {TOKEN}\r\n\r\n");
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", server.port)).expect("a connection");
    stream.write_all(head.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");

    let end = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .expect("a head");
    let tar = |arguments: &[&str]| {
        let mut tar = Command::new("tar");
        tar.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut tar = tar.spawn().expect("tar runs");
        tar.stdin
            .take()
            .expect("a pipe")
            .write_all(&answer[end + 4..])
            .expect("written");
        let output = tar.wait_with_output().expect("it ends");
        assert!(output.status.success());
        String::from_utf8_lossy(&output.stdout).into_owned()
    };

    let names = tar(&["-tz"]).lines().map(str::to_owned).collect();
    (names, tar(&["-xzO"]))
}

pub(crate) fn the_support_bundle_describes_the_server_without_secrets(engine: Engine) {
    let server = Server::start(&engine, &[("QUICKDRAW__SOURCE__SIGNING_TOKEN", SIGNING)]);
    server.make_project();
    let secrets = r#","token":"canary-token","custom_headers":{"X-K":"canary-header"},"name":"canary-name""#;
    server.make_hook("https://user:canary-password@example.com/canary-path", secrets);
    server.create("/api/v1/inspectors", &json!({ "secret": "canary-inspector" }));
    server.receive(
        "Push Hook",
        "canary-key",
        &json!({ "object_kind": "push", "ref": "canary-ref" }),
    );

    let (names, text) = unpack(&server);
    let expected = [
        "README.txt",
        "settings.json",
        "status.json",
        "workers.json",
        "hooks.json",
        "metrics.txt",
        "log.txt",
    ];
    assert_eq!(names, expected.map(|name| format!("quickdraw-support/{name}")));

    for part in [
        "delivery.timeout",
        "schema_version",
        "fan_out",
        "quickdraw_events_total",
        "push_hooks",
    ] {
        assert!(text.contains(part), "{part} is in the bundle");
    }

    for secret in ["canary", TOKEN, SECRET, &SIGNING[6..20]] {
        assert!(!text.contains(secret), "{secret} is in the bundle");
    }
}

/// Posts to the default source.
fn post(server: &Server, token: &str, headers: &[(&str, &str)], body: &[u8]) -> u16 {
    let headers: Vec<_> = [("X-Gitlab-Token", token)]
        .into_iter()
        .chain(headers.iter().copied())
        .collect();
    let path = "/api/v1/webhooks/gitlab";
    send(server.port, "POST", path, &headers, body)
        .expect("an answer")
        .status
}

pub(crate) fn every_refusal_of_the_default_source_is_listed_with_its_reason(engine: Engine) {
    let settings = [
        ("QUICKDRAW__SOURCE__BODY_LIMIT", "1KiB"),
        ("QUICKDRAW__SOURCE__RATE_LIMIT", "1/min"),
    ];
    let server = Server::start(&engine, &settings);
    let twice = [("X-Gitlab-Event", "Push Hook"), ("X-Gitlab-Event", "Tag Push Hook")];
    let packed = [("Content-Encoding", "gzip")];

    assert_eq!(post(&server, SECRET, &[], &[b'x'; 2000]), 413);
    assert_eq!(post(&server, SECRET, &packed, b"{}"), 415);
    assert_eq!(post(&server, SECRET, &twice, b"{}"), 400);
    assert_eq!(post(&server, SECRET, &[], b"{"), 400);
    assert_eq!(post(&server, "wrong", &[], b"{}"), 401);
    assert_eq!(post(&server, "wrong", &[], b"{}"), 429);

    let list = server.get("/api/v1/sources/default/requests");
    let items = list["items"].as_array().expect("a list");
    let found: Vec<(u64, &str)> = items
        .iter()
        .map(|one| {
            (
                one["status"].as_u64().expect("a number"),
                one["note"].as_str().expect("a reason"),
            )
        })
        .collect();

    assert_eq!(
        found[0],
        (429, "too many requests without a valid credential from this address")
    );
    assert_eq!(found[1], (401, "wrong token"));
    assert_eq!(found[2].0, 400);
    assert_eq!(
        found[3],
        (400, "the header x-gitlab-event is present twice with different values")
    );
    assert_eq!(found[4].0, 415);
    assert_eq!(found[5], (413, "the body is too large"));
}

pub(crate) fn a_source_shows_its_requests_of_the_last_hour(engine: Engine) {
    let mut server = Server::start(&engine, &[]);
    let last_request = |server: &Server| server.get("/api/v1/sources/default")["last_request_at"].clone();
    assert_eq!(last_request(&server), Value::Null);

    let push = json!({ "object_kind": "push" });
    server.receive("Push Hook", "one", &push);
    server.receive("Push Hook", "one", &push);
    assert_eq!(post(&server, "wrong", &[], b"{}"), 401);

    let expected = json!({ "requests": 3, "per_minute": 0.05, "accepted": 1, "duplicates": 1, "refused": 1 });
    let shown = |server: &Server| server.get("/api/v1/sources")["items"][0]["last_hour"].clone();
    assert_eq!(shown(&server), expected);

    let newest = server.get("/api/v1/sources/default/requests")["items"][0]["at"].clone();
    assert_eq!(last_request(&server), newest);

    server.terminate();
    server.restart();
    assert_eq!(shown(&server), expected, "the counts are stored");
    assert_eq!(last_request(&server), newest);
    assert_eq!(server.get("/api/v1/sources/default")["last_hour"], expected);
}
