//! Steps 3 to 5: claim, attempt, settle.
//!
//! Attempts run side by side, bounded per hook, per host and in all. What limits a hook is learned: its share starts
//! small, grows with each success and halves with each failure, so a receiver that hangs holds a handful of slots and
//! not a hundred. A slot is free again when its attempt has ended; the result is recorded beside the next attempts.

pub(crate) mod attempt;
pub(crate) mod limits;
pub(crate) mod manual;
pub(crate) mod notices;
pub mod permits;
pub(crate) mod scheduler;
pub mod transport;

use std::sync::Arc;
use std::time::Duration;

use quickdraw_store::deliveries::{Claimed, Finished, Line, Settlement};
use tokio::sync::mpsc;

use crate::context::Belt;
use crate::{outage, telemetry, workers};

/// Most results that share a settle.
const SETTLE_BATCH: usize = 256;
/// How often a settle is tried again, and after what pause.
const SETTLE_AGAIN: usize = 3;
/// Lines that are looked at together.
const LINES: usize = 1000;
const SETTLE_PAUSE: Duration = Duration::from_millis(200);

/// What this node delivers at the moment.
pub struct Deliveries {
    belt: Arc<Belt>,
    results: mpsc::UnboundedSender<(Claimed, Finished)>,
    finished: tokio::sync::Mutex<mpsc::UnboundedReceiver<(Claimed, Finished)>>,
}

impl Deliveries {
    /// Begins with nothing under way.
    #[must_use]
    pub fn new(belt: Arc<Belt>) -> Arc<Self> {
        let (results, finished) = mpsc::unbounded_channel();
        Arc::new(Self { belt, results, finished: tokio::sync::Mutex::new(finished) })
    }

    /// Claims what is due, as far as there is room. [`Self::ready`] tells what can begin.
    ///
    /// # Errors
    /// When the store fails; nothing is kept then.
    pub async fn claim(&self) -> anyhow::Result<()> {
        let version = self.belt.index().version();
        if !self.belt.flow.has_learnt(version) {
            self.belt.learn_health().await?;
        }
        self.move_up().await;
        let (now, lease) = (self.belt.clock.now(), self.belt.settings.lease);
        let claim = self.belt.flow.claim(&self.belt.index(), self.belt.node, now, lease);
        let Some(claim) = claim else { return Ok(()) };
        let claimed = self.belt.store.claim_deliveries(claim.clone()).await?;
        self.belt.flow.claimed(&claim, claimed);
        Ok(())
    }

    /// Moves up whoever is next in the lines of hooks that want their events in order. Others need not wait because it fails.
    async fn move_up(&self) {
        let (mut lines, all) = self.belt.flow.take_lines();
        if let Some(after) = all {
            match self.belt.store.waiting_lines(after, LINES).await {
                Ok((waiting, last)) => {
                    lines.extend(waiting);
                    // The next thousand with the next claim.
                    if last.is_some() {
                        self.belt.flow.look_behind(last);
                    }
                }
                Err(error) if outage::stands_alone(&error) => {
                    tracing::warn!(%error, "failed to look for lines; they are looked for again");
                }
                Err(_) => {}
            }
        }
        if lines.is_empty() {
            return;
        }
        // In one order everywhere, so that two nodes do not wait for each other.
        lines.sort_unstable_by_key(|line| (line.hook, line.object));
        if let Err(error) = self.belt.store.move_up(lines, self.belt.clock.now()).await
            && outage::stands_alone(&error)
        {
            tracing::warn!(%error, "failed to move up in lines; they are looked for again");
        }
    }

    /// What can begin now: taken with its event, or claimed and given a slot.
    #[must_use]
    pub fn ready(&self) -> Vec<Claimed> {
        let ready = self.belt.flow.ready(&self.belt.index(), self.belt.clock.now());
        if !ready.is_empty() {
            self.show_in_flight();
        }
        ready
    }

    /// Gives back to the store what will not begin here.
    pub async fn give_back(&self) {
        let returned = self.belt.flow.returned();
        if !returned.is_empty()
            && let Err(error) = self.belt.store.release_leases(self.belt.node, returned).await
        {
            tracing::debug!(%error, "failed to give deliveries back; their leases lapse");
        }
    }

    /// Attempts a claimed delivery. `None`: it is to be given back with [`Self::abandon`].
    pub async fn attempt(&self, claimed: &Claimed) -> Option<Finished> {
        self.belt.attempt(claimed).await
    }

    /// Gives back what was not attempted after all.
    pub async fn abandon(&self, claimed: &Claimed) {
        let known = self.belt.index().hook(claimed.hook).is_some();
        self.belt.flow.abandoned(claimed, known);
        if !known {
            self.belt.wakes.directory.notify_one();
        }
        let lease = vec![(claimed.delivery, claimed.fence)];
        if let Err(error) = self.belt.store.release_leases(self.belt.node, lease).await {
            tracing::debug!(%error, "failed to give a delivery back; its lease lapses");
        }
    }

    /// Attempts a delivery and hands the result to whoever settles; then goes on with the same hook while it can.
    pub(crate) async fn attempt_and_hand_over(self: Arc<Self>, first: Claimed) {
        let mut next = Some(first);
        while let Some(claimed) = next {
            let hook = claimed.hook;
            match self.attempt(&claimed).await {
                // The receiving half lives as long as we do.
                Some(finished) => drop(self.results.send((claimed, finished))),
                None => self.abandon(&claimed).await,
            }
            next = self.belt.flow.next(&self.belt.index(), hook, self.belt.clock.now());
        }
    }

    /// Settles one batch of results.
    ///
    /// # Errors
    /// When the store fails. The leases lapse then, and the attempts are made again.
    pub async fn settle(&self, batch: Vec<(Claimed, Finished)>) -> anyhow::Result<()> {
        let (claimed, finished): (Vec<Claimed>, Vec<Finished>) = batch.into_iter().unzip();
        let mut settled = self.finish(finished.clone()).await;
        for _ in 0..SETTLE_AGAIN {
            if settled.is_ok() {
                break;
            }
            // What a receiver answered is worth a second try: without it the attempt is made again.
            tokio::time::sleep(SETTLE_PAUSE).await;
            settled = self.finish(finished.clone()).await;
        }
        let settlements = settled.as_deref().ok();
        let lost = settlements.into_iter().flatten().filter(|settlement| settlement.state.is_none()).count();
        metrics::counter!(telemetry::LOST_LEASES).increment(lost as u64);
        let changes = self.belt.flow.settled(claimed.iter().map(|claimed| claimed.hook), settlements);
        self.belt.flow.lined_up(claimed.iter().zip(settlements.into_iter().flatten()).filter_map(left));
        self.show_in_flight();
        if !changes.is_empty() {
            self.belt.tell(changes, &finished.iter().map(|one| (one.hook, one.outcome)).collect()).await;
        }
        settled.map(drop).map_err(Into::into)
    }

    async fn finish(&self, batch: Vec<Finished>) -> quickdraw_store::Result<Vec<Settlement>> {
        self.belt.store.finish_attempts(batch, self.belt.clock.now(), self.belt.settings.policies.clone()).await
    }

    /// Gathers results and settles them, for ever. One does it: what comes in while a batch is flushed makes the next one
    /// larger, and nobody waits for it.
    pub(crate) async fn settle_results(self: Arc<Self>) {
        loop {
            let mut batch = Vec::new();
            if self.finished.lock().await.recv_many(&mut batch, SETTLE_BATCH).await == 0 {
                return;
            }
            let count = batch.len();
            if let Err(error) = workers::unharmed(self.settle(batch)).await {
                metrics::counter!(telemetry::FAILURES, "worker" => "settle").increment(1);
                if outage::cause_stands_alone(&error) {
                    tracing::error!(attempts = count, "failed to record attempts, they are made again: {error:#}");
                }
            }
        }
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.belt.flow.in_flight()
    }

    fn show_in_flight(&self) {
        let count = u32::try_from(self.in_flight()).unwrap_or(u32::MAX);
        metrics::gauge!(telemetry::IN_FLIGHT).set(f64::from(count));
    }
}

/// The line in which somebody may move up, because a delivery is final.
pub(crate) fn left((claimed, settlement): (&Claimed, &Settlement)) -> Option<Line> {
    claimed.line.filter(|_| settlement.state.is_some_and(|state| !state.is_owed()))
}

impl Belt {
    /// Takes over what other nodes and earlier lives learned of the hooks' health. Also called now and then, because two
    /// results that were recorded in one order may be heard of in the other.
    ///
    /// # Errors
    /// When the store fails; what was known stays.
    pub(crate) async fn learn_health(&self) -> anyhow::Result<()> {
        let version = self.index().version();
        let ill = self.store.ill_hooks().await?;
        self.flow.learn(version, ill.into_iter().collect());
        Ok(())
    }
}
