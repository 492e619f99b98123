//! The order of commits in SQLite: there is one writer, so it is that of the rows.

use async_trait::async_trait;
use quickdraw_domain::{EventId, Timestamp};
use rusqlite::Connection;
use uuid::Uuid;

use super::Sqlite;
use super::rows::scalar;
use crate::appends::{Appends, Batch, Followed};
use crate::columns;
use crate::error::Result;

#[async_trait]
impl Appends for Sqlite {
    async fn appends(&self, from: i64, limit: usize) -> Result<Followed> {
        self.read(move |connection| {
            let sql = "SELECT number, at, events FROM appends WHERE number >= ?1 ORDER BY number LIMIT ?2";
            let mut statement = connection.prepare_cached(sql)?;

            let found = statement.query_map((from, columns::limit(limit)), |row| {
                let events: Vec<u8> = row.get("events")?;
                let ids = events
                    .chunks_exact(16)
                    .filter_map(|bytes| Uuid::from_slice(bytes).ok())
                    .map(EventId);

                Ok(Batch {
                    number: row.get("number")?,
                    at: Timestamp::from_micros(row.get("at")?),
                    events: ids.collect(),
                })
            })?;
            let batches = found.collect::<rusqlite::Result<Vec<_>>>()?;
            // Only the first row can be an empty one.
            let lost = batches.first().is_some_and(|batch| batch.events.is_empty());
            Ok(Followed { batches, lost })
        })
        .await
    }

    async fn next_append(&self) -> Result<i64> {
        self.read(|connection| {
            let sql = "SELECT coalesce(max(number), 0) + 1 FROM appends";
            Ok(connection.prepare_cached(sql)?.query_row([], scalar)?)
        })
        .await
    }
}

/// Numbers a batch that is about to be committed.
pub(super) fn number(connection: &Connection, at: Timestamp, events: &[EventId]) -> Result<()> {
    let bytes: Vec<u8> = events.iter().flat_map(|event| event.0.into_bytes()).collect();
    let sql = "INSERT INTO appends (at, events) VALUES (?1, ?2)";
    connection.prepare_cached(sql)?.execute((at.as_micros(), bytes))?;

    Ok(())
}

/// Forgets batches from before a point. The last of them stays, empty.
pub(super) fn prune(connection: &Connection, before: Timestamp, limit: usize) -> Result<usize> {
    let sql = "SELECT max(number) FROM (SELECT number, at FROM appends ORDER BY number LIMIT ?2) WHERE at < ?1";
    let last: Option<i64> = connection
        .prepare_cached(sql)?
        .query_row((before.as_micros(), columns::limit(limit)), scalar)?;
    let Some(last) = last else { return Ok(0) };
    let gone = connection
        .prepare_cached("DELETE FROM appends WHERE number < ?1")?
        .execute([last])?;

    connection
        .prepare_cached("UPDATE appends SET events = x'' WHERE number = ?1 AND events <> x''")?
        .execute([last])?;
    Ok(gone)
}
