//! Whose project an event is: by instance and number, and never by a path that may be somebody else's.

use quickdraw_domain::Timestamp;
use quickdraw_domain::signature::SigningToken;
use serde_json::{Value, json};

use crate::access::People;
use crate::http::{Reply, Sink, eventually, send};
use crate::server::{Engine, SECRET, Server};

const GITLAB: &str = "https://gitlab.example.com";
const OTHER: &str = "https://two.example";
const SIGNING: &str = "whsec_c2lnbmluZy1rZXktb2YtdGhpcnR5LXR3by1ieXRlcyE=";

fn post(server: &Server, event: &str, instance: &str, key: &str, body: &Value) -> Reply {
    let headers = [
        ("X-Gitlab-Token", SECRET),
        ("X-Gitlab-Event", event),
        ("X-Gitlab-Instance", instance),
        ("Idempotency-Key", key),
    ];
    send(server.port, "POST", "/api/v1/webhooks/gitlab", &headers, body.to_string().as_bytes()).expect("an answer")
}

/// Receives a push of a project of GitLab's; gives the number of the event.
fn push(server: &Server, id: i64, path: &str, key: &str) -> String {
    let project = json!({ "id": id, "name": "Rope", "path_with_namespace": path });
    let body = json!({ "object_kind": "push", "ref": "refs/heads/main", "key": key, "project": project });
    let reply = post(server, "Push Hook", GITLAB, key, &body);
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()["job_id"].as_str().expect("an id").to_owned()
}

/// Hooks for pushes: each with what it got, by the keys of the bodies.
struct Ear(Sink);

impl Ear {
    fn on(server: &Server, hooks: &str) -> Self {
        let sink = Sink::start(|_| Some(200));
        let body = json!({ "url": sink.url(), "push_events": true }).to_string();
        let made = server.call("POST", &format!("/api/v4/{hooks}/hooks"), &body);
        assert_eq!(made.status, 201, "{}", made.body);
        Self(sink)
    }

    fn keys(&self) -> Vec<String> {
        let key = |body: &[u8]| {
            let body: Value = serde_json::from_slice(body).expect("JSON");
            body["key"].as_str().expect("a key").to_owned()
        };
        self.0.got().iter().map(|got| key(&got.body)).collect()
    }

    fn hears(&self, expected: &[&str]) {
        eventually("it is delivered", || self.keys().len() >= expected.len());
        // Deliveries of several events come in any order.
        let (mut keys, mut expected) = (self.keys(), expected.to_vec());
        keys.sort_unstable();
        expected.sort_unstable();
        assert_eq!(keys, expected);
    }
}

/// How many deliveries an event has.
fn deliveries(server: &Server, event: &str) -> usize {
    server.get(&format!("/api/v1/events/{event}"))["deliveries"].as_array().map_or(0, Vec::len)
}

pub(crate) fn a_new_project_at_an_old_path_does_not_reach_the_hooks_of_the_old_one(engine: Engine) {
    let server = Server::start(&engine, &[]);
    push(&server, 15, "gear/rope", "made");
    let (ear, group) = (Ear::on(&server, "projects/gear%2Frope"), Ear::on(&server, "groups/gear"));
    push(&server, 15, "gear/cord", "renamed");
    push(&server, 99, "gear/rope", "other");
    push(&server, 15, "gear/cord", "again");
    group.hears(&["renamed", "other", "again"]);
    ear.hears(&["renamed", "again"]);
    assert_eq!(server.get("/api/v4/projects/gear%2Fcord")["id"], 1);
    assert_ne!(server.get("/api/v4/projects/gear%2Frope")["id"], 1);
    // Without the rename: another project at a path that is still taken here.
    let replaced = push(&server, 100, "gear/cord", "replaced");
    assert_eq!(deliveries(&server, &replaced), 1, "the group's");
    assert_eq!(server.get("/api/v4/projects/gear%2Fcord-100")["name"], "Rope");
}

pub(crate) fn a_project_that_moves_in_gitlab_leaves_the_hooks_of_its_old_group(engine: Engine) {
    let server = Server::start(&engine, &[]);
    push(&server, 15, "gear/rope", "made");
    push(&server, 16, "ropes/sling", "beside");
    let own = Ear::on(&server, "projects/1");
    let (gear, ropes) = (Ear::on(&server, "groups/gear"), Ear::on(&server, "groups/ropes"));
    push(&server, 15, "gear/rope", "before");
    gear.hears(&["before"]);
    let transfer = json!({ "event_name": "project_transfer", "project_id": 15, "name": "Rope",
        "path_with_namespace": "ropes/rope", "old_path_with_namespace": "gear/rope" });
    assert_eq!(post(&server, "System Hook", GITLAB, "transfer", &transfer).status, 200);
    assert_eq!(server.get("/api/v4/projects/1")["path_with_namespace"], "ropes/rope");
    push(&server, 15, "ropes/rope", "after");
    ropes.hears(&["after"]);
    own.hears(&["before", "after"]);
    assert_eq!(gear.keys(), ["before"]);
    // The event of a renamed group takes all that lies in it along.
    let rename = json!({ "event_name": "group_rename", "group_id": 5, "path": "cords", "full_path": "cords",
        "old_path": "ropes", "old_full_path": "ropes" });
    assert_eq!(post(&server, "System Hook", GITLAB, "rename", &rename).status, 200);
    assert_eq!(server.get("/api/v4/projects/1")["path_with_namespace"], "cords/rope");
    push(&server, 15, "cords/rope", "in cords");
    ropes.hears(&["after", "in cords"]);
    // A repeated request moves nothing back.
    assert_eq!(post(&server, "System Hook", GITLAB, "transfer", &transfer).json()["status"], "duplicate");
    // A project that an administrator moved stays.
    assert_eq!(server.call("PUT", "/api/v4/projects/1", r#"{"path":"pinned"}"#).status, 200);
    push(&server, 15, "gear/rope", "elsewhere");
    assert_eq!(server.get("/api/v4/projects/1")["path_with_namespace"], "cords/pinned");
    let log = server.get("/api/v1/audit?limit=100");
    let moves = log["items"].as_array().expect("a list").iter().filter(|entry| entry["method"] == "MOVE");
    let moves: Vec<&str> = moves.map(|entry| entry["path"].as_str().expect("a text")).collect();
    assert_eq!(moves, ["group 2: ropes -> cords", "project 1: gear/rope -> ropes/rope"]);
}

pub(crate) fn a_path_that_a_member_chose_brings_nobody_elses_events(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();
    let people = People { server: &server };
    let member = |name: &str, scope: &str, level: i64| {
        let (id, token) = people.make(name, "api");
        let body = json!({ "user_id": id, "access_level": level }).to_string();
        assert_eq!(server.call("POST", &format!("/api/v4/{scope}/members"), &body).status, 201);
        token
    };
    let (maintainer, owner) = (member("jo", "projects/1", 40), member("ida", "groups/1", 50));
    let rename = |token: &str, what: &str, path: &str| {
        let headers = [("PRIVATE-TOKEN", token), ("Content-Type", "application/json")];
        let body = json!({ "path": path }).to_string();
        let reply = send(server.port, "PUT", &format!("/api/v4/{what}"), &headers, body.as_bytes());
        assert_eq!(reply.expect("an answer").status, 200);
    };
    let (ear, group) = (Ear::on(&server, "projects/1"), Ear::on(&server, "groups/1"));
    rename(&maintainer, "projects/1", "payroll");
    let payroll = push(&server, 500, "gear/payroll", "payroll");
    group.hears(&["payroll"]);
    assert_eq!(deliveries(&server, &payroll), 1, "the group's, of which it is a project in GitLab too");
    rename(&owner, "groups/1", "finance");
    let ledger = push(&server, 501, "finance/ledger", "ledger");
    assert_eq!(deliveries(&server, &ledger), 0);
    assert_eq!(server.get("/api/v4/projects/gitlab.example.com%2Ffinance%2Fledger")["name"], "Rope");
    let members = json!({ "event_name": "user_add_to_group", "group_id": 9, "group_path": "finance",
        "group_name": "Finance", "user_username": "max" });
    let reply = post(&server, "Member Hook", GITLAB, "member", &members).json();
    let event = server.get(&format!("/api/v1/events/{}", reply["job_id"].as_str().expect("an id")));
    assert_ne!(event["group_id"], 1, "{event}");
    assert_eq!(ear.keys(), Vec::<String>::new());
}

/// Makes a source; gives the path of its URL, and its own.
fn source(server: &Server, settings: &Value) -> (String, String) {
    let made = server.call("POST", "/api/v1/sources", &settings.to_string());
    assert_eq!(made.status, 201, "{}", made.body);
    let id = made.json()["id"].as_str().expect("an id").to_owned();
    (format!("/api/v1/webhooks/gitlab/{id}"), format!("/api/v1/sources/{id}"))
}

pub(crate) fn a_source_speaks_for_the_instance_that_it_is_for(engine: Engine) {
    let mut server = Server::start(&engine, &[]);
    let body = |who: &str| {
        let project = json!({ "id": 77, "name": "App", "path_with_namespace": "bars/app" });
        json!({ "object_kind": "push", "ref": "refs/heads/main", "key": who, "project": project })
    };
    // A request without an instance, as old versions send it, and then the first that names one.
    server.receive("Push Hook", "old", &body("old"));
    assert_eq!(server.get("/api/v1/sources/default")["instance"], Value::Null);
    assert_eq!(post(&server, "Push Hook", GITLAB, "real", &body("real")).status, 200);
    assert_eq!(server.get("/api/v1/sources/default")["instance"], GITLAB);
    let projects = |server: &Server| server.get("/api/v4/projects").as_array().map(Vec::len);
    assert_eq!(projects(&server), Some(1), "it is the same project");
    let ear = Ear::on(&server, "projects/1");
    let refused = post(&server, "Push Hook", OTHER, "other", &body("other"));
    assert!(refused.status == 403 && refused.body.contains(GITLAB), "{}", refused.body);
    let log = server.get("/api/v1/sources/default/requests");
    assert!(log["items"][0]["note"].as_str().is_some_and(|note| note.contains("this source serves")), "{log}");

    // The secret of the second GitLab does not speak for the first.
    let secret = "of-the-second-gitlab";
    let (at, path) = source(&server, &json!({ "secret": secret, "instance": "https://TWO.example/" }));
    assert_eq!(server.get(&path)["instance"], OTHER);
    let by_second = |server: &Server, instance: &str, key: &str| {
        let headers = [
            ("X-Gitlab-Token", secret),
            ("X-Gitlab-Event", "Push Hook"),
            ("X-Gitlab-Instance", instance),
            ("Idempotency-Key", key),
        ];
        send(server.port, "POST", &at, &headers, body(key).to_string().as_bytes()).expect("an answer").status
    };
    assert_eq!((by_second(&server, GITLAB, "forged"), by_second(&server, OTHER, "own")), (403, 200));
    assert_eq!(projects(&server), Some(2), "the second GitLab's is another project");
    let change = |server: &Server, instance: &Value| {
        server.call("PUT", &path, &json!({ "instance": instance }).to_string()).status
    };
    assert_eq!((change(&server, &json!("nonsense")), change(&server, &json!("any"))), (422, 200));
    assert_eq!((by_second(&server, GITLAB, "trusted"), by_second(&server, OTHER, "own too")), (200, 200));
    assert_eq!(change(&server, &Value::Null), 200);
    assert_eq!((by_second(&server, OTHER, "first"), by_second(&server, GITLAB, "second")), (200, 403));
    ear.hears(&["trusted"]);
    // Nor does it learn that it is for the first: an administrator has to say so.
    let (at, path) = source(&server, &json!({ "secret": secret }));
    let claim = |server: &Server| {
        let headers = [("X-Gitlab-Token", secret), ("X-Gitlab-Event", "Push Hook"), ("X-Gitlab-Instance", GITLAB)];
        send(server.port, "POST", &at, &headers, body("claim").to_string().as_bytes()).expect("an answer")
    };
    let refused = claim(&server);
    assert!(refused.status == 403 && refused.body.contains("another source"), "{}", refused.body);
    assert_eq!(server.call("PUT", &path, &json!({ "instance": GITLAB }).to_string()).status, 200);
    assert_eq!(claim(&server).status, 200);

    // It stays known, and the settings can say otherwise.
    server.kill();
    server.restart();
    assert_eq!(post(&server, "Push Hook", OTHER, "again", &body("again")).status, 403);
    server.set("QUICKDRAW__SOURCE__INSTANCE", OTHER);
    server.kill();
    server.restart();
    assert_eq!(post(&server, "Push Hook", OTHER, "again", &body("again")).status, 200);
    assert_eq!(post(&server, "Push Hook", GITLAB, "late", &body("late")).status, 403);
}

pub(crate) fn a_repeated_signed_request_is_a_duplicate_under_every_instance(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let (at, _) = source(&server, &json!({ "mode": "signature", "secret": SIGNING, "instance": "any" }));
    let body = json!({ "object_kind": "push", "project": { "id": 7, "path_with_namespace": "bars/app" } }).to_string();
    let now = jiff::Timestamp::now().as_second();
    let signing = SigningToken::parse(SIGNING).expect("a token");
    let (time, signature) = (now.to_string(), signing.sign("one", Timestamp::from_seconds(now), body.as_bytes()));
    let statuses = [GITLAB, GITLAB, OTHER, "https://three.example"].map(|instance| {
        let headers = [
            ("X-Gitlab-Event", "Push Hook"),
            ("X-Gitlab-Instance", instance),
            ("webhook-id", "one"),
            ("webhook-timestamp", &*time),
            ("webhook-signature", &*signature),
        ];
        let reply = send(server.port, "POST", &at, &headers, body.as_bytes()).expect("an answer");
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()["status"].as_str().expect("a word").to_owned()
    });
    assert_eq!(statuses, ["accepted", "duplicate", "duplicate", "duplicate"]);
    let projects = server.get("/api/v4/projects");
    assert_eq!(projects.as_array().map(Vec::len), Some(1), "a repeated request makes no project: {projects}");
}
