//! The search box.

use serde_json::{Value, json};

use crate::access::People;
use crate::answers::items;
use crate::gitlab::SENDER;
use crate::http::{Sink, check_parts, eventually};
use crate::server::{Engine, Server};

const SHA: &str = "da1560886d4f094c3e6c9ef40349f7d38b5d27d7";

fn start(engine: &Engine) -> Server {
    let server = Server::start(engine, &[]);
    server.make_project();
    server
}

fn search(server: &Server, text: &str) -> Vec<Value> {
    let found = server.get(&format!("/api/v1/search?q={text}"));
    items(&found["items"]).to_vec()
}

/// The kinds and ids of results.
fn ids(found: &[Value]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    found
        .iter()
        .map(|item| (text(&item["kind"]), text(&item["id"])))
        .collect()
}

pub(crate) fn hooks_and_projects_are_found_by_a_part_of_their_name(engine: Engine) {
    let server = start(&engine);
    let hook = server.make_hook(
        "https://ida:secret@rope.example/in",
        r#","name":"Chat of the ROPE team""#,
    );

    let found = search(&server, "rope");
    assert_eq!(found.len(), 2, "{found:?}");
    check_parts(
        &found[0],
        json!({ "kind": "project", "path": "gear/rope", "api_path": "/api/v4/projects/1" }),
    );
    let path = format!("/api/v4/projects/1/hooks/{}", hook["id"]);
    check_parts(
        &found[1],
        json!({ "kind": "hook", "path": "gear/rope", "api_path": path }),
    );

    assert_eq!(search(&server, "rope.example/in").len(), 1, "a part of the URL");
    assert_eq!(search(&server, "ida:secret").len(), 0, "credentials are not searched");
}

pub(crate) fn events_and_deliveries_are_found_by_their_id(engine: Engine) {
    let server = start(&engine);
    let sink = Sink::start(|_| Some(200));
    server.make_hook(&sink.url(), "");
    let event = server.report(1).expect("it is accepted");
    eventually("the event is delivered", || sink.got().len() == 1);

    let found = search(&server, &event);
    check_parts(
        &found[0],
        json!({ "kind": "event", "title": "push_hooks refs/heads/main", "path": "gear/rope" }),
    );

    // The key of each request is the id of its delivery.
    let key = sink.got()[0].headers["Idempotency-Key"].clone();
    let found = search(&server, &key);
    assert_eq!(ids(&found), [("delivery".to_owned(), key)]);
}

pub(crate) fn an_event_is_found_by_the_key_of_its_request(engine: Engine) {
    let server = start(&engine);
    let reported = server.report(7).expect("it is accepted");
    let project = json!({ "id": 77, "name": "Axe", "path_with_namespace": "gear/axe" });
    let body = json!({ "object_kind": "push", "ref": "refs/heads/main", "project": project }).to_string();
    let received = SENDER.accepted(&server, "Push Hook", "key-of-gitlab", body);

    assert_eq!(ids(&search(&server, "report-7")), [("event".to_owned(), reported)]);
    assert_eq!(ids(&search(&server, "key-of-gitlab")), [("event".to_owned(), received)]);
}

pub(crate) fn events_are_found_by_their_object_and_commit(engine: Engine) {
    let server = start(&engine);
    let report = |payload: Value, trigger: &str| {
        let event = server.report_event(&json!({ "trigger": trigger, "payload": payload }));
        event["id"].as_str().expect("an id").to_owned()
    };

    let merge_request = json!({ "object_kind": "merge_request", "object_attributes": { "iid": 12 } });
    let merge_request = report(merge_request, "merge_request_hooks");
    let push = report(
        json!({ "object_kind": "push", "ref": "refs/heads/main", "after": SHA }),
        "push_hooks",
    );

    assert_eq!(ids(&search(&server, "!12")), [("event".to_owned(), merge_request)]);
    assert_eq!(ids(&search(&server, &SHA[..8])), [("event".to_owned(), push)]);
    assert_eq!(ids(&search(&server, "%237")), []);
}

pub(crate) fn a_member_finds_only_own_objects(engine: Engine) {
    let server = start(&engine);
    server.make_hook("https://rope.example/in", "");
    let event = server.report(1).expect("it is accepted");

    let people = People { server: &server };
    let (_, stranger) = people.make("stranger", "api");
    let (id, maintainer) = people.make("maintainer", "api");
    people.add("projects/1", id, 40);

    let search = |token: &str, text: &str| {
        let reply = server.call_as(token, "GET", &format!("/api/v1/search?q={text}"), "");
        items(&reply.check(200).json()["items"]).len()
    };
    assert_eq!([search(&stranger, "rope"), search(&stranger, &event)], [0, 0]);
    assert_eq!([search(&maintainer, "rope"), search(&maintainer, &event)], [2, 1]);
    assert_eq!([search(&stranger, "report-1"), search(&maintainer, "report-1")], [0, 1]);
}
