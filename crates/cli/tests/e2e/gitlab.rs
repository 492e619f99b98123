//! Requests as GitLab sends them to a source, and receivers of the events that are relayed.

use serde_json::{Value, json};

use crate::http::{Reply, Sink, send};
use crate::server::{SECRET, Server};

pub(crate) const DEFAULT: &str = "/api/v1/webhooks/gitlab";
pub(crate) const GITLAB: &str = "https://gitlab.example.com";
pub(crate) const OTHER: &str = "https://two.example";
pub(crate) const SIGNING: &str = "whsec_c2lnbmluZy1rZXktb2YtdGhpcnR5LXR3by1ieXRlcyE=";

/// The webhook of a GitLab. A header without a value is not sent.
pub(crate) struct Sender<'a> {
    pub(crate) at: &'a str,
    pub(crate) secret: &'a str,
    pub(crate) instance: &'a str,
    pub(crate) chain: &'a str,
}

/// The webhook of `GITLAB` for the default source.
pub(crate) const SENDER: Sender<'static> = Sender {
    at: DEFAULT,
    secret: SECRET,
    instance: GITLAB,
    chain: "",
};

impl Sender<'_> {
    pub(crate) fn try_post(&self, port: u16, event: &str, key: &str, body: &[u8]) -> std::io::Result<Reply> {
        let mut headers = vec![
            ("X-Gitlab-Token", self.secret),
            ("X-Gitlab-Event", event),
            ("X-Gitlab-Instance", self.instance),
            ("X-Gitlab-Event-UUID", self.chain),
            ("Idempotency-Key", key),
        ];
        headers.retain(|(_, value)| !value.is_empty());

        send(port, "POST", self.at, &headers, body)
    }

    pub(crate) fn post(&self, server: &Server, event: &str, key: &str, body: impl AsRef<[u8]>) -> Reply {
        self.try_post(server.port, event, key, body.as_ref())
            .expect("an answer")
    }

    /// Posts an event that is accepted, and returns its id.
    #[track_caller]
    pub(crate) fn accepted(&self, server: &Server, event: &str, key: &str, body: impl AsRef<[u8]>) -> String {
        let reply = self.post(server, event, key, body).check(200).json();
        assert_eq!(reply["status"], "accepted");

        reply["job_id"].as_str().expect("an id").to_owned()
    }
}

/// A push of project 77 of GitLab, which Quickdraw does not know yet.
pub(crate) fn push_of(number: u64) -> String {
    format!(
        r#"{{"object_kind": "push", "event_name":"push",  "ref":"refs/heads/main","number":{number},"user_username":"ida",
          "user_name":"Ida","project_id":77,"project":{{"id":77,"name":"Rope \u00e9","namespace":"Gear Ltd",
          "path_with_namespace":"gear/soft/rope","default_branch":"main","visibility_level":10}},"commits":[]}}"#
    )
}

/// Creates a hook at a path of the API, with a receiver that answers 200.
#[track_caller]
pub(crate) fn receiver(server: &Server, hooks: &str, settings: &Value) -> Sink {
    let sink = Sink::start(|_| Some(200));
    let mut body = json!({ "url": sink.url(), "push_events": true });
    for (name, value) in settings.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }

    server.create(&format!("/api/v4/{hooks}"), &body);
    sink
}
