//! The belt: workers that carry events from the journal to hooks and insights. The only crate that spawns tasks.
//!
//! Invariants:
//!
//! - Workers do not call workers. A wake carries no data; losing every wake costs only latency, because each worker
//!   ticks.
//! - A worker takes no input beyond "look again": restart, second node and the normal case are the same code.
//! - No transaction spans a network call.
//! - A failed attempt is a value. `Err` here means that *we* failed: it is logged once, the lease lapses, it runs again.
//!
//! Each step is a function that does one batch ([`Belt::fan_out`], [`delivery::Deliveries::claim`], …). The loops in
//! [`lifecycle`] only decide when to call it, so that a simulation can call them in any order instead.

pub mod clock;
pub mod context;
pub mod delivery;
mod directory;
pub mod insights;
mod journal;
pub mod lifecycle;
pub mod outage;
mod store_watch;
pub mod telemetry;
mod workers;

pub use clock::{Clock, System};
pub use context::{Belt, Settings, WhileDisabled};
pub use delivery::manual::{ByHand, ResendRefused};
pub use delivery::transport::{Sent, Transport};
pub use directory::Index;
pub use journal::filters::Trial;
pub use journal::ingest::{Arrival, Ingest, ReceivedAs};
pub use journal::relay::{ReceiveError, Received, SeenRequest};
pub use journal::replay::Preview;
pub use journal::report::{Report, ReportError, Reported, Step};
pub use lifecycle::Lifecycle;
pub use store_watch::StoreStatus;

/// What a mutex holds, whether or not somebody panicked with it: everything that is held so is whole at any time.
fn lock<T>(of: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
