//! Disk space per event and attempt, a backlog of a million, and the cost of an event without a subscribed hook.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quickdraw_domain::delivery::Tally;
use quickdraw_domain::event::{Event, Origin};
use quickdraw_domain::health::DisablePolicy;
use quickdraw_domain::hook::{Hook, HookUrl};
use quickdraw_domain::outcome::Outcome;
use quickdraw_domain::phases::Phases;
use quickdraw_domain::recursion::Chain;
use quickdraw_domain::retry::{Chance, RetryPolicy};
use quickdraw_domain::scope::{Place as Where, Scope};
use quickdraw_domain::settle::{Occasion, Policies};
use quickdraw_domain::{EventId, HookId, NodeId, ProjectId, Timestamp, Trigger};
use quickdraw_engine::Index;
use quickdraw_store::deliveries::{Claim, Finished, Record};
use quickdraw_store::events::{FannedOut, NewEvent};
use quickdraw_store::hooks::{Directory, HookWithHealth};
use quickdraw_store::scopes::{NewGroup, NewProject};
use quickdraw_store::{Packed, SharedStore};
use uuid::Uuid;

use crate::Scale;
use crate::peers::{now_us, other_host};
use crate::pipeline::push;
use crate::server::{Engine, Place, Process};
use crate::stats::{milliseconds, rate, row};

fn now() -> Timestamp {
    Timestamp::from_micros(i64::try_from(now_us()).unwrap_or(i64::MAX))
}

fn hook(port: u16, project: ProjectId) -> Hook {
    hook_on("127.0.0.1", port, project)
}

fn hook_on(host: &str, port: u16, project: ProjectId) -> Hook {
    let url = HookUrl::parse(&format!("http://{host}:{port}/in")).expect("a URL");
    let hook = Hook::new(Scope::Project(project), url, Uuid::new_v4(), Timestamp::from_micros(0));
    let token = Some(quickdraw_domain::Secret::new("bench-token"));

    Hook {
        token,
        triggers: [Trigger::PUSH].into_iter().collect(),
        ..hook
    }
}

async fn projects(store: &SharedStore, number: usize) -> anyhow::Result<Vec<ProjectId>> {
    store.prepare_partitions(now()).await?;

    let named = |name: &str| name.to_owned();
    let group = NewGroup {
        parent: None,
        name: named("Gear"),
        path: named("gear"),
        description: None,
        visibility_level: 0,
    };
    let group = store.create_group(group, now()).await?.id;
    let mut ids = Vec::new();

    for n in 1..=number {
        let (name, path) = (named("Rope"), format!("rope-{n}"));
        let project = NewProject {
            group,
            name,
            path,
            description: None,
            default_branch: None,
            visibility_level: 0,
        };
        ids.push(store.create_project(project, now()).await?.id);
    }

    Ok(ids)
}

/// Creates 200 projects with one hook each. Half of the hooks call the same receiver, and each of the others has a
/// separate host.
pub(crate) async fn set_up_many(store: &SharedStore, port: u16, others: u16) -> anyhow::Result<()> {
    for (n, project) in projects(store, 200).await?.into_iter().enumerate() {
        let hook = if n % 2 == 0 {
            hook(port, project)
        } else {
            hook_on(&other_host(n / 2), others, project)
        };
        store.create_hook(hook, 100).await?;
    }

    Ok(())
}

/// Creates project 1 with this many hooks, which all call the same receiver.
pub(crate) async fn set_up(store: &SharedStore, port: u16, hooks: usize) -> anyhow::Result<Vec<HookId>> {
    let project = projects(store, 1).await?[0];
    let mut ids = Vec::new();
    for _ in 0..hooks {
        ids.push(store.create_hook(hook(port, project), 100).await?.hook.id);
    }

    Ok(ids)
}

fn new_event() -> NewEvent {
    let event = Event {
        git_ref: Some("refs/heads/main".to_owned()),
        ..Event::new(
            EventId(Uuid::now_v7()),
            Where::Project(ProjectId(1)),
            Trigger::PUSH,
            Origin::Api,
            now(),
        )
    };

    NewEvent {
        event,
        payload: Packed::pack(&push()),
        dedupe: None,
        decided: None,
        counts: false,
    }
}

/// Fills the journal with events that are owed to every hook.
pub(crate) async fn fill(store: &SharedStore, hooks: &[HookId], number: usize) -> anyhow::Result<()> {
    let deliver = hooks.to_vec();
    let decide = Arc::new(move |_: &Event, _: &mut Chain| {
        Some(FannedOut {
            deliver: deliver.clone(),
            ..FannedOut::default()
        })
    });

    let version = store.directory_version().await?;
    let mut left = number;

    while left > 0 {
        let batch = left.min(512);
        store.append_events((0..batch).map(|_| new_event()).collect()).await?;
        store.fan_out(batch, now(), version, decide.clone()).await?;
        left -= batch;
    }

    Ok(())
}

/// Figure 8: the size of the file on SQLite, and of the tables with their indexes on PostgreSQL.
pub(crate) async fn disk(engine: &Engine) -> anyhow::Result<()> {
    const NUMBER: usize = 20_000;

    let place = Place::new(engine).await?;
    let store = place.open().await?;
    let hooks = set_up(&store, 9, 1).await?;
    let mut left = NUMBER;
    let empty = size(engine, &place, "events").await?;

    while left > 0 {
        store
            .append_events((0..left.min(500)).map(|_| new_event()).collect())
            .await?;
        left -= left.min(500);
    }

    let per_event = (size(engine, &place, "events").await? - empty) / NUMBER as u64;
    let version = store.directory_version().await?;
    let deliver = hooks.clone();

    let decide = Arc::new(move |_: &Event, _: &mut Chain| {
        Some(FannedOut {
            deliver: deliver.clone(),
            ..FannedOut::default()
        })
    });
    while store.fan_out(500, now(), version, decide.clone()).await?.events > 0 {}

    let before = size(engine, &place, "attempts").await?;
    attempt_all(&store).await?;

    let per_attempt = (size(engine, &place, "attempts").await? - before) / NUMBER as u64;
    store.close().await;

    row(
        "8 disk per stored push of 2.4 KB",
        &format!("{per_event} B"),
        "must 900, aim 500",
    );

    row("8 disk per attempt", &format!("{per_attempt} B"), "must 400, aim 250");
    Ok(())
}

/// Attempts all deliveries that wait, each with success.
pub(crate) async fn attempt_all(store: &SharedStore) -> anyhow::Result<()> {
    let policies = Arc::new(Policies {
        retry: RetryPolicy::standard(),
        disable: DisablePolicy::Published,
    });

    loop {
        let claimed = store.claim_deliveries(claim(500)).await?;
        if claimed.is_empty() {
            return Ok(());
        }

        let finish = |claimed: &quickdraw_store::deliveries::Claimed| Finished {
            delivery: claimed.delivery,
            hook: claimed.hook,
            is_system: false,
            fence: claimed.fence,
            tally: Tally::default(),
            outcome: Outcome::Delivered { status: 200 },
            occasion: Occasion::Usual,
            chance: Chance(0.5),
            retry: None,
            record: Record {
                phases: Some(Phases {
                    took: [Some(Duration::from_micros(900)); 5],
                    tls_minor: Some(3),
                }),
                hook_version: Some(now()),
                started_at: now(),
                duration_micros: 1234,
                address: Some("127.0.0.1:9000".to_owned()),
                error: None,
                response_headers: Some(
                    "content-type: text/plain\ncontent-length: 2\ndate: Mon, 16 Mar 2026 09:30:00 GMT\n".to_owned(),
                ),
                response_body: Some(b"ok".to_vec()),
            },
        };
        store
            .finish_attempts(claimed.iter().map(finish).collect(), now(), policies.clone())
            .await?;
    }
}

fn claim(number: usize) -> Claim {
    let now = now();
    Claim {
        node: NodeId(Uuid::nil()),
        now,
        lease_until: now.plus(Duration::from_secs(30)),
        first: number,
        retries: 0,
        per_hook: number,
        hook_limits: std::collections::HashMap::new(),
    }
}

async fn size(engine: &Engine, place: &Place, table: &str) -> anyhow::Result<u64> {
    match engine {
        Engine::Sqlite => {
            let path = place.folder.path().join("bench.db");
            // The rest of the log is moved into the file first.
            let moved = std::process::Command::new("sqlite3")
                .arg(&path)
                .arg("PRAGMA wal_checkpoint(TRUNCATE)")
                .output();
            anyhow::ensure!(moved.is_ok(), "sqlite3 is needed to measure files");

            Ok(file(&path))
        }

        Engine::Postgres(_) => {
            let sql = format!(
                "SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0) FROM pg_inherits WHERE inhparent = '{table}'::regclass"
            );
            let output = std::process::Command::new("psql")
                .args([&place.url, "-Atq", "-c", &sql])
                .output()?;
            Ok(String::from_utf8(output.stdout)?.trim().parse()?)
        }
    }
}

fn file(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Figures 7 and 9: claims with a large backlog, the memory, and the time until the first delivery.
pub(crate) async fn backlog(engine: &Engine, scale: Scale) -> anyhow::Result<()> {
    let small = claims(engine, 5_000).await?.1;
    let (place, large) = claims(engine, scale.backlog).await?;
    let value = format!("{:.2}  ({large:.0}/s)", large / small);

    row(
        &format!("9 claims with {} waiting / with 1,000", scale.backlog),
        &value,
        "must 0.8, aim 0.95",
    );

    let sink = Process::peer("peer-sink")?;
    // The hooks of the backlog call a port without a listener. One more event goes to a hook whose receiver answers.
    let store = place.open().await?;
    let hook = store.create_hook(hook(sink.port, ProjectId(1)), 100).await?.hook.id;
    fill(&store, &[hook], 1).await?;
    store.close().await;

    let started = Instant::now();
    let ours = place.serve(&[]).await?;
    crate::pipeline::arrived(&sink, 1).await?;

    row(
        "9 start to first delivery with the backlog",
        &milliseconds(started.elapsed()),
        "must 2 s, aim 0.5 s",
    );

    tokio::time::sleep(Duration::from_secs(2)).await;
    row(
        "7 memory with the backlog, at most",
        &format!("{:.0} MiB", ours.memory("VmHWM")?),
        "must 200, aim 120",
    );

    Ok(())
}

/// Claims per second from a backlog, in batches of 64.
async fn claims(engine: &Engine, number: usize) -> anyhow::Result<(Place, f64)> {
    const CLAIMS: usize = 60;

    let place = Place::new(engine).await?;
    let store = place.open().await?;
    let hooks = set_up(&store, 9, 10).await?;
    fill(&store, &hooks, number / hooks.len()).await?;

    let started = Instant::now();
    let mut taken = 0;

    for _ in 0..CLAIMS {
        let mut wanted = claim(64);
        wanted.per_hook = 16;
        taken += store.claim_deliveries(wanted).await?.len();
    }

    let speed = rate(taken, started.elapsed());
    store.close().await;
    Ok((place, speed))
}

/// Figure 11: the cost of a query to the directory, per event, with a thousand hooks of other projects.
pub(crate) fn unsubscribed() {
    const TIMES: u32 = 1_000_000;

    let mut directory = Directory {
        version: 1,
        ..Directory::default()
    };

    for n in 1..=1000 {
        let mut hook = hook(9, ProjectId(n));
        hook.id = HookId(n);

        directory.hooks.push(HookWithHealth {
            hook,
            health: Default::default(),
        });

        directory.projects.push((ProjectId(n), quickdraw_domain::GroupId(1)));
    }

    directory
        .groups
        .push((quickdraw_domain::GroupId(1), None, "g".to_owned()));

    let index = Index::new(&directory, &Index::default());
    let started = Instant::now();

    for n in 0..TIMES {
        let place = Where::Project(ProjectId(i64::from(n % 1000) + 1));
        black_box(index.is_subscribed(black_box(place), black_box(Trigger::TAG_PUSH)));
    }

    let each = started.elapsed() / TIMES;
    row(
        "11 an event without a subscribed hook, in addition to journaling",
        &format!("{:.2} us", each.as_secs_f64() * 1e6),
        "must 2, aim 0.5",
    );
}
