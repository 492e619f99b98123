//! Access: the status of every role for the endpoints of hooks and members, and the rules for tokens and bots.

use serde_json::{Value, json};

use crate::http::{Reply, send};
use crate::server::{Engine, Server};

pub(crate) struct People<'a> {
    pub(crate) server: &'a Server,
}

impl People<'_> {
    /// Creates a user and returns the id and a token with the given scope.
    pub(crate) fn make(&self, username: &str, scopes: &str) -> (i64, String) {
        let body = json!({ "username": username, "name": username, "email": format!("{username}@climb.example") });
        let user = self.server.call("POST", "/api/v4/users", &body.to_string());
        assert_eq!(user.status, 201, "{}", user.body);

        let id = user.json()["id"].as_i64().expect("a number");
        (id, self.token(id, scopes))
    }

    pub(crate) fn token(&self, user: i64, scopes: &str) -> String {
        let body = json!({ "name": "script", "scopes": [scopes] });
        let token = self.server.call(
            "POST",
            &format!("/api/v4/users/{user}/personal_access_tokens"),
            &body.to_string(),
        );
        assert_eq!(token.status, 201, "{}", token.body);

        token.json()["token"].as_str().expect("shown once").to_owned()
    }

    fn call(&self, token: &str, method: &str, path: &str, body: &str) -> Reply {
        let headers = [
            ("Authorization", &*format!("Bearer {token}")),
            ("Content-Type", "application/json"),
        ];
        send(self.server.port, method, path, &headers, body.as_bytes()).expect("an answer")
    }
}

pub(crate) fn each_role_gets_the_statuses_of_its_row(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let people = People { server: &server };
    let (mut tokens, hook) = (Vec::new(), r#"{"url":"https://example.com/"}"#);

    for (name, level) in [("guest", 10), ("developer", 30), ("maintainer", 40), ("owner", 50)] {
        let (id, token) = people.make(name, "api");
        let body = json!({ "user_id": id, "access_level": level }).to_string();
        assert_eq!(server.call("POST", "/api/v4/groups/gear/members", &body).status, 201);
        tokens.push((name, token));
    }

    let (_, stranger) = people.make("stranger", "api");
    tokens.push(("stranger", stranger));

    let owner = server.call("GET", "/api/v4/users?username=owner", "").json()[0]["id"]
        .as_i64()
        .expect("a number");
    tokens.push(("reader", people.token(owner, "read_api")));

    let hooks = ["/api/v4/projects/1/hooks", "/api/v4/groups/gear/hooks", "/api/v4/hooks"];
    let ids = hooks.map(|hooks| server.call("POST", hooks, hook).json()["id"].clone());

    // One row per role: see the project and group; list, create and edit hooks of each level; add a member.
    #[rustfmt::skip]
    let rows = [
        //            see         project hooks    group hooks      system hooks     add a member
        ("guest",      [200, 200], [403, 403, 403], [403, 403, 403], [403, 403, 403], 403),
        ("developer",  [200, 200], [403, 403, 403], [403, 403, 403], [403, 403, 403], 403),
        ("maintainer", [200, 200], [200, 201, 200], [403, 403, 403], [403, 403, 403], 403),
        ("owner",      [200, 200], [200, 201, 200], [200, 201, 200], [403, 403, 403], 201),
        ("stranger",   [404, 404], [404, 404, 404], [404, 404, 404], [403, 403, 403], 404),
        ("reader",     [200, 200], [200, 403, 403], [200, 403, 403], [403, 403, 403], 403),
    ];

    for (name, see, project, group, system, member) in rows {
        let token = &tokens.iter().find(|(known, _)| *known == name).expect("made above").1;
        let status = |method: &str, path: &str, body: &str| people.call(token, method, path, body).status;

        assert_eq!(
            status("GET", "/api/v4/projects/gear%2Frope", ""),
            see[0],
            "{name} sees the project"
        );

        assert_eq!(
            status("GET", "/api/v4/groups/gear", ""),
            see[1],
            "{name} sees the group"
        );

        for ((hooks, id), expected) in hooks.iter().zip(&ids).zip([project, group, system]) {
            let one = format!("{hooks}/{id}");
            assert_eq!(status("GET", hooks, ""), expected[0], "{name}: GET {hooks}");
            assert_eq!(status("GET", &one, ""), expected[0], "{name}: GET {one}");
            assert_eq!(status("POST", hooks, hook), expected[1], "{name}: POST {hooks}");
            assert_eq!(status("PUT", &one, r#"{"name":"n"}"#), expected[2], "{name}: PUT {one}");

            if *hooks != "/api/v4/hooks" {
                assert_eq!(
                    status("GET", &format!("{one}/events"), ""),
                    expected[0],
                    "{name}: the log of {one}"
                );
            }
        }

        let (new, _) = people.make(&format!("new-{name}"), "api");
        let body = json!({ "user_id": new, "access_level": 30 }).to_string();

        assert_eq!(
            status("POST", "/api/v4/groups/gear/members", &body),
            member,
            "{name} adds a member"
        );

        assert_eq!(status("GET", "/api/v4/users", ""), 403, "{name} lists users");
        assert_eq!(status("GET", "/api/v4/user", ""), 200);

        // The hook of a group does not exist under the project, even for roles that may read hooks.
        let foreign = format!("{}/{}", hooks[0], ids[1]);
        let expected = if project[0] == 200 { 404 } else { project[0] };

        assert_eq!(
            status("GET", &foreign, ""),
            expected,
            "{name}: a hook of the group under the project"
        );
    }
}

pub(crate) fn a_token_is_shown_once_and_can_be_revoked(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let people = People { server: &server };
    let (id, token) = people.make("ida", "api");
    let me = people.call(&token, "GET", "/api/v4/user", "").json();

    assert_eq!(
        (&me["id"], &me["username"], &me["is_admin"]),
        (&json!(id), &json!("ida"), &json!(false))
    );

    let own = people
        .call(&token, "GET", "/api/v4/personal_access_tokens/self", "")
        .json();
    assert_eq!(
        (&own["scopes"], &own["active"], &own["token"]),
        (&json!(["api"]), &json!(true), &Value::Null)
    );

    let make = |body: &str| people.call(&token, "POST", "/api/v4/user/personal_access_tokens", body);
    assert_eq!(
        make(r#"{"name":"x","scopes":["sudo"]}"#).json()["error"],
        "scopes does not have a valid value"
    );

    assert_eq!(
        make(r#"{"name":"x","scopes":["api"],"expires_at":"2020-01-01"}"#).status,
        400
    );

    let second = make(r#"{"name":"x","scopes":["api"]}"#).json();
    let text = second["token"].as_str().expect("shown once").to_owned();

    assert!(
        !server
            .get(&format!("/api/v4/personal_access_tokens/{}", second["id"]))
            .to_string()
            .contains(&text)
    );

    let (_, other) = people.make("other", "api");
    let path = format!("/api/v4/personal_access_tokens/{}", second["id"]);

    assert_eq!(
        people.call(&other, "DELETE", &path, "{}").status,
        404,
        "the token of another user"
    );

    assert_eq!(
        people
            .call(&text, "DELETE", "/api/v4/personal_access_tokens/self", "{}")
            .status,
        204
    );

    assert_eq!(people.call(&text, "GET", "/api/v4/user", "").status, 401);
    assert_eq!(people.call(&token, "GET", "/api/v4/version", "").status, 200);

    assert_eq!(
        server
            .call("POST", "/api/v4/users", r#"{"username":"IDA","name":"x"}"#)
            .status,
        409
    );

    assert!(!server.output().contains(&text), "{}", server.output());
}

pub(crate) fn changes_and_refusals_are_audited_without_values(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let people = People { server: &server };
    let (_, stranger) = people.make("stranger", "api");

    let hook = server.make_hook(
        "https://example.com/in",
        r#","token":"canary-token","custom_headers":{"X-K":"canary-h"}"#,
    );
    let one = format!("/api/v4/projects/1/hooks/{}", hook["id"]);
    assert_eq!(server.call("PUT", &one, r#"{"token":"canary-new"}"#).status, 200);
    assert_eq!(people.call(&stranger, "PUT", &one, r#"{"name":"n"}"#).status, 404);
    assert_eq!(people.call(&stranger, "GET", "/api/v4/hooks", "").status, 403);
    assert_eq!(people.call("wrong", "DELETE", &one, "").status, 401);
    server.report(1).expect("accepted");
    assert_eq!(server.call("DELETE", &one, "{}").status, 204);

    let log = server.get("/api/v1/audit?limit=5");
    let row = |at: usize| {
        let entry = &log["items"][at];
        (
            entry["username"].as_str(),
            entry["method"].as_str(),
            entry["status"].as_i64(),
            entry["attributes"].to_string(),
        )
    };

    assert_eq!(
        row(0),
        (Some("root"), Some("DELETE"), Some(204), "[]".to_owned()),
        "{log}"
    );

    assert_eq!(
        row(1),
        (Some("stranger"), Some("GET"), Some(403), "[]".to_owned()),
        "{log}"
    );

    assert_eq!((row(2).0, row(2).2), (Some("stranger"), Some(404)), "{log}");
    assert_eq!(
        row(3),
        (Some("root"), Some("PUT"), Some(200), r#"["token"]"#.to_owned()),
        "{log}"
    );

    assert!(row(4).3.contains("custom_headers"), "{log}");
    assert_eq!(
        (&log["items"][3]["path"], &log["items"][3]["address"]),
        (&json!(one), &json!("127.0.0.1"))
    );

    let all = server.get(&format!(
        "/api/v1/audit?limit=100&before={}",
        log["next"].as_str().expect("more")
    ));
    assert!(!format!("{log}{all}").contains("canary"), "{log}{all}");

    assert_eq!(
        all["items"].as_array().map(Vec::len),
        Some(4),
        "group, project, user, token: {all}"
    );

    assert_eq!(people.call(&stranger, "GET", "/api/v1/audit", "").status, 403);
}

/// Managers of a project can control its bots, and the root token comes from the settings. The API must not give either
/// of them more rights or revoke the root token.
pub(crate) fn bots_and_the_root_token_cannot_be_promoted_or_revoked(engine: Engine) {
    let mut server = Server::start(&engine, &[]);
    server.make_project();

    let bot = server
        .call(
            "POST",
            "/api/v4/projects/1/access_tokens",
            r#"{"name":"ci","scopes":["read_api"]}"#,
        )
        .json();

    let (id, user, text) = (
        &bot["id"],
        &bot["user_id"],
        bot["token"].as_str().expect("shown once").to_owned(),
    );

    assert!(text.starts_with("qdprat-"), "{bot}");

    let admin = server.call("PUT", &format!("/api/v4/users/{user}"), r#"{"admin":true}"#);
    assert_eq!(admin.status, 400, "{}", admin.body);

    let elsewhere = json!({ "user_id": user, "access_level": 50 }).to_string();
    let added = server.call("POST", "/api/v4/groups/gear/members", &elsewhere);

    assert_eq!(
        (added.status, added.body.contains("bot")),
        (400, true),
        "{}",
        added.body
    );

    let people = People { server: &server };
    let (developer, token) = people.make("developer", "api");
    let member = json!({ "user_id": developer, "access_level": 40, "expires_at": "2035-01-01" }).to_string();
    assert_eq!(server.call("POST", "/api/v4/projects/1/members", &member).status, 201);
    assert_eq!(server.call("POST", "/api/v4/projects/1/members", &member).status, 409);

    let owned = r#"{"name":"o","scopes":["api"],"access_level":50}"#;
    let above = server.call("POST", "/api/v4/projects/1/access_tokens", owned).json();
    let tokens = "/api/v4/projects/1/access_tokens";

    assert_eq!(
        people.call(&token, "POST", tokens, owned).status,
        403,
        "a user cannot grant more than their own role"
    );

    for (method, path) in [
        ("POST", format!("{tokens}/{}/rotate", above["id"])),
        ("DELETE", format!("{tokens}/{}", above["id"])),
    ] {
        assert_eq!(
            people.call(&token, method, &path, "{}").status,
            403,
            "a user cannot take over a token of a higher role"
        );
    }

    let changed = server
        .call(
            "PUT",
            &format!("/api/v4/projects/1/members/{developer}"),
            r#"{"access_level":30}"#,
        )
        .json();
    assert_eq!(changed["expires_at"], "2035-01-01", "other attributes stay: {changed}");

    let me = format!("/api/v4/projects/1/members/{developer}");
    assert_eq!(
        people.call(&token, "DELETE", &me, "{}").status,
        204,
        "every member may leave"
    );

    let fresh = server.call("POST", &format!("{tokens}/{id}/rotate"), "{}").json();
    let text = fresh["token"].as_str().expect("shown once").to_owned();

    assert_eq!(
        server.call("DELETE", &format!("{tokens}/{id}"), "{}").status,
        204,
        "it is revoked already"
    );

    assert_eq!(
        people.call(&text, "GET", "/api/v4/projects/1", "").status,
        200,
        "the rotated token has the same rights"
    );

    assert_eq!(
        people
            .call(&text, "POST", "/api/v4/user/personal_access_tokens", owned)
            .status,
        403
    );

    assert_eq!(
        people
            .call(&text, "DELETE", "/api/v4/personal_access_tokens/self", "{}")
            .status,
        204
    );

    assert_eq!(people.call(&text, "GET", "/api/v4/projects/1", "").status, 401);

    for (method, path) in [("DELETE", "self"), ("POST", "self/rotate")] {
        let refused = server.call(method, &format!("/api/v4/personal_access_tokens/{path}"), "{}");
        assert_eq!(
            (refused.status, refused.body.contains("QUICKDRAW_ROOT_TOKEN")),
            (400, true),
            "{}",
            refused.body
        );
    }

    assert_eq!(server.call("PUT", "/api/v4/users/1", r#"{"admin":false}"#).status, 403);
    assert_eq!(server.call("DELETE", "/api/v4/users/1", "{}").status, 403);
    server.kill();
    server.restart();
    assert_eq!(server.call("GET", "/api/v4/user", "").status, 200);
}

pub(crate) fn errors_have_the_format_of_their_api(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let people = People { server: &server };
    let (_, stranger) = people.make("stranger", "api");

    let asked = [
        people.call("wrong", "GET", "/api/v1/events", ""),
        people.call(&stranger, "GET", "/api/v1/events", ""),
        server.call(
            "POST",
            "/api/v1/projects/nowhere/events",
            r#"{"trigger":"push_hooks","payload":{}}"#,
        ),
        server.call("GET", "/api/v1/events?limit=many", ""),
        server.call("GET", "/api/v1/events/%FF", ""),
        server.call("PATCH", "/api/v1/events", ""),
    ];

    for (reply, status) in asked.iter().zip([401, 403, 404, 400, 400, 405]) {
        assert_eq!(
            (reply.status, reply.content_type()),
            (status, "application/problem+json"),
            "{}",
            reply.body
        );

        assert!(
            reply.json()["detail"].is_string() && reply.json()["status"] == status,
            "{}",
            reply.body
        );
    }

    let asked = [
        people.call(&stranger, "GET", "/api/v4/projects/1/hooks", ""),
        server.call("GET", "/api/v4/projects/%FF", ""),
        server.call("PATCH", "/api/v4/projects/1", "{}"),
        server.call("POST", "/api/v4/users", r#"{"username":"STRANGER","name":"x"}"#),
    ];

    for (reply, status) in asked.iter().zip([404, 400, 405, 409]) {
        assert_eq!(
            (reply.status, reply.content_type()),
            (status, "application/json"),
            "{}",
            reply.body
        );

        assert!(
            !(reply.json()["message"].is_null() && reply.json()["error"].is_null()),
            "{}",
            reply.body
        );
    }

    // A refused read of something hidden is audited too.
    let log = server.get("/api/v1/audit?limit=100");
    let hidden = |entry: &&Value| entry["path"] == "/api/v4/projects/1/hooks" && entry["status"] == 404;

    assert!(
        log["items"]
            .as_array()
            .expect("items")
            .iter()
            .any(|entry| hidden(&entry)),
        "{log}"
    );
}
