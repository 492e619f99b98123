//! Filters that lists of `/api/v1` have in common.

use serde_json::json;

use crate::answers::items;
use crate::gitlab::SENDER;
use crate::history::Scene;
use crate::http::Reply;
use crate::server::{Engine, Server};

pub(crate) fn events_are_found_by_their_deliveries(engine: Engine) {
    let scene = Scene::start(&engine);
    let (own, of_group) = (scene.project_hook, scene.group_hook);

    scene.check_counts(&[
        (&format!("events?hook={own}"), 2),
        (&format!("events?hook={of_group}"), 1),
        ("events?hook=999", 0),
        ("events?state=delivered", 1),
        ("events?class=rejected", 1),
        ("events?status=404", 1),
        (&format!("events?hook={of_group}&class=rejected"), 0),
        (&format!("events?hook={own}&class=rejected&text=Longer%20rope"), 1),
    ]);
}

pub(crate) fn a_maintainer_finds_events_by_deliveries_to_own_hooks_only(engine: Engine) {
    let scene = Scene::start(&engine);
    let token = scene.member("projects/1", 40);

    let count = |filter: &str| {
        let path = format!("/api/v1/events?project=1{filter}");
        let answer = scene.server.call_as(&token, "GET", &path, "").check(200).json();
        items(&answer["items"]).len()
    };

    assert_eq!(count(""), 2);
    assert_eq!(count(&format!("&hook={}", scene.project_hook)), 2);
    assert_eq!(count(&format!("&hook={}", scene.group_hook)), 0);
    assert_eq!(count("&state=delivered"), 1);
}

pub(crate) fn attempts_are_found_by_the_state_of_their_delivery(engine: Engine) {
    let scene = Scene::start(&engine);
    scene.check_counts(&[("attempts?state=delivered", 2), ("attempts?state=cancelled", 0)]);
}

/// The number of rows of a list.
#[track_caller]
fn count(server: &Server, path: &str) -> usize {
    items(&server.get(&format!("/api/v1/{path}"))["items"]).len()
}

pub(crate) fn the_audit_log_is_filtered_by_time(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let all = count(&server, "audit?limit=100");
    assert!(all > 0, "the project was created");
    assert_eq!(count(&server, "audit?limit=100&since=1h"), all);
    assert_eq!(count(&server, "audit?limit=100&until=1h"), 0);
    assert_eq!(count(&server, "audit?since=1h&user_id=999"), 0);

    server
        .call("GET", "/api/v1/audit?since=1h&until=2h", "")
        .check_says(400, "since must be before until");
}

pub(crate) fn replays_are_filtered_by_state_and_time(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let replay = json!({ "since": "2020-01-01" }).to_string();
    let id = server.call("POST", "/api/v1/replays", &replay).check(201).id();

    let path = format!("/api/v1/replays/{id}");
    crate::http::eventually("the replay is finished", || server.get(&path)["state"] == "finished");

    for (filter, expected) in [
        ("since=1h", 1),
        ("until=1h", 0),
        ("state=finished&since=1h", 1),
        ("state=paused", 0),
    ] {
        assert_eq!(count(&server, &format!("replays?{filter}")), expected, "{filter}");
    }
}

pub(crate) fn requests_of_a_source_are_filtered(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let push = json!({ "object_kind": "push" }).to_string();
    SENDER.accepted(&server, "Push Hook", "one", push);

    let wrong = || -> Reply { server.call("POST", "/api/v1/webhooks/gitlab", "{}") };
    wrong().check(401);

    for (filter, expected) in [
        ("", 2),
        ("trigger=push_hooks", 1),
        ("trigger=issue_hooks", 0),
        ("status=client_failure", 1),
        ("status=200&since=1h", 1),
        ("until=1h", 0),
        ("limit=1", 1),
    ] {
        let path = format!("sources/default/requests?{filter}");
        assert_eq!(count(&server, &path), expected, "{filter}");
    }
}
