//! The filters of lists, as client libraries for GitLab's REST API send them.

use serde_json::{Value, json};

use crate::access::People;
use crate::http::check_parts;
use crate::namespaces::{Tree, column};
use crate::server::{Engine, Server, TOKEN};

/// A server with projects in two groups and a user with roles in both.
struct Lists {
    server: Server,
    tree: Tree,

    /// A public project in the group `gear`, of which the user is a maintainer.
    sling: i64,

    /// A developer of the group `gear`.
    ida: i64,
    token: String,
}

impl Lists {
    fn start(engine: &Engine) -> Self {
        let server = Server::start(engine, &[]);
        let tree = Tree::make(&server);
        let sling = json!({ "name": "Sling", "path": "sling", "namespace_id": tree.gear, "visibility": "public" });
        let sling = server.create("/api/v4/projects", &sling)["id"]
            .as_i64()
            .expect("a number");

        let people = People { server: &server };
        let (ida, token) = people.make("ida", "api");
        people.add(&format!("groups/{}", tree.gear), ida, 30);
        people.add(&format!("projects/{sling}"), ida, 40);

        Self {
            server,
            tree,
            sling,
            ida,
            token,
        }
    }

    /// Checks which objects a list contains for the owner of a token.
    #[track_caller]
    fn check(&self, token: &str, path: &str, expected: &[i64]) {
        let reply = self.server.call_as(token, "GET", &format!("/api/v4/{path}"), "");
        let ids = column(&reply.check(200).json(), "id");
        assert_eq!(json!(ids), json!(expected), "{path}");
    }

    #[track_caller]
    fn check_for_root(&self, path: &str, expected: &[i64]) {
        self.check(TOKEN, path, expected);
    }

    #[track_caller]
    fn check_for_ida(&self, path: &str, expected: &[i64]) {
        self.check(&self.token, path, expected);
    }
}

fn check_projects_by_role(lists: &Lists) {
    let both = [lists.tree.rope, lists.sling];

    lists.check_for_ida("projects", &both);
    lists.check_for_ida("projects?min_access_level=30", &both);
    lists.check_for_ida("projects?min_access_level=40", &[lists.sling]);
    lists.check_for_ida("projects?owned=true", &[]);
    lists.check_for_root("projects?membership=true", &[]);
}

fn check_projects_by_attribute(lists: &Lists) {
    let (rope, sling) = (lists.tree.rope, lists.sling);
    let group = format!("groups/{}/projects", lists.tree.gear);

    lists.check_for_root(&group, &[sling]);
    lists.check_for_root(&format!("{group}?include_subgroups=true"), &[rope, sling]);
    lists.check_for_root("projects?visibility=public", &[sling]);
    lists.check_for_root("projects?archived=false&simple=true&starred=false", &[rope, sling]);
    lists.check_for_root("projects?archived=true", &[]);
    lists.check_for_root("projects?active=false", &[]);
    lists.check_for_root(&format!("projects?id_after={rope}"), &[sling]);
    lists.check_for_root(&format!("projects?id_before={sling}"), &[rope]);
    lists.check_for_root("projects?order_by=created_at&sort=desc", &[sling, rope]);
}

fn check_groups(lists: &Lists) {
    let (gear, sub) = (lists.tree.gear, lists.tree.sub);

    lists.check_for_root("groups?top_level_only=true", &[gear]);
    lists.check_for_root(&format!("groups?skip_groups[]={gear}"), &[sub]);
    lists.check_for_ida("groups?owned=true", &[]);
    lists.check_for_root("groups?all_available=false", &[]);
    lists.check_for_ida("groups?min_access_level=30", &[gear, sub]);
    lists.check_for_root("namespaces?top_level_only=true", &[gear]);
}

fn check_users_members_and_tokens(lists: &Lists) {
    let members = format!("projects/{}/members/all", lists.tree.rope);

    lists.check_for_root("users?admins=true", &[1]);
    lists.check_for_root("users?blocked=true", &[]);
    lists.check_for_root("users?active=true&created_after=2020-01-01", &[lists.ida]);
    lists.check_for_root("users?search=IDA@climb.example", &[lists.ida]);
    lists.check_for_root(&format!("{members}?query=ida"), &[lists.ida]);
    lists.check_for_root(&format!("{members}?user_ids[]=1"), &[]);
    lists.check_for_ida("personal_access_tokens?search=other&revoked=false", &[]);
}

pub(crate) fn lists_accept_the_filters_of_client_libraries(engine: Engine) {
    let lists = Lists::start(&engine);
    check_projects_by_role(&lists);
    check_projects_by_attribute(&lists);
    check_groups(&lists);
    check_users_members_and_tokens(&lists);
}

pub(crate) fn the_next_page_keeps_the_filters(engine: Engine) {
    let lists = Lists::start(&engine);
    let keyset = "/api/v4/projects?pagination=keyset&sort=desc&per_page=1&archived=false";
    let first = lists.server.call("GET", keyset, "");
    let link = first.header("link").expect("there is more");

    let before = format!("id_before={}", lists.sling);
    assert!(link.contains(&before) && link.contains("archived=false"), "{link}");

    let (_, address) = link.split_once("/api/v4/").expect("an address");
    let (path, _) = address.split_once('>').expect("an address");
    lists.check_for_root(path, &[lists.tree.rope]);
}

/// Filters that are refused, and the beginning of the error.
const REFUSED: [(&str, &str); 10] = [
    (
        "projects?starred=true",
        "starred is a filter that this server does not support; remove it",
    ),
    (
        "projects?last_activity_after=2026-01-01",
        "last_activity_after is a filter",
    ),
    ("groups/gear/projects?topic=rust", "topic is a filter"),
    ("users?two_factor=enabled", "two_factor is a filter"),
    ("projects?order_by=name", "order_by does not have a valid value"),
    ("projects?sort=sideways", "sort does not have a valid value"),
    ("groups/gear/members?sort=desc", "sort is a filter"),
    (
        "projects?archive=true",
        "unknown parameter archive; did you mean archived?",
    ),
    (
        "projects?archived=true&active=true",
        "archived and active contradict each other",
    ),
    (
        "groups/gear/hooks?id_after=1",
        "id_after requires pagination=keyset in this list",
    ),
];

pub(crate) fn an_unsupported_filter_is_refused(engine: Engine) {
    let server = Server::start(&engine, &[]);
    Tree::make(&server);

    for (path, words) in REFUSED {
        let reply = server.call("GET", &format!("/api/v4/{path}"), "").check(400);
        let answer = reply.json();
        let error = answer["error"].as_str().expect("a text");
        assert!(error.starts_with(words), "{path}: {error}");
    }

    // Only administrators may use these filters.
    let (_, token) = People { server: &server }.make("ida", "api");
    for filter in ["search=root", "admins=true"] {
        let path = format!("/api/v4/users?username=root&{filter}");
        server.call_as(&token, "GET", &path, "").check(403);
    }
}

/// A server with a webhook, and the path of its log.
fn start_with_log(engine: &Engine) -> (Server, String) {
    let server = Server::start(engine, &[]);
    server.make_project();

    let hook = server.make_hook("https://example.com/", "");
    let log = format!("/api/v4/projects/1/hooks/{}/events", hook["id"]);
    (server, log)
}

fn statuses(count: usize) -> String {
    vec!["404"; count].join(",")
}

pub(crate) fn lists_of_values_are_bounded(engine: Engine) {
    let (server, log) = start_with_log(&engine);
    let filtered = |count: usize| {
        let path = format!("{log}?status={}", statuses(count));
        server.call("GET", &path, "")
    };
    filtered(100).check(200);

    let error = |count: usize| -> Value { filtered(count).check(400).json() };
    let expected = json!({ "error": "status does not have a valid value" });
    check_parts(&error(101), expected);

    let expected = json!({ "error": "status has too many values (maximum is 1000)" });
    check_parts(&error(3000), expected);
    check_lists_in_bodies(&server);
}

fn check_lists_in_bodies(server: &Server) {
    let replay = json!({ "since": "2026-01-01", "status": statuses(101), "dry_run": true });
    server.call("POST", "/api/v1/replays", &replay.to_string()).check(400);

    let token = json!({ "name": "t", "scopes": vec!["api"; 1001] }).to_string();
    let path = "/api/v4/user/personal_access_tokens";
    server.call("POST", path, &token).check(400);
}
