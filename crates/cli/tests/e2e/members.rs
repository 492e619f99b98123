//! Users and members: names and addresses that belong to one user, blocked users and inherited roles.

use serde_json::{Value, json};

use crate::access::People;
use crate::http::{Reply, check_parts};
use crate::namespaces::{Tree, column};
use crate::server::{Engine, Server};

fn make_user(server: &Server, username: &str, email: &str) -> Reply {
    let body = json!({ "username": username, "name": "n", "email": email });
    server.call("POST", "/api/v4/users", &body.to_string())
}

#[track_caller]
fn check_taken(reply: Reply) {
    let answer = reply.check(409).json();
    assert_eq!(answer["message"], "Email has already been taken");
}

pub(crate) fn a_username_and_an_email_address_belong_to_one_user(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let ida = make_user(&server, "ida", "a@example.com").check(201).id();
    make_user(&server, "IDA", "i@example.com").check(409);
    check_taken(make_user(&server, "uma", "A@example.com"));

    let uma = make_user(&server, "uma", "u@example.com").id();
    let change = r#"{"email":"A@Example.com"}"#;
    check_taken(server.call("PUT", &format!("/api/v4/users/{uma}"), change));

    // A user may change the case of their own address.
    let change = r#"{"email":"A@example.com"}"#;
    let changed = server.call("PUT", &format!("/api/v4/users/{ida}"), change);
    assert_eq!(changed.json()["email"], "A@example.com");
}

/// A server with a user, and the path of the user.
struct Account {
    server: Server,
    id: i64,
    token: String,
    path: String,
}

impl Account {
    fn start(engine: &Engine) -> Self {
        let server = Server::start(engine, &[]);
        let (id, token) = People { server: &server }.make("ida", "api");
        let path = format!("/api/v4/users/{id}");

        Self {
            server,
            id,
            token,
            path,
        }
    }

    /// Calls the API as the user.
    fn ask(&self) -> Reply {
        self.server.call_as(&self.token, "GET", "/api/v4/user", "")
    }

    fn call(&self, verb: &str) -> Reply {
        self.server.call("POST", &format!("{}/{verb}", self.path), "")
    }

    fn state(&self) -> Value {
        self.server.get(&self.path)["state"].clone()
    }
}

pub(crate) fn a_blocked_user_is_refused(engine: Engine) {
    let account = Account::start(&engine);
    account.ask().check(200);
    assert_eq!(account.state(), "active");

    assert_eq!(account.call("block").check(201).json(), true);
    assert_eq!(account.state(), "blocked");

    let words = json!({ "message": "403 Forbidden - Your account has been blocked." });
    assert_eq!(account.ask().check(403).json(), words);

    account.call("unblock").check(201);
    account.ask().check(200);
    check_blocking_is_refused(&account.server);
}

/// The root user cannot be blocked, and neither can an unknown one.
fn check_blocking_is_refused(server: &Server) {
    server.call("POST", "/api/v4/users/1/block", "").check(403);
    server.call("POST", "/api/v4/users/999/block", "").check(404);
}

pub(crate) fn a_blocked_user_is_listed_and_stays_blocked(engine: Engine) {
    let account = Account::start(&engine);
    account.call("block").check(201);

    let blocked = account.server.get("/api/v4/users?blocked=true");
    assert_eq!(column(&blocked, "id"), [json!(account.id)]);

    let changed = account.server.call("PUT", &account.path, r#"{"name":"Ida R."}"#);
    assert_eq!(changed.json()["state"], "blocked", "another change keeps the state");
}

/// A server with a maintainer of the group `gear`.
fn start_with_maintainer(engine: &Engine) -> (Server, Tree, i64) {
    let server = Server::start(engine, &[]);
    let tree = Tree::make(&server);
    let people = People { server: &server };
    let (ida, _) = people.make("ida", "api");

    people.add(&format!("groups/{}", tree.gear), ida, 40);

    (server, tree, ida)
}

pub(crate) fn an_inherited_role_is_listed(engine: Engine) {
    let (server, tree, ida) = start_with_maintainer(&engine);
    for scope in [format!("projects/{}", tree.rope), "groups/gear%2Fsub".to_owned()] {
        let member = server.get(&format!("/api/v4/{scope}/members/all/{ida}"));
        check_parts(&member, json!({ "id": ida, "access_level": 40 }));

        // The user is not a direct member, and the root user is no member.
        for other in [format!("members/{ida}"), "members/all/1".to_owned()] {
            let path = format!("/api/v4/{scope}/{other}");
            server.call("GET", &path, "").check(404);
        }
    }

    check_users(&server, tree.rope, ida);
}

/// A user with an inherited role is a user of the project.
fn check_users(server: &Server, project: i64, ida: i64) {
    let path = format!("/api/v4/projects/{project}/users");
    let users = server.get(&format!("{path}?search=IDA"));
    assert_eq!(users[0]["id"], ida, "{users}");
    assert_eq!(users[0].get("access_level"), None, "{users}");

    let others = server.get(&format!("{path}?skip_users[]={ida}"));
    assert_eq!(others, json!([]));
}
