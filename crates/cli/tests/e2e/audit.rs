//! The log of changes and refusals.

use serde_json::{Value, json};

use crate::access::People;
use crate::http::check_parts;
use crate::server::{Engine, Server};

/// A server on which the root user and others made and tried changes.
struct Audited {
    server: Server,

    /// The path of a webhook that was created, changed and deleted.
    hook: String,

    /// The token of a user without rights.
    stranger: String,
}

impl Audited {
    fn start(engine: &Engine) -> Self {
        let server = Server::start(engine, &[]);
        server.make_project();

        let people = People { server: &server };
        let (_, stranger) = people.make("stranger", "api");

        let secrets = r#","token":"canary-token","custom_headers":{"X-K":"canary-h"}"#;
        let made = server.make_hook("https://example.com/in", secrets);
        let hook = format!("/api/v4/projects/1/hooks/{}", made["id"]);

        let change = r#"{"token":"canary-new"}"#;
        server.call("PUT", &hook, change).check(200);
        people.call(&stranger, "PUT", &hook, r#"{"name":"n"}"#).check(404);
        people.call(&stranger, "GET", "/api/v4/hooks", "").check(403);
        people.call("wrong", "DELETE", &hook, "").check(401);
        server.report(1).expect("accepted");
        server.call("DELETE", &hook, "{}").check(204);

        Self { server, hook, stranger }
    }

    /// The newest five entries.
    fn newest(&self) -> Value {
        self.server.get("/api/v1/audit?limit=5")
    }

    /// The entries that follow a page.
    fn rest(&self, page: &Value) -> Value {
        let before = page["next"].as_str().expect("more");
        self.server.get(&format!("/api/v1/audit?limit=100&before={before}"))
    }
}

#[track_caller]
fn check_entry(entry: &Value, username: &str, method: &str, status: u16, attributes: Value) {
    check_parts(
        entry,
        json!({ "username": username, "method": method, "status": status, "attributes": attributes }),
    );
}

pub(crate) fn changes_and_refusals_are_audited(engine: Engine) {
    let audited = Audited::start(&engine);
    let log = audited.newest()["items"].clone();

    check_entry(&log[0], "root", "DELETE", 204, json!([]));
    check_entry(&log[1], "stranger", "GET", 403, json!([]));
    check_parts(&log[2], json!({ "username": "stranger", "status": 404 }));
    check_entry(&log[3], "root", "PUT", 200, json!(["token"]));
    check_parts(&log[3], json!({ "path": audited.hook, "address": "127.0.0.1" }));

    let created = log[4]["attributes"].to_string();
    assert!(created.contains("custom_headers"), "{log}");
}

pub(crate) fn the_audit_log_is_for_administrators_and_contains_no_values(engine: Engine) {
    let audited = Audited::start(&engine);
    let log = audited.newest();
    let rest = audited.rest(&log);

    // The group, the project, the user and the token.
    assert_eq!(rest["items"].as_array().map(Vec::len), Some(4), "{rest}");
    assert!(!format!("{log}{rest}").contains("canary"), "{log}{rest}");

    let refused = audited.server.call_as(&audited.stranger, "GET", "/api/v1/audit", "");
    refused.check(403);
}

pub(crate) fn a_refused_read_of_a_hidden_object_is_audited(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let hooks = "/api/v4/projects/1/hooks";
    let (_, stranger) = People { server: &server }.make("stranger", "api");
    server.call_as(&stranger, "GET", hooks, "").check(404);

    let log = server.get("/api/v1/audit?limit=100");
    let mut entries = log["items"].as_array().expect("items").iter();
    let hidden = |entry: &Value| entry["path"] == hooks && entry["status"] == 404;
    assert!(entries.any(hidden), "{log}");
}

pub(crate) fn the_audit_log_is_filtered_by_user_method_path_and_status(engine: Engine) {
    let audited = Audited::start(&engine);
    let count = |query: &str| {
        let log = audited.server.get(&format!("/api/v1/audit?limit=100&{query}"));
        log["items"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(count("username=stranger"), 2);
    assert_eq!(count("method=DELETE"), 1);
    assert_eq!(count("path=/api/v4/projects/1/hooks/&status=successful"), 2);
    assert_eq!(count("username=stranger&status=403,404"), 2);
    assert_eq!(count("username=stranger&status=404"), 1);

    let wrong = audited.server.call("GET", "/api/v1/audit?method=LOOK", "");
    wrong.check_says(400, "DELETE");
}
