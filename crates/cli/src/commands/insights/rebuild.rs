//! Counts the journal again, to replace, extend or compare the stored insights.

use clap::Args;
use serde_json::json;

use super::task;
use crate::client;
use crate::output::Output;

#[derive(Args)]
pub(crate) struct Rebuild {
    /// Print the differences, but do not replace the stored data.
    #[arg(long)]
    dry_run: bool,

    /// Add the journal to the stored data instead of replacing it. Use this for data that an older version did not
    /// count, and if retention has deleted events that are counted.
    #[arg(long, conflicts_with = "dry_run")]
    add: bool,

    /// Replace the stored data even if some of it would be lost.
    #[arg(long, conflicts_with_all = ["dry_run", "add"])]
    force: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: client::Server,
}

pub(super) async fn run(command: Rebuild) -> anyhow::Result<()> {
    let task = match (command.dry_run, command.add) {
        (true, _) => "compare",
        (_, true) => "add",
        _ => "replace",
    };

    let asked = json!({ "task": task, "force": command.force });
    task::run(&command.server, command.output, &asked).await
}
