//! Parameters and fields that are refused, and the words of the refusal.

use serde_json::{Value, json};

use crate::server::{Engine, Server};

/// The error of the first wrong parameter of a request that is refused with the status.
#[track_caller]
fn first_error(server: &Server, method: &str, path: &str, body: &str, status: u16) -> Value {
    let refused = server
        .call(method, &format!("/api/v1/{path}"), body)
        .check(status)
        .json();
    let error = refused["errors"][0].clone();
    assert!(error.is_object(), "{path}: {refused}");

    error
}

pub(crate) fn a_filter_that_cannot_apply_to_a_list_is_refused_with_the_reason(engine: Engine) {
    let server = Server::start(&engine, &[]);
    for (path, reason) in [
        ("skips?state=delivered", "a skipped event has no delivery"),
        ("skips?class=rejected", "a skipped event has no delivery"),
        ("audit?project=gear", "requests are listed by user and time"),
        ("replays?trigger=push_hooks", "each one shows its filter"),
        ("sources/default/requests?project=gear", "without its body"),
        ("insights/completeness?since=2h", "counted together, by project"),
        ("insights/gaps?trigger=push_hooks", "kind=…"),
    ] {
        let error = first_error(&server, "GET", path, "", 400);
        let detail = error["detail"].as_str().expect("a text");
        assert!(
            detail.contains("does not apply to this list") && detail.contains(reason),
            "{path}: {detail}"
        );
    }
}

pub(crate) fn paths_without_parameters_refuse_every_parameter(engine: Engine) {
    let server = Server::start(&engine, &[]);
    for path in [
        "schemas",
        "schemas/push_hooks",
        "triggers",
        "triggers/push_hooks",
        "openapi.json",
    ] {
        let refused = server.call("GET", &format!("/api/v1/{path}?limit=5"), "").check(400);
        assert_eq!(refused.json()["type"], "/problems/unknown-parameter", "{path}");
        refused.check_says(400, "unknown parameter limit");
    }
}

pub(crate) fn a_parameter_with_two_values_is_refused(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let error = first_error(&server, "GET", "deliveries?state=waiting&state=retrying", "", 400);
    assert_eq!(error["field"], "state");

    // The same value twice is no contradiction, and a list may have brackets.
    for path in [
        "deliveries?state=waiting&state=waiting",
        "insights/query?metric[]=commits&metric[]=pushes",
    ] {
        server.call("GET", &format!("/api/v1/{path}"), "").check(200);
    }
}

pub(crate) fn every_wrong_parameter_of_insights_is_named(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let query = "insights/query?metric=commits";
    for (path, field) in [
        (format!("{query}&group_by=persn"), "group_by"),
        (format!("{query}&from=yesterday!"), "from"),
        (format!("{query}&to=31.12."), "to"),
        (format!("{query}&from=2026-05-02&to=2026-05-01"), "from"),
        (format!("{query}&zone=Mars"), "zone"),
        (format!("{query}&whose=mine"), "whose"),
        (format!("{query}&interval=decade"), "interval"),
        (format!("{query}&definition=ours"), "definition"),
        (format!("{query}&format=xml"), "format"),
        ("insights/query?metric=comits".to_owned(), "metric"),
        ("insights/metrics/commits?deployed_by=hand".to_owned(), "deployed_by"),
        ("insights/metrics/commits?label=bug".to_owned(), "label"),
        ("insights/metrics/commits?format=csv".to_owned(), "format"),
        ("insights/gaps?after=x".to_owned(), "after"),
    ] {
        let error = first_error(&server, "GET", &path, "", 400);
        assert_eq!(error["field"], field, "{path}: {error}");
    }

    let near = first_error(&server, "GET", "insights/query?metric=comits", "", 400);
    assert_eq!(near["did_you_mean"], "commits");

    let choices = first_error(&server, "GET", &format!("{query}&group_by=persn"), "", 400);
    assert!(choices["choices"].to_string().contains("member"), "{choices}");

    let missing = server.call("GET", "/api/v1/insights/metrics/comits", "");
    missing.check_says(404, "there is no metric comits; did you mean commits?");
}

pub(crate) fn monitoring_paths_ignore_parameters(engine: Engine) {
    let server = Server::start(&engine, &[]);
    for path in ["/api/v1/health", "/api/v1/ready", "/metrics"] {
        server.call("GET", &format!("{path}?nocache=17"), "").check(200);
    }
}

pub(crate) fn wrong_fields_of_a_report_are_named(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let error = |body: &str| first_error(&server, "POST", "events", body, 400);

    let unknown = error(r#"{"trigger":"push_hooks","paylod":{}}"#);
    assert_eq!(
        (&unknown["field"], &unknown["did_you_mean"]),
        (&json!("paylod"), &json!("payload"))
    );

    assert!(unknown["choices"].to_string().contains("operation"), "{unknown}");

    let of_user = error(r#"{"trigger":"push_hooks","object":{},"user":{"id":"7"}}"#);
    assert_eq!(of_user["detail"], "user.id must be a whole number");

    let missing = error(r#"{"payload":{}}"#);
    assert_eq!(missing["detail"], "trigger is missing");
}

pub(crate) fn an_unknown_trigger_of_a_report_is_refused_with_the_choices(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let body = r#"{"trigger":"push_hook","payload":{}}"#;
    let error = first_error(&server, "POST", "events", body, 422);
    assert_eq!(error["did_you_mean"], "push_hooks", "{error}");
    assert!(error["choices"].to_string().contains("issue_hooks"), "{error}");

    let error = first_error(&server, "GET", "active_hooks?trigger=push_event", "", 422);
    assert!(error["choices"].to_string().contains("push_hooks"), "{error}");
}

pub(crate) fn wrong_fields_of_a_backfill_are_named(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let body = r#"{"events":[{"payload":{}},{"body":{},"payload":{}}]}"#;
    let error = first_error(&server, "POST", "insights/backfill", body, 400);
    assert_eq!(error["field"], "events[1].body", "{error}");
    assert_eq!(error["choices"], json!(["trigger", "received_at", "payload"]));
}

pub(crate) fn a_wrong_value_of_a_replay_is_refused_with_the_choices(engine: Engine) {
    let server = Server::start(&engine, &[]);
    for (name, value, meant) in [
        ("status", "succesful", "successful"),
        ("skipped", "silent_mod", "silent_mode"),
        ("trigger", "push_hook", "push_hooks"),
        ("state", "deliverd", "delivered"),
    ] {
        let body = json!({ "since": "2020-01-01", name: value, "dry_run": true });
        let error = first_error(&server, "POST", "replays", &body.to_string(), 400);
        assert_eq!((&error["field"], &error["did_you_mean"]), (&json!(name), &json!(meant)));
        assert!(error["choices"].to_string().contains(meant), "{error}");
    }
}
