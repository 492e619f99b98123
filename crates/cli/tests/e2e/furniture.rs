//! The objects of the role matrix: two groups, each with a project, hooks with secrets, tokens and a delivered event.

use serde_json::{Value, json};

use crate::http::{Sink, eventually, send};
use crate::server::Server;

pub(crate) const SIGNING: &str = "whsec_Y2FuYXJ5LXNpZ25pbmcta2V5LW9mLTMyLWJ5dGVzISE=";

/// Ids of the objects of a project and its group.
#[derive(Clone)]
pub(crate) struct Objects {
    pub(crate) project: i64,
    pub(crate) group: i64,
    pub(crate) hooks: [i64; 3],
    pub(crate) tokens: [i64; 2],
    pub(crate) attempts: [i64; 2],
    pub(crate) event: String,
    pub(crate) delivery: String,

    /// A notification rule of the project.
    pub(crate) notification: i64,
    /// An inspector of the administrator, and a request that it keeps.
    pub(crate) inspector: String,
    pub(crate) inspected: String,
}

impl Objects {
    /// The own project and group, with the ids of objects of another project and group.
    pub(crate) fn with_parts_of(&self, other: &Self) -> Self {
        Self {
            project: self.project,
            group: self.group,
            ..other.clone()
        }
    }
}

/// Creates an object and returns the answer.
fn post(server: &Server, path: &str, body: &Value) -> Value {
    let reply = server.call("POST", path, &body.to_string());
    let (status, body) = (reply.status, &reply.body);
    assert!(matches!(status, 201 | 202), "{path}: {status} {body}");

    reply.json()
}

fn number(value: &Value) -> i64 {
    value.as_i64().expect("a number")
}

/// Attributes of a hook that has each kind of secret. Some lines of its private key are added to the secrets.
fn hook_with_secrets(sink: &Sink, name: &str, secrets: &mut Vec<String>) -> Value {
    let certificate = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    let key = certificate.signing_key.serialize_pem();

    // Two lines of the PEM text that contain the private key.
    secrets.extend(key.lines().skip(1).take(2).map(str::to_owned));

    json!({
        "url": format!("http://user:canary-password@127.0.0.1:{}/{{part}}", sink.port),
        "url_variables": [{ "key": "part", "value": "canary-part" }],
        "custom_headers": [{ "key": "X-Key", "value": "canary-header" }],
        "token": "canary-token",
        "signing_token": SIGNING,
        "tls_client_cert": format!("{}{key}", certificate.cert.pem()),
        "push_events": true,
    })
}

/// Attributes of a notification rule of a project. The URL of its chat is a secret.
pub(crate) fn notification(project: &str) -> Value {
    json!({
        "name": "chat",
        "project": project,
        "kinds": ["hook_failing"],
        "channel": "slack",
        "url": "http://127.0.0.1/canary-chat",
    })
}

/// Creates a hook, gives it one more header, and tries to give it a wrong signing token.
fn make_hook(server: &Server, scope: &str, hook: &Value) -> i64 {
    let id = number(&post(server, &format!("{scope}/hooks"), hook)["id"]);
    let path = format!("{scope}/hooks/{id}");
    let header = format!("{path}/custom_headers/X-More");
    server.call("PUT", &header, r#"{"value":"canary-more"}"#);
    server.call("PUT", &path, r#"{"signing_token":"canary-wrong"}"#);

    id
}

/// Waits until all hooks got the event, and returns the id of the delivery to a hook.
fn wait_for_deliveries(server: &Server, event: &str, hook: i64) -> String {
    let mut delivery = String::new();
    eventually("all hooks got the event", || {
        let view = server.get(&format!("/api/v1/events/{event}"));
        let deliveries = view["deliveries"].as_array().cloned().unwrap_or_default();
        let mut to_hook = deliveries.iter().filter(|one| one["hook_id"] == hook);
        let id = to_hook.next().and_then(|one| one["id"].as_str());
        delivery = id.unwrap_or_default().to_owned();

        deliveries.len() >= 3 && deliveries.iter().all(|one| one["state"] == "delivered")
    });

    delivery
}

/// Creates an inspector with secrets that keeps a request with them. Returns their ids.
fn make_inspector(server: &Server) -> (String, String) {
    let body = json!({ "secret": "canary-inspector", "signing_token": SIGNING });
    let inspector = post(server, "/api/v1/inspectors", &body);
    let id = inspector["id"].as_str().expect("an id").to_owned();

    let headers = [("X-Gitlab-Token", "canary-inspector"), ("Cookie", "a=canary-cookie")];
    send(server.port, "POST", &format!("/i/{id}"), &headers, b"{}")
        .expect("an answer")
        .check(200);

    let kept = server.get(&format!("/api/v1/inspectors/{id}/requests"));
    let request = kept["items"][0]["id"].as_str().expect("an id").to_owned();
    (id, request)
}

/// Creates a group with a project, a hook with secrets at each level, tokens, and a delivered event. The token of the
/// project's bot is the first secret that is added, and that of the group's bot the second.
pub(crate) fn furnish(server: &Server, sink: &Sink, name: &str, secrets: &mut Vec<String>) -> Objects {
    let group = number(&post(server, "/api/v4/groups", &json!({ "name": name, "path": name }))["id"]);
    let project = json!({ "name": "p", "namespace_id": group });
    let project = number(&post(server, "/api/v4/projects", &project)["id"]);

    let scopes = [
        format!("/api/v4/projects/{project}"),
        format!("/api/v4/groups/{group}"),
        "/api/v4".to_owned(),
    ];

    let tokens = [&scopes[0], &scopes[1]].map(|scope| {
        let token = json!({ "name": "t", "scopes": ["api"] });
        let made = post(server, &format!("{scope}/access_tokens"), &token);
        secrets.push(made["token"].as_str().expect("shown once").to_owned());

        number(&made["id"])
    });

    let hook = hook_with_secrets(sink, name, secrets);
    let hooks = scopes.each_ref().map(|scope| make_hook(server, scope, &hook));

    let report = json!({ "trigger": "push_hooks", "payload": { "object_kind": "push", "ref": "refs/heads/main" } });
    let event = post(server, &format!("/api/v1/projects/{project}/events"), &report);
    let event = event["id"].as_str().expect("an id").to_owned();
    let delivery = wait_for_deliveries(server, &event, hooks[0]);

    let attempts = [0, 1].map(|at| {
        let log = server.get(&format!("{}/hooks/{}/events", scopes[at], hooks[at]));
        number(&log[0]["id"])
    });

    let rule = notification(&project.to_string());
    let notification = number(&post(server, "/api/v1/notifications", &rule)["id"]);
    let (inspector, inspected) = make_inspector(server);

    Objects {
        project,
        group,
        hooks,
        tokens,
        attempts,
        event,
        delivery,
        notification,
        inspector,
        inspected,
    }
}
