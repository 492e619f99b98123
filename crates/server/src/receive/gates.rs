//! The receivers in memory: each with its verifier and its counts, taken over from the directory when that changes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use quickdraw_domain::receiver::{Receiver, client_network};
use quickdraw_engine::Index;

use super::verify::Verifier;

/// Clients that one receiver counts at once before those that have been quiet are forgotten.
const MOST_CLIENTS: usize = 50_000;

/// A receiver, ready for requests.
pub(crate) struct Gate {
    pub(crate) receiver: Arc<Receiver>,
    pub(crate) verifier: Verifier,
    counts: Option<RateLimiter<IpAddr, HashMapStateStore<IpAddr>, DefaultClock>>,
}

impl Gate {
    fn new(receiver: Arc<Receiver>) -> Arc<Self> {
        let quota = receiver.per_minute.and_then(NonZeroU32::new).map(Quota::per_minute);
        Arc::new(Self { verifier: Verifier::new(&receiver), counts: quota.map(RateLimiter::hashmap), receiver })
    }

    /// Counts a request from an address. When it has had its number, says how long to wait.
    pub(crate) fn count(&self, address: IpAddr) -> Result<(), Duration> {
        let Some(counts) = &self.counts else { return Ok(()) };
        if counts.len() > MOST_CLIENTS {
            counts.retain_recent();
            counts.shrink_to_fit();
        }
        let refused = counts.check_key(&client_network(address)).err();
        refused.map_or(Ok(()), |until| Err(until.wait_time_from(DefaultClock::default().now())))
    }
}

/// All receivers.
pub(crate) struct Gates {
    default: Arc<Gate>,
    others: RwLock<(i64, HashMap<String, Arc<Gate>>)>,
}

impl Gates {
    pub(crate) fn new(default: Receiver) -> Self {
        Self { default: Gate::new(Arc::new(default)), others: RwLock::new((i64::MIN, HashMap::new())) }
    }

    pub(crate) const fn default(&self) -> &Arc<Gate> {
        &self.default
    }

    /// The receiver with this key.
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
            let fresh = index.receivers().iter().map(|receiver| {
                // What did not change keeps its counts.
                let same = known.remove(&receiver.key).filter(|gate| gate.receiver.updated_at == receiver.updated_at);
                (receiver.key.clone(), same.unwrap_or_else(|| Gate::new(Arc::clone(receiver))))
            });
            let fresh = fresh.collect();
            *others = (index.version(), fresh);
        }
        others.1.get(key).cloned()
    }
}
