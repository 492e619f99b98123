//! Creates, changes and deletes webhooks.

use std::path::PathBuf;

use clap::Args;
use quickdraw_egress::Method;
use serde_json::{Map, Value, json};

use super::path_of;
use crate::api::{Api, attributes};
use crate::client::{self, Misused, Server};
use crate::commands::attributes::{Attributes, some};
use crate::commands::place::Level;
use crate::commands::silent;
use crate::output::Output;

#[derive(Args)]
struct Settings {
    /// Display name.
    #[arg(long)]
    name: Option<String>,

    /// Trigger to enable, such as push_events or merge_requests_events; may be repeated.
    #[arg(long = "trigger", value_name = "TRIGGER")]
    triggers: Vec<String>,

    /// Enable every trigger that this level has, now and in later versions.
    #[arg(long)]
    all_events: bool,

    /// Only pushes to branches that match this pattern.
    #[arg(long, value_name = "PATTERN")]
    branch_filter: Option<String>,

    /// File with the secret token, which requests carry in X-Gitlab-Token; - reads standard input.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,

    /// File with the signing token (whsec_…), with which requests are signed; - reads standard input.
    #[arg(long, value_name = "FILE")]
    signing_token_file: Option<PathBuf>,

    /// Call the receiver without verifying its certificate.
    #[arg(long)]
    no_ssl_verification: bool,

    #[command(flatten)]
    others: Attributes,
}

/// The options for the URL of a webhook.
#[derive(Args)]
struct Address {
    /// URL that the webhook calls. A URL with a password, or with another secret, belongs into --url-file.
    #[arg(long)]
    url: Option<String>,

    /// File with the URL that the webhook calls; - reads standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    url_file: Option<PathBuf>,
}

impl Address {
    fn url(&self) -> anyhow::Result<Option<String>> {
        if let Some(file) = &self.url_file {
            return client::secret_in(file).map(Some);
        }

        let Some(url) = &self.url else { return Ok(None) };
        client::refuse_password("--url", url, "put the URL into a file and give --url-file FILE")?;
        Ok(Some(url.clone()))
    }
}

impl Settings {
    fn body(&self, url: Option<String>) -> anyhow::Result<Map<String, Value>> {
        let secret = self.secret_file.as_deref().map(client::secret_in).transpose()?;
        let signing = self.signing_token_file.as_deref().map(client::secret_in).transpose()?;
        let pattern = self.branch_filter.as_ref();

        let mut body = attributes([
            ("url", url.map(|url| json!(url))),
            ("name", self.name.as_ref().map(|name| json!(name))),
            ("token", secret.map(|secret| json!(secret))),
            ("signing_token", signing.map(|token| json!(token))),
            ("all_events", self.all_events.then_some(json!(true))),
            ("push_events_branch_filter", pattern.map(|pattern| json!(pattern))),
            ("branch_filter_strategy", pattern.map(|_| json!("wildcard"))),
            (
                "enable_ssl_verification",
                self.no_ssl_verification.then_some(json!(false)),
            ),
        ]);

        for trigger in &self.triggers {
            // Names of kinds of events end in `_hooks`, those of attributes in `_events`.
            if !trigger.ends_with("_events") {
                let why = format!("--trigger {trigger}: triggers end in _events, such as push_events");
                return Err(Misused(why).into());
            }

            body.insert(trigger.clone(), json!(true));
        }

        self.others.add_to(&mut body)?;
        Ok(body)
    }
}

#[derive(Args)]
pub(crate) struct Create {
    #[command(flatten)]
    level: Level,

    #[command(flatten)]
    address: Address,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn create(command: Create) -> anyhow::Result<()> {
    let api = Api::new(&command.server)?;
    let url = command.address.url()?;
    let url = url.ok_or_else(|| Misused("give the URL of the webhook with --url URL or --url-file FILE".to_owned()))?;
    let mut body = command.settings.body(Some(url))?;

    // GitLab enables pushes by default. Triggers that are named here are all that is wanted.
    if !command.settings.triggers.is_empty() && !body.contains_key("push_events") {
        body.insert("push_events".to_owned(), json!(false));
    }

    let hook = api.send(Method::POST, &command.level.hooks(), body.into()).await?;
    // The answer has the URL without its credentials.
    let url = hook["url"].as_str().unwrap_or_default();
    let sentence = format!("created webhook {} for {url}", hook["id"]);
    command.output.done(&hook, sentence);

    silent::warn(&command.server).await
}

#[derive(Args)]
pub(crate) struct Edit {
    /// Number of the webhook.
    id: i64,
    #[command(flatten)]
    level: Level,

    #[command(flatten)]
    address: Address,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn edit(command: Edit) -> anyhow::Result<()> {
    let body = some(command.settings.body(command.address.url()?)?)?;
    let api = Api::new(&command.server)?;

    let path = path_of(&command.level, command.id);
    let hook = api.send(Method::PUT, &path, body).await?;
    command.output.done(&hook, format!("changed webhook {}", command.id));

    Ok(())
}

#[derive(Args)]
pub(crate) struct Delete {
    /// Number of the webhook.
    id: i64,
    #[command(flatten)]
    level: Level,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn delete(command: Delete) -> anyhow::Result<()> {
    let api = Api::new(&command.server)?;
    let path = path_of(&command.level, command.id);
    let answer = api.send(Method::DELETE, &path, json!({})).await?;
    command.output.done(&answer, format!("deleted webhook {}", command.id));

    Ok(())
}
