//! The peers: a bare axum server that reads a body and answers 200, and a receiver that counts requests.

use std::io::{Seek, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use bytes::Bytes;
use tokio::sync::oneshot;

use crate::stats::say;

/// Reads the body, ignores it, and answers.
pub(crate) async fn bare_axum() -> anyhow::Result<()> {
    let router = Router::new().route(
        "/",
        post(async |body: Bytes| if body.is_empty() { "empty" } else { "ok" }),
    );
    serve(router).await
}

type Waiting = (Bytes, oneshot::Sender<()>);

/// A minimal durable server: appends the body to a preallocated file and answers after the flush. All waiting requests
/// share one flush. No durable server can be faster on this machine.
pub(crate) async fn durable_axum() -> anyhow::Result<()> {
    let beside = std::env::current_exe()?.parent().context("a folder")?.to_owned();
    let mut file = tempfile::tempfile_in(beside)?;
    file.write_all(&vec![0; 64 << 20])?;
    file.sync_all()?;
    file.rewind()?;

    let (queue, waiting) = std::sync::mpsc::channel::<Waiting>();
    std::thread::spawn(move || -> std::io::Result<()> {
        while let Ok(first) = waiting.recv() {
            let batch: Vec<Waiting> = std::iter::once(first).chain(waiting.try_iter()).collect();
            if file.stream_position()? > 60 << 20 {
                file.rewind()?;
            }

            file.write_all(
                &batch
                    .iter()
                    .flat_map(|(body, _)| body.iter().copied())
                    .collect::<Vec<u8>>(),
            )?;

            file.sync_data()?;
            for (_, answer) in batch {
                let _ = answer.send(());
            }
        }

        Ok(())
    });

    let router = Router::new().route("/", post(keep)).with_state(queue);
    serve(router).await
}

async fn keep(State(queue): State<std::sync::mpsc::Sender<Waiting>>, body: Bytes) -> StatusCode {
    let (answer, answered) = oneshot::channel();
    let kept = queue.send((body, answer)).is_ok() && answered.await.is_ok();

    if kept {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

#[derive(Default)]
struct Seen {
    count: AtomicUsize,
    latencies: Mutex<Vec<u64>>,
}

/// Counts requests. For a body with its time of sending (`"sent_us":`) the latency is recorded. `GET /` returns the
/// count, the median and the 99th percentile in microseconds, and resets them.
pub(crate) async fn sink() -> anyhow::Result<()> {
    let seen = Arc::new(Seen::default());
    let router = Router::new()
        .route("/in", post(arrived))
        .route("/count", get(count))
        .route("/", get(summary));
    serve(router.with_state(seen)).await
}

/// The address of the receiver with this number in [`many`], from 0.
pub(crate) fn other_host(n: usize) -> String {
    format!("127.0.1.{}", n + 1)
}

/// A hundred receivers with separate addresses and one port. They answer, or accept requests and never answer.
pub(crate) async fn many(hang: bool) -> anyhow::Result<()> {
    let first = tokio::net::TcpListener::bind((other_host(0), 0)).await?;
    let port = first.local_addr()?.port();
    let mut listeners = vec![first];
    for n in 1..100 {
        listeners.push(tokio::net::TcpListener::bind((other_host(n), port)).await?);
    }

    let router = Router::new().route(
        "/in",
        post(async move |_: Bytes| {
            if hang {
                std::future::pending::<()>().await;
            }

            "ok"
        }),
    );

    let mut servers = tokio::task::JoinSet::new();
    for listener in listeners {
        servers.spawn(axum::serve(listener, router.clone()).into_future());
    }

    say(port);
    while let Some(server) = servers.join_next().await {
        server??;
    }

    Ok(())
}

async fn arrived(State(seen): State<Arc<Seen>>, body: Bytes) -> &'static str {
    const MARK: &[u8] = b"\"sent_us\":";

    if let Some(at) = body.windows(MARK.len()).position(|window| window == MARK) {
        let digits = body[at + MARK.len()..].iter().take_while(|byte| byte.is_ascii_digit());
        let sent = digits.fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0'));
        let took = now_us().saturating_sub(sent);
        seen.latencies.lock().unwrap_or_else(PoisonError::into_inner).push(took);
    }

    seen.count.fetch_add(1, Ordering::Relaxed);
    "ok"
}

async fn count(State(seen): State<Arc<Seen>>) -> String {
    seen.count.load(Ordering::Relaxed).to_string()
}

async fn summary(State(seen): State<Arc<Seen>>) -> String {
    let mut latencies = std::mem::take(&mut *seen.latencies.lock().unwrap_or_else(PoisonError::into_inner));
    latencies.sort_unstable();

    let at = |percent: usize| latencies.get(latencies.len() * percent / 100).copied().unwrap_or(0);
    format!("{} {} {}", seen.count.swap(0, Ordering::Relaxed), at(50), at(99))
}

#[expect(clippy::disallowed_methods, reason = "two processes are compared by the wall clock")]
pub(crate) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

async fn serve(router: Router) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    say(listener.local_addr()?.port());
    Ok(axum::serve(listener, router).await?)
}
