//! Step 8, retention: lapsed leases, deliveries without a hook, old history; and gauges of the backlog.

use std::time::Duration;

use quickdraw_domain::audience::SkipReason;
use quickdraw_domain::recursion::REMEMBERED;
use quickdraw_store::deliveries::Held;

use super::Journal;
use super::fan_out::hooks_off;
use crate::context::Context;
use crate::settings::WhileDisabled;
use crate::telemetry::{self, precise};

/// Rows that one deletion takes: each holds the writer for a few milliseconds.
const PRUNE_BATCH: usize = 500;
const ORPHAN_BATCH: usize = 500;
/// Inspectors that one deletion takes: each can have two hundred requests.
const INSPECTOR_BATCH: usize = 5;

/// Deletes inspectors whose time is over, with the requests that they keep.
pub(crate) async fn prune_inspectors(context: &Context) -> anyhow::Result<()> {
    let now = context.clock.now();
    while context.store.prune_inspectors(now, INSPECTOR_BATCH).await? >= INSPECTOR_BATCH {
        tokio::task::yield_now().await;
    }

    Ok(())
}

impl Journal {
    /// Ends lapsed leases. Their deliveries are due again.
    ///
    /// # Errors
    /// When the store fails; they lapse at the next look.
    pub async fn expire_leases(&self) -> anyhow::Result<usize> {
        let policies = self.context.settings.policies.clone();
        let count = self
            .context
            .store
            .expire_leases(self.context.clock.now(), policies)
            .await?;
        if count > 0 {
            tracing::warn!(deliveries = count, "took over deliveries whose outcome nobody recorded");
            self.context.wakes.deliver.notify_one();
        }

        Ok(count)
    }

    /// Cancels deliveries whose hook is gone, and shows how much is waiting.
    pub(crate) async fn maintain(&self) -> anyhow::Result<()> {
        self.context
            .store
            .cancel_orphans(self.context.clock.now(), ORPHAN_BATCH)
            .await?;

        // A node can have stopped before it noted that an ordering queue can advance.
        self.scheduler.scan_queues();

        let backlog = self.context.store.backlog().await?;
        let gauge = |name, value: i64| metrics::gauge!(name).set(precise(value));
        gauge(telemetry::DELIVERIES_PENDING, backlog.deliveries);
        gauge(telemetry::FAN_OUT_PENDING, backlog.fan_out);
        gauge(telemetry::PROJECTION_PENDING, backlog.projection);

        let now = self.context.clock.now();
        let disabled = u32::try_from(self.scheduler.disabled(now).len()).unwrap_or(u32::MAX);
        metrics::gauge!(telemetry::HOOKS_DISABLED).set(f64::from(disabled));

        let index = self.context.directory();
        let paused = u32::try_from(index.paused().len()).unwrap_or(u32::MAX);
        metrics::gauge!(telemetry::HOOKS_PAUSED).set(f64::from(paused));

        let oldest = backlog.oldest_due_at.map_or(Duration::ZERO, |due| now.since(due));
        metrics::gauge!(telemetry::OLDEST_DUE_SECONDS).set(oldest);
        Ok(())
    }

    /// Gives up deliveries that are no longer held for disabled or paused hooks.
    ///
    /// # Errors
    /// When the store fails; the rest is given up at the next look.
    pub async fn drop_held(&self) -> anyhow::Result<()> {
        let now = self.context.clock.now();
        let held = match self.context.settings.while_disabled {
            WhileDisabled::Hold { longest, most } => Held {
                older_than: now.minus(longest),
                most: i64::from(most),
                reason: SkipReason::HoldBudget,
            },
            WhileDisabled::Drop => Held {
                older_than: now,
                most: 0,
                reason: SkipReason::Disabled,
            },
        };

        for hook in hooks_off(self) {
            let mut count = 0;
            loop {
                let dropped = self.context.store.drop_held(hook, held, now, PRUNE_BATCH).await?;
                count += dropped;

                if dropped < PRUNE_BATCH {
                    break;
                }
            }

            if count > 0 {
                self.scheduler.scan_queues();
                metrics::counter!(telemetry::DROPPED, "reason" => held.reason.word()).increment(count as u64);
                tracing::warn!(hook.id = %hook, "gave up {count} deliveries of hook {hook}, which is disabled or paused");
            }
        }

        Ok(())
    }

    /// Deletes history that is older than its retention.
    pub(crate) async fn prune(&self) -> anyhow::Result<()> {
        let now = self.context.clock.now();
        self.context.store.prepare_partitions(now).await?;

        let kept = Duration::from_secs(86_400 * quickdraw_store::audit::KEPT_DAYS);
        while self.context.store.prune_audit(now.minus(kept), PRUNE_BATCH).await? >= PRUNE_BATCH {}

        while self
            .context
            .store
            .forget_chains(now.minus(REMEMBERED), PRUNE_BATCH)
            .await?
            >= PRUNE_BATCH
        {}

        let before = now.minus(self.context.settings.retention);
        while self.context.store.prune(before, PRUNE_BATCH).await? >= PRUNE_BATCH {
            // Between two batches others get their turn.
            tokio::task::yield_now().await;
        }

        Ok(())
    }
}
