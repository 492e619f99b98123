//! Compares Quickdraw with minimal servers in one run. Everything is flushed to disk.
//!
//! `cargo build --release -p quickdraw -p quickdraw-bench && target/release/quickdraw-bench`
//!
//! Every figure is the median of several rounds that alternate with the peer's, so that a change in the machine's speed
//! affects both. Compare the ratios: absolute figures differ between machines. PostgreSQL is measured if
//! `QUICKDRAW_BENCH_POSTGRES` names an empty database on a server with all flushes enabled.

mod insights;
mod load;
mod pages;
mod peers;
mod pipeline;
mod server;
mod sizes;
mod stats;

use std::time::Duration;

/// The size of a measurement.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    pub(crate) rounds: usize,
    pub(crate) seconds: Duration,
    pub(crate) deliveries: usize,
    pub(crate) backlog: usize,
}

const USUAL: Scale = Scale {
    rounds: 5,
    seconds: Duration::from_secs(4),
    deliveries: 20_000,
    backlog: 1_000_000,
};
const SHORT: Scale = Scale {
    rounds: 3,
    seconds: Duration::from_secs(2),
    deliveries: 6_000,
    backlog: 50_000,
};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;

    match arguments.first().map(String::as_str) {
        // The peers are separate processes, so that both sides have the same share of the machine.
        Some("peer-axum") => runtime.block_on(peers::bare_axum()),
        Some("peer-durable") => runtime.block_on(peers::durable_axum()),
        Some("peer-sink") => runtime.block_on(peers::sink()),
        Some("peer-many") => runtime.block_on(peers::many(false)),
        Some("peer-many-hang") => runtime.block_on(peers::many(true)),
        _ => {
            let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
            let only: Vec<&str> = arguments
                .iter()
                .map(String::as_str)
                .filter(|word| !word.starts_with("--"))
                .collect();

            let scale = if has("--short") { SHORT } else { USUAL };
            runtime.block_on(run(scale, &only))
        }
    }
}

async fn run(scale: Scale, only: &[&str]) -> anyhow::Result<()> {
    let (engines, only): (Vec<&str>, Vec<&str>) =
        only.iter().partition(|word| ["SQLite", "PostgreSQL"].contains(*word));
    let wanted = |name: &str| only.is_empty() || only.contains(&name);
    stats::conditions();

    let postgres = std::env::var("QUICKDRAW_BENCH_POSTGRES").ok();
    for engine in [Some(server::Engine::Sqlite), postgres.map(server::Engine::Postgres)]
        .into_iter()
        .flatten()
    {
        if !engines.is_empty() && !engines.contains(&engine.name()) {
            continue;
        }

        stats::heading(engine.name());
        if wanted("source") {
            pipeline::source(&engine, scale).await?;
        }

        if wanted("latency") {
            pipeline::source_latency(&engine, scale).await?;
            pipeline::latency(&engine, scale).await?;
        }

        if wanted("flood") {
            pipeline::flooded(&engine, scale).await?;
        }

        if wanted("deliveries") {
            pipeline::deliveries(&engine, scale).await?;
        }

        if wanted("pipeline") {
            pipeline::whole(&engine, scale).await?;
            pipeline::ten_hooks(&engine, scale).await?;
        }

        if wanted("isolation") {
            pipeline::isolation(&engine, scale).await?;
        }

        if wanted("insights") {
            insights::counting(&engine, scale).await?;
        }

        if wanted("pages") {
            pages::pages(&engine, scale).await?;
        }

        if wanted("sizes") {
            sizes::disk(&engine).await?;
            sizes::backlog(&engine, scale).await?;
        }
    }

    if wanted("unsubscribed") {
        sizes::unsubscribed();
    }

    Ok(())
}
