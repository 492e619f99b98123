//! Signing in and out in a browser: passwords, the set-up link, and what the audit log says.

use serde_json::{Value, json};

use crate::commands::succeed;
use crate::http::Reply;
use crate::passwords::{PASSWORD, make_user};
use crate::server::{Engine, Server};
use crate::visitor::Visitor;

fn sign_in(server: &Server, username: &str, password: &str) -> Reply {
    let fields = [("username", username), ("password", password)];
    Visitor::stranger(server).send("/-/sign_in", &fields)
}

pub(crate) fn a_person_signs_in_with_a_password(engine: Engine) {
    let server = Server::start(&engine, &[]);
    make_user(&server, "ida");

    let ida = Visitor::by_password(&server, "IDA", PASSWORD);
    assert!(ida.page("/").contains("Signed in as <strong>ida</strong>"));

    let cookie = sign_in(&server, "ida", PASSWORD);
    let cookie = cookie.header("set-cookie").expect("a cookie");
    assert!(
        cookie.contains("httponly") && cookie.contains("samesite=lax"),
        "{cookie}"
    );
}

/// The page with what depends on the request left out.
fn plain(reply: &Reply, username: &str) -> String {
    reply.body.replace(username, "")
}

pub(crate) fn a_wrong_password_and_an_unknown_user_get_the_same_answer(engine: Engine) {
    let server = Server::start(&engine, &[]);
    make_user(&server, "ida");
    server.create("/api/v4/users", &json!({ "username": "uma", "name": "u" }));

    let wrong = sign_in(&server, "ida", "wrong password").checked(422);
    assert!(wrong.body.contains("The username or the password is wrong"));
    assert!(wrong.header("set-cookie").is_none() && !wrong.body.contains("wrong password"));

    for other in ["nobody", "uma"] {
        let refused = sign_in(&server, other, "wrong password").checked(422);
        assert_eq!(plain(&refused, other), plain(&wrong, "ida"), "{other}");
    }
}

pub(crate) fn guesses_of_a_password_are_slowed_down(engine: Engine) {
    let server = Server::start(&engine, &[]);
    make_user(&server, "ida");

    for _ in 0..5 {
        sign_in(&server, "ida", "wrong password").checked(422);
    }

    // The right password has to wait too.
    let slowed = sign_in(&server, "ida", PASSWORD);
    slowed.check_refusal(422, "too many failed attempts. Try again in");
}

pub(crate) fn a_blocked_user_cannot_sign_in(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let (id, _) = make_user(&server, "ida");
    let ida = Visitor::by_password(&server, "ida", PASSWORD);

    server
        .call("POST", &format!("/api/v4/users/{id}/block"), "")
        .checked(201);
    ida.open("/").checked(303);
    sign_in(&server, "ida", PASSWORD).check_refusal(403, "Your account is blocked");

    server
        .call("POST", &format!("/api/v4/users/{id}/unblock"), "")
        .checked(201);
    ida.open("/").checked(303);
    sign_in(&server, "ida", PASSWORD).checked(303);
}

pub(crate) fn each_sign_in_begins_a_new_session(engine: Engine) {
    let server = Server::start(&engine, &[]);
    make_user(&server, "ida");

    let before = Visitor::by_password(&server, "ida", PASSWORD);

    let fields = [("username", "ida"), ("password", PASSWORD)];
    let reply = before.send("/-/sign_in", &fields).checked(303);
    let after = Visitor::with_cookie_of(&server, &reply);
    assert_ne!(before.cookie(), after.cookie());

    before.open("/").checked(303);
    after.page("/");
}

pub(crate) fn signing_in_and_out_is_audited(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let (id, _) = make_user(&server, "ida");
    Visitor::by_password(&server, "ida", PASSWORD)
        .submit("/-/sign_out", &[])
        .checked(303);
    sign_in(&server, "ida", "wrong password").checked(422);

    let entries = || {
        let log = server.get(&format!("/api/v1/audit?user_id={id}"));
        let items = log["items"].as_array().expect("a list").clone();
        let row = |entry: &Value| format!("{} {}", entry["path"], entry["status"]);
        items.iter().map(row).collect::<Vec<_>>()
    };

    let expected = [r#""/-/sign_in" 422"#, r#""/-/sign_out" 303"#, r#""/-/sign_in" 303"#];
    crate::http::eventually("the entries are written", || entries() == expected);
}

/// Makes a set-up link with the command, and returns its path.
fn setup_link(server: &Server) -> String {
    let link: Value = serde_json::from_str(&succeed(server, &["setup-link", "--json"])).expect("JSON");
    let url = link["url"].as_str().expect("an address");
    let at = url.find("/-/setup/").expect("a path");
    url[at..].to_owned()
}

const CHOSEN: [(&str, &str); 4] = [
    ("name", "Olga"),
    ("username", "olga"),
    ("password", PASSWORD),
    ("password_again", PASSWORD),
];

pub(crate) fn a_setup_link_makes_an_administrator_who_can_sign_in(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let path = setup_link(&server);
    let stranger = Visitor::stranger(&server);
    assert!(stranger.page(&path).contains("Choose the name and the password"));

    let reply = stranger.send(&path, &CHOSEN).checked(303);
    assert_eq!(reply.header("location"), Some("/-/start"));

    let olga = Visitor::with_cookie_of(&server, &reply);
    assert!(olga.page("/-/start").contains("Receive from GitLab"));
    assert!(olga.page("/admin/hooks").contains("Webhooks"));

    Visitor::by_password(&server, "olga", PASSWORD).page("/admin/hooks");
}

pub(crate) fn a_setup_link_works_once_and_only_the_newest(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let (old, new) = (setup_link(&server), setup_link(&server));
    let stranger = Visitor::stranger(&server);
    stranger.open(&old).check_refusal(410, "quickdraw setup-link");
    stranger.send(&old, &CHOSEN).checked(410);

    stranger.send(&new, &CHOSEN).checked(303);
    stranger.open(&new).checked(410);
    stranger.send(&new, &CHOSEN).checked(410);
}

pub(crate) fn a_refused_setup_keeps_the_link_and_no_password(engine: Engine) {
    let server = Server::start(&engine, &[]);
    make_user(&server, "ida");

    let path = setup_link(&server);
    let stranger = Visitor::stranger(&server);

    for (name, value, words) in [
        ("username", "ida", "Another user has this username"),
        ("username", "a/b", "The username"),
        ("name", "", "Enter a name"),
        ("password", "short", "The password is too short"),
        ("password_again", "battery staple", "The two passwords are different"),
    ] {
        let fields = CHOSEN.map(|(known, old)| (known, if known == name { value } else { old }));
        let refused = stranger.send(&path, &fields);
        refused.check_refusal(422, words);
        assert!(!refused.body.contains(PASSWORD), "{name}");
    }

    stranger.send(&path, &CHOSEN).checked(303);
}

pub(crate) fn the_setup_page_compares_the_address_with_the_settings(engine: Engine) {
    let server = Server::start(&engine, &[("QUICKDRAW_EXTERNAL_URL", "https://hooks.example.com")]);
    let page = Visitor::stranger(&server).page(&setup_link(&server));
    assert!(page.contains("https://hooks.example.com"));
    assert!(page.contains("server.external_url"), "{page}");
}
