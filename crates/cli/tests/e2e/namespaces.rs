//! Groups and projects in groups: their names, where they are found, and where they can be moved.

use serde_json::{Value, json};

use crate::access::People;
use crate::http::{Reply, check_parts};
use crate::server::{Engine, Server, TOKEN};

/// The group `gear` (Gear Works), its subgroup `gear/sub` (Sub Unit) and the project `gear/sub/rope`.
pub(crate) struct Tree {
    pub(crate) gear: i64,
    pub(crate) sub: i64,
    pub(crate) rope: i64,
}

impl Tree {
    pub(crate) fn make(server: &Server) -> Self {
        let make = |path: &str, body: Value| {
            let made = server.create(path, &body);
            made["id"].as_i64().expect("a number")
        };
        let gear = make("/api/v4/groups", json!({ "name": "Gear Works", "path": "gear" }));
        let sub = json!({ "name": "Sub Unit", "path": "sub", "parent_id": gear });
        let sub = make("/api/v4/groups", sub);
        let rope = json!({ "name": "Rope", "path": "rope", "namespace_id": sub });
        let rope = make("/api/v4/projects", rope);

        Self { gear, sub, rope }
    }
}

/// The values of one attribute in a list.
#[track_caller]
pub(crate) fn column(list: &Value, name: &str) -> Vec<Value> {
    let rows = list.as_array().unwrap_or_else(|| panic!("no list: {list}"));
    rows.iter().map(|row| row[name].clone()).collect()
}

#[track_caller]
fn check_not_found(reply: Reply) {
    let answer = reply.check(404).json();
    assert_eq!(answer["message"], "404 Namespace Not Found");
}

pub(crate) fn namespaces_are_found_by_id_and_by_path(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let Tree { gear, sub, .. } = Tree::make(&server);

    for id in [sub.to_string(), "gear%2Fsub".to_owned()] {
        let found = server.get(&format!("/api/v4/namespaces/{id}"));
        check_parts(
            &found,
            json!({ "id": sub, "full_path": "gear/sub", "kind": "group", "parent_id": gear }),
        );
    }

    check_not_found(server.call("GET", "/api/v4/namespaces/nowhere", ""));

    let (_, stranger) = People { server: &server }.make("stranger", "api");
    check_not_found(server.call_as(&stranger, "GET", "/api/v4/namespaces/gear", ""));
}

pub(crate) fn a_namespace_exists_in_its_parent_group_only(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let tree = Tree::make(&server);

    let exists = |path: &str| server.get(&format!("/api/v4/namespaces/{path}"));
    assert_eq!(exists("gear/exists"), json!({ "exists": true, "suggests": ["gear1"] }));
    assert_eq!(exists("sub/exists"), json!({ "exists": false, "suggests": [] }));

    let within = format!("SUB/exists?parent_id={}", tree.gear);
    assert_eq!(exists(&within)["exists"], true);
    assert_eq!(exists("1/exists")["exists"], false, "here, a number is a path");
}

pub(crate) fn full_names_of_groups_contain_the_names_of_parent_groups(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let tree = Tree::make(&server);

    let sub = server.get(&format!("/api/v4/groups/{}", tree.sub));
    assert_eq!(sub["full_name"], "Gear Works / Sub Unit");

    let groups = server.get("/api/v4/groups");
    let names = [json!("Gear Works"), json!("Gear Works / Sub Unit")];
    assert_eq!(column(&groups, "full_name"), names);
}

pub(crate) fn a_project_shows_its_namespace(engine: Engine) {
    let server = Server::start(&engine, &[("QUICKDRAW_EXTERNAL_URL", "https://git.example.com")]);
    let tree = Tree::make(&server);
    let namespace = json!({
        "id": tree.sub, "name": "Sub Unit", "path": "sub", "kind": "group", "full_path": "gear/sub",
        "parent_id": tree.gear, "avatar_url": null, "web_url": "https://git.example.com/groups/gear/sub",
    });

    let expected = json!({
        "name_with_namespace": "Gear Works / Sub Unit / Rope",
        "ssh_url_to_repo": "git@git.example.com:gear/sub/rope.git",
        "namespace": namespace, "archived": false, "empty_repo": false, "topics": [],
    });

    let project = server.get("/api/v4/projects/gear%2Fsub%2Frope");
    check_parts(&project, expected.clone());
    check_parts(&server.get("/api/v4/projects")[0], expected);
}

pub(crate) fn the_last_activity_of_a_project_is_its_newest_event(engine: Engine) {
    let server = Server::start(&engine, &[]);
    Tree::make(&server);

    let project = || server.get("/api/v4/projects/gear%2Fsub%2Frope");
    for rope in [project(), server.get("/api/v4/projects")[0].clone()] {
        assert_eq!(rope["last_activity_at"], rope["created_at"], "{rope}");
    }

    server.report_event(&push());

    let event = server.get("/api/v1/events?limit=1")["items"][0].clone();
    assert_eq!(project()["last_activity_at"], event["received_at"], "{event}");
}

fn push() -> Value {
    json!({ "trigger": "push_hooks", "payload": { "object_kind": "push", "ref": "refs/heads/main" } })
}

pub(crate) fn a_project_in_an_unknown_namespace_is_refused(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let body = r#"{"name":"Rope","namespace_id":99}"#;
    let made = server.call("POST", "/api/v4/projects", body).check(400);
    assert_eq!(made.json(), json!({ "message": { "namespace": ["is not valid"] } }));

    let tree = Tree::make(&server);
    let transfer = format!("/api/v4/projects/{}/transfer", tree.rope);
    check_not_found(server.call("PUT", &transfer, r#"{"namespace":"nowhere"}"#));
}

pub(crate) fn a_project_can_be_archived(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let rope = Tree::make(&server).rope;
    let archive = |verb: &str| server.call("POST", &format!("/api/v4/projects/{rope}/{verb}"), "");

    archive("archive").check(201);
    assert_eq!(archive("archive").json()["archived"], true);

    let archived = server.get("/api/v4/projects?archived=true");
    assert_eq!(column(&archived, "id"), [json!(rope)]);
    assert_eq!(server.get("/api/v4/projects?archived=false"), json!([]));

    // The server accepts events of an archived project.
    server.report_event(&push());
    assert_eq!(archive("unarchive").json()["archived"], false);
}

/// Moves a group.
fn transfer(server: &Server, token: &str, group: i64, target: Option<i64>) -> Reply {
    let body = json!({ "group_id": target }).to_string();
    let path = format!("/api/v4/groups/{group}/transfer");
    server.call_as(token, "POST", &path, &body)
}

fn make_other(server: &Server) -> i64 {
    let other = server.create("/api/v4/groups", &json!({ "name": "Other", "path": "other" }));
    other["id"].as_i64().expect("a number")
}

pub(crate) fn a_group_is_moved_by_an_owner_of_both_groups(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let Tree { gear, sub, rope } = Tree::make(&server);
    let other = make_other(&server);

    let people = People { server: &server };
    let (ida, token) = people.make("ida", "api");
    people.add(&format!("groups/{sub}"), ida, 50);

    // The user cannot see the parent group.
    transfer(&server, &token, sub, Some(other)).check(404);
    people.add(&format!("groups/{gear}"), ida, 50);

    // The user cannot see the target group.
    transfer(&server, &token, sub, Some(other)).check(404);
    people.add(&format!("groups/{other}"), ida, 50);

    let moved = transfer(&server, &token, sub, Some(other)).check(201).json();
    assert_eq!(moved["full_name"], "Other / Sub Unit");
    check_is_in_other(&server, sub, rope);
}

fn check_is_in_other(server: &Server, sub: i64, rope: i64) {
    let project = server.get(&format!("/api/v4/projects/{rope}"));
    assert_eq!(project["path_with_namespace"], "other/sub/rope");

    let groups = server.get("/api/v4/groups/other/descendant_groups");
    assert_eq!(column(&groups, "id"), [json!(sub)]);
}

pub(crate) fn a_group_becomes_a_top_level_group_by_an_administrator(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let Tree { gear, sub, .. } = Tree::make(&server);

    let people = People { server: &server };
    let (ida, token) = people.make("ida", "api");
    people.add(&format!("groups/{gear}"), ida, 50);
    transfer(&server, &token, sub, None).check(403);

    let moved = transfer(&server, TOKEN, sub, None).json();
    assert_eq!(moved["full_path"], "sub");
}

pub(crate) fn a_group_cannot_be_moved_to_an_impossible_place(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let Tree { gear, sub, .. } = Tree::make(&server);
    let other = make_other(&server);
    transfer(&server, TOKEN, sub, Some(other)).check(201);

    let taken = json!({ "name": "Sub", "path": "sub", "parent_id": gear });
    server.create("/api/v4/groups", &taken);

    for (group, target, words) in [
        (sub, Some(other), "Group is already associated to the parent group."),
        (gear, None, "Group is already a root group."),
        (other, Some(sub), "Cannot transfer group to one of its subgroup."),
        (
            sub,
            Some(gear),
            "The parent group already has a subgroup or a project with the same path.",
        ),
    ] {
        let refused = transfer(&server, TOKEN, group, target).check(400).json();
        assert_eq!(refused["message"], format!("Transfer failed: {words}"));
    }
}
