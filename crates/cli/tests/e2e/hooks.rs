//! Hooks of all levels in the REST API: stored and shown attributes, secrets, and requests.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::answers::{check_shows, items};
use crate::http::{Got, Reply, Sink, eventually, send};
use crate::server::{Engine, Server, TOKEN};

const COLLECTIONS: [&str; 3] = [
    "/api/v4/projects/gear%2Frope/hooks",
    "/api/v4/groups/gear/hooks",
    "/api/v4/hooks",
];

/// A hook with secrets, at one of the levels.
struct Stored<'a> {
    server: &'a Server,
    collection: &'a str,

    /// The answer to its creation.
    made: Value,
    path: String,
}

impl<'a> Stored<'a> {
    fn make(server: &'a Server, collection: &'a str) -> Self {
        let made = server.call(
            "POST",
            collection,
            r#"{"url":"https://user:pass@example.com/{part}","url_variables":[{"key":"part","value":"canary-part"}],
                "custom_headers":[{"key":"X-Api.Key","value":"canary-header"}],"token":"canary-token","name":"n"}"#,
        );

        let made = made.checked(201).json();
        let path = format!("{collection}/{}", made["id"]);

        Self {
            server,
            collection,
            made,
            path,
        }
    }

    fn get(&self) -> Value {
        self.server.get(&self.path)
    }

    fn call(&self, method: &str, below: &str, body: &str) -> Reply {
        self.server.call(method, &format!("{}{below}", self.path), body)
    }
}

/// Runs a check for a hook of each level, on one server.
fn for_each_level(engine: &Engine, check: fn(&Stored<'_>)) {
    let server = Server::start(engine, &[]);
    server.make_project();

    for collection in COLLECTIONS {
        check(&Stored::make(&server, collection));
    }

    assert!(!server.output().contains("canary"), "{}", server.output());
}

pub(crate) fn hooks_of_all_levels_show_their_attributes_without_secrets(engine: Engine) {
    for_each_level(&engine, |hook| {
        let expected = json!({
            "url": "https://*****:*****@example.com/{part}",
            "custom_headers": [{ "key": "X-Api.Key" }],
            "url_variables": [{ "key": "part" }],
            "token_present": true,
            "alert_status": "executable",
            // The default depends on the level.
            "push_events": hook.collection != "/api/v4/hooks",
        });
        check_shows(&hook.made, &expected);

        let all = hook.server.get(hook.collection);
        assert_eq!(items(&all).len(), 1);
        assert!(!all.to_string().contains("canary"), "a secret is shown");
    });
}

pub(crate) fn confidential_note_events_are_null_until_they_are_set(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let hook = Stored::make(&server, COLLECTIONS[0]);
    assert!(hook.made["confidential_note_events"].is_null());

    let put = |body: Value| hook.call("PUT", "", &body.to_string()).json();
    assert!(put(json!({ "name": "o" }))["confidential_note_events"].is_null());

    for on in [false, true] {
        let set = put(json!({ "confidential_note_events": on }));
        assert_eq!(set["confidential_note_events"], on);
        assert_eq!(hook.get(), set);
    }
}

/// python-gitlab's `save()` sends the list of headers and the URL as the API shows them.
pub(crate) fn a_hook_can_be_saved_as_it_is_shown(engine: Engine) {
    for_each_level(&engine, |hook| {
        let read = hook.get();
        let save =
            json!({ "url": read["url"], "custom_headers": read["custom_headers"], "token": "*****", "name": "m" });
        let saved = hook.call("PUT", "", &save.to_string()).checked(200).json();

        let expected = json!({
            "token_present": read["token_present"],
            "name": "m",
            "custom_headers": [{ "key": "X-Api.Key" }],
        });
        check_shows(&saved, &expected);
    });
}

pub(crate) fn single_headers_can_be_added_and_removed(engine: Engine) {
    for_each_level(&engine, |hook| {
        let header = "/custom_headers/X-More";
        hook.call("PUT", header, r#"{"value":"v"}"#).checked(204);
        assert_eq!(items(&hook.get()["custom_headers"]).len(), 2);
        hook.call("DELETE", header, "{}").checked(204);

        let gone = hook.call("DELETE", header, "{}").checked(404);
        assert_eq!(gone.json()["message"], "404 Custom header Not Found");
    });
}

pub(crate) fn an_update_that_cannot_be_applied_is_refused(engine: Engine) {
    for_each_level(&engine, |hook| {
        let needed = hook.call("DELETE", "/url_variables/part", "{}").checked(422);
        assert_eq!(needed.json()["error"], "Could not unset variable");

        let empty = hook.call("PUT", "", "{}");
        assert_eq!(empty.json()["error"], "No parameters provided");
    });
}

pub(crate) fn a_new_url_removes_the_secrets_of_the_old_url(engine: Engine) {
    for_each_level(&engine, |hook| {
        let moved = hook.call("PUT", "", r#"{"url":"https://elsewhere.example/"}"#);
        check_shows(&moved.json(), &json!({ "token_present": false, "custom_headers": [] }));
    });
}

pub(crate) fn a_hook_is_deleted_unless_it_was_changed_since(engine: Engine) {
    for_each_level(&engine, |hook| {
        let old = [
            ("PRIVATE-TOKEN", TOKEN),
            ("If-Unmodified-Since", "Sat, 01 Jan 2022 00:00:00 GMT"),
        ];
        let changed = send(hook.server.port, "DELETE", &hook.path, &old, b"").expect("an answer");
        changed.checked(412);

        hook.call("DELETE", "", "{}").checked(204);
        hook.call("GET", "", "").checked(404);
    });
}

fn post_form(server: &Server, path: &str, body: &str) -> Reply {
    let headers = [
        ("PRIVATE-TOKEN", TOKEN),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    send(server.port, "POST", path, &headers, body.as_bytes()).expect("an answer")
}

pub(crate) fn parameters_can_be_a_form_or_a_query(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let both = json!([{ "key": "X-A" }, { "key": "X-B" }]);

    // The encoding of the Rust crate `gitlab`.
    let of_crate = post_form(
        &server,
        "/api/v4/projects/1/hooks",
        "url=https%3A%2F%2Fexample.com%2F&push_events=false&issues_events=true&custom_headers%5BX-A%5D=1&custom_headers%5BX-B%5D=2",
    );

    let expected = json!({ "custom_headers": both, "push_events": false, "issues_events": true });
    check_shows(&of_crate.checked(201).json(), &expected);

    let list = post_form(
        &server,
        "/api/v4/projects/1/hooks",
        "url=https://example.com/&custom_headers[][key]=X-A&custom_headers[][value]=1&custom_headers[][key]=X-B&custom_headers[][value]=2",
    );
    assert_eq!(list.checked(201).json()["custom_headers"], both);

    // GitLab's example for system hooks has all parameters in the query.
    let query = server.call("POST", "/api/v4/hooks?url=https://example.com/&push_events=true", "");
    assert_eq!(query.checked(201).json()["push_events"], true);
}

/// A hook of a group with a URL variable, a header and a template, and the request that its receiver got.
struct Delivered {
    server: Server,
    sink: Sink,
    url: String,
    path: String,
    got: Got,
}

impl Delivered {
    fn new(engine: &Engine) -> Self {
        let sink = Sink::start(|_| Some(200));
        let server = Server::start(engine, &[]);
        server.make_project();

        let url = format!("http://127.0.0.1:{}/{{where}}", sink.port);
        let body = json!({
            "url": url,
            "url_variables": [{ "key": "where", "value": "in" }],
            "custom_headers": [{ "key": "X-Team", "value": "rope" }],
            "custom_webhook_template": r#"{"branch":"{{ref}}","number":{{number}}}"#,
        });
        let made = server.call("POST", "/api/v4/groups/gear/hooks", &body.to_string());
        let path = format!("/api/v4/groups/gear/hooks/{}", made.checked(201).json()["id"]);

        server.report(7).expect("accepted");
        eventually("the delivery arrives", || !sink.got().is_empty());

        let got = sink.got().remove(0);

        Self {
            server,
            sink,
            url,
            path,
            got,
        }
    }

    /// The log of the hook, which has an entry.
    fn log(&self) -> Value {
        let log = || self.server.get(&format!("{}/events", self.path));
        eventually("the attempt is recorded", || {
            log().as_array().is_some_and(|log| !log.is_empty())
        });

        log()
    }
}

pub(crate) fn headers_variables_and_templates_reach_the_receiver(engine: Engine) {
    let got = Delivered::new(&engine).got;
    assert_eq!(got.body, br#"{"branch":"refs/heads/main","number":7}"#);
    assert_eq!(got.headers.get("X-Team").map(String::as_str), Some("rope"));
    assert_eq!(got.headers.get("X-Gitlab-Event").map(String::as_str), Some("Push Hook"));
}

pub(crate) fn the_log_shows_a_request_as_sent_after_the_hook_was_changed(engine: Engine) {
    let delivered = Delivered::new(&engine);
    let change = json!({
        "url": format!("http://127.0.0.1:{}/elsewhere", delivered.sink.port),
        "custom_headers": [{ "key": "X-New", "value": "canary-new" }],
        "custom_webhook_template": "{}", "token": "canary-token",
    });
    let changed = delivered.server.call("PUT", &delivered.path, &change.to_string());
    changed.checked(200);

    let log = delivered.log();
    let expected = json!({
        "url": delivered.url,
        "request_data": { "branch": "refs/heads/main", "number": 7 },
        "request_headers": { "X-Team": "[REDACTED]", "X-New": null, "X-Gitlab-Token": null },
    });
    check_shows(&log[0], &expected);
    assert_eq!(log[0]["request_data"], expected["request_data"]);
    assert!(!log.to_string().contains("canary"), "{log}");
}

pub(crate) fn the_phases_of_an_attempt_are_measured(engine: Engine) {
    let delivered = Delivered::new(&engine);
    delivered.log();

    let key = &delivered.got.headers["Idempotency-Key"];
    let delivery = delivered.server.get(&format!("/api/v1/deliveries/{key}"));
    let attempt = &delivery["history"][0];
    let phases = &attempt["phases"];

    let names = ["resolve_us", "connect_us", "tls_us", "wait_us", "read_us"];
    let spent: i64 = names.iter().filter_map(|name| phases[name].as_i64()).sum();
    let whole = attempt["duration_us"].as_i64().unwrap_or_default();
    assert!(spent > 0 && spent <= whole, "{attempt}");

    assert!(phases["wait_us"].is_i64(), "{attempt}");
    assert!(
        phases["tls_us"].is_null() && attempt["tls_version"].is_null(),
        "{attempt}"
    );
}

fn post_hook(server: &Server, attributes: Value) -> Reply {
    let mut body = json!({ "url": "https://example.com/" });
    let attributes = attributes.as_object().expect("an object").clone();
    body.as_object_mut().expect("an object").extend(attributes);

    server.call("POST", "/api/v4/groups/gear/hooks", &body.to_string())
}

pub(crate) fn invalid_headers_are_refused(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    for (key, value) in [
        ("X-A\r\nX-B", "v"),
        ("X-A", "v\r\nX-B: 1"),
        ("X A", "v"),
        ("Host", "1"),
        ("X2Y", "v"),
        ("X-A", ""),
        ("X-A", " v"),
        ("Content-Type", "text/plain"),
        ("x-gitlab-event", "Mine"),
        ("Webhook-Id", "1"),
    ] {
        let attributes = json!({ "custom_headers": [{ "key": key, "value": value }] });
        assert_eq!(post_hook(&server, attributes).status, 422, "{key:?}: {value:?}");
    }

    let same = json!([{ "key": "X-A", "value": "1" }, { "key": "x-a", "value": "2" }]);
    let same = post_hook(&server, json!({ "custom_headers": same }));
    same.check_refusal(422, "X-A and x-a are the same header");
}

pub(crate) fn missing_variables_and_too_large_attributes_are_refused(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let header = |n: usize| json!({ "key": format!("X-{n}a"), "value": "v" });
    let many: Vec<Value> = (0..21).map(header).collect();

    for attributes in [
        json!({ "url": "https://example.com/{a}", "url_variables": [] }),
        json!({ "custom_webhook_template": "x".repeat(4097) }),
        json!({ "custom_headers": many }),
    ] {
        post_hook(&server, attributes).checked(422);
    }
}

pub(crate) fn a_group_has_at_most_fifty_hooks(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    for _ in 0..50 {
        post_hook(&server, json!({})).checked(201);
    }

    let over = post_hook(&server, json!({}));
    over.check_refusal(422, "Maximum number of group hooks (50)");
}

pub(crate) fn the_retry_policy_of_a_hook_overrides_the_settings(engine: Engine) {
    let tries = AtomicUsize::new(0);
    let sink = Sink::start(move |_| {
        let fails = tries.fetch_add(1, Ordering::Relaxed) < 2;
        Some(if fails { 503 } else { 200 })
    });

    let server = Server::start(&engine, &[("QUICKDRAW__DELIVERY__RETRY", "gitlab")]);
    server.make_project();

    let hook = server.make_hook(&sink.url(), r#","retry":["1s","1s"]"#);
    assert_eq!(hook["retry"], "1s,1s", "{hook}");

    let event = server.report(1).expect("accepted");
    eventually("the third attempt succeeds, although the settings allow one", || {
        server.get(&format!("/api/v1/events/{event}"))["deliveries"][0]["state"] == "delivered"
    });
    assert_eq!(sink.got().len(), 3);
}

pub(crate) fn the_retry_policy_of_a_hook_can_be_changed_and_removed(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let hook = server.make_hook("https://example.com/", r#","retry":["1s","1s"]"#);
    let path = format!("/api/v4/projects/1/hooks/{}", hook["id"]);
    let put = |body: &str| server.call("PUT", &path, body);

    put(r#"{"retry":"sometimes"}"#).check_refusal(422, "pauses such as 10s");
    assert_eq!(put(r#"{"retry":"patient"}"#).json()["retry"], "patient");

    // Other attributes do not change it.
    assert_eq!(put(r#"{"name":"n"}"#).json()["retry"], "patient");
    assert_eq!(put(r#"{"retry":null}"#).json()["retry"], Value::Null);
}
