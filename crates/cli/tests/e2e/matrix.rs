//! The role matrix: calls every endpoint of the OpenAPI description as every role, for own and foreign objects. The
//! status must follow the table. No secret may be in an answer, in the log at level trace, or in the database.

use std::process::Command;

use serde_json::{Value, json};

use crate::access::People;
use crate::furniture::{Objects, SIGNING, furnish, notification};
use crate::http::{Reply, Sink, send};
use crate::rights::{Door, Role, door, expected};
use crate::server::{Engine, SECRET, Server, TOKEN};

/// The id of the administrator's root token, which other users must not see.
const FOREIGN_TOKEN: &str = "1";
const NOWHERE: i64 = 999_999;

fn ask(server: &Server, role: &Role, method: &str, address: &str) -> Reply {
    let token = role.token.as_ref().map(|token| ("PRIVATE-TOKEN", token.as_str()));
    let headers: Vec<(&str, &str)> = token
        .into_iter()
        .chain(role.sudo.map(|user| ("Sudo", user)))
        .chain([("Content-Type", "application/json")])
        .collect();

    let body = body(method, address);
    send(server.port, method, address, &headers, body.as_bytes()).expect("an answer")
}

/// The body of a request. The address of a new replay ends with its project, and the address of a preview too.
fn body(method: &str, address: &str) -> String {
    if method == "GET" {
        return String::new();
    }

    if let Some(project) = address.strip_prefix("/api/v1/replays?project=") {
        return json!({ "since": "2020-01-01", "project": project, "dry_run": true }).to_string();
    }

    if let Some(project) = address.strip_prefix("/api/v1/notifications?project=") {
        return notification(project).to_string();
    }

    let takes_no_body = [
        "/api/v1/inspectors/",
        "/api/v1/notifications/",
        "/api/v1/portal_sessions",
        "/api/v1/replays/",
        "/api/v1/streams/",
    ];
    if takes_no_body.iter().any(|start| address.starts_with(start)) {
        return String::new();
    }

    if let Some(preview) = address.strip_prefix("/api/v1/previews/") {
        let body = match preview.split('?').next() {
            Some("url") => json!({ "url": "https://example.com/" }),
            Some("template") => json!({ "custom_webhook_template": "{}", "trigger": "push_hooks" }),
            _ => json!({ "push_events_branch_filter": "main" }),
        };
        return body.to_string();
    }

    r#"{"name":"n","value":"v","access_level":10}"#.to_owned()
}

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
        .replace("{key_id}", &NOWHERE.to_string())
        .replace("{user_id}", &there(users[usize::from(level == 2)]))
        .replace("{trigger}", "push_events")
        .replace("{trigger_name}", "push_hooks")
        .replace("{key}", "X-Key")
        .replace("{event_id}", &objects.event)
        .replace("{delivery_id}", &objects.delivery)
        .replace("{replay_id}", "1")
        .replace("{stream_id}", "999")
        .replace("{notification_id}", &there(objects.notification))
        .replace("{inspector_id}", &objects.inspector)
        .replace("{request_id}", &objects.inspected)
        .replace("{source_id}", "default")
        .replace("{session_id}", &NOWHERE.to_string())
        .replace("{member_id}", &NOWHERE.to_string())
        .replace("{team_id}", &NOWHERE.to_string())
        .replace("{alert_id}", &NOWHERE.to_string())
        .replace("{name}", "mr_merged");
    let project = objects.project.to_string();
    let names_project = ["/api/v1/replays", "/api/v1/notifications", "/api/v1/portal_sessions"].contains(&path);
    if (names_project || path.starts_with("/api/v1/previews/")) && !reading {
        return format!("{filled}?project={project}");
    }

    if !reading {
        return filled;
    }

    let item = format!("{project}/1");
    let insights = [("project", &*project), ("metric", "mr_open"), ("item", &item)];
    let wanted = if path.contains("/insights/") {
        &insights[..]
    } else {
        &[("trigger", "push_hooks"), ("project", &project), ("q", "p")]
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

/// An endpoint of the OpenAPI description.
struct Operation {
    method: String,
    path: String,

    /// The names of its query parameters.
    known: Vec<String>,
}

impl Operation {
    /// An object of a project or group is named in the path. It must not be found through another project or group.
    fn names_part(&self) -> bool {
        let path = &self.path;
        let is_part = ["{hook_id}", "{token_id}"].iter().any(|part| path.contains(part));
        is_part && (path.contains("/projects/{id}") || path.contains("/groups/{id}"))
    }

    fn is_for(&self, role: &Role) -> bool {
        // The token in the path is the administrator's own, so the request would revoke it.
        let takes_token = self.method != "GET" && self.path.contains("/personal_access_tokens/{token_id}");

        // The bot was deleted with its project.
        let is_after_bot = self.method == "DELETE" && self.path.ends_with("groups/{id}");

        !(role.is_admin && takes_token || role.name == "project bot" && is_after_bot)
    }
}

/// All endpoints. Deletions come last, inspectors after their requests, and groups after their projects, because other
/// requests need the objects.
fn operations(server: &Server) -> Vec<Operation> {
    let description = server.get("/api/v1/openapi.json");
    let mut operations = Vec::new();

    for (path, item) in description["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().into_iter().flatten() {
            operations.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                known: parameters(operation),
            });
        }
    }

    operations.sort_by_key(|operation| {
        let whole = ["inspectors/{inspector_id}", "projects/{id}", "groups/{id}"]
            .iter()
            .position(|end| operation.path.ends_with(end));
        (operation.method == "DELETE", whole.map_or(0, |at| at + 1))
    });

    operations
}

/// The objects and roles of the matrix, and all bodies that were shown.
struct Matrix {
    server: Server,
    sink: Sink,
    own: Objects,
    foreign: Objects,
    roles: Vec<Role>,

    /// The id of the guest.
    guest: i64,
    secrets: Vec<String>,
    shown: String,
    asked: usize,
}

impl Matrix {
    fn start(engine: &Engine) -> Self {
        // A receiver that echoes puts our secrets into the answers that we store.
        let sink = Sink::echo();
        let server = Server::start(engine, &[("QUICKDRAW__TELEMETRY__LOG", "trace")]);

        let known = ["canary-", &SIGNING[6..20], "Y2FuYXJ5", "dXNlcjpjYW5hcnk", TOKEN, SECRET];
        let mut secrets: Vec<String> = known.map(str::to_owned).into();
        let own = furnish(&server, &sink, "own", &mut secrets);

        // The tokens of the bots are the first ones that were added.
        let bots = [0, 1].map(|at| secrets[known.len() + at].clone());
        let foreign = furnish(&server, &sink, "foreign", &mut secrets);
        let (roles, guest) = make_roles(&server, &own, bots);

        secrets.extend(roles.iter().filter_map(|role| role.token.clone()));

        Self {
            server,
            sink,
            own,
            foreign,
            roles,
            guest,
            secrets,
            shown: String::new(),
            asked: 0,
        }
    }

    /// Starts a replay and a comparison, which some endpoints show.
    fn start_tasks(&self) {
        let replay = json!({ "since": "2020-01-01", "hook": NOWHERE }).to_string();
        let replay = self.server.call("POST", "/api/v1/replays", &replay);
        assert_eq!(replay.json()["id"], 1);

        let task = r#"{"task":"compare"}"#;
        self.server.call("POST", "/api/v1/insights/rebuild", task).checked(202);
    }

    /// A hook or token of another project must not be found through the own project.
    fn check_foreign_part(&mut self, operation: &Operation) {
        let mixed = self.own.with_parts_of(&self.foreign);
        for role in &self.roles {
            let wanted = expected(role, &operation.method, &operation.path, false);
            let address = address("GET", &operation.path, &operation.known, &mixed, [self.guest; 2]);
            let reply = ask(&self.server, role, &operation.method, &address);
            let case = describe(role, operation, &address, &reply);

            assert_eq!(door(&reply), wanted, "{case}");
            assert!(wanted != Door::Passed || reply.status == 404, "{case}");
            self.shown += &reply.body;
        }
    }

    /// Calls an endpoint as every role. The administrator comes last, because only that role passes every check.
    fn check_roles(&mut self, operation: &Operation, is_foreign: bool) {
        let objects = if is_foreign { &self.foreign } else { &self.own };
        for role in self.roles.iter().filter(|role| operation.is_for(role)) {
            let address = address(
                &operation.method,
                &operation.path,
                &operation.known,
                objects,
                [self.guest; 2],
            );
            let reply = ask(&self.server, role, &operation.method, &address);
            let case = describe(role, operation, &address, &reply);
            let wanted = expected(role, &operation.method, &operation.path, is_foreign);

            if wanted == Door::Passed && must_answer(operation, &reply, is_foreign) {
                assert_eq!(reply.status, 200, "{case}");
            }

            assert_eq!(door(&reply), wanted, "{case}");
            self.shown += &reply.body;
            self.asked += 1;
        }
    }

    /// Checks that neither an answer nor the log contains a secret.
    fn check_secrets(&self) {
        let log = self.server.output();
        assert!(log.contains("DEBUG"), "the log contains debug messages");

        for secret in &self.secrets {
            assert!(!self.shown.contains(secret), "{secret} is shown");

            let line = log.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{secret} is logged");
        }
    }
}

fn describe(role: &Role, operation: &Operation, address: &str, reply: &Reply) -> String {
    format!(
        "{}: {} {address}: {} {}",
        role.name, operation.method, reply.status, reply.body
    )
}

/// A request that passes the access check must succeed, with three exceptions.
fn must_answer(operation: &Operation, reply: &Reply, is_foreign: bool) -> bool {
    let path = &operation.path;

    // The guest is not a member of the foreign project, so a passed check may end with 404.
    let may_miss = path.contains("/members/") && path.ends_with("{user_id}") && is_foreign;

    // No user of the matrix has an SSH key.
    let may_miss = may_miss || path.ends_with("/keys/{key_id}");

    // The furniture has no request to a system hook.
    let may_miss = may_miss || path == "/api/v4/hooks/{hook_id}/events/{hook_event_id}";

    // The furniture has no alert rule.
    let may_miss = may_miss || path == "/api/v1/insights/alerts/{alert_id}";

    // Streams have a test of their own. These requests do not ask for an event stream.
    let is_stream = path.ends_with("/stream") && reply.status == 406;

    operation.method == "GET" && !may_miss && !is_stream
}

fn role(name: &'static str, token: Option<String>, levels: [i64; 2]) -> Role {
    Role {
        name,
        token,
        levels,
        is_admin: false,
        scope: "api",
        sudo: None,
    }
}

/// Creates the users of all roles, and returns the roles and the id of the guest.
fn make_roles(server: &Server, own: &Objects, bots: [String; 2]) -> (Vec<Role>, i64) {
    let people = People { server };
    let mut roles = vec![role("nobody", None, [0, 0])];
    let (_, stranger) = people.make("stranger", "api");

    roles.push(role("stranger", Some(stranger), [0, 0]));

    let mut ids = Vec::new();
    for (name, level) in [("guest", 10), ("developer", 30), ("maintainer", 40), ("owner", 50)] {
        let (id, token) = people.make(name, "api");
        join(server, own, id, level);
        roles.push(role(name, Some(token), [level, level]));
        ids.push(id);
    }

    for (name, scope) in [
        ("reader", "read_api"),
        ("reporter", "report"),
        ("reader of insights", "read_insights"),
    ] {
        let mut narrow = role(name, Some(people.token(ids[3], scope)), [50, 50]);
        narrow.scope = scope;
        roles.push(narrow);
    }

    let mut acting = role("administrator as the owner", Some(TOKEN.to_owned()), [50, 50]);
    acting.sudo = Some("owner");
    roles.push(acting);

    let mut metrics = role("reader of metrics", Some(people.token(1, "metrics")), [0, 0]);
    metrics.is_admin = true;
    metrics.scope = "metrics";
    roles.push(metrics);

    // The bot of the project has no role in the group. The bot of the group is a maintainer of both.
    let [of_project, of_group] = bots;
    roles.push(role("project bot", Some(of_project), [40, 0]));
    roles.push(role("group bot", Some(of_group), [40, 40]));

    let mut administrator = role("administrator", Some(TOKEN.to_owned()), [0, 0]);
    administrator.is_admin = true;
    roles.push(administrator);

    (roles, ids[0])
}

/// Makes a user a member of the own group and project.
fn join(server: &Server, own: &Objects, user: i64, level: i64) {
    let body = json!({ "user_id": user, "access_level": level }).to_string();
    for scope in [format!("groups/{}", own.group), format!("projects/{}", own.project)] {
        let path = format!("/api/v4/{scope}/members");
        server.call("POST", &path, &body).checked(201);
    }
}

pub(crate) fn every_endpoint_follows_the_role_matrix_and_shows_no_secret(engine: Engine) {
    let mut matrix = Matrix::start(&engine);
    matrix.start_tasks();

    for operation in operations(&matrix.server) {
        if operation.names_part() {
            matrix.check_foreign_part(&operation);
        }

        matrix.check_roles(&operation, true);
        matrix.check_roles(&operation, false);
    }

    assert!(matrix.asked > 2500, "the endpoints were called");
    assert!(matrix.shown.contains("push_hooks"));

    let header = |value: &String| value == "canary-header";
    assert!(
        matrix
            .sink
            .got()
            .iter()
            .any(|got| got.headers.get("X-Key").is_some_and(header))
    );

    matrix.server.terminate();
    matrix.check_secrets();
    check_database(&engine, &matrix.server, &matrix.secrets);
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
