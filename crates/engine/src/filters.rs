//! Trying a filter on what has come already.

use quickdraw_domain::hook::{EventFilter, filter};
use quickdraw_domain::{EventId, ProjectId, Timestamp, Trigger};
use quickdraw_store::events;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::belt::Belt;

/// Events that a trial looks at, and those of a page.
const MOST: usize = 5_000;
const PAGE: usize = 100;
/// Examples of each kind.
const EXAMPLES: usize = 10;

static TRYING: Semaphore = Semaphore::const_new(1);

/// What a filter would have done.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Trial {
    /// Events that were looked at.
    pub looked_at: usize,
    /// Those that pass.
    pub passing: usize,
    /// Whether all of that time were looked at.
    pub complete: bool,
    /// The newest that pass.
    pub examples: Vec<EventId>,
    /// The newest that are stopped.
    pub stopped: Vec<EventId>,
}

impl Belt {
    /// Tries a filter on the events since a time, the newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn try_filter(
        &self,
        tried: &EventFilter,
        project: Option<ProjectId>,
        trigger: Option<Trigger>,
        since: Timestamp,
    ) -> anyhow::Result<Trial> {
        // One at a time: it reads many bodies. Never closed.
        let _one = TRYING.acquire().await?;
        let mut trial = Trial::default();
        let mut before = None;
        loop {
            let page = events::EventFilter { project, trigger, before, limit: PAGE };
            let page = self.store.list_events(page).await?;
            for event in &page.rows {
                if event.received_at < since {
                    return Ok(Trial { complete: true, ..trial });
                }
                if trial.looked_at == MOST {
                    return Ok(trial);
                }
                let Some((_, payload)) = self.store.find_event(event.id).await? else { continue };
                trial.looked_at += 1;
                let body = payload.unpack().ok().filter(|body| body.len() <= filter::LARGEST_BODY);
                let passes =
                    body.is_none_or(|body| tried.passes(&serde_json::from_slice::<Value>(&body).unwrap_or_default()));
                trial.passing += usize::from(passes);
                let examples = if passes { &mut trial.examples } else { &mut trial.stopped };
                if examples.len() < EXAMPLES {
                    examples.push(event.id);
                }
            }
            before = page.next;
            // A page can be short because few are of the kind: its end tells how far it looked.
            if before.is_none_or(|end| end.at() < since) {
                return Ok(Trial { complete: true, ..trial });
            }
            // Others that share this thread get their turn.
            tokio::task::yield_now().await;
        }
    }
}
