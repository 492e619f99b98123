//! Step 8, sweep: what time alone makes due. Lapsed leases, orphans, old history, gauges.

use std::time::Duration;

use quickdraw_domain::audience::SkipReason;
use quickdraw_domain::recursion::REMEMBERED;
use quickdraw_store::deliveries::Held;

use crate::context::{Belt, WhileDisabled};
use crate::telemetry::{self, precise};

/// Rows that one deletion takes: each holds the writer for a few milliseconds.
const PRUNE_BATCH: usize = 500;
const ORPHAN_BATCH: usize = 500;

impl Belt {
    /// Takes lapsed leases away; what they held is due again.
    ///
    /// # Errors
    /// When the store fails; they lapse at the next look.
    pub async fn expire_leases(&self) -> anyhow::Result<usize> {
        let policies = self.settings.policies.clone();
        let count = self.store.expire_leases(self.clock.now(), policies).await?;
        if count > 0 {
            tracing::warn!(deliveries = count, "took over deliveries whose outcome nobody recorded");
            self.wakes.deliver.notify_one();
        }
        Ok(count)
    }

    pub(crate) async fn tend(&self) -> anyhow::Result<()> {
        self.transport.sweep();
        // A change on another node whose signal was lost.
        self.refresh_directory().await?;
        self.learn_health().await?;
        self.save_seen().await?;
        self.load_last_events().await?;
        self.store.cancel_orphans(self.clock.now(), ORPHAN_BATCH).await?;
        // Somebody may have left a line on a node that stopped before it could tell.
        self.flow.look_at_lines();
        let backlog = self.store.backlog().await?;
        let gauge = |name, value: i64| metrics::gauge!(name).set(precise(value));
        gauge(telemetry::OWED, backlog.owed);
        gauge(telemetry::FAN_OUT_PENDING, backlog.fan_out);
        gauge(telemetry::PROJECTION_PENDING, backlog.projection);
        let now = self.clock.now();
        let disabled = u32::try_from(self.flow.disabled(now).len()).unwrap_or(u32::MAX);
        metrics::gauge!(telemetry::HOOKS_DISABLED).set(f64::from(disabled));
        let oldest = backlog.oldest_due_at.map_or(Duration::ZERO, |due| now.since(due));
        metrics::gauge!(telemetry::OLDEST_DUE_SECONDS).set(oldest);
        Ok(())
    }

    /// Gives up what is no longer held for hooks that are disabled.
    ///
    /// # Errors
    /// When the store fails; the rest is given up at the next look.
    pub async fn drop_held(&self) -> anyhow::Result<()> {
        let now = self.clock.now();
        let held = match self.settings.while_disabled {
            WhileDisabled::Hold { longest, most } => {
                Held { older_than: now.minus(longest), most: i64::from(most), reason: SkipReason::HoldBudget }
            }
            WhileDisabled::Drop => Held { older_than: now, most: 0, reason: SkipReason::Disabled },
        };
        for hook in self.flow.disabled(now) {
            let mut count = 0;
            loop {
                let dropped = self.store.drop_held(hook, held, now, PRUNE_BATCH).await?;
                count += dropped;
                if dropped < PRUNE_BATCH {
                    break;
                }
            }
            if count > 0 {
                self.flow.look_at_lines();
                metrics::counter!(telemetry::DROPPED, "reason" => held.reason.word()).increment(count as u64);
                tracing::warn!(hook.id = %hook, "gave up {count} deliveries of hook {hook}, which is disabled");
            }
        }
        Ok(())
    }

    pub(crate) async fn prune(&self) -> anyhow::Result<()> {
        let now = self.clock.now();
        self.store.prepare_partitions(now).await?;
        let kept = Duration::from_secs(86_400 * quickdraw_store::audit::KEPT_DAYS);
        while self.store.prune_audit(now.minus(kept), PRUNE_BATCH).await? >= PRUNE_BATCH {}
        while self.store.forget_chains(now.minus(REMEMBERED), PRUNE_BATCH).await? >= PRUNE_BATCH {}
        let before = now.minus(self.settings.retention);
        while self.store.prune(before, PRUNE_BATCH).await? >= PRUNE_BATCH {
            // Between two batches others get their turn.
            tokio::task::yield_now().await;
        }
        // Last: what fails here must not keep retention from its work.
        self.drop_held().await?;
        self.forget_people().await?;
        self.forget_projects().await
    }
}
