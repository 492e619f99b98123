//! `quickdraw sources`: manages the sources of a server.

mod add;
mod change;
mod list;
mod remove;
mod requests;
mod secret;
mod settings;
mod show;

use clap::Subcommand;
use quickdraw_egress::Method;
use serde_json::Value;

use super::{encoded, say};
use crate::api::Api;
use crate::client;
use crate::commands::with::With;
use crate::output::{self, Column, Output, column};

#[derive(Subcommand)]
pub(crate) enum Sources {
    /// List the sources of the server.
    List(list::List),

    /// Show a source; with --secret, also its secret.
    Show(show::Show),

    /// Create a source.
    ///
    /// A secret is generated and printed once, unless --secret-file is given. For the modes signature and both, the
    /// generated secret is a signing token (whsec_…).
    Add(add::Add),

    /// Change settings of a source.
    Change(change::Change),

    /// Replace the secret of a source.
    ///
    /// A secret is generated and printed once, unless --secret-file is given.
    Secret(secret::Secret),

    /// List the last 100 requests, including refused ones with the reason.
    Requests(requests::Requests),

    /// Delete a source.
    ///
    /// Its events are kept.
    Remove(remove::Remove),
}

pub(crate) async fn run(command: Sources) -> anyhow::Result<()> {
    match command {
        Sources::List(command) => list::run(command).await,
        Sources::Show(command) => show::run(command).await,
        Sources::Add(command) => add::run(command).await,
        Sources::Change(command) => change::run(command).await,
        Sources::Secret(command) => secret::run(command).await,
        Sources::Requests(command) => requests::run(command).await,
        Sources::Remove(command) => remove::run(command).await,
    }
}

const COLUMNS: [Column; 6] = [
    column("ID", &["/id"]),
    column("NAME", &["/name"]),
    column("MODE", &["/mode"]),
    column("STRANGERS PER MINUTE", &["/rate_limit"]),
    column("SENDERS PER MINUTE", &["/sender_rate_limit"]),
    column("GITLAB", &["/instance"]),
];

impl With {
    async fn send(&self, method: Method, path: &str, body: Value) -> anyhow::Result<Value> {
        Api::new(&self.server)?.send(method, path, body).await
    }
}

fn path_of(id: &str) -> String {
    format!("v1/sources/{}", encoded(id))
}

fn word<'a>(of: &'a Value, name: &str) -> &'a str {
    of[name].as_str().unwrap_or_default()
}

fn show(output: Output, source: &Value) {
    if output.json {
        return output::json(source);
    }

    say(format!("{} ({})", word(source, "id"), word(source, "name")));
    say(format!("  URL: {}", word(source, "url")));
    if client::is_local(word(source, "url")) {
        say("  warning: this URL works on the machine of the server only; for others, set server.external_url");
    }

    if let Some(secret) = source["secret"].as_str() {
        let fields = match word(source, "mode") {
            "signature" => "Signing token (GitLab 19.0 and later; older versions do not sign)",
            "both" => "both Secret token and Signing token (GitLab 19.0 and later)",
            _ => "Secret token",
        };
        say(format!(
            "  in GitLab's webhook, paste this URL into URL, and the secret below into {fields}"
        ));
        say(format!("  secret, shown only once: {secret}"));
    }
}
