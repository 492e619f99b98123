//! The random choices and the clock of a world. Both depend on the seed alone.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use quickdraw_domain::Timestamp;
use quickdraw_domain::retry::Chance;
use quickdraw_engine::Clock;
use uuid::Uuid;

/// A small random generator (splitmix64). The same seed gives the same world on every machine.
#[derive(Clone)]
pub(crate) struct Dice(pub(crate) Arc<Mutex<u64>>);

impl Dice {
    pub(crate) fn below(&self, n: u64) -> u64 {
        let mut state = self.0.lock().expect("no panic");
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);

        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);

        (z ^ (z >> 31)) % n
    }

    pub(crate) fn one_in(&self, n: u64) -> bool {
        self.below(n) == 0
    }
}

pub(crate) struct Manual {
    now: Mutex<Timestamp>,

    /// The milliseconds of the newest id, and the number of ids so far.
    newest: Mutex<(u64, u64)>,
    dice: Dice,
}

/// The time at which every world starts.
pub(crate) const BEGINNING: Timestamp = Timestamp::from_seconds(1_790_000_000);

impl Manual {
    pub(crate) fn new(dice: Dice) -> Arc<Self> {
        Arc::new(Self {
            now: Mutex::new(BEGINNING),
            newest: Mutex::new((0, 0)),
            dice,
        })
    }

    pub(crate) fn advance(&self, by: Duration) {
        let mut now = self.now.lock().expect("no panic");
        *now = now.plus(by);
    }
}

impl Manual {
    /// Sets the clock back, as an administrator might.
    pub(crate) fn jump_back(&self, by: Duration) {
        let mut now = self.now.lock().expect("no panic");
        *now = now.minus(by);
    }
}

impl Clock for Manual {
    fn now(&self) -> Timestamp {
        *self.now.lock().expect("no panic")
    }

    fn chance(&self) -> Chance {
        Chance(f64::from(u32::try_from(self.dice.below(1000)).expect("small")) / 1000.0)
    }

    fn uuid(&self) -> Uuid {
        let now = u64::try_from(self.now().as_micros() / 1000).expect("after 1970");
        let mut newest = self.newest.lock().expect("no panic");
        // Like the real generator, this one never goes back when the clock does.
        *newest = (newest.0.max(now), newest.1 + 1);

        Uuid::from_u64_pair((newest.0 << 16) | 0x7000, (1 << 63) | newest.1)
    }
}
