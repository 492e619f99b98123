//! Step 2, fan out: event → deliveries, skip reasons, marks; one transaction a batch.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use quickdraw_domain::event::Event;
use quickdraw_domain::recursion::Chain;
use quickdraw_domain::{EventId, HookId};

use crate::belt::{Belt, WhileDisabled};
use crate::judge::Judged;

const BATCH: usize = 256;

impl Belt {
    /// Fans out one batch. Tells how many events there were; nothing is left when it is less than a batch.
    ///
    /// # Errors
    /// When the store fails; the events keep waiting.
    pub async fn fan_out(&self) -> anyhow::Result<usize> {
        let mut judged: Arc<HashMap<EventId, Judged>> = Arc::default();
        loop {
            let index = self.index().clone();
            let version = index.version();
            let (rates, off) = (Arc::clone(&self.rates), self.hooks_to_drop_for());
            let known = Arc::clone(&judged);
            let decide = Arc::new(move |event: &Event, chain: &mut Chain| {
                // Filters are never asked inside of the transaction: others wait for it.
                let stopped: &[_] = match known.get(&event.id) {
                    Some(Judged { stopped, .. }) => stopped,
                    None if index.with_filters(event.place, event.trigger, event.branch().is_some()).is_empty() => &[],
                    None => return None,
                };
                Some(index.audience(event, stopped, chain, &rates, &off))
            });
            let count = self.store.fan_out(BATCH, self.clock.now(), version, decide).await?;
            if count.outdated {
                self.refresh_directory().await?;
                judged = Arc::default();
                continue;
            }
            let unjudged = count.unjudged.len();
            if unjudged > 0 {
                judged = Arc::new(self.judge_waiting(count.unjudged).await?);
            }
            if count.events > 0 && self.index().some_ordered() {
                // Some may stand in lines now, and those in lines may have waited for this.
                self.flow.look_at_lines();
            }
            if count.deliveries > 0 {
                self.wakes.deliver.notify_one();
            }
            if unjudged == 0 {
                return Ok(count.events);
            }
        }
    }

    /// Asks the filters about events that were not decided when they arrived.
    async fn judge_waiting(&self, events: Vec<Event>) -> anyhow::Result<HashMap<EventId, Judged>> {
        let index = self.index().clone();
        let mut all = HashMap::new();
        for event in events {
            let Some((event, payload)) = self.store.find_event(event.id).await? else { continue };
            let body = payload.unpack().unwrap_or_default();
            let judged = self.judge(&index, (event.place, event.trigger), event.branch(), &body).await;
            all.insert(event.id, judged);
        }
        Ok(all)
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
