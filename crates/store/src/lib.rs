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
pub mod hooks;
pub mod insights;
pub mod known;
pub mod lists;
pub mod nodes;
pub mod operations;
pub mod overview;
pub mod payload;
mod postgres;
pub mod rebuild;
pub mod replays;
pub mod scopes;
pub mod seal;
pub mod settings;
pub mod sources;
mod sqlite;
pub mod telemetry;
pub mod wake;

use std::sync::Arc;

pub use error::{Error, Result};
pub use examine::{check_url, examine};
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
    + audit::Audit
    + insights::Insights
    + access::Access
    + nodes::Nodes
    + sources::Sources
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
        + audit::Audit
        + insights::Insights
        + access::Access
        + nodes::Nodes
        + sources::Sources
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

/// Opens the store that a URL names, creating and migrating it as needed: `sqlite:path` or `postgres://…`.
///
/// # Errors
/// When the URL is neither, the store cannot be reached or migrated, another process owns the SQLite file, or the ring
/// does not hold the key that the store was sealed with.
pub async fn open(url: &str, ring: Ring) -> Result<SharedStore> {
    match Target::of(url)? {
        Target::Sqlite(path) => Ok(Arc::new(sqlite::Sqlite::open(path, ring).await?)),
        Target::Postgres(url) => Ok(Arc::new(postgres::Postgres::open(url, ring).await?)),
    }
}

/// The store that a URL names.
enum Target<'a> {
    /// A file.
    Sqlite(std::path::PathBuf),

    /// A database, by the URL that its client reads.
    Postgres(&'a str),
}

impl<'a> Target<'a> {
    fn of(url: &'a str) -> Result<Self> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            return Ok(Self::Sqlite(path.strip_prefix("//").unwrap_or(path).into()));
        }

        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Postgres(url));
        }

        Err(Error::Url)
    }
}
