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

    /// Makes room for the days ahead, where history is partitioned.
    async fn prepare_partitions(&self, now: Timestamp) -> Result<()>;

    /// Ends background work of the store itself, after everything else has stopped.
    async fn close(&self);
}
