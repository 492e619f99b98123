//! Attempts in SQLite, for reading.

use async_trait::async_trait;
use quickdraw_domain::phases::Phases;
use quickdraw_domain::{AttemptId, DeliveryId, HookId, Timestamp};

use rusqlite::{OptionalExtension, Row};

use super::Sqlite;
use crate::attempts::{Attempt, AttemptFilter, Attempts, COLUMNS, LogFilter, outcome_word};
use crate::columns;
use crate::deliveries::Record;
use crate::error::Result;
use crate::lists::{MOST_LOOKED_AT, Paged};

#[async_trait]
impl Attempts for Sqlite {
    async fn list_attempts(&self, filter: AttemptFilter) -> Result<Vec<Attempt>> {
        self.read(move |connection| {
            // One statement per index: an optional condition would keep the planner from using either.
            let (column, value): (&str, rusqlite::types::Value) = match (filter.delivery, filter.hook) {
                (Some(delivery), _) => ("delivery_id = ?1", delivery.0.as_bytes().to_vec().into()),
                (None, Some(hook)) => ("hook_id = ?1", hook.0.into()),
                (None, None) => ("?1 IS NULL", rusqlite::types::Value::Null),
            };
            let sql = format!(
                "SELECT {COLUMNS} FROM attempts WHERE {column} AND id < ?2 AND (?3 IS NULL OR hook_id = ?3) ORDER BY id DESC LIMIT ?4"
            );
            let before = filter.before.map_or(i64::MAX, |id| id.0);
            let mut statement = connection.prepare_cached(&sql)?;
            let parameters = (value, before, filter.hook.map(|hook| hook.0), columns::limit(filter.limit));
            let found = statement.query_map(parameters, attempt)?;
            Ok(found.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn hook_log(&self, filter: LogFilter) -> Result<Paged<Attempt>> {
        self.read(move |connection| {
            // A filter by status looks at the newest of a hook's attempts, and not at all that it ever had.
            let rows = format!(
                "FROM (SELECT {COLUMNS} FROM attempts WHERE hook_id = ?1 AND started_at >= ?2
                ORDER BY id DESC LIMIT {MOST_LOOKED_AT}) a WHERE {}",
                filter.condition()
            );
            let sql = format!("SELECT count(*) FROM (SELECT 1 {rows} LIMIT {})", filter.page.counted());
            let (hook, since) = (filter.hook.0, filter.since.as_micros());
            let total = connection.query_row(&sql, (hook, since), |row| row.get(0))?;
            let sql = format!("SELECT {COLUMNS} {rows} ORDER BY id DESC LIMIT ?3 OFFSET ?4");
            let mut statement = connection.prepare(&sql)?;
            let found = statement.query_map((hook, since, filter.page.limit, filter.page.offset()), attempt)?;
            Ok(Paged { rows: found.collect::<rusqlite::Result<_>>()?, total })
        })
        .await
    }

    async fn find_attempt(&self, hook: HookId, id: AttemptId) -> Result<Option<Attempt>> {
        self.read(move |connection| {
            let sql = format!("SELECT {COLUMNS} FROM attempts WHERE id = ?1 AND hook_id = ?2");
            Ok(connection.prepare_cached(&sql)?.query_row((id.0, hook.0), attempt).optional()?)
        })
        .await
    }
}

fn attempt(row: &Row<'_>) -> rusqlite::Result<Attempt> {
    Ok(Attempt {
        id: AttemptId(row.get(0)?),
        delivery: DeliveryId(row.get(1)?),
        hook: HookId(row.get(2)?),
        number: row.get(3)?,
        outcome: outcome_word(row.get(4)?),
        status: row.get(5)?,
        record: Record {
            started_at: Timestamp::from_micros(row.get(6)?),
            duration_micros: row.get(7)?,
            address: row.get(8)?,
            error: row.get(9)?,
            response_headers: row.get(10)?,
            response_body: row.get(11)?,
            phases: row.get::<_, Option<Vec<u8>>>(12)?.as_deref().and_then(Phases::from_bytes),
            hook_version: row.get::<_, Option<i64>>(13)?.map(Timestamp::from_micros),
        },
    })
}
