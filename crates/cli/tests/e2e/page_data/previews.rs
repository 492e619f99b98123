//! Previews of settings of a hook, and the test of the guard.

use serde_json::{Value, json};

use crate::http::{Reply, check_parts};
use crate::server::{Engine, Server};

const METADATA: &str = "http://169.254.169.254/";

fn start(engine: &Engine) -> Server {
    let server = Server::start(engine, &[]);
    server.make_project();
    server
}

/// Asks for a preview for hooks of the project.
fn ask(server: &Server, what: &str, mut body: Value) -> Reply {
    body["project"] = json!("gear/rope");
    server.call("POST", &format!("/api/v1/previews/{what}"), &body.to_string())
}

fn preview(server: &Server, what: &str, body: Value) -> Value {
    ask(server, what, body).check(200).json()
}

/// Reports a push to a branch, and returns the id of the event.
fn push(server: &Server, branch: &str) -> Value {
    let payload = json!({ "object_kind": "push", "ref": format!("refs/heads/{branch}"), "user_username": "ida" });
    server.report_event(&json!({ "trigger": "push_hooks", "payload": payload }))["id"].clone()
}

pub(crate) fn a_url_preview_names_the_rule_of_the_guard(engine: Engine) {
    let server = start(&engine);
    let preview = |url: &str| preview(&server, "url", json!({ "url": url }));

    check_parts(
        &preview("https://example.com/in"),
        json!({ "verdict": "allowed", "rule": null, "drops": [] }),
    );
    check_parts(&preview(METADATA), json!({ "verdict": "blocked", "rule": "metadata" }));
    check_parts(
        &preview("ftp://example.com"),
        json!({ "verdict": "invalid", "shown_url": null }),
    );

    let masked = preview("https://ida:secret@example.com/in");
    assert_eq!(masked["shown_url"], "https://*****:*****@example.com/in");

    let hooks = server.get("/api/v4/projects/1/hooks");
    assert_eq!(hooks, json!([]), "nothing is saved");
}

pub(crate) fn a_url_preview_names_the_secrets_that_another_address_drops(engine: Engine) {
    let server = start(&engine);
    let more = r#","token":"t","custom_headers":{"X-Key":"v"}"#;
    let hook = server.make_hook("https://example.com/in", more)["id"].clone();
    let preview = |url: &str| preview(&server, "url", json!({ "url": url, "hook": hook }));

    let moved = preview("https://example.org/in");
    assert_eq!(moved["drops"], json!(["the secret token", "the custom header X-Key"]));
    let warning = moved["warning"].as_str().unwrap_or_default();
    assert!(
        warning.contains("removes the secret token and the custom header X-Key;"),
        "{warning}"
    );

    let same = preview("https://example.com/in");
    check_parts(&same, json!({ "drops": [], "warning": null }));
    let other = ask(&server, "url", json!({ "url": "https://example.com", "hook": 999 }));
    other.check_says(404, "no hook with this id");
}

pub(crate) fn a_template_preview_uses_the_newest_real_event(engine: Engine) {
    let server = start(&engine);
    let older = push(&server, "old");
    let newest = push(&server, "main");

    let template = json!({ "custom_webhook_template": r#"{"at": "{{ref}}", "x": {{ y }}}"#, "trigger": "push_hooks" });
    let shown = preview(&server, "template", template.clone());
    check_parts(&shown, json!({ "event_id": newest, "is_sample": false, "errors": [] }));
    assert_eq!(shown["body"], json!({ "at": "refs/heads/main", "x": null }));
    assert!(
        shown["warnings"][0]
            .as_str()
            .is_some_and(|text| text.contains("write {{y}}"))
    );

    let mut named = template;
    named["event"] = older;
    assert_eq!(preview(&server, "template", named)["body"]["at"], "refs/heads/old");
}

pub(crate) fn a_template_preview_uses_a_sample_without_events(engine: Engine) {
    let server = start(&engine);
    let template =
        |trigger: &str| json!({ "custom_webhook_template": r#"{"k": "{{object_kind}}"}"#, "trigger": trigger });

    let shown = preview(&server, "template", template("merge_request_hooks"));
    check_parts(
        &shown,
        json!({ "event_id": null, "is_sample": true, "body": { "k": "merge_request" } }),
    );
    ask(&server, "template", template("key_create")).check_says(400, "no sample; choose another kind");
}

pub(crate) fn a_template_preview_names_the_line_of_a_problem(engine: Engine) {
    let server = start(&engine);
    let problem = |template: &str| {
        let body = json!({ "custom_webhook_template": template, "trigger": "push_hooks" });
        preview(&server, "template", body)["errors"][0].clone()
    };

    let never = problem("{\n\"a\" 1}");
    assert_eq!(never["line"], 2, "{never}");
    let of_name = problem(r#"{"a": {{commits.id}}}"#);
    assert!(
        of_name["message"].as_str().is_some_and(|text| text.contains("array")),
        "{of_name}"
    );

    let long = json!({ "custom_webhook_template": "x".repeat(5000), "trigger": "push_hooks" });
    ask(&server, "template", long).check_says(400, "maximum is 4096 characters");
}

pub(crate) fn a_filter_preview_counts_the_events_that_pass(engine: Engine) {
    let server = start(&engine);
    for branch in ["main", "stable/1", "stable/2"] {
        push(&server, branch);
    }

    let wildcard = json!({ "push_events_branch_filter": "stable/*" });
    let shown = preview(&server, "filter", wildcard);
    check_parts(&shown, json!({ "scanned": 3, "passing": 2, "complete": true }));
    check_parts(
        &shown["items"][2],
        json!({ "ref": "refs/heads/main", "passes": false, "reason": "branch_filter" }),
    );

    let both = json!({ "push_events_branch_filter": "^stable", "branch_filter_strategy": "regex",
        "event_filter": { "field": "ref", "is": "refs/heads/stable/2" } });
    let shown = preview(&server, "filter", both);
    check_parts(
        &shown,
        json!({ "passing": 1, "/items/0/passes": true, "/items/1/reason": "event_filter" }),
    );

    let none = json!({ "trigger": "issue_hooks" });
    check_parts(&preview(&server, "filter", none), json!({ "scanned": 0, "items": [] }));
}

pub(crate) fn a_filter_that_cannot_be_saved_is_refused(engine: Engine) {
    let server = start(&engine);
    let regex = json!({ "push_events_branch_filter": "(", "branch_filter_strategy": "regex" });
    ask(&server, "filter", regex).check_says(422, "Invalid branch filter given");
    ask(&server, "filter", json!({ "event_filter": { "lable": "bug" } })).check_says(422, "unknown field");
}

pub(crate) fn previews_are_not_in_the_audit_log(engine: Engine) {
    let server = start(&engine);
    preview(&server, "url", json!({ "url": "https://example.com" }));
    preview(&server, "filter", json!({}));

    let log = server.get("/api/v1/audit?limit=100");
    let entries = log["items"].as_array().cloned().unwrap_or_default();
    assert!(!entries.is_empty());
    let of_previews = |entry: &&Value| entry["path"].as_str().is_some_and(|path| path.contains("previews"));
    assert_eq!(entries.iter().filter(of_previews).count(), 0, "{log}");
}

pub(crate) fn the_guard_can_be_tested_with_the_addresses_of_a_host(engine: Engine) {
    let server = start(&engine);
    let test = |url: &str| {
        let body = json!({ "url": url, "resolve": true }).to_string();
        server.call("POST", "/api/v1/guard/test", &body).check(200).json()
    };

    let own = test("http://127.0.0.1:9100/");
    check_parts(
        &own,
        json!({ "verdict": "allowed", "/addresses/0/address": "127.0.0.1" }),
    );
    let metadata = test(METADATA);
    check_parts(
        &metadata,
        json!({ "verdict": "blocked", "rule": "metadata", "/addresses/0/verdict": "blocked" }),
    );
    check_parts(&test("nothing"), json!({ "verdict": "invalid", "addresses": [] }));
}
