//! Attempts in PostgreSQL, for reading.

use async_trait::async_trait;
use quickdraw_domain::phases::Phases;
use quickdraw_domain::{AttemptId, DeliveryId, HookId, Timestamp};

use tokio_postgres::Row;

use super::{Postgres, scalar};
use crate::attempts::{Attempt, AttemptFilter, Attempts, COLUMNS, LogFilter, outcome_word};
use crate::columns;
use crate::deliveries::Record;
use crate::error::Result;
use crate::lists::{MAX_SCANNED, Paged};

#[async_trait]
impl Attempts for Postgres {
    async fn list_attempts(&self, filter: AttemptFilter) -> Result<Vec<Attempt>> {
        let client = self.client().await?;
        // Arrays of at most one element: `= ANY` uses the index that an optional condition would not.
        let deliveries: Vec<uuid::Uuid> = filter.delivery.iter().map(|id| id.0).collect();
        let hooks: Vec<i64> = filter.hook.iter().map(|id| id.0).collect();

        let (by_delivery, by_hook) = match (filter.delivery, filter.hook) {
            (Some(_), Some(_)) => ("delivery_id = ANY ($1)", "hook_id = ANY ($2)"),
            (Some(_), None) => ("delivery_id = ANY ($1)", "$2::bigint[] IS NOT NULL"),
            (None, Some(_)) => ("$1::uuid[] IS NOT NULL", "hook_id = ANY ($2)"),
            (None, None) => ("$1::uuid[] IS NOT NULL", "$2::bigint[] IS NOT NULL"),
        };

        let sql = format!(
            "SELECT {COLUMNS} FROM attempts WHERE {by_delivery} AND {by_hook} AND id < $3 ORDER BY id DESC LIMIT $4"
        );
        let statement = client.prepare_cached(&sql).await?;
        let before = filter.before.map_or(i64::MAX, |id| id.0);

        let rows = client
            .query(
                &statement,
                &[&deliveries, &hooks, &before, &columns::limit(filter.limit)],
            )
            .await?;
        Ok(rows.iter().map(attempt).collect())
    }

    async fn hook_log(&self, filter: LogFilter) -> Result<Paged<Attempt>> {
        let client = self.client().await?;

        // A filter by status looks at the newest of a hook's attempts, and not at all that it ever had.
        let rows = format!(
            "FROM (SELECT {COLUMNS} FROM attempts WHERE hook_id = $1 AND started_at >= $2
                ORDER BY id DESC LIMIT {MAX_SCANNED}) a WHERE {}",
            filter.condition()
        );

        let (hook, since) = (filter.hook.0, filter.since.as_micros());
        let sql = format!(
            "SELECT count(*) FROM (SELECT 1 {rows} LIMIT {}) l",
            filter.page.counted()
        );
        let total = scalar(&client.query_one(&sql, &[&hook, &since]).await?);
        let sql = format!("SELECT {COLUMNS} {rows} ORDER BY id DESC LIMIT $3 OFFSET $4");
        let rows = client
            .query(&sql, &[&hook, &since, &filter.page.limit, &filter.page.offset()])
            .await?;

        Ok(Paged {
            rows: rows.iter().map(attempt).collect(),
            total,
        })
    }

    async fn find_attempt(&self, hook: HookId, id: AttemptId) -> Result<Option<Attempt>> {
        let client = self.client().await?;
        let sql = format!("SELECT {COLUMNS} FROM attempts WHERE id = $1 AND hook_id = $2");
        Ok(client.query_opt(&sql, &[&id.0, &hook.0]).await?.as_ref().map(attempt))
    }
}

pub(super) fn attempt(row: &Row) -> Attempt {
    Attempt {
        id: AttemptId(row.get("id")),
        delivery: DeliveryId(row.get("delivery_id")),
        hook: HookId(row.get("hook_id")),
        number: u32::try_from(row.get::<_, i64>("number")).unwrap_or(u32::MAX),
        outcome: outcome_word(row.get("outcome")),
        status: row
            .get::<_, Option<i16>>("status")
            .and_then(|status| u16::try_from(status).ok()),
        record: Record {
            started_at: Timestamp::from_micros(row.get("started_at")),
            duration_micros: row.get("duration"),
            address: row.get("address"),
            error: row.get("error"),
            response_headers: row.get("response_headers"),
            response_body: row.get("response_body"),
            phases: row.get::<_, Option<&[u8]>>("phases").and_then(Phases::from_bytes),
            hook_version: row.get::<_, Option<i64>>("hook_version").map(Timestamp::from_micros),
        },
    }
}
