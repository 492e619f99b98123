//! The ground of all pages: who gets in, which requests are refused, and how the answers are protected.

use crate::http::send;
use crate::server::{Engine, Server, TOKEN};
use crate::visitor::Visitor;

pub(crate) fn a_page_leads_strangers_to_the_sign_in_page_and_back(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let stranger = Visitor::stranger(&server);

    let reply = stranger.open("/admin/hooks?page=2").checked(303);
    assert_eq!(
        reply.header("location"),
        Some("/-/sign_in?return_to=%2fadmin%2fhooks%3fpage%3d2")
    );

    let fields = [("token", TOKEN), ("return_to", "/admin/hooks?page=2")];
    let reply = stranger.send("/-/sign_in", &fields).checked(303);
    assert_eq!(reply.header("location"), Some("/admin/hooks?page=2"));
}

pub(crate) fn nobody_returns_to_another_server(engine: Engine) {
    let server = Server::start(&engine, &[]);
    for address in ["//evil.example/", "https://evil.example/", "/\\evil.example"] {
        let fields = [("token", TOKEN), ("return_to", address)];
        let reply = Visitor::stranger(&server).send("/-/sign_in", &fields).checked(303);
        assert_eq!(reply.header("location"), Some("/"), "{address}");
    }
}

pub(crate) fn a_wrong_token_does_not_sign_in(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let reply = Visitor::stranger(&server)
        .send("/-/sign_in", &[("token", "wrong")])
        .checked(422);
    assert!(reply.body.contains("This token is not valid") && !reply.body.contains("wrong\""));
    assert!(reply.header("set-cookie").is_none());
}

pub(crate) fn a_session_ends_when_the_person_signs_out(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let admin = Visitor::admin(&server);
    assert!(admin.page("/").contains("Your projects"));

    admin.submit("/-/sign_out", &[]).checked(303);
    admin.open("/").checked(303);
}

pub(crate) fn a_form_without_the_token_of_its_session_is_refused(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let (admin, other) = (Visitor::admin(&server), Visitor::admin(&server));

    admin
        .send("/-/sign_out", &[])
        .check_refusal(403, "The form does not belong to this session");
    admin
        .send("/-/sign_out", &[("form_token", &other.form_token())])
        .check_refusal(403, "The form does not belong to this session");
    assert!(admin.page("/").contains("Your projects"));
}

pub(crate) fn a_form_of_another_site_is_refused(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let admin = Visitor::admin(&server);
    let body = format!("form_token={}", admin.form_token());
    let own = format!("http://127.0.0.1:{}", server.port);

    for (name, value, expected) in [
        ("Origin", "https://evil.example", 403),
        ("Origin", "null", 403),
        ("Sec-Fetch-Site", "cross-site", 403),
        ("Sec-Fetch-Site", "same-site", 403),
        ("Origin", own.as_str(), 303),
    ] {
        let kind = ("Content-Type", "application/x-www-form-urlencoded");
        let headers = [("Cookie", admin.cookie()), kind, (name, value)];
        let reply = send(server.port, "POST", "/-/sign_out", &headers, body.as_bytes()).expect("an answer");
        assert_eq!(reply.status, expected, "{name}: {value}");
    }
}

pub(crate) fn the_cookie_is_no_credential_for_the_api(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let admin = Visitor::admin(&server);
    admin.open("/api/v4/projects").checked(401);
    admin.open("/api/v1/events").checked(401);
}

pub(crate) fn a_session_ends_with_its_token(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let made = server.create(
        "/api/v4/users/1/personal_access_tokens",
        &serde_json::json!({"name": "browser", "scopes": ["api"]}),
    );
    let visitor = Visitor::signed_in(&server, made["token"].as_str().expect("a token"));
    assert!(visitor.page("/").contains("Your projects"));

    server
        .call("DELETE", &format!("/api/v4/personal_access_tokens/{}", made["id"]), "")
        .checked(204);
    visitor.open("/").checked(303);
}

pub(crate) fn every_page_is_protected_by_its_headers(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let admin = Visitor::admin(&server);

    for path in ["/", "/-/sign_in", "/admin/hooks", "/nothing/-/hooks"] {
        let reply = admin.open(path);
        let policy = reply.header("content-security-policy").expect("a policy");
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{path}"
        );
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(reply.header("referrer-policy"), Some("same-origin"), "{path}");
    }
}

pub(crate) fn pages_answer_to_their_own_host_names_only(engine: Engine) {
    let names = ("QUICKDRAW__SERVER__HOST_NAMES", r#"["quickdraw.internal"]"#);
    let server = Server::start(&engine, &[names]);
    let raw = |host: &str| {
        use std::io::{Read, Write};

        let mut stream = std::net::TcpStream::connect(("127.0.0.1", server.port)).expect("connected");
        let head = format!("GET /-/sign_in HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("sent");

        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer[9..12].to_owned()
    };

    assert_eq!(raw("evil.example"), "421");
    assert_eq!(raw("quickdraw.internal:443"), "200");
    assert_eq!(raw(&format!("localhost:{}", server.port)), "200");
}

pub(crate) fn the_webhooks_of_all_levels_have_the_addresses_of_gitlab(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();
    server.make_hook("https://hooks.example.com/in", "");
    let admin = Visitor::admin(&server);

    for path in ["/gear/rope/-/hooks", "/gear/rope/-/settings/hooks"] {
        assert!(admin.page(path).contains("https://hooks.example.com/in"), "{path}");
    }

    assert!(admin.page("/groups/gear/-/hooks").contains("No webhook is set up yet"));
    assert!(admin.page("/admin/hooks").contains("No webhook is set up yet"));
    admin.open("/gear/nothing/-/hooks").checked(404);
}
