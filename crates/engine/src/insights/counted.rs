//! The time until which all accepted events are counted. An event is counted a little after it was accepted.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use quickdraw_domain::Timestamp;
use quickdraw_store::Error;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::Insights;

/// Number of requests that wait at once.
const MAX_WAITING: usize = 64;
/// Time between two looks at the events that wait to be counted.
const PACE: Duration = Duration::from_millis(50);

/// The state of waiting for the count.
pub(crate) struct Counted {
    /// The latest time that was shown, in microseconds.
    until: AtomicI64,
    waiting: Semaphore,
}

impl Default for Counted {
    fn default() -> Self {
        Self {
            until: AtomicI64::new(i64::MIN),
            waiting: Semaphore::new(MAX_WAITING),
        }
    }
}

/// The end of a wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Waited {
    /// All events that had been accepted before the wait are counted.
    Counted,

    /// The time ran out.
    TimedOut,

    /// Too many requests wait already.
    Refused,
}

impl Insights {
    /// The time until which all accepted events are counted: now, or the time of the oldest event that waits. It never
    /// goes back on a node: an event with an earlier time was accepted after the time had been shown. Read it before
    /// the numbers that it is about.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn counted_until(&self) -> Result<Timestamp, Error> {
        let now = self.context.clock.now();
        let until = match self.context.store.pending().await?.oldest {
            None => now,
            Some(oldest) => {
                // The first 48 bits of an id are milliseconds.
                let millis = i64::try_from(oldest.0.as_u128() >> 80).unwrap_or(i64::MAX);
                now.min(Timestamp::from_micros(millis.saturating_mul(1_000)))
            }
        };

        let shown = self.counted.until.fetch_max(until.as_micros(), Ordering::Relaxed);
        Ok(Timestamp::from_micros(shown.max(until.as_micros())))
    }

    /// Waits until all events that are accepted by now are counted, at most for a time.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn wait_until_counted(&self, most: Duration) -> Result<Waited, Error> {
        let Ok(_permit) = self.counted.waiting.try_acquire() else {
            return Ok(Waited::Refused);
        };
        let Some(last) = self.context.store.pending().await?.newest else {
            return Ok(Waited::Counted);
        };

        let end = Instant::now() + most;
        loop {
            // Events are counted in the order of their ids.
            let oldest = self.context.store.pending().await?.oldest;
            if oldest.is_none_or(|oldest| oldest > last) {
                return Ok(Waited::Counted);
            }

            let now = Instant::now();
            if now >= end {
                return Ok(Waited::TimedOut);
            }

            tokio::time::sleep(PACE.min(end - now)).await;
        }
    }
}
