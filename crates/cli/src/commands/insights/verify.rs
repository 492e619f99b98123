//! Checks the stored insights.

use clap::Args;
use serde_json::json;

use super::task;
use crate::client;
use crate::commands::say;
use crate::output::Output;

#[derive(Args)]
pub(crate) struct Verify {
    /// Seed of the order. Random by default.
    #[arg(long)]
    seed: Option<i64>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: client::Server,
}

pub(super) async fn run(command: Verify) -> anyhow::Result<()> {
    let seed = command.seed.unwrap_or_else(|| jiff::Timestamp::now().as_millisecond());
    if !command.output.json {
        say(format!("seed: {seed}"));
    }

    let asked = json!({ "task": "verify", "seed": seed });
    task::run(&command.server, command.output, &asked).await
}
