//! Hooks of all levels through the REST API: what is stored, shown, kept secret, and sent.

use serde_json::{Value, json};

use crate::http::{Reply, Sink, eventually, send};
use crate::server::{Engine, Server, TOKEN};

const COLLECTIONS: [&str; 3] = ["/api/v4/projects/gear%2Frope/hooks", "/api/v4/groups/gear/hooks", "/api/v4/hooks"];

pub(crate) fn hooks_of_all_levels_are_made_changed_and_deleted(engine: Engine) {
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
        assert_eq!((&hook["token_present"], &hook["alert_status"]), (&json!(true), &json!("executable")));
        assert_eq!(hook["push_events"], json!(hooks != "/api/v4/hooks"), "the default of {hooks}");
        let one = format!("{hooks}/{}", hook["id"]);
        // What python-gitlab's save() sends: the list as it was read.
        let saved =
            server.call("PUT", &one, r#"{"custom_headers":[{"key":"X-Api.Key"}],"name":"m","push_events":true}"#);
        assert_eq!((saved.status, &saved.json()["name"]), (200, &json!("m")), "{}", saved.body);
        assert_eq!(saved.json()["custom_headers"], json!([{ "key": "X-Api.Key" }]));
        assert_eq!(server.call("PUT", &format!("{one}/custom_headers/X-More"), r#"{"value":"v"}"#).status, 204);
        assert_eq!(server.get(&one)["custom_headers"].as_array().map(Vec::len), Some(2));
        assert_eq!(server.call("DELETE", &format!("{one}/custom_headers/X-More"), "{}").status, 204);
        let gone = server.call("DELETE", &format!("{one}/custom_headers/X-More"), "{}");
        assert_eq!((gone.status, &gone.json()["message"]), (404, &json!("404 Custom header Not Found")));
        let needed = server.call("DELETE", &format!("{one}/url_variables/part"), "{}");
        assert_eq!((needed.status, &needed.json()["error"]), (422, &json!("Could not unset variable")));
        assert_eq!(server.call("PUT", &one, "{}").json()["error"], "No parameters provided");
        let moved = server.call("PUT", &one, r#"{"url":"https://elsewhere.example/"}"#).json();
        assert_eq!((&moved["token_present"], &moved["custom_headers"]), (&json!(false), &json!([])));
        assert_eq!(server.get(hooks).as_array().map(Vec::len), Some(1));
        assert!(!server.get(hooks).to_string().contains("canary"), "a secret is shown");
        let old = [("PRIVATE-TOKEN", TOKEN), ("If-Unmodified-Since", "Sat, 01 Jan 2022 00:00:00 GMT")];
        assert_eq!(send(server.port, "DELETE", &one, &old, b"").expect("an answer").status, 412);
        assert_eq!(server.call("DELETE", &one, "{}").status, 204);
        assert_eq!(server.call("GET", &one, "").status, 404);
    }
    assert!(!server.output().contains("canary"), "{}", server.output());
}

pub(crate) fn forms_and_queries_are_as_good_as_json(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();
    let form = |path: &str, body: &str| -> Reply {
        let headers = [("PRIVATE-TOKEN", TOKEN), ("Content-Type", "application/x-www-form-urlencoded")];
        send(server.port, "POST", path, &headers, body.as_bytes()).expect("an answer")
    };
    let keys = |reply: &Reply| -> Value { reply.json()["custom_headers"].clone() };
    let both = json!([{ "key": "X-A" }, { "key": "X-B" }]);
    // As the Rust crate `gitlab` encodes it.
    let crate_form = form(
        "/api/v4/projects/1/hooks",
        "url=https%3A%2F%2Fexample.com%2F&push_events=false&issues_events=true&custom_headers%5BX-A%5D=1&custom_headers%5BX-B%5D=2",
    );
    assert_eq!((crate_form.status, keys(&crate_form)), (201, both.clone()), "{}", crate_form.body);
    assert_eq!((&crate_form.json()["push_events"], &crate_form.json()["issues_events"]), (&json!(false), &json!(true)));
    let list = form(
        "/api/v4/projects/1/hooks",
        "url=https://example.com/&custom_headers[][key]=X-A&custom_headers[][value]=1&custom_headers[][key]=X-B&custom_headers[][value]=2",
    );
    assert_eq!((list.status, keys(&list)), (201, both), "{}", list.body);
    // GitLab's own example for system hooks has everything in the query.
    let query = server.call("POST", "/api/v4/hooks?url=https://example.com/&push_events=true", "");
    assert_eq!((query.status, &query.json()["push_events"]), (201, &json!(true)), "{}", query.body);
}

pub(crate) fn headers_variables_and_templates_reach_the_receiver(engine: Engine) {
    let sink = Sink::start(|_| Some(200));
    let server = Server::start(&engine, &[]);
    server.make_project();
    let url = format!("http://127.0.0.1:{}/{{where}}", sink.port);
    let body = json!({
        "url": url,
        "url_variables": [{ "key": "where", "value": "in" }],
        "custom_headers": [{ "key": "X-Team", "value": "rope" }, { "key": "X-Gitlab-Event", "value": "mine" }],
        "custom_webhook_template": r#"{"branch":"{{ref}}","number":{{number}}}"#,
    });
    let made = server.call("POST", "/api/v4/groups/gear/hooks", &body.to_string());
    assert_eq!(made.status, 201, "{}", made.body);
    server.report(7).expect("accepted");
    eventually("it has arrived", || !sink.got().is_empty());
    let got = sink.got().remove(0);
    assert_eq!(got.body, br#"{"branch":"refs/heads/main","number":7}"#);
    assert_eq!(got.headers.get("X-Team").map(String::as_str), Some("rope"));
    assert_eq!(got.headers.get("X-Gitlab-Event").map(String::as_str), Some("Push Hook"));
}

pub(crate) fn limits_and_bad_values_are_refused(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();
    let hooks = "/api/v4/groups/gear/hooks";
    let post = |body: Value| server.call("POST", hooks, &body.to_string());
    let with_header = |key: &str, value: &str| {
        post(json!({ "url": "https://example.com/", "custom_headers": [{ "key": key, "value": value }] })).status
    };
    for (key, value) in
        [("X-A\r\nX-B", "v"), ("X-A", "v\r\nX-B: 1"), ("X A", "v"), ("Host", "1"), ("X2Y", "v"), ("X-A", "")]
    {
        assert_eq!(with_header(key, value), 422, "{key:?}: {value:?}");
    }
    assert_eq!(post(json!({ "url": "https://example.com/{a}", "url_variables": [] })).status, 422);
    let long = "x".repeat(4097);
    assert_eq!(post(json!({ "url": "https://example.com/", "custom_webhook_template": long })).status, 422);
    let many: Vec<Value> = (0..21).map(|n| json!({ "key": format!("X-{n}a"), "value": "v" })).collect();
    assert_eq!(post(json!({ "url": "https://example.com/", "custom_headers": many })).status, 422);
    for _ in 0..50 {
        assert_eq!(post(json!({ "url": "https://example.com/" })).status, 201);
    }
    let over = post(json!({ "url": "https://example.com/" }));
    assert_eq!((over.status, over.body.contains("Maximum number of group hooks (50)")), (422, true), "{}", over.body);
    assert_eq!(server.call("GET", "/api/v4/groups/gear/hooks/abc", "").json()["error"], "hook_id is invalid");
    assert_eq!(server.call("DELETE", "/api/v4/hooks", "{}").status, 405);
}
