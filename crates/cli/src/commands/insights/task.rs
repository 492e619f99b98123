//! A task of the server that counts the journal again: starts it, shows its progress, and prints the result.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::client;
use crate::commands::{plain, say};
use crate::output::{self, Output};

const LOOK_EVERY: Duration = Duration::from_millis(300);
/// Most differences that are printed.
const SHOWN: usize = 50;

pub(super) async fn run(server: &client::Server, output: Output, task: &Value) -> anyhow::Result<()> {
    let (url, token) = (server.url()?, server.token()?);
    let begun = client::ask(&url, &token, "insights/rebuild", Some(task)).await?;
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} events, {eta} left")?);

    let ended = loop {
        let progress = client::ask(&url, &token, "insights/rebuild", None).await?;
        bar.set_length(progress["total"].as_u64().unwrap_or_default());
        bar.set_position(progress["done"].as_u64().unwrap_or_default());

        anyhow::ensure!(
            progress["started_at"] == begun["started_at"],
            "another node answered, or the server was restarted: give the URL of one node with --server, because a node \
             reports only its own work"
        );

        if progress["state"] != "running" {
            break progress;
        }

        tokio::time::sleep(LOOK_EVERY).await;
    };

    bar.finish_and_clear();
    anyhow::ensure!(
        ended["state"] == "ended",
        "{}",
        plain(ended["error"].as_str().unwrap_or("the task failed"))
    );

    if output.json {
        output::json(&ended);
    } else {
        show(&ended);
    }

    let is_proof = ended["task"] == "verify";
    anyhow::ensure!(
        !is_proof || ended["is_identical"] == true,
        "the stored insights differ from the journal: run `quickdraw insights rebuild`, with --add if retention has \
         deleted events; if they still differ, please report it"
    );

    Ok(())
}

fn show(ended: &Value) {
    let number = |name: &str| ended[name].as_u64().unwrap_or_default();
    let begins = ended["journal_starts"].as_str().unwrap_or("the beginning");

    say(format!(
        "events since {begins}: {}, unreadable: {}",
        number("done"),
        number("unreadable")
    ));

    if number("repeated") > 0 {
        say(format!("repetitions that were counted too: {}", number("repeated")));
    }

    if ended["task"] == "add" {
        say("the events are added to the stored data; the metric quickdraw_projection_pending shows how many wait");
        return;
    }

    for (part, rows) in ended["rows"].as_object().into_iter().flatten() {
        say(format!("  {rows:>9}  {}", plain(part)));
    }

    if ended["is_identical"] == true {
        say("equal: order and repetition make no difference");
        return;
    }

    say(format!("differences, by day and part: {}", number("difference_count")));

    for one in ended["differences"].as_array().into_iter().flatten().take(SHOWN) {
        let (part, day) = (
            one["part"].as_str().unwrap_or_default(),
            one["day"].as_str().unwrap_or_default(),
        );

        say(format!(
            "  {day}  {:<24} {} stored, {} counted again",
            plain(part),
            one["stored"],
            one["rebuilt"]
        ));
    }

    if ended["task"] == "replace" {
        say("the stored data was replaced");
    }
}
