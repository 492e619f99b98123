//! The settings of sources: secrets, modes, limits, the list of requests, and the command.

use quickdraw_domain::Timestamp;
use quickdraw_domain::signature::SigningToken;
use serde_json::{Value, json};

use crate::commands::succeed;
use crate::gitlab::{DEFAULT, SIGNING};
use crate::http::{Reply, send};
use crate::server::{Engine, SECRET, Server};

const PUSH: &[u8] = br#"{"object_kind":"push"}"#;

/// A source that was created with the API.
struct Source {
    id: String,

    /// The path for posts.
    at: String,

    /// The answer to the request that created it.
    made: Value,
}

impl Source {
    fn make(server: &Server, settings: &Value) -> Self {
        let made = server.create("/api/v1/sources", settings);
        let id = made["id"].as_str().expect("an id").to_owned();
        let at = format!("{DEFAULT}/{id}");
        Self { id, at, made }
    }

    fn secret(&self) -> &str {
        self.made["secret"].as_str().expect("shown once")
    }

    /// Posts a push with each of the tokens, and checks the statuses.
    #[track_caller]
    fn check(&self, server: &Server, expected: &[(&str, u16)]) {
        check_tokens(server, &self.at, expected);
    }

    /// Replaces the secret and returns the answer.
    fn replace(&self, server: &Server, body: &str) -> Value {
        let path = format!("/api/v1/sources/{}/secret", self.id);
        server.call("POST", &path, body).json()
    }

    /// Posts a signed push and returns the status.
    fn sign(&self, server: &Server, at: i64) -> u16 {
        let signature = SigningToken::parse(SIGNING)
            .expect("a token")
            .sign("id", Timestamp::from_seconds(at), PUSH);
        let time = at.to_string();

        let headers = [
            ("webhook-id", "id"),
            ("webhook-timestamp", &*time),
            ("webhook-signature", &*signature),
        ];

        let reply = send(server.port, "POST", &self.at, &headers, PUSH);
        reply.expect("an answer").status
    }

    /// The statuses and notes of the last requests, the newest first.
    fn requests(&self, server: &Server) -> Vec<(u64, String)> {
        let list = server.get(&format!("/api/v1/sources/{}/requests", self.id));
        let one = |one: &Value| {
            let note = one["note"].as_str().unwrap_or_default().to_owned();
            assert_eq!(one["address"], "127.0.0.1");
            (one["status"].as_u64().expect("a status"), note)
        };

        list["items"].as_array().expect("a list").iter().map(one).collect()
    }
}

fn post(server: &Server, at: &str, token: &str) -> Reply {
    let headers = [("X-Gitlab-Token", token), ("X-Gitlab-Event", "Push Hook")];
    send(server.port, "POST", at, &headers, PUSH).expect("an answer")
}

#[track_caller]
fn check_tokens(server: &Server, at: &str, expected: &[(&str, u16)]) {
    for (token, status) in expected {
        assert_eq!(post(server, at, token).status, *status, "{at}, {token}");
    }
}

pub(crate) fn each_source_has_its_own_secret_which_is_shown_once(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let source = Source::make(&server, &json!({ "name": "ci" }));
    let secret = source.secret();

    source.check(&server, &[(secret, 200), (SECRET, 401)]);
    check_tokens(&server, DEFAULT, &[(SECRET, 200), (secret, 401)]);

    // An unknown source looks like a wrong token.
    check_tokens(&server, &format!("{DEFAULT}/no-such"), &[(secret, 401)]);

    let url = source.made["url"].as_str().expect("a URL");
    assert!(url.ends_with(&source.at), "{url}");
    let shown = server.get(&format!("/api/v1/sources/{}", source.id));
    assert!(shown.get("secret").is_none() && shown["secrets"] == 1, "{shown}");
}

pub(crate) fn a_replaced_secret_stays_valid_for_the_overlap(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let source = Source::make(&server, &json!({ "name": "ci" }));
    let first = source.secret();

    let second = source.replace(&server, r#"{"secret":"second-secret","overlap":3600}"#);
    assert!(second.get("secret").is_none() && second["secrets"] == 2, "{second}");
    source.check(&server, &[(first, 200), ("second-secret", 200)]);

    source.replace(&server, r#"{"secret":"third-secret","overlap":0}"#);
    source.check(&server, &[("third-secret", 200), ("second-secret", 401), (first, 401)]);
    assert!(!server.output().contains("third-secret"));
    assert_eq!(source.requests(&server)[0], (401, "wrong token".to_owned()));
}

pub(crate) fn a_source_for_signatures_refuses_old_signatures_and_tokens(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let settings = json!({ "mode": "signature", "secret": SIGNING, "window": 10 });
    let source = Source::make(&server, &settings);

    let now = jiff::Timestamp::now().as_second();
    assert_eq!(source.sign(&server, now), 200);
    assert_eq!(source.sign(&server, now - 60), 401, "the window is ten seconds");

    // A signature never falls back to the token.
    source.check(&server, &[(SIGNING, 401)]);

    let requests = source.requests(&server);
    assert_eq!(requests[0].1, "no signature");
    assert!(requests[1].1.contains("webhook-timestamp"), "{requests:?}");
}

pub(crate) fn a_source_refuses_other_addresses_and_large_bodies(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let elsewhere = json!({ "secret": "elsewhere", "addresses": ["198.51.100.0/24", "2001:db8::/32"] });
    Source::make(&server, &elsewhere).check(&server, &[("elsewhere", 403)]);

    let small = json!({ "secret": "small-secret", "body_limit": 10 });
    Source::make(&server, &small).check(&server, &[("small-secret", 413)]);
}

pub(crate) fn a_restart_keeps_the_requests_and_the_secret_of_a_source(engine: Engine) {
    let mut server = Server::start(&engine, &[]);
    let source = Source::make(&server, &json!({ "secret": "kept-secret" }));
    source.check(&server, &[("kept-secret", 200), ("another", 401)]);

    let expected = [(401, "wrong token"), (200, "")].map(|(status, note)| (status, note.to_owned()));
    assert_eq!(source.requests(&server), expected);

    assert_eq!(server.terminate(), Some(0), "{}", server.output());
    server.restart();
    assert_eq!(source.requests(&server), expected, "the list is stored");

    // The sealed secret can be opened again.
    source.check(&server, &[("kept-secret", 200)]);
}

pub(crate) fn invalid_settings_of_a_source_are_refused(engine: Engine) {
    let server = Server::start(&engine, &[]);
    for (body, why) in [
        (json!({ "addresses": ["nonsense"] }), "neither an address nor a block"),
        (json!({ "rate_limit": 0 }), "rate_limit"),
        (json!({ "sender_rate_limit": 0 }), "sender_rate_limit"),
        (json!({ "window": 0 }), "window"),
        (json!({ "secret": "short" }), "shorter than 8"),
        (json!({ "mode": "none" }), "mode"),
    ] {
        let reply = server.call("POST", "/api/v1/sources", &body.to_string());
        let refused = matches!(reply.status, 400 | 422) && reply.body.contains(why);
        assert!(refused, "{body}: {} {}", reply.status, reply.body);
    }

    server
        .call("PUT", "/api/v1/sources/default", r#"{"name":"x"}"#)
        .check_says(422, "settings");
}

pub(crate) fn a_removed_source_accepts_nothing(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let source = Source::make(&server, &json!({ "name": "ci" }));
    Source::make(&server, &json!({ "name": "another" }));

    let path = format!("/api/v1/sources/{}", source.id);
    server.call("DELETE", &path, "").check(204);
    source.check(&server, &[(source.secret(), 401)]);
    check_tokens(&server, DEFAULT, &[(SECRET, 200)]);

    let list = server.get("/api/v1/sources")["items"].clone();
    assert_eq!(list.as_array().map(Vec::len), Some(2), "{list}");
    assert_eq!(list[0]["id"], "default");
}

/// The id and the secret in the output of `quickdraw source add`.
fn added(output: &str) -> (String, String) {
    let id = output.split(' ').next().expect("an id").to_owned();
    (id, secret_in(output))
}

fn secret_in(output: &str) -> String {
    let secret = output.rsplit("secret, shown only once: ").next();
    secret.expect("a secret").trim().to_owned()
}

pub(crate) fn the_source_command_manages_a_source(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let run = |words: &str| {
        let words: Vec<&str> = ["sources"].into_iter().chain(words.split(' ')).collect();
        succeed(&server, &words)
    };

    let output = run("add --name shell --mode token --rate-limit off --address 127.0.0.0/8");
    let (id, secret) = added(&output);
    let at = format!("{DEFAULT}/{id}");
    check_tokens(&server, &at, &[(&*secret, 200); 120]);

    let requests = run(&format!("requests {id} --limit 100"));
    assert_eq!(requests.lines().count(), 1 + 100, "the list has the last 100 requests");
    assert!(run("list").contains("shell"));

    run(&format!("change {id} --mode both"));
    check_tokens(&server, &at, &[(&secret, 401)]);
    assert!(run(&format!("secret {id} --overlap 0")).contains("shown only once"));

    run(&format!("remove {id}"));
    assert!(!run("list").contains("shell"));
}

/// Checks the form of the secret of a new source, and of the secret that replaces it.
fn check_secrets_of_mode(server: &Server, mode: &str, signs: bool) {
    let is_signing = |secret: &str| SigningToken::parse(secret).is_ok();
    let output = succeed(server, &["sources", "add", "--name", mode, "--mode", mode]);
    let (id, secret) = added(&output);

    assert_eq!(is_signing(&secret), signs, "{mode}: {output}");
    assert_eq!(output.contains("Signing token"), signs, "{mode}: {output}");

    let second = secret_in(&succeed(server, &["sources", "secret", &id]));
    assert_eq!(is_signing(&second), signs, "{mode}: the new secret has the same form");
}

pub(crate) fn a_source_for_signatures_gets_a_signing_token(engine: Engine) {
    let server = Server::start(&engine, &[]);
    check_secrets_of_mode(&server, "signature", true);
    check_secrets_of_mode(&server, "both", true);
    check_secrets_of_mode(&server, "token", false);
    check_secrets_of_mode(&server, "any", false);

    let body = r#"{"name":"x","mode":"signature","secret":"whsec_c2hvcnQ="}"#;
    server.call("POST", "/api/v1/sources", body).check_says(400, "whsec_");
}
