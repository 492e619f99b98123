//! The journal in the order in which it was committed, for those who follow it: streams.
//!
//! Ids of events are ordered by the clock of the node that made them, and commit in another order; a cursor of ids
//! would pass over events that commit behind it. So each batch of events has a number that only goes up in the order of
//! commits (`docs/decisions/0023`).

use async_trait::async_trait;
use quickdraw_domain::{EventId, Timestamp};

use crate::error::Result;

/// Events of one commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    /// Higher than the number of any batch that was committed before.
    pub number: i64,

    /// When the first of its events was received.
    pub at: Timestamp,

    /// Its events; none where retention took them.
    pub events: Vec<EventId>,
}

/// The next batches of the journal.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Followed {
    /// Batches in their order.
    pub batches: Vec<Batch>,

    /// Retention took events from where the look began.
    pub lost: bool,
}

/// The order of commits.
#[async_trait]
pub trait Appends {
    /// Batches from a number on, at most `limit`. No batch with a lower number than any of these is committed later.
    async fn appends(&self, from: i64, limit: usize) -> Result<Followed>;

    /// Where to begin for what is committed from now on.
    async fn next_append(&self) -> Result<i64>;

    /// Where to begin for what was received since a time, as exactly as the clocks of those who received it.
    async fn append_since(&self, since: Timestamp) -> Result<i64> {
        let mut high = self.next_append().await?;
        let Some(mut low) = self
            .appends(i64::MIN, 1)
            .await?
            .batches
            .first()
            .map(|first| first.number)
        else {
            return Ok(high);
        };

        // Everything before `low` is older, nothing from `high` on is.
        while low < high {
            let middle = low + (high - low) / 2;
            match self.appends(middle, 1).await?.batches.first() {
                Some(batch) if batch.at < since => low = batch.number + 1,
                _ => high = middle,
            }
        }

        Ok(low)
    }
}
