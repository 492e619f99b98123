//! The sources in memory: each with its verifier and its counts, taken over from the directory when that changes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use quickdraw_domain::source::{Source, client_network};
use quickdraw_engine::Index;
use tokio::sync::Semaphore;

use super::verify::Verifier;
use crate::body;

/// Clients that one source counts at once before those that have been quiet are forgotten.
const MOST_CLIENTS: usize = 50_000;

/// How often refusals for the rate are told in the log.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Requests over the limit, told in the log from time to time.
#[derive(Default)]
struct Refusals {
    told_at: Option<Instant>,
    untold: u64,
}

impl Refusals {
    /// Counts one. Gives how many there were since they were last told, when it is time to tell them.
    fn count(&mut self, now: Instant) -> Option<u64> {
        self.untold += 1;
        if self.told_at.is_some_and(|told_at| now.duration_since(told_at) < TELL_EVERY) {
            return None;
        }
        self.told_at = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

/// Requests by address, and by whether they show a right token.
type Counts = RateLimiter<(IpAddr, bool), HashMapStateStore<(IpAddr, bool)>, DefaultClock>;

/// A source, ready for requests.
pub(crate) struct Gate {
    pub(crate) source: Arc<Source>,
    pub(crate) verifier: Verifier,
    /// By client, and by whether the right token was shown: strangers must not use up what others have.
    counts: Option<Counts>,
    refusals: Mutex<Refusals>,
    /// Its share of the room for long bodies.
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

    /// Tells a refusal for the rate in the log, or counts it for the next line.
    pub(crate) fn tell_refusal(&self, address: IpAddr, now: Instant) {
        let count = self.refusals.lock().unwrap_or_else(PoisonError::into_inner).count(now);
        if let Some(count) = count {
            let (name, limit) = (&self.source.name, self.source.per_minute.unwrap_or_default());
            tracing::warn!(
                source.name = %name, %address, count,
                "refused {count} requests to source {name} with 429, the last from {address}: one address may send {limit} a minute (rate_limit)"
            );
        }
    }

    /// Counts a request from an address, with or without the right token. When it has had its number, says how long to wait.
    pub(crate) fn count(&self, address: IpAddr, has_token: bool) -> Result<(), Duration> {
        let Some(counts) = &self.counts else { return Ok(()) };
        if counts.len() > MOST_CLIENTS {
            counts.retain_recent();
            counts.shrink_to_fit();
        }
        let refused = counts.check_key(&(client_network(address), has_token)).err();
        refused.map_or(Ok(()), |until| Err(until.wait_time_from(DefaultClock::default().now())))
    }
}

/// All sources.
pub(crate) struct Gates {
    default: Arc<Gate>,
    others: RwLock<(i64, HashMap<String, Arc<Gate>>)>,
}

impl Gates {
    pub(crate) fn new(default: Source) -> Self {
        Self { default: Gate::new(Arc::new(default)), others: RwLock::new((i64::MIN, HashMap::new())) }
    }

    pub(crate) const fn default(&self) -> &Arc<Gate> {
        &self.default
    }

    /// The source with this key.
    pub(crate) fn find(&self, index: &Index, key: &str) -> Option<Arc<Gate>> {
        {
            let others = self.others.read().unwrap_or_else(PoisonError::into_inner);
            if others.0 == index.version() {
                return others.1.get(key).cloned();
            }
        }
        let mut others = self.others.write().unwrap_or_else(PoisonError::into_inner);
        if others.0 != index.version() {
            let mut known = std::mem::take(&mut others.1);
            let fresh = index.sources().iter().map(|source| {
                // What did not change keeps its counts.
                let same = known.remove(&source.key).filter(|gate| gate.source.updated_at == source.updated_at);
                (source.key.clone(), same.unwrap_or_else(|| Gate::new(Arc::clone(source))))
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
