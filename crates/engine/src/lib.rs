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
//! Each step is a function that does one batch ([`Belt::fan_out`], [`deliver::Deliveries::claim`], …). The loops in
//! [`lifecycle`] only decide when to call it, so that a simulation can call them in any order instead.

pub mod belt;
pub mod clock;
mod current;
mod definitions;
pub mod deliver;
mod directory;
mod fan_out;
mod filters;
mod ingest;
mod insights_ask;
mod judge;
mod last_events;
pub mod lifecycle;
mod notices;
pub mod outage;
mod privacy;
mod project;
mod rates;
pub mod rebuild;
mod relay;
mod replay;
mod report;
pub mod settings;
mod store_watch;
mod sweep;
pub mod telemetry;
mod watch;
mod worker;

pub use belt::{Belt, Settings, WhileDisabled};
pub use clock::{Clock, System};
pub use deliver::by_hand::{ByHand, ResendRefused};
pub use deliver::transport::{Sent, Transport};
pub use directory::Index;
pub use filters::Trial;
pub use ingest::{Arrival, Ingest, ReceivedAs};
pub use insights_ask::ask;
pub use lifecycle::Lifecycle;
pub use relay::{ReceiveError, Received, SeenRequest};
pub use replay::Preview;
pub use report::{Report, ReportError, Reported, Step};
pub use store_watch::StoreStatus;

/// What a mutex holds, whether or not somebody panicked with it: everything that is held so is whole at any time.
fn lock<T>(of: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
