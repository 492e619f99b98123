//! The role matrix: calls every endpoint of the OpenAPI description as every role, for own and foreign objects. The
//! status must follow the table. No secret may be in an answer, in the log at level trace, or in the database.

use std::process::Command;

use serde_json::{Value, json};

use crate::access::People;
use crate::http::{Reply, Sink, eventually, send};
use crate::server::{Engine, SECRET, Server, TOKEN};

/// The right that an endpoint requires.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Need {
    /// No right.
    Open,

    /// The secret of the source, which no role here has.
    Secret,

    /// Any valid token.
    SignedIn,

    /// The user whose token the request names. Here, that is the token of the administrator.
    OwnToken,

    /// A guest of the project or group.
    Member,

    /// A maintainer of the project, or an owner of the group.
    Manager,

    /// An owner of the project or group.
    Owner,

    /// An administrator.
    Admin,
}

/// The table. A path of `/api/v4` without a row fails the test; a path of `/api/v1` without a row is for
/// administrators.
fn need(method: &str, path: &str) -> Need {
    let (v4, rest) = match path.strip_prefix("/api/v4/") {
        Some(rest) => (true, rest),
        None => (false, path),
    };

    let words: Vec<&str> = rest.split('/').collect();
    match (method, words.as_slice()) {
        _ if !v4 => match path {
            "/metrics" | "/api/v1/health" | "/api/v1/ready" | "/api/v1/schemas" => Need::Open,
            "/api/v1/schemas/{trigger_name}" => Need::Open,
            "/api/v1/workers" => Need::Admin,
            "/api/v1/webhooks/gitlab" | "/api/v1/webhooks/gitlab/{key}" => Need::Secret,
            _ if path.starts_with("/api/v1/") => Need::Admin,
            _ => panic!("{method} {path} has no row"),
        },
        ("GET", ["user" | "version" | "metadata" | "groups" | "projects" | "namespaces"] | ["users", "{id}"]) => {
            Need::SignedIn
        }
        ("GET", ["personal_access_tokens"]) | ("POST", ["user", "personal_access_tokens"]) => Need::SignedIn,
        (_, ["personal_access_tokens", "{token_id}", ..]) => Need::OwnToken,
        ("POST", ["groups" | "projects"]) | ("DELETE", ["groups" | "projects", "{id}"]) => Need::Admin,
        ("GET" | "POST", ["users"]) | ("PUT" | "DELETE", ["users", "{id}"]) => Need::Admin,
        ("POST", ["users", "{id}", "personal_access_tokens"]) => Need::Admin,
        (_, ["hooks", ..]) => Need::Admin,
        ("GET", ["groups" | "projects", "{id}"]) => Need::Member,
        ("GET", ["groups", "{id}", "subgroups" | "descendant_groups" | "projects"]) => Need::Member,
        ("GET", ["projects", "{id}", "users"]) => Need::Member,
        ("POST", ["projects", "{id}", "archive" | "unarchive"]) => Need::Owner,
        // The transfer of a group has a test of its own.
        ("POST", ["groups", "{id}", "transfer"]) => Need::Manager,
        ("POST", ["users", "{id}", "block" | "unblock"]) => Need::Admin,
        ("GET", ["namespaces", "{id}"]) => Need::Member,
        ("GET", ["namespaces", "{id}", "exists"]) => Need::SignedIn,
        // Without a target. The transfer itself has a test of its own.
        ("PUT", ["projects", "{id}", "transfer"]) => Need::Member,
        // Every member may leave; only managers remove others.
        ("GET", ["groups" | "projects", "{id}", "members", ..]) => Need::Member,
        ("PUT", ["groups" | "projects", "{id}"]) => Need::Manager,
        (_, ["groups" | "projects", "{id}", "members" | "access_tokens" | "hooks", ..]) => Need::Manager,
        _ => panic!("{method} {path} has no row"),
    }
}

struct Role {
    name: &'static str,
    token: Option<String>,

    /// Access levels in the project and in its group.
    levels: [i64; 2],
    is_admin: bool,
    read_only: bool,
}

/// The result of the access check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Door {
    Unknown,
    Forbidden,
    Hidden,
    Passed,
}

fn door(reply: &Reply) -> Door {
    let hidden = ["Project", "Group", "Namespace", "Personal Access Token"].map(|what| format!("404 {what} Not Found"));
    match reply.status {
        401 => Door::Unknown,
        403 => Door::Forbidden,
        404 if hidden.iter().any(|text| reply.body.contains(text.as_str())) => Door::Hidden,
        status => {
            assert!(status < 500, "{status} {}", reply.body);
            Door::Passed
        }
    }
}

fn expected(role: &Role, method: &str, path: &str, foreign: bool) -> Door {
    let need = need(method, path);
    let level = role.levels[usize::from(!path.contains("/projects/{id}"))];

    match need {
        Need::Open => Door::Passed,
        Need::Secret => Door::Unknown,
        _ if role.token.is_none() => Door::Unknown,
        _ if role.read_only && method != "GET" => Door::Forbidden,
        _ if role.is_admin => Door::Passed,
        Need::SignedIn if role.name == "project bot" && method == "POST" => Door::Forbidden,
        Need::SignedIn => Door::Passed,
        Need::Admin => Door::Forbidden,
        Need::OwnToken => Door::Hidden,
        Need::Member | Need::Manager | Need::Owner if foreign || level == 0 => Door::Hidden,
        Need::Member => Door::Passed,
        Need::Owner if level >= 50 => Door::Passed,
        Need::Owner => Door::Forbidden,
        Need::Manager if level >= (if path.contains("/projects/{id}") { 40 } else { 50 }) => Door::Passed,
        Need::Manager => Door::Forbidden,
    }
}

/// Ids of the objects of a project and its group.
#[derive(Clone)]
struct Objects {
    project: i64,
    group: i64,
    hooks: [i64; 3],
    tokens: [i64; 2],
    attempts: [i64; 2],
    event: String,
    delivery: String,
}

impl Objects {
    /// The own project and group, with the ids of objects of another project and group.
    fn with_parts_of(&self, other: &Self) -> Self {
        Self {
            project: self.project,
            group: self.group,
            ..other.clone()
        }
    }
}

fn ask(server: &Server, role: &Role, method: &str, address: &str) -> Reply {
    let token = role.token.as_ref().map(|token| ("PRIVATE-TOKEN", token.as_str()));
    let headers: Vec<(&str, &str)> = token
        .into_iter()
        .chain([("Content-Type", "application/json")])
        .collect();

    let body = if method == "GET" {
        ""
    } else {
        r#"{"name":"n","value":"v","access_level":10}"#
    };
    send(server.port, method, address, &headers, body.as_bytes()).expect("an answer")
}

/// Creates a group with a project, a hook with secrets at each level, tokens, and a delivered event.
fn furnish(server: &Server, sink: &Sink, name: &str, secrets: &mut Vec<String>) -> Objects {
    let post = |path: &str, body: Value| {
        let reply = server.call("POST", path, &body.to_string());
        assert!(
            matches!(reply.status, 201 | 202),
            "{path}: {} {}",
            reply.status,
            reply.body
        );

        reply.json()
    };

    let number = |value: &Value| value.as_i64().expect("a number");
    let group = number(&post("/api/v4/groups", json!({ "name": name, "path": name }))["id"]);
    let project = number(&post("/api/v4/projects", json!({ "name": "p", "namespace_id": group }))["id"]);

    let scopes = [
        format!("/api/v4/projects/{project}"),
        format!("/api/v4/groups/{group}"),
        "/api/v4".to_owned(),
    ];

    let certificate = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    let key = certificate.signing_key.serialize_pem();

    let hook = json!({
        "url": format!("http://user:canary-password@127.0.0.1:{}/{{part}}", sink.port),
        "url_variables": [{ "key": "part", "value": "canary-part" }],
        "custom_headers": [{ "key": "X-Key", "value": "canary-header" }],
        "token": "canary-token",
        "signing_token": SIGNING,
        "tls_client_cert": format!("{}{key}", certificate.cert.pem()),
        "push_events": true,
    });

    let hooks = scopes.each_ref().map(|scope| {
        let one = number(&post(&format!("{scope}/hooks"), hook.clone())["id"]);
        server.call(
            "PUT",
            &format!("{scope}/hooks/{one}/custom_headers/X-More"),
            r#"{"value":"canary-more"}"#,
        );

        server.call(
            "PUT",
            &format!("{scope}/hooks/{one}"),
            r#"{"signing_token":"canary-wrong"}"#,
        );

        one
    });

    let tokens = [&scopes[0], &scopes[1]].map(|scope| {
        let made = post(
            &format!("{scope}/access_tokens"),
            json!({ "name": "t", "scopes": ["api"] }),
        );
        secrets.push(made["token"].as_str().expect("shown once").to_owned());
        number(&made["id"])
    });

    let report = json!({ "trigger": "push_hooks", "payload": { "object_kind": "push", "ref": "refs/heads/main" } });
    let event = post(&format!("/api/v1/projects/{project}/events"), report)["id"]
        .as_str()
        .expect("an id")
        .to_owned();

    let mut delivery = String::new();
    eventually("all hooks got the event", || {
        let view = server.get(&format!("/api/v1/events/{event}"));
        let deliveries = view["deliveries"].as_array().cloned().unwrap_or_default();

        delivery = deliveries
            .first()
            .and_then(|one| one["id"].as_str())
            .unwrap_or_default()
            .to_owned();

        deliveries.len() >= 3 && deliveries.iter().all(|one| one["state"] == "delivered")
    });

    // Two lines of the PEM text that contain the private key.
    secrets.extend(key.lines().skip(1).take(2).map(str::to_owned));

    let attempts = [0, 1].map(|at| {
        let log = server.get(&format!("{}/hooks/{}/events", scopes[at], hooks[at]));
        number(&log[0]["id"])
    });

    Objects {
        project,
        group,
        hooks,
        tokens,
        attempts,
        event,
        delivery,
    }
}

const SIGNING: &str = "whsec_Y2FuYXJ5LXNpZ25pbmcta2V5LW9mLTMyLWJ5dGVzISE=";
/// The id of the administrator's root token, which other users must not see.
const FOREIGN_TOKEN: &str = "1";
const NOWHERE: i64 = 999_999;

/// Fills in the placeholders of a path: ids of existing objects for reads, and missing ids for changes, so that a
/// request changes no object that later requests need.
fn address(method: &str, path: &str, known: &[String], objects: &Objects, users: [i64; 2]) -> String {
    let reading = method == "GET";
    let level = if path.contains("/projects/{id}") {
        0
    } else if path.contains("/groups/{id}") || path.contains("/namespaces/{id}") {
        1
    } else {
        2
    };

    let there = |number: i64| if reading { number } else { NOWHERE }.to_string();
    let id = match level {
        0 => objects.project.to_string(),
        1 => objects.group.to_string(),
        _ => there(users[0]),
    };

    let token = if level == 2 {
        FOREIGN_TOKEN.to_owned()
    } else {
        there(objects.tokens[level])
    };

    let attempt = objects.attempts.get(level).copied().unwrap_or_default();
    let filled = path
        .replace("{id}", &id)
        .replace("{hook_id}", &there(objects.hooks[level]))
        .replace("{hook_event_id}", &there(attempt))
        .replace("{token_id}", &token)
        .replace("{user_id}", &there(users[usize::from(level == 2)]))
        .replace("{trigger}", "push_events")
        .replace("{trigger_name}", "push_hooks")
        .replace("{key}", "X-Key")
        .replace("{event_id}", &objects.event)
        .replace("{delivery_id}", &objects.delivery)
        .replace("{replay_id}", "1")
        .replace("{source_id}", "default")
        .replace("{member_id}", &NOWHERE.to_string())
        .replace("{team_id}", &NOWHERE.to_string())
        .replace("{alert_id}", &NOWHERE.to_string())
        .replace("{name}", "mr_merged");
    if !reading {
        return filled;
    }

    let insights = [("project", "1"), ("metric", "mr_open"), ("item", "1/1")];
    let wanted = if path.contains("/insights/") {
        &insights[..]
    } else {
        &[("trigger", "push_hooks")]
    };
    let given = wanted
        .iter()
        .filter(|(name, _)| known.iter().any(|known| known == name));
    let query: Vec<String> = given.map(|(name, value)| format!("{name}={value}")).collect();

    format!("{filled}?{}", query.join("&"))
}

/// The names of an operation's query parameters.
fn parameters(operation: &Value) -> Vec<String> {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let in_query = parameters.filter(|parameter| parameter["in"] == "query");
    in_query
        .filter_map(|parameter| parameter["name"].as_str().map(str::to_owned))
        .collect()
}

pub(crate) fn every_endpoint_follows_the_role_matrix_and_shows_no_secret(engine: Engine) {
    // A receiver that echoes puts our secrets into the answers that we store.
    let sink = Sink::echo();
    let mut server = Server::start(&engine, &[("QUICKDRAW__TELEMETRY__LOG", "trace")]);
    let people = People { server: &server };
    let mut secrets: Vec<String> = ["canary-", &SIGNING[6..20], "Y2FuYXJ5", "dXNlcjpjYW5hcnk", TOKEN, SECRET]
        .map(str::to_owned)
        .into();
    let own = furnish(&server, &sink, "own", &mut secrets);
    let foreign = furnish(&server, &sink, "foreign", &mut secrets);
    let replay = json!({ "from": "2020-01-01", "hook_id": NOWHERE }).to_string();

    assert_eq!(server.call("POST", "/api/v1/replays", &replay).json()["id"], 1);
    assert_eq!(
        server
            .call("POST", "/api/v1/insights/rebuild", r#"{"task":"compare"}"#)
            .status,
        202
    );

    let mut roles = vec![Role {
        name: "nobody",
        token: None,
        levels: [0, 0],
        is_admin: false,
        read_only: false,
    }];

    let mut guest = 0;
    for (name, level) in [
        ("stranger", 0),
        ("guest", 10),
        ("developer", 30),
        ("maintainer", 40),
        ("owner", 50),
    ] {
        let (id, token) = people.make(name, "api");
        if level > 0 {
            let body = json!({ "user_id": id, "access_level": level }).to_string();
            for scope in [format!("groups/{}", own.group), format!("projects/{}", own.project)] {
                assert_eq!(
                    server.call("POST", &format!("/api/v4/{scope}/members"), &body).status,
                    201
                );
            }
        }

        if name == "guest" {
            guest = id;
        }

        if name == "owner" {
            let token = people.token(id, "read_api");
            roles.push(Role {
                name: "reader",
                token: Some(token),
                levels: [50, 50],
                is_admin: false,
                read_only: true,
            });
        }

        roles.push(Role {
            name,
            token: Some(token),
            levels: [level, level],
            is_admin: false,
            read_only: false,
        });
    }

    // The bot of the project has no role in the group. Its token is among the first secrets.
    let bot = secrets.get(6).cloned();
    roles.push(Role {
        name: "project bot",
        token: bot,
        levels: [40, 0],
        is_admin: false,
        read_only: false,
    });

    roles.push(Role {
        name: "administrator",
        token: Some(TOKEN.to_owned()),
        levels: [0, 0],
        is_admin: true,
        read_only: false,
    });

    secrets.extend(roles.iter().filter_map(|role| role.token.clone()));

    let description = server.get("/api/v1/openapi.json");
    let paths = description["paths"].as_object().expect("paths");
    let mut operations: Vec<(String, &str, Vec<String>)> = Vec::new();

    for (path, item) in paths {
        for (method, operation) in item.as_object().into_iter().flatten() {
            operations.push((method.to_uppercase(), path.as_str(), parameters(operation)));
        }
    }

    // Deletions come last, and groups after their projects, because other requests need the objects.
    operations.sort_by_key(|(method, path, _)| {
        let whole = ["projects/{id}", "groups/{id}"]
            .iter()
            .position(|end| path.ends_with(end));
        (method == "DELETE", whole.map_or(0, |at| at + 1))
    });

    let (mut shown, mut asked) = (String::new(), 0);
    for (method, path, known) in &operations {
        // A hook or token of another project must not be found through the own project.
        let is_part = ["{hook_id}", "{token_id}"].iter().any(|part| path.contains(part));
        if is_part && (path.contains("/projects/{id}") || path.contains("/groups/{id}")) {
            for role in &roles {
                let wanted = expected(role, method, path, false);
                let address = address("GET", path, known, &own.with_parts_of(&foreign), [guest, guest]);
                let reply = ask(&server, role, method, &address);
                let what = format!("{}: {method} {address}: {} {}", role.name, reply.status, reply.body);

                assert_eq!(door(&reply), wanted, "{what}");
                assert!(wanted != Door::Passed || reply.status == 404, "{what}");
                shown += &reply.body;
            }
        }

        for (objects, is_foreign) in [(&foreign, true), (&own, false)] {
            // The administrator comes last, because only that role passes every check.
            for role in &roles {
                let address = address(method, path, known, objects, [guest, guest]);
                // The token in the path is the administrator's own, so the request would revoke it.
                let takes_token = method != "GET" && path.contains("/personal_access_tokens/{token_id}");
                if role.is_admin && takes_token {
                    continue;
                }

                // The bot was deleted with its project.
                if role.name == "project bot" && method == "DELETE" && path.ends_with("groups/{id}") {
                    continue;
                }

                let reply = ask(&server, role, method, &address);
                let wanted = expected(role, method, path, is_foreign);
                let what = format!("{}: {method} {address}: {} {}", role.name, reply.status, reply.body);

                // The guest is not a member of the foreign project, so a passed check may end with 404.
                let may_miss = path.contains("/members/") && path.ends_with("{user_id}") && is_foreign;
                // Streams have a test of their own. These requests do not ask for an event stream.
                let is_stream = path.ends_with("/stream") && reply.status == 406;
                if !may_miss && !is_stream && method == "GET" && wanted == Door::Passed {
                    assert_eq!(reply.status, 200, "{what}");
                }

                assert_eq!(door(&reply), wanted, "{what}");
                shown += &reply.body;
                asked += 1;
            }
        }
    }

    assert!(
        asked > 1500 && shown.contains("push_hooks"),
        "the endpoints were called"
    );

    let got = sink.got();
    assert!(
        got.iter()
            .any(|got| got.headers.get("X-Key").is_some_and(|value| value == "canary-header"))
    );

    server.terminate();

    let log = server.output();
    assert!(log.contains("DEBUG"), "the log contains debug messages");

    for secret in &secrets {
        assert!(!shown.contains(secret), "{secret} is shown");

        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} is logged");
    }

    check_database(&engine, &server, &secrets);
}

fn check_database(engine: &Engine, server: &Server, secrets: &[String]) {
    let contains = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    match engine {
        Engine::Sqlite => {
            let data = server.folder.path().join("quickdraw-data");
            let files = std::fs::read_dir(data).expect("a folder").flatten();

            // The administrator reads the root token from its file.
            for file in files.filter(|file| file.file_name() != "root-token") {
                let bytes = std::fs::read(file.path()).expect("it can be read");
                for secret in secrets {
                    assert!(!contains(&bytes, secret), "{secret} is in {}", file.path().display());
                }
            }
        }

        Engine::Postgres(url) => {
            let dump = Command::new("pg_dump")
                .args([url, "--data-only", "--schema", &server.schema])
                .output();
            let dump = dump.expect("pg_dump runs");
            assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
            assert!(contains(&dump.stdout, "COPY"), "the dump contains data");

            for secret in secrets {
                // The dump writes bytes as hexadecimal digits.
                for form in [secret.clone(), hex::encode(secret)] {
                    assert!(!contains(&dump.stdout, &form), "{secret} is in the database");
                }
            }
        }
    }
}
