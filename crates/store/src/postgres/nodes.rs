//! The store's own life in PostgreSQL: heartbeats, signals between nodes, partitions.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::Object;
use futures_util::{StreamExt, stream};
use quickdraw_domain::{NodeId, Timestamp};
use tokio_postgres::{AsyncMessage, NoTls};

use super::{MIGRATIONS, Postgres, partitions, scalar};
use crate::error::{Error, Result};
use crate::nodes::{Condition, NodeState, Nodes, Space, StoreState};
use crate::seal;
use crate::wake::Wakes;

/// A node without a heartbeat for so long is taken for dead; its leases lapse by themselves.
pub(super) const SILENCE: Duration = Duration::from_secs(60);
/// Clocks of a node and of the database that differ by more are worth a word. Leases bear what lies between the
/// deadline of an attempt and the end of its lease, 20 seconds by default.
const CLOCKS_APART_MICROS: i64 = 2_000_000;

/// Findings about a server and its clock; empty when all is well.
pub(super) async fn problems(client: &Object, now: Timestamp) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    let settings = "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'full_page_writes')";

    for row in client.query(settings, &[]).await? {
        if row.get::<_, &str>("setting") == "off" {
            let name: &str = row.get("name");
            problems.push(format!(
                "{name} is off: acknowledged events can be lost with the server's power"
            ));
        }
    }

    let row = client
        .query_one("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint", &[])
        .await?;
    let ahead = now.as_micros() - scalar::<i64>(&row);

    if ahead.abs() > CLOCKS_APART_MICROS {
        let seconds = ahead / 1_000_000;
        problems.push(format!(
            "this node's clock is {seconds:+} s from the database's: nodes share leases by their clocks"
        ));
    }

    Ok(problems)
}

#[async_trait]
impl Nodes for Postgres {
    async fn heartbeat(&self, node: NodeId, now: Timestamp) -> Result<()> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "WITH mine AS (INSERT INTO nodes (id, started_at, seen_at, ahead_micros)
                    VALUES ($1, $2, $2, $2 - (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
                    ON CONFLICT (id) DO UPDATE SET seen_at = $2, ahead_micros = excluded.ahead_micros),
                 gone AS (DELETE FROM nodes WHERE seen_at < $3)
                 SELECT count(*) FROM nodes WHERE id <> $1 AND seen_at >= $3",
            )
            .await?;

        let silent = now.minus(SILENCE).as_micros();
        let others: i64 = scalar(
            &client
                .query_one(&statement, &[&node.0, &now.as_micros(), &silent])
                .await?,
        );

        self.alone.store(others == 0, Ordering::Relaxed);
        Ok(())
    }

    async fn node_stopped(&self, node: NodeId) -> Result<()> {
        self.client()
            .await?
            .execute(
                "WITH watch AS (DELETE FROM notification_watch WHERE node = $1) DELETE FROM nodes WHERE id = $1",
                &[&node.0],
            )
            .await?;

        Ok(())
    }

    async fn listen(&self, wakes: &Wakes) -> Result<()> {
        let (client, mut connection) = self.config.connect(NoTls).await?;
        let mut messages = std::pin::pin!(stream::poll_fn(|context| connection.poll_message(context)));
        let mut listening = std::pin::pin!(client.batch_execute("LISTEN quickdraw"));
        let mut asked = false;

        loop {
            tokio::select! {
                result = &mut listening, if !asked => {
                    result?;
                    asked = true;
                    // Signals from before the LISTEN were missed.
                    wakes.all();
                }
                message = messages.next() => match message {
                    Some(Ok(AsyncMessage::Notification(signal))) => match signal.payload() {
                        "fan_out" => wakes.fan_out.notify_one(),
                        "deliver" => wakes.deliver.notify_one(),
                        "directory" => wakes.directory.notify_one(),
                        _ => wakes.all(),
                    },
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(error.into()),
                    None => return Err(Error::unavailable("the connection for signals was closed")),
                },
            }
        }
    }

    fn shares_commits(&self) -> bool {
        false
    }

    async fn ping(&self) -> Result<()> {
        self.accept_pool.get().await?.simple_query("SELECT 1").await?;
        Ok(())
    }

    async fn condition(&self, now: Timestamp) -> Result<Condition> {
        let client = self.client().await?;
        let version: String = scalar(&client.query_one("SHOW server_version", &[]).await?);
        let seen = now.minus(SILENCE).as_micros();

        let nodes = scalar(
            &client
                .query_one("SELECT count(*) FROM nodes WHERE seen_at >= $1", &[&seen])
                .await?,
        );

        Ok(Condition {
            engine: format!("postgres {version}"),
            schema_version: MIGRATIONS.last().map_or(0, |(version, ..)| *version),
            nodes,
            problems: problems(&client, now).await?,
        })
    }

    async fn state(&self, now: Timestamp) -> Result<StoreState> {
        let space = self.space().await?;
        let client = self.client().await?;
        let version: String = scalar(&client.query_one("SHOW server_version", &[]).await?);

        let seen = now.minus(SILENCE).as_micros();
        let sql = "SELECT id, started_at, seen_at, ahead_micros FROM nodes WHERE seen_at >= $1 ORDER BY started_at";
        let rows = client.query(sql, &[&seen]).await?;
        let nodes = rows.iter().map(|row| NodeState {
            node: NodeId(row.get("id")),
            started_at: Timestamp::from_micros(row.get("started_at")),
            seen_at: Timestamp::from_micros(row.get("seen_at")),
            ahead_micros: row.get("ahead_micros"),
        });

        let sql = "SELECT count(*) FROM deliveries WHERE leased_until IS NOT NULL";
        let leased = scalar(&client.query_one(sql, &[]).await?);

        let sql = seal::count_by_key("encode(substring(value FROM 2 FOR 4), 'hex')");
        let sealed = client.query(&sql, &[]).await?;
        let sealed: Vec<(String, i64)> = sealed
            .iter()
            .map(|row| (row.get("key_id"), row.get("sealed")))
            .collect();

        Ok(StoreState {
            engine: format!("postgres {version}"),
            schema_version: MIGRATIONS.last().map_or(0, |(version, ..)| *version),
            space,
            nodes: nodes.collect(),
            leased: Some(leased),
            keys: self.ring.uses(&sealed),
        })
    }

    async fn space(&self) -> Result<Space> {
        let client = self.client().await?;
        let sql = "SELECT pg_database_size(current_database())";
        let bytes: i64 = scalar(&client.query_one(sql, &[]).await?);

        Ok(Space {
            database_bytes: bytes.unsigned_abs(),
            free_bytes: None,
        })
    }

    async fn prepare_partitions(&self, now: Timestamp) -> Result<()> {
        partitions::prepare(&mut **self.client().await?, now).await
    }

    async fn close(&self) {
        self.pool.close();
        self.accept_pool.close();
    }
}
