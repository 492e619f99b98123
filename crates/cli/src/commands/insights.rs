//! `quickdraw insights`: asks a server for metrics, and checks or rebuilds its stored insights.

mod ask;
mod definitions;
mod rebuild;
mod task;
mod verify;

use clap::{Args, Subcommand};

#[derive(Subcommand)]
pub(crate) enum Insights {
    /// List the metrics of the server with their meaning.
    Metrics(ask::Metrics),

    /// Show one metric of a window of days.
    Metric(ask::Metric),

    /// Query several metrics at once, split by interval and property.
    ///
    /// For example: quickdraw insights query time_to_merge deployments --group-by project --from 90d
    Query(ask::Rows),

    /// Check the stored insights.
    ///
    /// The server counts the whole journal again, in a random order and with repetitions, and compares the result with
    /// the stored data. Both must be equal. Nothing is changed.
    Verify(verify::Verify),

    /// Count the whole journal again and replace the stored insights.
    ///
    /// The server counts with the definitions of this version, and the command prints the differences.
    Rebuild(rebuild::Rebuild),

    /// Print the name, unit, definition and source of every metric, as Markdown.
    Definitions,
}

#[derive(Args)]
pub(crate) struct Command {
    #[command(subcommand)]
    what: Insights,
}

pub(crate) async fn run(command: Command) -> anyhow::Result<()> {
    match command.what {
        Insights::Metrics(command) => ask::metrics(command).await,
        Insights::Metric(command) => ask::metric(command).await,
        Insights::Query(command) => ask::query(command).await,
        Insights::Verify(command) => verify::run(command).await,
        Insights::Rebuild(command) => rebuild::run(command).await,
        Insights::Definitions => {
            definitions::run();
            Ok(())
        }
    }
}
