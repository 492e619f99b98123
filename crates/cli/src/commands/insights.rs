//! `quickdraw insights`: proves what is counted, and counts it anew. The server does it; this follows.

use std::time::Duration;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use quickdraw_insights::{DEFINITION_VERSION, metrics};
use serde_json::{Value, json};

use super::{plain, say};
use crate::client;

const LOOK_EVERY: Duration = Duration::from_millis(300);
/// Differences that are printed.
const SHOWN: usize = 50;

#[derive(Subcommand)]
pub(crate) enum Insights {
    /// Count the whole journal in a random order and with repetitions, and compare that with what is counted: the two must be
    /// alike. Nothing is changed.
    Verify {
        /// The order: another number, another order. By default a new one each time.
        #[arg(long)]
        seed: Option<i64>,
        #[command(flatten)]
        server: client::Server,
    },
    /// Count the whole journal anew by the definitions of this version, show what differs, and put it in place of what is
    /// counted.
    Rebuild {
        /// Only show what would differ.
        #[arg(long)]
        dry_run: bool,
        /// Count the journal on top of what is counted instead: for what an older version did not know, and where retention has
        /// deleted events that are counted.
        #[arg(long, conflicts_with = "dry_run")]
        add: bool,
        /// Put it in place also where something that is counted would be gone.
        #[arg(long, conflicts_with_all = ["dry_run", "add"])]
        force: bool,
        #[command(flatten)]
        server: client::Server,
    },
    /// Print every insight with its unit, definition and source, as Markdown.
    Definitions,
}

/// The options that both have.
#[derive(Args)]
pub(crate) struct Command {
    #[command(subcommand)]
    what: Insights,
}

pub(crate) async fn run(command: Command) -> anyhow::Result<()> {
    let (server, asked) = match command.what {
        Insights::Verify { seed, server } => {
            let seed = seed.unwrap_or_else(|| jiff::Timestamp::now().as_millisecond());
            say(format!("order {seed}"));
            (server, json!({ "task": "verify", "seed": seed }))
        }
        Insights::Rebuild { server, dry_run, add, force } => {
            let task = match (dry_run, add) {
                (true, _) => "compare",
                (_, true) => "add",
                _ => "replace",
            };
            (server, json!({ "task": task, "force": force }))
        }
        Insights::Definitions => {
            say(definitions());
            return Ok(());
        }
    };
    let token = server.token()?;
    let begun = client::ask(&server.url, &token, "insights/rebuild", Some(&asked)).await?;
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} events, {eta} left")?);
    let ended = loop {
        let progress = client::ask(&server.url, &token, "insights/rebuild", None).await?;
        bar.set_length(progress["total"].as_u64().unwrap_or_default());
        bar.set_position(progress["done"].as_u64().unwrap_or_default());
        anyhow::ensure!(
            progress["started_at"] == begun["started_at"],
            "another node answered, or the server was started anew: each tells of its own work only; name one node with --url"
        );
        if progress["state"] != "running" {
            break progress;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    };
    bar.finish_and_clear();
    anyhow::ensure!(ended["state"] == "ended", "{}", plain(ended["error"].as_str().unwrap_or("it failed")));
    tell(&ended);
    let is_proof = ended["task"] == "verify";
    anyhow::ensure!(
        !is_proof || ended["alike"] == true,
        "what is counted is not what the journal gives: count it anew with `quickdraw insights rebuild`, or, where retention has \
         deleted events, with --add; if they still differ, please report it"
    );
    Ok(())
}

/// The metrics that the table defines.
fn definitions() -> String {
    let row = |metric: &metrics::Metric| {
        let help = metric.help.replace('|', "\\|");
        format!("| `{}` | {} | {help} | {} |", metric.name, metric.kind.unit(), metric.follows)
    };
    let rows: Vec<String> = metrics::all().map(row).collect();
    format!(
        "# Insights by name\n\nMade by `quickdraw insights definitions`; definitions have version {DEFINITION_VERSION}. How to ask for them: \
         [the guide](../guide/insights.md).\n\n| name | in | meaning | follows |\n| --- | --- | --- | --- |\n{}",
        rows.join("\n")
    )
}

fn tell(ended: &Value) {
    let number = |name: &str| ended[name].as_u64().unwrap_or_default();
    let begins = ended["journal_begins"].as_str().unwrap_or("no time");
    say(format!("{} events since {begins}, {} of them cannot be read", number("done"), number("unreadable")));
    if number("repeated") > 0 {
        say(format!("{} repetitions of them were counted too", number("repeated")));
    }
    if ended["task"] == "add" {
        say("they are counted once more on top of what is counted; quickdraw_projection_pending shows how many wait");
        return;
    }
    for (part, rows) in ended["rows"].as_object().into_iter().flatten() {
        say(format!("  {rows:>9}  {}", plain(part)));
    }
    if ended["alike"] == true {
        say("alike: order and repetition do not matter");
        return;
    }
    say(format!("{} parts of days differ:", number("differing")));
    for one in ended["differences"].as_array().into_iter().flatten().take(SHOWN) {
        let (part, day) = (one["part"].as_str().unwrap_or_default(), one["day"].as_str().unwrap_or_default());
        say(format!("  {day}  {:<24} {} counted, {} anew", plain(part), one["counted"], one["anew"]));
    }
    if ended["task"] == "replace" {
        say("what is counted anew is in its place now");
    }
}
