//! The table of workers, the loop that runs them, and the status of each.
//!
//! A worker waits for a wake or a tick, and then runs its step. A step that fails is logged once and runs again after a
//! pause that grows, so that a store that is away is not hammered.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use quickdraw_domain::Timestamp;
use quickdraw_store::deliveries::Backlog;
use tokio::sync::{Notify, watch};

use crate::clock::Clock;
use crate::engine::Engine;
use crate::{outage, telemetry};

const TICK: Duration = Duration::from_millis(250);
const SECOND: Duration = Duration::from_secs(1);
const SECONDS_5: Duration = Duration::from_secs(5);
const MINUTE: Duration = Duration::from_secs(60);

/// Maximum number of characters of an error that the status of a worker keeps.
const MAX_ERROR: usize = 1_000;

/// The longest pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

type Stop = watch::Receiver<bool>;
type Running<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send + 'a>>;

/// The nodes that run a worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunsOn {
    /// Every node runs it: for itself, or beside the others.
    EachNode,

    /// One node at a time does the work. The others find it done.
    OneNode,
}

/// A row of the table.
pub(crate) struct Worker {
    pub(crate) name: &'static str,
    runs_on: RunsOn,

    /// The signal that ends the pause before its time.
    wake: Option<fn(&Engine) -> &Notify>,

    /// The pause between two runs.
    tick: Duration,

    /// One run. `None` for a worker with a loop of its own, which reports its status itself.
    step: Option<for<'a> fn(&'a Engine, &'a Stop) -> Running<'a>>,

    /// The part of the store's backlog that waits for this worker.
    backlog: Option<fn(&Backlog) -> i64>,
}

impl Worker {
    const DEFAULT: Self = Self {
        name: "",
        runs_on: RunsOn::EachNode,
        wake: None,
        tick: TICK,
        step: None,
        backlog: None,
    };
}

/// Claims deliveries, in the loop of [`crate::lifecycle`].
pub(crate) const CLAIM: &str = "claim";
/// Records results, in the loop of [`crate::delivery::settle`].
pub(crate) const SETTLE: &str = "settle";
/// Writes that this node is alive, in the loop of [`crate::heartbeat`].
pub(crate) const HEARTBEAT: &str = "heartbeat";

/// All workers but the committers, which callers wait for.
pub(crate) static WORKERS: &[Worker] = &[
    Worker {
        name: "fan_out",
        wake: Some(|engine| &engine.context.wakes.fan_out),
        step: Some(|engine, _| Box::pin(engine.journal.fan_out_all())),
        backlog: Some(|backlog| backlog.fan_out),
        ..Worker::DEFAULT
    },
    Worker {
        name: CLAIM,
        backlog: Some(|backlog| backlog.deliveries),
        ..Worker::DEFAULT
    },
    Worker {
        name: SETTLE,
        ..Worker::DEFAULT
    },
    Worker {
        // Not woken: the events of a tick are projected at once, which costs requests less.
        name: "projection",
        step: Some(|engine, _| Box::pin(engine.insights.project_all())),
        backlog: Some(|backlog| backlog.projection),
        ..Worker::DEFAULT
    },
    Worker {
        name: "directory",
        wake: Some(|engine| &engine.context.wakes.directory),
        tick: SECONDS_5,
        step: Some(|engine, _| Box::pin(engine.context.refresh_directory())),
        ..Worker::DEFAULT
    },
    Worker {
        name: "leases",
        tick: SECOND,
        step: Some(|engine, _| Box::pin(async { engine.journal.expire_leases().await.map(drop) })),
        ..Worker::DEFAULT
    },
    Worker {
        name: "replay",
        step: Some(|engine, _| Box::pin(engine.journal.replay())),
        ..Worker::DEFAULT
    },
    Worker {
        name: "operations",
        tick: SECONDS_5,
        step: Some(|engine, _| Box::pin(engine.journal.end_operations())),
        ..Worker::DEFAULT
    },
    Worker {
        name: "rebuild",
        wake: Some(|engine| &engine.insights.rebuilds.asked),
        tick: SECONDS_5,
        step: Some(|engine, stop| Box::pin(engine.insights.rebuild(stop))),
        ..Worker::DEFAULT
    },
    Worker {
        name: "prometheus",
        tick: SECONDS_5,
        step: Some(|engine, _| Box::pin(engine.insights.show_insights())),
        ..Worker::DEFAULT
    },
    Worker {
        name: "alerts",
        runs_on: RunsOn::OneNode,
        tick: SECONDS_5,
        step: Some(|engine, _| Box::pin(engine.insights.evaluate_alerts())),
        ..Worker::DEFAULT
    },
    Worker {
        name: "maintenance",
        tick: SECONDS_5,
        step: Some(|engine, _| Box::pin(maintain(engine))),
        ..Worker::DEFAULT
    },
    Worker {
        name: "retention",
        tick: MINUTE,
        step: Some(|engine, _| Box::pin(prune(engine))),
        ..Worker::DEFAULT
    },
    Worker {
        name: HEARTBEAT,
        tick: SECONDS_5,
        ..Worker::DEFAULT
    },
    Worker {
        name: "notifications",
        tick: Duration::ZERO,
        step: Some(|engine, stop| Box::pin(listen(engine, stop))),
        ..Worker::DEFAULT
    },
];

/// Takes over changes of other nodes whose signal was lost, and shows the backlog.
async fn maintain(engine: &Engine) -> anyhow::Result<()> {
    engine.dispatcher.sweep_transport();
    engine.context.refresh_directory().await?;
    engine.dispatcher.load_health().await?;
    engine.journal.save_requests().await?;
    engine.insights.load_last_events().await?;

    engine.journal.maintain().await
}

/// Deletes what is too old or to be forgotten.
async fn prune(engine: &Engine) -> anyhow::Result<()> {
    engine.journal.prune().await?;
    // Last: a failure here must not keep retention from its work.
    engine.journal.drop_held().await?;
    engine.insights.forget_people().await?;

    engine.insights.forget_projects().await
}

/// Passes signals of other nodes on, until the stop.
async fn listen(engine: &Engine, stop: &Stop) -> anyhow::Result<()> {
    let mut stop = stop.clone();
    tokio::select! {
        listened = engine.context.store.listen(&engine.context.wakes) => Ok(listened?),
        _ = stop.changed() => Ok(()),
    }
}

/// Runs a worker of the table until the stop.
pub(crate) async fn run(worker: &'static Worker, engine: Arc<Engine>, stop: Stop) {
    let Some(step) = worker.step else { return };
    let looped = Loop {
        name: worker.name,
        wake: worker.wake.map(|wake| wake(&engine)),
        tick: worker.tick,
        clock: &*engine.context.clock,
        status: &engine.statuses.of(worker.name),
    };
    looped.run(stop.clone(), || step(&engine, &stop)).await;
}

/// The loop of a worker.
struct Loop<'a> {
    name: &'static str,
    wake: Option<&'a Notify>,
    tick: Duration,
    clock: &'a dyn Clock,
    status: &'a Status,
}

impl Loop<'_> {
    async fn run<F: Future<Output = anyhow::Result<()>>>(self, mut stop: Stop, mut step: impl FnMut() -> F) {
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

    /// The number of rows that wait for the worker, counted up to 100,000; `None` where nothing is counted.
    pub backlog: Option<i64>,
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

    fn of(&self, worker: &Worker, backlog: Option<&Backlog>) -> WorkerStatus {
        let known = self.0.lock();
        WorkerStatus {
            name: worker.name,
            runs_on: worker.runs_on,
            is_running: known.running > 0,
            is_failing: known.is_failing,
            runs: known.runs,
            failures: known.failures,
            last_run: known.last_run,
            last_success: known.last_success,
            last_error: known.last_error.as_ref().map(|(_, error)| error.clone()),
            last_error_at: known.last_error.as_ref().map(|(at, _)| *at),
            took: known.took,
            backlog: worker.backlog.zip(backlog).map(|(of, backlog)| of(backlog)),
        }
    }
}

/// The status of each worker of the table, in its order.
pub(crate) struct Statuses(Vec<Arc<Status>>);

impl Default for Statuses {
    fn default() -> Self {
        Self(WORKERS.iter().map(|_| Arc::default()).collect())
    }
}

impl Statuses {
    /// The status of a worker.
    pub(crate) fn of(&self, name: &str) -> Arc<Status> {
        let row = WORKERS
            .iter()
            .position(|worker| worker.name == name)
            .expect("the table has a row for each worker");
        Arc::clone(&self.0[row])
    }

    /// The status of all workers.
    pub(crate) fn all(&self, backlog: Option<&Backlog>) -> Vec<WorkerStatus> {
        WORKERS
            .iter()
            .zip(&self.0)
            .map(|(worker, status)| status.of(worker, backlog))
            .collect()
    }
}

#[cfg(test)]
mod tests;
