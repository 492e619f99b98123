//! Requests of client libraries for GitLab's REST API, and the answers that they need.

use serde_json::{Value, json};

use crate::access::People;
use crate::http::{Reply, Sink, send};
use crate::server::{Engine, Server, TOKEN};

/// Creates the group `gear` (Gear Works), its subgroup `gear/sub` (Sub Unit) and the project `gear/sub/rope`, and
/// returns their ids.
fn furnish(server: &Server) -> (i64, i64, i64) {
    let number = |reply: Reply| {
        assert_eq!(reply.status, 201, "{}", reply.body);
        reply.json()["id"].as_i64().expect("a number")
    };
    let gear = number(server.call("POST", "/api/v4/groups", r#"{"name":"Gear Works","path":"gear"}"#));
    let sub = json!({ "name": "Sub Unit", "path": "sub", "parent_id": gear }).to_string();
    let sub = number(server.call("POST", "/api/v4/groups", &sub));
    let rope = json!({ "name": "Rope", "path": "rope", "namespace_id": sub }).to_string();

    (gear, sub, number(server.call("POST", "/api/v4/projects", &rope)))
}

pub(crate) fn a_null_body_counts_as_an_absent_body(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let (_, token) = People { server: &server }.make("ida", "api");
    let headers = [("PRIVATE-TOKEN", token.as_str()), ("Content-Type", "application/json")];

    let rotate = |body: &str| {
        send(
            server.port,
            "POST",
            "/api/v4/personal_access_tokens/self/rotate",
            &headers,
            body.as_bytes(),
        )
        .expect("an answer")
    };
    assert_eq!(rotate("[]").status, 400, "an array is not a set of parameters");

    let fresh = rotate("null");
    assert_eq!(
        (fresh.status, fresh.json()["token"].is_string()),
        (200, true),
        "{}",
        fresh.body
    );
}

pub(crate) fn a_request_to_act_as_somebody_else_is_refused(engine: Engine) {
    let server = Server::start(&engine, &[]);
    People { server: &server }.make("plain", "api");

    let with = |token: &str, sudo: &str, method: &str, path: &str, body: &str| {
        let headers = [
            ("PRIVATE-TOKEN", token),
            ("Content-Type", "application/json"),
            ("Sudo", sudo),
        ];
        let headers = if sudo.is_empty() { &headers[..2] } else { &headers[..] };
        send(server.port, method, path, headers, body.as_bytes()).expect("an answer")
    };

    let group = r#"{"name":"g","path":"g","sudo":"plain"}"#;
    for reply in [
        with(TOKEN, "plain", "GET", "/api/v4/user", ""),
        with(TOKEN, "", "GET", "/api/v4/user?sudo=plain", ""),
        with(TOKEN, "", "POST", "/api/v4/groups", group),
        // Operations that need no parameters read their bodies too.
        with(TOKEN, "", "POST", "/api/v4/hooks/1", r#"{"sudo":"plain"}"#),
        with(TOKEN, "", "DELETE", "/api/v4/users/2", r#"{"sudo":"plain"}"#),
        with(TOKEN, "", "POST", "/api/v4/users/2/block", r#"{"sudo":"plain"}"#),
    ] {
        let answer = reply.json();
        assert_eq!(
            (reply.status, &answer["error"]),
            (403, &json!("insufficient_scope")),
            "{answer}"
        );

        assert_eq!(answer["scope"], "sudo", "{answer}");
    }

    assert_eq!(with("wrong", "plain", "GET", "/api/v4/user", "").status, 401);
    assert_eq!(with(TOKEN, "plain", "GET", "/api/v1/events", "").status, 403);

    assert_eq!(
        with(
            TOKEN,
            "",
            "POST",
            "/api/v4/groups",
            r#"{"name":"g","path":"g","sudo":null}"#
        )
        .status,
        201
    );
}

pub(crate) fn namespaces_are_found_by_id_and_by_path(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let (gear, sub, _) = furnish(&server);

    for id in [sub.to_string(), "gear%2Fsub".to_owned()] {
        let found = server.get(&format!("/api/v4/namespaces/{id}"));
        assert_eq!(
            (&found["id"], &found["full_path"]),
            (&json!(sub), &json!("gear/sub")),
            "{found}"
        );

        assert_eq!(
            (&found["kind"], &found["parent_id"]),
            (&json!("group"), &json!(gear)),
            "{found}"
        );
    }

    let missing = server.call("GET", "/api/v4/namespaces/nowhere", "");
    assert_eq!(
        (missing.status, &missing.json()["message"]),
        (404, &json!("404 Namespace Not Found"))
    );

    let (_, stranger) = People { server: &server }.make("stranger", "api");
    let headers = [("PRIVATE-TOKEN", stranger.as_str())];
    let hidden = send(server.port, "GET", "/api/v4/namespaces/gear", &headers, b"").expect("an answer");
    assert_eq!(
        (hidden.status, &hidden.json()["message"]),
        (404, &json!("404 Namespace Not Found"))
    );

    let exists = |path: &str| server.get(&format!("/api/v4/namespaces/{path}"));
    assert_eq!(exists("gear/exists"), json!({ "exists": true, "suggests": ["gear1"] }));

    assert_eq!(
        exists("sub/exists"),
        json!({ "exists": false, "suggests": [] }),
        "the path exists only in another group"
    );

    assert_eq!(exists(&format!("SUB/exists?parent_id={gear}"))["exists"], true);
    assert_eq!(exists("1/exists")["exists"], false, "here, a number is a path");
}

pub(crate) fn full_names_contain_the_names_of_parent_groups(engine: Engine) {
    let server = Server::start(&engine, &[("QUICKDRAW_EXTERNAL_URL", "https://git.example.com")]);
    let (gear, sub, project) = furnish(&server);

    assert_eq!(
        server.get(&format!("/api/v4/groups/{sub}"))["full_name"],
        "Gear Works / Sub Unit"
    );

    let groups = server.get("/api/v4/groups");
    assert_eq!(
        (&groups[0]["full_name"], &groups[1]["full_name"]),
        (&json!("Gear Works"), &json!("Gear Works / Sub Unit"))
    );

    let before = server.get("/api/v4/projects/gear%2Fsub%2Frope");
    for rope in [&before, &server.get("/api/v4/projects")[0]] {
        assert_eq!(rope["name_with_namespace"], "Gear Works / Sub Unit / Rope", "{rope}");
        assert_eq!(
            rope["ssh_url_to_repo"], "git@git.example.com:gear/sub/rope.git",
            "{rope}"
        );

        let namespace = json!({
            "id": sub, "name": "Sub Unit", "path": "sub", "kind": "group", "full_path": "gear/sub", "parent_id": gear,
            "avatar_url": null, "web_url": "https://git.example.com/groups/gear/sub",
        });
        assert_eq!(rope["namespace"], namespace, "{rope}");

        assert_eq!(
            (&rope["archived"], &rope["empty_repo"]),
            (&json!(false), &json!(false)),
            "{rope}"
        );

        assert_eq!(
            (&rope["topics"], &rope["last_activity_at"]),
            (&json!([]), &rope["created_at"]),
            "{rope}"
        );
    }

    let report = json!({ "trigger": "push_hooks", "payload": { "object_kind": "push", "ref": "refs/heads/main" } });
    let path = format!("/api/v1/projects/{project}/events");
    assert_eq!(server.call("POST", &path, &report.to_string()).status, 202);

    let event = server.get("/api/v1/events?limit=1")["items"][0].clone();
    assert_eq!(
        server.get("/api/v4/projects/gear%2Fsub%2Frope")["last_activity_at"],
        event["received_at"],
        "{event}"
    );
}

pub(crate) fn a_project_in_an_unknown_namespace_is_refused(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let made = server.call("POST", "/api/v4/projects", r#"{"name":"Rope","namespace_id":99}"#);
    assert_eq!(
        (made.status, made.json()),
        (400, json!({ "message": { "namespace": ["is not valid"] } }))
    );

    let (_, _, project) = furnish(&server);
    let moved = server.call(
        "PUT",
        &format!("/api/v4/projects/{project}/transfer"),
        r#"{"namespace":"nowhere"}"#,
    );
    assert_eq!(
        (moved.status, &moved.json()["message"]),
        (404, &json!("404 Namespace Not Found"))
    );
}

pub(crate) fn lists_of_parameters_are_bounded(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let hook = server.make_hook("https://example.com/", "");
    let log = format!("/api/v4/projects/1/hooks/{}/events", hook["id"]);
    let statuses = |many: usize| vec!["404"; many].join(",");

    assert_eq!(
        server
            .call("GET", &format!("{log}?status={}", statuses(100)), "")
            .status,
        200
    );

    let over = server.call("GET", &format!("{log}?status={}", statuses(101)), "");
    assert_eq!(
        (over.status, &over.json()["error"]),
        (400, &json!("status does not have a valid value"))
    );

    let over = server.call("GET", &format!("{log}?status={}", statuses(3000)), "");
    assert_eq!(
        (over.status, &over.json()["error"]),
        (400, &json!("status has too many values (maximum is 1000)"))
    );

    let replay = json!({ "from": "2026-01-01", "status": statuses(101), "dry_run": true }).to_string();
    assert_eq!(server.call("POST", "/api/v1/replays", &replay).status, 400);

    let scopes = json!({ "name": "t", "scopes": vec!["api"; 1001] }).to_string();
    assert_eq!(
        server
            .call("POST", "/api/v4/user/personal_access_tokens", &scopes)
            .status,
        400
    );
}

/// The values of one attribute in a list.
fn column(list: &Value, name: &str) -> Vec<Value> {
    list.as_array()
        .unwrap_or_else(|| panic!("no list: {list}"))
        .iter()
        .map(|row| row[name].clone())
        .collect()
}

pub(crate) fn lists_accept_the_filters_of_client_libraries(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let (gear, sub, rope) = furnish(&server);
    let sling = json!({ "name": "Sling", "path": "sling", "namespace_id": gear, "visibility": "public" }).to_string();
    let sling = server.call("POST", "/api/v4/projects", &sling).json()["id"]
        .as_i64()
        .expect("a number");
    let people = People { server: &server };
    let (ida, token) = people.make("ida", "api");

    let member = |scope: &str, level: i64| {
        let body = json!({ "user_id": ida, "access_level": level }).to_string();
        assert_eq!(
            server.call("POST", &format!("/api/v4/{scope}/members"), &body).status,
            201
        );
    };
    member(&format!("groups/{gear}"), 30);
    member(&format!("projects/{sling}"), 40);

    let get = |token: &str, path: &str| {
        let headers = [("PRIVATE-TOKEN", token)];
        let reply = send(server.port, "GET", &format!("/api/v4/{path}"), &headers, b"").expect("an answer");
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);

        column(&reply.json(), "id")
    };
    let by_ida = |path: &str| get(&token, path);
    let by_root = |path: &str| get(TOKEN, path);
    let (both, none) = (vec![json!(rope), json!(sling)], Vec::<Value>::new());

    // Projects.
    assert_eq!(by_root(&format!("groups/{gear}/projects")), [json!(sling)]);
    assert_eq!(by_root(&format!("groups/{gear}/projects?include_subgroups=true")), both);
    assert_eq!(by_ida("projects"), both);
    assert_eq!(by_ida("projects?min_access_level=30"), both);
    assert_eq!(by_ida("projects?min_access_level=40"), [json!(sling)]);

    assert_eq!(
        (by_ida("projects?owned=true"), by_root("projects?membership=true")),
        (none.clone(), none.clone())
    );

    assert_eq!(by_root("projects?visibility=public"), [json!(sling)]);
    assert_eq!(by_root("projects?archived=false&simple=true&starred=false"), both);

    assert_eq!(
        (by_root("projects?archived=true"), by_root("projects?active=false")),
        (none.clone(), none.clone())
    );

    assert_eq!(by_root(&format!("projects?id_after={rope}")), [json!(sling)]);
    assert_eq!(by_root(&format!("projects?id_before={sling}")), [json!(rope)]);

    assert_eq!(
        by_root("projects?order_by=created_at&sort=desc"),
        [json!(sling), json!(rope)]
    );

    // Groups.
    assert_eq!(by_root("groups?top_level_only=true"), [json!(gear)]);
    assert_eq!(by_root(&format!("groups?skip_groups[]={gear}")), [json!(sub)]);

    assert_eq!(
        (by_ida("groups?owned=true"), by_root("groups?all_available=false")),
        (none.clone(), none.clone())
    );

    assert_eq!(by_ida("groups?min_access_level=30"), [json!(gear), json!(sub)]);
    assert_eq!(by_root("namespaces?top_level_only=true"), [json!(gear)]);

    // Users and members.
    assert_eq!(by_root("users?admins=true"), [json!(1)]);
    assert_eq!(by_root("users?blocked=true"), none);
    assert_eq!(by_root("users?active=true&created_after=2020-01-01"), [json!(ida)]);
    assert_eq!(by_root("users?search=IDA@climb.example"), [json!(ida)]);
    assert_eq!(by_root(&format!("projects/{rope}/members/all?query=ida")), [json!(ida)]);
    assert_eq!(by_root(&format!("projects/{rope}/members/all?user_ids[]=1")), none);

    // Tokens.
    assert_eq!(by_ida("personal_access_tokens?search=other&revoked=false"), none);

    let keyset = "/api/v4/projects?pagination=keyset&sort=desc&per_page=1&archived=false";
    let first = server.call("GET", keyset, "");
    let next = first.header("link").expect("there is more").to_owned();
    assert!(
        next.contains(&format!("id_before={sling}")) && next.contains("archived=false"),
        "{next}"
    );

    let next = next
        .split_once("/api/v4")
        .and_then(|(_, rest)| rest.split_once('>'))
        .expect("an address")
        .0
        .to_owned();
    assert_eq!(column(&server.get(&format!("/api/v4{next}")), "id"), [json!(rope)]);
}

pub(crate) fn an_unsupported_filter_is_refused(engine: Engine) {
    let server = Server::start(&engine, &[]);
    furnish(&server);

    for (path, words) in [
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
    ] {
        let reply = server.call("GET", &format!("/api/v4/{path}"), "");
        assert_eq!(reply.status, 400, "{path}: {}", reply.body);

        assert!(
            reply.json()["error"]
                .as_str()
                .is_some_and(|text| text.starts_with(words)),
            "{path}: {}",
            reply.body
        );
    }

    let hook = server.call(
        "POST",
        "/api/v4/hooks",
        r#"{"url":"https://example.com/","push_event":true}"#,
    );

    assert_eq!(
        hook.json()["error"],
        "unknown parameter push_event; did you mean push_events?",
        "{}",
        hook.body
    );

    let extra = r#"{"url":"https://example.com/","duo_flow_callback_enabled":true}"#;
    assert_eq!(
        server.call("POST", "/api/v4/hooks", extra).status,
        201,
        "attributes of other editions are accepted"
    );

    let (_, token) = People { server: &server }.make("ida", "api");
    let headers = [("PRIVATE-TOKEN", token.as_str())];
    for path in ["users?username=root&search=root", "users?username=root&admins=true"] {
        let reply = send(server.port, "GET", &format!("/api/v4/{path}"), &headers, b"").expect("an answer");
        assert_eq!(reply.status, 403, "{path}");
    }
}

pub(crate) fn api_v1_refuses_unknown_parameters(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let refused = |method: &str, path: &str, body: &str, words: &str| {
        let reply = server.call(method, &format!("/api/v1/{path}"), body);
        assert_eq!(
            (reply.status, reply.content_type()),
            (400, "application/problem+json"),
            "{path}: {}",
            reply.body
        );

        assert_eq!(reply.json()["detail"], words, "{path}");
    };

    refused(
        "GET",
        "events?project=gear/rope",
        "",
        "unknown parameter project; did you mean project_id?",
    );

    let all = "unknown parameter since; this operation has before, limit, project_id, trigger";
    refused("GET", "events?since=2026-01-01", "", all);

    refused(
        "GET",
        "insights/members?limit=5",
        "",
        "unknown parameter limit; this operation has no parameters",
    );

    let body = r#"{"name":"Ropes","colour":"red"}"#;
    refused(
        "POST",
        "insights/teams",
        body,
        "unknown parameter colour; this operation has name",
    );

    refused("GET", "events?limit=0", "", "limit must be at least 1");
    refused("GET", "audit?limit=-5", "", "limit must be at least 1");

    let unknown = send(server.port, "GET", "/api/v1/events?since=1", &[], b"").expect("an answer");
    assert_eq!(unknown.status, 401, "the token is checked before the parameters");
}

pub(crate) fn a_token_keeps_the_requested_scopes(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let body = r#"{"name":"t","scopes":["read_api","api","read_api"],"access_level":40}"#;
    for path in [
        "user/personal_access_tokens",
        "projects/1/access_tokens",
        "groups/gear/access_tokens",
    ] {
        let made = server.call("POST", &format!("/api/v4/{path}"), body);
        assert_eq!(
            (made.status, &made.json()["scopes"]),
            (201, &json!(["read_api", "api"])),
            "{path}: {}",
            made.body
        );
    }

    let tokens = server.get("/api/v4/projects/1/access_tokens");
    assert_eq!(tokens[0]["scopes"], json!(["read_api", "api"]));

    let text = server.call(
        "POST",
        &format!("/api/v4/projects/1/access_tokens/{}/rotate", tokens[0]["id"]),
        "null",
    );
    assert_eq!(text.json()["scopes"], json!(["read_api", "api"]), "{}", text.body);

    let token = text.json()["token"].as_str().expect("shown once").to_owned();
    let headers = [("PRIVATE-TOKEN", token.as_str()), ("Content-Type", "application/json")];
    let hook = br#"{"url":"https://example.com/"}"#;
    let made = send(server.port, "POST", "/api/v4/projects/1/hooks", &headers, hook).expect("an answer");

    assert_eq!(made.status, 201, "a token with the scope api may write: {}", made.body);

    let root = server.get("/api/v4/personal_access_tokens/self");
    assert_eq!(root["scopes"], json!(["api"]), "{root}");
}

pub(crate) fn an_email_address_belongs_to_one_user(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let make = |username: &str, email: &str| {
        let body = json!({ "username": username, "name": "n", "email": email }).to_string();
        server.call("POST", "/api/v4/users", &body)
    };
    let ida = make("ida", "a@example.com");
    assert_eq!(ida.status, 201, "{}", ida.body);

    let taken = |reply: Reply| {
        assert_eq!(
            (reply.status, &reply.json()["message"]),
            (409, &json!("Email has already been taken"))
        );
    };
    taken(make("uma", "A@example.com"));

    let uma = make("uma", "u@example.com").json()["id"].clone();
    taken(server.call("PUT", &format!("/api/v4/users/{uma}"), r#"{"email":"A@Example.com"}"#));

    let own = format!("/api/v4/users/{}", ida.json()["id"]);
    assert_eq!(
        server.call("PUT", &own, r#"{"email":"A@example.com"}"#).json()["email"],
        "A@example.com"
    );
}

pub(crate) fn a_rate_limit_says_when_it_ends(engine: Engine) {
    let sink = Sink::start(|_| Some(200));
    let server = Server::start(&engine, &[("QUICKDRAW__LIMITS__MANUAL_PER_MINUTE", "1")]);
    server.make_project();

    let hook = server.make_hook(&sink.url(), "");
    let test = format!("/api/v4/projects/1/hooks/{}/test/push_events", hook["id"]);
    assert_eq!(server.call("POST", &test, "").status, 201);

    let often = server.call("POST", &test, "");
    assert_eq!(often.status, 429, "{}", often.body);

    let header = |name: &str| {
        often
            .header(name)
            .and_then(|value| value.parse::<i64>().ok())
            .expect("a number")
    };
    let wait = header("retry-after");
    assert!((1..=61).contains(&wait), "{wait}");
    assert_eq!((header("ratelimit-limit"), header("ratelimit-remaining")), (1, 0));

    assert!(
        header("ratelimit-reset") > 1_700_000_000,
        "a time in seconds since 1970"
    );
}

pub(crate) fn a_trigger_that_a_level_lacks_is_refused(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let make = |hooks: &str, more: &str| {
        server.call(
            "POST",
            &format!("/api/v4/{hooks}"),
            &format!(r#"{{"url":"https://example.com/",{more}}}"#),
        )
    };

    let refused = |reply: Reply, words: &str| {
        assert_eq!(reply.status, 400, "{}", reply.body);
        assert!(
            reply.json()["error"]
                .as_str()
                .is_some_and(|text| text.starts_with(words)),
            "{}",
            reply.body
        );
    };

    let system = "issues_events is not a trigger of system hooks; use one of push_events, tag_push_events, ";
    refused(make("hooks", r#""issues_events":true"#), system);

    refused(
        make("projects/1/hooks", r#""subgroup_events":true"#),
        "subgroup_events is not a trigger of project hooks; ",
    );

    refused(
        make("groups/gear/hooks", r#""repository_update_events":"1""#),
        "repository_update_events is not a ",
    );

    refused(
        make("hooks", r#""custom_webhook_template":"{}""#),
        "custom_webhook_template is not available for system hooks",
    );

    // Clients send attributes back as they read them.
    let off = make("projects/1/hooks", r#""repository_update_events":false"#);
    assert_eq!(off.status, 201, "{}", off.body);

    let one = format!("/api/v4/projects/1/hooks/{}", off.json()["id"]);
    refused(
        server.call("PUT", &one, r#"{"member_events":true}"#),
        "member_events is not a trigger of project hooks; ",
    );

    assert_eq!(make("hooks", r#""custom_webhook_template":"""#).status, 201);
}

pub(crate) fn projects_can_be_archived_and_users_blocked(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let (_, _, rope) = furnish(&server);
    let archive = |what: &str| server.call("POST", &format!("/api/v4/projects/{rope}/{what}"), "");
    assert_eq!(
        (archive("archive").status, archive("archive").json()["archived"].clone()),
        (201, json!(true))
    );

    assert_eq!(
        column(&server.get("/api/v4/projects?archived=true"), "id"),
        [json!(rope)]
    );

    assert_eq!(server.get("/api/v4/projects?archived=false"), json!([]));

    let report = json!({ "trigger": "push_hooks", "payload": { "object_kind": "push" } }).to_string();
    let reported = server.call("POST", &format!("/api/v1/projects/{rope}/events"), &report);

    assert_eq!(
        reported.status, 202,
        "events of an archived project are accepted: {}",
        reported.body
    );

    assert_eq!(archive("unarchive").json()["archived"], false);

    let people = People { server: &server };
    let (ida, token) = people.make("ida", "api");

    let asks = || {
        send(
            server.port,
            "GET",
            "/api/v4/user",
            &[("PRIVATE-TOKEN", token.as_str())],
            b"",
        )
        .expect("an answer")
    };

    let user = format!("/api/v4/users/{ida}");
    let call = |what: &str| server.call("POST", &format!("{user}/{what}"), "");

    assert_eq!(
        (asks().status, server.get(&user)["state"].clone()),
        (200, json!("active"))
    );

    let blocked = call("block");
    assert_eq!((blocked.status, blocked.json()), (201, json!(true)));
    assert_eq!(server.get(&user)["state"], "blocked");

    let refused = asks();
    let words = json!({ "message": "403 Forbidden - Your account has been blocked." });
    assert_eq!((refused.status, refused.json()), (403, words));
    assert_eq!(column(&server.get("/api/v4/users?blocked=true"), "id"), [json!(ida)]);

    assert_eq!(
        server.call("PUT", &user, r#"{"name":"Ida R."}"#).json()["state"],
        "blocked",
        "another change keeps the state"
    );

    assert_eq!((call("unblock").status, asks().status), (201, 200));
    assert_eq!(server.call("POST", "/api/v4/users/1/block", "").status, 403);
    assert_eq!(server.call("POST", "/api/v4/users/999/block", "").status, 404);
}

pub(crate) fn a_group_is_moved_by_an_owner_of_both_groups(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let (gear, sub, rope) = furnish(&server);

    let other = server
        .call("POST", "/api/v4/groups", r#"{"name":"Other","path":"other"}"#)
        .json()["id"]
        .clone();

    let (ida, token) = People { server: &server }.make("ida", "api");
    let own = |group: &Value| {
        let body = json!({ "user_id": ida, "access_level": 50 }).to_string();
        assert_eq!(
            server
                .call("POST", &format!("/api/v4/groups/{group}/members"), &body)
                .status,
            201
        );
    };

    let transfer = |token: &str, group: i64, target: &Value| {
        let headers = [("PRIVATE-TOKEN", token), ("Content-Type", "application/json")];
        let body = json!({ "group_id": target }).to_string();
        let path = format!("/api/v4/groups/{group}/transfer");
        send(server.port, "POST", &path, &headers, body.as_bytes()).expect("an answer")
    };

    own(&json!(sub));
    assert_eq!(
        transfer(&token, sub, &other).status,
        404,
        "the user cannot see the parent group"
    );

    own(&json!(gear));
    assert_eq!(
        transfer(&token, sub, &other).status,
        404,
        "the user cannot see the target group"
    );

    own(&other);

    let moved = transfer(&token, sub, &other);
    assert_eq!(
        (moved.status, &moved.json()["full_name"]),
        (201, &json!("Other / Sub Unit")),
        "{}",
        moved.body
    );

    let project = server.get(&format!("/api/v4/projects/{rope}"));
    assert_eq!(project["path_with_namespace"], "other/sub/rope");

    assert_eq!(
        column(&server.get("/api/v4/groups/other/descendant_groups"), "id"),
        [json!(sub)]
    );

    let refused = |reply: Reply, words: &str| {
        let message = json!(format!("Transfer failed: {words}"));
        assert_eq!(
            (reply.status, &reply.json()["message"]),
            (400, &message),
            "{}",
            reply.body
        );
    };
    refused(
        transfer(TOKEN, sub, &other),
        "Group is already associated to the parent group.",
    );

    refused(transfer(TOKEN, gear, &Value::Null), "Group is already a root group.");
    refused(
        transfer(TOKEN, other.as_i64().expect("a number"), &json!(sub)),
        "Cannot transfer group to one of its subgroup.",
    );

    let taken = json!({ "name": "Sub", "path": "sub", "parent_id": gear }).to_string();
    assert_eq!(server.call("POST", "/api/v4/groups", &taken).status, 201);

    let words = "The parent group already has a subgroup or a project with the same path.";
    refused(transfer(TOKEN, sub, &json!(gear)), words);

    assert_eq!(
        transfer(&token, sub, &Value::Null).status,
        403,
        "only administrators create top-level groups"
    );

    assert_eq!(transfer(TOKEN, sub, &Value::Null).json()["full_path"], "sub");
}

pub(crate) fn an_inherited_role_is_listed(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let (gear, _, rope) = furnish(&server);
    let people = People { server: &server };
    let (ida, _) = people.make("ida", "api");
    let body = json!({ "user_id": ida, "access_level": 40 }).to_string();

    assert_eq!(
        server
            .call("POST", &format!("/api/v4/groups/{gear}/members"), &body)
            .status,
        201
    );

    for scope in [format!("projects/{rope}"), "groups/gear%2Fsub".to_owned()] {
        let member = server.get(&format!("/api/v4/{scope}/members/all/{ida}"));
        assert_eq!(
            (&member["id"], &member["access_level"]),
            (&json!(ida), &json!(40)),
            "{scope}"
        );

        assert_eq!(
            server.call("GET", &format!("/api/v4/{scope}/members/{ida}"), "").status,
            404,
            "the user is not a direct member"
        );

        assert_eq!(
            server.call("GET", &format!("/api/v4/{scope}/members/all/1"), "").status,
            404
        );
    }

    let users = server.get(&format!("/api/v4/projects/{rope}/users?search=IDA"));
    assert_eq!(
        (&users[0]["id"], users[0].get("access_level")),
        (&json!(ida), None),
        "{users}"
    );

    assert_eq!(
        server.get(&format!("/api/v4/projects/{rope}/users?skip_users[]={ida}")),
        json!([])
    );
}
