//! Heartbeats and condition in SQLite: there is one node, so there are no signals.

use std::path::Path;

use async_trait::async_trait;
use quickdraw_domain::{NodeId, Timestamp};

use super::rows::scalar;
use super::{MIGRATIONS, Sqlite, beside};
use crate::error::{Error, Result};
use crate::nodes::{Condition, NodeState, Nodes, Space, StoreState};
use crate::seal;
use crate::wake::Wakes;

#[async_trait]
impl Nodes for Sqlite {
    async fn heartbeat(&self, node: NodeId, now: Timestamp) -> Result<()> {
        self.write(move |tx| {
            tx.connection
                .prepare_cached(
                    "INSERT INTO nodes (id, started_at, seen_at) VALUES (?1, ?2, ?2)
                     ON CONFLICT (id) DO UPDATE SET seen_at = ?2",
                )?
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

    async fn state(&self, _now: Timestamp) -> Result<StoreState> {
        let space = self.space().await?;
        let ring = self.ring.clone();
        self.read(move |connection| {
            let mut statement = connection.prepare_cached("SELECT id, started_at, seen_at FROM nodes")?;
            let nodes = statement.query_map([], |row| {
                Ok(NodeState {
                    node: NodeId(row.get("id")?),
                    started_at: Timestamp::from_micros(row.get("started_at")?),
                    seen_at: Timestamp::from_micros(row.get("seen_at")?),
                    ahead_micros: None,
                })
            })?;
            let nodes = nodes.collect::<rusqlite::Result<_>>()?;

            let mut statement = connection.prepare_cached(&seal::count_by_key("hex(substr(value, 2, 4))"))?;
            let sealed = statement.query_map([], |row| Ok((row.get("key_id")?, row.get("sealed")?)))?;
            let sealed: Vec<(String, i64)> = sealed.collect::<rusqlite::Result<_>>()?;

            Ok(StoreState {
                engine: format!("sqlite {}", rusqlite::version()),
                schema_version: MIGRATIONS.last().map_or(0, |(version, ..)| *version),
                space,
                nodes,
                leased: None,
                keys: ring.uses(&sealed),
            })
        })
        .await
    }

    async fn space(&self) -> Result<Space> {
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || space_of(&path));
        read.await.map_err(Error::task)?
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

/// The sizes of the files of a database, and what is free beside them.
fn space_of(path: &Path) -> Result<Space> {
    let files = ["", "-wal", "-insights", "-insights-wal"].map(|suffix| beside(path, suffix));
    // A log may be missing.
    let sizes = files.iter().filter_map(|file| Some(file.metadata().ok()?.len()));
    let database_bytes = sizes.sum();

    let free = rustix::fs::statvfs(path).map_err(|error| Error::file(path, error.into()))?;
    Ok(Space {
        database_bytes,
        free_bytes: Some(free.f_bavail.saturating_mul(free.f_frsize)),
    })
}
