//! Operations in PostgreSQL.

use async_trait::async_trait;
use quickdraw_domain::Timestamp;
use quickdraw_domain::scope::Place;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Postgres, scalar};
use crate::columns;
use crate::error::{Error, Result};
use crate::operations::{MAX_OPERATIONS, Operation, Operations};
use crate::payload::Packed;

const COLUMNS: &str = "id, place_kind, place_id, name, version, closed, due_at, chain, key, saves";

fn operation(row: &Row) -> Operation {
    Operation {
        id: row.get("id"),
        place: columns::place(row.get("place_kind"), row.get("place_id")),
        name: row.get("name"),
        version: row.get("version"),
        closed: row.get("closed"),
        due_at: Timestamp::from_micros(row.get("due_at")),
        chain: row.get("chain"),
        key: row.get("key"),
        saves: Packed::from_stored(row.get("saves")),
    }
}

#[async_trait]
impl Operations for Postgres {
    async fn find_operation(&self, place: Place, name: String, key: Option<String>) -> Result<Option<Operation>> {
        let client = self.client().await?;
        let (kind, id) = columns::place_columns(place);

        let sql = format!(
            "SELECT {COLUMNS} FROM operations WHERE place_kind = $1 AND place_id = $2 AND name = $3
                 AND (NOT closed OR key = $4) ORDER BY closed DESC LIMIT 1"
        );
        let statement = client.prepare_cached(&sql).await?;

        Ok(client
            .query_opt(&statement, &[&kind, &id, &name, &key])
            .await?
            .as_ref()
            .map(operation))
    }

    async fn put_operation(&self, operation: Operation) -> Result<bool> {
        let client = self.client().await?;
        let Operation {
            id,
            place,
            name,
            version,
            closed,
            due_at,
            chain,
            key,
            saves,
        } = operation;

        let due_at = due_at.as_micros();
        if version > 0 {
            let sql = "UPDATE operations SET version = version + 1, closed = $3, due_at = $4, chain = $5, key = $6, saves = $7
                WHERE id = $1 AND version = $2 AND NOT closed";
            let statement = client.prepare_cached(sql).await?;

            let changed = client
                .execute(
                    &statement,
                    &[&id, &version, &closed, &due_at, &chain, &key, &saves.as_bytes()],
                )
                .await?;
            return Ok(changed == 1);
        }

        // Two nodes may each see room for one more: the limit is there for the disk, and not exact.
        let waiting: i64 = scalar(&client.query_one("SELECT count(*) FROM operations", &[]).await?);
        if waiting >= MAX_OPERATIONS {
            return Err(Error::Busy(format!(
                "{MAX_OPERATIONS} operations wait for their last save"
            )));
        }

        let (kind, place) = columns::place_columns(place);
        let sql = "INSERT INTO operations VALUES ($1, $2, $3, $4, 1, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING";
        let statement = client.prepare_cached(sql).await?;

        let written = client
            .execute(
                &statement,
                &[
                    &id,
                    &kind,
                    &place,
                    &name,
                    &closed,
                    &due_at,
                    &chain,
                    &key,
                    &saves.as_bytes(),
                ],
            )
            .await?;
        Ok(written == 1)
    }

    async fn due_operations(&self, now: Timestamp, limit: usize) -> Result<Vec<Operation>> {
        let client = self.client().await?;
        let sql = format!("SELECT {COLUMNS} FROM operations WHERE due_at <= $1 ORDER BY due_at LIMIT $2");
        let statement = client.prepare_cached(&sql).await?;
        let found = client
            .query(&statement, &[&now.as_micros(), &columns::limit(limit)])
            .await?;

        Ok(found.iter().map(operation).collect())
    }

    async fn end_operation(&self, id: Uuid) -> Result<()> {
        let client = self.client().await?;
        let statement = client.prepare_cached("DELETE FROM operations WHERE id = $1").await?;
        client.execute(&statement, &[&id]).await?;

        Ok(())
    }
}
