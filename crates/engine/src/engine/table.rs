//! The table of workers: each row has a name, a wake, a pause and a step. The loop that runs a step is in `workers`.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use quickdraw_domain::{EventId, Timestamp};
use quickdraw_store::deliveries::Backlog;
use tokio::sync::Notify;

use super::Engine;
use crate::journal::retention;
use crate::space;
use crate::workers::{Loop, RunsOn, Status, Stop, WorkerStatus};

const TICK: Duration = Duration::from_millis(250);
const SECOND: Duration = Duration::from_secs(1);
const SECONDS_5: Duration = Duration::from_secs(5);
const MINUTE: Duration = Duration::from_secs(60);

type Running<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send + 'a>>;

/// A row of the table.
pub(crate) struct Worker {
    name: &'static str,
    runs_on: RunsOn,

    /// The signal that ends the pause before its time.
    wake: Option<fn(&Engine) -> &Notify>,

    /// The pause between two runs.
    tick: Duration,

    /// One run. `None` for a worker with a loop of its own, which reports its status itself.
    step: Option<for<'a> fn(&'a Engine, &'a Stop) -> Running<'a>>,

    /// The part of the store's backlog that waits for this worker.
    backlog: Option<fn(&Backlog) -> i64>,

    /// The time since which the oldest part of it waits.
    oldest: Option<fn(&Backlog) -> Option<Timestamp>>,
}

impl Worker {
    const DEFAULT: Self = Self {
        name: "",
        runs_on: RunsOn::EachNode,
        wake: None,
        tick: TICK,
        step: None,
        backlog: None,
        oldest: None,
    };

    fn shown(&self, status: &Status, backlog: Option<&Backlog>) -> WorkerStatus {
        let waiting = self.backlog.zip(backlog).map(|(of, backlog)| of(backlog));
        let oldest = self.oldest.zip(backlog).and_then(|(of, backlog)| of(backlog));
        WorkerStatus {
            has_backlog: self.backlog.is_some(),
            oldest_at: oldest,
            ..status.shown(self.name, self.runs_on, waiting)
        }
    }
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
        oldest: Some(|backlog| backlog.oldest_fan_out.map(EventId::at)),
        ..Worker::DEFAULT
    },
    Worker {
        name: CLAIM,
        backlog: Some(|backlog| backlog.deliveries),
        oldest: Some(|backlog| backlog.oldest_due_at),
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
        oldest: Some(|backlog| backlog.oldest_projection.map(EventId::at)),
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
        step: Some(|engine, _| Box::pin(engine.journal.operations().end_due())),
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
        name: "notify",
        runs_on: RunsOn::OneNode,
        tick: SECONDS_5,
        step: Some(|engine, stop| Box::pin(engine.notifier.run(stop))),
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
        name: "space",
        tick: MINUTE,
        step: Some(|engine, _| Box::pin(space::sample(&engine.context, &engine.samples))),
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
    retention::prune_inspectors(&engine.context).await?;
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
            .map(|(worker, status)| worker.shown(status, backlog))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_worker_has_a_name_of_its_own_and_a_status() {
        let statuses = Statuses::default();
        let names: HashSet<&str> = WORKERS.iter().map(|worker| worker.name).collect();

        assert_eq!(names.len(), WORKERS.len());
        for name in [CLAIM, SETTLE, HEARTBEAT] {
            let run = statuses.of(name).begin(Timestamp::from_seconds(1));
            statuses.of(name).end(run, Timestamp::from_seconds(2), None);
        }

        let run = statuses.all(None).iter().filter(|status| status.runs == 1).count();
        assert_eq!(run, 3);
    }

    #[test]
    fn the_backlog_of_a_worker_is_its_own() {
        let backlog = Backlog {
            deliveries: 1,
            fan_out: 2,
            projection: 3,
            ..Backlog::default()
        };
        let all = Statuses::default().all(Some(&backlog));
        assert_eq!(all.iter().filter(|status| status.has_backlog).count(), 3);

        let found: Vec<_> = all
            .iter()
            .filter_map(|status| Some((status.name, status.backlog?)))
            .collect();

        assert_eq!(found, [("fan_out", 2), ("claim", 1), ("projection", 3)]);
    }
}
