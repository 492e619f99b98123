//! `quickdraw demo`: a server with some weeks of a small team in it, and a little more every few seconds.

mod history;
mod live;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use quickdraw_domain::event::{Event, Origin};
use quickdraw_domain::scope::Place;
use quickdraw_domain::settings::SecretText;
use quickdraw_domain::{EventId, Timestamp};
use quickdraw_insights::gaps::Sequence;
use quickdraw_store::events::NewEvent;
use quickdraw_store::insights::Projects;
use quickdraw_store::{Packed, SharedStore};
use uuid::Uuid;

use self::history::Told;
use self::live::{Known, Live};
use super::{say, serve};
use crate::client;
use crate::config::{self, Config};
use crate::wiring::{self, FirstStart};

const BATCH: usize = 500;
/// How often something more happens: less than the source's limit for one address.
const EVERY: Duration = Duration::from_secs(5);
/// Tells that a folder is a demo's.
const MARK: &str = "this-is-a-demo";

#[derive(Args)]
pub(crate) struct Demo {
    /// The number that the weeks are made from: another number, other weeks.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many weeks.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(i64).range(1..=52))]
    weeks: i64,
    /// Nothing more happens after them.
    #[arg(long)]
    still: bool,
    /// Where it keeps its data: an empty folder, or that of a demo before.
    #[arg(long, default_value = "quickdraw-demo")]
    folder: PathBuf,
    /// The administrator's token; by default one is made.
    #[arg(long, hide_env_values = true)]
    token: Option<String>,
}

pub(crate) async fn run(command: Demo, file: Option<&Path>) -> anyhow::Result<()> {
    let mut config = config::load_unchecked(file)?;
    // Whatever the settings say: nothing of it comes near anybody's own data.
    config.server.data_dir.clone_from(&command.folder);
    config.database.url = format!("sqlite:{}", command.folder.join("quickdraw.db").display()).into();
    config.server.root_token = command.token.clone().unwrap_or_default().into();
    config.server.key = SecretText::default();
    config.source = Config::default().source;
    let mark = command.folder.join(MARK);
    anyhow::ensure!(
        mark.exists() || !command.folder.join("quickdraw.db").exists(),
        "{} has data that is no demo's: name another --folder",
        command.folder.display()
    );
    let is_used = |folder: &Path| std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    anyhow::ensure!(
        mark.exists() || !is_used(&command.folder),
        "{} is neither empty nor a demo's: name another --folder",
        command.folder.display()
    );
    // Before anything is made that could not be served.
    std::net::TcpListener::bind(&config.server.listen)
        .map(drop)
        .with_context(|| format!("cannot listen on {}; name another with QUICKDRAW_LISTEN", config.server.listen))?;
    std::fs::create_dir_all(&command.folder)
        .and_then(|()| std::fs::write(&mark, ""))
        .with_context(|| format!("failed to write {}", mark.display()))?;
    let mut first = FirstStart::default();
    let store = wiring::open_store(&config, &mut first).await?;
    first.notes.iter().chain(&first.warnings).for_each(say);
    let filled = fill(&store, &command).await;
    store.close().await;
    let known = filled?;
    let base = config.server.external_url.clone();
    say(format!(
        "ask it: quickdraw insights verify --url {base} --token \"$(cat {}/root-token)\"",
        config.server.data_dir.display()
    ));
    say(format!(
        "or: {base}/api/v1/insights/metrics/time_to_merge?group=gear&interval=week (with the token as PRIVATE-TOKEN)"
    ));
    let going_on = async {
        if command.still {
            std::future::pending::<()>().await;
        }
        go_on(&config, known).await;
    };
    tokio::select! {
        ended = serve::run(config.clone()) => ended,
        () = going_on => Ok(()),
    }
}

/// Puts the weeks into a journal that is empty. Tells how far the first project has come.
async fn fill(store: &SharedStore, command: &Demo) -> anyhow::Result<Known> {
    let now = wiring::now();
    if !store.event_ids(EventId(Uuid::nil()), 1).await?.is_empty() {
        say("there are events already: going on with them");
        return known(store).await;
    }
    store.prepare_partitions(now).await?;
    let told = history::weeks(command.seed, command.weeks, now.as_micros() / 1_000_000);
    let number = told.len();
    // Nothing of it is counted yet.
    let known = Known::of(&told);
    let mut events = Vec::with_capacity(number);
    for one in told {
        let event = Event {
            git_ref: one.body["ref"].as_str().map(str::to_owned),
            // As if it had been received then: pushes have no other time.
            ..Event::new(
                EventId(Uuid::now_v7()),
                Place::Elsewhere,
                one.trigger,
                Origin::Api,
                Timestamp::from_seconds(one.at),
            )
        };
        let payload = Packed::pack(&serde_json::to_vec(&one.body)?);
        events.push(NewEvent { event, payload, dedupe: None, decided: None, counts: true });
    }
    while !events.is_empty() {
        let rest = events.split_off(events.len().min(BATCH));
        store.append_events(events).await?;
        events = rest;
    }
    say(format!("{number} events of {} weeks", command.weeks));
    Ok(known)
}

/// How far the first project has come, by what was counted when the demo ran before.
async fn known(store: &SharedStore) -> anyhow::Result<Known> {
    let first = history::FIRST;
    let mut known = Known::default();
    for one in store.completeness(Projects::ALL, usize::MAX).await?.iter().filter(|one| one.project == first) {
        match one.metric {
            Sequence::MergeRequest => known.merge_requests = one.last.unwrap_or_default(),
            Sequence::Pipeline => known.pipelines = one.last.unwrap_or_default(),
            _ => {}
        }
    }
    let (from, to) = (Timestamp::from_micros(0), Timestamp::from_micros(i64::MAX));
    let moves = store.moves(Some(vec![first]), from, to).await?;
    let last = moves.into_iter().filter(|push| push.git_ref == "refs/heads/main").max_by_key(|push| push.received_at);
    known.head = last.map(|push| push.after);
    Ok(known)
}

/// Something more, every few seconds, as a GitLab would post it.
async fn go_on(config: &Config, known: Known) {
    let url = format!("{}/api/v1/webhooks/gitlab", config::base_url(&config.server.listen));
    let mut live = Live::new(known, wiring::now().as_micros() / 1_000_000);
    loop {
        tokio::time::sleep(EVERY).await;
        let Some(told) = live.next(wiring::now().as_micros() / 1_000_000) else { return };
        if let Err(error) = post(config, &url, told).await {
            tracing::warn!("the demo could not go on: {error:#}");
        }
    }
}

async fn post(config: &Config, url: &str, told: Told) -> anyhow::Result<()> {
    let secret = std::fs::read_to_string(config.server.data_dir.join("webhook-secret")).context("no secret yet")?;
    let headers = [
        ("Content-Type".into(), "application/json".to_owned()),
        ("X-Gitlab-Token".into(), secret.trim().to_owned()),
        ("X-Gitlab-Event".into(), told.trigger.row().header.to_owned()),
        ("Idempotency-Key".into(), Uuid::new_v4().to_string()),
    ];
    let answer = client::post(url, &headers, serde_json::to_vec(&told.body)?, Duration::from_secs(10)).await?;
    anyhow::ensure!(answer.status == 200, "the server answered {}", answer.status);
    Ok(())
}
