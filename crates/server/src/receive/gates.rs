//! The sources in memory, each with its verifier and rate limit. They are updated from the directory when it changes.
//!
//! `governor` limits requests. Log lines about refusals have a small counter of their own: it takes the time as an
//! argument, and it reports how many refusals it left out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use parking_lot::{Mutex, RwLock};
use quickdraw_domain::source::{Source, client_network};
use quickdraw_engine::Index;
use tokio::sync::Semaphore;

use super::verify::Verifier;
use crate::body;

/// Number of clients per source above which idle ones are forgotten.
const MAX_CLIENTS: usize = 50_000;

/// Shortest time between two log lines about requests over the rate limit.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Counts requests over the rate limit between two log lines.
#[derive(Default)]
struct Refusals {
    logged_at: Option<Instant>,
    unlogged: u64,
}

impl Refusals {
    /// Counts a refusal. If a log line is due, returns the number of refusals since the last one.
    fn count(&mut self, now: Instant) -> Option<u64> {
        self.unlogged += 1;

        if self
            .logged_at
            .is_some_and(|logged_at| now.duration_since(logged_at) < LOG_INTERVAL)
        {
            return None;
        }

        self.logged_at = Some(now);
        Some(std::mem::take(&mut self.unlogged))
    }
}

/// Rate limiter by client and by whether the request has a valid token.
type Counts = RateLimiter<(IpAddr, bool), HashMapStateStore<(IpAddr, bool)>, DefaultClock>;

/// A source that is ready for requests.
pub(crate) struct Gate {
    pub(crate) source: Arc<Source>,
    pub(crate) verifier: Verifier,

    /// Requests with and without a valid token are counted separately, so that strangers cannot use up the limit of
    /// the real sender.
    counts: Option<Counts>,
    refusals: Mutex<Refusals>,

    /// Limit of this source on the memory for long bodies.
    pub(crate) share: Arc<Semaphore>,
}

impl Gate {
    fn new(source: Arc<Source>) -> Arc<Self> {
        let quota = source.per_minute.and_then(NonZeroU32::new).map(Quota::per_minute);
        Arc::new(Self {
            verifier: Verifier::new(&source),
            counts: quota.map(RateLimiter::hashmap),
            refusals: Mutex::default(),
            share: body::share(),
            source,
        })
    }

    /// Logs a refusal because of the rate limit, or counts it for the next log line.
    pub(crate) fn log_refusal(&self, address: IpAddr, now: Instant) {
        let count = self.refusals.lock().count(now);
        if let Some(count) = count {
            let (name, limit) = (&self.source.name, self.source.per_minute.unwrap_or_default());
            tracing::warn!(
                source.name = %name, %address, count,
                "refused {count} requests to source {name} with 429, the last from {address}: one address can send \
                 {limit} a minute (rate_limit)"
            );
        }
    }

    /// Counts a request. If the limit is reached, returns the time to wait.
    pub(crate) fn count(&self, address: IpAddr, has_token: bool) -> Result<(), Duration> {
        let Some(counts) = &self.counts else { return Ok(()) };
        if counts.len() > MAX_CLIENTS {
            counts.retain_recent();
            counts.shrink_to_fit();
        }

        let refused = counts.check_key(&(client_network(address), has_token)).err();
        refused.map_or(Ok(()), |until| Err(until.wait_time_from(DefaultClock::default().now())))
    }
}

pub(crate) struct Gates {
    default: Arc<Gate>,
    others: RwLock<(i64, HashMap<String, Arc<Gate>>)>,
}

impl Gates {
    pub(crate) fn new(default: Source) -> Self {
        Self {
            default: Gate::new(Arc::new(default)),
            others: RwLock::new((i64::MIN, HashMap::new())),
        }
    }

    pub(crate) const fn default(&self) -> &Arc<Gate> {
        &self.default
    }

    /// Finds the source with this key.
    pub(crate) fn find(&self, index: &Index, key: &str) -> Option<Arc<Gate>> {
        {
            let others = self.others.read();
            if others.0 == index.version() {
                return others.1.get(key).cloned();
            }
        }

        let mut others = self.others.write();
        if others.0 != index.version() {
            let mut known = std::mem::take(&mut others.1);
            let fresh = index.sources().iter().map(|source| {
                // A source that did not change keeps its rate limiter.
                let same = known
                    .remove(&source.key)
                    .filter(|gate| gate.source.updated_at == source.updated_at);
                (
                    source.key.clone(),
                    same.unwrap_or_else(|| Gate::new(Arc::clone(source))),
                )
            });
            let fresh = fresh.collect();
            *others = (index.version(), fresh);
        }

        others.1.get(key).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_at_once_and_then_once_a_minute_with_their_count() {
        let (mut refusals, start) = (Refusals::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(refusals.count(at(0)), Some(1));
        assert_eq!((refusals.count(at(1)), refusals.count(at(59))), (None, None));
        assert_eq!(refusals.count(at(60)), Some(3));
        assert_eq!(refusals.count(at(61)), None);
    }
}
