//! Inspectors: private addresses that keep requests and answer as their owner chose.

use quickdraw_domain::Secret;
use quickdraw_domain::Timestamp;
use quickdraw_domain::signature::{SigningToken, hub_signature};
use serde_json::{Value, json};

use crate::access::People;
use crate::gitlab::SIGNING;
use crate::http::{Reply, check_parts, eventually, send};
use crate::server::{Engine, Server, TOKEN};
use crate::streams::Stream;

const INSPECTORS: &str = "/api/v1/inspectors";
const PUSH: &[u8] = br#"{"object_kind":"push","n":1}"#;

/// An inspector of the administrator.
struct Inspector<'a> {
    server: &'a Server,
    id: String,
}

impl<'a> Inspector<'a> {
    fn make(server: &'a Server, body: &Value) -> Self {
        let made = server.create(INSPECTORS, body);
        let id = made["id"].as_str().expect("an id").to_owned();
        Self { server, id }
    }

    fn path(&self) -> String {
        format!("{INSPECTORS}/{}", self.id)
    }

    /// Sends a request to the address of the inspector.
    fn send(&self, method: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let path = format!("/i/{}", self.id);
        send(self.server.port, method, &path, headers, body).expect("an answer")
    }

    /// The requests that the inspector keeps, the newest first.
    fn kept(&self) -> Vec<Value> {
        let list = self.server.get(&format!("{}/requests?limit=100", self.path()));
        list["items"].as_array().expect("a list").clone()
    }

    /// The newest request with its headers and body.
    fn newest(&self) -> Value {
        let id = self.kept()[0]["id"].as_str().expect("an id").to_owned();
        self.server.get(&format!("{}/requests/{id}", self.path()))
    }
}

pub(crate) fn an_inspector_keeps_a_request_with_its_headers_and_body(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let inspector = Inspector::make(&server, &json!({ "name": "lab" }));
    let headers = [("X-Gitlab-Event", "Push Hook"), ("X-Gitlab-Token", "canary")];
    inspector.send("POST", &headers, PUSH).check_says(200, "ok");

    let newest = inspector.newest();
    check_parts(
        &newest,
        json!({ "method": "POST", "event": "Push Hook", "bytes": PUSH.len(), "status": 200, "note": null,
            "address": "127.0.0.1", "path": format!("/i/{}", inspector.id),
            "payload": { "object_kind": "push", "n": 1 } }),
    );

    let headers = newest["headers"].as_array().expect("a list");
    assert!(
        headers.contains(&json!({ "name": "x-gitlab-event", "value": "Push Hook" })),
        "{newest}"
    );
    assert!(
        headers.contains(&json!({ "name": "x-gitlab-token", "value": "[REDACTED]" })),
        "{newest}"
    );
}

pub(crate) fn an_inspector_takes_every_method_and_bytes_that_are_no_text(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let inspector = Inspector::make(&server, &json!({}));
    inspector.send("GET", &[], b"").check(200);
    inspector.send("PUT", &[], b"\xff\0x").check(200);

    let kept = inspector.kept();
    assert_eq!((&kept[0]["method"], &kept[1]["method"]), (&json!("PUT"), &json!("GET")));
    assert_eq!(inspector.newest()["payload"], "\u{fffd}\0x");
}

pub(crate) fn the_credentials_of_a_request_are_checked(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let inspector = Inspector::make(&server, &json!({ "secret": "s3cret", "signing_token": SIGNING }));

    let now = jiff::Timestamp::now().as_second();
    let token = SigningToken::parse(SIGNING).expect("a token");
    let signature = token.sign("id", Timestamp::from_seconds(now), PUSH);
    let hub = hub_signature(&Secret::new("other"), PUSH);
    let headers = [
        ("X-Gitlab-Token", "s3cret"),
        ("webhook-id", "id"),
        ("webhook-timestamp", &*now.to_string()),
        ("webhook-signature", &*signature),
        ("X-Hub-Signature-256", &*hub),
    ];
    inspector.send("POST", &headers, PUSH).check(200);
    inspector.send("POST", &[], PUSH).check(200);

    let kept = inspector.kept();
    check_parts(
        &kept[1],
        json!({ "token": "ok", "signature": "ok", "hub_signature": "wrong" }),
    );
    check_parts(
        &kept[0],
        json!({ "token": "missing", "signature": "missing", "hub_signature": "missing" }),
    );
}

pub(crate) fn an_inspector_answers_as_its_owner_chose(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let inspector = Inspector::make(&server, &json!({}));
    let change = json!({ "status": 503, "body": "<b>later</b>", "headers": { "Retry-After": "7",
        "Content-Type": "text/html" } });
    let changed = server
        .call("PUT", &inspector.path(), &change.to_string())
        .check(200)
        .json();
    check_parts(&changed, json!({ "status": 503, "name": null, "delay_ms": 0 }));

    let answer = inspector.send("POST", &[], PUSH);
    answer.check_says(503, "<b>later</b>");
    assert_eq!(answer.header("retry-after"), Some("7"));
    assert_eq!(answer.content_type(), "text/html");

    let policy = answer.header("content-security-policy").unwrap_or_default();
    assert!(policy.starts_with("sandbox; default-src 'none'"), "{policy}");
    assert_eq!(inspector.kept()[0]["status"], 503);
}

pub(crate) fn an_answer_that_a_browser_could_use_is_refused(engine: Engine) {
    let server = Server::start(&engine, &[]);
    for (field, settings) in [
        ("status", json!({ "status": 101 })),
        ("body", json!({ "status": 204, "body": "x" })),
        ("delay_ms", json!({ "delay_ms": 10_001 })),
        ("headers", json!({ "headers": { "Set-Cookie": "a=b" } })),
        ("headers", json!({ "headers": { "Location": "https://example.com" } })),
        ("headers", json!({ "headers": { "Content-Type": "text/javascript" } })),
        ("secret", json!({ "secret": " s3cret" })),
        ("signing_token", json!({ "signing_token": "s3cret" })),
    ] {
        let refused = server.call("POST", INSPECTORS, &settings.to_string()).check(400);
        assert_eq!(refused.json()["errors"][0]["field"], field, "{}", refused.body);
        assert!(!refused.body.contains("s3cret"), "{}", refused.body);
    }
}

pub(crate) fn an_inspector_shows_no_secret(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let inspector = Inspector::make(&server, &json!({ "secret": "canary-secret", "signing_token": SIGNING }));
    let shown = server.call("GET", &inspector.path(), "").check(200);
    check_parts(
        &shown.json(),
        json!({ "secret_present": true, "signing_token_present": true }),
    );
    assert!(!shown.body.contains("canary") && !shown.body.contains(&SIGNING[6..20]));

    let removed = server
        .call("PUT", &inspector.path(), r#"{"secret":null}"#)
        .check(200)
        .json();
    check_parts(
        &removed,
        json!({ "secret_present": false, "signing_token_present": true }),
    );
}

pub(crate) fn inspectors_of_others_exist_for_administrators_only(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let people = People { server: &server };
    let (_, ida) = people.make("ida", "api");
    let (_, jo) = people.make("jo", "api");

    let made = people.call(&ida, "POST", INSPECTORS, "{}").check(201).json();
    let path = format!("{INSPECTORS}/{}", made["id"].as_str().expect("an id"));
    assert_eq!(made["owner"]["username"], "ida");

    people.call(&ida, "GET", &path, "").check(200);
    people.call(TOKEN, "GET", &path, "").check(200);
    for (method, path) in [
        ("GET", path.clone()),
        ("PUT", path.clone()),
        ("GET", format!("{path}/requests")),
        ("DELETE", path.clone()),
    ] {
        let hidden = people.call(&jo, method, &path, "");
        hidden.check_says(404, "there is no inspector with this id");
    }

    let listed = |token: &str| people.call(token, "GET", INSPECTORS, "").check(200).json()["items"].clone();
    assert_eq!(listed(&jo), json!([]));
    assert_eq!(listed(TOKEN)[0]["id"], made["id"]);
    people.call(&ida, "DELETE", &path, "").check(204);
    people.call(&ida, "GET", &path, "").check(404);
}

pub(crate) fn a_user_has_ten_inspectors(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let people = People { server: &server };
    let (_, ida) = people.make("ida", "api");
    for _ in 0..10 {
        people.call(&ida, "POST", INSPECTORS, "{}").check(201);
    }

    let pages = format!("{INSPECTORS}?limit=6");
    let first = people.call(&ida, "GET", &pages, "").check(200).json();
    let next = first["next"].as_str().expect("more");
    let rest = people
        .call(&ida, "GET", &format!("{pages}&before={next}"), "")
        .check(200)
        .json();
    assert_eq!(
        (rest["items"].as_array().map(Vec::len), &rest["next"]),
        (Some(4), &Value::Null)
    );

    let refused = people.call(&ida, "POST", INSPECTORS, "{}");
    refused.check_says(422, "the maximum of 10 inspectors; delete one of them");
    server.call("POST", INSPECTORS, "{}").check(201);
}

pub(crate) fn a_project_token_cannot_create_an_inspector(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();
    let bot = json!({ "name": "ci", "scopes": ["api"] });
    let bot = server.create("/api/v4/projects/1/access_tokens", &bot);
    let token = bot["token"].as_str().expect("shown once");

    let refused = server.call_as(token, "POST", INSPECTORS, "{}");
    refused.check_says(403, "use a personal access token");
}

/// The guard refuses all other addresses of the server itself.
pub(crate) fn a_webhook_can_call_an_inspector_of_the_server(engine: Engine) {
    let server = Server::start(&engine, &[("QUICKDRAW_ALLOW_LOCAL_NETWORKS", "false")]);
    server.make_project();
    let inspector = Inspector::make(&server, &json!({ "secret": "hook-secret" }));

    let own = format!("http://127.0.0.1:{}", server.port);
    let refused = json!({ "url": format!("{own}/api/v1/events"), "push_events": true }).to_string();
    server.call("POST", "/api/v4/projects/1/hooks", &refused).check(422);

    let hook = server.make_hook(&format!("{own}/i/{}", inspector.id), r#","token":"hook-secret""#);
    let test = format!("/api/v4/projects/1/hooks/{}/test/push_events", hook["id"]);
    server.call("POST", &test, "").check(201);

    let newest = inspector.newest();
    check_parts(
        &newest,
        json!({ "event": "Push Hook", "token": "ok", "/payload/object_kind": "push" }),
    );
}

pub(crate) fn a_large_body_is_noted_and_not_kept(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let inspector = Inspector::make(&server, &json!({}));
    let largest = vec![b'x'; 256 << 10];
    inspector.send("POST", &[], &largest).check(200);
    assert_eq!(
        inspector.newest()["payload"].as_str().map(str::len),
        Some(largest.len())
    );

    let larger = vec![b'x'; (256 << 10) + 1];
    inspector.send("POST", &[], &larger).check(413);
    check_parts(
        &inspector.newest(),
        json!({ "bytes": larger.len(), "note": "the body is too large", "payload": "", "status": 413 }),
    );
}

pub(crate) fn requests_to_an_inspector_are_limited(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let inspector = Inspector::make(&server, &json!({}));
    let mut accepted = 0;
    let refused = loop {
        let answer = inspector.send("POST", &[], b"");
        if answer.status != 200 {
            break answer;
        }

        accepted += 1;
    };

    // The limit lets further requests pass as time goes by.
    assert!((600..1200).contains(&accepted), "{accepted}");
    refused.check_says(429, "more than 600 requests per minute to this inspector");
    assert!(refused.header("retry-after").is_some());

    // Deliveries of one server have one address, so the limit of one inspector is not that of another.
    Inspector::make(&server, &json!({})).send("POST", &[], b"").check(200);
}

pub(crate) fn long_methods_and_paths_of_other_pages_are_not_kept(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let inspector = Inspector::make(&server, &json!({}));
    let referer = ("Referer", "https://quickdraw.example.com/-/setup/secret?x");
    inspector.send(&"A".repeat(1000), &[referer], b"").check(200);

    let kept = inspector.newest();
    assert_eq!(kept["method"].as_str().map(str::len), Some(64));
    assert!(
        kept["headers"].to_string().contains("https://quickdraw.example.com"),
        "{kept}"
    );
    assert!(!kept.to_string().contains("setup"), "{kept}");
}

pub(crate) fn an_unknown_inspector_is_not_found(engine: Engine) {
    let server = Server::start(&engine, &[]);
    for path in [format!("/i/{}", "0".repeat(32)), "/i/short".to_owned()] {
        let answer = send(server.port, "POST", &path, &[], PUSH).expect("an answer");
        answer.check_says(404, "there is no inspector at this address");
    }
}

pub(crate) fn requests_are_listed_page_by_page_and_cleared(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let inspector = Inspector::make(&server, &json!({}));
    for _ in 0..5 {
        inspector.send("POST", &[], PUSH).check(200);
    }

    let requests = format!("{}/requests", inspector.path());
    let first = server.get(&format!("{requests}?limit=3"));
    let next = first["next"].as_str().expect("more");
    let rest = server.get(&format!("{requests}?limit=2&before={next}"));
    assert_eq!(rest["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(rest["next"], Value::Null, "the last page is full");

    server.call("DELETE", &requests, "").check(204);
    assert!(inspector.kept().is_empty());
    assert_eq!(server.get(&inspector.path())["requests"], 0);
}

pub(crate) fn a_stream_shows_requests_as_they_come(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let inspector = Inspector::make(&server, &json!({}));
    inspector.send("POST", &[], b"1").check(200);
    let before = inspector.kept()[0]["id"].as_str().expect("an id").to_owned();

    let path = format!("{}/stream", inspector.path());
    let (status, mut stream) = Stream::open_at(&server, TOKEN, &path, None);
    assert_eq!(status, 200);
    inspector
        .send("POST", &[("X-Gitlab-Event", "Push Hook")], b"22")
        .check(200);
    let came = stream.next().expect("a request");
    assert_eq!((came.event.as_str(), &came.data["bytes"]), ("request", &json!(2)));
    check_parts(&came.data, json!({ "event": "Push Hook", "id": came.id }));

    let (_, mut resumed) = Stream::open_at(&server, TOKEN, &path, Some(&before));
    assert_eq!(resumed.next().expect("a request").id, came.id);

    server.call("DELETE", &inspector.path(), "").check(204);
    assert!(stream.next().is_none(), "the stream ends with its inspector");
}

pub(crate) fn a_server_that_stops_answers_delayed_requests(engine: Engine) {
    let mut server = Server::start(&engine, &[]);
    let id = Inspector::make(&server, &json!({ "delay_ms": 10_000 })).id;
    let (port, path) = (server.port, format!("/i/{id}"));
    let waiting = std::thread::spawn(move || send(port, "POST", &path, &[], PUSH));

    let requests = format!("{INSPECTORS}/{id}/requests");
    eventually("the request is kept", || {
        server.get(&requests)["items"]
            .as_array()
            .is_some_and(|kept| kept.len() == 1)
    });

    server.terminate();
    let answer = waiting.join().expect("no panic").expect("an answer");
    answer.check_says(200, "ok");
}
