//! Tokens of users: what they may do, when they are shown, and how they end.

use serde_json::{Value, json};

use crate::access::People;
use crate::http::check_parts;
use crate::server::{Engine, Server};

const OWN: &str = "/api/v4/personal_access_tokens/self";
const MORE: &str = "/api/v4/user/personal_access_tokens";

pub(crate) fn a_token_acts_as_its_user(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let people = People { server: &server };
    let (id, token) = people.make("ida", "api");

    let me = people.call(&token, "GET", "/api/v4/user", "").json();
    check_parts(&me, json!({ "id": id, "username": "ida", "is_admin": false }));

    let own = people.call(&token, "GET", OWN, "").json();
    check_parts(&own, json!({ "scopes": ["api"], "active": true, "token": null }));
}

pub(crate) fn a_token_with_a_foreign_scope_or_in_the_past_is_refused(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let people = People { server: &server };
    let (_, token) = people.make("ida", "api");

    let words = "scopes does not have a valid value; this token can have api, read_api, report, read_insights";
    let sudo = people.call(&token, "POST", MORE, r#"{"name":"x","scopes":["sudo"]}"#);
    assert_eq!(sudo.check(400).json()["error"], words);

    let past = r#"{"name":"x","scopes":["api"],"expires_at":"2020-01-01"}"#;
    people.call(&token, "POST", MORE, past).check(400);
}

/// Creates a user with two tokens. Returns both, and the path of the second.
fn make_second(people: &People) -> (String, String, String) {
    let (_, token) = people.make("ida", "api");
    let made = people.call(&token, "POST", MORE, r#"{"name":"x","scopes":["api"]}"#);
    let second = made.json();
    let text = second["token"].as_str().expect("shown once").to_owned();

    (token, text, format!("/api/v4/personal_access_tokens/{}", second["id"]))
}

pub(crate) fn a_token_is_shown_once(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let people = People { server: &server };
    let (_, text, path) = make_second(&people);

    assert!(!server.get(&path).to_string().contains(&text));

    people.call(&text, "GET", "/api/v4/user", "").check(200);
    people.call(&text, "DELETE", OWN, "{}").check(204);
    people.call(&text, "GET", "/api/v4/user", "").check(401);
    assert!(!server.output().contains(&text), "{}", server.output());
}

pub(crate) fn a_token_can_be_revoked_by_its_user_only(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let people = People { server: &server };
    let (first, second, path) = make_second(&people);

    let (_, other) = people.make("other", "api");
    people.call(&other, "DELETE", &path, "{}").check(404);
    people.call(&second, "DELETE", OWN, "{}").check(204);
    people.call(&second, "GET", "/api/v4/user", "").check(401);
    people.call(&first, "GET", "/api/v4/version", "").check(200);
}

const SCOPES: [&str; 3] = ["read_api", "api", "read_api"];

pub(crate) fn a_token_keeps_the_requested_scopes(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    for path in [
        "user/personal_access_tokens",
        "projects/1/access_tokens",
        "groups/gear/access_tokens",
    ] {
        let body = json!({ "name": "t", "scopes": SCOPES, "access_level": 40 });
        let made = server.create(&format!("/api/v4/{path}"), &body);
        assert_eq!(made["scopes"], json!(["read_api", "api"]), "{path}: {made}");
    }

    let tokens = server.get("/api/v4/projects/1/access_tokens");
    assert_eq!(tokens[0]["scopes"], json!(["read_api", "api"]));

    let root = server.get("/api/v4/personal_access_tokens/self");
    assert_eq!(root["scopes"], json!(["api", "sudo"]), "{root}");
}

pub(crate) fn a_rotated_token_keeps_its_scopes(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let tokens = "/api/v4/projects/1/access_tokens";
    let made = server.create(tokens, &json!({ "name": "t", "scopes": SCOPES, "access_level": 40 }));
    let rotated = server.call("POST", &format!("{tokens}/{}/rotate", made["id"]), "null");
    let rotated: Value = rotated.json();

    assert_eq!(rotated["scopes"], json!(["read_api", "api"]), "{rotated}");

    // A token with the scope `api` may write.
    let text = rotated["token"].as_str().expect("shown once");
    let hook = r#"{"url":"https://example.com/"}"#;
    server
        .call_as(text, "POST", "/api/v4/projects/1/hooks", hook)
        .check(201);
}

pub(crate) fn a_null_body_counts_as_an_absent_body(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let (_, token) = People { server: &server }.make("ida", "api");
    let rotate = format!("{OWN}/rotate");

    // An array is not a set of parameters.
    server.call_as(&token, "POST", &rotate, "[]").check(400);

    let fresh = server.call_as(&token, "POST", &rotate, "null").check(200).json();
    assert!(fresh["token"].is_string(), "{fresh}");
}
