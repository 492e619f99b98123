//! `quickdraw emit`: reports an event from the shell.

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde_json::value::RawValue;

use super::say;
use crate::client;

#[derive(Args)]
pub(crate) struct Emit {
    /// What happened, such as push_hooks or merge_request_hooks.
    trigger: String,
    /// Where: full path or number of the project.
    #[arg(long)]
    project: String,
    /// File with the complete body; - or nothing reads standard input.
    #[arg(long)]
    payload: Option<PathBuf>,
    #[command(flatten)]
    server: client::Server,
}

pub(crate) async fn run(command: Emit) -> anyhow::Result<()> {
    let mut body = String::new();
    match command.payload.filter(|path| path.as_os_str() != "-") {
        Some(path) => {
            body = std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        }
        None => drop(std::io::stdin().read_to_string(&mut body)?),
    }
    let payload = RawValue::from_string(body).context("the body is not JSON")?;
    let token = command.server.token()?;
    let report = serde_json::json!({ "trigger": command.trigger, "payload": payload });
    let key = uuid::Uuid::new_v4().to_string();
    let id =
        client::report(&command.server.url, &token, &command.project, &report, &key, Duration::from_secs(30)).await?;
    say(id);
    Ok(())
}
