//! The store's own life: nodes, signals between them, and whether all is well.

use async_trait::async_trait;
use quickdraw_domain::{NodeId, Timestamp};

use crate::error::Result;
use crate::wake::Wakes;

/// The condition that `doctor` shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Condition {
    /// `sqlite` or `postgres`, with its version.
    pub engine: String,

    /// Number of the newest migration.
    pub schema_version: i64,

    /// Nodes with a heartbeat within a minute.
    pub nodes: i64,

    /// Findings; empty when all is well.
    pub problems: Vec<String>,
}

/// A node with a heartbeat within a minute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeState {
    /// The node.
    pub node: NodeId,

    /// The time of its first heartbeat.
    pub started_at: Timestamp,

    /// The time of its last heartbeat, by its own clock.
    pub seen_at: Timestamp,

    /// Microseconds by which its clock was ahead of the database's clock at the last heartbeat. `None` on an engine
    /// without a clock of its own.
    pub ahead_micros: Option<i64>,
}

/// The disk space that a database takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space {
    /// Size of the database in bytes.
    pub database_bytes: u64,

    /// Free bytes of its file system. `None` where the database is on a server that does not say so.
    pub free_bytes: Option<u64>,
}

/// A key of the ring, and how much it has sealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyUse {
    /// Number of the key.
    pub key: u32,

    /// Whether the ring has it. A value that was sealed with another key does not open.
    pub is_known: bool,

    /// Whether it seals new values.
    pub seals: bool,

    /// Number of sealed values, counted up to a bound.
    pub values: i64,
}

/// The state that administrators look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoreState {
    /// `sqlite` or `postgres`, with its version.
    pub engine: String,

    /// Number of the newest migration.
    pub schema_version: i64,

    /// Its disk space.
    pub space: Space,

    /// The nodes, the oldest first.
    pub nodes: Vec<NodeState>,

    /// Deliveries that nodes have claimed. `None` on an engine whose only node has them in memory.
    pub leased: Option<i64>,

    /// The keys of the ring, and others that have sealed something.
    pub keys: Vec<KeyUse>,
}

/// Nodes: what can be done with them.
#[async_trait]
pub trait Nodes {
    /// Says that a node is alive; called every few seconds.
    async fn heartbeat(&self, node: NodeId, now: Timestamp) -> Result<()>;

    /// Says that a node stopped in good order.
    async fn node_stopped(&self, node: NodeId) -> Result<()>;

    /// Passes on signals from other nodes until it fails. On an engine without other nodes it never returns.
    async fn listen(&self, wakes: &Wakes) -> Result<()>;

    /// Whether steps that are asked for at the same time share one flush, in the order in which they were asked for.
    fn shares_commits(&self) -> bool;

    /// A small read: is the store there?
    async fn ping(&self) -> Result<()>;

    /// A closer look.
    async fn condition(&self, now: Timestamp) -> Result<Condition>;

    /// The state that administrators look at. It is cheap enough for a page that is loaded again and again.
    async fn state(&self, now: Timestamp) -> Result<StoreState>;

    /// The disk space that the database takes.
    async fn space(&self) -> Result<Space>;

    /// Makes room for the days ahead, where history is partitioned.
    async fn prepare_partitions(&self, now: Timestamp) -> Result<()>;

    /// Ends background work of the store itself, after everything else has stopped.
    async fn close(&self);
}
