//! A stand-in for GitLab's API of projects, groups and webhooks. Its tests of webhooks really post to the URL of the
//! webhook, with the credential that the webhook was given.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard};

use quickdraw_domain::Timestamp;
use quickdraw_domain::signature::SigningToken;
use serde_json::{Map, Value, json};

use crate::http::{Got, read_request, send};

/// The token that the stand-in accepts.
pub(crate) const GITLAB_TOKEN: &str = "glpat-stand-in";
/// Attributes that GitLab keeps secret.
const SECRETS: [&str; 2] = ["token", "signing_token"];
/// Attributes of a webhook of a project that every version knows.
const TRIGGERS: [&str; 18] = [
    "push_events",
    "tag_push_events",
    "issues_events",
    "confidential_issues_events",
    "note_events",
    "confidential_note_events",
    "merge_requests_events",
    "job_events",
    "pipeline_events",
    "wiki_page_events",
    "deployment_events",
    "feature_flag_events",
    "releases_events",
    "emoji_events",
    "resource_access_token_events",
    "repository_update_events",
    "subgroup_events",
    "member_events",
];

pub(crate) struct StandIn {
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
}

/// A project or group, or the instance.
#[derive(Clone, Default)]
pub(crate) struct Home {
    pub(crate) path: String,
    pub(crate) is_archived: bool,

    /// Status of the answers about its webhooks, if they are refused.
    pub(crate) refuses: Option<u16>,

    /// An attribute that the license of the GitLab does not allow.
    pub(crate) unlicensed: Option<&'static str>,

    /// GitLab creates the next webhook and answers 500.
    pub(crate) fails_once: bool,
    pub(crate) hooks: BTreeMap<i64, Value>,
}

pub(crate) struct State {
    pub(crate) version: &'static str,

    /// Projects by `projects/1`, groups by `groups/1`, and the instance by an empty text.
    pub(crate) homes: BTreeMap<String, Home>,

    /// Every request of this number gets 429.
    pub(crate) limit_every: usize,
    pub(crate) limited: usize,

    /// Requests that changed something or sent a test.
    pub(crate) changes: Vec<String>,
    calls: usize,
    last_hook: i64,

    /// Answers to the last test of each webhook.
    answers: BTreeMap<i64, Value>,
}

/// An answer: the status, and the body.
type Answer = (u16, Value);

impl StandIn {
    /// A GitLab with projects `gear/rope-1` and so on, in the group `gear` with the number 1.
    pub(crate) fn start(version: &'static str, projects: usize) -> Self {
        let mut homes = BTreeMap::new();
        homes.insert(String::new(), Home::default());

        homes.insert(
            "groups/1".to_owned(),
            Home {
                path: "gear".to_owned(),
                ..Home::default()
            },
        );

        for id in 1..=projects {
            let home = Home {
                path: format!("gear/rope-{id}"),
                ..Home::default()
            };
            homes.insert(format!("projects/{id}"), home);
        }

        let state = Arc::new(Mutex::new(State {
            version,
            homes,
            limit_every: usize::MAX,
            limited: 0,
            changes: Vec::new(),
            calls: 0,
            last_hook: 100,
            answers: BTreeMap::new(),
        }));

        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::clone(&state);

        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || {
                    while let Some(got) = read_request(&mut stream) {
                        if stream.write_all(&answer(&shared, port, &got)).is_err() {
                            break;
                        }
                    }
                });
            }
        });

        Self { port, state }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Changes a project, a group or the instance.
    pub(crate) fn change(&self, home: &str, change: impl FnOnce(&mut Home)) {
        change(self.state().homes.get_mut(home).expect("it exists"));
    }

    /// Changes the only webhook of a home.
    pub(crate) fn edit(&self, home: &str, changes: &Value) {
        self.change(home, |home| {
            let hook = home.hooks.values_mut().next().expect("a webhook");
            let changes = changes.as_object().expect("an object").clone();
            hook.as_object_mut().expect("an object").extend(changes);
        });
    }

    /// The webhooks of a project, a group or the instance, with their secrets.
    pub(crate) fn hooks(&self, home: &str) -> Vec<Value> {
        self.state().homes[home].hooks.values().cloned().collect()
    }

    /// The number of webhooks of all homes.
    pub(crate) fn count(&self) -> usize {
        self.state().homes.values().map(|home| home.hooks.len()).sum()
    }

    pub(crate) fn changes(&self) -> Vec<String> {
        self.state().changes.clone()
    }
}

fn lock(shared: &Mutex<State>) -> MutexGuard<'_, State> {
    shared.lock().expect("no panic")
}

fn answer(shared: &Mutex<State>, port: u16, got: &Got) -> Vec<u8> {
    let line: Vec<&str> = got.headers["line"].split(' ').collect();
    let (method, path) = (line[0], line[1].trim_start_matches("/api/v4/"));

    let has_token = got
        .headers
        .iter()
        .any(|(name, value)| name.eq_ignore_ascii_case("private-token") && value == GITLAB_TOKEN);

    let is_limited = {
        let mut state = lock(shared);
        state.calls += 1;

        let is_limited = state.calls.is_multiple_of(state.limit_every);
        state.limited += usize::from(is_limited);
        is_limited
    };

    let (status, body) = match () {
        () if is_limited => (429, json!({ "message": "Too many requests" })),
        () if !has_token => (401, json!({ "message": "401 Unauthorized" })),
        () => route(shared, port, method, path, &got.body),
    };

    let more = if is_limited { "Retry-After: 1\r\n" } else { "" };
    let body = if status == 204 { String::new() } else { body.to_string() };

    format!(
        "HTTP/1.1 {status} X\r\n{more}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn route(shared: &Mutex<State>, port: u16, method: &str, path: &str, body: &[u8]) -> Answer {
    let (place, query) = path.split_once('?').unwrap_or((path, ""));
    let words: Vec<&str> = place.split('/').collect();

    match words.as_slice() {
        ["version"] => (200, json!({ "version": lock(shared).version, "revision": "x" })),
        ["user"] => (200, json!({ "id": 1, "username": "ida", "is_admin": true })),
        ["projects"] | ["groups", _, "projects"] => (200, page(shared, port, query)),
        [kind @ ("projects" | "groups"), name] => {
            let state = lock(shared);
            let found = state.homes.iter().find(|(key, home)| {
                key.strip_prefix(kind)
                    .is_some_and(|rest| rest.trim_start_matches('/') == *name)
                    || key.starts_with(kind) && home.path.replace('/', "%2F") == *name
            });
            found.map_or_else(not_found, |(key, home)| (200, shown_home(port, key, home)))
        }
        [kind @ ("projects" | "groups"), id, "hooks", rest @ ..] => {
            hooks(shared, port, method, &format!("{kind}/{id}"), rest, body)
        }
        ["hooks", rest @ ..] => hooks(shared, port, method, "", rest, body),
        _ => not_found(),
    }
}

fn not_found() -> Answer {
    (404, json!({ "message": "404 Not found" }))
}

fn shown_home(port: u16, key: &str, home: &Home) -> Value {
    let id: i64 = key.rsplit('/').next().and_then(|id| id.parse().ok()).expect("a number");
    let part = if key.starts_with("groups") { "groups/" } else { "" };
    json!({ "id": id, "path_with_namespace": home.path, "full_path": home.path, "archived": home.is_archived,
        "web_url": format!("http://127.0.0.1:{port}/{part}{}", home.path) })
}

/// A page of the list of projects.
fn page(shared: &Mutex<State>, port: u16, query: &str) -> Value {
    let number = |name: &str| {
        let value = query
            .split('&')
            .find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        value.and_then(|value| value.parse::<usize>().ok())
    };
    let (size, page) = (number("per_page").unwrap_or(20), number("page").unwrap_or(1));
    let state = lock(shared);

    let mut projects: Vec<Value> = state
        .homes
        .iter()
        .filter(|(key, _)| key.starts_with("projects/"))
        .map(|(key, home)| shown_home(port, key, home))
        .collect();

    projects.sort_by_key(|project| project["id"].as_i64());
    projects.into_iter().skip(size * (page - 1)).take(size).collect()
}

fn hooks(shared: &Mutex<State>, port: u16, method: &str, key: &str, rest: &[&str], body: &[u8]) -> Answer {
    let mut state = lock(shared);
    let Some(home) = state.homes.get(key) else {
        return not_found();
    };

    if let Some(status) = home.refuses {
        return (status, json!({ "message": format!("{status} Forbidden") }));
    }

    if method != "GET" {
        state.changes.push(format!("{method} {key}/hooks/{}", rest.join("/")));
    }

    let id = rest.first().and_then(|id| id.parse::<i64>().ok());
    match (method, rest) {
        ("GET", []) => {
            let list: Vec<Value> = state.homes[key].hooks.values().map(public).collect();
            (200, json!(list))
        }
        ("POST", []) => create(&mut state, key, body),
        ("PUT", [_]) => {
            let changes: Value = serde_json::from_slice(body).expect("JSON");
            let known = known_attributes(&state);
            let home = state.homes.get_mut(key).expect("it exists");
            let Some(hook) = id.and_then(|id| home.hooks.get_mut(&id)) else {
                return not_found();
            };

            set(hook, &changes, &known);
            (200, public(hook))
        }

        ("DELETE", [_]) => {
            let home = state.homes.get_mut(key).expect("it exists");
            id.and_then(|id| home.hooks.remove(&id))
                .map_or_else(not_found, |_| (204, Value::Null))
        }
        ("GET", [_, "events"]) => {
            let answer = id.and_then(|id| state.answers.get(&id).cloned());
            (200, json!(answer.into_iter().collect::<Vec<_>>()))
        }
        ("POST", [_] | [_, "test", "push_events"]) => {
            let (path, hook) = (
                state.homes[key].path.clone(),
                id.and_then(|id| state.homes[key].hooks.get(&id)),
            );

            let Some(hook) = hook.cloned() else { return not_found() };

            // Quickdraw answers while the stand-in serves other requests.
            drop(state);

            let (status, answer) = test(port, key, &path, &hook);
            let mut state = lock(shared);
            let is_taken = (200..300).contains(&status);
            let shown = json!({ "response_status": status.to_string(), "response_body": answer });

            state.answers.insert(hook["id"].as_i64().expect("an id"), shown);

            let kept = state
                .homes
                .get_mut(key)
                .and_then(|home| home.hooks.get_mut(&id.unwrap_or_default()));
            if let (true, Some(kept)) = (is_taken, kept) {
                kept["alert_status"] = json!("executable");
            }

            if is_taken {
                (201, json!({ "message": "201 Created" }))
            } else {
                (422, json!({ "message": answer }))
            }
        }
        _ => not_found(),
    }
}

/// Version 19 knows more attributes than older ones, which ignore them.
fn known_attributes(state: &State) -> Vec<&'static str> {
    let mut known = vec![
        "url",
        "name",
        "description",
        "token",
        "enable_ssl_verification",
        "push_events_branch_filter",
        "branch_filter_strategy",
        "custom_webhook_template",
    ];

    known.extend(TRIGGERS);
    if state.version.starts_with("19") {
        known.extend(["signing_token", "milestone_events"]);
    }

    known
}

fn create(state: &mut State, key: &str, body: &[u8]) -> Answer {
    let given: Value = serde_json::from_slice(body).expect("JSON");
    let mut known = known_attributes(state);
    state.last_hook += 1;

    let id = state.last_hook;
    let mut hook = json!({ "id": id, "alert_status": "executable" });
    for name in known.iter().filter(|name| name.ends_with("_events")) {
        hook[*name] = json!(false);
    }

    known.retain(|name| state.homes[key].unlicensed != Some(*name));
    set(&mut hook, &given, &known);

    let shown = public(&hook);
    let home = state.homes.get_mut(key).expect("it exists");
    home.hooks.insert(id, hook);

    if std::mem::take(&mut home.fails_once) {
        return (500, json!({ "message": "500 Internal Server Error" }));
    }

    (201, shown)
}

fn set(hook: &mut Value, changes: &Value, known: &[&str]) {
    // As in GitLab, a new URL without a token drops the token.
    if changes["url"] != hook["url"] && changes.get("token").is_none() {
        hook["token"] = Value::Null;
    }

    for (name, value) in changes.as_object().expect("an object") {
        if known.contains(&name.as_str()) {
            hook[name] = value.clone();
        }
    }
}

/// A webhook without its secrets.
fn public(hook: &Value) -> Value {
    let mut shown: Map<String, Value> = hook.as_object().expect("an object").clone();
    for secret in SECRETS {
        let is_present = shown.remove(secret).is_some_and(|value| value.is_string());
        shown.insert(format!("{secret}_present"), json!(is_present));
    }

    Value::Object(shown)
}

/// Posts a sample to the URL of a webhook, as GitLab does. Returns the status and the answer.
fn test(port: u16, key: &str, path: &str, hook: &Value) -> (u16, String) {
    let url = hook["url"].as_str().expect("a URL");
    let (host, target) = url.trim_start_matches("http://").split_once('/').expect("a path");

    let to: u16 = host
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok())
        .expect("a port");

    let (event, body) = if key.is_empty() {
        (
            "System Hook",
            json!({ "event_name": "project_create", "name": "Ruby", "project_id": 1 }),
        )
    } else {
        let id: i64 = key.rsplit('/').next().and_then(|id| id.parse().ok()).expect("a number");
        let project = json!({ "id": id, "path_with_namespace": path, "default_branch": "main" });
        let body = json!({ "object_kind": "push", "event_name": "push", "ref": "refs/heads/main",
            "before": "a".repeat(40), "after": "b".repeat(40), "commits": [], "project_id": id, "project": project });
        ("Push Hook", body)
    };

    let body = body.to_string();
    let message = uuid::Uuid::new_v4().to_string();
    let now = Timestamp::from_micros(jiff::Timestamp::now().as_microsecond());
    let instance = format!("http://127.0.0.1:{port}");
    let seconds = now.as_seconds().to_string();

    let signature = hook["signing_token"].as_str().map(|token| {
        let token = SigningToken::parse(token).expect("a signing token");
        token.sign(&message, now, body.as_bytes())
    });

    let mut headers = vec![
        ("X-Gitlab-Event", event),
        ("X-Gitlab-Instance", instance.as_str()),
        ("Idempotency-Key", message.as_str()),
    ];
    if let Some(token) = hook["token"].as_str() {
        headers.push(("X-Gitlab-Token", token));
    }

    if let Some(signature) = &signature {
        headers.push(("webhook-id", &message));
        headers.push(("webhook-timestamp", &seconds));
        headers.push(("webhook-signature", signature));
    }

    match send(to, "POST", &format!("/{target}"), &headers, body.as_bytes()) {
        Ok(reply) => (reply.status, reply.body),
        Err(error) => (0, error.to_string()),
    }
}
