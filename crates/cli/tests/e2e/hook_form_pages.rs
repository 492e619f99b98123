//! The form that adds and edits a webhook.

use serde_json::{Value, json};

use crate::answers::check_shows;
use crate::server::{Engine, Server};
use crate::visitor::Visitor;

const LIST: &str = "/gear/rope/-/hooks";
const HOOK: &str = "/api/v4/projects/1/hooks/1";

fn start(engine: &Engine) -> Server {
    let server = Server::start(engine, &[]);
    server.make_project();
    server
}

/// Adds a webhook with these fields, and returns it as the API shows it.
fn added(server: &Server, fields: &[(&str, &str)]) -> Value {
    let reply = Visitor::admin(server).submit(LIST, fields).checked(303);
    assert_eq!(reply.header("location"), Some("/gear/rope/-/hooks/1?done=added"));
    server.get(HOOK)
}

pub(crate) fn a_webhook_is_added_in_the_browser(engine: Engine) {
    let server = start(&engine);
    let shown = added(
        &server,
        &[
            ("url", "https://ci.example.com/in"),
            ("name", "CI"),
            ("push_events", "true"),
            ("branch_filter_strategy", "wildcard"),
            ("push_events_branch_filter", "main*"),
            ("enable_ssl_verification", "true"),
        ],
    );

    let expected = json!({"url": "https://ci.example.com/in", "name": "CI", "push_events": true, "issues_events": false,
        "branch_filter_strategy": "wildcard", "push_events_branch_filter": "main*", "enable_ssl_verification": true});
    check_shows(&shown, &expected);
}

pub(crate) fn the_sensitive_portion_of_a_url_is_masked_by_the_form(engine: Engine) {
    let server = start(&engine);
    let fields = [
        ("url", "https://ci.example.com/s3cr3t/in"),
        ("url_variables_name", "key"),
        ("url_variables_value", "s3cr3t"),
    ];
    let shown = added(&server, &fields);
    let expected = json!({"url": "https://ci.example.com/{key}/in", "url_variables": [{"key": "key"}]});
    check_shows(&shown, &expected);

    let page = Visitor::admin(&server).page("/gear/rope/-/hooks/1/edit");
    assert!(page.contains("https://ci.example.com/{key}/in") && !page.contains("s3cr3t"));
}

pub(crate) fn a_refused_form_keeps_its_values_but_no_secret(engine: Engine) {
    let server = start(&engine);
    let fields = [
        ("url", "http://169.254.169.254/in"),
        ("name", "<script>alert(1)</script>"),
        ("token", "canary-token"),
        ("custom_headers_name", "X-Key"),
        ("custom_headers_value", "canary-header"),
    ];

    let reply = Visitor::admin(&server).submit(LIST, &fields);
    reply.check_refusal(422, "Invalid url given");
    assert!(reply.body.contains("http://169.254.169.254/in") && reply.body.contains("X-Key"));
    assert!(!reply.body.contains("canary") && !reply.body.contains("<script>alert"));
}

pub(crate) fn a_webhook_is_edited_in_the_browser_and_keeps_its_secrets(engine: Engine) {
    let server = start(&engine);
    server.make_hook(
        "https://ci.example.com/in",
        r#","token":"canary","custom_headers":[{"key":"X-A","value":"1"},{"key":"X-B","value":"2"}]"#,
    );

    let fields = [
        ("url", "https://ci.example.com/in"),
        ("custom_headers_name", "X-A"),
        ("custom_headers_value", ""),
        ("issues_events", "true"),
    ];
    Visitor::admin(&server)
        .submit("/gear/rope/-/hooks/1/edit", &fields)
        .checked(303);

    let expected = json!({"token_present": true, "push_events": false, "issues_events": true,
        "custom_headers": [{"key": "X-A"}]});
    check_shows(&server.get(HOOK), &expected);
}

pub(crate) fn a_signing_token_is_made_and_shown_once(engine: Engine) {
    let server = start(&engine);
    let admin = Visitor::admin(&server);
    let fields = [("url", "https://ci.example.com/in"), ("generate_signing_token", "true")];

    let page = admin.submit(LIST, &fields).checked(200).body;
    assert!(page.contains("whsec_"), "{page}");
    check_shows(&server.get(HOOK), &json!({"signing_token_present": true}));
    assert!(!admin.page("/gear/rope/-/hooks/1/edit").contains("whsec_a"));
}

pub(crate) fn the_form_previews_the_guard_the_template_and_the_filters(engine: Engine) {
    let server = start(&engine);
    server.report(1).expect("reported");
    let admin = Visitor::admin(&server);
    let preview = |fields: &[(&str, &str)]| admin.submit(LIST, fields).checked(200).body;

    let page = preview(&[("url", "http://169.254.169.254/in"), ("preview", "url")]);
    assert!(page.contains("The URL is blocked"), "{page}");

    let template = (
        "custom_webhook_template",
        r#"{"at": "{{project.path_with_namespace}}"}"#,
    );
    let page = preview(&[("url", "https://a.example.com/"), template, ("preview", "template")]);
    assert!(page.contains("The body for") && page.contains("gear/rope"), "{page}");

    let filter = [
        ("branch_filter_strategy", "wildcard"),
        ("push_events_branch_filter", "none-*"),
    ];
    let page = preview(&[
        ("url", "https://a.example.com/"),
        filter[0],
        filter[1],
        ("preview", "filter"),
    ]);
    assert!(page.contains("The filters match 0 of the last 1 pushes"), "{page}");

    assert_eq!(server.get("/api/v4/projects/1/hooks"), json!([]));
}
