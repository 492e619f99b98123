//! The pages of a webhook: the list, the webhook with its recent requests, and the details of a request.

use serde_json::{Value, json};

use crate::Check;
use crate::answers::check_shows;
use crate::health::Rejected;
use crate::http::{Sink, eventually};
use crate::server::{Engine, Server};
use crate::visitor::Visitor;

const LIST: &str = "/gear/rope/-/hooks";
const HOOK: &str = "/gear/rope/-/hooks/1";
const API: &str = "/api/v4/projects/1/hooks/1";

pub(crate) const CHECKS: &[(&str, Check)] = checks![
    self::the_list_shows_whether_webhooks_work,
    self::the_list_shows_webhooks_of_the_groups_above,
    self::the_page_of_a_webhook_shows_its_recent_requests,
    self::recent_requests_can_be_filtered,
    self::texts_of_others_stay_texts_on_pages_of_webhooks,
    self::a_webhook_is_tested_in_the_browser,
    self::a_failed_test_is_shown_in_place,
    self::a_disabled_webhook_is_tried_in_the_browser,
    self::a_webhook_is_paused_and_resumed_in_the_browser,
    self::a_webhook_is_deleted_after_a_confirmation,
    self::the_details_of_a_request_hide_secrets,
    self::a_request_is_resent_in_the_browser,
    self::a_refused_resend_is_shown_in_place,
    self::pages_of_system_webhooks_work,
    self::the_list_of_attempts_names_the_kinds_of_events,
    self::a_page_of_another_place_does_not_exist,
];

/// A server with a project and a webhook, whose receiver got an event.
fn start(engine: &Engine, status: u16, more: &str) -> (Server, Sink) {
    let server = Server::start(engine, &[]);
    server.make_project();
    let sink = Sink::start(move |_| Some(status));
    server.make_hook(&sink.url(), more);
    server.report(7).expect("accepted");
    eventually("the receiver was called", || {
        server.get("/api/v1/hooks/1/status")["attempts"] == 1
    });

    (server, sink)
}

/// The id of the newest attempt.
fn newest(server: &Server) -> Value {
    server.get("/api/v1/attempts?hook=1")["items"][0]["id"].clone()
}

#[track_caller]
fn check_has(page: &str, parts: &[&str]) {
    for part in parts {
        assert!(page.contains(part), "{part} is missing: {page}");
    }
}

pub(crate) fn the_list_shows_whether_webhooks_work(engine: Engine) {
    let (server, _sink) = start(&engine, 500, "");
    let page = Visitor::admin(&server).page(LIST);
    check_has(
        &page,
        &[
            "Failing",
            "The last attempt failed.",
            "0 %",
            "1 delivery",
            "500",
            "1 failed",
        ],
    );
}

pub(crate) fn the_list_shows_webhooks_of_the_groups_above(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();
    let body = json!({ "url": "https://group.example.com/in", "name": "Above" });
    let group = server.get("/api/v4/groups")[0]["id"].clone();
    server.create(&format!("/api/v4/groups/{group}/hooks"), &body);

    let page = Visitor::admin(&server).page(LIST);
    check_has(&page, &["Inherited from", "/groups/gear/-/hooks/1", "Above"]);
}

pub(crate) fn the_page_of_a_webhook_shows_its_recent_requests(engine: Engine) {
    let (server, _sink) = start(&engine, 200, "");
    let page = Visitor::admin(&server).page(&format!("{HOOK}?done=added"));
    let details = format!("{HOOK}/events/{}", newest(&server));
    check_has(
        &page,
        &[
            "The webhook is added.",
            "The last attempt succeeded.",
            "Healthy",
            "100 %",
            "nothing waits",
            ">Push<",
            &details,
        ],
    );
}

pub(crate) fn recent_requests_can_be_filtered(engine: Engine) {
    let (server, _sink) = start(&engine, 200, "");
    let admin = Visitor::admin(&server);
    let rows = |query: &str| admin.page(&format!("{HOOK}?{query}")).matches("View details").count();
    assert_eq!(rows("class=delivered&trigger=push_hooks&since=1h"), 1);
    assert_eq!(rows("class=rejected"), 0);
    assert_eq!(rows("trigger=issue_hooks&since=all"), 0);
}

pub(crate) fn texts_of_others_stay_texts_on_pages_of_webhooks(engine: Engine) {
    let name = r#","name":"<script>alert(1)</script>","description":"\"><img src=x>""#;
    let (server, _sink) = start(&engine, 200, name);
    let admin = Visitor::admin(&server);

    let details = format!("{HOOK}/events/{}", newest(&server));
    for path in [LIST, HOOK, &format!("{HOOK}/delete"), &details] {
        let page = admin.page(path);
        assert!(
            page.contains("alert(1)") && !page.contains("<script>alert") && !page.contains("<img"),
            "{page}"
        );
    }
}

pub(crate) fn a_webhook_is_tested_in_the_browser(engine: Engine) {
    let (server, sink) = start(&engine, 200, "");
    let reply = Visitor::admin(&server).submit(&format!("{HOOK}/test"), &[("trigger", "issues_events")]);
    assert_eq!(
        reply.checked(303).header("location"),
        Some("/gear/rope/-/hooks/1?done=tested")
    );
    assert_eq!(sink.got()[1].headers["X-Gitlab-Event"], "Issue Hook");
}

pub(crate) fn a_failed_test_is_shown_in_place(engine: Engine) {
    let (server, _sink) = start(&engine, 500, "");
    let admin = Visitor::admin(&server);
    let reply = admin.submit(&format!("{HOOK}/test"), &[("trigger", "push_events")]);
    reply.check_refusal(422, "The test failed");

    let reply = admin.submit(&format!("{HOOK}/test"), &[("trigger", "../../x")]);
    reply.check_refusal(422, "trigger does not have a valid value");
}

pub(crate) fn a_disabled_webhook_is_tried_in_the_browser(engine: Engine) {
    let rejected = Rejected::start(&engine, &[], "");
    rejected.disable();
    let admin = Visitor::admin(&rejected.server);
    check_has(&admin.page(HOOK), &["Disabled after 4 failures in a row", "Try now"]);

    rejected.repair();
    admin
        .submit(&format!("{HOOK}/test"), &[("trigger", "push_events")])
        .checked(303);
    assert!(!admin.page(HOOK).contains("Try now"));
}

pub(crate) fn a_webhook_is_paused_and_resumed_in_the_browser(engine: Engine) {
    let (server, _sink) = start(&engine, 200, "");
    let admin = Visitor::admin(&server);
    admin.submit(&format!("{HOOK}/pause"), &[]).checked(303);
    check_has(&admin.page(HOOK), &["Paused by root at", ">Resume<"]);

    admin.submit(&format!("{HOOK}/resume"), &[]).checked(303);
    check_shows(&server.get(API), &json!({ "paused": false }));
}

pub(crate) fn a_webhook_is_deleted_after_a_confirmation(engine: Engine) {
    let (server, _sink) = start(&engine, 200, "");
    let admin = Visitor::admin(&server);
    let delete = format!("{HOOK}/delete");
    check_has(
        &admin.submit(&delete, &[]).checked(200).body,
        &["Delete webhook", "confirmed"],
    );
    check_shows(&server.get(API), &json!({ "id": 1 }));

    let reply = admin.submit(&delete, &[("confirmed", "true")]).checked(303);
    assert_eq!(reply.header("location"), Some("/gear/rope/-/hooks?done=deleted"));
    check_has(
        &admin.page("/gear/rope/-/hooks?done=deleted"),
        &["The webhook is deleted."],
    );
    server.call("GET", API, "").check(404);
}

pub(crate) fn the_details_of_a_request_hide_secrets(engine: Engine) {
    let secrets = r#","token":"canary-token","custom_headers":{"X-Key":"canary-header"}"#;
    let (server, _sink) = start(&engine, 404, secrets);
    let page = Visitor::admin(&server).page(&format!("{HOOK}/events/{}", newest(&server)));

    assert!(!page.contains("canary"), "{page}");
    check_has(
        &page,
        &[
            "404",
            "Check the path of the URL",
            "[REDACTED]",
            "X-Key: &#60;X-Key&#62;",
            "Wait",
            "This request",
        ],
    );
}

pub(crate) fn a_request_is_resent_in_the_browser(engine: Engine) {
    let (server, sink) = start(&engine, 200, "");
    let address = format!("{HOOK}/events/{}", newest(&server));
    let admin = Visitor::admin(&server);
    let reply = admin.submit(&format!("{address}/resend"), &[]).checked(303);
    assert_eq!(
        reply.header("location"),
        Some(format!("{address}?done=resent").as_str())
    );

    let got = sink.got();
    assert_eq!(got[0].headers["Idempotency-Key"], got[1].headers["Idempotency-Key"]);
    let page = admin.page(&format!("{address}?done=resent"));
    check_has(&page, &["The request was sent again"]);
}

pub(crate) fn a_refused_resend_is_shown_in_place(engine: Engine) {
    let (server, sink) = start(&engine, 200, "");
    let address = format!("{HOOK}/events/{}", newest(&server));
    let change = json!({ "url": format!("{}/elsewhere", sink.url()) }).to_string();
    server.call("PUT", API, &change).checked(200);

    let reply = Visitor::admin(&server).submit(&format!("{address}/resend"), &[]);
    reply.check_refusal(422, "The hook URL has changed");
}

pub(crate) fn pages_of_system_webhooks_work(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let sink = Sink::start(|_| Some(200));
    server.create("/api/v4/hooks", &json!({ "url": sink.url() }));
    let admin = Visitor::admin(&server);

    let reply = admin.submit("/admin/hooks/1/test", &[]).checked(303);
    assert_eq!(reply.header("location"), Some("/admin/hooks/1?done=sent"));
    check_has(&admin.page("/admin/hooks"), &["Healthy", "100 %"]);

    let id = newest(&server);
    check_has(
        &admin.page("/admin/hooks/1"),
        &["Recent events", &format!("/admin/hooks/1/events/{id}")],
    );
    check_has(&admin.page(&format!("/admin/hooks/1/events/{id}")), &["project_create"]);
    admin
        .submit(&format!("/admin/hooks/1/events/{id}/resend"), &[])
        .checked(303);
}

pub(crate) fn the_list_of_attempts_names_the_kinds_of_events(engine: Engine) {
    let (server, _sink) = start(&engine, 200, "");
    let attempt = server.get("/api/v1/attempts?hook=1")["items"][0].clone();
    assert_eq!(attempt["trigger"], "push_hooks");

    let delivery = attempt["delivery_id"].as_str().expect("an id");
    let history = server.get(&format!("/api/v1/deliveries/{delivery}"))["history"].clone();
    assert_eq!(history[0]["trigger"], "push_hooks");

    let request = server.get(&format!("{API}/events/{}", attempt["id"]));
    check_shows(
        &request["request"],
        &json!({ "id": attempt["id"], "trigger": "push_hooks" }),
    );
    check_shows(&request["attempt"], &json!({ "delivery_id": delivery, "number": 1 }));
}

pub(crate) fn a_page_of_another_place_does_not_exist(engine: Engine) {
    let (server, _sink) = start(&engine, 200, "");
    let admin = Visitor::admin(&server);
    let id = newest(&server);
    for path in [
        "/admin/hooks/1".to_owned(),
        "/groups/gear/-/hooks/1".to_owned(),
        format!("/admin/hooks/1/events/{id}"),
        format!("{HOOK}/events/99999"),
        format!("{HOOK}/events/x"),
    ] {
        admin.open(&path).check(404);
    }
}
