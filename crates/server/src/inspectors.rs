//! The limits of the inspectors of a node, and the signal that a request came.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use quickdraw_domain::inspector::MAX_OF_USER;
use quickdraw_domain::source::Addresses;
use tokio::sync::{Semaphore, watch};

use crate::seats::KeyedPermits;
use crate::telemetry::INSPECTIONS;

/// Requests a minute to one inspector from all addresses.
pub(crate) const PER_INSPECTOR: NonZeroU32 = NonZeroU32::new(600).expect("not zero");
/// Number of counters per inspector above which idle ones are forgotten.
const MAX_COUNTERS: usize = 1000;
/// Requests that are read or wait for their answer: on this node, and at one inspector. The owner of the most
/// inspectors, all with delayed answers, can use a tenth of the room.
pub(crate) const AT_ONCE: usize = 2_000;
pub(crate) const AT_ONCE_OF_ONE: usize = 20;
const _: () = assert!(
    AT_ONCE >= 10 * MAX_OF_USER * AT_ONCE_OF_ONE,
    "one owner could use most of the room"
);
/// Memory for long bodies, in KiB. It is a small part of the memory for events.
const BODIES_KIB: usize = 8 << 10;

/// The limits of the inspectors of this node, and the signal that a request came.
pub(crate) struct Inspectors {
    /// Reverse proxies whose `X-Forwarded-For` is trusted.
    pub(crate) trusted_proxies: Addresses,

    each: DefaultKeyedRateLimiter<String>,

    /// Permits for requests that are read or wait for their answer, by inspector.
    pub(crate) permits: Arc<KeyedPermits<String>>,

    /// Memory for long bodies.
    pub(crate) bodies: Arc<Semaphore>,
    arrivals: watch::Sender<u64>,
}

impl Inspectors {
    pub(crate) fn new(trusted_proxies: Addresses) -> Self {
        Self {
            trusted_proxies,
            each: RateLimiter::keyed(Quota::per_minute(PER_INSPECTOR)),
            permits: KeyedPermits::new(AT_ONCE, AT_ONCE_OF_ONE, INSPECTIONS),
            bodies: Arc::new(Semaphore::new(BODIES_KIB)),
            arrivals: watch::Sender::new(0),
        }
    }

    /// Changes when a request came to an inspector on this node.
    pub(crate) fn arrivals(&self) -> watch::Receiver<u64> {
        self.arrivals.subscribe()
    }

    /// Announces that a request came.
    pub(crate) fn announce(&self) {
        self.arrivals.send_modify(|arrivals| *arrivals += 1);
    }

    /// Counts a request to an inspector. If the limit is reached, returns the time to wait.
    pub(crate) fn count(&self, key: &String) -> Result<(), Duration> {
        if self.each.len() > MAX_COUNTERS {
            self.each.retain_recent();
            self.each.shrink_to_fit();
        }

        let counted = self.each.check_key(key);
        counted.map_err(|until| until.wait_time_from(DefaultClock::default().now()))
    }
}
