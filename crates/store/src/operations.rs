//! Operations: saves of one object that wait for the last of them, to become one event.

use async_trait::async_trait;
use quickdraw_domain::Timestamp;
use quickdraw_domain::scope::Place;
use uuid::Uuid;

use crate::error::Result;
use crate::payload::Packed;

/// Maximum number of operations that wait at once: forges that never end theirs must not fill the disk.
pub const MAX_OPERATIONS: i64 = 10_000;

/// An operation as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operation {
    /// Its own id: a later operation of the same name has another.
    pub id: Uuid,

    /// Where it happens.
    pub place: Place,

    /// The operation and its object, as their forge names them. At most one of a name is open in a place.
    pub name: String,

    /// Goes up with every change; 0 before it is written.
    pub version: i64,

    /// Nothing is added any more.
    pub closed: bool,

    /// When it becomes an event if nobody does more about it.
    pub due_at: Timestamp,

    /// The chain that the event continues.
    pub chain: Option<Uuid>,

    /// The key that recognises a second copy of the event.
    pub key: Option<String>,

    /// The sum of its saves, as `domain` writes it.
    pub saves: Packed,
}

/// Keeping them.
#[async_trait]
pub trait Operations {
    /// The operation of a name that is still open, or that was closed under a key and is no event yet.
    async fn find_operation(&self, place: Place, name: String, key: Option<String>) -> Result<Option<Operation>>;

    /// Writes an operation down in the place of the version that it was made from. `false` when that is not there any
    /// more, is closed, or was changed meanwhile, and, for a new one, when its name is open already. `Unavailable` when
    /// too many wait.
    async fn put_operation(&self, operation: Operation) -> Result<bool>;

    /// Those that are due, the oldest first; at most `limit`.
    async fn due_operations(&self, now: Timestamp, limit: usize) -> Result<Vec<Operation>>;

    /// Forgets one that is an event by now.
    async fn end_operation(&self, id: Uuid) -> Result<()>;
}
