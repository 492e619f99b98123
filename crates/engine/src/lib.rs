//! The pipeline: workers that carry events from the journal to hooks and insights. The only crate that spawns tasks.
//!
//! Invariants:
//!
//! - Workers do not call workers. A wake carries no data; losing every wake costs only latency, because each worker
//!   ticks.
//! - A worker takes no input: restart, second node and the normal case are the same code.
//! - No transaction spans a network call.
//! - A failed attempt is a value. `Err` here means that *we* failed: it is logged once, the lease lapses, and the step
//!   runs again.
//!
//! [`Journal`], [`Dispatcher`], [`Insights`] and [`Notifier`] share a [`Context`]; [`Engine`] holds all of them. Each
//! step is a method that processes one batch ([`Journal::fan_out`], [`Dispatcher::claim`], …). The loops in `workers`
//! and [`lifecycle`] only decide when to call it, so that a simulation can call the steps in any order instead.

pub mod clock;
mod context;
pub mod delivery;
mod directory;
mod engine;
mod heartbeat;
pub mod insights;
mod journal;
mod last_events;
pub mod lifecycle;
mod notifications;
pub mod oidc;
pub mod outage;
mod scheduler;
pub mod settings;
mod space;
mod store_watch;
pub mod telemetry;
mod workers;

pub use clock::{Clock, System};
pub use context::Context;
pub use delivery::Dispatcher;
pub use delivery::manual::{ManualAttempt, ResendRefused};
pub use delivery::transport::{OutgoingMail, Resolved, Sent, Transport};
pub use directory::body_names::{BodyIds, BodyNames};
pub use directory::{Index, places};
pub use engine::Engine;
pub use insights::Insights;
pub use insights::ask::{ask, search_events};
pub use insights::counted::Waited;
pub use journal::directory::ChangeReporter;
pub use journal::filters::{FilteredEvent, Trial, preview_filters};
pub use journal::operations::Operations;
pub use journal::relay::{ReceiveError, Received, RequestRecord, Traffic, traffic};
pub use journal::replay::{Preview, may_replay};
pub use journal::report::{Filing, ForeignProject, ReportError, Reported, Step, check_projects};
pub use journal::{Journal, last_received_between};
pub use lifecycle::Lifecycle;
pub use notifications::Notifier;
pub use settings::{PermitLimits, Settings, WhileDisabled};
pub use space::SpaceStatus;
pub use store_watch::StoreStatus;
pub use workers::{RunsOn, WorkerStatus};
