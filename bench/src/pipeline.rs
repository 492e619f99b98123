//! Throughput and latency of a source, of deliveries, and of the whole pipeline.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use quickdraw_domain::Trigger;

use crate::Scale;
use crate::load::{self, Shot};
use crate::peers::now_us;
use crate::server::{Engine, Place, Process, SECRET, TOKEN};
use crate::sizes::{fill, set_up, set_up_many};
use crate::stats::{median, milliseconds, quantile, rate, row};

const CONNECTIONS: usize = 64;

/// A push of 2.4 KB with unique ids, because real bodies differ.
pub(crate) fn push() -> Vec<u8> {
    let id = || uuid::Uuid::new_v4().simple().to_string() + "00000000";
    let commit = |n: u32| {
        format!(
            r#"{{"id":"{}","message":"Change number {n} of the gate\n\nIt caught on bolts.","title":"Change number {n} of the gate","timestamp":"2026-03-16T09:30:00+01:00","url":"https://git.climb.example/gear/rope/-/commit/{}","author":{{"name":"Ida Brandt","email":"ida@climb.example"}},"added":["docs/nose-{n}.md"],"modified":["src/gate.rs","src/spring.rs"],"removed":[]}}"#,
            id(),
            id()
        )
    };

    format!(
        r#"{{"object_kind":"push","event_name":"push","before":"{}","after":"{}","ref":"refs/heads/main","ref_protected":true,"checkout_sha":"{}","message":null,"sent_us":{},"user_id":7,"user_name":"Ida Brandt","user_username":"ida","user_email":"ida@climb.example","user_avatar":null,"project_id":1,"project":{{"id":1,"name":"Rope","description":"Sheath and core","web_url":"https://git.climb.example/gear/rope","avatar_url":null,"git_ssh_url":"git@git.climb.example:gear/rope.git","git_http_url":"https://git.climb.example/gear/rope.git","namespace":"Gear","visibility_level":10,"path_with_namespace":"gear/rope","default_branch":"main","ci_config_path":null,"homepage":"https://git.climb.example/gear/rope","url":"git@git.climb.example:gear/rope.git","ssh_url":"git@git.climb.example:gear/rope.git","http_url":"https://git.climb.example/gear/rope.git"}},"commits":[{},{}],"total_commits_count":2,"push_options":{{}},"repository":{{"name":"Rope","url":"git@git.climb.example:gear/rope.git","description":"Sheath and core","homepage":"https://git.climb.example/gear/rope","git_http_url":"https://git.climb.example/gear/rope.git","git_ssh_url":"git@git.climb.example:gear/rope.git","visibility_level":10}}}}"#,
        id(),
        id(),
        id(),
        now_us(),
        commit(1),
        commit(2)
    )
    .into_bytes()
}

fn reported() -> Vec<u8> {
    let mut body = format!(r#"{{"trigger":"{}","payload":"#, Trigger::PUSH.row().name).into_bytes();
    body.extend(push());
    body.push(b'}');

    body
}

fn to_source(port: u16) -> Shot {
    let headers = vec![
        ("Content-Type", "application/json".to_owned()),
        ("X-Gitlab-Event", "Push Hook".to_owned()),
        ("X-Gitlab-Token", SECRET.to_owned()),
    ];

    Shot {
        port,
        path: "/api/v1/webhooks/gitlab".to_owned(),
        headers,
        projects: 1,
        keyed: true,
        body: push,
    }
}

fn report(port: u16) -> Shot {
    let headers = vec![
        ("Content-Type", "application/json".to_owned()),
        ("PRIVATE-TOKEN", TOKEN.to_owned()),
    ];

    Shot {
        port,
        path: "/api/v1/projects/1/events".to_owned(),
        headers,
        projects: 1,
        keyed: false,
        body: reported,
    }
}

fn bare(port: u16, path: &str) -> Shot {
    let headers = vec![("Content-Type", "application/json".to_owned())];
    Shot {
        port,
        path: path.to_owned(),
        headers,
        projects: 1,
        keyed: true,
        body: push,
    }
}

fn ratio(values: &mut [f64], rates: &mut [f64]) -> String {
    format!("{:.3}  ({:.0}/s)", median(values), median(rates))
}

/// Figure 1, and memory under load.
pub(crate) async fn source(engine: &Engine, scale: Scale) -> anyhow::Result<()> {
    let place = Place::new(engine).await?;
    let ours = place.serve(&[]).await?;
    let idle = ours.memory("VmRSS")?;
    let peer = Process::peer("peer-axum")?;
    let (mut ratios, mut rates) = (Vec::new(), Vec::new());

    for _ in 0..scale.rounds {
        let theirs = load::closed(&bare(peer.port, "/"), CONNECTIONS, scale.seconds).await?;
        let mine = load::closed(&to_source(ours.port), CONNECTIONS, scale.seconds).await?;
        ratios.push(mine / theirs);
        rates.push(mine);
    }

    row(
        "1 source / bare axum",
        &ratio(&mut ratios, &mut rates),
        engine.pick("must 0.22, aim 0.40", "must 0.15, aim 0.20"),
    );

    row("7 memory idle", &format!("{idle:.0} MiB"), "must 30, aim 20");
    row(
        "7 memory under full load, at most",
        &format!("{:.0} MiB", ours.memory("VmHWM")?),
        "must 150, aim 100",
    );

    Ok(())
}

/// Figure 2.
pub(crate) async fn source_latency(engine: &Engine, scale: Scale) -> anyhow::Result<()> {
    let place = Place::new(engine).await?;
    let ours = place.serve(&[]).await?;
    let shot = to_source(ours.port);
    load::open(&shot, 500, Duration::from_secs(1)).await?;

    let mut times = load::open(&shot, 2000, scale.seconds * 2).await?;
    let value = format!(
        "{} / {}",
        milliseconds(quantile(&mut times, 0.5)),
        milliseconds(quantile(&mut times, 0.99))
    );
    row("2 source at 2,000/s, p50 / p99", &value, "must 1 / 6 ms, aim 0.6 / 3");
    drop(ours);

    let peer = Process::peer("peer-axum")?;
    let mut times = load::open(&bare(peer.port, "/"), 2000, scale.seconds * 2).await?;

    let value = format!(
        "{} / {}",
        milliseconds(quantile(&mut times, 0.5)),
        milliseconds(quantile(&mut times, 0.99))
    );
    row("  bare axum, which stores nothing", &value, "");

    let peer = Process::peer("peer-durable")?;
    let mut times = load::open(&bare(peer.port, "/"), 2000, scale.seconds * 2).await?;

    let value = format!(
        "{} / {}",
        milliseconds(quantile(&mut times, 0.5)),
        milliseconds(quantile(&mut times, 0.99))
    );
    row("  bare axum, which appends to a file and flushes", &value, "");
    Ok(())
}

/// Figure 12: the latency of a moderate sender, alone and while another address floods the same source.
pub(crate) async fn flooded(engine: &Engine, scale: Scale) -> anyhow::Result<()> {
    let place = Place::new(engine).await?;
    let ours = place.serve(&[("QUICKDRAW__SOURCE__SENDER_RATE_LIMIT", "off")]).await?;
    let shot = to_source(ours.port);
    load::open(&shot, 50, Duration::from_secs(1)).await?;

    let (mut quiet, mut beside, mut answered) = (Vec::new(), Vec::new(), 0);
    for _ in 0..scale.rounds {
        quiet.extend(load::open(&shot, 50, scale.seconds).await?);

        let stop = Arc::new(AtomicBool::new(false));
        let flood = tokio::spawn(load::flood(ours.port, stop.clone()));
        beside.extend(load::open(&shot, 50, scale.seconds).await?);
        stop.store(true, Ordering::Relaxed);
        answered += flood.await??;
    }

    let (quiet, beside) = (quantile(&mut quiet, 0.99), quantile(&mut beside, 0.99));
    let value = format!(
        "{:.1}  ({} to {}, {:.0} floods/s)",
        beside.as_secs_f64() / quiet.as_secs_f64(),
        milliseconds(quiet),
        milliseconds(beside),
        rate(answered, scale.seconds * u32::try_from(scale.rounds)?)
    );

    row(
        "12 p99 of a sender beside a flood / without it",
        &value,
        "must stay under 100 ms",
    );

    Ok(())
}

/// Waits until the sink has got this many requests and no attempt is running, so that all results are recorded.
pub(crate) async fn settled(sink: &Process, ours: &Process, number: usize) -> anyhow::Result<()> {
    let started = Instant::now();
    loop {
        let count: usize = load::get(sink.port, "/count", None).await?.parse()?;
        if count >= number && ours.metric("quickdraw_attempts_in_flight").await? == 0.0 {
            return Ok(());
        }

        anyhow::ensure!(
            started.elapsed() < Duration::from_secs(300),
            "only {count} of {number} arrived"
        );

        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until the sink has got this many requests.
pub(crate) async fn arrived(sink: &Process, number: usize) -> anyhow::Result<()> {
    let started = Instant::now();
    while load::get(sink.port, "/count", None).await?.parse::<usize>()? < number {
        anyhow::ensure!(started.elapsed() < Duration::from_secs(60), "nothing arrived");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }

    Ok(())
}

/// The rate at which a bare client posts the same bodies to the same receiver.
async fn bare_client(sink: &Process, scale: Scale) -> anyhow::Result<f64> {
    let took = load::fixed(&bare(sink.port, "/in"), CONNECTIONS, scale.deliveries).await?;
    load::get(sink.port, "/", None).await?;
    Ok(rate(scale.deliveries, took))
}

/// Figure 3: deliveries from a full journal, while no events are accepted.
pub(crate) async fn deliveries(engine: &Engine, scale: Scale) -> anyhow::Result<()> {
    let sink = Process::peer("peer-sink")?;
    let (mut ratios, mut rates) = (Vec::new(), Vec::new());

    for _ in 0..scale.rounds {
        let theirs = bare_client(&sink, scale).await?;
        let place = Place::new(engine).await?;
        let store = place.open().await?;
        let hooks = set_up(&store, sink.port, 1).await?;

        fill(&store, &hooks, scale.deliveries).await?;
        store.close().await;

        let started = Instant::now();
        let limit = CONNECTIONS.to_string();
        let ours = place
            .serve(&[("QUICKDRAW__DELIVERY__IN_FLIGHT_PER_HOOK", limit.as_str())])
            .await?;
        settled(&sink, &ours, scale.deliveries).await?;

        let mine = rate(scale.deliveries, started.elapsed());
        load::get(sink.port, "/", None).await?;
        ratios.push(mine / theirs);
        rates.push(mine);
    }

    let goal = engine.pick("must 0.25, aim 0.50", "must 0.20, aim 0.30");
    row(
        "3 deliveries recorded / bare client (start included)",
        &ratio(&mut ratios, &mut rates),
        goal,
    );

    Ok(())
}

/// Figures 4 and 6: events are reported, delivered to each hook, and recorded.
async fn through(engine: &Engine, scale: Scale, hooks: usize) -> anyhow::Result<(Vec<f64>, Vec<f64>, f64)> {
    let sink = Process::peer("peer-sink")?;
    let place = Place::new(engine).await?;
    let store = place.open().await?;
    set_up(&store, sink.port, hooks).await?;
    store.close().await;

    let ours = place.serve(&[]).await?;
    let events = scale.deliveries / hooks;
    let (mut ratios, mut rates) = (Vec::new(), Vec::new());

    for _ in 0..scale.rounds {
        let theirs = bare_client(&sink, scale).await?;
        let started = Instant::now();
        load::fixed(&report(ours.port), CONNECTIONS, events).await?;
        settled(&sink, &ours, events * hooks).await?;

        let mine = rate(events * hooks, started.elapsed());
        load::get(sink.port, "/", None).await?;
        ratios.push(mine / theirs);
        rates.push(mine);
    }

    Ok((ratios, rates, ours.memory("VmHWM")?))
}

pub(crate) async fn whole(engine: &Engine, scale: Scale) -> anyhow::Result<()> {
    let (mut ratios, mut rates, memory) = through(engine, scale, 1).await?;
    let goal = engine.pick("must 0.13, aim 0.30", "must 0.08, aim 0.15");
    row("4 whole pipeline / bare client", &ratio(&mut ratios, &mut rates), goal);

    row(
        "7 memory under full load of the pipeline, at most",
        &format!("{memory:.0} MiB"),
        "must 150, aim 100",
    );

    Ok(())
}

pub(crate) async fn ten_hooks(engine: &Engine, scale: Scale) -> anyhow::Result<()> {
    let (mut ratios, mut rates, _) = through(engine, scale, 10).await?;
    row(
        "6 one event to ten hooks / bare client",
        &ratio(&mut ratios, &mut rates),
        "must 0.20, aim 0.50",
    );

    Ok(())
}

/// Figure 5.
pub(crate) async fn latency(engine: &Engine, scale: Scale) -> anyhow::Result<()> {
    let sink = Process::peer("peer-sink")?;
    let place = Place::new(engine).await?;
    let store = place.open().await?;
    set_up(&store, sink.port, 1).await?;
    store.close().await;

    let ours = place.serve(&[]).await?;
    load::open(&report(ours.port), 200, Duration::from_secs(1)).await?;
    load::get(sink.port, "/", None).await?;
    load::open(&report(ours.port), 300, scale.seconds * 2).await?;
    tokio::time::sleep(Duration::from_millis(300)).await;

    let summary = load::get(sink.port, "/", None).await?;
    let mut numbers = summary
        .split(' ')
        .skip(1)
        .filter_map(|text| text.parse().ok())
        .map(Duration::from_micros);
    let (p50, p99) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    let value = format!("{} / {}", milliseconds(p50), milliseconds(p99));

    row(
        "5 reported to arrived at 300/s, p50 / p99",
        &value,
        "must 3 / 10 ms, aim 1.5 / 5",
    );

    Ok(())
}

/// Figure 10: the latency of healthy hooks beside healthy and beside hanging ones. The number of hooks and the load are
/// the same. A percentile over a few seconds depends mostly on the disk, so the medians of many runs are compared.
pub(crate) async fn isolation(engine: &Engine, scale: Scale) -> anyhow::Result<()> {
    let (mut healthy, mut hanging) = (Vec::new(), Vec::new());
    for _ in 0..scale.rounds * 2 {
        healthy.push(beside(engine, scale, "peer-many").await?.as_secs_f64());
        hanging.push(beside(engine, scale, "peer-many-hang").await?.as_secs_f64());
    }

    let (healthy, hanging) = (median(&mut healthy), median(&mut hanging));
    let shown = |seconds| milliseconds(Duration::from_secs_f64(seconds));
    let value = format!("{:.2}  ({} to {})", hanging / healthy, shown(healthy), shown(hanging));

    row(
        "10 p99 of healthy hooks, half of 200 hang / none",
        &value,
        "must 1.2, aim 1.05",
    );

    Ok(())
}

/// The 99th percentile of healthy hooks beside an equal number of hooks on other hosts.
async fn beside(engine: &Engine, scale: Scale, others: &str) -> anyhow::Result<Duration> {
    let (sink, others) = (Process::peer("peer-sink")?, Process::peer(others)?);
    let place = Place::new(engine).await?;
    let store = place.open().await?;
    set_up_many(&store, sink.port, others.port).await?;
    store.close().await;

    let ours = place.serve(&[]).await?;
    let shot = Shot {
        path: "/api/v1/projects/{project}/events".to_owned(),
        projects: 200,
        ..report(ours.port)
    };
    load::open(&shot, 200, Duration::from_secs(1)).await?;
    load::get(sink.port, "/", None).await?;
    load::open(&shot, 200, scale.seconds * 2).await?;
    tokio::time::sleep(Duration::from_millis(300)).await;

    let summary = load::get(sink.port, "/", None).await?;
    let numbers: Vec<u64> = summary.split(' ').filter_map(|text| text.parse().ok()).collect();
    let expected = 100 * scale.seconds.as_secs() * 2;
    anyhow::ensure!(
        numbers.first().is_some_and(|count| count + 10 >= expected),
        "{summary} of {expected} arrived"
    );

    Ok(Duration::from_micros(numbers.get(2).copied().unwrap_or_default()))
}
