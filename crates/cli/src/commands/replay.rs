//! `quickdraw replay`: sends deliveries again. The server does it as a job, and the command shows its progress.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::{moment, silent};
use crate::client;
use crate::output::{Output, complain, plain};

const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Number of checks for results after the job has ended: for half a minute. Retries can take days, so the command does
/// not wait for all of them.
const LAST_LOOKS: usize = 60;

#[derive(Args)]
pub(crate) struct Replay {
    /// Only events that were received at this time or later: a time such as 2026-03-16T09:30:00Z, a day, or a duration
    /// such as 2h for two hours ago.
    #[arg(long, required_unless_present_any = ["follow", "pause", "resume", "cancel"])]
    since: Option<String>,

    /// Only events that were received before this time. Defaults to now.
    #[arg(long)]
    until: Option<String>,

    /// Only events of this kind, such as push_hooks.
    #[arg(long)]
    trigger: Option<String>,

    /// Only events of this project (full path or number).
    #[arg(long)]
    project: Option<String>,

    /// Only events of this group, its subgroups and projects (full path or number).
    #[arg(long, conflicts_with = "project")]
    group: Option<String>,

    /// Only deliveries to the hook with this id.
    #[arg(long)]
    hook: Option<i64>,

    /// Only deliveries in this state: delivered or given_up.
    #[arg(long)]
    state: Option<String>,

    /// Only deliveries whose last attempt had one of these results, separated by commas, such as 404,server_failure.
    #[arg(long)]
    status: Option<String>,

    /// Only events whose body contains exactly this text.
    #[arg(long)]
    text: Option<String>,

    /// Instead of sending deliveries again, deliver events that webhooks did not get for this reason: silent_mode or
    /// rate_limit.
    #[arg(long, conflicts_with_all = ["state", "status"])]
    skipped: Option<String>,

    /// Maximum number of deliveries to send again per second.
    #[arg(long, default_value_t = 50)]
    rate: i64,

    /// Only print the number of selected deliveries.
    #[arg(long)]
    dry_run: bool,

    /// Do not wait for the job; it continues on the server.
    #[arg(long)]
    detach: bool,

    /// Show the progress of the running replay with this id.
    #[arg(long, conflicts_with = "since")]
    follow: Option<i64>,

    /// Pause the replay with this id.
    #[arg(long, conflicts_with_all = ["since", "follow"])]
    pause: Option<i64>,

    /// Resume the paused replay with this id.
    #[arg(long, conflicts_with_all = ["since", "follow", "pause"])]
    resume: Option<i64>,

    /// Cancel the replay with this id.
    #[arg(long, conflicts_with_all = ["since", "follow", "pause", "resume"])]
    cancel: Option<i64>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: client::Server,
}

pub(crate) async fn run(command: Replay) -> anyhow::Result<()> {
    let (url, token) = (command.server.url()?, command.server.token()?);
    let ask = async |path: String, body: Option<Value>| client::ask(&url, &token, &path, body.as_ref()).await;

    for (id, action) in [
        (command.pause, "pause"),
        (command.resume, "resume"),
        (command.cancel, "cancel"),
    ] {
        if let Some(id) = id {
            let replay = ask(format!("replays/{id}/{action}"), Some(json!({}))).await?;
            let state = replay["state"].as_str().unwrap_or_default();
            command.output.done(&replay, format!("replay {id} is {state}"));

            return Ok(());
        }
    }

    let (id, matched) = match command.follow {
        Some(id) => (id, None),
        None => {
            let mut wanted = command.wanted()?;
            wanted["dry_run"] = json!(true);

            if !command.dry_run {
                command.check_silence(&url).await?;
            }

            let counted = ask("replays".to_owned(), Some(wanted.clone())).await?;
            let matched = counted["matched"].as_u64().unwrap_or_default();

            let more = if counted["complete"] == json!(true) {
                ""
            } else {
                " or more"
            };
            let is_over = command.dry_run || matched == 0;

            // The JSON of a replay that follows is the only document.
            if is_over || !command.output.json {
                let sentence = format!("matching deliveries: {matched}{more}");
                command.output.done(&counted, sentence);
            }

            if is_over {
                return Ok(());
            }

            wanted["dry_run"] = json!(false);

            let made = ask("replays".to_owned(), Some(wanted)).await?;
            let id = made["id"].as_i64().context("the server's answer has no id")?;
            (id, Some(matched).filter(|_| more.is_empty()))
        }
    };

    if command.detach {
        let replay = ask(format!("replays/{id}"), None).await?;
        let sentence = format!("replay {id} is running; follow it with --follow {id}");
        command.output.done(&replay, sentence);
        return Ok(());
    }

    let bar = match matched {
        Some(matched) => ProgressBar::new(matched).with_style(ProgressStyle::with_template(
            "{bar:40} {pos}/{len} rescheduled, {eta} left",
        )?),
        None => ProgressBar::new_spinner().with_style(ProgressStyle::with_template("{spinner} {pos} rescheduled")?),
    };

    loop {
        let replay = ask(format!("replays/{id}"), None).await?;
        bar.set_position(replay["replayed"].as_u64().unwrap_or_default());

        let state = replay["state"].as_str().unwrap_or_default();
        if state != "running" {
            bar.finish_and_clear();

            // Deliveries wait in silent mode, so their results would not come.
            let is_silent = !silent::warnings(&url).await.is_empty();
            let looks = if state == "finished" && !is_silent {
                LAST_LOOKS
            } else {
                1
            };
            let mut ended = Value::Null;

            for look in 0..looks {
                if look > 0 {
                    tokio::time::sleep(LOOK_EVERY).await;
                }

                ended = ask(format!("replays/{id}?results=true"), None).await?;
                if ended["results"]["pending"] == json!(0) {
                    break;
                }
            }

            let results = &ended["results"];
            let sentence = format!(
                "replay {id} is {state}; rescheduled: {}, then delivered: {}, failed for good: {}, still pending: {}",
                replay["replayed"], results["delivered"], results["given_up"], results["pending"]
            );
            command.output.done(&ended, sentence);

            return Ok(());
        }

        tokio::time::sleep(LOOK_EVERY).await;
    }
}

impl Replay {
    /// Refuses a replay of the events of silent mode while the mode is still on, because nothing would be delivered.
    /// Other replays get a warning.
    async fn check_silence(&self, url: &str) -> anyhow::Result<()> {
        let warnings = silent::warnings(url).await;
        let is_for_silence = self.skipped.as_deref() == Some("silent_mode");

        anyhow::ensure!(
            !is_for_silence || warnings.is_empty(),
            "{}; switch silent mode off first with quickdraw silent off",
            warnings.join("; ")
        );

        for warning in warnings {
            complain(format!(
                "warning: {}; the deliveries wait until it is off",
                plain(&warning)
            ));
        }

        Ok(())
    }

    fn wanted(&self) -> anyhow::Result<Value> {
        let mut wanted = json!({ "rate": self.rate });
        let since = self.since.as_deref().context("give --since")?;
        wanted["since"] = json!(moment(since)?);

        if let Some(until) = &self.until {
            wanted["until"] = json!(moment(until)?);
        }

        let texts = [
            ("trigger", &self.trigger),
            ("project", &self.project),
            ("group", &self.group),
            ("state", &self.state),
            ("status", &self.status),
            ("text", &self.text),
            ("skipped", &self.skipped),
        ];

        for (name, text) in texts {
            if let Some(text) = text {
                wanted[name] = json!(text);
            }
        }

        if let Some(hook) = self.hook {
            wanted["hook"] = json!(hook);
        }

        Ok(wanted)
    }
}
