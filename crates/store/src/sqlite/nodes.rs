//! Heartbeats and condition in SQLite: there is one node, so there are no signals.

use async_trait::async_trait;
use quickdraw_domain::{NodeId, Timestamp};

use super::rows::scalar;
use super::{MIGRATIONS, Sqlite};
use crate::error::Result;
use crate::nodes::{Condition, Nodes};
use crate::wake::Wakes;

#[async_trait]
impl Nodes for Sqlite {
    async fn heartbeat(&self, node: NodeId, now: Timestamp) -> Result<()> {
        self.write(move |tx| {
            tx.connection
                .prepare_cached("INSERT INTO nodes VALUES (?1, ?2, ?2) ON CONFLICT (id) DO UPDATE SET seen_at = ?2")?
                .execute((node.0, now.as_micros()))?;

            // Another row belongs to a process that died: the lock on the file is ours.
            tx.connection
                .prepare_cached("DELETE FROM nodes WHERE id <> ?1")?
                .execute([node.0])?;
            Ok(())
        })
        .await
    }

    async fn node_stopped(&self, node: NodeId) -> Result<()> {
        self.write(move |tx| {
            tx.connection.execute("DELETE FROM nodes WHERE id = ?1", [node.0])?;
            Ok(())
        })
        .await
    }

    async fn listen(&self, _wakes: &Wakes) -> Result<()> {
        std::future::pending().await
    }

    fn shares_commits(&self) -> bool {
        true
    }

    async fn ping(&self) -> Result<()> {
        self.read(|connection| Ok(connection.query_row("SELECT 1", [], |_| Ok(()))?))
            .await
    }

    async fn condition(&self, _now: Timestamp) -> Result<Condition> {
        self.read(|connection| {
            let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], scalar)?;
            let problems = if verdict == "ok" {
                Vec::new()
            } else {
                vec![format!("quick_check: {verdict}")]
            };

            Ok(Condition {
                engine: format!("sqlite {}", rusqlite::version()),
                schema_version: MIGRATIONS.last().map_or(0, |(version, ..)| *version),
                nodes: connection.query_row("SELECT count(*) FROM nodes", [], scalar)?,
                problems,
            })
        })
        .await
    }

    async fn prepare_partitions(&self, _now: Timestamp) -> Result<()> {
        Ok(())
    }

    async fn close(&self) {
        self.writer.stop();
        self.readers.stop();
        self.insights.stop();
        drop(self.lock.lock().take());
    }
}
