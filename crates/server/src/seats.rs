//! Permits with a limit in total and a limit per key, such as connections per address.
//!
//! These limits count permits in use. `governor` limits rates, and a semaphore has no keys.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;

/// Permits that are acquired and released.
pub(crate) struct KeyedPermits<K> {
    in_use: Mutex<HashMap<K, usize>>,
    max: usize,
    max_per_key: usize,

    /// Name of the gauge with the number of acquired permits.
    gauge: &'static str,
}

/// The limit that is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Full {
    /// The total.
    All,

    /// The limit of this key.
    One,
}

/// A permit; released on drop.
pub(crate) struct KeyedPermit<K: Eq + Hash> {
    permits: Arc<KeyedPermits<K>>,
    of: K,
}

impl<K: Eq + Hash + Clone> KeyedPermits<K> {
    pub(crate) fn new(max: usize, max_per_key: usize, gauge: &'static str) -> Arc<Self> {
        Arc::new(Self {
            in_use: Mutex::default(),
            max,
            max_per_key,
            gauge,
        })
    }

    /// Checks whether a permit is available at the moment.
    pub(crate) fn is_available(&self, of: &K) -> bool {
        let in_use = self.in_use.lock();
        in_use.values().sum::<usize>() < self.max && in_use.get(of).is_none_or(|here| *here < self.max_per_key)
    }

    pub(crate) fn acquire(self: &Arc<Self>, of: K) -> Result<KeyedPermit<K>, Full> {
        let mut in_use = self.in_use.lock();
        let here = in_use.get(&of).copied().unwrap_or(0);

        if in_use.values().sum::<usize>() >= self.max {
            return Err(Full::All);
        }

        if here >= self.max_per_key {
            return Err(Full::One);
        }

        in_use.insert(of.clone(), here + 1);
        metrics::gauge!(self.gauge).increment(1.0);

        Ok(KeyedPermit {
            permits: Arc::clone(self),
            of,
        })
    }
}

impl<K: Eq + Hash> Drop for KeyedPermit<K> {
    fn drop(&mut self) {
        let mut in_use = self.permits.in_use.lock();
        if let Some(count) = in_use.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                in_use.remove(&self.of);
            }
        }

        metrics::gauge!(self.permits.gauge).decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_bounded_in_all_and_of_one_and_given_back() {
        let permits = KeyedPermits::new(3, 2, "permits");
        let first = permits.acquire("a").expect("room");
        let _second = permits.acquire("a").expect("room");

        assert_eq!(permits.acquire("a").err(), Some(Full::One));

        let _third = permits.acquire("b").expect("room");
        assert_eq!(
            (permits.acquire("b").err(), permits.acquire("c").err()),
            (Some(Full::All), Some(Full::All))
        );

        drop(first);
        assert!(permits.acquire("c").is_ok());
    }
}
