//! Permits with a limit in total and a limit per key, such as connections per address.
//!
//! These limits count permits in use. `governor` limits rates, and a semaphore has no keys.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;

/// Permits that are acquired and released.
pub(crate) struct Seats<K> {
    taken: Mutex<HashMap<K, usize>>,
    most: usize,
    most_of_one: usize,

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
pub(crate) struct Seat<K: Eq + Hash> {
    seats: Arc<Seats<K>>,
    of: K,
}

impl<K: Eq + Hash + Clone> Seats<K> {
    pub(crate) fn new(most: usize, most_of_one: usize, gauge: &'static str) -> Arc<Self> {
        Arc::new(Self {
            taken: Mutex::default(),
            most,
            most_of_one,
            gauge,
        })
    }

    /// Checks whether a permit is available at the moment.
    pub(crate) fn has_room(&self, of: &K) -> bool {
        let taken = self.taken.lock();
        taken.values().sum::<usize>() < self.most && taken.get(of).is_none_or(|here| *here < self.most_of_one)
    }

    pub(crate) fn take(self: &Arc<Self>, of: K) -> Result<Seat<K>, Full> {
        let mut taken = self.taken.lock();
        let here = taken.get(&of).copied().unwrap_or(0);

        if taken.values().sum::<usize>() >= self.most {
            return Err(Full::All);
        }

        if here >= self.most_of_one {
            return Err(Full::One);
        }

        taken.insert(of.clone(), here + 1);
        metrics::gauge!(self.gauge).increment(1.0);

        Ok(Seat {
            seats: Arc::clone(self),
            of,
        })
    }
}

impl<K: Eq + Hash> Drop for Seat<K> {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock();
        if let Some(count) = taken.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.of);
            }
        }

        metrics::gauge!(self.seats.gauge).decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_bounded_in_all_and_of_one_and_given_back() {
        let seats = Seats::new(3, 2, "seats");
        let first = seats.take("a").expect("room");
        let _second = seats.take("a").expect("room");

        assert_eq!(seats.take("a").err(), Some(Full::One));

        let _third = seats.take("b").expect("room");
        assert_eq!(
            (seats.take("b").err(), seats.take("c").err()),
            (Some(Full::All), Some(Full::All))
        );

        drop(first);
        assert!(seats.take("c").is_ok());
    }
}
