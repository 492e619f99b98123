//! Access: the statuses that each role gets for webhooks and members, the rules for bots, and the format of errors.

use std::collections::HashMap;

use serde_json::json;

use crate::http::{Reply, send};
use crate::server::{Engine, Server, TOKEN};

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

    /// Adds a member to a group or a project.
    #[track_caller]
    pub(crate) fn add(&self, scope: &str, user: i64, level: i64) {
        let body = json!({ "user_id": user, "access_level": level });
        self.server.create(&format!("/api/v4/{scope}/members"), &body);
    }

    /// Calls the API with the token in the header `Authorization`.
    pub(crate) fn call(&self, token: &str, method: &str, path: &str, body: &str) -> Reply {
        let headers = [
            ("Authorization", &*format!("Bearer {token}")),
            ("Content-Type", "application/json"),
        ];
        send(self.server.port, method, path, &headers, body.as_bytes()).expect("an answer")
    }
}

/// The lists of the webhooks of the project, of its group and of the system.
const HOOKS: [&str; 3] = ["/api/v4/projects/1/hooks", "/api/v4/groups/gear/hooks", "/api/v4/hooks"];
const HOOK: &str = r#"{"url":"https://example.com/"}"#;

/// The expected statuses of a role.
struct Row {
    role: &'static str,

    /// See the project and the group.
    see: u16,

    /// List, create and edit webhooks of the project, of the group and of the system.
    hooks: [[u16; 3]; 3],
    add_a_member: u16,
}

const fn row(role: &'static str, see: u16, project: [u16; 3], group: [u16; 3], add_a_member: u16) -> Row {
    Row {
        role,
        see,
        hooks: [project, group, [403; 3]],
        add_a_member,
    }
}

#[rustfmt::skip]
const ROWS: [Row; 6] = [
    //                 see  on the project   on the group     add a member
    row("guest",       200, [403, 403, 403], [403, 403, 403], 403),
    row("developer",   200, [403, 403, 403], [403, 403, 403], 403),
    row("maintainer",  200, [200, 201, 200], [403, 403, 403], 403),
    row("owner",       200, [200, 201, 200], [200, 201, 200], 201),
    row("stranger",    404, [404, 404, 404], [404, 404, 404], 404),
    row("reader",      200, [200, 403, 403], [200, 403, 403], 403),
];

/// Creates a user for each role. The reader is the owner with a token that may only read.
fn make_roles(people: &People) -> HashMap<&'static str, String> {
    let mut tokens = HashMap::new();
    for (role, level) in [("guest", 10), ("developer", 30), ("maintainer", 40), ("owner", 50)] {
        let (id, token) = people.make(role, "api");
        people.add("groups/gear", id, level);
        tokens.insert(role, token);
    }

    let (_, stranger) = people.make("stranger", "api");
    tokens.insert("stranger", stranger);

    let owners = people.server.get("/api/v4/users?username=owner");
    let owner = owners[0]["id"].as_i64().expect("a number");
    tokens.insert("reader", people.token(owner, "read_api"));

    tokens
}

/// Calls the API with the token of a role, and checks the statuses of its row.
struct Visitor<'a> {
    people: &'a People<'a>,
    row: &'a Row,
    token: &'a str,
}

impl Visitor<'_> {
    #[track_caller]
    fn check(&self, method: &str, path: &str, body: &str, status: u16) {
        let reply = self.people.call(self.token, method, path, body);
        assert_eq!(reply.status, status, "{}: {method} {path}", self.row.role);
    }

    fn check_what_it_sees(&self) {
        self.check("GET", "/api/v4/projects/gear%2Frope", "", self.row.see);
        self.check("GET", "/api/v4/groups/gear", "", self.row.see);
        self.check("GET", "/api/v4/users", "", 403);
        self.check("GET", "/api/v4/user", "", 200);
    }

    fn check_hooks(&self, ids: &[i64; 3]) {
        for ((hooks, id), [list, create, edit]) in HOOKS.iter().zip(ids).zip(self.row.hooks) {
            let one = format!("{hooks}/{id}");
            self.check("GET", hooks, "", list);
            self.check("GET", &one, "", list);
            self.check("POST", hooks, HOOK, create);
            self.check("PUT", &one, r#"{"name":"n"}"#, edit);

            if *hooks != "/api/v4/hooks" {
                self.check("GET", &format!("{one}/events"), "", list);
            }
        }
    }

    /// The webhook of a group does not exist under the project, even for roles that may read webhooks.
    fn check_a_hook_of_the_group_under_the_project(&self, ids: &[i64; 3]) {
        let list = self.row.hooks[0][0];
        let expected = if list == 200 { 404 } else { list };
        self.check("GET", &format!("{}/{}", HOOKS[0], ids[1]), "", expected);
    }

    fn check_members(&self) {
        let (new, _) = self.people.make(&format!("new-{}", self.row.role), "api");
        let body = json!({ "user_id": new, "access_level": 30 }).to_string();
        self.check("POST", "/api/v4/groups/gear/members", &body, self.row.add_a_member);
    }
}

pub(crate) fn each_role_gets_the_statuses_of_its_row(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let people = People { server: &server };
    let tokens = make_roles(&people);
    let ids = HOOKS.map(|hooks| server.call("POST", hooks, HOOK).check(201).id());

    for row in &ROWS {
        let visitor = Visitor {
            people: &people,
            row,
            token: &tokens[row.role],
        };
        visitor.check_what_it_sees();
        visitor.check_hooks(&ids);
        visitor.check_members();
        visitor.check_a_hook_of_the_group_under_the_project(&ids);
    }
}

const BOTS: &str = "/api/v4/projects/1/access_tokens";

/// A request for a token with the rights of an owner.
const OWNER: &str = r#"{"name":"o","scopes":["api"],"access_level":50}"#;

/// Managers of a project can control its bots. The API must not give a bot more rights.
pub(crate) fn a_bot_cannot_be_promoted(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let bot = server.create(BOTS, &json!({ "name": "ci", "scopes": ["read_api"] }));
    let text = bot["token"].as_str().expect("shown once");
    assert!(text.starts_with("qdprat-"), "{bot}");

    let user = &bot["user_id"];
    let admin = server.call("PUT", &format!("/api/v4/users/{user}"), r#"{"admin":true}"#);
    admin.check(400);

    let elsewhere = json!({ "user_id": user, "access_level": 50 }).to_string();
    let added = server.call("POST", "/api/v4/groups/gear/members", &elsewhere);
    added.check_says(400, "bot");
}

pub(crate) fn a_maintainer_cannot_use_the_rights_of_an_owner(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let people = People { server: &server };
    let (maintainer, token) = people.make("maintainer", "api");
    people.add("projects/1", maintainer, 40);

    let above = server.call("POST", BOTS, OWNER).check(201).id();
    people.call(&token, "POST", BOTS, OWNER).check(403);

    let rotate = format!("{BOTS}/{above}/rotate");
    people.call(&token, "POST", &rotate, "{}").check(403);

    let revoke = format!("{BOTS}/{above}");
    people.call(&token, "DELETE", &revoke, "{}").check(403);
}

pub(crate) fn a_role_can_be_changed_and_left(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let people = People { server: &server };
    let (user, token) = people.make("developer", "api");
    let member = json!({ "user_id": user, "access_level": 40, "expires_at": "2035-01-01" });
    server.create("/api/v4/projects/1/members", &member);

    let twice = server.call("POST", "/api/v4/projects/1/members", &member.to_string());
    twice.check(409);

    let own = format!("/api/v4/projects/1/members/{user}");
    let changed = server.call("PUT", &own, r#"{"access_level":30}"#).json();
    assert_eq!(changed["expires_at"], "2035-01-01", "other attributes stay: {changed}");

    people.call(&token, "DELETE", &own, "{}").check(204);
}

pub(crate) fn a_rotated_token_has_the_rights_of_the_old_token_and_can_revoke_itself(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let people = People { server: &server };
    let bot = server.create(BOTS, &json!({ "name": "ci", "scopes": ["read_api"] }));
    let old = format!("{BOTS}/{}", bot["id"]);

    let fresh = server.call("POST", &format!("{old}/rotate"), "{}").json();
    let text = fresh["token"].as_str().expect("shown once");

    // The old token is revoked already, and a second revocation is no error.
    server.call("DELETE", &old, "{}").check(204);
    people.call(text, "GET", "/api/v4/projects/1", "").check(200);

    let more = people.call(text, "POST", "/api/v4/user/personal_access_tokens", OWNER);
    more.check(403);

    let revoked = people.call(text, "DELETE", "/api/v4/personal_access_tokens/self", "{}");
    revoked.check(204);
    people.call(text, "GET", "/api/v4/projects/1", "").check(401);
}

/// The root token comes from the settings, so only they can change it.
pub(crate) fn the_root_token_cannot_be_revoked(engine: Engine) {
    let mut server = Server::start(&engine, &[]);
    for (method, path) in [("DELETE", "self"), ("POST", "self/rotate")] {
        let path = format!("/api/v4/personal_access_tokens/{path}");
        let refused = server.call(method, &path, "{}");
        refused.check_says(400, "QUICKDRAW_ROOT_TOKEN");
    }

    let demoted = server.call("PUT", "/api/v4/users/1", r#"{"admin":false}"#);
    demoted.check(403);
    server.call("DELETE", "/api/v4/users/1", "{}").check(403);

    server.kill();
    server.restart();
    server.call("GET", "/api/v4/user", "").check(200);
}

pub(crate) fn errors_of_api_v1_are_problem_documents(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let people = People { server: &server };
    let (_, stranger) = people.make("stranger", "api");
    let push = r#"{"trigger":"push_hooks","payload":{}}"#;

    for (token, method, path, body, status) in [
        ("wrong", "GET", "events", "", 401),
        (&*stranger, "GET", "workers", "", 403),
        (TOKEN, "POST", "projects/nowhere/events", push, 404),
        (TOKEN, "GET", "events?limit=many", "", 400),
        (TOKEN, "GET", "events/%FF", "", 400),
        (TOKEN, "PATCH", "events", "", 405),
    ] {
        let reply = people.call(token, method, &format!("/api/v1/{path}"), body);
        assert_eq!(reply.content_type(), "application/problem+json", "{path}");

        let problem = reply.check(status).json();
        assert!(problem["detail"].is_string(), "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
    }
}

pub(crate) fn errors_of_api_v4_have_a_message_or_an_error(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let people = People { server: &server };
    let (_, stranger) = people.make("stranger", "api");
    let user = r#"{"username":"STRANGER","name":"x"}"#;

    for (token, method, path, body, status) in [
        (&*stranger, "GET", "projects/1/hooks", "", 404),
        (TOKEN, "GET", "projects/%FF", "", 400),
        (TOKEN, "PATCH", "projects/1", "{}", 405),
        (TOKEN, "POST", "users", user, 409),
    ] {
        let reply = people.call(token, method, &format!("/api/v4/{path}"), body);
        assert_eq!(reply.content_type(), "application/json", "{path}");

        let error = reply.check(status).json();
        let is_empty = error["message"].is_null() && error["error"].is_null();
        assert!(!is_empty, "{error}");
    }
}
