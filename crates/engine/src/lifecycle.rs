//! Starting and stopping the workers. The only place that spawns tasks.
//!
//! The order of a stop: the server has stopped accepting events; events that wait are committed; no worker claims any
//! more; attempts under way end, and their deadline bounds the wait; results are recorded; the store is closed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::delivery::Dispatcher;
use crate::engine::Engine;
use crate::engine::table::{self, CLAIM, HEARTBEAT, SETTLE, WORKERS};
use crate::journal::ingest::{COMMITTERS, COMMITTERS_THAT_SHARE};
use crate::workers::{self, Status};
use crate::{heartbeat, outage, telemetry};

/// The pause between two looks for due deliveries that no wake asked for.
const TICK: Duration = Duration::from_millis(250);
/// The pause between two looks that a wake asked for. Other nodes wake this one for every event that they cannot begin,
/// and a hook that hangs makes that every event of its own. Deliveries that can begin here are known without a look.
const LOOK_GAP: Duration = Duration::from_millis(25);
/// The longest duration of a stop beyond the lease.
const GRACE: Duration = Duration::from_secs(2);

/// An engine whose workers run.
pub struct Lifecycle {
    engine: Arc<Engine>,
    stop: watch::Sender<bool>,
    workers: JoinSet<()>,
    committers: JoinSet<()>,
    settler: JoinSet<()>,
}

impl Lifecycle {
    /// Starts the workers of an engine.
    #[must_use]
    pub fn start(engine: Arc<Engine>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (mut workers, mut committers, mut settler) = (JoinSet::new(), JoinSet::new(), JoinSet::new());

        let count = if engine.context.store.shares_commits() {
            COMMITTERS_THAT_SHARE
        } else {
            COMMITTERS
        };

        for _ in 0..count {
            let journal = Arc::clone(&engine.journal);
            committers.spawn(async move {
                while workers::unharmed(async { Ok(journal.commit_arrivals().await) })
                    .await
                    .unwrap_or(true)
                {}
            });
        }

        let dispatcher = Arc::clone(&engine.dispatcher);
        settler.spawn(Arc::clone(&dispatcher).settle_results(engine.statuses.of(SETTLE)));
        workers.spawn(deliver(dispatcher, engine.statuses.of(CLAIM), stopped.clone()));

        let (context, status) = (Arc::clone(&engine.context), engine.statuses.of(HEARTBEAT));
        let stop_heartbeat = stopped.clone();
        workers.spawn(async move { heartbeat::run(&context, &status, stop_heartbeat).await });

        for worker in WORKERS {
            workers.spawn(table::run(worker, Arc::clone(&engine), stopped.clone()));
        }

        Self {
            engine,
            stop,
            workers,
            committers,
            settler,
        }
    }

    /// Stops the workers. Events that were acknowledged are on disk; attempts under way end or are given back.
    pub async fn stop(mut self) {
        let Engine { context, journal, .. } = &*self.engine;
        journal.close();

        let patience = context.settings.lease + GRACE;
        let ended =
            tokio::time::timeout(patience, async { while self.committers.join_next().await.is_some() {} }).await;

        if ended.is_err() {
            // These events were not acknowledged. Their senders send them again.
            tracing::warn!("the store did not answer in time; some events that were not acknowledged may be lost");
            self.committers.abort_all();
        }

        // An error only means that no worker runs any more.
        let _ = self.stop.send(true);
        let ended = tokio::time::timeout(patience, async { while self.workers.join_next().await.is_some() {} }).await;
        if ended.is_err() {
            tracing::warn!("some attempts did not end in time; they are made again after their lease");
        }

        self.settler.shutdown().await;

        if let Err(error) = journal.save_requests().await {
            tracing::warn!("failed to write down the last requests: {error:#}");
        }

        if let Err(error) = context.store.node_stopped(context.node).await {
            tracing::warn!(%error, "failed to sign off");
        }

        context.store.close().await;
    }
}

/// The deliver worker: claims while there are permits, lets attempts run side by side, and at the end waits for them.
async fn deliver(dispatcher: Arc<Dispatcher>, status: Arc<Status>, mut stop: watch::Receiver<bool>) {
    let context = Arc::clone(dispatcher.context());
    let scheduler = &dispatcher.scheduler;
    let mut attempts = JoinSet::new();
    let mut tick = tokio::time::interval(TICK);
    let (mut look, mut failing) = (true, false);
    let mut may_look = tokio::time::Instant::now();
    let mut claiming = None;

    while !*stop.borrow() {
        while attempts.try_join_next().is_some() {}
        for claimed in dispatcher.ready() {
            attempts.spawn(Arc::clone(&dispatcher).attempt_and_queue(claimed));
        }

        dispatcher.give_back().await;

        let looks = look && may_look <= tokio::time::Instant::now();
        let wants_claim = || scheduler.wants_claim(&context.index(), context.clock.now());

        if claiming.is_none() && !failing && (looks || wants_claim()) {
            look = false;
            may_look = tokio::time::Instant::now() + LOOK_GAP;
            claiming = Some(Box::pin(claim(&dispatcher, &status)));
        }

        let waits = look && claiming.is_none() && !failing;
        let claimed = async {
            match &mut claiming {
                Some(claiming) => claiming.await,
                None => std::future::pending().await,
            }
        };

        tokio::select! {
            claimed = claimed => {
                claiming = None;
                // After a failure, the next claim waits for the tick: a store that is away is not hammered.
                failing |= claimed.is_err();
            }
            () = scheduler.moved() => {}
            () = context.wakes.deliver.notified() => look = true,
            () = tokio::time::sleep_until(may_look), if waits => {}
            _ = tick.tick() => (look, failing) = (true, false),
            _ = stop.changed() => {}
        }
    }

    // A claim that is dropped may have been granted.
    if let Some(claiming) = claiming {
        let _ = claiming.await;
    }

    scheduler.give_all_back();
    dispatcher.give_back().await;
    while attempts.join_next().await.is_some() {}

    while dispatcher.in_flight() > 0 {
        scheduler.moved().await;
    }
}

/// Claims deliveries, and notes the result.
async fn claim(dispatcher: &Dispatcher, status: &Status) -> anyhow::Result<()> {
    let clock = &dispatcher.context().clock;
    let run = status.begin(clock.now());
    let claimed = dispatcher.claim().await;

    status.end(
        run,
        clock.now(),
        claimed.as_ref().err().map(|error| format!("{error:#}")),
    );

    if let Err(error) = &claimed {
        metrics::counter!(telemetry::FAILURES, "worker" => CLAIM).increment(1);
        if outage::cause_stands_alone(error) {
            tracing::error!("failed to claim deliveries, trying again: {error:#}");
        }
    }

    claimed
}
