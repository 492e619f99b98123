//! The first start, reports, invalid input, signatures and the stop of the server.

use std::time::{Duration, Instant};

use quickdraw_domain::Timestamp;
use quickdraw_domain::signature::SigningToken;

use crate::http::{Sink, eventually, send};
use crate::server::{Engine, SECRET, Server, TOKEN};

pub(crate) fn the_first_start_accepts_a_push_and_detects_its_duplicate(engine: Engine) {
    let mut server = Server::new(&engine);
    server.restart();

    let kept = |name: &str| {
        let file = server.folder.path().join("quickdraw-data").join(name);
        std::fs::read_to_string(file)
            .expect("the file exists")
            .trim()
            .to_owned()
    };
    let (secret, token) = (kept("webhook-secret"), kept("root-token"));

    assert!(
        !server.output().contains(&secret),
        "the secret is printed only to a terminal: {}",
        server.output()
    );

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
        ("X-Gitlab-Token", secret.as_str()),
        ("X-Gitlab-Event", "Push Hook"),
        ("Idempotency-Key", "f5e5f430-f57b-4e6e-9fac-d9128cd7232f"),
    ];
    let post = || send(server.port, "POST", "/api/v1/webhooks/gitlab", &headers, body).expect("an answer");
    let first = post();

    assert_eq!(
        (first.status, first.json()["status"].as_str()),
        (200, Some("accepted")),
        "{}",
        first.body
    );

    let second = post();
    assert_eq!(
        (second.status, second.json()["status"].as_str()),
        (200, Some("duplicate")),
        "{}",
        second.body
    );

    assert_eq!(first.json()["job_id"], second.json()["job_id"]);

    let read = |path: &str| {
        let headers = [("Authorization", &*format!("Bearer {token}"))];
        send(server.port, "GET", path, &headers, b"").expect("an answer").json()
    };
    // The body has no project and no time. Its commit counts without a project, on the day of receipt.
    eventually("the commit is counted", || {
        read("/api/v1/insights/commits")["commits"] == 1
    });

    let insights = read("/api/v1/insights/commits?author=test@example.com&zone=Europe/Bratislava");
    assert_eq!(
        (&insights["commits"], &insights["authors"][0]["name"]),
        (&1.into(), &"Test".into()),
        "{insights}"
    );

    let metrics = send(server.port, "GET", "/metrics", &[], b"").expect("an answer").body;
    for line in [
        r#"gitlab_webhook_requests_total{event="Push Hook",status="success"} 1"#,
        r#"gitlab_webhook_requests_total{event="Push Hook",status="duplicate"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }

    for line in metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().unwrap_or_default();
        assert!(metrics.contains(&format!("# HELP {name} ")), "{name} has a HELP line");
    }

    for path in ["/api/v1/health", "/api/v1/ready"] {
        assert_eq!(
            send(server.port, "HEAD", path, &[], b"").expect("an answer").status,
            200
        );
    }

    // A second start keeps the generated files and does not print the secrets again.
    server.kill();
    server.restart();
    assert!(!server.output().contains(&secret), "{}", server.output());
}

pub(crate) fn invalid_input_is_refused_with_the_right_status(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let post = |headers: &[(&str, &str)], body: &[u8]| {
        send(server.port, "POST", "/api/v1/webhooks/gitlab", headers, body).expect("an answer")
    };
    let token = ("X-Gitlab-Token", SECRET);
    let refused = post(&[], b"{}");

    assert_eq!(
        (refused.status, refused.json()["detail"].as_str()),
        (401, Some("Invalid token"))
    );

    assert_eq!(post(&[("X-Gitlab-Token", "wrong")], b"{}").status, 401);
    assert_eq!(post(&[token, ("X-Hub-Signature-256", "sha256=00")], b"{}").status, 401);
    assert_eq!(post(&[token], b"{\"object_kind\":").status, 400);
    assert_eq!(post(&[token], b"").status, 400);

    assert_eq!(
        post(&[token], &[b"{\"a\":".as_slice(), &[b'['; 100_000]].concat()).status,
        400
    );

    assert_eq!(post(&[token, ("Content-Encoding", "gzip")], b"{}").status, 415);
    assert_eq!(post(&[token], &vec![b' '; 26 << 20]).status, 413);

    let unknown = post(
        &[token, ("X-Gitlab-Event", "Moon Hook")],
        br#"{"object_kind":"moon_landing"}"#,
    );
    assert_eq!(unknown.status, 200);

    let id = unknown.json()["job_id"].as_str().expect("an id").to_owned();
    let stored = server.get(&format!("/api/v1/events/{id}"));
    assert_eq!(
        (&stored["trigger"], &stored["payload"]["object_kind"]),
        (&"unknown".into(), &"moon_landing".into())
    );

    server.make_project();

    let hook = |body: &str| server.call("POST", "/api/v4/projects/1/hooks", body);
    let metadata = hook(r#"{"url":"http://169.254.169.254/"}"#);
    assert_eq!(metadata.status, 422);
    assert!(metadata.body.contains("rule metadata"), "{}", metadata.body);
    assert_eq!(hook("{}").json()["error"], "url is missing");
    assert_eq!(hook(r#"{"url":"ftp://example.com/"}"#).status, 422);

    assert_eq!(
        hook(r#"{"url":"https://example.com/","push_events":"perhaps"}"#).status,
        400
    );

    assert_eq!(
        hook(r#"{"url":"https://example.com/","signing_token":"short"}"#).status,
        422
    );

    assert_eq!(hook(r#"{"url":"https://example.com/","token":"a\r\nb"}"#).status, 422);
    assert_eq!(
        hook(r#"{"url":"https://example.com/","custom_headers":[]}"#).status,
        201
    );

    assert_eq!(server.call("GET", "/api/v4/projects/0/hooks", "").status, 404);
    assert_eq!(
        server.call("GET", "/api/v4/projects/1/hooks/99", "").json()["message"],
        "404 Not found"
    );

    assert_eq!(server.call("DELETE", "/api/v4/projects/1/hooks/99", "{}").status, 404);

    let anonymous = send(server.port, "GET", "/api/v4/projects", &[], b"").expect("an answer");
    assert_eq!(
        (anonymous.status, anonymous.json()["message"].as_str()),
        (401, Some("401 Unauthorized"))
    );

    let report = |body: &str| server.call("POST", "/api/v1/projects/1/events", body);
    assert_eq!(report(r#"{"trigger":"no_hooks","payload":{}}"#).status, 422);
    assert_eq!(report(r#"{"trigger":"push_hooks"}"#).status, 422);
    assert_eq!(report("nonsense").status, 400);
}

pub(crate) fn signatures_are_verified_and_must_be_recent(engine: Engine) {
    const SIGNING: &str = "whsec_c2lnbmluZy1rZXktb2YtdGhpcnR5LXR3by1ieXRlcyE=";

    let server = Server::start(&engine, &[("GITLAB_WEBHOOK_SIGNING_TOKEN", SIGNING)]);
    let signing = SigningToken::parse(SIGNING).expect("a token");
    let now = jiff::Timestamp::now().as_second();

    let post = |id: &str, at: i64, signed_at: i64, signed: &[u8], body: &[u8]| {
        let (at, signature) = (
            at.to_string(),
            signing.sign(id, Timestamp::from_seconds(signed_at), signed),
        );

        let headers = [
            ("webhook-id", id),
            ("webhook-timestamp", at.as_str()),
            ("webhook-signature", signature.as_str()),
        ];
        send(server.port, "POST", "/api/v1/webhooks/gitlab", &headers, body).expect("an answer")
    };

    let push = br#"{"object_kind":"push"}"#;
    assert_eq!(post("a", now, now, push, push).json()["status"], "accepted");
    assert_eq!(post("a", now, now, push, push).json()["status"], "duplicate");
    assert_eq!(post("b", now, now, push, b"{}").status, 401, "the body differs");

    assert_eq!(
        post("b", now, now - 1, push, push).status,
        401,
        "the signed time differs"
    );

    let stale = now - 3600;
    assert_eq!(post("b", stale, stale, push, push).status, 401, "an hour old");

    let early = now + 3600;
    assert_eq!(post("b", early, early, push, push).status, 401, "an hour ahead");

    let long = "k".repeat(300);
    assert_eq!(post(&long, now, now, push, push).json()["status"], "accepted");

    assert_eq!(
        post(&long, now, now, push, push).json()["status"],
        "duplicate",
        "long keys detect duplicates too"
    );
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

    eventually("all events are delivered", || {
        let keys: std::collections::HashSet<_> = sink
            .got()
            .into_iter()
            .filter_map(|got| got.headers.get("Idempotency-Key").cloned())
            .collect();

        keys.len() == 50
    });
}

pub(crate) fn a_report_is_composed_delivered_and_explained(engine: Engine) {
    let sink = Sink::start(|_| Some(200));
    let server = Server::start(&engine, &[]);
    server.make_project();

    let hook = server.make_hook(&sink.url(), r#","token":"s3cret","push_events_branch_filter":"main""#);
    assert_eq!(
        (&hook["token_present"], &hook["branch_filter_strategy"]),
        (&true.into(), &"wildcard".into())
    );

    assert!(!hook.to_string().contains("s3cret"));

    let active = server.get("/api/v1/projects/gear%2Frope/active_hooks?trigger=push_hooks");
    assert_eq!(active["active"], true);

    assert_eq!(
        server.get("/api/v1/projects/1/active_hooks?trigger=issue_hooks")["active"],
        false
    );

    let report = |branch: &str| {
        let object = format!(
            r#"{{"before":"{}","after":"{}","ref":"refs/heads/{branch}","commits":[]}}"#,
            "a".repeat(40),
            "b".repeat(40)
        );
        let body = format!(r#"{{"trigger":"push_hooks","user":{{"id":7,"name":"Ida"}},"object":{object}}}"#);
        let reply = server.call("POST", "/api/v1/projects/1/events", &body);
        assert_eq!(reply.status, 202, "{}", reply.body);

        reply.json()["id"].as_str().expect("an id").to_owned()
    };
    let (delivered, skipped) = (report("main"), report("other"));
    eventually("the delivery is recorded", || {
        server.get(&format!("/api/v1/events/{delivered}"))["deliveries"][0]["state"] == "delivered"
    });

    let got = sink.got();
    assert_eq!(got.len(), 1);

    let body: serde_json::Value = serde_json::from_slice(&got[0].body).expect("JSON");
    assert_eq!(
        (&body["user_name"], &body["project"]["path_with_namespace"]),
        (&"Ida".into(), &"gear/rope".into())
    );

    // The names have the case that GitLab uses.
    for name in [
        "X-Gitlab-Token",
        "X-Gitlab-Event",
        "X-Hub-Signature-256",
        "Idempotency-Key",
        "Webhook-Id",
    ] {
        assert!(got[0].headers.contains_key(name), "{name} in {:?}", got[0].headers);
    }

    eventually("the skip is recorded", || {
        server.get(&format!("/api/v1/events/{skipped}"))["skipped"][0]["reason"] == "branch_filter"
    });

    let delivery = got[0].headers["Idempotency-Key"].clone();
    let history = server.get(&format!("/api/v1/deliveries/{delivery}"));
    let attempt = &history["history"][0];
    assert_eq!(
        (&attempt["outcome"], &attempt["response_status"]),
        (&"delivered".into(), &200.into())
    );

    assert_eq!(attempt["response_body"], "ok");

    let attempts = server.get(&format!("/api/v1/attempts?hook_id={}", hook["id"]));
    assert_eq!(attempts["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(server.get("/api/v1/events?limit=1")["items"][0]["id"], skipped.as_str());

    let emitted = server
        .command(&[
            "emit",
            "push_hooks",
            "--project",
            "gear/rope",
            "--url",
            &format!("http://127.0.0.1:{}", server.port),
        ])
        .env("QUICKDRAW_TOKEN", TOKEN)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .and_then(|mut child| {
            std::io::Write::write_all(
                child.stdin.as_mut().expect("piped"),
                br#"{"object_kind":"push","ref":"refs/heads/main"}"#,
            )?;

            child.wait_with_output()
        })
        .expect("it runs");
    assert!(emitted.status.success());
    eventually("the emitted event is delivered", || sink.got().len() == 2);

    let id = hook["id"].to_string();
    assert_eq!(
        server
            .call("DELETE", &format!("/api/v4/projects/1/hooks/{id}"), "")
            .status,
        204
    );

    assert_eq!(
        server.get("/api/v1/projects/1/active_hooks?trigger=push_hooks")["active"],
        false
    );
}
