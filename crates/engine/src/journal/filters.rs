//! Trying a filter on events of the journal.

use std::sync::Arc;

use quickdraw_domain::audience::Filtered;
use quickdraw_domain::event::Event;
use quickdraw_domain::hook::filter::{Answer, LARGEST_BODY};
use quickdraw_domain::hook::{EventFilter, Hook};
use quickdraw_domain::work::Work;
use quickdraw_domain::{EventId, ProjectId, Timestamp, Trigger};
use quickdraw_store::events;
use tokio::sync::Semaphore;

use super::Journal;

/// Events that a trial looks at, and those of a page.
const MAX_EVENTS: usize = 5_000;
const PAGE: usize = 100;
/// Examples of each kind.
const EXAMPLES: usize = 10;

/// Steps of work that a trial may take.
const MAX_WORK: u64 = 100_000_000;

static TRYING: Semaphore = Semaphore::const_new(1);

/// The result of a trial.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Trial {
    /// Events that were looked at.
    pub scanned: usize,

    /// Those that pass.
    pub passing: usize,

    /// Those of them that pass because the push does not list the commits that the filter asks for.
    pub unlisted: usize,

    /// Those that are stopped because the filter takes more work on them than is allowed.
    pub over_budget: usize,

    /// Whether all of that time were looked at: there may be too many, or they took too much work.
    pub complete: bool,

    /// The newest that pass.
    pub examples: Vec<EventId>,

    /// The newest that are stopped.
    pub stopped: Vec<EventId>,
}

/// The result of the filters of a hook for a past event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FilteredEvent {
    /// The event.
    pub event: Event,

    /// The result.
    pub filtered: Filtered,
}

/// Asks the filters of a hook, which need not be stored, about past events. Events that would exceed the work of a
/// trial are missing in the answer.
///
/// # Errors
/// When the store fails.
pub async fn preview_filters(
    journal: &Journal,
    asker: i64,
    hook: Hook,
    events: Vec<Event>,
) -> anyhow::Result<Vec<FilteredEvent>> {
    // One at a time: it reads many bodies. Never closed.
    let _one = TRYING.acquire().await?;
    let hook = Arc::new(hook);
    let (mut work, mut found) = (Work::new(MAX_WORK), Vec::new());

    for event in events {
        if work.left() == 0 {
            break;
        }

        let body = match hook.event_filter {
            Some(_) => body_to_ask(journal, event.id).await?,
            None => None,
        };
        let asked = journal.turns.ask_hook(asker, &hook, &event, body, &mut work);
        let Some(filtered) = asked.await else { break };
        found.push(FilteredEvent { event, filtered });
    }

    Ok(found)
}

/// The body of an event, if it is there and no larger than filters look into.
async fn body_to_ask(journal: &Journal, id: EventId) -> anyhow::Result<Option<Vec<u8>>> {
    let Some((_, payload)) = journal.context.store.find_event(id).await? else {
        return Ok(None);
    };
    if payload.unpacked_len() > LARGEST_BODY {
        return Ok(None);
    }

    Ok(Some(payload.unpack()?.to_vec()))
}

impl Journal {
    /// Tries a filter on the events since a time, the newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn try_filter(
        &self,
        asker: i64,
        tried: &EventFilter,
        project: Option<ProjectId>,
        trigger: Option<Trigger>,
        since: Timestamp,
    ) -> anyhow::Result<Trial> {
        // One at a time: it reads many bodies. Never closed.
        let _one = TRYING.acquire().await?;
        let (mut trial, mut work) = (Trial::default(), Work::new(MAX_WORK));
        let mut before = None;

        loop {
            let page = events::EventFilter {
                project,
                trigger,
                before,
                limit: PAGE,
            };
            let page = self.context.store.list_events(page).await?;

            for event in &page.rows {
                if event.received_at < since {
                    return Ok(Trial {
                        complete: true,
                        ..trial
                    });
                }

                if trial.scanned == MAX_EVENTS || work.left() == 0 {
                    return Ok(trial);
                }

                let Some((_, payload)) = self.context.store.find_event(event.id).await? else {
                    continue;
                };
                trial.scanned += 1;

                let body = if payload.unpacked_len() <= LARGEST_BODY {
                    payload.unpack().ok()
                } else {
                    None
                };

                let passes = match body {
                    // A body that cannot be looked into passes, as for hooks.
                    None => true,
                    Some(body) => match self.ask_filter(asker, tried, body, &mut work).await {
                        Some(Answer::Passes) => true,
                        Some(Answer::Unknown) => {
                            trial.unlisted += 1;
                            true
                        }
                        Some(Answer::Stopped) => false,
                        None => {
                            trial.over_budget += 1;
                            false
                        }
                    },
                };
                trial.passing += usize::from(passes);

                let examples = if passes {
                    &mut trial.examples
                } else {
                    &mut trial.stopped
                };
                if examples.len() < EXAMPLES {
                    examples.push(event.id);
                }
            }

            before = page.next;

            // A page can be short because few events are of the kind: its end shows how far it looked.
            if before.is_none_or(|end| end.at() < since) {
                return Ok(Trial {
                    complete: true,
                    ..trial
                });
            }

            // Others that share this thread get their turn.
            tokio::task::yield_now().await;
        }
    }
}
