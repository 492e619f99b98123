//! Sources and the relay: a received event reaches the hooks of its project, byte for byte.

use std::collections::{HashMap, HashSet};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use quickdraw_domain::scope::Scope;
use quickdraw_domain::signature::SigningToken;
use quickdraw_domain::{Timestamp, Trigger};
use serde_json::{Value, json};

use crate::http::{Reply, Sink, eventually, send};
use crate::server::{Engine, SECRET, Server};

const DEFAULT: &str = "/api/v1/webhooks/gitlab";
const GITLAB: &str = "https://gitlab.example.com";
const SIGNING: &str = "whsec_c2lnbmluZy1rZXktb2YtdGhpcnR5LXR3by1ieXRlcyE=";

fn post(server: &Server, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    send(server.port, "POST", path, headers, body).expect("an answer")
}

/// Posts an event as GitLab does.
fn gitlab(server: &Server, event: &str, key: &str, chain: &str, body: &[u8]) -> Reply {
    let headers = [
        ("X-Gitlab-Token", SECRET),
        ("X-Gitlab-Event", event),
        ("X-Gitlab-Instance", GITLAB),
        ("X-Gitlab-Event-UUID", chain),
        ("Idempotency-Key", key),
    ];
    post(server, DEFAULT, &headers, body)
}

fn path(source: &Value) -> String {
    format!("{DEFAULT}/{}", source["id"].as_str().expect("an id"))
}

pub(crate) fn each_source_has_its_own_secrets_mode_and_limits(engine: Engine) {
    let mut server = Server::start(&engine, &[]);
    let make = |server: &Server, body: Value| {
        let reply = server.call("POST", "/api/v1/sources", &body.to_string());
        assert_eq!(reply.status, 201, "{}", reply.body);
        reply.json()
    };

    let push = br#"{"object_kind":"push"}"#;
    let with = |server: &Server, at: &str, token: &str| {
        post(
            server,
            at,
            &[("X-Gitlab-Token", token), ("X-Gitlab-Event", "Push Hook")],
            push,
        )
        .status
    };

    let made = make(&server, json!({ "name": "ci" }));
    let secret = made["secret"].as_str().expect("shown once").to_owned();
    let at = path(&made);
    assert!(made["url"].as_str().is_some_and(|url| url.ends_with(&at)), "{made}");

    let shown = server.get(&format!("/api/v1/sources/{}", made["id"].as_str().expect("an id")));
    assert!(shown.get("secret").is_none() && shown["secrets"] == 1, "{shown}");

    assert_eq!(
        (with(&server, &at, &secret), with(&server, &at, SECRET)),
        (200, 401),
        "each source has its own secret"
    );

    assert_eq!(
        (with(&server, DEFAULT, SECRET), with(&server, DEFAULT, &secret)),
        (200, 401)
    );

    assert_eq!(
        with(&server, &format!("{DEFAULT}/no-such"), &secret),
        401,
        "an unknown source looks like a wrong token"
    );

    // A replaced secret stays valid for the overlap, or becomes invalid at once.
    let id = made["id"].as_str().expect("an id").to_owned();
    let replace = |server: &Server, body: &str| {
        server
            .call("POST", &format!("/api/v1/sources/{id}/secret"), body)
            .json()
    };
    let second = replace(&server, r#"{"secret":"second-secret","overlap":3600}"#);
    assert!(second.get("secret").is_none() && second["secrets"] == 2, "{second}");

    assert_eq!(
        (with(&server, &at, &secret), with(&server, &at, "second-secret")),
        (200, 200)
    );

    replace(&server, r#"{"secret":"third-secret","overlap":0}"#);

    let tried = ["third-secret", "second-secret", &secret].map(|secret| with(&server, &at, secret));
    assert_eq!(tried, [200, 401, 401]);

    let signed = make(&server, json!({ "mode": "signature", "secret": SIGNING, "window": 10 }));
    let now = jiff::Timestamp::now().as_second();

    let sign = |at: i64| {
        let signature = SigningToken::parse(SIGNING)
            .expect("a token")
            .sign("id", Timestamp::from_seconds(at), push);
        let time = at.to_string();

        let headers = [
            ("webhook-id", "id"),
            ("webhook-timestamp", &*time),
            ("webhook-signature", &*signature),
        ];
        post(&server, &path(&signed), &headers, push).status
    };
    assert_eq!((sign(now), sign(now - 60)), (200, 401), "the window is ten seconds");

    assert_eq!(
        with(&server, &path(&signed), SIGNING),
        401,
        "a signature never falls back to the token"
    );

    // Allowed addresses, and the rate limit.
    let elsewhere = make(
        &server,
        json!({ "secret": "elsewhere", "addresses": ["198.51.100.0/24", "2001:db8::/32"] }),
    );
    assert_eq!(with(&server, &path(&elsewhere), "elsewhere"), 403);

    let limited = make(&server, json!({ "secret": "limited-secret", "rate_limit": 3 }));
    let tried: Vec<u16> = (0..5)
        .map(|_| with(&server, &path(&limited), "limited-secret"))
        .collect();
    assert_eq!(tried, [200, 200, 200, 429, 429]);

    let headers = [("X-Gitlab-Token", "limited-secret"), ("X-Forwarded-For", "203.0.113.7")];
    let spoofed = post(&server, &path(&limited), &headers, push);
    assert_eq!(spoofed.status, 429, "X-Forwarded-For counts only from trusted proxies");

    assert!(
        spoofed
            .header("retry-after")
            .is_some_and(|seconds| seconds.parse::<u64>().is_ok_and(|s| (1..=60).contains(&s)))
    );

    assert_eq!(
        server.output().matches("with 429").count(),
        1,
        "one log line for all: {}",
        server.output()
    );

    let small = make(&server, json!({ "secret": "small-secret", "body_limit": 10 }));
    assert_eq!(with(&server, &path(&small), "small-secret"), 413);

    for (body, why) in [
        (json!({ "addresses": ["nonsense"] }), "neither an address nor a block"),
        (json!({ "rate_limit": 0 }), "rate_limit"),
        (json!({ "window": 0 }), "window"),
        (json!({ "secret": "short" }), "shorter than 8"),
        (json!({ "mode": "none" }), "mode"),
    ] {
        let reply = server.call("POST", "/api/v1/sources", &body.to_string());
        assert!(
            matches!(reply.status, 400 | 422) && reply.body.contains(why),
            "{body}: {} {}",
            reply.status,
            reply.body
        );
    }

    let refused = server.call("PUT", "/api/v1/sources/default", r#"{"name":"x"}"#);
    assert!(
        refused.status == 422 && refused.body.contains("settings"),
        "{}",
        refused.body
    );

    // The last requests with the reasons of refusals, also after a restart.
    let requests = |server: &Server, id: &str| -> Vec<(u64, String)> {
        let list = server.get(&format!("/api/v1/sources/{id}/requests"));
        let one = |one: &Value| {
            let note = one["note"].as_str().unwrap_or_default().to_owned();
            assert_eq!(one["address"], "127.0.0.1");
            (one["status"].as_u64().expect("a status"), note)
        };
        list["items"].as_array().expect("a list").iter().map(one).collect()
    };

    let limited_id = limited["id"].as_str().expect("an id").to_owned();
    let expected = |(status, note): (u64, &str)| (status, note.to_owned());
    let limit = "too many requests from this address";

    let all = [
        (429, limit),
        (429, limit),
        (429, limit),
        (200, ""),
        (200, ""),
        (200, ""),
    ]
    .map(expected);
    assert_eq!(requests(&server, &limited_id), all);
    assert_eq!(requests(&server, &id)[0], expected((401, "wrong token")));

    let signed_id = signed["id"].as_str().expect("an id").to_owned();
    let times: Vec<_> = requests(&server, &signed_id)
        .into_iter()
        .map(|(_, note)| note)
        .collect();

    assert!(
        times[0] == "no signature" && times[1].contains("webhook-timestamp"),
        "{times:?}"
    );

    assert_eq!(server.terminate(), Some(0), "{}", server.output());
    server.restart();
    assert_eq!(requests(&server, &limited_id), all, "the list is stored");

    assert_eq!(
        with(&server, &at, "third-secret"),
        200,
        "the sealed secret can be opened again"
    );

    // The same with `quickdraw source`.
    let run = |arguments: &[&str]| {
        let (url, words) = (
            format!("http://127.0.0.1:{}", server.port),
            [&["source"], arguments].concat(),
        );

        let done = server
            .command(&[&words[..], &["--url", &url, "--token", crate::server::TOKEN]].concat())
            .output();
        let done = done.expect("it runs");

        assert!(
            done.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        );

        String::from_utf8(done.stdout).expect("UTF-8")
    };

    let added = run(&[
        "add",
        "--name",
        "shell",
        "--mode",
        "token",
        "--rate-limit",
        "off",
        "--address",
        "127.0.0.0/8",
    ]);

    let secret = added
        .rsplit("secret, shown only once: ")
        .next()
        .expect("a secret")
        .trim()
        .to_owned();

    let shell = added.split(' ').next().expect("an id").to_owned();
    for _ in 0..120 {
        assert_eq!(with(&server, &format!("{DEFAULT}/{shell}"), &secret), 200);
    }

    assert_eq!(
        run(&["requests", &shell]).lines().count(),
        100,
        "the list has the last 100 requests"
    );

    assert!(run(&["list"]).contains("shell"));
    run(&["change", &shell, "--mode", "both"]);
    assert_eq!(with(&server, &format!("{DEFAULT}/{shell}"), &secret), 401);
    assert!(run(&["secret", &shell, "--overlap", "0"]).contains("shown only once"));
    run(&["remove", &shell]);

    assert_eq!(server.call("DELETE", &format!("/api/v1/sources/{id}"), "").status, 204);
    assert_eq!(
        (with(&server, &at, "third-secret"), with(&server, DEFAULT, SECRET)),
        (401, 200)
    );

    let names: Vec<Value> = server.get("/api/v1/sources")["items"]
        .as_array()
        .expect("a list")
        .clone();

    assert_eq!((names.len(), &names[0]["id"]), (5, &json!("default")));
    assert!(!server.output().contains("third-secret"));
}

/// A push of project 77 of GitLab, which Quickdraw does not know yet.
fn push_of(number: u64) -> String {
    format!(
        r#"{{"object_kind": "push", "event_name":"push",  "ref":"refs/heads/main","number":{number},"user_username":"ida",
          "user_name":"Ida","project_id":77,"project":{{"id":77,"name":"Rope \u00e9","namespace":"Gear Ltd",
          "path_with_namespace":"gear/soft/rope","default_branch":"main","visibility_level":10}},"commits":[]}}"#
    )
}

pub(crate) fn a_received_event_reaches_the_hooks_of_its_project(engine: Engine) {
    let server = Server::start(&engine, &[("QUICKDRAW__SOURCE__INSTANCE", "any")]);
    let (on_project, on_group, on_instance) = (
        Sink::start(|_| Some(200)),
        Sink::start(|_| Some(200)),
        Sink::start(|_| Some(200)),
    );

    // The first event of a project creates it and the groups above it.
    assert_eq!(
        gitlab(&server, "Push Hook", "k1", "", push_of(1).as_bytes()).status,
        200
    );

    let project = server.get("/api/v4/projects/gear%2Fsoft%2Frope");
    assert_eq!(
        (&project["name"], &project["default_branch"]),
        (&json!("Rope é"), &json!("main")),
        "{project}"
    );

    assert_eq!(server.get("/api/v4/groups/gear%2Fsoft")["name"], "Gear Ltd");

    let hooks = |scope: &str, sink: &Sink| {
        let body = json!({ "url": sink.url(), "push_events": true, "other_events": true, "token": "ours", "signing_token": SIGNING });
        let reply = server.call("POST", &format!("/api/v4/{scope}hooks"), &body.to_string());
        assert_eq!(reply.status, 201, "{}", reply.body);
    };
    hooks("projects/gear%2Fsoft%2Frope/", &on_project);
    hooks("groups/gear/", &on_group);
    hooks("", &on_instance);

    // A name that a user has set is not overwritten by events.
    assert_eq!(
        server
            .call("PUT", "/api/v4/projects/gear%2Fsoft%2Frope", r#"{"name":"Ours"}"#)
            .status,
        200
    );

    let (chain, body) = ("0190a0b0-0000-4000-8000-00000000c4a1", push_of(2));
    assert_eq!(
        gitlab(&server, "Push Hook", "k2", chain, body.as_bytes()).json()["status"],
        "accepted"
    );

    for sink in [&on_project, &on_group, &on_instance] {
        eventually("the event is relayed", || sink.got().len() == 1);

        let got = &sink.got()[0];
        assert_eq!(got.body, body.as_bytes(), "byte for byte");

        let header = |name: &str| got.headers.get(name).map_or("", String::as_str);
        assert_eq!(
            header("X-Gitlab-Event"),
            "Push Hook",
            "the header is GitLab's, also for a system hook"
        );

        assert_eq!(
            (header("X-Gitlab-Instance"), header("X-Gitlab-Event-Uuid")),
            (GITLAB, chain)
        );

        assert_eq!(
            header("X-Gitlab-Token"),
            "ours",
            "the token is the hook's and not GitLab's"
        );

        assert!(header("Webhook-Signature").starts_with("v1,") && header("Idempotency-Key") != "k2");
    }

    assert_eq!(server.get("/api/v4/projects/gear%2Fsoft%2Frope")["name"], "Ours");

    // A duplicate by its key, and a copy through the webhook of the group.
    assert_eq!(
        gitlab(&server, "Push Hook", "k2", chain, body.as_bytes()).json()["status"],
        "duplicate"
    );

    let copy = gitlab(
        &server,
        "Push Hook",
        "k2-group",
        "0190a0b0-0000-4000-8000-00000000c4a2",
        body.as_bytes(),
    )
    .json();
    assert_eq!(copy["status"], "accepted");

    let copy = server.get(&format!("/api/v1/events/{}", copy["job_id"].as_str().expect("an id")));
    assert_eq!(
        (
            copy["deliveries"].as_array().map(Vec::len),
            copy["skipped"].as_array().map(Vec::len)
        ),
        (Some(0), Some(3))
    );

    assert!(
        copy["skipped"]
            .as_array()
            .expect("a list")
            .iter()
            .all(|skip| skip["reason"] == "duplicate"),
        "{copy}"
    );

    // An unknown kind is stored and relayed under the header with which it came.
    let odd = br#"{"object_kind":"moon_phase","project":{"id":77}}"#;
    assert_eq!(gitlab(&server, "Moon Hook", "k3", "", odd).status, 200);

    for sink in [&on_project, &on_group, &on_instance] {
        eventually("the unknown event is relayed", || sink.got().len() == 2);

        let got = sink.got().remove(1);
        assert_eq!(
            (&got.body[..], &*got.headers["X-Gitlab-Event"]),
            (&odd[..], "Moon Hook")
        );
    }

    // A project of another instance with the same path is another project.
    let other = push_of(3);
    let headers = [
        ("X-Gitlab-Token", SECRET),
        ("X-Gitlab-Event", "Push Hook"),
        ("X-Gitlab-Instance", "https://git.other.example"),
        ("Idempotency-Key", "k4"),
    ];
    assert_eq!(post(&server, DEFAULT, &headers, other.as_bytes()).status, 200);
    eventually("the system hook gets the event", || on_instance.got().len() == 3);

    assert_eq!(
        server.get("/api/v4/projects/git.other.example%2Fgear%2Fsoft%2Frope")["name"],
        "Rope é"
    );

    assert_eq!((on_project.got().len(), on_group.got().len()), (2, 2));
    eventually("the user of the event exists", || {
        server
            .get("/api/v4/users?username=ida")
            .as_array()
            .is_some_and(|users| users.len() == 1)
    });
}

pub(crate) fn a_filter_selects_events_and_can_be_tried_first(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let sink = Sink::start(|_| Some(200));

    let issue = |iid: u64, label: &str| {
        let project = r#"{"id":77,"name":"Rope","path_with_namespace":"gear/rope"}"#;
        let body = format!(
            r#"{{"object_kind":"issue","project":{project},"object_attributes":{{"iid":{iid}}},"labels":[{{"title":"{label}"}}]}}"#
        );
        let reply = gitlab(&server, "Issue Hook", &format!("issue-{iid}"), "", body.as_bytes());
        assert_eq!(reply.status, 200, "{}", reply.body);

        reply.json()["job_id"].as_str().expect("an id").to_owned()
    };
    issue(1, "bug");
    issue(2, "feature");

    let filter = json!({ "any": [{ "label": "bug" }, { "field": "object_attributes.iid", "over": 99 }] });
    let dry_run = |filter: &Value| {
        let body = json!({ "event_filter": filter, "project_id": "gear/rope", "trigger": "issue_hooks" }).to_string();
        server.call("POST", "/api/v1/event_filters/dry_run", &body)
    };
    let tried = dry_run(&filter).json();
    assert_eq!(
        (&tried["scanned"], &tried["passing"], &tried["complete"]),
        (&json!(2), &json!(1), &json!(true))
    );

    assert_eq!(tried["stopped"].as_array().map(Vec::len), Some(1), "{tried}");

    let wrong = dry_run(&json!({ "lable": "bug" }));
    assert!(
        wrong.status == 422 && wrong.body.contains("unknown field"),
        "{}",
        wrong.body
    );

    let path = "/api/v4/projects/gear%2Frope/hooks";
    let body = json!({ "url": sink.url(), "issues_events": true, "event_filter": filter }).to_string();
    let hook = server.call("POST", path, &body);

    assert_eq!(
        (hook.status, &hook.json()["event_filter"]),
        (201, &filter),
        "{}",
        hook.body
    );

    let stopped = issue(3, "feature");
    issue(4, "bug");
    issue(100, "feature");
    eventually("two events pass the filter", || sink.got().len() == 2);

    let skipped = server.get(&format!("/api/v1/events/{stopped}"))["skipped"].clone();
    assert_eq!(skipped[0]["reason"], "event_filter", "{skipped}");

    let one = format!("{path}/{}", hook.json()["id"]);
    let refused = server.call("PUT", &one, r#"{"event_filter":{"field":"a"}}"#);

    assert!(
        refused.status == 422 && refused.body.contains("needs a test"),
        "{}",
        refused.body
    );

    // Forms send the filter as text. Other changes keep it.
    let text = server
        .call("PUT", &one, r#"{"event_filter":"{\"actor\":\"ida\"}"}"#)
        .json();
    assert_eq!(text["event_filter"], json!({ "actor": "ida" }));

    assert_eq!(
        server.call("PUT", &one, r#"{"name":"x"}"#).json()["event_filter"],
        json!({ "actor": "ida" })
    );

    assert_eq!(
        server.call("PUT", &one, r#"{"event_filter":null}"#).json()["event_filter"],
        Value::Null
    );

    issue(5, "feature");
    eventually("the event passes without a filter", || sink.got().len() == 3);
}

/// The samples of this repository, and those of the documentation if they exist, each with its X-Gitlab-Event header.
fn samples() -> Vec<(Vec<u8>, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |file: &Path| std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));

    let own = [
        ("push_hooks", "Push Hook"),
        ("tag_push_hooks", "Tag Push Hook"),
        ("issue_hooks", "Issue Hook"),
        ("merge_request_hooks", "Merge Request Hook"),
        ("note_hooks", "Note Hook"),
        ("wiki_page_hooks", "Wiki Page Hook"),
        ("release_hooks", "Release Hook"),
    ];

    let mut samples: Vec<(Vec<u8>, String)> = own
        .into_iter()
        .map(|(name, header)| {
            (
                read(&root.join(format!("fixtures/gitlab/{name}/sample.json"))),
                header.to_owned(),
            )
        })
        .collect();

    let shared = root.join("../shared/payloads/gitlab-docs");
    if let Ok(index) = std::fs::read(shared.join("index.json")) {
        let index: Value = serde_json::from_slice(&index).expect("JSON");
        let files = ["files", "samples"]
            .into_iter()
            .find_map(|name| index[name].as_array())
            .expect("a list of files");

        for file in files {
            let name = file["file"].as_str().expect("a name");
            let header = file["x_gitlab_event"].as_str().unwrap_or("System Hook");
            samples.push((read(&shared.join(name)), header.to_owned()));
        }
    }

    samples
}

pub(crate) fn every_sample_is_relayed_once_and_unchanged(engine: Engine) {
    let server = Server::start(&engine, &[("QUICKDRAW__SOURCE__DEDUPLICATE", "false")]);
    let sink = Sink::start(|_| Some(200));

    // A system hook with all its triggers.
    let triggers = server.get("/api/v1/openapi.json")["components"]["schemas"]["HookTriggers"]["properties"].clone();
    let mut body = json!({ "url": sink.url() });

    for (name, about) in triggers.as_object().expect("triggers") {
        if about["description"]
            .as_str()
            .is_some_and(|levels| levels.contains("system"))
        {
            body[name] = json!(true);
        }
    }

    assert_eq!(server.call("POST", "/api/v4/hooks", &body.to_string()).status, 201);

    let samples = samples();
    let mut expected: HashMap<Vec<u8>, usize> = HashMap::new();

    for (number, (body, header)) in samples.iter().enumerate() {
        for status in ["accepted", "duplicate"] {
            let reply = gitlab(&server, header, &format!("sample-{number}"), "", body);
            assert_eq!(
                (reply.status, &reply.json()["status"]),
                (200, &json!(status)),
                "{header}: {}",
                reply.body
            );
        }

        let event = gitlab(&server, header, &format!("sample-{number}"), "", body).json()["job_id"].clone();
        let event = server.get(&format!("/api/v1/events/{}", event.as_str().expect("an id")));
        assert_ne!(
            event["trigger"], "unknown",
            "{header} of sample {number} is not recognised"
        );

        let deliveries = event["deliveries"].as_array().map_or(0, Vec::len);
        let trigger = Trigger::by_name(event["trigger"].as_str().unwrap_or_default()).expect("a trigger");
        let heard = usize::from(trigger.row().levels.contain(Scope::Instance));
        assert_eq!(
            deliveries, heard,
            "a system hook gets all its kinds, independent of their place: {event}"
        );

        *expected.entry(body.clone()).or_default() += deliveries;
    }

    let total: usize = expected.values().sum();
    eventually("all samples are relayed", || sink.got().len() >= total);

    let mut got: HashMap<Vec<u8>, usize> = HashMap::new();
    for one in sink.got() {
        *got.entry(one.body).or_default() += 1;
    }

    expected.retain(|_, count| *count > 0);
    assert_eq!(got, expected, "no byte of a body was changed");

    assert!(
        total * 4 >= samples.len(),
        "system hooks get {total} of {} kinds",
        samples.len()
    );
}

fn number(name: &str, usual: usize) -> usize {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(usual)
}

/// GitLab posts 500 events per second. Meanwhile two of five receivers are down, one hangs, one answers 429, and the
/// server is killed three times. `QUICKDRAW_RELAY_EVENTS=10000` makes a long run.
#[expect(clippy::print_stdout, reason = "the figures are the purpose of a long run")]
pub(crate) fn a_relay_loses_no_event_despite_kills_and_failing_receivers(engine: Engine) {
    let events = number("QUICKDRAW_RELAY_EVENTS", 1500);
    let settings = [
        (
            "QUICKDRAW__DELIVERY__RETRY",
            r#"["1s", "1s", "2s", "2s", "5s", "5s", "5s", "5s", "5s", "5s", "5s", "5s"]"#,
        ),
        ("QUICKDRAW__DELIVERY__TIMEOUT", "2s"),
        ("QUICKDRAW__DELIVERY__LEASE", "5s"),
        ("QUICKDRAW__DELIVERY__AUTO_DISABLE", "off"),
    ];
    let mut server = Server::start(&engine, &settings);
    assert_eq!(
        gitlab(&server, "Push Hook", "first", "", push_of(0).as_bytes()).status,
        200
    );

    let ill = Arc::new(AtomicBool::new(true));
    let answers: [(&str, Option<u16>); 5] = [
        ("well", Some(200)),
        ("down", Some(503)),
        ("down too", Some(502)),
        ("hangs", None),
        ("limits the rate", Some(429)),
    ];

    let sinks = answers.map(|(_, answer)| {
        let ill = ill.clone();
        Sink::start(move |_| if ill.load(Ordering::Relaxed) { answer } else { Some(200) })
    });

    for sink in &sinks {
        let body = json!({ "url": sink.url(), "push_events": true }).to_string();
        assert_eq!(
            server
                .call("POST", "/api/v4/projects/gear%2Fsoft%2Frope/hooks", &body)
                .status,
            201
        );
    }

    let (started, port, next) = (Instant::now(), server.port, AtomicUsize::new(1));
    let (acknowledged, unanswered) = (Mutex::new(HashSet::new()), AtomicUsize::new(0));

    let post_some = || {
        loop {
            let event = next.fetch_add(1, Ordering::Relaxed);
            if event > events {
                return;
            }

            // 500 events per second on average.
            std::thread::sleep(Duration::from_millis(event as u64 * 2).saturating_sub(started.elapsed()));
            // A sender waits until the server listens, so only events that a kill interrupts have no answer.
            eventually("the server listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());

            let key = format!("event-{event}");
            let headers = [
                ("X-Gitlab-Token", SECRET),
                ("X-Gitlab-Event", "Push Hook"),
                ("X-Gitlab-Instance", GITLAB),
                ("Idempotency-Key", key.as_str()),
            ];
            match send(port, "POST", DEFAULT, &headers, push_of(event as u64).as_bytes()) {
                Ok(reply) if reply.status == 200 => drop(acknowledged.lock().expect("no panic").insert(event as u64)),
                _ => drop(unanswered.fetch_add(1, Ordering::Relaxed)),
            }
        }
    };

    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(post_some);
        }

        for quarter in 1..=3 {
            eventually("the next quarter is sent", || {
                next.load(Ordering::Relaxed) >= events * quarter / 4
            });
            server.kill();
            server.restart();
        }
    });

    let (acknowledged, unanswered) = (
        acknowledged.into_inner().expect("no panic"),
        unanswered.load(Ordering::Relaxed),
    );

    let sent = started.elapsed();
    ill.store(false, Ordering::Relaxed);

    let has = |sink: &Sink| -> HashMap<u64, usize> {
        let mut has = HashMap::new();
        for got in sink.got() {
            let body: Value = serde_json::from_slice(&got.body).expect("JSON");
            *has.entry(body["number"].as_u64().expect("a number")).or_default() += 1;
        }

        has
    };

    for (sink, (name, _)) in sinks.iter().zip(answers) {
        let complete = || {
            let has = has(sink);
            acknowledged.iter().all(|event| has.contains_key(event))
        };

        let deadline = Instant::now() + Duration::from_secs(300);
        while !complete() {
            assert!(
                Instant::now() < deadline,
                "the receiver {name:?} has {} of {}",
                has(sink).len(),
                acknowledged.len()
            );

            std::thread::park_timeout(Duration::from_millis(200));
        }
    }

    eventually("no delivery is owed", || {
        let owed = |state: &str| {
            server.get(&format!("/api/v1/deliveries?state={state}"))["items"]
                .as_array()
                .map_or(1, Vec::len)
        };
        owed("waiting") + owed("retrying") == 0
    });

    let given_up = server.get("/api/v1/deliveries?state=given_up")["items"]
        .as_array()
        .map_or(0, Vec::len);
    println!(
        "relay: {} acknowledged of {events} in {sent:.1?}, {unanswered} without an answer, 3 kills, {given_up} failed for good; \
         all receivers have all events after {:.1?}",
        acknowledged.len(),
        started.elapsed()
    );

    for (sink, (name, _)) in sinks.iter().zip(answers) {
        let has = has(sink);
        println!(
            "  {name:<18} {:>6} events, {:>6} requests",
            has.len(),
            has.values().sum::<usize>()
        );
    }

    assert_eq!(given_up, 0);
    assert!(
        acknowledged.len() * 2 > events,
        "too few events were acknowledged for a meaningful run"
    );
}
