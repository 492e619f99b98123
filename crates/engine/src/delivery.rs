//! Delivery: claim, attempt, settle.
//!
//! Attempts run side by side, bounded per hook, per host and in all. The bound of a hook is learned: its window starts
//! small, grows with each success and halves with each failure. A receiver that hangs holds a handful of permits and
//! not a hundred. A permit is free when its attempt has ended; the result is recorded beside the next attempts.

pub(crate) mod attempt;
pub(crate) mod manual;
pub(crate) mod notices;
pub(crate) mod settle;
pub mod transport;

use std::sync::Arc;

use quickdraw_domain::guard::Rule;
use quickdraw_domain::hook::HookUrl;
use quickdraw_store::deliveries::{Claimed, Finished};
use tokio::sync::{Mutex, Semaphore, mpsc};

use self::attempt::Redactors;
use self::transport::{Resolved, Transport};
use crate::context::Context;
use crate::journal::Journal;
use crate::scheduler::{ScanFrom, Scheduler};
use crate::{outage, telemetry};

/// Memory for the usual bodies of attempts under way, in KiB.
const BODIES_KIB: usize = 64 << 10;
/// Memory for their large bodies, in KiB. It is separate, so that the delivery of a usual body never waits for a
/// receiver of a large one.
const LARGE_BODIES_KIB: usize = 192 << 10;
/// Ordering queues that are read together.
const QUEUES: usize = 1000;

/// Deliveries of this node.
pub struct Dispatcher {
    context: Arc<Context>,
    journal: Arc<Journal>,
    pub(crate) scheduler: Arc<Scheduler>,
    transport: Arc<dyn Transport>,
    redactors: Redactors,

    /// Memory for usual bodies of attempts under way, in KiB.
    bodies: Semaphore,

    /// Memory for large bodies.
    large_bodies: Semaphore,
    results: mpsc::UnboundedSender<(Claimed, Finished)>,
    finished: Mutex<mpsc::UnboundedReceiver<(Claimed, Finished)>>,
}

impl Dispatcher {
    pub(crate) fn new(
        context: Arc<Context>,
        journal: Arc<Journal>,
        scheduler: Arc<Scheduler>,
        transport: Arc<dyn Transport>,
    ) -> Self {
        let (results, finished) = mpsc::unbounded_channel();

        Self {
            context,
            journal,
            scheduler,
            transport,
            redactors: Redactors::default(),
            bodies: Semaphore::new(BODIES_KIB),
            large_bodies: Semaphore::new(LARGE_BODIES_KIB),
            results,
            finished: Mutex::new(finished),
        }
    }

    pub(crate) const fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Claims due deliveries, as far as there are permits. [`Self::ready`] returns those that can begin.
    ///
    /// # Errors
    /// When the store fails. Nothing is kept then.
    pub async fn claim(&self) -> anyhow::Result<()> {
        let version = self.context.index().version();
        if !self.scheduler.has_health_of(version) {
            self.load_health().await?;
        }

        self.advance_queues().await;

        let (now, lease) = (self.context.clock.now(), self.context.settings.lease);
        let claim = self
            .scheduler
            .claim(&self.context.index(), self.context.node, now, lease);
        let Some(claim) = claim else { return Ok(()) };
        let claimed = self.context.store.claim_deliveries(claim.clone()).await?;

        self.scheduler.claimed(&claim, claimed);

        Ok(())
    }

    /// Advances the ordering queues of hooks that want their events in order. A failure does not stop other deliveries.
    async fn advance_queues(&self) {
        let scan = self.scheduler.start_scan();
        let mut queues = scan.queues;

        if let Some(from) = scan.all {
            match self.context.store.blocked_queues_after(from.last(), QUEUES).await {
                Ok((waiting, last)) => {
                    queues.extend(waiting);

                    // The next claim reads the next thousand.
                    if let Some(last) = last {
                        self.scheduler.continue_scan(ScanFrom::After(last));
                    }
                }
                Err(error) if outage::stands_alone(&error) => {
                    tracing::warn!(%error, "failed to read ordering queues; they are read again");
                }
                Err(_) => {}
            }
        }

        if queues.is_empty() {
            return;
        }

        // One order on all nodes, so that two nodes do not wait for each other.
        queues.sort_unstable_by_key(|queue| (queue.hook, queue.object));
        if let Err(error) = self.context.store.advance(queues, self.context.clock.now()).await
            && outage::stands_alone(&error)
        {
            tracing::warn!(%error, "failed to advance ordering queues; they are read again");
        }
    }

    /// Deliveries that can begin now: leased with their event, or claimed and given a permit.
    #[must_use]
    pub fn ready(&self) -> Vec<Claimed> {
        let ready = self.scheduler.ready(&self.context.index(), self.context.clock.now());
        if !ready.is_empty() {
            self.show_in_flight();
        }

        ready
    }

    /// Gives deliveries back to the store that will not begin here.
    pub async fn give_back(&self) {
        let returned = self.scheduler.returned();
        if returned.is_empty() {
            return;
        }

        if let Err(error) = self.context.store.release_leases(self.context.node, returned).await {
            tracing::debug!(%error, "failed to give deliveries back; their leases lapse");
        }
    }

    /// Gives back a delivery that was not attempted after all.
    pub async fn abandon(&self, claimed: &Claimed) {
        let known = self.context.index().hook(claimed.hook).is_some();
        self.scheduler.abandoned(claimed, known);

        if !known {
            self.context.wakes.directory.notify_one();
        }

        let lease = vec![(claimed.delivery, claimed.fence)];
        if let Err(error) = self.context.store.release_leases(self.context.node, lease).await {
            tracing::debug!(%error, "failed to give a delivery back; its lease lapses");
        }
    }

    /// Attempts a delivery and queues the result for the settler. Then it continues with the same hook while it can.
    pub(crate) async fn attempt_and_queue(self: Arc<Self>, first: Claimed) {
        let mut next = Some(first);
        while let Some(claimed) = next {
            let hook = claimed.hook;
            match self.attempt(&claimed).await {
                // The receiving half lives as long as this struct.
                Some(finished) => drop(self.results.send((claimed, finished))),
                None => self.abandon(&claimed).await,
            }

            next = self
                .scheduler
                .next(&self.context.index(), hook, self.context.clock.now());
        }
    }

    /// Looks up the host of a URL as an attempt would, for a person who tests the guard.
    pub async fn resolve(&self, url: &HookUrl) -> Resolved {
        self.transport.resolve(url).await
    }

    /// Drops connections and addresses that are no longer needed.
    pub(crate) fn sweep_transport(&self) {
        self.transport.sweep();
    }

    /// Attempts of this node that are under way or not recorded yet.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.scheduler.in_flight()
    }

    /// The number of requests of this node that each rule of the guard has refused.
    #[must_use]
    pub fn guard_refusals(&self) -> Vec<(Rule, u64)> {
        self.transport.refusals()
    }

    fn show_in_flight(&self) {
        let count = u32::try_from(self.in_flight()).unwrap_or(u32::MAX);
        metrics::gauge!(telemetry::IN_FLIGHT).set(f64::from(count));
    }
}
