//! Operations in SQLite.

use async_trait::async_trait;
use quickdraw_domain::Timestamp;
use quickdraw_domain::scope::Place;
use rusqlite::{OptionalExtension, Row};
use uuid::Uuid;

use super::Sqlite;
use super::rows::scalar;
use crate::columns;
use crate::error::{Error, Result};
use crate::operations::{MAX_OPERATIONS, Operation, Operations};
use crate::payload::Packed;

const COLUMNS: &str = "id, place_kind, place_id, name, version, closed, due_at, chain, key, saves";

fn operation(row: &Row<'_>) -> rusqlite::Result<Operation> {
    Ok(Operation {
        id: row.get("id")?,
        place: columns::place(row.get("place_kind")?, row.get("place_id")?),
        name: row.get("name")?,
        version: row.get("version")?,
        closed: row.get("closed")?,
        due_at: Timestamp::from_micros(row.get("due_at")?),
        chain: row.get("chain")?,
        key: row.get("key")?,
        saves: Packed::from_stored(row.get("saves")?),
    })
}

#[async_trait]
impl Operations for Sqlite {
    async fn find_operation(&self, place: Place, name: String, key: Option<String>) -> Result<Option<Operation>> {
        self.read(move |connection| {
            let (kind, id) = columns::place_columns(place);
            let sql = format!(
                "SELECT {COLUMNS} FROM operations WHERE place_kind = ?1 AND place_id = ?2 AND name = ?3
                 AND (closed = 0 OR key = ?4) ORDER BY closed DESC LIMIT 1"
            );
            Ok(connection
                .prepare_cached(&sql)?
                .query_row((kind, id, name, key), operation)
                .optional()?)
        })
        .await
    }

    async fn put_operation(&self, operation: Operation) -> Result<bool> {
        self.configure(move |tx| {
            let Operation { id, place, name, version, closed, due_at, chain, key, saves } = operation;
            let due_at = due_at.as_micros();

            if version > 0 {
                let sql = "UPDATE operations SET version = version + 1, closed = ?3, due_at = ?4, chain = ?5, key = ?6, saves = ?7
                    WHERE id = ?1 AND version = ?2 AND closed = 0";
                let parameters = (id, version, closed, due_at, chain, key, saves.as_bytes());
                return Ok(tx.connection.prepare_cached(sql)?.execute(parameters)? == 1);
            }

            let waiting: i64 = tx.connection.query_row("SELECT count(*) FROM operations", [], scalar)?;
            if waiting >= MAX_OPERATIONS {
                return Err(Error::Busy(format!("{MAX_OPERATIONS} operations wait for their last save")));
            }

            let (kind, place) = columns::place_columns(place);
            let sql = "INSERT OR IGNORE INTO operations VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6, ?7, ?8, ?9)";
            let parameters = (id, kind, place, name, closed, due_at, chain, key, saves.as_bytes());
            Ok(tx.connection.prepare_cached(sql)?.execute(parameters)? == 1)
        })
        .await
    }

    async fn due_operations(&self, now: Timestamp, limit: usize) -> Result<Vec<Operation>> {
        self.read(move |connection| {
            let sql = format!("SELECT {COLUMNS} FROM operations WHERE due_at <= ?1 ORDER BY due_at LIMIT ?2");
            let mut statement = connection.prepare_cached(&sql)?;
            let found = statement.query_map((now.as_micros(), columns::limit(limit)), operation)?;
            Ok(found.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn end_operation(&self, id: Uuid) -> Result<()> {
        self.write(move |tx| {
            tx.connection
                .prepare_cached("DELETE FROM operations WHERE id = ?1")?
                .execute([id])?;
            Ok(())
        })
        .await
    }
}
