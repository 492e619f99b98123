//! The loop that runs a worker, and the status of a worker. The table of all workers is in `engine::table`.
//!
//! A worker waits for a wake or a tick, and then runs its step. A step that fails is logged once and runs again after a
//! pause that grows, so that a store that is away is not hammered.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use quickdraw_domain::Timestamp;
use tokio::sync::{Notify, watch};

use crate::clock::Clock;
use crate::{outage, telemetry};

/// Most characters of an error that the status of a worker keeps.
const MAX_ERROR: usize = 1_000;

/// The longest pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Ends a loop when it becomes true.
pub(crate) type Stop = watch::Receiver<bool>;

/// The nodes that run a worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunsOn {
    /// Every node runs it: for itself, or beside the others.
    EachNode,

    /// One node at a time does the work. The others find it done.
    OneNode,
}

/// The loop of a worker.
pub(crate) struct Loop<'a> {
    pub(crate) name: &'static str,

    /// The signal that ends the pause before its time.
    pub(crate) wake: Option<&'a Notify>,

    /// The pause between two runs.
    pub(crate) tick: Duration,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) status: &'a Status,
}

impl Loop<'_> {
    /// Runs a step again and again until the stop.
    pub(crate) async fn run<F: Future<Output = anyhow::Result<()>>>(self, mut stop: Stop, mut step: impl FnMut() -> F) {
        let mut failures = 0_u32;
        while !*stop.borrow() {
            let run = self.status.begin(self.clock.now());
            let ended = unharmed(step()).await;

            self.status.end(
                run,
                self.clock.now(),
                ended.as_ref().err().map(|error| format!("{error:#}")),
            );

            let pause = match ended {
                Ok(()) => {
                    failures = 0;
                    self.tick
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    metrics::counter!(telemetry::FAILURES, "worker" => self.name).increment(1);

                    if outage::cause_stands_alone(&error) {
                        tracing::error!(worker = self.name, "a step failed, it runs again: {error:#}");
                    }

                    self.tick
                        .max(Duration::from_millis(100 << failures.min(6)))
                        .min(LONGEST_PAUSE)
                }
            };

            let woken = async {
                match self.wake {
                    // After a failure, a wake must not shorten the pause.
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
}

/// Turns a panic of a step into a failure: the step runs again, and no other worker is harmed.
pub(crate) async fn unharmed<T>(step: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let panicked = |_| Err(anyhow::anyhow!("it panicked"));
    AssertUnwindSafe(step).catch_unwind().await.unwrap_or_else(panicked)
}

/// The status of a worker since this process started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WorkerStatus {
    /// The name of the worker, as in the label of its metric.
    pub name: &'static str,

    /// The nodes that run it.
    pub runs_on: RunsOn,

    /// A run is under way.
    pub is_running: bool,

    /// The last run that has ended failed.
    pub is_failing: bool,

    /// Runs that have begun.
    pub runs: u64,

    /// Runs that have failed.
    pub failures: u64,

    /// The time at which the last run began.
    pub last_run: Option<Timestamp>,

    /// The time at which a run last succeeded.
    pub last_success: Option<Timestamp>,

    /// The error of the last run that failed.
    pub last_error: Option<String>,

    /// The time of that error.
    pub last_error_at: Option<Timestamp>,

    /// The duration of the last run that has ended.
    pub took: Option<Duration>,

    /// Whether rows that wait for the worker are counted.
    pub has_backlog: bool,

    /// The number of rows that wait for the worker, counted up to 100,000; `None` where nothing is counted.
    pub backlog: Option<i64>,

    /// The time since which the oldest of them waits; `None` where nothing waits or nothing is counted.
    pub oldest_at: Option<Timestamp>,
}

/// The status of one worker.
#[derive(Default)]
pub(crate) struct Status(Mutex<Known>);

#[derive(Default)]
struct Known {
    running: usize,
    is_failing: bool,
    runs: u64,
    failures: u64,
    last_run: Option<Timestamp>,
    last_success: Option<Timestamp>,
    last_error: Option<(Timestamp, String)>,
    took: Option<Duration>,
}

/// A run that has begun.
pub(crate) struct Run(Timestamp);

impl Status {
    pub(crate) fn begin(&self, now: Timestamp) -> Run {
        let mut known = self.0.lock();
        known.running += 1;
        known.runs += 1;
        known.last_run = Some(now);

        Run(now)
    }

    /// Ends a run, with the text of its error if it failed. The text is cut off at [`MAX_ERROR`].
    pub(crate) fn end(&self, run: Run, now: Timestamp, error: Option<String>) {
        let mut known = self.0.lock();
        known.running = known.running.saturating_sub(1);
        known.took = Some(now.since(run.0));
        known.is_failing = error.is_some();

        match error {
            None => known.last_success = Some(now),
            Some(error) => {
                known.failures += 1;
                known.last_error = Some((now, error.chars().take(MAX_ERROR).collect()));
            }
        }
    }

    /// The status in public, of a worker with this name.
    pub(crate) fn shown(&self, name: &'static str, runs_on: RunsOn, backlog: Option<i64>) -> WorkerStatus {
        let known = self.0.lock();
        WorkerStatus {
            name,
            runs_on,
            is_running: known.running > 0,
            is_failing: known.is_failing,
            runs: known.runs,
            failures: known.failures,
            last_run: known.last_run,
            last_success: known.last_success,
            last_error: known.last_error.as_ref().map(|(_, error)| error.clone()),
            last_error_at: known.last_error.as_ref().map(|(at, _)| *at),
            took: known.took,
            has_backlog: backlog.is_some(),
            backlog,
            oldest_at: None,
        }
    }
}

#[cfg(test)]
mod tests;
