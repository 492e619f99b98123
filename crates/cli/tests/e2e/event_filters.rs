//! Event filters of hooks: a dry run on past events, the selection of events, and changes of the filter.

use serde_json::{Value, json};

use crate::gitlab::SENDER;
use crate::http::{Reply, Sink, check_parts, eventually};
use crate::server::{Engine, Server};

const HOOKS: &str = "/api/v4/projects/gear%2Frope/hooks";

/// Receives an event of an issue, and returns the id of the event.
fn issue(server: &Server, iid: u64, label: &str) -> String {
    let project = json!({ "id": 77, "name": "Rope", "path_with_namespace": "gear/rope" });
    let body = json!({ "object_kind": "issue", "project": project, "object_attributes": { "iid": iid },
        "labels": [{ "title": label }] });
    SENDER.accepted(server, "Issue Hook", &format!("issue-{iid}"), body.to_string())
}

/// Selects bugs, and issues with a number over 99.
fn filter() -> Value {
    json!({ "any": [{ "label": "bug" }, { "field": "object_attributes.iid", "over": 99 }] })
}

/// A server that has received two issues, of which the filter selects one.
fn start(engine: &Engine) -> Server {
    let server = Server::start(engine, &[]);
    issue(&server, 1, "bug");
    issue(&server, 2, "feature");

    server
}

/// Makes a hook with the filter. Returns its receiver and its path in the API.
fn make_hook(server: &Server) -> (Sink, String) {
    let sink = Sink::start(|_| Some(200));
    let body = json!({ "url": sink.url(), "issues_events": true, "event_filter": filter() });
    let hook = server.create(HOOKS, &body);
    assert_eq!(hook["event_filter"], filter());

    (sink, format!("{HOOKS}/{}", hook["id"]))
}

pub(crate) fn a_filter_can_be_tried_on_past_events(engine: Engine) {
    let server = start(&engine);
    let dry_run = |filter: Value| -> Reply {
        let body = json!({ "event_filter": filter, "project": "gear/rope", "trigger": "issue_hooks" });
        server.call("POST", "/api/v1/event_filters/dry_run", &body.to_string())
    };

    let tried = dry_run(filter()).json();
    check_parts(&tried, json!({ "scanned": 2, "passing": 1, "complete": true }));
    assert_eq!(tried["stopped"].as_array().map(Vec::len), Some(1), "{tried}");
    dry_run(json!({ "lable": "bug" })).check_says(422, "unknown field");
}

pub(crate) fn a_filter_selects_the_events_of_a_hook(engine: Engine) {
    let server = start(&engine);
    let (sink, _) = make_hook(&server);

    let stopped = issue(&server, 3, "feature");
    issue(&server, 4, "bug");
    issue(&server, 100, "feature");
    eventually("two events pass the filter", || sink.got().len() == 2);

    let skipped = server.get(&format!("/api/v1/events/{stopped}"))["skipped"].clone();
    assert_eq!(skipped[0]["reason"], "event_filter", "{skipped}");
}

pub(crate) fn a_filter_is_kept_until_it_is_changed_or_removed(engine: Engine) {
    let server = start(&engine);
    let (sink, path) = make_hook(&server);
    server
        .call("PUT", &path, r#"{"event_filter":{"field":"a"}}"#)
        .check_says(422, "needs a test");

    let change = |body: &str| server.call("PUT", &path, body).json()["event_filter"].clone();

    // Forms send the filter as text.
    let text = r#"{"event_filter":"{\"actor\":\"ida\"}"}"#;
    assert_eq!(change(text), json!({ "actor": "ida" }));
    assert_eq!(change(r#"{"name":"x"}"#), json!({ "actor": "ida" }));
    assert_eq!(change(r#"{"event_filter":null}"#), Value::Null);

    issue(&server, 5, "feature");
    eventually("the event passes without a filter", || sink.got().len() == 1);
}
