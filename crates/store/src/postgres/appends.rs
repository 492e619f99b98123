//! The order of commits in PostgreSQL: that of transaction ids, below the oldest that is still under way.

use async_trait::async_trait;
use quickdraw_domain::{EventId, Timestamp};
use tokio_postgres::GenericClient;
use uuid::Uuid;

use super::{Postgres, scalar};
use crate::appends::{Appends, Batch, Followed};
use crate::columns;
use crate::error::Result;

/// The lowest number that a transaction under way can have.
const HORIZON: &str = "(SELECT origin FROM appends_origin) + pg_snapshot_xmin(pg_current_snapshot())::text::bigint";

#[async_trait]
impl Appends for Postgres {
    async fn appends(&self, from: i64, limit: usize) -> Result<Followed> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT number, at, events FROM appends WHERE number >= $1 AND number < {HORIZON} ORDER BY number LIMIT $2"
        );
        let statement = client.prepare_cached(&sql).await?;
        let rows = client.query(&statement, &[&from, &columns::limit(limit)]).await?;

        let batch = |row: &tokio_postgres::Row| Batch {
            number: row.get("number"),
            at: Timestamp::from_micros(row.get("at")),
            events: row.get::<_, Vec<Uuid>>("events").into_iter().map(EventId).collect(),
        };
        let batches: Vec<Batch> = rows.iter().map(batch).collect();

        // Only the first row can be an empty one.
        let lost = batches.first().is_some_and(|batch| batch.events.is_empty());
        Ok(Followed { batches, lost })
    }

    async fn next_append(&self) -> Result<i64> {
        let client = self.client().await?;
        // From what is committed, and not the horizon itself: ids above it that were never flushed come again after a
        // crash.
        let sql = format!("SELECT coalesce(max(number), 0) + 1 FROM appends WHERE number < {HORIZON}");
        let statement = client.prepare_cached(&sql).await?;
        Ok(scalar(&client.query_one(&statement, &[]).await?))
    }
}

/// Moves the origin where the cluster's transaction ids begin below what is numbered: a dump was restored into it.
pub(super) async fn settle_origin(client: &impl GenericClient) -> Result<()> {
    let sql = "UPDATE appends_origin
        SET origin = (SELECT max(number) FROM appends) + 1 - pg_current_xact_id()::text::bigint
        WHERE (SELECT max(number) FROM appends) >= origin + pg_current_xact_id()::text::bigint";
    client.execute(sql, &[]).await?;
    Ok(())
}

/// Forgets batches from before a point. The last of them stays, empty.
pub(super) async fn prune(client: &impl GenericClient, before: Timestamp, limit: i64) -> Result<u64> {
    let sql = "WITH last AS MATERIALIZED (
            SELECT max(number) AS number FROM (SELECT number, at FROM appends ORDER BY number LIMIT $2::bigint + 1) oldest
            WHERE at < $1),
        emptied AS (
            UPDATE appends SET events = '{}' WHERE number = (SELECT number FROM last) AND events <> '{}')
        DELETE FROM appends WHERE number < (SELECT number FROM last)";
    Ok(client.execute(sql, &[&before.as_micros(), &limit]).await?)
}
