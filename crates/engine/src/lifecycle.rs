//! Setting the belt in motion and bringing it to a halt. The only place that spawns tasks.
//!
//! The halt, in order: whoever accepts events has stopped; what waits for a commit is committed; nothing more is
//! claimed; attempts under way end (their deadline bounds the wait); results are recorded; the store is closed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::context::Belt;
use crate::delivery::Deliveries;
use crate::journal::ingest::{COMMITTERS, COMMITTERS_THAT_SHARE};
use crate::{outage, telemetry, workers};

/// How often each worker looks without being woken.
const TICK: Duration = Duration::from_millis(250);
/// Between two looks that were only asked for: other nodes ask for one with every event that they cannot begin, and a hook
/// that hangs makes that every event of its own. What can begin here is known without asking.
const LOOK_GAP: Duration = Duration::from_millis(25);
const TEND: Duration = Duration::from_secs(5);
const PRUNE: Duration = Duration::from_secs(60);
/// How much longer than the lease the halt may take.
const GRACE: Duration = Duration::from_secs(2);

/// A belt in motion.
pub struct Lifecycle {
    belt: Arc<Belt>,
    stop: watch::Sender<bool>,
    workers: JoinSet<()>,
    committers: JoinSet<()>,
    settler: JoinSet<()>,
}

impl Lifecycle {
    /// Sets a belt in motion.
    #[must_use]
    pub fn start(belt: Arc<Belt>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let deliveries = Deliveries::new(belt.clone());
        let (mut workers, mut committers, mut settler) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
        let count = if belt.store.shares_commits() { COMMITTERS_THAT_SHARE } else { COMMITTERS };
        for _ in 0..count {
            let one = belt.clone();
            committers.spawn(async move {
                while workers::unharmed(async { Ok(one.commit_arrivals().await) }).await.unwrap_or(true) {}
            });
        }
        settler.spawn(deliveries.clone().settle_results());
        workers.spawn(deliver(belt.clone(), deliveries, stopped.clone()));
        let (one, stop_one) = (belt.clone(), stopped.clone());
        workers.spawn(async move { one.watch_store(stop_one).await });
        let (one, stop_one) = (belt.clone(), stopped.clone());
        workers.spawn(async move {
            workers::run("fan_out", Some(&one.wakes.fan_out), TICK, stop_one, || one.fan_out_all()).await;
        });
        let (one, stop_one) = (belt.clone(), stopped.clone());
        workers.spawn(async move {
            // Not woken: a tick's worth of events is projected at once, and costs those who wait for an answer less.
            workers::run("project", None, TICK, stop_one, || one.project_all()).await;
        });
        let (one, stop_one) = (belt.clone(), stopped.clone());
        workers.spawn(async move {
            workers::run("directory", Some(&one.wakes.directory), TEND, stop_one, || one.refresh_directory()).await;
        });
        let (one, stop_one) = (belt.clone(), stopped.clone());
        workers.spawn(async move {
            let expire = || async { one.expire_leases().await.map(drop) };
            workers::run("leases", None, Duration::from_secs(1), stop_one, expire).await;
        });
        let (one, stop_one) = (belt.clone(), stopped.clone());
        workers.spawn(async move {
            let asked = &one.rebuilds.asked;
            workers::run("rebuild", Some(asked), TEND, stop_one.clone(), || one.rebuild(&stop_one)).await;
        });
        let (one, stop_one) = (belt.clone(), stopped.clone());
        workers.spawn(async move { workers::run("replay", None, TICK, stop_one, || one.replay()).await });
        let (one, stop_one) = (belt.clone(), stopped.clone());
        workers.spawn(async move { workers::run("operations", None, TEND, stop_one, || one.end_operations()).await });
        let (one, stop_one) = (belt.clone(), stopped.clone());
        workers.spawn(async move { workers::run("tend", None, TEND, stop_one, || one.tend()).await });
        let (one, stop_one) = (belt.clone(), stopped.clone());
        workers.spawn(async move { workers::run("current", None, TEND, stop_one, || one.show_insights()).await });
        let (one, stop_one) = (belt.clone(), stopped.clone());
        workers.spawn(async move { workers::run("watch", None, TEND, stop_one, || one.watch()).await });
        let (one, stop_one) = (belt.clone(), stopped.clone());
        workers.spawn(async move { workers::run("prune", None, PRUNE, stop_one, || one.prune()).await });
        let (one, mut stop_one) = (belt.clone(), stopped);
        workers.spawn(async move {
            let listening = workers::run("listen", None, Duration::ZERO, stop_one.clone(), || async {
                Ok(one.store.listen(&one.wakes).await?)
            });
            tokio::select! {
                () = listening => {}
                _ = stop_one.changed() => {}
            }
        });
        Self { belt, stop, workers, committers, settler }
    }

    /// Brings it to a halt. Events that were acknowledged are on disk; attempts under way end or are given back.
    pub async fn stop(mut self) {
        self.belt.close_ingest();
        let patience = self.belt.settings.lease + GRACE;
        let ended =
            tokio::time::timeout(patience, async { while self.committers.join_next().await.is_some() {} }).await;
        if ended.is_err() {
            // Nobody was told that these are safe; whoever sent them sends them again.
            tracing::warn!("the store did not answer in time; some events that were not acknowledged may be lost");
            self.committers.abort_all();
        }
        // Only says that nobody listens any more, which is no matter now.
        let _ = self.stop.send(true);
        let ended = tokio::time::timeout(patience, async { while self.workers.join_next().await.is_some() {} }).await;
        if ended.is_err() {
            tracing::warn!("some attempts did not end in time; they are made again after their lease");
        }
        self.settler.shutdown().await;
        if let Err(error) = self.belt.save_seen().await {
            tracing::warn!("failed to write down the last requests: {error:#}");
        }
        if let Err(error) = self.belt.store.node_stopped(self.belt.node).await {
            tracing::warn!(%error, "failed to sign off");
        }
        self.belt.store.close().await;
    }
}

/// The deliver worker: claims while there is room, lets attempts run side by side, and at the end waits for them.
async fn deliver(belt: Arc<Belt>, deliveries: Arc<Deliveries>, mut stop: watch::Receiver<bool>) {
    let mut attempts = JoinSet::new();
    let mut tick = tokio::time::interval(TICK);
    let (mut look, mut failing) = (true, false);
    let mut may_look = tokio::time::Instant::now();
    let mut claiming = None;
    while !*stop.borrow() {
        while attempts.try_join_next().is_some() {}
        for claimed in deliveries.ready() {
            attempts.spawn(deliveries.clone().attempt_and_hand_over(claimed));
        }
        deliveries.give_back().await;
        let looks = look && may_look <= tokio::time::Instant::now();
        if claiming.is_none() && !failing && (looks || belt.flow.wants_claim(&belt.index(), belt.clock.now())) {
            look = false;
            may_look = tokio::time::Instant::now() + LOOK_GAP;
            claiming = Some(Box::pin(deliveries.claim()));
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
                if let Err(error) = claimed {
                    // Until the next tick: a store that is away is not hammered.
                    failing = true;
                    metrics::counter!(telemetry::FAILURES, "worker" => "claim").increment(1);
                    if outage::cause_stands_alone(&error) {
                        tracing::error!("failed to claim deliveries, trying again: {error:#}");
                    }
                }
            }
            () = belt.flow.moved() => {}
            () = belt.wakes.deliver.notified() => look = true,
            () = tokio::time::sleep_until(may_look), if waits => {}
            _ = tick.tick() => (look, failing) = (true, false),
            _ = stop.changed() => {}
        }
    }
    // A claim that is dropped may have been granted.
    if let Some(claiming) = claiming {
        let _ = claiming.await;
    }
    belt.flow.give_all_back();
    deliveries.give_back().await;
    while attempts.join_next().await.is_some() {}
    while deliveries.in_flight() > 0 {
        belt.flow.moved().await;
    }
}
