//! Step 5, settle: results of attempts are recorded, and the scheduler learns from them.

use std::sync::Arc;
use std::time::Duration;

use quickdraw_store::deliveries::{Claimed, Finished, OrderingQueue, Settlement};

use super::Dispatcher;
use crate::workers::{self, Status};
use crate::{outage, telemetry};

/// Maximum number of results that share a settle.
const BATCH: usize = 256;
/// Retries of a settle, and the pause before each.
const RETRIES: usize = 3;
const PAUSE: Duration = Duration::from_millis(200);

impl Dispatcher {
    /// Settles one batch of results.
    ///
    /// # Errors
    /// When the store fails. The leases lapse then, and the attempts are made again.
    pub async fn settle(&self, batch: Vec<(Claimed, Finished)>) -> anyhow::Result<()> {
        let (claimed, finished): (Vec<Claimed>, Vec<Finished>) = batch.into_iter().unzip();
        let mut settled = self.finish(finished.clone()).await;

        for _ in 0..RETRIES {
            if settled.is_ok() {
                break;
            }

            // Without its result, an attempt is made again.
            tokio::time::sleep(PAUSE).await;
            settled = self.finish(finished.clone()).await;
        }

        let settlements = settled.as_deref().ok();
        let lost = settlements
            .into_iter()
            .flatten()
            .filter(|settlement| settlement.state.is_none())
            .count();
        metrics::counter!(telemetry::LOST_LEASES).increment(lost as u64);

        let changes = self
            .scheduler
            .settled(claimed.iter().map(|claimed| claimed.hook), settlements);
        let queues = claimed
            .iter()
            .zip(settlements.into_iter().flatten())
            .filter_map(advancing_queue);
        self.scheduler.queues_changed(queues);
        self.show_in_flight();

        if !changes.is_empty() {
            let outcomes = finished.iter().map(|one| (one.hook, one.outcome)).collect();
            self.report_health(changes, &outcomes).await;
        }

        settled.map(drop).map_err(Into::into)
    }

    async fn finish(&self, batch: Vec<Finished>) -> quickdraw_store::Result<Vec<Settlement>> {
        let policies = Arc::clone(&self.context.settings.policies);
        self.context
            .store
            .finish_attempts(batch, self.context.clock.now(), policies)
            .await
    }

    /// Gathers results and settles them, for ever. There is one settler on a node: results that come in during a flush
    /// make the next batch larger, and no attempt waits for it.
    pub(crate) async fn settle_results(self: Arc<Self>, status: Arc<Status>) {
        loop {
            let mut batch = Vec::new();
            if self.finished.lock().await.recv_many(&mut batch, BATCH).await == 0 {
                return;
            }

            let count = batch.len();
            let run = status.begin(self.context.clock.now());
            let settled = workers::unharmed(self.settle(batch)).await;

            status.end(
                run,
                self.context.clock.now(),
                settled.as_ref().err().map(|error| format!("{error:#}")),
            );

            if let Err(error) = settled {
                metrics::counter!(telemetry::FAILURES, "worker" => "settle").increment(1);

                if outage::cause_stands_alone(&error) {
                    tracing::error!(
                        attempts = count,
                        "failed to record attempts, they are made again: {error:#}"
                    );
                }
            }
        }
    }

    /// Reads the health of hooks that other nodes and earlier processes recorded. The worker `maintenance` calls this
    /// too, because two results can be recorded in one order and arrive here in the other.
    ///
    /// # Errors
    /// When the store fails. The known health stays.
    pub(crate) async fn load_health(&self) -> anyhow::Result<()> {
        let version = self.context.index().version();
        let failing = self.context.store.failing_hooks().await?;
        self.scheduler.replace_health(version, failing.into_iter().collect());

        Ok(())
    }
}

/// The ordering queue that can advance, because a delivery at its head is final.
pub(super) fn advancing_queue((claimed, settlement): (&Claimed, &Settlement)) -> Option<OrderingQueue> {
    claimed
        .queue
        .filter(|_| settlement.state.is_some_and(|state| !state.is_owed()))
}
