//! Attempts in SQLite, for reading.

use async_trait::async_trait;
use quickdraw_domain::phases::Phases;
use quickdraw_domain::{AttemptId, DeliveryId, HookId, Timestamp};

use rusqlite::{OptionalExtension, Row};

use super::Sqlite;
use super::rows::scalar;
use crate::attempts::{Attempt, AttemptFilter, Attempts, COLUMNS, LogFilter, outcome_word};
use crate::columns;
use crate::deliveries::Record;
use crate::error::Result;
use crate::lists::{MAX_SCANNED, Paged};

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
                ORDER BY id DESC LIMIT {MAX_SCANNED}) a WHERE {}",
                filter.condition()
            );
            let sql = format!("SELECT count(*) FROM (SELECT 1 {rows} LIMIT {})", filter.page.counted());
            let (hook, since) = (filter.hook.0, filter.since.as_micros());
            let total = connection.query_row(&sql, (hook, since), scalar)?;
            let sql = format!("SELECT {COLUMNS} {rows} ORDER BY id DESC LIMIT ?3 OFFSET ?4");
            let mut statement = connection.prepare(&sql)?;
            let found = statement.query_map((hook, since, filter.page.limit, filter.page.offset()), attempt)?;

            Ok(Paged {
                rows: found.collect::<rusqlite::Result<_>>()?,
                total,
            })
        })
        .await
    }

    async fn find_attempt(&self, hook: HookId, id: AttemptId) -> Result<Option<Attempt>> {
        self.read(move |connection| {
            let sql = format!("SELECT {COLUMNS} FROM attempts WHERE id = ?1 AND hook_id = ?2");
            Ok(connection
                .prepare_cached(&sql)?
                .query_row((id.0, hook.0), attempt)
                .optional()?)
        })
        .await
    }
}

pub(super) fn attempt(row: &Row<'_>) -> rusqlite::Result<Attempt> {
    Ok(Attempt {
        id: AttemptId(row.get("id")?),
        delivery: DeliveryId(row.get("delivery_id")?),
        hook: HookId(row.get("hook_id")?),
        number: row.get("number")?,
        outcome: outcome_word(row.get("outcome")?),
        status: row.get("status")?,
        record: Record {
            started_at: Timestamp::from_micros(row.get("started_at")?),
            duration_micros: row.get("duration")?,
            address: row.get("address")?,
            error: row.get("error")?,
            response_headers: row.get("response_headers")?,
            response_body: row.get("response_body")?,
            phases: row
                .get::<_, Option<Vec<u8>>>("phases")?
                .as_deref()
                .and_then(Phases::from_bytes),
            hook_version: row.get::<_, Option<i64>>("hook_version")?.map(Timestamp::from_micros),
        },
    })
}
