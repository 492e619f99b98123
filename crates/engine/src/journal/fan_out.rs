//! Step 2, fan out: event → deliveries, skip reasons, marks; one transaction a batch.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use quickdraw_domain::event::Event;
use quickdraw_domain::recursion::Chain;
use quickdraw_domain::scope::Place;
use quickdraw_domain::{EventId, HookId};

use super::Journal;
use super::audience::audience;
use super::judge::Judged;
use crate::settings::WhileDisabled;

const BATCH: usize = 256;
/// How long filters are asked before those events are decided whose filters have answered.
const LONGEST_JUDGING: Duration = Duration::from_millis(500);

impl Journal {
    /// Fans out one batch and returns its number of events. Fewer than a batch means that nothing is left.
    ///
    /// # Errors
    /// When the store fails; the events keep waiting.
    pub async fn fan_out(&self) -> anyhow::Result<usize> {
        let mut judged: Arc<HashMap<EventId, Judged>> = Arc::default();
        loop {
            let index = self.context.directory();
            let version = index.version();
            let (limit, off) = (Arc::clone(&self.limit), self.hooks_to_drop_for());
            let known = Arc::clone(&judged);

            let decide = Arc::new(move |event: &Event, chain: &mut Chain| {
                // Filters are never asked inside of the transaction: others wait for it.
                let filters = index.with_filters(event.place, event.trigger, event.branch().is_some());
                let stopped: &[_] = match known.get(&event.id) {
                    // A hook that was made after the event gets it in no case.
                    Some(judged)
                        if filters
                            .iter()
                            .all(|hook| hook.created_at > event.received_at || judged.asked.contains(&hook.id)) =>
                    {
                        &judged.stopped
                    }
                    _ if filters.is_empty() => &[],
                    _ => return None,
                };

                Some(audience(&index, event, stopped, chain, &limit, &off))
            });

            let count = self
                .context
                .store
                .fan_out(BATCH, self.context.clock.now(), version, decide)
                .await?;

            if count.outdated {
                // The answers of filters are kept: a directory that changes all the time must not hold events up for
                // ever.
                self.context.refresh_directory().await?;
                continue;
            }

            let unjudged = count.unjudged.len();
            if unjudged > 0 {
                judged = Arc::new(self.judge_waiting(count.unjudged).await?);
            }

            if count.events > 0 && self.context.index().some_ordered() {
                // Deliveries may have joined ordering queues, and others there may have waited for these events.
                self.scheduler.scan_queues();
            }

            if count.deliveries > 0 {
                self.context.wakes.deliver.notify_one();
            }

            if unjudged == 0 {
                return Ok(count.events);
            }
        }
    }

    /// Asks the filters about events that were not decided when they arrived.
    async fn judge_waiting(&self, mut events: Vec<Event>) -> anyhow::Result<HashMap<EventId, Judged>> {
        let (index, began) = (self.context.directory(), self.context.clock.now());
        let mut all = HashMap::new();

        // The first event of each place comes before the second of any.
        let mut counts: HashMap<Place, usize> = HashMap::new();
        events.sort_by_cached_key(|event| {
            let count = counts.entry(event.place).or_default();
            *count += 1;
            *count
        });

        for event in events {
            // The rest is asked when these are decided.
            if !all.is_empty() && self.context.clock.now().since(began) > LONGEST_JUDGING {
                break;
            }

            let Some((event, payload)) = self.context.store.find_event(event.id).await? else {
                continue;
            };
            let body = payload.unpack().unwrap_or_default();
            let judged = self
                .turns
                .judge(&index, (event.place, event.trigger), event.branch(), &body)
                .await;
            all.insert(event.id, judged);
        }

        Ok(all)
    }

    /// Hooks whose events are dropped at the moment.
    pub(super) fn hooks_to_drop_for(&self) -> HashSet<HookId> {
        match self.context.settings.while_disabled {
            WhileDisabled::Drop => hooks_off(self),
            WhileDisabled::Hold { .. } => HashSet::new(),
        }
    }

    pub(crate) async fn fan_out_all(&self) -> anyhow::Result<()> {
        while self.fan_out().await? == BATCH {}
        Ok(())
    }
}

/// Hooks that are not called at the moment: disabled, or paused by a person.
pub(super) fn hooks_off(journal: &Journal) -> HashSet<HookId> {
    let mut off = journal.scheduler.disabled(journal.context.clock.now());
    off.extend(journal.context.index().paused());
    off
}
