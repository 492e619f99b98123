//! Lists of history: their filters, and the part that users who are no administrators see.

use serde_json::{Value, json};

use crate::access::People;
use crate::answers::items;
use crate::http::{Sink, eventually};
use crate::server::{Engine, Server};

/// A server with a project whose group has a webhook too. A push was delivered to both webhooks, and a merge request
/// to the webhook of the project, which refused it.
pub(crate) struct Scene {
    pub(crate) server: Server,
    pub(crate) project_hook: i64,
    pub(crate) group_hook: i64,
    push: String,
    _sinks: [Sink; 2],
}

impl Scene {
    pub(crate) fn start(engine: &Engine) -> Self {
        let is_push = |body: &[u8]| body.windows(6).any(|part| part == b"\"push\"");
        let sink = Sink::scripted(move |got| Some(if is_push(&got.body) { 200 } else { 404 }));
        let group_sink = Sink::start(|_| Some(200));

        let server = Server::start(engine, &[]);
        server.make_project();

        let hook = server.make_hook(&sink.url(), r#","merge_requests_events":true"#);
        let other = json!({ "url": group_sink.url(), "push_events": true });
        let group_hook = server.create("/api/v4/groups/gear/hooks", &other);

        let push = server.report(1).expect("reported");
        let scene = Self {
            project_hook: hook["id"].as_i64().expect("an id"),
            group_hook: group_hook["id"].as_i64().expect("an id"),
            push,
            _sinks: [sink, group_sink],
            server,
        };

        scene.server.report_event(&merge_request(12));
        eventually("both events were attempted", || {
            scene.list("attempts?limit=100").len() == 3
        });
        scene
    }

    fn list(&self, path: &str) -> Vec<Value> {
        items(&self.server.get(&format!("/api/v1/{path}"))["items"]).to_vec()
    }

    /// Checks how many rows the lists have, each given with its filters.
    #[track_caller]
    pub(crate) fn check_counts(&self, expected: &[(&str, usize)]) {
        for (path, count) in expected {
            assert_eq!(self.list(path).len(), *count, "{path}");
        }
    }

    /// Creates a user with a role in the project or group, and returns a token.
    pub(crate) fn member(&self, scope: &str, level: i64) -> String {
        let people = People { server: &self.server };
        let (user, token) = people.make(&format!("ida{level}"), "api");
        people.add(scope, user, level);

        token
    }

    /// The hooks of the deliveries that a user sees in a list.
    fn hooks_seen(&self, token: &str, filter: &str) -> Vec<i64> {
        let path = format!("/api/v1/deliveries?{filter}");
        let answer = self.server.call_as(token, "GET", &path, "").check(200).json();
        let mut hooks: Vec<i64> = items(&answer["items"])
            .iter()
            .map(|row| row["hook_id"].as_i64().expect("an id"))
            .collect();

        hooks.sort_unstable();
        hooks
    }
}

fn merge_request(number: i64) -> Value {
    json!({
        "trigger": "merge_request_hooks",
        "payload": { "object_kind": "merge_request", "object_attributes": { "iid": number, "title": "Longer rope" } },
    })
}

pub(crate) fn every_list_of_history_has_the_same_filters(engine: Engine) {
    let scene = Scene::start(&engine);
    scene.check_counts(&[
        ("events?project=gear/rope", 2),
        ("events?group=gear&trigger=push_hooks", 1),
        // The creation of the project is an event of the group.
        ("events?path=gear&since=1h", 3),
        ("events?until=1h", 0),
        ("events?object=!12", 1),
        ("events?object=!13", 0),
        ("events?object=main", 1),
        ("events?text=Longer%20rope", 1),
        ("events?source=default", 0),
        ("deliveries?project=1&object=!12", 1),
        ("attempts?group=gear&text=Longer%20rope", 1),
        ("attempts?trigger=push_hooks,merge_request_hooks", 3),
    ]);
}

pub(crate) fn deliveries_and_attempts_are_found_by_their_result(engine: Engine) {
    let scene = Scene::start(&engine);
    let (hook, push) = (scene.project_hook, &scene.push);
    scene.check_counts(&[
        ("deliveries?state=delivered", 2),
        ("deliveries?class=rejected", 1),
        ("deliveries?status=404,500", 1),
        (&format!("deliveries?hook={hook}"), 2),
        (&format!("deliveries?event={push}"), 2),
        ("attempts?status=successful", 2),
        ("attempts?class=rejected", 1),
        (&format!("attempts?hook={hook}&event={push}"), 1),
    ]);
}

pub(crate) fn skips_are_listed_with_their_reason(engine: Engine) {
    let sink = Sink::start(|_| Some(200));
    let server = Server::start(&engine, &[]);
    server.make_project();
    let hook = server.make_hook(&sink.url(), r#","push_events_branch_filter":"release""#);

    let event = server.report(1).expect("reported");
    let expected = json!([{ "event_id": event, "hook_id": hook["id"], "reason": "branch_filter" }]);
    assert_eq!(server.get("/api/v1/skips?project=gear/rope")["items"], expected);
    assert_eq!(server.get("/api/v1/skips?hook=999")["items"], json!([]));
}

pub(crate) fn only_the_last_page_has_no_next(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();
    server.report(1).expect("reported");
    server.report(2).expect("reported");

    let first = server.get("/api/v1/events?project=gear/rope&limit=1");
    let next = first["next"].as_str().expect("another page");
    let second = server.get(&format!("/api/v1/events?project=gear/rope&limit=1&before={next}"));
    assert_eq!((items(&second["items"]).len(), &second["next"]), (1, &Value::Null));
}

pub(crate) fn a_maintainer_sees_deliveries_to_the_hooks_of_the_project_only(engine: Engine) {
    let scene = Scene::start(&engine);
    let token = scene.member("projects/1", 40);
    let hook = scene.project_hook;

    assert_eq!(scene.hooks_seen(&token, "project=gear/rope"), [hook, hook]);
    assert_eq!(
        scene.hooks_seen(&token, &format!("project=1&hook={}", scene.group_hook)),
        [0; 0]
    );

    let path = format!("/api/v1/events/{}", scene.push);
    let event = scene.server.call_as(&token, "GET", &path, "").check(200).json();
    let hooks: Vec<&Value> = items(&event["deliveries"]).iter().map(|row| &row["hook_id"]).collect();
    assert_eq!(hooks, [&json!(hook)]);
}

pub(crate) fn an_owner_sees_the_history_of_everything_in_the_group(engine: Engine) {
    let scene = Scene::start(&engine);
    let token = scene.member("groups/gear", 50);
    let hook = scene.project_hook;

    assert_eq!(scene.hooks_seen(&token, "group=gear"), [hook, hook, scene.group_hook]);
    assert_eq!(scene.hooks_seen(&token, "project=1"), [hook, hook]);
}

pub(crate) fn a_list_needs_a_project_or_group_that_the_user_manages(engine: Engine) {
    let scene = Scene::start(&engine);
    let token = scene.member("projects/1", 40);
    let call = |path: &str| scene.server.call_as(&token, "GET", &format!("/api/v1/{path}"), "");

    for list in ["events", "deliveries", "attempts", "skips"] {
        call(list).check_says(403, "name a project or group that you maintain");
        call(&format!("{list}?group=gear")).check(404);
        call(&format!("{list}?project=999")).check(404);
    }

    let developer = scene.member("projects/1", 30);
    scene
        .server
        .call_as(&developer, "GET", "/api/v1/events?project=1", "")
        .check(403);
}

pub(crate) fn foreign_events_and_deliveries_are_not_found(engine: Engine) {
    let scene = Scene::start(&engine);
    let people = People { server: &scene.server };
    let (_, stranger) = people.make("stranger", "api");
    let maintainer = scene.member("projects/1", 40);

    let of_group = scene.list(&format!("deliveries?hook={}", scene.group_hook))[0]["id"].clone();
    let delivery = format!("/api/v1/deliveries/{}", of_group.as_str().expect("an id"));
    let event = format!("/api/v1/events/{}", scene.push);

    scene
        .server
        .call_as(&maintainer, "GET", &delivery, "")
        .check_says(404, "there is no delivery with this id");
    scene
        .server
        .call_as(&stranger, "GET", &event, "")
        .check_says(404, "there is no event with this id");
}

pub(crate) fn a_wrong_value_is_refused_with_the_choices(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let refused = server
        .call("GET", "/api/v1/deliveries?state=deliverd&class=rejectd", "")
        .check(400)
        .json();

    assert_eq!(refused["type"], "/problems/invalid-parameter");
    let error = refused["errors"][0].clone();
    assert_eq!(
        (&error["field"], &error["did_you_mean"]),
        (&json!("state"), &json!("delivered"))
    );
    assert!(items(&error["choices"]).contains(&json!("given_up")), "{error}");

    let class = server
        .call("GET", "/api/v1/attempts?class=rejectd", "")
        .check(400)
        .json();
    assert_eq!(class["errors"][0]["did_you_mean"], "rejected", "{class}");
    let trigger = server
        .call("GET", "/api/v1/events?trigger=push_hook", "")
        .check(400)
        .json();
    assert_eq!(trigger["errors"][0]["did_you_mean"], "push_hooks", "{trigger}");
}

pub(crate) fn all_unknown_parameters_are_named_at_once(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let refused = server
        .call("GET", "/api/v1/attempts?hook_id=7&form=3", "")
        .check(400)
        .json();

    assert_eq!(refused["type"], "/problems/unknown-parameter");
    assert_eq!(items(&refused["errors"]).len(), 2, "{refused}");
    server
        .call("GET", "/api/v1/events?since=yesterday", "")
        .check_says(400, "a span back from now such as 2h");
}

pub(crate) fn a_question_can_wait_until_reported_events_are_counted(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    for number in 1..=20 {
        server.report_event(&json!({
            "trigger": "push_hooks",
            "payload": {
                "object_kind": "push", "ref": "refs/heads/main", "project": { "id": 1, "path_with_namespace": "gear/rope" },
                "before": format!("{:040x}", number), "after": format!("{:040x}", number + 1), "commits": [],
            },
        }));

        let answer = server.get("/api/v1/insights/metrics/pushes?wait=20s");
        assert_eq!(answer["value"], f64::from(number), "{answer}");
    }

    server
        .call("GET", "/api/v1/insights/metrics/pushes?wait=1h", "")
        .check_says(400, "at most 30s");
}
