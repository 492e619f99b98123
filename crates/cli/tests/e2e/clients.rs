//! Requests of client libraries for GitLab's REST API, and the answers that they need.

use serde_json::json;

use crate::http::{Reply, Sink, send};
use crate::server::{Engine, Server};

/// Requests to `/api/v1` that are refused, and the detail of the error.
const REFUSED: [(&str, &str, &str, &str); 6] = [
    (
        "GET",
        "events?project_id=1",
        "",
        "unknown parameter project_id; did you mean project?",
    ),
    (
        "GET",
        "events?from=2026-01-01",
        "",
        "unknown parameter from; did you mean since?",
    ),
    (
        "GET",
        "workers?limit=5",
        "",
        "unknown parameter limit; this operation has no parameters",
    ),
    (
        "POST",
        "insights/teams",
        r#"{"name":"Ropes","colour":"red"}"#,
        "unknown parameter colour; the parameters are name",
    ),
    (
        "GET",
        "events?limit=0",
        "",
        "limit must be a whole number from 1 to 100",
    ),
    (
        "GET",
        "audit?limit=-5",
        "",
        "limit must be a whole number from 1 to 100",
    ),
];

pub(crate) fn api_v1_refuses_unknown_parameters(engine: Engine) {
    let server = Server::start(&engine, &[]);
    for (method, path, body, words) in REFUSED {
        let reply = server.call(method, &format!("/api/v1/{path}"), body).check(400);
        assert_eq!(reply.content_type(), "application/problem+json", "{path}");
        assert_eq!(reply.json()["detail"], words, "{path}");
    }

    // The token is checked before the parameters.
    let unknown = send(server.port, "GET", "/api/v1/events?since=1", &[], b"");
    unknown.expect("an answer").check(401);
}

pub(crate) fn api_v4_refuses_misspelt_parameters_and_accepts_those_of_other_editions(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let misspelt = r#"{"url":"https://example.com/","push_event":true}"#;
    let refused = server.call("POST", "/api/v4/hooks", misspelt).json();
    assert_eq!(
        refused["error"],
        "unknown parameter push_event; did you mean push_events?"
    );

    let other = json!({ "url": "https://example.com/", "duo_flow_callback_enabled": true });
    server.create("/api/v4/hooks", &other);
}

pub(crate) fn a_rate_limit_says_when_it_ends(engine: Engine) {
    let sink = Sink::start(|_| Some(200));
    let server = Server::start(&engine, &[("QUICKDRAW__LIMITS__MANUAL_PER_MINUTE", "1")]);
    server.make_project();

    let hook = server.make_hook(&sink.url(), "");
    let test = format!("/api/v4/projects/1/hooks/{}/test/push_events", hook["id"]);
    server.call("POST", &test, "").check(201);

    let often = server.call("POST", &test, "").check(429);
    let header = |name: &str| {
        let value = often.header(name).expect("a header");
        value.parse::<i64>().expect("a number")
    };
    let wait = header("retry-after");
    assert!((1..=61).contains(&wait), "{wait}");
    assert_eq!((header("ratelimit-limit"), header("ratelimit-remaining")), (1, 0));

    // The time is in seconds since 1970.
    assert!(header("ratelimit-reset") > 1_700_000_000);
}

/// Attributes of webhooks that a level refuses, and the beginning of the error.
const LACKING: [(&str, &str, &str); 4] = [
    (
        "hooks",
        r#""issues_events":true"#,
        "issues_events is not a trigger of system hooks; use one of push_events, tag_push_events, ",
    ),
    (
        "projects/1/hooks",
        r#""subgroup_events":true"#,
        "subgroup_events is not a trigger of project hooks; ",
    ),
    (
        "groups/gear/hooks",
        r#""repository_update_events":"1""#,
        "repository_update_events is not a ",
    ),
    (
        "hooks",
        r#""custom_webhook_template":"{}""#,
        "custom_webhook_template is not available for system hooks",
    ),
];

fn make_hook(server: &Server, hooks: &str, more: &str) -> Reply {
    let body = format!(r#"{{"url":"https://example.com/",{more}}}"#);
    server.call("POST", &format!("/api/v4/{hooks}"), &body)
}

#[track_caller]
fn check_error(reply: Reply, words: &str) {
    let answer = reply.check(400).json();
    let error = answer["error"].as_str().expect("a text");
    assert!(error.starts_with(words), "{error}");
}

pub(crate) fn a_trigger_that_a_level_lacks_is_refused(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    for (hooks, attribute, words) in LACKING {
        check_error(make_hook(&server, hooks, attribute), words);
    }

    let made = server.make_hook("https://example.com/", "");
    let hook = format!("/api/v4/projects/1/hooks/{}", made["id"]);
    let changed = server.call("PUT", &hook, r#"{"member_events":true}"#);
    check_error(changed, "member_events is not a trigger of project hooks; ");
}

/// Clients send attributes back as they read them.
pub(crate) fn an_empty_attribute_that_a_level_lacks_is_accepted(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let off = r#""repository_update_events":false"#;
    make_hook(&server, "projects/1/hooks", off).check(201);
    make_hook(&server, "hooks", r#""custom_webhook_template":"""#).check(201);
}
