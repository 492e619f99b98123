//! Hooks of all levels in the REST API: stored and shown attributes, secrets, and requests.

use serde_json::{Value, json};

use crate::http::{Reply, Sink, eventually, send};
use crate::server::{Engine, Server, TOKEN};

const COLLECTIONS: [&str; 3] = [
    "/api/v4/projects/gear%2Frope/hooks",
    "/api/v4/groups/gear/hooks",
    "/api/v4/hooks",
];

pub(crate) fn hooks_of_all_levels_can_be_created_edited_and_deleted(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    for hooks in COLLECTIONS {
        let made = server.call(
            "POST",
            hooks,
            r#"{"url":"https://user:pass@example.com/{part}","url_variables":[{"key":"part","value":"canary-part"}],
                "custom_headers":[{"key":"X-Api.Key","value":"canary-header"}],"token":"canary-token","name":"n"}"#,
        );
        assert_eq!(made.status, 201, "{hooks}: {}", made.body);

        let hook = made.json();
        assert_eq!(hook["url"], "https://*****:*****@example.com/{part}");
        assert_eq!(hook["custom_headers"], json!([{ "key": "X-Api.Key" }]));
        assert_eq!(hook["url_variables"], json!([{ "key": "part" }]));

        assert_eq!(
            (&hook["token_present"], &hook["alert_status"]),
            (&json!(true), &json!("executable"))
        );

        assert_eq!(
            hook["push_events"],
            json!(hooks != "/api/v4/hooks"),
            "the default of {hooks}"
        );

        let one = format!("{hooks}/{}", hook["id"]);
        if hooks.contains("/projects/") {
            assert!(hook["confidential_note_events"].is_null(), "it is null until it is set");
            assert!(server.call("PUT", &one, r#"{"name":"o"}"#).json()["confidential_note_events"].is_null());

            for on in [false, true] {
                let set = server
                    .call("PUT", &one, &json!({ "confidential_note_events": on }).to_string())
                    .json();
                assert_eq!(
                    (&set["confidential_note_events"], &server.get(&one)),
                    (&json!(on), &set)
                );
            }
        }

        // python-gitlab's save() sends the list of headers and the URL as the API shows them.
        let read = server.get(&one);
        let save =
            json!({ "url": read["url"], "custom_headers": read["custom_headers"], "token": "*****", "name": "m" });
        let saved = server.call("PUT", &one, &save.to_string());
        assert_eq!(saved.json()["token_present"], read["token_present"], "{}", saved.body);

        assert_eq!(
            (saved.status, &saved.json()["name"]),
            (200, &json!("m")),
            "{}",
            saved.body
        );

        assert_eq!(saved.json()["custom_headers"], json!([{ "key": "X-Api.Key" }]));
        assert_eq!(
            server
                .call("PUT", &format!("{one}/custom_headers/X-More"), r#"{"value":"v"}"#)
                .status,
            204
        );

        assert_eq!(server.get(&one)["custom_headers"].as_array().map(Vec::len), Some(2));
        assert_eq!(
            server
                .call("DELETE", &format!("{one}/custom_headers/X-More"), "{}")
                .status,
            204
        );

        let gone = server.call("DELETE", &format!("{one}/custom_headers/X-More"), "{}");
        assert_eq!(
            (gone.status, &gone.json()["message"]),
            (404, &json!("404 Custom header Not Found"))
        );

        let needed = server.call("DELETE", &format!("{one}/url_variables/part"), "{}");
        assert_eq!(
            (needed.status, &needed.json()["error"]),
            (422, &json!("Could not unset variable"))
        );

        assert_eq!(server.call("PUT", &one, "{}").json()["error"], "No parameters provided");

        let moved = server
            .call("PUT", &one, r#"{"url":"https://elsewhere.example/"}"#)
            .json();
        assert_eq!(
            (&moved["token_present"], &moved["custom_headers"]),
            (&json!(false), &json!([]))
        );

        assert_eq!(server.get(hooks).as_array().map(Vec::len), Some(1));
        assert!(!server.get(hooks).to_string().contains("canary"), "a secret is shown");

        let old = [
            ("PRIVATE-TOKEN", TOKEN),
            ("If-Unmodified-Since", "Sat, 01 Jan 2022 00:00:00 GMT"),
        ];
        assert_eq!(
            send(server.port, "DELETE", &one, &old, b"").expect("an answer").status,
            412
        );

        assert_eq!(server.call("DELETE", &one, "{}").status, 204);
        assert_eq!(server.call("GET", &one, "").status, 404);
    }

    assert!(!server.output().contains("canary"), "{}", server.output());
}

pub(crate) fn parameters_can_be_json_a_form_or_a_query(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let form = |path: &str, body: &str| -> Reply {
        let headers = [
            ("PRIVATE-TOKEN", TOKEN),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ];
        send(server.port, "POST", path, &headers, body.as_bytes()).expect("an answer")
    };

    let keys = |reply: &Reply| -> Value { reply.json()["custom_headers"].clone() };
    let both = json!([{ "key": "X-A" }, { "key": "X-B" }]);

    // The encoding of the Rust crate `gitlab`.
    let crate_form = form(
        "/api/v4/projects/1/hooks",
        "url=https%3A%2F%2Fexample.com%2F&push_events=false&issues_events=true&custom_headers%5BX-A%5D=1&custom_headers%5BX-B%5D=2",
    );

    assert_eq!(
        (crate_form.status, keys(&crate_form)),
        (201, both.clone()),
        "{}",
        crate_form.body
    );

    assert_eq!(
        (&crate_form.json()["push_events"], &crate_form.json()["issues_events"]),
        (&json!(false), &json!(true))
    );

    let list = form(
        "/api/v4/projects/1/hooks",
        "url=https://example.com/&custom_headers[][key]=X-A&custom_headers[][value]=1&custom_headers[][key]=X-B&custom_headers[][value]=2",
    );
    assert_eq!((list.status, keys(&list)), (201, both), "{}", list.body);

    // GitLab's example for system hooks has all parameters in the query.
    let query = server.call("POST", "/api/v4/hooks?url=https://example.com/&push_events=true", "");
    assert_eq!(
        (query.status, &query.json()["push_events"]),
        (201, &json!(true)),
        "{}",
        query.body
    );
}

pub(crate) fn headers_variables_and_templates_reach_the_receiver(engine: Engine) {
    let sink = Sink::start(|_| Some(200));
    let server = Server::start(&engine, &[]);
    server.make_project();

    let url = format!("http://127.0.0.1:{}/{{where}}", sink.port);
    let body = json!({
        "url": url,
        "url_variables": [{ "key": "where", "value": "in" }],
        "custom_headers": [{ "key": "X-Team", "value": "rope" }],
        "custom_webhook_template": r#"{"branch":"{{ref}}","number":{{number}}}"#,
    });
    let made = server.call("POST", "/api/v4/groups/gear/hooks", &body.to_string());
    assert_eq!(made.status, 201, "{}", made.body);
    server.report(7).expect("accepted");
    eventually("the delivery arrives", || !sink.got().is_empty());

    let got = sink.got().remove(0);
    assert_eq!(got.body, br#"{"branch":"refs/heads/main","number":7}"#);
    assert_eq!(got.headers.get("X-Team").map(String::as_str), Some("rope"));
    assert_eq!(got.headers.get("X-Gitlab-Event").map(String::as_str), Some("Push Hook"));

    // The history shows the request as it was sent, also after the hook was changed.
    let one = format!("/api/v4/groups/gear/hooks/{}", made.json()["id"]);
    let change = json!({
        "url": format!("http://127.0.0.1:{}/elsewhere", sink.port), "custom_headers": [{ "key": "X-New", "value": "canary-new" }],
        "custom_webhook_template": "{}", "token": "canary-token",
    });
    assert_eq!(server.call("PUT", &one, &change.to_string()).status, 200);

    eventually("the attempt is recorded", || {
        server
            .get(&format!("{one}/events"))
            .as_array()
            .is_some_and(|log| !log.is_empty())
    });

    let log = server.get(&format!("{one}/events"));
    assert_eq!(
        (&log[0]["url"], &log[0]["request_data"]),
        (&json!(url), &json!({ "branch": "refs/heads/main", "number": 7 }))
    );

    let headers = &log[0]["request_headers"];
    assert_eq!(
        (&headers["X-Team"], &headers["X-New"]),
        (&json!("[REDACTED]"), &Value::Null),
        "{headers}"
    );

    assert!(
        headers["X-Gitlab-Token"].is_null() && !log.to_string().contains("canary"),
        "{log}"
    );

    let delivery = server.get(&format!("/api/v1/deliveries/{}", got.headers["Idempotency-Key"]));
    let attempt = &delivery["history"][0];
    let phases = &attempt["phases"];
    let spent: i64 = ["resolve_us", "connect_us", "tls_us", "wait_us", "read_us"]
        .iter()
        .filter_map(|name| phases[name].as_i64())
        .sum();

    assert!(
        spent > 0 && spent <= attempt["duration_us"].as_i64().unwrap_or_default(),
        "{attempt}"
    );

    assert!(
        phases["wait_us"].is_i64() && phases["tls_us"].is_null() && attempt["tls_version"].is_null(),
        "{attempt}"
    );
}

/// The users and bots of a project together may test three times as often as one user.
pub(crate) fn tests_of_all_bots_of_a_project_share_a_limit(engine: Engine) {
    let server = Server::start(&engine, &[("QUICKDRAW__LIMITS__MANUAL_PER_MINUTE", "2")]);
    server.make_project();

    let sink = Sink::start(|_| Some(200));
    let hook = server.make_hook(&sink.url(), "")["id"].clone();
    let mut sent = 0;

    for number in 0..5 {
        let body = json!({ "name": format!("bot {number}"), "scopes": ["api"] }).to_string();
        let bot = server.call("POST", "/api/v4/projects/1/access_tokens", &body).json()["token"].clone();

        for _ in 0..3 {
            let headers = [("PRIVATE-TOKEN", bot.as_str().expect("a token"))];
            let path = format!("/api/v4/projects/1/hooks/{hook}/test/push_events");
            let reply = send(server.port, "POST", &path, &headers, b"").expect("an answer");
            assert!(matches!(reply.status, 201 | 429), "{}", reply.body);
            sent += usize::from(reply.status == 201);
        }
    }

    assert_eq!((sent, sink.got().len()), (6, 6));

    let reply = server.call("POST", &format!("/api/v4/projects/1/hooks/{hook}/test/push_events"), "");
    assert_eq!(
        reply.status, 201,
        "the limit of administrators is separate: {}",
        reply.body
    );
}

pub(crate) fn invalid_values_and_too_many_hooks_are_refused(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let hooks = "/api/v4/groups/gear/hooks";
    let post = |body: Value| server.call("POST", hooks, &body.to_string());
    let with_header = |key: &str, value: &str| {
        post(json!({ "url": "https://example.com/", "custom_headers": [{ "key": key, "value": value }] })).status
    };

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
        assert_eq!(with_header(key, value), 422, "{key:?}: {value:?}");
    }

    let same = json!([{ "key": "X-A", "value": "1" }, { "key": "x-a", "value": "2" }]);
    let same = post(json!({ "url": "https://example.com/", "custom_headers": same }));

    assert!(
        same.status == 422 && same.body.contains("X-A and x-a are the same header"),
        "{}",
        same.body
    );

    assert_eq!(
        post(json!({ "url": "https://example.com/{a}", "url_variables": [] })).status,
        422
    );

    let long = "x".repeat(4097);
    assert_eq!(
        post(json!({ "url": "https://example.com/", "custom_webhook_template": long })).status,
        422
    );

    let many: Vec<Value> = (0..21)
        .map(|n| json!({ "key": format!("X-{n}a"), "value": "v" }))
        .collect();
    assert_eq!(
        post(json!({ "url": "https://example.com/", "custom_headers": many })).status,
        422
    );

    for _ in 0..50 {
        assert_eq!(post(json!({ "url": "https://example.com/" })).status, 201);
    }

    let over = post(json!({ "url": "https://example.com/" }));
    assert_eq!(
        (over.status, over.body.contains("Maximum number of group hooks (50)")),
        (422, true),
        "{}",
        over.body
    );

    assert_eq!(
        server.call("GET", "/api/v4/groups/gear/hooks/abc", "").json()["error"],
        "hook_id is invalid"
    );

    assert_eq!(server.call("DELETE", "/api/v4/hooks", "{}").status, 404);
}

pub(crate) fn a_test_re_enables_a_hook_and_a_resend_repeats_the_request(engine: Engine) {
    let (sink, answer) = Sink::switchable(404);
    let server = Server::start(&engine, &[("QUICKDRAW__DELIVERY__RETRY", "gitlab")]);
    server.make_project();

    let hook = server.make_hook(
        &sink.url(),
        r#","token":"canary-token","custom_headers":{"X-Key":"canary-header"}"#,
    );
    let one = format!("/api/v4/projects/1/hooks/{}", hook["id"]);

    for number in 0..4 {
        server.report(number).expect("accepted");
        eventually("the delivery was attempted", || sink.got().len() > number);
    }

    eventually("four rejections disable the hook", || {
        server.get(&one)["alert_status"] == "disabled"
    });

    let first_key = sink.got()[0].headers["Idempotency-Key"].clone();
    let log = server.get(&format!("{one}/events"));

    assert_eq!(
        (log.as_array().map(Vec::len), &log[3]["response_status"]),
        (Some(4), &json!("404")),
        "{log}"
    );

    assert_eq!(
        (&log[3]["trigger"], &log[3]["request_headers"]["X-Key"]),
        (&json!("push_hooks"), &json!("[REDACTED]"))
    );

    assert_eq!(log[3]["request_data"]["number"], 0);
    assert!(!log.to_string().contains("canary"), "{log}");

    let resend = format!("{one}/events/{}/resend", log[3]["id"]);
    let refused = server.call("POST", &resend, "{}");
    assert_eq!(
        (refused.status, &refused.json()["message"]),
        (422, &json!("Hook disabled"))
    );

    // An event that is reported while the hook is disabled waits.
    server.report(9).expect("accepted");

    let failed = server.call("POST", &format!("{one}/test/push_events"), "{}");
    assert_eq!(failed.status, 422, "{}", failed.body);
    answer.store(200, std::sync::atomic::Ordering::Relaxed);

    let passed = server.call("POST", &format!("{one}/test/push_events"), "{}");
    assert_eq!(
        (passed.status, &passed.json()["message"]),
        (201, &json!("201 Created")),
        "{}",
        passed.body
    );

    assert_eq!(server.get(&one)["alert_status"], "executable");
    eventually("the waiting deliveries arrive", || sink.got().len() == 7);

    let sent = server.call("POST", &resend, "{}");
    assert_eq!(
        (sent.status, &sent.json()["response_status"]),
        (201, &json!(200)),
        "{}",
        sent.body
    );

    let got = sink.got().pop().expect("one more");
    assert_eq!(
        (&got.headers["Idempotency-Key"], &got.body),
        (&first_key, &sink.got()[0].body)
    );

    // A request to one URL is not resent to another, and also not after the URL was changed back.
    for url in [sink.url() + "/elsewhere", sink.url()] {
        assert_eq!(server.call("PUT", &one, &json!({ "url": url }).to_string()).status, 200);

        let refused = server.call("POST", &resend, "{}");
        let words = "The hook URL has changed, and this log entry cannot be retried";
        assert_eq!((refused.status, &refused.json()["message"]), (422, &json!(words)));
    }

    eventually("three successes are recorded", || {
        server
            .get(&format!("{one}/events?status=successful"))
            .as_array()
            .map(Vec::len)
            == Some(3)
    });

    assert_eq!(
        server
            .get(&format!("{one}/events?status=client_failure,500&per_page=2"))
            .as_array()
            .map(Vec::len),
        Some(2)
    );

    let answer = |path: &str| server.call("GET", &format!("{one}/events?{path}"), "");
    assert_eq!(
        answer("per_page=21").json()["error"],
        "per_page does not have a valid value"
    );

    assert_eq!(
        answer("status=now").json()["error"],
        "status does not have a valid value"
    );

    let trigger = |name: &str| server.call("POST", &format!("{one}/test/{name}"), "{}");
    assert_eq!(
        trigger("moon_events").json()["error"],
        "trigger does not have a valid value"
    );

    let before = sink.got().len();
    assert_eq!(
        trigger("issues_events").status,
        201,
        "without such an event, the sample is sent"
    );

    let sample: Value = serde_json::from_slice(&sink.got()[before].body).expect("JSON");
    assert_eq!(
        (&sample["object_kind"], &sample["project"]["path_with_namespace"]),
        (&json!("issue"), &json!("gear/rope"))
    );

    for _ in 0..2 {
        trigger("tag_push_events");
    }

    let often = trigger("tag_push_events");
    assert_eq!(
        (often.status, often.body.contains("too many times")),
        (429, true),
        "{}",
        often.body
    );

    let system = server
        .call("POST", &format!("/api/v4/hooks?url={}", sink.url()), "")
        .json();
    let mock = server.call("POST", &format!("/api/v4/hooks/{}", system["id"]), "");
    assert_eq!(
        (mock.status, &mock.json()["event_name"]),
        (201, &json!("project_create"))
    );
}

pub(crate) fn the_retry_policy_of_a_hook_overrides_the_settings(engine: Engine) {
    let tries = std::sync::atomic::AtomicUsize::new(0);
    let sink = Sink::start(move |_| {
        Some(if tries.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 2 {
            503
        } else {
            200
        })
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

    let one = format!("/api/v4/projects/1/hooks/{}", hook["id"]);
    let put = |body: &str| server.call("PUT", &one, body);
    let refused = put(r#"{"retry":"sometimes"}"#);

    assert_eq!(
        (refused.status, refused.body.contains("pauses such as 10s")),
        (422, true),
        "{}",
        refused.body
    );

    assert_eq!(put(r#"{"retry":"patient"}"#).json()["retry"], "patient");
    assert_eq!(
        put(r#"{"name":"n"}"#).json()["retry"],
        "patient",
        "other attributes stay"
    );

    assert_eq!(put(r#"{"retry":null}"#).json()["retry"], Value::Null);
}
