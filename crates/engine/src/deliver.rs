//! Steps 3 to 5: claim, attempt, settle.
//!
//! Attempts run side by side, bounded per hook, per host and in all. What limits a hook is learned: its share starts
//! small, grows with each success and halves with each failure, so a receiver that hangs holds a handful of slots and
//! not a hundred. A slot is free again when its attempt has ended; the result is recorded beside the next claim.

mod attempt;
pub mod slots;
pub mod transport;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quickdraw_domain::health::{Health, Status};
use quickdraw_domain::{HookId, Timestamp};
use quickdraw_store::deliveries::{Claim, Claimed, Finished, Settlement};
use slots::Slots;
use tokio::sync::{Notify, mpsc};

use crate::belt::Belt;
use crate::{telemetry, worker};

/// Most results that share a settle.
const SETTLE_BATCH: usize = 256;
/// How often a settle is tried again, and after what pause.
const SETTLE_AGAIN: usize = 3;
const SETTLE_PAUSE: Duration = Duration::from_millis(200);
/// Settles under way at once: while one flushes, the next is put together.
pub(crate) const SETTLERS: usize = 2;

/// What this node delivers at the moment.
pub struct Deliveries {
    belt: Arc<Belt>,
    state: Mutex<State>,
    results: mpsc::UnboundedSender<(Claimed, Finished)>,
    finished: tokio::sync::Mutex<mpsc::UnboundedReceiver<(Claimed, Finished)>>,
    /// A slot became free.
    freed: Notify,
}

struct State {
    slots: Slots,
    health: HashMap<HookId, Health>,
    /// Version of the directory that `health` was last completed from.
    version: i64,
}

impl Deliveries {
    /// Begins with nothing under way.
    #[must_use]
    pub fn new(belt: Arc<Belt>) -> Arc<Self> {
        let (results, finished) = mpsc::unbounded_channel();
        let state = State { slots: Slots::new(belt.settings.slots), health: HashMap::new(), version: 0 };
        Arc::new(Self {
            belt,
            state: Mutex::new(state),
            results,
            finished: tokio::sync::Mutex::new(finished),
            freed: Notify::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims what is due, as far as there is room, and occupies slots for it.
    ///
    /// # Errors
    /// When the store fails; nothing is occupied then.
    pub async fn claim(&self) -> anyhow::Result<Vec<Claimed>> {
        self.learn_health().await?;
        let now = self.belt.clock.now();
        let Some(claim) = self.room(now) else { return Ok(Vec::new()) };
        let claimed = self.belt.store.claim_deliveries(claim).await?;
        let index = self.belt.index().clone();
        let mut state = self.state();
        for claimed in &claimed {
            let host = index.hook(claimed.hook).map(|hook| hook.url.authority());
            state.slots.occupy(claimed.hook, host, claimed.tally.attempts > 0);
        }
        drop(state);
        self.show_in_flight();
        Ok(claimed)
    }

    /// What may be claimed now; `None` when there is no slot at all.
    fn room(&self, now: Timestamp) -> Option<Claim> {
        let state = self.state();
        let (first, retries) = state.slots.free();
        if first == 0 && retries == 0 {
            return None;
        }
        let mut rooms = state.slots.rooms();
        let limits = self.belt.settings.slots;
        for (hook, health) in &state.health {
            let room = match health.status(now) {
                Status::Executable if health.is_probing(now) => 1_usize.saturating_sub(state.slots.outstanding(*hook)),
                Status::Executable => continue,
                Status::TemporarilyDisabled(_) | Status::Disabled => 0,
            };
            rooms.insert(*hook, room);
        }
        Some(Claim {
            node: self.belt.node,
            now,
            lease_until: now.plus(self.belt.settings.lease),
            first,
            retries,
            per_hook: limits.initial_per_hook,
            rooms,
        })
    }

    /// Takes over what other nodes and earlier lives learned of the hooks' health, when the directory changed.
    async fn learn_health(&self) -> anyhow::Result<()> {
        let version = self.belt.index().version();
        if self.state().version == version {
            return Ok(());
        }
        let directory = self.belt.store.directory().await?;
        let mut state = self.state();
        state.health = directory
            .hooks
            .iter()
            .filter(|entry| entry.health != Health::default())
            .map(|entry| (entry.hook.id, entry.health))
            .collect();
        state.version = version;
        Ok(())
    }

    /// Attempts a delivery and hands the result to whoever settles.
    pub(crate) async fn attempt_and_hand_over(self: Arc<Self>, claimed: Claimed) {
        if let Some(finished) = self.attempt(&claimed).await {
            // The receiving half lives as long as we do.
            let _ = self.results.send((claimed, finished));
            self.freed.notify_one();
            return;
        }
        let lease = vec![(claimed.delivery, claimed.fence)];
        if let Err(error) = self.belt.store.release_leases(self.belt.node, lease).await {
            tracing::debug!(%error, "failed to give a delivery back; its lease lapses");
        }
        let mut state = self.state();
        state.slots.release(claimed.hook, claimed.tally.attempts > 0, true);
        state.slots.settled(claimed.hook);
        drop(state);
        self.freed.notify_one();
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
        let mut state = self.state();
        for claimed in &claimed {
            state.slots.settled(claimed.hook);
        }
        if let Ok(settled) = &settled {
            for settlement in settled {
                if settlement.state.is_none() {
                    metrics::counter!(telemetry::LOST_LEASES).increment(1);
                    continue;
                }
                if settlement.health == Health::default() {
                    state.health.remove(&settlement.hook);
                } else {
                    state.health.insert(settlement.hook, settlement.health);
                }
            }
        }
        drop(state);
        self.show_in_flight();
        self.freed.notify_one();
        settled.map(drop).map_err(Into::into)
    }

    async fn finish(&self, batch: Vec<Finished>) -> quickdraw_store::Result<Vec<Settlement>> {
        self.belt.store.finish_attempts(batch, self.belt.clock.now(), self.belt.settings.policies.clone()).await
    }

    /// Gathers results and settles them, for ever.
    pub(crate) async fn settle_results(self: Arc<Self>) {
        loop {
            let mut batch = Vec::new();
            if self.finished.lock().await.recv_many(&mut batch, SETTLE_BATCH).await == 0 {
                return;
            }
            let count = batch.len();
            if let Err(error) = worker::unharmed(self.settle(batch)).await {
                metrics::counter!(telemetry::FAILURES, "worker" => "settle").increment(1);
                tracing::error!(attempts = count, "failed to record attempts, they are made again: {error:#}");
            }
        }
    }

    /// Waits until a slot is free again.
    pub(crate) async fn freed(&self) {
        self.freed.notified().await;
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.state().slots.total()
    }

    fn show_in_flight(&self) {
        let count = u32::try_from(self.in_flight()).unwrap_or(u32::MAX);
        metrics::gauge!(telemetry::IN_FLIGHT).set(f64::from(count));
    }
}
