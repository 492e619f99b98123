//! Checks the stored insights.

use clap::Args;
use serde_json::json;

use super::task;
use crate::client;
use crate::commands::say;

#[derive(Args)]
pub(crate) struct Verify {
    /// Seed of the order. Random by default.
    #[arg(long)]
    seed: Option<i64>,
    #[command(flatten)]
    server: client::Server,
}

pub(super) async fn run(Verify { seed, server }: Verify) -> anyhow::Result<()> {
    let seed = seed.unwrap_or_else(|| jiff::Timestamp::now().as_millisecond());
    say(format!("seed: {seed}"));

    task::run(&server, &json!({ "task": "verify", "seed": seed })).await
}
