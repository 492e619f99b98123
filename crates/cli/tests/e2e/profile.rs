//! The profile pages: password, sessions and access tokens.

use crate::passwords::{PASSWORD, make_user};
use crate::server::{Engine, Server};
use crate::visitor::Visitor;

const NEW: &str = "battery staple";

pub(crate) fn a_new_password_ends_the_other_sessions(engine: Engine) {
    let server = Server::start(&engine, &[]);
    make_user(&server, "ida");

    let here = Visitor::by_password(&server, "ida", PASSWORD);
    let there = Visitor::by_password(&server, "ida", PASSWORD);

    let fields = [
        ("current_password", PASSWORD),
        ("password", NEW),
        ("password_again", NEW),
    ];
    let page = here.submit("/-/profile/password", &fields).checked(200);
    assert!(page.body.contains("Your password is changed"));

    here.page("/");
    there.open("/").checked(303);
    Visitor::by_password(&server, "ida", NEW).page("/");
}

pub(crate) fn a_refused_password_is_explained_and_not_sent_back(engine: Engine) {
    let server = Server::start(&engine, &[]);
    make_user(&server, "ida");

    let ida = Visitor::by_password(&server, "ida", PASSWORD);

    for (current, new, again, words) in [
        ("wrong password", NEW, NEW, "current_password is not the password"),
        (PASSWORD, "short", "short", "is too short"),
        (PASSWORD, NEW, "different", "The two new passwords are different"),
    ] {
        let fields = [
            ("current_password", current),
            ("password", new),
            ("password_again", again),
        ];
        let refused = ida.submit("/-/profile/password", &fields);
        refused.check_refusal(422, words);
        assert!(!refused.body.contains(NEW) && !refused.body.contains(PASSWORD));
    }
}

pub(crate) fn sessions_are_listed_and_ended(engine: Engine) {
    let server = Server::start(&engine, &[]);
    make_user(&server, "ida");

    let here = Visitor::by_password(&server, "ida", PASSWORD);
    let there = Visitor::by_password(&server, "ida", PASSWORD);

    let page = here.page("/-/profile/sessions");
    assert!(page.contains("This browser") && page.contains("127.0.0.1"), "{page}");

    let button = page.split(r#"name="end" value=""#).nth(2).expect("a button");
    let id = button.split('"').next().expect("a value");
    here.submit("/-/profile/sessions", &[("end", id)]).checked(200);
    there.open("/").checked(303);
    here.page("/");
}

pub(crate) fn a_person_signs_out_everywhere_else(engine: Engine) {
    let server = Server::start(&engine, &[]);
    make_user(&server, "ida");

    let sign_in = || Visitor::by_password(&server, "ida", PASSWORD);
    let (here, there, elsewhere) = (sign_in(), sign_in(), sign_in());

    here.submit("/-/profile/sessions", &[("end", "others")]).checked(200);
    here.page("/");
    there.open("/").checked(303);
    elsewhere.open("/").checked(303);
}

pub(crate) fn nobody_ends_the_session_of_another_user(engine: Engine) {
    let server = Server::start(&engine, &[]);
    make_user(&server, "ida");

    let (_, other) = make_user(&server, "olga");
    let ida = Visitor::by_password(&server, "ida", PASSWORD);

    for id in 1..4 {
        let path = format!("/api/v1/user/sessions/{id}");
        server.call_as(&other, "DELETE", &path, "").checked(404);
    }

    ida.page("/");
}

pub(crate) fn a_token_is_created_shown_once_and_revoked(engine: Engine) {
    let server = Server::start(&engine, &[]);
    make_user(&server, "ida");

    let ida = Visitor::by_password(&server, "ida", PASSWORD);
    let address = "/-/profile/tokens";

    let fields = [
        ("name", "Nightly <b>job</b>"),
        ("scopes", "read_api"),
        ("scopes", "report"),
    ];
    let page = ida.submit(address, &fields).checked(200).body;
    let token = page.split(r#"<code id="new-token">"#).nth(1).expect("a token");
    let token = token.split('<').next().expect("a text").to_owned();

    server.call_as(&token, "GET", "/api/v4/user", "").checked(200);

    let page = ida.page(address);
    assert!(
        !page.contains(&token) && page.contains("read_api, report") && !page.contains("<b>job"),
        "{page}"
    );

    let button = page.split(r#"name="revoke" value=""#).nth(1).expect("a button");
    let id = button.split('"').next().expect("a value");
    let question = ida.submit(address, &[("revoke", id)]).checked(200).body;
    assert!(question.contains("refused at once"), "{question}");
    server.call_as(&token, "GET", "/api/v4/user", "").checked(200);

    ida.submit(address, &[("revoke", id), ("confirmed", "true")])
        .checked(200);
    server.call_as(&token, "GET", "/api/v4/user", "").checked(401);
}

pub(crate) fn a_token_with_wrong_values_is_refused_on_the_page(engine: Engine) {
    let server = Server::start(&engine, &[]);
    make_user(&server, "ida");

    let ida = Visitor::by_password(&server, "ida", PASSWORD);

    for (fields, words) in [
        (&[("name", "n")][..], "scopes is missing"),
        (&[("name", "n"), ("scopes", "sudo")], "this token can have"),
        (&[("name", ""), ("scopes", "api")], "name is missing"),
        (
            &[("name", "n"), ("scopes", "api"), ("expires_at", "2020-01-01")],
            "must be in the future",
        ),
    ] {
        ida.submit("/-/profile/tokens", fields).check_refusal(422, words);
    }
}
