//! `quickdraw source`: manages the sources of a server.

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

use super::say;
use crate::client;

#[derive(Subcommand)]
pub(crate) enum Source {
    /// List the sources of the server.
    List(list::List),

    /// Show a source; with --secret, also its secret.
    Show(show::Show),

    /// Create a source.
    ///
    /// A secret is generated and printed once, unless --secret is given. For the modes signature and both, the
    /// generated secret is a signing token (whsec_…).
    Add(add::Add),

    /// Change settings of a source.
    Change(change::Change),

    /// Replace the secret of a source.
    ///
    /// A secret is generated and printed once, unless --secret is given.
    Secret(secret::Secret),

    /// List the last 100 requests, including refused ones with the reason.
    Requests(requests::Requests),

    /// Delete a source.
    ///
    /// Its events are kept.
    Remove(remove::Remove),
}

pub(crate) async fn run(command: Source) -> anyhow::Result<()> {
    match command {
        Source::List(command) => list::run(command).await,
        Source::Show(command) => show::run(command).await,
        Source::Add(command) => add::run(command).await,
        Source::Change(command) => change::run(command).await,
        Source::Secret(command) => secret::run(command).await,
        Source::Requests(command) => requests::run(command).await,
        Source::Remove(command) => remove::run(command).await,
    }
}

async fn ask(server: &client::Server, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
    client::ask_with(method, &server.url, &server.token()?, path, body.as_ref()).await
}

fn items(list: &Value) -> &[Value] {
    list["items"].as_array().map_or(&[], Vec::as_slice)
}

fn word<'a>(of: &'a Value, name: &str) -> &'a str {
    of[name].as_str().unwrap_or_default()
}

fn show(source: &Value) {
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
