//! Step 6, project: event → facts → rollups. It reads what is marked as waiting and never holds anything else up.

use quickdraw_domain::insights::facts;
use quickdraw_store::insights::Projected;

use crate::belt::Belt;

/// Small, because a projection shares the writer with those who wait for an answer.
const BATCH: usize = 32;

impl Belt {
    /// Projects one batch. Tells how many events there were; nothing is left when it is less than a batch.
    ///
    /// # Errors
    /// When the store fails; the events keep waiting. An event that cannot be read is set aside instead.
    pub async fn project(&self) -> anyhow::Result<usize> {
        let waiting = self.store.pending_projection(BATCH).await?;
        let count = waiting.len();
        if count == 0 {
            return Ok(0);
        }
        let mut batch = Vec::with_capacity(count);
        for (event, payload) in waiting {
            let found = payload
                .unpack()
                .map_err(|error| error.to_string())
                .and_then(|body| facts(event.trigger, event.received_at, &body).map_err(|error| error.to_string()));
            if let Err(reason) = &found {
                tracing::warn!(event.id = %event.id, reason, "set aside an event that insights cannot read");
            }
            batch.push(Projected { event: event.id, facts: found });
        }
        self.store.apply_facts(batch).await?;
        Ok(count)
    }

    pub(crate) async fn project_all(&self) -> anyhow::Result<()> {
        while self.project().await? == BATCH {}
        Ok(())
    }
}
