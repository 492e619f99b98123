//! The instance of a source: it is bound by the first request or by the settings, and events of other instances are
//! refused.

use quickdraw_domain::Timestamp;
use quickdraw_domain::signature::SigningToken;
use serde_json::{Value, json};

use crate::gitlab::{DEFAULT, GITLAB, OTHER, SENDER, SIGNING, Sender};
use crate::http::{Reply, send};
use crate::server::{Engine, Server};
use crate::sources::Subscriber;

const SECRET: &str = "of-the-second-gitlab";

fn body(key: &str) -> String {
    let project = json!({ "id": 77, "name": "App", "path_with_namespace": "bars/app" });
    json!({ "object_kind": "push", "ref": "refs/heads/main", "key": key, "project": project }).to_string()
}

/// Posts a push of an instance to the default source.
fn post(server: &Server, instance: &str, key: &str) -> Reply {
    let sender = Sender { instance, ..SENDER };
    sender.post(server, "Push Hook", key, body(key))
}

/// A server whose default source got an event of `GITLAB`.
fn start(engine: &Engine) -> Server {
    let server = Server::start(engine, &[]);
    post(&server, GITLAB, "real").check(200);

    server
}

/// A source that was created with the API.
struct Source {
    /// The path for posts.
    at: String,

    /// The path of the source in the API.
    path: String,
}

impl Source {
    fn make(server: &Server, settings: &Value) -> Self {
        let made = server.create("/api/v1/sources", settings);
        let id = made["id"].as_str().expect("an id");
        Self {
            at: format!("{DEFAULT}/{id}"),
            path: format!("/api/v1/sources/{id}"),
        }
    }

    /// The source of a second GitLab.
    fn second(server: &Server) -> Self {
        Self::make(server, &json!({ "secret": SECRET, "instance": "https://TWO.example/" }))
    }

    fn post(&self, server: &Server, instance: &str, key: &str) -> Reply {
        let sender = Sender {
            at: &self.at,
            secret: SECRET,
            instance,
            chain: "",
        };
        sender.post(server, "Push Hook", key, body(key))
    }

    /// Changes the instance to which the source is bound.
    fn bind(&self, server: &Server, instance: &Value) -> Reply {
        let body = json!({ "instance": instance }).to_string();
        server.call("PUT", &self.path, &body)
    }
}

fn projects(server: &Server) -> Option<usize> {
    server.get("/api/v4/projects").as_array().map(Vec::len)
}

/// Old versions of GitLab send requests without an instance.
pub(crate) fn the_first_request_with_an_instance_binds_a_source(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let instance = || server.get("/api/v1/sources/default")["instance"].clone();
    post(&server, "", "old").check(200);
    assert_eq!(instance(), Value::Null);

    post(&server, GITLAB, "real").check(200);
    assert_eq!(instance(), GITLAB);
    assert_eq!(projects(&server), Some(1), "both requests are of the same project");
}

pub(crate) fn a_source_refuses_events_of_other_instances(engine: Engine) {
    let server = start(&engine);
    let subscriber = Subscriber::on(&server, "projects/1");
    post(&server, OTHER, "other").check_says(403, GITLAB);

    let log = server.get("/api/v1/sources/default/requests");
    let note = log["items"][0]["note"].as_str().expect("a note");
    assert!(note.contains("this source serves"), "{log}");
    subscriber.check(&[]);
}

pub(crate) fn a_source_of_another_instance_has_projects_of_its_own(engine: Engine) {
    let server = start(&engine);
    let second = Source::second(&server);
    assert_eq!(server.get(&second.path)["instance"], OTHER);

    second.post(&server, GITLAB, "forged").check(403);
    second.post(&server, OTHER, "own").check(200);
    assert_eq!(projects(&server), Some(2), "it is another project");
}

pub(crate) fn an_administrator_can_change_the_instance_of_a_source(engine: Engine) {
    let server = start(&engine);
    let subscriber = Subscriber::on(&server, "projects/1");
    let second = Source::second(&server);

    second.bind(&server, &json!("nonsense")).check(422);
    second.bind(&server, &json!("any")).check(200);
    second.post(&server, GITLAB, "trusted").check(200);
    second.post(&server, OTHER, "own too").check(200);

    second.bind(&server, &Value::Null).check(200);
    second.post(&server, OTHER, "first").check(200);
    second.post(&server, GITLAB, "second").check(403);
    subscriber.check(&["trusted"]);
}

pub(crate) fn a_request_does_not_bind_a_source_to_the_instance_of_another_source(engine: Engine) {
    let server = start(&engine);
    let source = Source::make(&server, &json!({ "secret": SECRET }));
    let claim = || source.post(&server, GITLAB, "");

    claim().check_says(403, "another source");
    source.bind(&server, &json!(GITLAB)).check(200);
    claim().check(200);
}

pub(crate) fn the_binding_survives_a_restart_and_the_settings_override_it(engine: Engine) {
    let mut server = start(&engine);
    server.kill();
    server.restart();
    post(&server, OTHER, "again").check(403);

    server.set("QUICKDRAW__SOURCE__INSTANCE", OTHER);
    server.kill();
    server.restart();
    post(&server, OTHER, "again").check(200);
    post(&server, GITLAB, "late").check(403);
}

/// Posts a request with the same signature for an instance, and returns its status in the answer.
fn post_signed(server: &Server, at: &str, time: i64, instance: &str) -> String {
    let project = json!({ "id": 7, "path_with_namespace": "bars/app" });
    let body = json!({ "object_kind": "push", "project": project }).to_string();
    let signing = SigningToken::parse(SIGNING).expect("a token");
    let signature = signing.sign("one", Timestamp::from_seconds(time), body.as_bytes());

    let headers = [
        ("X-Gitlab-Event", "Push Hook"),
        ("X-Gitlab-Instance", instance),
        ("webhook-id", "one"),
        ("webhook-timestamp", &time.to_string()),
        ("webhook-signature", &signature),
    ];

    let reply = send(server.port, "POST", at, &headers, body.as_bytes()).expect("an answer");
    let reply = reply.check(200).json();
    reply["status"].as_str().expect("a word").to_owned()
}

pub(crate) fn a_repeated_signed_request_is_a_duplicate_whatever_its_instance_header(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let settings = json!({ "mode": "signature", "secret": SIGNING, "instance": "any" });
    let source = Source::make(&server, &settings);

    let now = jiff::Timestamp::now().as_second();
    let instances = [GITLAB, GITLAB, OTHER, "https://three.example"];
    let statuses = instances.map(|instance| post_signed(&server, &source.at, now, instance));
    assert_eq!(statuses, ["accepted", "duplicate", "duplicate", "duplicate"]);
    assert_eq!(projects(&server), Some(1), "a repeated request creates no project");
}
