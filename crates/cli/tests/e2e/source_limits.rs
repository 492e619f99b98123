//! The rate limits of sources: requests without a valid credential, and requests with one.

use quickdraw_domain::Timestamp;
use quickdraw_domain::signature::SigningToken;
use serde_json::{Value, json};

use crate::gitlab::{DEFAULT, SIGNING};
use crate::http::{Reply, send};
use crate::server::{Engine, SECRET, Server};

const PUSH: &[u8] = br#"{"object_kind":"push"}"#;
const LIMIT: &str = "QUICKDRAW__SOURCE__RATE_LIMIT";
const SENDER_LIMIT: &str = "QUICKDRAW__SOURCE__SENDER_RATE_LIMIT";
const SIGNING_TOKEN: &str = "QUICKDRAW__SOURCE__SIGNING_TOKEN";

fn post(server: &Server, token: &str) -> Reply {
    let headers = [("X-Gitlab-Token", token), ("X-Forwarded-For", "203.0.113.7")];
    send(server.port, "POST", DEFAULT, &headers, PUSH).expect("an answer")
}

/// Posts a push that is signed with a token.
fn post_signed(server: &Server, token: &str, id: usize) -> Reply {
    let (id, now) = (format!("id-{id}"), jiff::Timestamp::now().as_second());
    let token = SigningToken::parse(token).expect("a token");
    let signature = token.sign(&id, Timestamp::from_seconds(now), PUSH);
    let time = now.to_string();

    let headers = [
        ("webhook-id", &*id),
        ("webhook-timestamp", &*time),
        ("webhook-signature", &*signature),
    ];
    send(server.port, "POST", DEFAULT, &headers, PUSH).expect("an answer")
}

/// Counts the answers with each of two statuses. There are no others.
#[track_caller]
fn count(replies: impl Iterator<Item = Reply>, statuses: [u16; 2]) -> [usize; 2] {
    let mut counts = [0; 2];
    for reply in replies {
        let index = statuses.iter().position(|status| *status == reply.status);
        counts[index.unwrap_or_else(|| panic!("{}: {}", reply.status, reply.body))] += 1;
    }

    counts
}

/// Uses up the limit of strangers with wrong tokens.
fn use_up(server: &Server, requests: usize) -> [usize; 2] {
    count((0..requests).map(|_| post(server, "wrong-secret")), [401, 429])
}

pub(crate) fn requests_with_a_right_token_are_no_strangers(engine: Engine) {
    let server = Server::start(&engine, &[(LIMIT, "100/min")]);
    let replies = (0..130).map(|_| post(&server, SECRET));
    assert_eq!(count(replies, [200, 429]), [130, 0]);
}

pub(crate) fn requests_with_a_right_signature_are_no_strangers(engine: Engine) {
    let server = Server::start(&engine, &[(LIMIT, "100/min"), (SIGNING_TOKEN, SIGNING)]);
    let replies = (0..130).map(|id| post_signed(&server, SIGNING, id));
    assert_eq!(count(replies, [200, 429]), [130, 0]);
}

pub(crate) fn wrong_requests_do_not_limit_right_ones_beside_them(engine: Engine) {
    let server = Server::start(&engine, &[(LIMIT, "10/min"), (SIGNING_TOKEN, SIGNING)]);
    let mut refused = [0; 2];
    for id in 0..20 {
        let [wrong, limited] = use_up(&server, 10);
        refused = [refused[0] + wrong, refused[1] + limited];
        post(&server, SECRET).check(200);
        post_signed(&server, SIGNING, id).check(200);
    }

    assert!(refused[0] >= 10 && refused[1] > 100, "{refused:?}");
}

pub(crate) fn wrong_signatures_of_an_address_are_limited(engine: Engine) {
    let server = Server::start(&engine, &[(LIMIT, "3/min"), (SIGNING_TOKEN, SIGNING)]);
    let other = "whsec_b3RoZXIta2V5LW9mLXRoaXJ0eS10d28tYnl0ZXMhISE=";
    let [wrong, limited] = count((0..20).map(|id| post_signed(&server, other, id)), [401, 429]);
    assert!(wrong >= 3 && limited > 10, "{wrong} {limited}");

    post_signed(&server, SIGNING, 99).check(200);
}

pub(crate) fn strangers_are_limited_by_address(engine: Engine) {
    let server = Server::start(&engine, &[(LIMIT, "3/min")]);
    use_up(&server, 20);

    // X-Forwarded-For counts only from trusted proxies.
    let refused = post(&server, "wrong-secret").check(429);
    let wait = refused.header("retry-after").expect("a header");
    assert!((1..=60).contains(&wait.parse().expect("seconds")), "{wait}");

    let output = server.output();
    assert_eq!(output.matches("with 429").count(), 1, "one log line for all: {output}");
}

/// The numbers of requests in log lines that match a text.
fn logged(output: &str, text: &str) -> Vec<usize> {
    let lines = output.lines().filter(|line| line.contains(text));
    let counts = lines.filter_map(|line| line.split("refused ").nth(1)?.split(' ').next()?.parse().ok());
    counts.collect()
}

pub(crate) fn a_stop_logs_refusals_that_no_line_has_counted(engine: Engine) {
    let mut server = Server::start(&engine, &[(LIMIT, "3/min"), (SENDER_LIMIT, "3/min")]);
    let [_, strangers] = use_up(&server, 20);
    let [_, senders] = count((0..20).map(|_| post(&server, SECRET)), [200, 429]);
    server.terminate();

    let output = server.output();
    assert_eq!(logged(&output, "(rate_limit)"), [1, strangers - 1], "{output}");
    assert_eq!(logged(&output, "(sender_rate_limit)"), [1, senders - 1], "{output}");
}

pub(crate) fn a_changed_source_logs_the_refusals_under_its_old_limits(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let made = server.create("/api/v1/sources", &json!({ "name": "ci", "sender_rate_limit": 3 }));
    let (id, secret) = (
        made["id"].as_str().expect("an id"),
        made["secret"].as_str().expect("a text"),
    );
    let post = || {
        let path = format!("{DEFAULT}/{id}");
        send(server.port, "POST", &path, &[("X-Gitlab-Token", secret)], PUSH).expect("an answer")
    };

    let [_, refused] = count((0..20).map(|_| post()), [200, 429]);
    let change = json!({ "sender_rate_limit": 6_000 }).to_string();
    server.call("PUT", &format!("/api/v1/sources/{id}"), &change).check(200);
    post().check(200);

    let output = server.output();
    assert_eq!(logged(&output, "(sender_rate_limit)"), [1, refused - 1], "{output}");
}

/// A server that accepts three events a minute, after five.
fn limited(engine: &Engine) -> Server {
    let server = Server::start(engine, &[(SENDER_LIMIT, "3/min")]);
    let tried: Vec<u16> = (0..5).map(|_| post(&server, SECRET).status).collect();
    assert_eq!(tried, [200, 200, 200, 429, 429]);

    server
}

pub(crate) fn a_sender_over_its_limit_is_refused_with_a_warning(engine: Engine) {
    let server = limited(&engine);
    post(&server, SECRET).check_says(429, "GitLab does not send this event again");

    let output = server.output();
    assert_eq!(output.matches("(sender_rate_limit)").count(), 1, "{output}");

    let metrics = server.call("GET", "/metrics", "").check(200).body;
    let counter = r#"quickdraw_source_limited_total{source="default",kind="sender"} 3"#;
    assert!(metrics.contains(counter), "{metrics}");
}

pub(crate) fn refusals_of_a_minute_share_a_row_of_the_list_of_requests(engine: Engine) {
    let server = Server::start(&engine, &[(LIMIT, "3/min")]);
    post(&server, SECRET).check(200);
    use_up(&server, 120);

    let list = server.get("/api/v1/sources/default/requests");
    let rows = list["items"].as_array().expect("a list");
    let counts = rows.iter().map(|row| row["count"].as_u64().expect("a count"));
    assert_eq!(counts.sum::<u64>(), 121);
    assert!(rows.iter().any(|row| row["status"] == 200), "not pushed out: {list}");
}

pub(crate) fn new_sources_have_the_limits_of_the_default_source(engine: Engine) {
    let server = Server::start(&engine, &[(LIMIT, "100/min"), (SENDER_LIMIT, "6000/min")]);
    let made = server.create("/api/v1/sources", &json!({ "name": "ci" }));
    let default = server.get("/api/v1/sources/default");

    let limits = |source: &Value| [source["rate_limit"].as_u64(), source["sender_rate_limit"].as_u64()];
    assert_eq!(limits(&made), [Some(100), Some(6_000)]);
    assert_eq!(limits(&default), limits(&made));
}
