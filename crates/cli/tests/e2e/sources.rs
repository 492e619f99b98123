//! The project of an event: decided by instance and number, and never by a path alone, because a path may belong to
//! another project.

use serde_json::{Value, json};

use crate::access::People;
use crate::gitlab::{SENDER, receiver};
use crate::http::{Reply, Sink, eventually};
use crate::server::{Engine, Server};

fn post(server: &Server, event: &str, key: &str, body: &Value) -> Reply {
    SENDER.post(server, event, key, body.to_string())
}

/// Posts a push of a project of GitLab, and returns the id of the event.
fn push(server: &Server, id: i64, path: &str, key: &str) -> String {
    let project = json!({ "id": id, "name": "Rope", "path_with_namespace": path });
    let body = json!({ "object_kind": "push", "ref": "refs/heads/main", "key": key, "project": project });
    SENDER.accepted(server, "Push Hook", key, body.to_string())
}

/// A hook for pushes. It records the keys of the bodies that it got.
pub(crate) struct Subscriber(Sink);

impl Subscriber {
    pub(crate) fn on(server: &Server, place: &str) -> Self {
        Self(receiver(server, &format!("{place}/hooks"), &Value::Null))
    }

    fn keys(&self) -> Vec<String> {
        let key = |body: &[u8]| {
            let body: Value = serde_json::from_slice(body).expect("JSON");
            body["key"].as_str().expect("a key").to_owned()
        };
        self.0.got().iter().map(|got| key(&got.body)).collect()
    }

    /// Waits for the expected events, and checks that there are no others.
    #[track_caller]
    pub(crate) fn check(&self, expected: &[&str]) {
        eventually("the events are delivered", || self.keys().len() >= expected.len());

        // Deliveries of different events arrive in any order.
        let (mut keys, mut expected) = (self.keys(), expected.to_vec());
        keys.sort_unstable();
        expected.sort_unstable();
        assert_eq!(keys, expected);
    }
}

/// The number of an event's deliveries.
fn deliveries(server: &Server, event: &str) -> usize {
    server.get(&format!("/api/v1/events/{event}"))["deliveries"]
        .as_array()
        .map_or(0, Vec::len)
}

fn path_of_project_1(server: &Server) -> Value {
    server.get("/api/v4/projects/1")["path_with_namespace"].clone()
}

pub(crate) fn a_new_project_at_an_old_path_does_not_reach_the_hooks_of_the_old_project(engine: Engine) {
    let server = Server::start(&engine, &[]);
    push(&server, 15, "gear/rope", "made");

    let project = Subscriber::on(&server, "projects/gear%2Frope");
    let group = Subscriber::on(&server, "groups/gear");

    push(&server, 15, "gear/cord", "renamed");
    push(&server, 99, "gear/rope", "other");
    push(&server, 15, "gear/cord", "again");
    group.check(&["renamed", "other", "again"]);
    project.check(&["renamed", "again"]);

    assert_eq!(server.get("/api/v4/projects/gear%2Fcord")["id"], 1);
    assert_ne!(server.get("/api/v4/projects/gear%2Frope")["id"], 1);
}

/// Another project still has the path here, because its rename was missed.
pub(crate) fn a_project_at_the_path_of_another_project_gets_a_path_of_its_own(engine: Engine) {
    let server = Server::start(&engine, &[]);
    push(&server, 15, "gear/cord", "made");
    Subscriber::on(&server, "projects/gear%2Fcord");
    Subscriber::on(&server, "groups/gear");

    let replaced = push(&server, 100, "gear/cord", "replaced");
    assert_eq!(deliveries(&server, &replaced), 1, "only the hook of the group gets it");
    assert_eq!(server.get("/api/v4/projects/gear%2Fcord-100")["name"], "Rope");
}

/// A server with the projects 15 and 16 of GitLab, in the groups `gear` and `ropes`.
fn start_with_two_groups(engine: &Engine) -> Server {
    let server = Server::start(engine, &[]);
    push(&server, 15, "gear/rope", "made");
    push(&server, 16, "ropes/sling", "beside");

    server
}

/// Reports that project 15 has moved from `gear` to `ropes`.
fn transfer(server: &Server) -> Reply {
    let body = json!({ "event_name": "project_transfer", "project_id": 15, "name": "Rope",
        "path_with_namespace": "ropes/rope", "old_path_with_namespace": "gear/rope" });
    post(server, "System Hook", "transfer", &body).check(200)
}

/// Reports that the group `ropes` is now `cords`.
fn rename_group(server: &Server) {
    let body = json!({ "event_name": "group_rename", "group_id": 5, "path": "cords", "full_path": "cords",
        "old_path": "ropes", "old_full_path": "ropes" });
    post(server, "System Hook", "rename", &body).check(200);
}

pub(crate) fn a_project_that_moves_in_gitlab_leaves_the_hooks_of_its_old_group(engine: Engine) {
    let server = start_with_two_groups(&engine);
    let project = Subscriber::on(&server, "projects/1");
    let gear = Subscriber::on(&server, "groups/gear");
    let ropes = Subscriber::on(&server, "groups/ropes");

    push(&server, 15, "gear/rope", "before");
    gear.check(&["before"]);

    transfer(&server);
    assert_eq!(path_of_project_1(&server), "ropes/rope");

    push(&server, 15, "ropes/rope", "after");
    ropes.check(&["after"]);
    project.check(&["before", "after"]);
    gear.check(&["before"]);
}

pub(crate) fn a_project_follows_its_group_and_a_repeated_transfer_does_not_move_it_back(engine: Engine) {
    let server = start_with_two_groups(&engine);
    transfer(&server);
    let ropes = Subscriber::on(&server, "groups/ropes");
    rename_group(&server);
    assert_eq!(path_of_project_1(&server), "cords/rope");
    push(&server, 15, "cords/rope", "in cords");
    ropes.check(&["in cords"]);

    assert_eq!(transfer(&server).json()["status"], "duplicate");
    assert_eq!(path_of_project_1(&server), "cords/rope");

    let log = server.get("/api/v1/audit?limit=100");
    let entries = log["items"].as_array().expect("a list").iter();
    let moves = entries.filter(|entry| entry["method"] == "MOVE");
    let moves: Vec<&str> = moves.map(|entry| entry["path"].as_str().expect("a text")).collect();

    assert_eq!(moves, ["group 2: ropes -> cords", "project 1: gear/rope -> ropes/rope"]);
}

pub(crate) fn a_project_that_an_administrator_has_moved_stays_there(engine: Engine) {
    let server = start_with_two_groups(&engine);
    transfer(&server);

    let pinned = server.call("PUT", "/api/v4/projects/1", r#"{"path":"pinned"}"#);
    pinned.check(200);

    push(&server, 15, "gear/rope", "elsewhere");
    assert_eq!(path_of_project_1(&server), "ropes/pinned");
}

/// Creates a member of project 1 or of its group, and returns the token.
fn member(server: &Server, name: &str, place: &str, level: i64) -> String {
    let (id, token) = People { server }.make(name, "api");
    let body = json!({ "user_id": id, "access_level": level });
    server.create(&format!("/api/v4/{place}/members"), &body);

    token
}

/// A user changes the path of a project or group.
fn rename(server: &Server, token: &str, place: &str, path: &str) {
    let body = json!({ "path": path }).to_string();
    let reply = server.call_as(token, "PUT", &format!("/api/v4/{place}"), &body);
    reply.check(200);
}

pub(crate) fn renaming_a_project_does_not_attract_foreign_events(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let maintainer = member(&server, "jo", "projects/1", 40);
    let project = Subscriber::on(&server, "projects/1");
    let group = Subscriber::on(&server, "groups/1");

    rename(&server, &maintainer, "projects/1", "payroll");

    // Only the hook of the group gets the event, because the project is in that group in GitLab.
    let payroll = push(&server, 500, "gear/payroll", "payroll");
    group.check(&["payroll"]);
    assert_eq!(deliveries(&server, &payroll), 1);
    project.check(&[]);
}

pub(crate) fn renaming_a_group_does_not_attract_foreign_events(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let owner = member(&server, "ida", "groups/1", 50);
    push(&server, 500, "gear/payroll", "payroll");

    let project = Subscriber::on(&server, "projects/1");
    Subscriber::on(&server, "groups/1");
    rename(&server, &owner, "groups/1", "finance");

    let ledger = push(&server, 501, "finance/ledger", "ledger");
    assert_eq!(deliveries(&server, &ledger), 0);

    let path = "/api/v4/projects/gitlab.example.com%2Ffinance%2Fledger";
    assert_eq!(server.get(path)["name"], "Rope");

    let body = json!({ "event_name": "user_add_to_group", "group_id": 9, "group_path": "finance",
        "group_name": "Finance", "user_username": "max" });
    let id = SENDER.accepted(&server, "Member Hook", "member", body.to_string());
    let event = server.get(&format!("/api/v1/events/{id}"));
    assert_ne!(event["group_id"], 1, "{event}");
    project.check(&[]);
}
