//! Tests of hooks: their requests, their effect on a disabled hook, and their limits.

use serde_json::{Value, json};

use crate::answers::check_shows;
use crate::health::Rejected;
use crate::http::{Reply, Sink, eventually, send};
use crate::server::{Engine, Server};

fn test(server: &Server, hook: &Value, trigger: &str) -> Reply {
    let path = format!("/api/v4/projects/1/hooks/{}/test/{trigger}", hook["id"]);
    server.call("POST", &path, "{}")
}

pub(crate) fn a_successful_test_re_enables_a_hook(engine: Engine) {
    let rejected = Rejected::start(&engine, &[], "");
    let (server, hook) = (&rejected.server, &rejected.hook);
    rejected.disable();

    // An event that is reported while the hook is disabled waits.
    server.report(9).expect("accepted");
    test(server, hook, "push_events").checked(422);
    rejected.repair();

    let passed = test(server, hook, "push_events").checked(201);
    assert_eq!(passed.json()["message"], "201 Created");
    assert_eq!(server.get(&rejected.path)["alert_status"], "executable");
    eventually("both tests and the waiting event arrive", || {
        rejected.receiver.got().len() == 7
    });
}

pub(crate) fn without_an_event_a_test_sends_the_sample(engine: Engine) {
    let sink = Sink::start(|_| Some(200));
    let server = Server::start(&engine, &[]);
    server.make_project();

    let hook = server.make_hook(&sink.url(), "");
    test(&server, &hook, "issues_events").checked(201);

    let sample: Value = serde_json::from_slice(&sink.got()[0].body).expect("JSON");
    let expected = json!({ "object_kind": "issue", "project": { "path_with_namespace": "gear/rope" } });
    check_shows(&sample, &expected);
}

pub(crate) fn a_test_of_a_system_hook_sends_an_event(engine: Engine) {
    let sink = Sink::start(|_| Some(200));
    let server = Server::start(&engine, &[]);
    let system = server.call("POST", &format!("/api/v4/hooks?url={}", sink.url()), "");

    let path = format!("/api/v4/hooks/{}", system.json()["id"]);
    let mock = server.call("POST", &path, "").checked(201);
    assert_eq!(mock.json()["event_name"], "project_create");
}

pub(crate) fn an_unknown_trigger_cannot_be_tested(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let hook = server.make_hook("https://example.com/", "");
    let refused = test(&server, &hook, "moon_events");
    assert_eq!(refused.json()["error"], "trigger does not have a valid value");
}

pub(crate) fn tests_of_a_user_are_limited(engine: Engine) {
    let sink = Sink::start(|_| Some(200));
    let server = Server::start(&engine, &[]);
    server.make_project();

    let hook = server.make_hook(&sink.url(), "");

    for _ in 0..5 {
        test(&server, &hook, "tag_push_events").checked(201);
    }

    test(&server, &hook, "tag_push_events").check_refusal(429, "too many times");
}

/// Creates a bot of the project, sends three tests with its token, and returns how many were sent.
fn test_as_bot(server: &Server, hook: &Value, name: &str) -> usize {
    let body = json!({ "name": name, "scopes": ["api"] }).to_string();
    let bot = server.call("POST", "/api/v4/projects/1/access_tokens", &body).json()["token"].clone();
    let headers = [("PRIVATE-TOKEN", bot.as_str().expect("a token"))];
    let path = format!("/api/v4/projects/1/hooks/{}/test/push_events", hook["id"]);
    let mut sent = 0;

    for _ in 0..3 {
        let reply = send(server.port, "POST", &path, &headers, b"").expect("an answer");
        assert!(matches!(reply.status, 201 | 429), "{}", reply.body);
        sent += usize::from(reply.status == 201);
    }

    sent
}

/// The users and bots of a project together may test three times as often as one user.
pub(crate) fn tests_of_all_bots_of_a_project_share_a_limit(engine: Engine) {
    let server = Server::start(&engine, &[("QUICKDRAW__LIMITS__MANUAL_PER_MINUTE", "2")]);
    server.make_project();

    let sink = Sink::start(|_| Some(200));
    let hook = server.make_hook(&sink.url(), "");
    let mut sent = 0;
    for number in 0..5 {
        sent += test_as_bot(&server, &hook, &format!("bot {number}"));
    }

    assert_eq!((sent, sink.got().len()), (6, 6));

    // The limit of administrators is separate.
    test(&server, &hook, "push_events").checked(201);
}
