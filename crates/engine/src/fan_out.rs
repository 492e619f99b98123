//! Step 2, fan out: event → deliveries, skip reasons, marks; one transaction a batch.

use std::collections::HashSet;
use std::sync::Arc;

use quickdraw_domain::HookId;
use quickdraw_domain::event::Event;
use quickdraw_domain::recursion::Chain;

use crate::belt::{Belt, WhileDisabled};

const BATCH: usize = 256;

impl Belt {
    /// Fans out one batch. Tells how many events there were; nothing is left when it is less than a batch.
    ///
    /// # Errors
    /// When the store fails; the events keep waiting.
    pub async fn fan_out(&self) -> anyhow::Result<usize> {
        loop {
            let index = self.index().clone();
            let version = index.version();
            let (rates, off) = (Arc::clone(&self.rates), self.hooks_to_drop_for());
            let decide = Arc::new(move |event: &Event, chain: &mut Chain| index.audience(event, chain, &rates, &off));
            let count = self.store.fan_out(BATCH, self.clock.now(), version, decide).await?;
            if count.outdated {
                self.refresh_directory().await?;
                continue;
            }
            if count.events > 0 && self.index().some_ordered() {
                // Some may stand in lines now, and those in lines may have waited for this.
                self.flow.look_at_lines();
            }
            if count.deliveries > 0 {
                self.wakes.deliver.notify_one();
            }
            return Ok(count.events);
        }
    }

    /// Hooks whose events are dropped at the moment.
    pub(crate) fn hooks_to_drop_for(&self) -> HashSet<HookId> {
        match self.settings.while_disabled {
            WhileDisabled::Drop => self.flow.disabled(self.clock.now()),
            WhileDisabled::Hold { .. } => HashSet::new(),
        }
    }

    pub(crate) async fn fan_out_all(&self) -> anyhow::Result<()> {
        while self.fan_out().await? == BATCH {}
        Ok(())
    }
}
