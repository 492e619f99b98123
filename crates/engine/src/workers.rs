//! The loop that every worker is: look, then wait for a wake or a tick. A step that fails is logged once and tried again
//! after a pause that grows, so that a store that is away is not hammered.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;

use tokio::sync::{Notify, watch};

use crate::{outage, telemetry};

const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A step that panics is a step that failed: it runs again, and nobody else is harmed.
pub(crate) async fn unharmed<T>(step: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let panicked = |_| Err(anyhow::anyhow!("it panicked"));
    AssertUnwindSafe(step).catch_unwind().await.unwrap_or_else(panicked)
}

pub(crate) async fn run<F: Future<Output = anyhow::Result<()>>>(
    name: &'static str,
    wake: Option<&Notify>,
    tick: Duration,
    mut stop: watch::Receiver<bool>,
    mut step: impl FnMut() -> F,
) {
    let mut failures = 0_u32;
    while !*stop.borrow() {
        let pause = match unharmed(step()).await {
            Ok(()) => {
                failures = 0;
                tick
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                metrics::counter!(telemetry::FAILURES, "worker" => name).increment(1);
                if outage::cause_stands_alone(&error) {
                    tracing::error!(worker = name, "a step failed, it runs again: {error:#}");
                }
                tick.max(Duration::from_millis(100 << failures.min(6))).min(LONGEST_PAUSE)
            }
        };
        let woken = async {
            match wake {
                // While failing, a wake must not shorten the pause.
                Some(wake) if failures == 0 => wake.notified().await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            () = woken => {}
            () = tokio::time::sleep(pause) => {}
            _ = stop.changed() => return,
        }
    }
}
