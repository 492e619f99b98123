//! Who may do what: every role against every endpoint of hooks and members, on their own and on somebody else's.

use serde_json::{Value, json};

use crate::http::{Reply, send};
use crate::server::{Engine, Server};

pub(crate) struct People<'a> {
    pub(crate) server: &'a Server,
}

impl People<'_> {
    /// Makes a user; gives their number and a token with these scopes.
    pub(crate) fn make(&self, username: &str, scopes: &str) -> (i64, String) {
        let body = json!({ "username": username, "name": username, "email": format!("{username}@climb.example") });
        let user = self.server.call("POST", "/api/v4/users", &body.to_string());
        assert_eq!(user.status, 201, "{}", user.body);
        let id = user.json()["id"].as_i64().expect("a number");
        (id, self.token(id, scopes))
    }

    pub(crate) fn token(&self, user: i64, scopes: &str) -> String {
        let body = json!({ "name": "script", "scopes": [scopes] });
        let token =
            self.server.call("POST", &format!("/api/v4/users/{user}/personal_access_tokens"), &body.to_string());
        assert_eq!(token.status, 201, "{}", token.body);
        token.json()["token"].as_str().expect("shown once").to_owned()
    }

    fn call(&self, token: &str, method: &str, path: &str, body: &str) -> Reply {
        let headers = [("Authorization", &*format!("Bearer {token}")), ("Content-Type", "application/json")];
        send(self.server.port, method, path, &headers, body.as_bytes()).expect("an answer")
    }
}

pub(crate) fn each_role_may_do_what_its_row_says(engine: Engine) {
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
    let owner = server.call("GET", "/api/v4/users?username=owner", "").json()[0]["id"].as_i64().expect("a number");
    tokens.push(("reader", people.token(owner, "read_api")));
    let hooks = ["/api/v4/projects/1/hooks", "/api/v4/groups/gear/hooks", "/api/v4/hooks"];
    let ids = hooks.map(|hooks| server.call("POST", hooks, hook).json()["id"].clone());
    // Per role: seeing project and group; reading, making and editing hooks of project, group and instance; members.
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
        assert_eq!(status("GET", "/api/v4/projects/gear%2Frope", ""), see[0], "{name} sees the project");
        assert_eq!(status("GET", "/api/v4/groups/gear", ""), see[1], "{name} sees the group");
        for ((hooks, id), expected) in hooks.iter().zip(&ids).zip([project, group, system]) {
            let one = format!("{hooks}/{id}");
            assert_eq!(status("GET", hooks, ""), expected[0], "{name}: GET {hooks}");
            assert_eq!(status("GET", &one, ""), expected[0], "{name}: GET {one}");
            assert_eq!(status("POST", hooks, hook), expected[1], "{name}: POST {hooks}");
            assert_eq!(status("PUT", &one, r#"{"name":"n"}"#), expected[2], "{name}: PUT {one}");
            if *hooks != "/api/v4/hooks" {
                assert_eq!(status("GET", &format!("{one}/events"), ""), expected[0], "{name}: the log of {one}");
            }
        }
        let (new, _) = people.make(&format!("new-{name}"), "api");
        let body = json!({ "user_id": new, "access_level": 30 }).to_string();
        assert_eq!(status("POST", "/api/v4/groups/gear/members", &body), member, "{name} adds a member");
        assert_eq!(status("GET", "/api/v4/users", ""), 403, "{name} lists users");
        assert_eq!(status("GET", "/api/v4/user", ""), 200);
        // A hook of another scope is not there, for whoever may look.
        let foreign = format!("{}/{}", hooks[0], ids[1]);
        let expected = if project[0] == 200 { 404 } else { project[0] };
        assert_eq!(status("GET", &foreign, ""), expected, "{name}: a group's hook as a project's");
    }
}

pub(crate) fn tokens_are_made_shown_once_and_taken_back(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let people = People { server: &server };
    let (id, token) = people.make("ida", "api");
    let me = people.call(&token, "GET", "/api/v4/user", "").json();
    assert_eq!((&me["id"], &me["username"], &me["is_admin"]), (&json!(id), &json!("ida"), &json!(false)));
    let own = people.call(&token, "GET", "/api/v4/personal_access_tokens/self", "").json();
    assert_eq!((&own["scopes"], &own["active"], &own["token"]), (&json!(["api"]), &json!(true), &Value::Null));
    let make = |body: &str| people.call(&token, "POST", "/api/v4/user/personal_access_tokens", body);
    assert_eq!(make(r#"{"name":"x","scopes":["sudo"]}"#).json()["error"], "scopes does not have a valid value");
    assert_eq!(make(r#"{"name":"x","scopes":["api"],"expires_at":"2020-01-01"}"#).status, 400);
    let second = make(r#"{"name":"x","scopes":["api"]}"#).json();
    let text = second["token"].as_str().expect("shown once").to_owned();
    assert!(!server.get(&format!("/api/v4/personal_access_tokens/{}", second["id"])).to_string().contains(&text));
    let (_, other) = people.make("other", "api");
    let path = format!("/api/v4/personal_access_tokens/{}", second["id"]);
    assert_eq!(people.call(&other, "DELETE", &path, "{}").status, 404, "somebody else's");
    assert_eq!(people.call(&text, "DELETE", "/api/v4/personal_access_tokens/self", "{}").status, 204);
    assert_eq!(people.call(&text, "GET", "/api/v4/user", "").status, 401);
    assert_eq!(people.call(&token, "GET", "/api/v4/version", "").status, 200);
    assert_eq!(server.call("POST", "/api/v4/users", r#"{"username":"IDA","name":"x"}"#).status, 400);
    assert!(!server.output().contains(&text), "{}", server.output());
}

pub(crate) fn changes_and_refusals_are_audited_without_values(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();
    let people = People { server: &server };
    let (_, stranger) = people.make("stranger", "api");
    let hook =
        server.make_hook("https://example.com/in", r#","token":"canary-token","custom_headers":{"X-K":"canary-h"}"#);
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
    assert_eq!(row(0), (Some("root"), Some("DELETE"), Some(204), "[]".to_owned()), "{log}");
    assert_eq!(row(1), (Some("stranger"), Some("GET"), Some(403), "[]".to_owned()), "{log}");
    assert_eq!((row(2).0, row(2).2), (Some("stranger"), Some(404)), "{log}");
    assert_eq!(row(3), (Some("root"), Some("PUT"), Some(200), r#"["token"]"#.to_owned()), "{log}");
    assert!(row(4).3.contains("custom_headers"), "{log}");
    assert_eq!((&log["items"][3]["path"], &log["items"][3]["address"]), (&json!(one), &json!("127.0.0.1")));
    let all = server.get(&format!("/api/v1/audit?limit=100&before={}", log["next"].as_str().expect("more")));
    assert!(!format!("{log}{all}").contains("canary"), "{log}{all}");
    assert_eq!(all["items"].as_array().map(Vec::len), Some(4), "group, project, user, token: {all}");
    assert_eq!(people.call(&stranger, "GET", "/api/v1/audit", "").status, 403);
}
