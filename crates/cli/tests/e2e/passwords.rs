//! Passwords of local accounts: who sets them, and which ones are refused.

use serde_json::{Value, json};

use crate::access::People;
use crate::commands::{administer, succeed};
use crate::http::Reply;
use crate::server::{Engine, Server};

pub(crate) const PASSWORD: &str = "correct horse";
const OTHER: &str = "battery staple";
const OWN: &str = "/api/v1/user/password";

/// Creates a user with a password, and returns the id and a token.
pub(crate) fn make_user(server: &Server, username: &str) -> (i64, String) {
    let body = json!({ "username": username, "name": username, "password": PASSWORD });
    let id = server.create("/api/v4/users", &body)["id"].as_i64().expect("a number");
    (id, People { server }.token(id, "api"))
}

fn change(server: &Server, token: &str, current: &str, new: &str) -> Reply {
    let body = json!({ "current_password": current, "password": new });
    server.call_as(token, "PUT", OWN, &body.to_string())
}

pub(crate) fn a_user_changes_the_own_password(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let (_, token) = make_user(&server, "ida");

    change(&server, &token, OTHER, PASSWORD).check_refusal(400, "current_password is not the password");
    change(&server, &token, PASSWORD, OTHER).check(204);
    change(&server, &token, OTHER, PASSWORD).check(204);
}

pub(crate) fn an_administrator_sets_the_first_password_of_a_user(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let (id, token) = People { server: &server }.make("ida", "api");
    change(&server, &token, PASSWORD, OTHER).check_refusal(409, "has no password yet");

    let path = format!("/api/v4/users/{id}");
    server
        .call_as(&token, "PUT", &path, &json!({ "password": PASSWORD }).to_string())
        .check(403);

    let set = server
        .call("PUT", &path, &json!({ "password": PASSWORD }).to_string())
        .check(200);
    assert!(!set.body.contains("password"), "{}", set.body);
    change(&server, &token, PASSWORD, OTHER).check(204);
}

/// Refused attributes of a new user, and a part of the answer.
fn refused() -> [(Value, &'static str); 6] {
    [
        (
            json!({ "password": "short" }),
            "is too short (minimum is 10 characters)",
        ),
        (
            json!({ "password": "ab".repeat(65) }),
            "is too long (maximum is 128 bytes)",
        ),
        (json!({ "password": "wilhelmina" }), "is too easy to guess"),
        (json!({ "password": ["correct horse"] }), "password is invalid"),
        (
            json!({ "password": "a long enough one", "reset_password": true }),
            "leave them or password out",
        ),
        (
            json!({ "password": "a long enough one", "force_random_password": true }),
            "leave them or password out",
        ),
    ]
}

pub(crate) fn a_password_that_breaks_a_rule_is_refused(engine: Engine) {
    let server = Server::start(&engine, &[]);
    for (attributes, words) in refused() {
        let mut body = json!({ "username": "wilhelmina", "name": "Mina" });
        let all = body.as_object_mut().expect("an object");
        all.extend(attributes.as_object().expect("an object").clone());

        let reply = server.call("POST", "/api/v4/users", &body.to_string());
        reply.check_refusal(400, words);
    }

    assert_eq!(server.get("/api/v4/users?username=wilhelmina"), json!([]));
}

pub(crate) fn wrong_passwords_are_slowed_down(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let (_, token) = make_user(&server, "ida");

    for _ in 0..5 {
        change(&server, &token, OTHER, PASSWORD).check(400);
    }

    // The right password has to wait too.
    let slowed = change(&server, &token, PASSWORD, OTHER).check(429);
    assert!(slowed.header("retry-after").is_some());
}

pub(crate) fn passwords_are_neither_logged_nor_audited(engine: Engine) {
    let server = Server::start(&engine, &[("QUICKDRAW__TELEMETRY__LOG", "trace")]);
    let (_, token) = make_user(&server, "ida");
    change(&server, &token, PASSWORD, OTHER).check(204);

    let audit = server.get("/api/v1/audit?limit=100").to_string();
    assert!(audit.contains("current_password"), "{audit}");

    for password in [PASSWORD, OTHER] {
        assert!(!audit.contains(password));
        assert!(!server.output().contains(password));
    }
}

pub(crate) fn a_command_prints_a_setup_link(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let printed = succeed(&server, &["setup-link"]);
    assert!(printed.contains("/-/setup/"), "{printed}");

    let document: Value = serde_json::from_str(&succeed(&server, &["setup-link", "--json"])).expect("JSON");
    assert!(document["expires_at"].is_string(), "{document}");

    let done = administer(&server, &["setup-link", "--nonsense"]);
    assert!(!done.status.success());
}

pub(crate) fn the_first_start_writes_a_setup_link_into_a_private_file(engine: Engine) {
    use std::os::unix::fs::PermissionsExt;

    let mut server = Server::start(&engine, &[]);
    let file = server.folder.path().join("quickdraw-data/setup-link");
    let link = std::fs::read_to_string(&file).expect("a file");
    let mode = std::fs::metadata(&file).expect("a file").permissions().mode();

    assert_eq!(mode & 0o777, 0o600);

    // The output is no terminal, so it names the file only.
    assert!(server.output().contains("setup-link"), "{}", server.output());
    assert!(!server.output().contains(link.trim()), "{}", server.output());

    std::fs::remove_file(&file).expect("removed");
    server.kill();
    server.restart();
    assert!(!file.exists(), "a later start makes no link");
}
