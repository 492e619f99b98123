//! SSH keys of users: who may change them, which texts are keys, and the events about them.

use serde_json::{Value, json};

use crate::access::People;
use crate::http::{Got, Reply, Sink, check_parts, eventually};
use crate::server::{Engine, Server};

const OWN: &str = "/api/v4/user/keys";

/// A key without a comment. Keys of different numbers differ in their last bytes.
fn key(number: usize) -> String {
    format!("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhsc{number:04}")
}

/// A key to add, with a comment.
fn body(number: usize) -> Value {
    json!({ "title": "laptop", "key": format!("{} jo@climb.example\n", key(number)) })
}

fn add(server: &Server, path: &str, body: &Value) -> Reply {
    server.call("POST", path, &body.to_string())
}

/// The path of the keys of a new user.
fn of_new_user(server: &Server, username: &str) -> String {
    let (user, _) = People { server }.make(username, "api");
    format!("/api/v4/users/{user}/keys")
}

/// A receiver of a system hook.
fn system(server: &Server) -> Sink {
    let sink = Sink::start(|_| Some(200));
    server.create("/api/v4/hooks", &json!({ "url": sink.url() }));
    sink
}

/// The bodies of events that a receiver got, by the names of the events.
fn bodies(sink: &Sink, number: usize) -> Vec<Value> {
    eventually("all events arrived", || sink.got().len() >= number);
    let body = |got: &Got| serde_json::from_slice(&got.body).expect("JSON");
    let mut bodies: Vec<Value> = sink.got().iter().map(body).collect();
    bodies.sort_by_key(|body| body["event_name"].as_str().map(str::to_owned));

    bodies
}

pub(crate) fn a_user_adds_lists_and_deletes_keys(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let (_, token) = People { server: &server }.make("jo", "api");
    let call = |method: &str, path: &str, body: &str| server.call_as(&token, method, path, body);

    let added = call("POST", OWN, &body(1).to_string()).check(201).json();
    check_parts(
        &added,
        json!({ "title": "laptop", "usage_type": "auth_and_signing", "expires_at": null }),
    );
    // The comment is an e-mail address, so it is not shown.
    assert_eq!(added["key"], format!("{} jo (127.0.0.1)", key(1)));
    assert_eq!(call("GET", OWN, "").check(200).json(), json!([added]));

    let one = format!("{OWN}/{}", added["id"]);
    assert_eq!(call("GET", &one, "").check(200).json(), added);
    call("DELETE", &one, "").check(204);
    call("DELETE", &one, "").check_says(404, "404 Key Not Found");
    assert_eq!(call("GET", OWN, "").check(200).json(), json!([]));
}

pub(crate) fn an_administrator_manages_the_keys_of_others(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let keys = of_new_user(&server, "jo");
    let (_, stranger) = People { server: &server }.make("ida", "api");

    let mut new = body(1);
    new["expires_at"] = json!("2999-01-01");
    new["usage_type"] = json!("signing");
    let added = server.create(&keys, &new);
    check_parts(
        &added,
        json!({ "usage_type": "signing", "expires_at": "2999-01-01T00:00:00.000Z" }),
    );

    let one = format!("{keys}/{}", added["id"]);
    let call = |method: &str, path: &str, body: &str| server.call_as(&stranger, method, path, body);
    assert_eq!(call("GET", &keys, "").check(200).json(), json!([added]));
    assert_eq!(call("GET", &one, "").check(200).json(), added);
    call("POST", &keys, &body(2).to_string()).check(403);
    call("DELETE", &one, "").check(403);
    call("DELETE", &format!("{OWN}/{}", added["id"]), "").check(404);

    server.call("DELETE", &one, "").check(204);
    assert_eq!(server.get(&keys), json!([]));
}

pub(crate) fn a_key_of_another_form_is_refused(engine: Engine) {
    let server = Server::start(&engine, &[]);
    for (name, value, reason) in [
        ("key", json!("hello"), "must be one line"),
        ("key", json!("ssh-secret AAAA"), "ssh-ed25519, ssh-rsa"),
        ("key", json!("ssh-ed25519 AAAA"), "damaged or incomplete"),
        ("key", json!("x".repeat(9_000)), "maximum is 8192 bytes"),
        ("title", json!(""), "title is missing"),
        ("usage_type", json!("fun"), "usage_type does not have a valid value"),
        ("expires_at", json!("2020-01-01"), "must be in the future"),
    ] {
        let mut wrong = body(1);
        wrong[name] = value;
        add(&server, OWN, &wrong).check_says(400, reason);
    }

    add(&server, OWN, &body(1)).check(201);
}

pub(crate) fn a_key_belongs_to_one_user(engine: Engine) {
    let server = Server::start(&engine, &[]);
    add(&server, OWN, &body(1)).check(201);

    let same = json!({ "title": "other", "key": key(1) });
    for path in [OWN.to_owned(), of_new_user(&server, "jo")] {
        let refused = add(&server, &path, &same).check(400).json();
        assert_eq!(refused, json!({ "message": { "key": ["has already been taken"] } }));
    }
}

pub(crate) fn a_user_has_at_most_a_hundred_keys(engine: Engine) {
    let server = Server::start(&engine, &[]);
    for number in 0..100 {
        add(&server, OWN, &body(number)).check(201);
    }

    add(&server, OWN, &body(100)).check_says(400, "maximum is 100");
    add(&server, &of_new_user(&server, "jo"), &body(100)).check(201);
}

pub(crate) fn keys_reach_system_hooks(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let keys = of_new_user(&server, "jo");
    let sink = system(&server);
    let added = server.create(&keys, &body(1));
    server.call("DELETE", &format!("{keys}/{}", added["id"]), "").check(204);

    let bodies = bodies(&sink, 2);
    let names: Vec<&Value> = bodies.iter().map(|body| &body["event_name"]).collect();
    assert_eq!(names, ["key_create", "key_destroy"]);
    for body in &bodies {
        let key = format!("{} jo@climb.example", key(1));
        check_parts(body, json!({ "username": "jo", "key": key, "id": added["id"] }));
        assert!(
            body["created_at"].is_string() && body["updated_at"].is_string(),
            "{body}"
        );
    }
}

pub(crate) fn a_deleted_user_reports_the_keys(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let keys = of_new_user(&server, "jo");
    server.create(&keys, &body(1));
    let sink = system(&server);
    server.call("DELETE", keys.trim_end_matches("/keys"), "").check(204);

    let bodies = bodies(&sink, 2);
    let names: Vec<&Value> = bodies.iter().map(|body| &body["event_name"]).collect();
    assert_eq!(names, ["key_destroy", "user_destroy"]);
}
