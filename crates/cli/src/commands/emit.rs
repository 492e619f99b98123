//! `quickdraw emit`: reports an event from the shell.

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{say, silent};
use crate::client;
use crate::output::{self, Output};

#[derive(Args)]
pub(crate) struct Emit {
    /// Kind of the event, such as push_hooks or merge_request_hooks.
    trigger: String,

    /// Full path or number of the project in which the event happened.
    #[arg(long)]
    project: Option<String>,

    /// Full path or number of the group in which the event happened. Without --project and --group, it is an event of
    /// the instance.
    #[arg(long, conflicts_with = "project")]
    group: Option<String>,

    /// File with the complete body; - reads standard input. Without --payload and --report, the body is also read from
    /// standard input.
    #[arg(long)]
    payload: Option<PathBuf>,

    /// File from which the server composes the body: a JSON object with object, user, previous and operation, as in the
    /// API. - reads standard input.
    #[arg(long, conflicts_with = "payload")]
    report: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: client::Server,
}

pub(crate) async fn run(command: Emit) -> anyhow::Result<()> {
    let report = match command.report {
        Some(path) => {
            let mut report: Value = serde_json::from_str(&text(Some(path))?).context("the report is not JSON")?;
            let fields = report
                .as_object_mut()
                .context("the report is not a JSON object with the field \"object\"")?;
            fields.insert("trigger".to_owned(), command.trigger.into());

            serde_json::value::to_raw_value(&report)?
        }

        None => {
            let payload = RawValue::from_string(text(command.payload)?).context("the body is not JSON")?;
            serde_json::value::to_raw_value(&serde_json::json!({ "trigger": command.trigger, "payload": payload }))?
        }
    };

    let token = command.server.token()?;
    let url = &command.server.url()?;

    let place = match (command.project, command.group) {
        (Some(project), _) => client::place_url(url, "projects/", &project),
        (None, Some(group)) => client::place_url(url, "groups/", &group),
        (None, None) => client::place_url(url, "", ""),
    };

    let key = uuid::Uuid::new_v4().to_string();
    let answer = client::report_at(
        place.trim_end_matches('/'),
        &token,
        &report,
        &key,
        Duration::from_secs(30),
    )
    .await?;
    if command.output.json {
        output::json(&answer);
        return silent::warn(&command.server).await;
    }

    // The server returns an operation if it waits for further saves before it creates the event.
    say(answer["id"]
        .as_str()
        .or_else(|| answer["operation"].as_str())
        .unwrap_or_default());

    silent::warn(&command.server).await
}

fn text(file: Option<PathBuf>) -> anyhow::Result<String> {
    let mut text = String::new();
    match file.filter(|path| path.as_os_str() != "-") {
        Some(path) => {
            text = std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        }
        None => drop(std::io::stdin().read_to_string(&mut text)?),
    }

    Ok(text)
}
