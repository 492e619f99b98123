//! Changes of projects, groups, users and members with the API, and the webhooks that get their events.

use serde_json::{Value, json};

use crate::Check;
use crate::access::People;
use crate::gitlab::{SENDER, push_of};
use crate::http::{Got, Sink, eventually};
use crate::server::{Engine, Server};

/// The tests of this file.
pub(crate) const CHECKS: &[(&str, Check)] = &[
    (
        "changes_of_a_project_reach_system_hooks",
        changes_of_a_project_reach_system_hooks,
    ),
    ("a_transfer_reaches_system_hooks", a_transfer_reaches_system_hooks),
    (
        "a_new_project_reaches_the_hooks_of_its_group",
        a_new_project_reaches_the_hooks_of_its_group,
    ),
    (
        "subgroups_reach_the_hooks_of_their_parent",
        subgroups_reach_the_hooks_of_their_parent,
    ),
    (
        "a_deleted_group_reports_everything_in_it",
        a_deleted_group_reports_everything_in_it,
    ),
    (
        "users_reach_system_hooks_without_their_addresses",
        users_reach_system_hooks_without_their_addresses,
    ),
    (
        "members_of_a_project_reach_system_hooks",
        members_of_a_project_reach_system_hooks,
    ),
    ("members_of_a_group_reach_its_hooks", members_of_a_group_reach_its_hooks),
    (
        "a_refused_change_and_a_received_project_fire_nothing",
        a_refused_change_and_a_received_project_fire_nothing,
    ),
];

fn body_of(got: &Got) -> Value {
    serde_json::from_slice(&got.body).expect("JSON")
}

/// The names of the events that a receiver got, sorted, because deliveries overtake each other.
fn names(sink: &Sink) -> Vec<String> {
    let name = |got: &Got| body_of(got)["event_name"].as_str().expect("a name").to_owned();
    let mut names: Vec<String> = sink.got().iter().map(name).collect();
    names.sort();

    names
}

/// Waits until a receiver got exactly these events.
#[track_caller]
fn check(sink: &Sink, expected: &[&str]) {
    eventually("all events arrived", || sink.got().len() >= expected.len());
    assert_eq!(names(sink), expected);
}

/// A receiver of a system hook.
fn system(server: &Server) -> Sink {
    let sink = Sink::start(|_| Some(200));
    server.create("/api/v4/hooks", &json!({ "url": sink.url() }));

    sink
}

/// A receiver of the hook of the group `gear` for members, subgroups and projects.
fn of_group(server: &Server) -> Sink {
    let sink = Sink::start(|_| Some(200));
    let hook = json!({
        "url": sink.url(), "push_events": false,
        "member_events": true, "subgroup_events": true, "project_events": true,
    });
    server.create("/api/v4/groups/gear/hooks", &hook);

    sink
}

fn change(server: &Server, method: &str, path: &str, body: &Value) {
    let reply = server.call(method, path, &body.to_string());
    assert!(reply.status < 300, "{method} {path}: {} {}", reply.status, reply.body);
}

pub(crate) fn changes_of_a_project_reach_system_hooks(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();
    let sink = system(&server);

    change(
        &server,
        "PUT",
        "/api/v4/projects/1",
        &json!({ "description": "for climbers" }),
    );
    change(&server, "PUT", "/api/v4/projects/1", &json!({ "path": "ropes" }));
    change(&server, "POST", "/api/v4/projects/1/archive", &json!({}));
    change(&server, "DELETE", "/api/v4/projects/1", &json!({}));

    check(
        &sink,
        &["project_destroy", "project_rename", "project_update", "project_update"],
    );
    let renamed = sink
        .got()
        .iter()
        .map(body_of)
        .find(|body| body["event_name"] == "project_rename");
    let renamed = renamed.expect("a body");
    assert_eq!(renamed["old_path_with_namespace"], "gear/rope");
    assert_eq!(renamed["path_with_namespace"], "gear/ropes");
}

pub(crate) fn a_transfer_reaches_system_hooks(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();
    server.create("/api/v4/groups", &json!({ "name": "Other", "path": "other" }));
    let sink = system(&server);

    change(
        &server,
        "PUT",
        "/api/v4/projects/1/transfer",
        &json!({ "namespace": "other" }),
    );
    check(&sink, &["project_transfer"]);
}

pub(crate) fn a_new_project_reaches_the_hooks_of_its_group(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let group = server.create("/api/v4/groups", &json!({ "name": "Gear", "path": "gear" }));
    let (system, sink) = (system(&server), of_group(&server));

    let project = json!({ "name": "Rope", "path": "rope", "namespace_id": group["id"] });
    server.create("/api/v4/projects", &project);
    check(&sink, &["project_create"]);
    check(&system, &["project_create"]);

    let got = &sink.got()[0];
    assert_eq!(got.headers["X-Gitlab-Event"], "Project Hook");
    assert_eq!(body_of(got)["path_with_namespace"], "gear/rope");
}

pub(crate) fn subgroups_reach_the_hooks_of_their_parent(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let group = server.create("/api/v4/groups", &json!({ "name": "Gear", "path": "gear" }));
    let (system, sink) = (system(&server), of_group(&server));

    let subgroup = json!({ "name": "Ropes", "path": "ropes", "parent_id": group["id"] });
    let subgroup = server.create("/api/v4/groups", &subgroup);
    let path = format!("/api/v4/groups/{}", subgroup["id"]);
    change(&server, "PUT", &path, &json!({ "path": "lines" }));
    change(&server, "DELETE", &path, &json!({}));

    check(&sink, &["subgroup_create", "subgroup_destroy"]);
    check(&system, &["group_create", "group_destroy", "group_rename"]);
    let created = sink
        .got()
        .iter()
        .map(body_of)
        .find(|body| body["event_name"] == "subgroup_create");
    assert_eq!(created.expect("a body")["parent_full_path"], "gear");
}

pub(crate) fn a_deleted_group_reports_everything_in_it(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();
    let group = server.get("/api/v4/groups/gear");
    let subgroup = json!({ "name": "Ropes", "path": "ropes", "parent_id": group["id"] });
    server.create("/api/v4/groups", &subgroup);

    let sink = system(&server);
    change(&server, "DELETE", "/api/v4/groups/gear", &json!({}));
    check(&sink, &["group_destroy", "group_destroy", "project_destroy"]);
}

pub(crate) fn users_reach_system_hooks_without_their_addresses(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let sink = system(&server);

    let user = json!({ "username": "jo", "name": "Jo Belay", "email": "jo@climb.example" });
    let path = format!("/api/v4/users/{}", server.create("/api/v4/users", &user)["id"]);
    change(&server, "PUT", &path, &json!({ "name": "Joanna Belay" }));
    change(&server, "PUT", &path, &json!({ "username": "joanna" }));
    change(&server, "DELETE", &path, &json!({}));

    check(&sink, &["user_create", "user_destroy", "user_rename"]);
    for body in sink.got().iter().map(body_of) {
        assert_eq!(body["email"], "[REDACTED]", "{body}");
    }
}

/// Adds a member to a group or project, changes the role, and removes the member.
fn change_members(server: &Server, scope: &str) {
    let (user, _) = People { server }.make("jo", "api");
    let path = format!("/api/v4/{scope}/members");
    change(server, "POST", &path, &json!({ "user_id": user, "access_level": 30 }));

    let path = format!("{path}/{user}");
    change(server, "PUT", &path, &json!({ "access_level": 40 }));
    change(server, "PUT", &path, &json!({ "access_level": 40 }));
    change(server, "DELETE", &path, &json!({}));
}

pub(crate) fn members_of_a_project_reach_system_hooks(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();
    let sink = system(&server);
    change_members(&server, "projects/1");

    let expected = [
        "user_add_to_team",
        "user_create",
        "user_remove_from_team",
        "user_update_for_team",
    ];
    check(&sink, &expected);
    let added = sink
        .got()
        .iter()
        .map(body_of)
        .find(|body| body["event_name"] == "user_add_to_team");
    assert_eq!(added.expect("a body")["access_level"], "Developer");
}

pub(crate) fn members_of_a_group_reach_its_hooks(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();
    let (system, sink) = (system(&server), of_group(&server));
    change_members(&server, "groups/gear");

    check(
        &sink,
        &["user_add_to_group", "user_remove_from_group", "user_update_for_group"],
    );
    let expected = [
        "user_add_to_group",
        "user_create",
        "user_remove_from_group",
        "user_update_for_group",
    ];
    check(&system, &expected);
}

pub(crate) fn a_refused_change_and_a_received_project_fire_nothing(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();
    let sink = system(&server);

    let taken = json!({ "name": "Gear", "path": "gear" }).to_string();
    assert!(server.call("POST", "/api/v4/groups", &taken).status >= 400);
    SENDER.accepted(&server, "Push Hook", "a-push", push_of(1));

    let user = json!({ "username": "last", "name": "Last" });
    server.create("/api/v4/users", &user);
    check(&sink, &["user_create"]);
}
