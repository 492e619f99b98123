//! Time and chance, as arguments of the pipeline: a simulation brings its own.

use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use quickdraw_domain::Timestamp;
use quickdraw_domain::retry::Chance;
use uuid::{ContextV7, Uuid};

/// The source of time and chance.
pub trait Clock: Send + Sync {
    /// Now, by the wall clock.
    fn now(&self) -> Timestamp;

    /// A fraction for jitter.
    fn chance(&self) -> Chance;

    /// A new UUIDv7, larger than all before it from this clock.
    fn uuid(&self) -> Uuid;
}

/// The real ones.
#[derive(Default)]
pub struct System {
    context: Mutex<ContextV7>,
}

impl Clock for System {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place where the wall clock is read"
    )]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    fn chance(&self) -> Chance {
        let mut bytes = [0; 4];
        // Without randomness the jitter is the same for all; that is no reason to stop delivering.
        let _ = getrandom::fill(&mut bytes);
        Chance(f64::from(u32::from_be_bytes(bytes)) / (f64::from(u32::MAX) + 1.0))
    }

    fn uuid(&self) -> Uuid {
        let context = self.context.lock();
        Uuid::new_v7(uuid::Timestamp::now(&*context))
    }
}
