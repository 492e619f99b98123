//! Where Quickdraw keeps things: the only crate with SQL.
//!
//! [`Store`] is the sum of small traits, one per noun, with coarse methods named for the steps of the pipeline. One
//! method is one transaction over a batch. There are two engines, SQLite and PostgreSQL, each with SQL of its own, and
//! one suite of tests that both must pass. Nothing here decides what should happen: rules are called from `domain`.
//!
//! Invariants that both engines keep:
//!
//! - A method that returned `Ok` is on disk: flushed, not only written.
//! - Events and attempts are only inserted, and deleted by retention; nothing ever rewrites them.
//! - Events that still have to be fanned out or projected are rows in tables of their own: no row there means done.
//!   These are the marks of the journal (`docs/decisions/0003`).

pub mod access;
pub mod activity;
pub mod appends;
pub mod attempts;
pub mod audit;
mod column_list;
mod columns;
pub mod deliveries;
pub mod details;
pub mod documents;
pub mod error;
pub mod events;
pub mod examine;
pub mod history;
pub mod hooks;
pub mod insights;
pub mod inspectors;
pub mod known;
pub mod lists;
pub mod nodes;
mod open;
pub mod operations;
pub mod overview;
pub mod payload;
mod postgres;
pub mod rebuild;
pub mod replays;
pub mod scopes;
pub mod seal;
pub mod sessions;
pub mod settings;
pub mod sources;
mod sqlite;
pub mod ssh_keys;
pub mod telemetry;
pub mod wake;

use std::sync::Arc;

pub use error::{Error, Result};
pub use open::{check_url, examine, open};
pub use payload::Packed;
pub use seal::Ring;
pub use wake::Wakes;

/// Everything that can be asked of a store.
pub trait Store:
    scopes::Scopes
    + details::Details
    + hooks::Hooks
    + events::Events
    + appends::Appends
    + deliveries::Deliveries
    + attempts::Attempts
    + activity::Activity
    + audit::Audit
    + history::History
    + insights::Insights
    + inspectors::Inspectors
    + access::AccessTokens
    + access::Identities
    + access::Members
    + access::Passwords
    + access::PortalSessions
    + access::Users
    + nodes::Nodes
    + sessions::Sessions
    + sources::Sources
    + ssh_keys::SshKeys
    + known::Known
    + rebuild::Rebuild
    + replays::Replays
    + operations::Operations
    + Send
    + Sync
{
}

impl<T> Store for T where
    T: scopes::Scopes
        + details::Details
        + hooks::Hooks
        + events::Events
        + appends::Appends
        + deliveries::Deliveries
        + attempts::Attempts
        + activity::Activity
        + audit::Audit
        + history::History
        + insights::Insights
        + inspectors::Inspectors
        + access::AccessTokens
        + access::Identities
        + access::Members
        + access::Passwords
        + access::PortalSessions
        + access::Users
        + nodes::Nodes
        + sessions::Sessions
        + sources::Sources
        + ssh_keys::SshKeys
        + known::Known
        + rebuild::Rebuild
        + replays::Replays
        + operations::Operations
        + Send
        + Sync
{
}

/// A store as it is passed around.
pub type SharedStore = Arc<dyn Store>;
