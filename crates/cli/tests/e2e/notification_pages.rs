//! The pages of notification rules.

use crate::Check;
use crate::access::People;
use crate::http::{Sink, eventually};
use crate::server::{Engine, Server};
use crate::visitor::Visitor;

pub(crate) const CHECKS: &[(&str, Check)] = checks![
    self::a_rule_is_added_tested_changed_and_deleted_with_pages,
    self::a_form_with_wrong_values_is_shown_again,
    self::a_page_shows_why_a_test_was_not_sent,
    self::a_rule_is_deleted_after_a_confirmation_only,
    self::pages_of_notifications_are_for_managers,
    self::names_on_pages_of_notifications_are_text,
];

const PAGE: &str = "/gear/rope/-/notifications";

fn server(engine: &Engine) -> Server {
    let server = Server::start(engine, &[]);
    server.make_project();
    server
}

/// The fields of a form for a rule that posts to a chat.
fn fields<'a>(name: &'a str, url: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("name", name),
        ("kinds", "hook_failing"),
        ("kinds", "hook_disabled"),
        ("channel", "slack"),
        ("url", url),
        ("digest", "daily"),
        ("hour", "7"),
        ("zone", "Europe/Berlin"),
        ("active", "true"),
    ]
}

pub(crate) fn a_rule_is_added_tested_changed_and_deleted_with_pages(engine: Engine) {
    let server = server(&engine);
    let admin = Visitor::admin(&server);
    let sink = Sink::start(|_| Some(200));
    let url = sink.url();
    assert!(admin.page(PAGE).contains("Nobody is informed yet"));
    assert!(admin.page(&format!("{PAGE}/new")).contains("Add notification rule"));

    let added = admin
        .submit(&format!("{PAGE}/new"), &fields("On call", &url))
        .checked(303);
    let page = added.header("location").expect("an address").to_owned();
    let rule = page.split('?').next().expect("a path");
    let shown = admin.page(&page);
    assert!(shown.contains("The notification rule is created") && shown.contains("value=\"Europe/Berlin\""));
    assert!(!shown.contains(&url), "the URL of the chat is never shown");

    let tested = admin.submit(&format!("{rule}/test"), &[]).checked(303);
    assert!(
        admin
            .page(tested.header("location").expect("an address"))
            .contains("The test is sent.")
    );
    eventually("the chat got it", || sink.got().len() == 1);

    admin.submit(rule, &fields("Nights", "")).checked(303);
    let list = admin.page(PAGE);
    assert!(
        list.contains("Nights") && list.contains("Slack (127.0.0.1)") && list.contains("Daily at 7:00, Europe/Berlin")
    );
}

pub(crate) fn a_form_with_wrong_values_is_shown_again(engine: Engine) {
    let server = server(&engine);
    let admin = Visitor::admin(&server);
    let mut wrong = fields("On call", "http://169.254.169.254/s3cret");
    wrong[6] = ("hour", "soon");

    let reply = admin.submit(&format!("{PAGE}/new"), &wrong);
    reply.check_refusal(422, "hour must be a whole number");
    assert!(
        reply.body.contains("value=\"On call\"") && !reply.body.contains("s3cret"),
        "{}",
        reply.body
    );

    let blocked = fields("On call", "http://169.254.169.254/s3cret");
    let reply = admin.submit(&format!("{PAGE}/new"), &blocked);
    reply.check_refusal(422, "url is blocked by rule metadata");
}

pub(crate) fn a_page_shows_why_a_test_was_not_sent(engine: Engine) {
    let server = server(&engine);
    let admin = Visitor::admin(&server);
    let sink = Sink::start(|_| Some(404));
    let added = admin
        .submit(&format!("{PAGE}/new"), &fields("On call", &sink.url()))
        .checked(303);
    let rule = added
        .header("location")
        .expect("an address")
        .split('?')
        .next()
        .expect("a path")
        .to_owned();

    let tested = admin.submit(&format!("{rule}/test"), &[]).checked(303);
    let shown = admin.page(tested.header("location").expect("an address"));
    assert!(
        shown.contains("The test was not sent: the chat answered 404"),
        "{shown}"
    );
}

pub(crate) fn a_rule_is_deleted_after_a_confirmation_only(engine: Engine) {
    let server = server(&engine);
    let admin = Visitor::admin(&server);
    admin
        .submit(&format!("{PAGE}/new"), &fields("On call", "http://127.0.0.1/x"))
        .checked(303);
    let delete = format!("{PAGE}/1/delete");

    let asked = admin.submit(&delete, &[]).checked(200);
    assert!(asked.body.contains("is deleted with its waiting news"));
    assert!(admin.page(PAGE).contains("On call"));

    admin.submit(&delete, &[("confirmed", "true")]).checked(303);
    assert!(admin.page(PAGE).contains("Nobody is informed yet"));
}

pub(crate) fn pages_of_notifications_are_for_managers(engine: Engine) {
    let server = server(&engine);
    let people = People { server: &server };
    let (id, token) = people.make("guest", "api");
    people.add("projects/1", id, 10);
    let (id, maintainer) = people.make("maintainer", "api");
    people.add("projects/1", id, 40);

    Visitor::signed_in(&server, &token).open(PAGE).checked(403);
    Visitor::signed_in(&server, &token)
        .open(&format!("{PAGE}/new"))
        .checked(403);

    let maintainer = Visitor::signed_in(&server, &maintainer);
    maintainer.page(PAGE);
    maintainer.open("/admin/notifications").checked(403);
    maintainer.open("/groups/gear/-/notifications").checked(404);
}

pub(crate) fn names_on_pages_of_notifications_are_text(engine: Engine) {
    let server = server(&engine);
    let admin = Visitor::admin(&server);
    let name = "<script>alert(1)</script>\" onload=\"x";
    admin
        .submit(&format!("{PAGE}/new"), &fields(name, "http://127.0.0.1/x"))
        .checked(303);

    for page in [PAGE.to_owned(), format!("{PAGE}/1"), format!("{PAGE}/1/delete")] {
        let shown = admin.page(&page);
        assert!(
            !shown.contains("<script>alert") && !shown.contains("\" onload="),
            "{page}"
        );
        assert!(
            shown.contains("&lt;script&gt;") || shown.contains("&#60;script&#62;"),
            "{page}"
        );
    }
}
