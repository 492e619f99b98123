//! The scenery of the demo besides its events: people, teams, webhooks that work or fail, and a source that refuses
//! requests. Everything is created over the API of the running server, as users would.

use std::time::Duration;

use anyhow::Context;
use quickdraw_domain::signature::SigningToken;
use quickdraw_egress::Method;
use serde_json::{Value, json};

use super::history::roster;
use super::tour::Places;
use crate::client;
use crate::system::random;

/// The longest wait for the server, for its answers and for the first failures.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);

const HOOKS: &str = "/api/v4/projects/gear%2Frope/hooks";
/// Names and paths of the webhooks. A receiver that answers 503 pauses its webhook, and one that answers 404 disables
/// it.
const RECEIVERS: [(&str, &str); 3] = [("Chat", "/chat"), ("Build server", "/builds"), ("Old wiki", "/wiki")];

const SOURCE: &str = "Staging";
/// Requests that the source refuses: the headers with the credentials of each.
const REFUSED: [&[(&str, &str)]; 3] = [
    &[],
    &[("X-Gitlab-Token", "a-token-from-another-source")],
    &[
        ("webhook-id", "8f4b2a52-7a5b-4c0e-9a0c-6ab7d9a2f001"),
        ("webhook-timestamp", "1767225600"),
        ("webhook-signature", "v1,MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="),
    ],
];

/// Waits until the server answers.
pub(super) async fn wait_until_ready(base: &str) -> anyhow::Result<()> {
    let url = format!("{base}/api/v1/ready");
    let ready = async {
        loop {
            let asked = client::call(Method::GET, &url, &[], Vec::new(), PATIENCE).await;
            if asked.is_ok_and(|answer| answer.status == 200) {
                return;
            }

            tokio::time::sleep(PAUSE).await;
        }
    };

    tokio::time::timeout(PATIENCE, ready)
        .await
        .context("the server is not ready")
}

/// The API of the demo's server.
pub(super) struct Scenery {
    base: String,
    token: String,
}

impl Scenery {
    pub(super) fn new(base: &str, token: &str) -> Self {
        Self {
            base: base.to_owned(),
            token: token.to_owned(),
        }
    }

    /// Calls a path and returns status and JSON.
    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<(u16, Value)> {
        let url = format!("{}{path}", self.base);
        let headers = [
            ("Content-Type".into(), "application/json".to_owned()),
            ("PRIVATE-TOKEN".into(), self.token.clone()),
        ];

        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let answer = client::call(method, &url, &headers, body, PATIENCE).await?;
        let json = serde_json::from_slice(&answer.body).unwrap_or_default();

        Ok((answer.status, json))
    }

    /// Calls a path that must succeed.
    async fn succeed(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let (status, json) = self.call(method, path, body).await?;
        anyhow::ensure!((200..300).contains(&status), "{path} answered {status}: {json}");
        Ok(json)
    }

    /// Creates everything that is missing. Returns true if webhooks were created.
    pub(super) async fn build(&self, receivers_at: &str) -> anyhow::Result<bool> {
        self.create_project().await?;

        let is_new = self.create_hooks(receivers_at).await?;

        if is_new {
            let people = json!({ "text": roster() });
            self.succeed(Method::POST, "/api/v1/insights/identities/csv", Some(people))
                .await?;
            self.create_source().await?;
        }

        Ok(is_new)
    }

    async fn create_project(&self) -> anyhow::Result<()> {
        let (status, _) = self.call(Method::GET, "/api/v4/projects/gear%2Frope", None).await?;
        if status == 200 {
            return Ok(());
        }

        let group = json!({ "name": "Gear", "path": "gear" });
        let group = self.succeed(Method::POST, "/api/v4/groups", Some(group)).await?;
        let project = json!({ "name": "Rope", "path": "rope", "namespace_id": group["id"] });
        self.succeed(Method::POST, "/api/v4/projects", Some(project)).await?;

        Ok(())
    }

    /// Creates the webhooks, or gives those of an earlier demo the addresses of today's receivers.
    async fn create_hooks(&self, receivers_at: &str) -> anyhow::Result<bool> {
        let hooks = self.succeed(Method::GET, HOOKS, None).await?;
        let mut is_new = false;

        for (name, path) in RECEIVERS {
            let url = format!("{receivers_at}{path}");

            match named(&hooks, name) {
                Some(hook) if hook["url"] == url.as_str() => {}
                Some(hook) => {
                    let at = format!("{HOOKS}/{}", hook["id"]);
                    self.succeed(Method::PUT, &at, Some(json!({ "url": url }))).await?;
                }
                None => {
                    let hook = json!({ "url": url, "name": name, "push_events": true, "merge_requests_events": true,
                        "note_events": true, "pipeline_events": true, "deployment_events": true });
                    self.succeed(Method::POST, HOOKS, Some(hook)).await?;
                    is_new = true;
                }
            }
        }

        Ok(is_new)
    }

    /// Creates a source and posts requests that it refuses.
    async fn create_source(&self) -> anyhow::Result<()> {
        let secret = SigningToken::from_key(&random::<32>()?).to_text();
        let source = json!({ "name": SOURCE, "secret": secret.expose() });
        let made = self.succeed(Method::POST, "/api/v1/sources", Some(source)).await?;

        let url = format!(
            "{}/api/v1/webhooks/gitlab/{}",
            self.base,
            made["id"].as_str().unwrap_or_default()
        );

        for credentials in REFUSED {
            let mut headers = vec![
                ("Content-Type".into(), "application/json".to_owned()),
                ("X-Gitlab-Event".into(), "Push Hook".to_owned()),
            ];

            headers.extend(
                credentials
                    .iter()
                    .map(|(name, value)| ((*name).into(), (*value).to_owned())),
            );

            client::post(&url, &headers, br#"{"object_kind":"push"}"#.to_vec(), PATIENCE).await?;
        }

        Ok(())
    }

    /// The objects that the tour shows.
    pub(super) async fn places(&self) -> anyhow::Result<Places> {
        let sources = self.succeed(Method::GET, "/api/v1/sources", None).await?;
        let source = named(&sources["items"], SOURCE).and_then(|source| source["id"].as_str());

        let hooks = self.succeed(Method::GET, HOOKS, None).await?;
        let hook = named(&hooks, RECEIVERS[1].0).context("the webhook of the demo is missing")?;

        Ok(Places {
            source: source.unwrap_or("default").to_owned(),
            failing_hook: hook["id"].to_string(),
        })
    }

    /// Waits until one webhook is paused and one is disabled.
    pub(super) async fn wait_until_hooks_fail(&self) -> anyhow::Result<()> {
        let failing = async {
            loop {
                let hooks = self.succeed(Method::GET, HOOKS, None).await?;
                let has = |status: &str| {
                    let mut hooks = hooks.as_array().into_iter().flatten();
                    hooks.any(|hook| hook["alert_status"] == status)
                };

                if has("temporarily_disabled") && has("disabled") {
                    return anyhow::Ok(());
                }

                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(PATIENCE, failing)
            .await
            .context("the webhooks of the demo do not fail")?
    }
}

/// The object of a list with this name.
fn named<'a>(list: &'a Value, name: &str) -> Option<&'a Value> {
    list.as_array()?.iter().find(|one| one["name"] == name)
}
