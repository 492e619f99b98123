//! The project of an event: decided by instance and number, and never by a path alone, because a path may belong to
//! another project.

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

    send(
        server.port,
        "POST",
        "/api/v1/webhooks/gitlab",
        &headers,
        body.to_string().as_bytes(),
    )
    .expect("an answer")
}

/// Posts a push of a project of GitLab, and returns the id of the event.
fn push(server: &Server, id: i64, path: &str, key: &str) -> String {
    let project = json!({ "id": id, "name": "Rope", "path_with_namespace": path });
    let body = json!({ "object_kind": "push", "ref": "refs/heads/main", "key": key, "project": project });
    let reply = post(server, "Push Hook", GITLAB, key, &body);
    assert_eq!(reply.status, 200, "{}", reply.body);

    reply.json()["job_id"].as_str().expect("an id").to_owned()
}

/// A hook for pushes. It records the keys of the bodies that it got.
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

pub(crate) fn a_new_project_at_an_old_path_does_not_reach_the_hooks_of_the_old_project(engine: Engine) {
    let server = Server::start(&engine, &[]);
    push(&server, 15, "gear/rope", "made");

    let (ear, group) = (
        Ear::on(&server, "projects/gear%2Frope"),
        Ear::on(&server, "groups/gear"),
    );

    push(&server, 15, "gear/cord", "renamed");
    push(&server, 99, "gear/rope", "other");
    push(&server, 15, "gear/cord", "again");
    group.hears(&["renamed", "other", "again"]);
    ear.hears(&["renamed", "again"]);
    assert_eq!(server.get("/api/v4/projects/gear%2Fcord")["id"], 1);
    assert_ne!(server.get("/api/v4/projects/gear%2Frope")["id"], 1);

    // A project at a path that another project still has here, because its rename was missed.
    let replaced = push(&server, 100, "gear/cord", "replaced");
    assert_eq!(deliveries(&server, &replaced), 1, "only the hook of the group gets it");
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

    // The event of a renamed group also changes the paths of its projects.
    let rename = json!({ "event_name": "group_rename", "group_id": 5, "path": "cords", "full_path": "cords",
        "old_path": "ropes", "old_full_path": "ropes" });
    assert_eq!(post(&server, "System Hook", GITLAB, "rename", &rename).status, 200);
    assert_eq!(server.get("/api/v4/projects/1")["path_with_namespace"], "cords/rope");
    push(&server, 15, "cords/rope", "in cords");
    ropes.hears(&["after", "in cords"]);

    // A repeated request does not move the project back.
    assert_eq!(
        post(&server, "System Hook", GITLAB, "transfer", &transfer).json()["status"],
        "duplicate"
    );

    // A project that an administrator has moved stays where it is.
    assert_eq!(
        server.call("PUT", "/api/v4/projects/1", r#"{"path":"pinned"}"#).status,
        200
    );

    push(&server, 15, "gear/rope", "elsewhere");
    assert_eq!(server.get("/api/v4/projects/1")["path_with_namespace"], "cords/pinned");

    let log = server.get("/api/v1/audit?limit=100");
    let moves = log["items"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|entry| entry["method"] == "MOVE");
    let moves: Vec<&str> = moves.map(|entry| entry["path"].as_str().expect("a text")).collect();

    assert_eq!(moves, ["group 2: ropes -> cords", "project 1: gear/rope -> ropes/rope"]);
}

pub(crate) fn renaming_a_project_does_not_attract_foreign_events(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let people = People { server: &server };
    let member = |name: &str, scope: &str, level: i64| {
        let (id, token) = people.make(name, "api");
        let body = json!({ "user_id": id, "access_level": level }).to_string();
        assert_eq!(
            server.call("POST", &format!("/api/v4/{scope}/members"), &body).status,
            201
        );

        token
    };
    let (maintainer, owner) = (member("jo", "projects/1", 40), member("ida", "groups/1", 50));

    let rename = |token: &str, what: &str, path: &str| {
        let headers = [("PRIVATE-TOKEN", token), ("Content-Type", "application/json")];
        let body = json!({ "path": path }).to_string();

        let reply = send(
            server.port,
            "PUT",
            &format!("/api/v4/{what}"),
            &headers,
            body.as_bytes(),
        );
        assert_eq!(reply.expect("an answer").status, 200);
    };

    let (ear, group) = (Ear::on(&server, "projects/1"), Ear::on(&server, "groups/1"));
    rename(&maintainer, "projects/1", "payroll");

    let payroll = push(&server, 500, "gear/payroll", "payroll");
    group.hears(&["payroll"]);

    assert_eq!(
        deliveries(&server, &payroll),
        1,
        "only the hook of the group gets it, because the project is in that group in GitLab"
    );

    rename(&owner, "groups/1", "finance");

    let ledger = push(&server, 501, "finance/ledger", "ledger");
    assert_eq!(deliveries(&server, &ledger), 0);

    assert_eq!(
        server.get("/api/v4/projects/gitlab.example.com%2Ffinance%2Fledger")["name"],
        "Rope"
    );

    let members = json!({ "event_name": "user_add_to_group", "group_id": 9, "group_path": "finance",
        "group_name": "Finance", "user_username": "max" });
    let reply = post(&server, "Member Hook", GITLAB, "member", &members).json();
    let event = server.get(&format!("/api/v1/events/{}", reply["job_id"].as_str().expect("an id")));
    assert_ne!(event["group_id"], 1, "{event}");
    assert_eq!(ear.keys(), Vec::<String>::new());
}

/// Creates a source. Returns the path for posts and the path of the source in the API.
fn source(server: &Server, settings: &Value) -> (String, String) {
    let made = server.call("POST", "/api/v1/sources", &settings.to_string());
    assert_eq!(made.status, 201, "{}", made.body);

    let id = made.json()["id"].as_str().expect("an id").to_owned();
    (format!("/api/v1/webhooks/gitlab/{id}"), format!("/api/v1/sources/{id}"))
}

pub(crate) fn a_source_accepts_only_events_of_its_instance(engine: Engine) {
    let mut server = Server::start(&engine, &[]);
    let body = |who: &str| {
        let project = json!({ "id": 77, "name": "App", "path_with_namespace": "bars/app" });
        json!({ "object_kind": "push", "ref": "refs/heads/main", "key": who, "project": project })
    };
    // A request without an instance, as old versions of GitLab send it, and then the first request that names one.
    server.receive("Push Hook", "old", &body("old"));
    assert_eq!(server.get("/api/v1/sources/default")["instance"], Value::Null);
    assert_eq!(post(&server, "Push Hook", GITLAB, "real", &body("real")).status, 200);
    assert_eq!(server.get("/api/v1/sources/default")["instance"], GITLAB);

    let projects = |server: &Server| server.get("/api/v4/projects").as_array().map(Vec::len);
    assert_eq!(projects(&server), Some(1), "both requests are of the same project");

    let ear = Ear::on(&server, "projects/1");
    let refused = post(&server, "Push Hook", OTHER, "other", &body("other"));

    assert!(
        refused.status == 403 && refused.body.contains(GITLAB),
        "{}",
        refused.body
    );

    let log = server.get("/api/v1/sources/default/requests");
    assert!(
        log["items"][0]["note"]
            .as_str()
            .is_some_and(|note| note.contains("this source serves")),
        "{log}"
    );

    // The source of the second GitLab does not accept events of the first.
    let secret = "of-the-second-gitlab";
    let (at, path) = source(
        &server,
        &json!({ "secret": secret, "instance": "https://TWO.example/" }),
    );

    assert_eq!(server.get(&path)["instance"], OTHER);

    let by_second = |server: &Server, instance: &str, key: &str| {
        let headers = [
            ("X-Gitlab-Token", secret),
            ("X-Gitlab-Event", "Push Hook"),
            ("X-Gitlab-Instance", instance),
            ("Idempotency-Key", key),
        ];
        send(server.port, "POST", &at, &headers, body(key).to_string().as_bytes())
            .expect("an answer")
            .status
    };
    assert_eq!(
        (by_second(&server, GITLAB, "forged"), by_second(&server, OTHER, "own")),
        (403, 200)
    );

    assert_eq!(
        projects(&server),
        Some(2),
        "the project of the second GitLab is another project"
    );

    let change = |server: &Server, instance: &Value| {
        server
            .call("PUT", &path, &json!({ "instance": instance }).to_string())
            .status
    };
    assert_eq!(
        (change(&server, &json!("nonsense")), change(&server, &json!("any"))),
        (422, 200)
    );

    assert_eq!(
        (
            by_second(&server, GITLAB, "trusted"),
            by_second(&server, OTHER, "own too")
        ),
        (200, 200)
    );

    assert_eq!(change(&server, &Value::Null), 200);
    assert_eq!(
        (by_second(&server, OTHER, "first"), by_second(&server, GITLAB, "second")),
        (200, 403)
    );

    ear.hears(&["trusted"]);

    // A new source is not bound to the first GitLab by a request, because another source has it. An administrator can
    // bind it.
    let (at, path) = source(&server, &json!({ "secret": secret }));
    let claim = |server: &Server| {
        let headers = [
            ("X-Gitlab-Token", secret),
            ("X-Gitlab-Event", "Push Hook"),
            ("X-Gitlab-Instance", GITLAB),
        ];
        send(server.port, "POST", &at, &headers, body("claim").to_string().as_bytes()).expect("an answer")
    };
    let refused = claim(&server);

    assert!(
        refused.status == 403 && refused.body.contains("another source"),
        "{}",
        refused.body
    );

    assert_eq!(
        server
            .call("PUT", &path, &json!({ "instance": GITLAB }).to_string())
            .status,
        200
    );

    assert_eq!(claim(&server).status, 200);

    // The binding survives a restart, and the settings can override it.
    server.kill();
    server.restart();
    assert_eq!(post(&server, "Push Hook", OTHER, "again", &body("again")).status, 403);
    server.set("QUICKDRAW__SOURCE__INSTANCE", OTHER);
    server.kill();
    server.restart();
    assert_eq!(post(&server, "Push Hook", OTHER, "again", &body("again")).status, 200);
    assert_eq!(post(&server, "Push Hook", GITLAB, "late", &body("late")).status, 403);
}

pub(crate) fn a_repeated_signed_request_is_a_duplicate_whatever_its_instance_header(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let (at, _) = source(
        &server,
        &json!({ "mode": "signature", "secret": SIGNING, "instance": "any" }),
    );

    let body = json!({ "object_kind": "push", "project": { "id": 7, "path_with_namespace": "bars/app" } }).to_string();
    let now = jiff::Timestamp::now().as_second();
    let signing = SigningToken::parse(SIGNING).expect("a token");
    let (time, signature) = (
        now.to_string(),
        signing.sign("one", Timestamp::from_seconds(now), body.as_bytes()),
    );

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
    assert_eq!(
        projects.as_array().map(Vec::len),
        Some(1),
        "a repeated request creates no project: {projects}"
    );
}
