//! Step 6, project: event → facts → rollups. It reads what is marked as waiting and never holds anything else up.

use std::time::Duration;

use quickdraw_domain::insights::backfill::facts_of;
use quickdraw_store::insights::Projected;

use crate::belt::Belt;
use crate::telemetry::{self, precise};

/// Large, because facts of one time touch the same pages: four times as many cost less than twice as much.
const BATCH: usize = 1_024;
/// Bodies that are read before others on this thread get their turn: a whole batch takes ten milliseconds.
const TURN: usize = 4;
/// How long a pause is, measured by the batch before it.
const PAUSE_PER_WORK: u32 = 3;
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

impl Belt {
    /// Projects one batch. Tells how many events there were; nothing is left when it is less than a batch, unless bodies are large.
    ///
    /// # Errors
    /// When the store fails; the events keep waiting. An event that cannot be read is set aside instead.
    pub async fn project(&self) -> anyhow::Result<usize> {
        let _projecting = self.projecting.lock().await;
        let waiting = self.store.pending_projection(BATCH).await?;
        let count = waiting.len();
        if count == 0 {
            metrics::gauge!(telemetry::PROJECTION_PENDING).set(0.0);
            return Ok(0);
        }
        let privacy = self.privacy().await?;
        let mut batch = Vec::with_capacity(count);
        for (at, (event, payload)) in waiting.into_iter().enumerate() {
            if at % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
            let found = payload
                .unpack()
                .map_err(|error| error.to_string())
                .and_then(|body| facts_of(&event, &body).map_err(|error| error.to_string()));
            if let Err(reason) = &found {
                tracing::warn!(event.id = %event.id, reason, "set aside an event that insights cannot read");
            }
            let found = found.map(|mut facts| {
                privacy.apply(&mut facts);
                facts
            });
            batch.push(Projected { event: event.id, facts: found });
        }
        self.store.apply_facts(batch).await?;
        let left = self.store.pending().await?.count;
        metrics::gauge!(telemetry::PROJECTION_PENDING).set(precise(left));
        Ok(count)
    }

    /// Projects until nothing is left. While events keep arriving it takes a share of the time only: insights may lag,
    /// whoever waits for an answer may not. The lag is a metric.
    pub(crate) async fn project_all(&self) -> anyhow::Result<()> {
        self.note_definitions().await?;
        loop {
            let (started, arrived) = (self.clock.now(), self.ingest.arrived());
            // Large bodies come in smaller batches; the next tick takes the rest.
            if self.project().await? < BATCH {
                return Ok(());
            }
            if self.ingest.arrived() != arrived {
                let took = self.clock.now().since(started);
                tokio::time::sleep((took * PAUSE_PER_WORK).min(LONGEST_PAUSE)).await;
            }
        }
    }
}
