//! Portal links: they show the webhooks of one project or group, and nothing else.

use serde_json::{Value, json};

use crate::access::People;
use crate::http::eventually;
use crate::server::{Engine, Server};
use crate::visitor::Visitor;

const API: &str = "/api/v1/portal_sessions";
const ORIGIN: &str = "https://platform.example.com";

/// A server with a project that has a webhook, and another project.
fn start(engine: &Engine) -> Server {
    let server = Server::start(
        engine,
        &[(
            "QUICKDRAW__SERVER__PORTAL_ORIGINS",
            r#"["https://platform.example.com"]"#,
        )],
    );
    server.make_project();
    server.make_hook("https://hooks.example.com/in", "");

    let other = json!({ "name": "Tent", "path": "tent", "namespace_id": 1 });
    server.create("/api/v4/projects", &other);
    server
}

/// Makes a link and returns its path.
fn link(server: &Server, body: &Value) -> String {
    let made = server.create(API, body);
    let url = made["url"].as_str().expect("an address");
    let at = url.find("/-/portal/").expect("a path");
    url[at..].to_owned()
}

/// Opens a link, and returns the browser.
fn open<'a>(server: &'a Server, path: &str) -> Visitor<'a> {
    let reply = Visitor::stranger(server).open(path).checked(303);
    Visitor::with_cookie_of(server, &reply)
}

pub(crate) fn a_portal_link_shows_the_webhooks_of_its_project(engine: Engine) {
    let server = start(&engine);
    let path = link(
        &server,
        &json!({ "project": "gear/rope", "theme": "dark", "return_url": "https://p.example/x" }),
    );

    let reply = Visitor::stranger(&server).open(&path).checked(303);
    assert_eq!(reply.header("location"), Some("/gear/rope/-/hooks"));

    let visitor = Visitor::with_cookie_of(&server, &reply);
    for page in ["events", "deliveries", "hooks/new"] {
        visitor.page(&format!("/gear/rope/-/{page}"));
    }

    let page = visitor.page("/gear/rope/-/hooks");
    assert!(page.contains("https://hooks.example.com/in"));
    assert!(page.contains(r#"data-theme="dark""#) && page.contains("https://p.example/x"));
    assert!(!page.contains("Signed in as"), "{page}");
}

pub(crate) fn a_portal_link_opens_nothing_else(engine: Engine) {
    let server = start(&engine);
    let visitor = open(
        &server,
        &link(&server, &json!({ "project": "gear/rope", "access": "manage" })),
    );

    for path in ["/gear/tent/-/hooks", "/groups/gear/-/hooks"] {
        visitor.open(path).checked(404);
    }

    for path in ["/admin/hooks", "/-/profile", "/-/profile/tokens"] {
        visitor.open(path).checked(403);
    }

    for page in [
        "overview",
        "members",
        "settings",
        "access_tokens",
        "replays",
        "notifications",
    ] {
        visitor.open(&format!("/gear/rope/-/{page}")).checked(403);
    }

    let home = visitor.open("/").checked(303);
    assert_eq!(home.header("location"), Some("/gear/rope/-/hooks"));
    visitor.open("/api/v4/projects/1/hooks").checked(401);
}

pub(crate) fn a_link_of_a_group_shows_its_projects(engine: Engine) {
    let server = start(&engine);
    let visitor = open(&server, &link(&server, &json!({ "group": "gear" })));
    visitor.page("/groups/gear/-/hooks");
    visitor.page("/gear/tent/-/hooks");
    visitor.open("/admin/hooks").checked(403);
}

pub(crate) fn an_altered_or_ended_link_is_refused_with_a_plain_page(engine: Engine) {
    let server = start(&engine);
    let path = link(&server, &json!({ "project": "gear/rope", "expires_in": 1 }));
    let stranger = Visitor::stranger(&server);
    stranger
        .open(&format!("/-/portal/{}", "0".repeat(64)))
        .check_refusal(410, "This link has ended");

    eventually("the link has ended", || stranger.open(&path).status == 410);
    stranger.open(&path).check_refusal(410, "This link has ended");
}

pub(crate) fn an_open_portal_ends_with_its_link(engine: Engine) {
    let server = start(&engine);
    let people = People { server: &server };
    let (ida, token) = people.make("ida", "api");

    people.add("projects/1", ida, 40);

    let made = server
        .call_as(&token, "POST", API, r#"{"project":"gear/rope"}"#)
        .checked(201)
        .json();
    let url = made["url"].as_str().expect("an address");
    let visitor = open(&server, &url[url.find("/-/portal/").expect("a path")..]);
    visitor.page("/gear/rope/-/hooks");

    // A link has no more rights than the user who made it.
    server
        .call("DELETE", &format!("/api/v4/projects/1/members/{ida}"), "")
        .checked(204);
    visitor.open("/gear/rope/-/hooks").checked(404);

    server
        .call("POST", &format!("/api/v4/users/{ida}/block"), "")
        .checked(201);
    visitor
        .open("/gear/rope/-/hooks")
        .check_refusal(410, "This link has ended");
}

pub(crate) fn only_who_manages_webhooks_makes_portal_links(engine: Engine) {
    let server = start(&engine);
    let people = People { server: &server };
    let (developer, token) = people.make("developer", "api");

    people.add("projects/1", developer, 30);

    let (_, stranger) = people.make("stranger", "api");

    let body = r#"{"project":"gear/rope"}"#;
    server.call_as(&token, "POST", API, body).checked(403);
    server.call_as(&stranger, "POST", API, body).checked(404);
}

pub(crate) fn a_portal_link_with_wrong_values_is_refused(engine: Engine) {
    let server = start(&engine);
    for (body, words) in [
        (json!({}), "name the project or group"),
        (json!({ "project": "gear/rope", "group": "gear" }), "cannot be combined"),
        (
            json!({ "project": "gear/rope", "expires_in": 86_401 }),
            "expires_in must be a whole number from 1 to 86400",
        ),
        (
            json!({ "project": "gear/rope", "return_url": "javascript:alert(1)" }),
            "return_url must be an address",
        ),
        (
            json!({ "project": "gear/rope", "access": "admin" }),
            "the choices are read, manage",
        ),
    ] {
        server.call("POST", API, &body.to_string()).check_refusal(400, words);
    }
}

pub(crate) fn only_pages_of_a_portal_may_be_framed(engine: Engine) {
    let server = start(&engine);
    let visitor = open(&server, &link(&server, &json!({ "project": "gear/rope" })));
    let policy = |visitor: &Visitor, path: &str| {
        let reply = visitor.open(path);
        reply.header("content-security-policy").expect("a policy").to_owned()
    };

    let framed = format!("frame-ancestors {ORIGIN}");
    assert!(policy(&visitor, "/gear/rope/-/hooks").ends_with(&framed));
    assert!(policy(&visitor, "/gear/tent/-/hooks").ends_with(&framed));
    assert!(policy(&Visitor::stranger(&server), "/-/portal/wrong").ends_with(&framed));

    let admin = Visitor::admin(&server);
    for path in ["/gear/rope/-/hooks", "/-/sign_in", "/"] {
        assert!(policy(&admin, path).ends_with("frame-ancestors 'none'"), "{path}");
    }
}

/// Sends the form of a new webhook with a link of this access.
fn add_webhook(server: &Server, access: &str) -> u16 {
    let visitor = open(
        server,
        &link(server, &json!({ "project": "gear/rope", "access": access })),
    );
    let page = visitor.page("/gear/rope/-/hooks/new");
    let field = page.split(r#"name="form_token" value=""#).nth(1).expect("a form");
    let token = field.split('"').next().expect("a value");

    let url = format!("https://hooks.example.com/{access}");
    let fields = [("form_token", token), ("url", url.as_str()), ("push_events", "true")];
    visitor.send("/gear/rope/-/hooks", &fields).status
}

pub(crate) fn only_a_link_for_managing_changes_webhooks(engine: Engine) {
    let server = start(&engine);
    assert_eq!(add_webhook(&server, "read"), 422, "the form says why");
    assert_eq!(add_webhook(&server, "manage"), 303);

    let hooks = server.get("/api/v4/projects/1/hooks").to_string();
    assert!(hooks.contains("/manage") && !hooks.contains("/read"), "{hooks}");

    let audit = server.get("/api/v1/audit").to_string();
    assert!(audit.contains("root (portal)"), "{audit}");
}
