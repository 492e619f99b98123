//! Hooks for all events, of all levels, and the restrictions of hooks of the instance.

use serde_json::{Value, json};

use crate::http::{Reply, Sink, eventually, send};
use crate::server::{Engine, SECRET, Server};

const PROJECT: &str = "/api/v4/projects/gear%2Frope/hooks";
const GROUP: &str = "/api/v4/groups/gear/hooks";
const INSTANCE: &str = "/api/v4/hooks";

fn server(engine: &Engine) -> Server {
    let server = Server::start(engine, &[]);
    server.make_project();
    server
}

fn make(server: &Server, hooks: &str, body: &Value) -> Value {
    let made = server.call("POST", hooks, &body.to_string());
    assert_eq!(made.status, 201, "{hooks}: {}", made.body);
    made.json()
}

fn report(server: &Server, place: &str, trigger: &str, payload: &Value) -> Reply {
    let body = json!({ "trigger": trigger, "payload": payload });
    server.call("POST", &format!("/api/v1/{place}events"), &body.to_string())
}

fn subscribed(hook: &Value) -> Vec<(&String, &Value)> {
    let attributes = hook.as_object().expect("an object").iter();
    attributes
        .filter(|(name, _)| name.ends_with("_events") && *name != "all_events")
        .collect()
}

pub(crate) fn a_project_hook_for_all_events_shows_every_trigger_of_its_level(engine: Engine) {
    let server = server(&engine);
    for hooks in [PROJECT, GROUP] {
        let made = make(
            &server,
            hooks,
            &json!({ "url": "http://127.0.0.1:8999/in", "all_events": true }),
        );
        assert_eq!(made["all_events"], true, "{made}");

        for (name, on) in subscribed(&made) {
            assert_eq!(*on, json!(name != "repository_update_events"), "{name}");
        }
    }
}

pub(crate) fn turning_all_events_off_returns_to_the_triggers_that_were_set(engine: Engine) {
    let server = server(&engine);
    let body = json!({ "url": "http://127.0.0.1:8999/in", "push_events": false, "issues_events": true });
    let before = make(&server, PROJECT, &body);
    let one = format!("{PROJECT}/{}", before["id"]);

    // Clients that save whole objects send the triggers back as they read them.
    let mut read = server.call("PUT", &one, r#"{"all_events":true}"#).json();
    assert_eq!(
        (&read["all_events"], &read["note_events"]),
        (&json!(true), &json!(true))
    );
    read.as_object_mut()
        .expect("an object")
        .retain(|name, _| name.ends_with("_events"));
    assert_eq!(server.call("PUT", &one, &read.to_string()).status, 200);

    let after = server.call("PUT", &one, r#"{"all_events":false}"#).json();
    assert_eq!(subscribed(&after), subscribed(&before));
}

pub(crate) fn a_single_trigger_cannot_be_disabled_beside_all_events(engine: Engine) {
    let server = server(&engine);
    let text = "push_events=false contradicts all_events=true; set all_events=false to choose single triggers";

    for hooks in [PROJECT, GROUP, INSTANCE] {
        let body = json!({ "url": "http://127.0.0.1:8999/in", "all_events": true, "push_events": false });
        let refused = server.call("POST", hooks, &body.to_string());
        assert_eq!(refused.status, 422, "{}", refused.body);
        assert!(refused.body.contains(text), "{}", refused.body);
    }
}

pub(crate) fn a_trigger_that_no_level_has_is_refused_with_the_choices(engine: Engine) {
    let server = server(&engine);
    for hooks in [PROJECT, GROUP, INSTANCE] {
        let made = make(&server, hooks, &json!({ "url": "http://127.0.0.1:8999/in" }));
        let one = format!("{hooks}/{}", made["id"]);

        for (method, path) in [("POST", hooks), ("PUT", one.as_str())] {
            let body = json!({ "url": "http://127.0.0.1:8999/in", "wombat_events": true });
            let refused = server.call(method, path, &body.to_string());
            assert_eq!(refused.status, 400, "{method} {path}: {}", refused.body);
            assert!(refused.body.contains("push_events, "), "{}", refused.body);
            assert!(
                refused.body.contains("or all_events for all of them"),
                "{}",
                refused.body
            );
        }
    }
}

pub(crate) fn a_hook_of_the_instance_for_all_events_gets_every_event_like_a_project_hook(engine: Engine) {
    let server = server(&engine);
    let sink = Sink::start(|_| Some(200));
    make(&server, INSTANCE, &json!({ "url": sink.url(), "all_events": true }));

    let push = json!({ "object_kind": "push", "ref": "refs/heads/main" });
    let issue = json!({ "object_kind": "issue", "event_type": "confidential_issue",
        "object_attributes": { "confidential": true } });
    let member = json!({ "event_name": "user_add_to_group" });
    for (place, trigger, payload) in [
        ("projects/1/", "push_hooks", &push),
        ("projects/1/", "confidential_issue_hooks", &issue),
        ("groups/gear/", "member_hooks", &member),
    ] {
        let reply = report(&server, place, trigger, payload);
        assert_eq!(reply.status, 202, "{trigger}: {}", reply.body);
    }

    eventually("all three events arrive", || sink.got().len() == 3);
    let mut headers: Vec<String> = sink
        .got()
        .iter()
        .map(|got| got.headers["X-Gitlab-Event"].clone())
        .collect();
    headers.sort();
    assert_eq!(headers, ["Confidential Issue Hook", "Member Hook", "Push Hook"]);
}

pub(crate) fn a_received_event_without_a_known_project_reaches_a_hook_for_everything(engine: Engine) {
    let server = server(&engine);
    let sink = Sink::start(|_| Some(200));
    make(&server, INSTANCE, &json!({ "url": sink.url(), "all_events": true }));

    server.receive(
        "Pipeline Hook",
        "key-1",
        &json!({ "object_kind": "pipeline", "object_attributes": { "id": 5 } }),
    );
    eventually("the event arrives", || sink.got().len() == 1);
    assert_eq!(sink.got()[0].headers["X-Gitlab-Event"], "Pipeline Hook");
}

pub(crate) fn a_hook_of_the_instance_is_restricted_to_sources(engine: Engine) {
    let server = server(&engine);
    let (received, reported) = (Sink::start(|_| Some(200)), Sink::start(|_| Some(200)));
    let restricted = |sink: &Sink, sources: &str| {
        let body = json!({ "url": sink.url(), "all_events": true, "sources": [sources] });
        make(&server, INSTANCE, &body)
    };
    let hook = restricted(&received, "default");
    restricted(&reported, "reports");
    assert_eq!(hook["sources"], json!(["default"]));

    server.receive(
        "Push Hook",
        "key-1",
        &json!({ "object_kind": "push", "ref": "refs/heads/received" }),
    );
    server.report(1).expect("accepted");
    eventually("each event arrives", || {
        (received.got().len(), reported.got().len()) == (1, 1)
    });

    let body = String::from_utf8_lossy(&received.got()[0].body).into_owned();
    assert!(body.contains("refs/heads/received"), "{body}");
}

pub(crate) fn a_hook_of_the_instance_is_restricted_to_groups_and_projects(engine: Engine) {
    let server = server(&engine);
    let other = server
        .call("POST", "/api/v4/groups", r#"{"name":"Wall","path":"wall"}"#)
        .json();
    let body = json!({ "name": "Hold", "path": "hold", "namespace_id": other["id"] });
    assert_eq!(server.call("POST", "/api/v4/projects", &body.to_string()).status, 201);

    let (gear, hold) = (Sink::start(|_| Some(200)), Sink::start(|_| Some(200)));
    make(
        &server,
        INSTANCE,
        &json!({ "url": gear.url(), "all_events": true, "groups": ["gear"] }),
    );
    make(
        &server,
        INSTANCE,
        &json!({ "url": hold.url(), "all_events": true, "projects": ["wall/hold"] }),
    );

    let push = json!({ "object_kind": "push", "ref": "refs/heads/main" });
    for place in ["projects/gear%2Frope/", "projects/wall%2Fhold/"] {
        assert_eq!(report(&server, place, "push_hooks", &push).status, 202);
    }

    eventually("each hook gets its event", || {
        (gear.got().len(), hold.got().len()) == (1, 1)
    });
}

/// Creates a group with a project, and returns their ids.
fn make_wall(server: &Server) -> (Value, Value) {
    let group = server.create("/api/v4/groups", &json!({ "name": "Wall", "path": "wall" }));
    let project = json!({ "name": "Hold", "path": "hold", "namespace_id": group["id"] });
    let project = server.create("/api/v4/projects", &project);
    (group["id"].clone(), project["id"].clone())
}

pub(crate) fn a_restriction_to_deleted_objects_is_saved_as_it_was_read(engine: Engine) {
    let server = server(&engine);
    let source = server.create("/api/v1/sources", &json!({ "name": "old" }));
    let (group, project) = make_wall(&server);

    let body = json!({ "url": "http://127.0.0.1:8999/in", "all_events": true, "sources": ["old", "default"],
        "groups": [group], "projects": [project] });
    let hook = make(&server, INSTANCE, &body);
    for path in [
        format!("/api/v1/sources/{}", source["id"].as_str().expect("an id")),
        format!("/api/v4/projects/{project}"),
        format!("/api/v4/groups/{group}"),
    ] {
        let deleted = server.call("DELETE", &path, "");
        assert!((200..300).contains(&deleted.status), "{path}: {}", deleted.body);
    }

    let one = format!("{INSTANCE}/{}", hook["id"]);
    let read = server.get(&one);
    assert!(read["sources"].to_string().contains("deleted "), "{read}");
    assert_eq!(server.call("PUT", &one, &read.to_string()).check(200).json(), read);

    // Another hook cannot be restricted to an object that does not exist.
    let body = json!({ "url": "http://127.0.0.1:8999/in", "sources": read["sources"] });
    server.call("POST", INSTANCE, &body.to_string()).check(400);
}

pub(crate) fn restrictions_of_other_hooks_and_of_unknown_names_are_refused(engine: Engine) {
    let server = server(&engine);
    let refused = |hooks: &str, name: &str, value: &str, text: &str| {
        let body = json!({ "url": "http://127.0.0.1:8999/in", "all_events": true, name: [value] });
        let reply = server.call("POST", hooks, &body.to_string());
        assert_eq!(reply.status, 400, "{}", reply.body);
        assert!(reply.body.contains(text), "{}", reply.body);
    };

    refused(PROJECT, "sources", "default", "sources restricts system hooks only");
    refused(GROUP, "groups", "gear", "groups restricts system hooks only");
    refused(INSTANCE, "sources", "nowhere", "use the id or name of a source");
    refused(INSTANCE, "groups", "no/where", "use an id or a full path");
}

pub(crate) fn one_gitlab_is_relayed_to_five_services(engine: Engine) {
    let server = server(&engine);
    let sinks: Vec<Sink> = (0..5).map(|_| Sink::start(|_| Some(200))).collect();
    for sink in &sinks {
        make(&server, INSTANCE, &json!({ "url": sink.url(), "all_events": true }));
    }

    let body = br#"{"object_kind":"push","ref":"refs/heads/main","project":{"id":7,"path_with_namespace":"far/away"},"project_id":7}"#;
    let headers = [
        ("X-Gitlab-Token", SECRET),
        ("X-Gitlab-Event", "Push Hook"),
        ("X-Gitlab-Instance", "https://gitlab.example.com"),
    ];
    let reply = send(server.port, "POST", "/api/v1/webhooks/gitlab", &headers, body).expect("an answer");
    assert_eq!(reply.status, 200, "{}", reply.body);

    for sink in &sinks {
        eventually("the event arrives", || sink.got().len() == 1);
        assert_eq!(sink.got()[0].body, body, "byte for byte");
    }
}

pub(crate) fn a_hook_of_the_instance_for_all_events_is_disabled_and_holds_like_a_project_hook(engine: Engine) {
    let settings = [("QUICKDRAW__DELIVERY__RETRY", "gitlab")];
    let server = Server::start(&engine, &settings);
    server.make_project();
    let sink = Sink::start(|_| Some(410));
    let hook = make(&server, INSTANCE, &json!({ "url": sink.url(), "all_events": true }));

    for number in 0..4 {
        server.report(number).expect("accepted");
        eventually("the delivery was attempted", || sink.got().len() > number);
    }

    let one = format!("{INSTANCE}/{}", hook["id"]);
    eventually("the hook is disabled", || {
        server.get(&one)["alert_status"] == "disabled"
    });
}
