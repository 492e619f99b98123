//! Attempts in SQLite, for reading.

use async_trait::async_trait;
use quickdraw_domain::{AttemptId, DeliveryId, HookId, Timestamp};

use super::Sqlite;
use crate::attempts::{Attempt, AttemptFilter, Attempts, outcome_word};
use crate::columns;
use crate::deliveries::Record;
use crate::error::Result;

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
                "SELECT id, delivery_id, hook_id, number, outcome, status, started_at, duration, address, error,
                   response_headers, response_body FROM attempts
                 WHERE {column} AND id < ?2 AND (?3 IS NULL OR hook_id = ?3) ORDER BY id DESC LIMIT ?4"
            );
            let before = filter.before.map_or(i64::MAX, |id| id.0);
            let mut statement = connection.prepare_cached(&sql)?;
            let parameters = (value, before, filter.hook.map(|hook| hook.0), columns::limit(filter.limit));
            let found = statement.query_map(parameters, |row| {
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
                    },
                })
            })?;
            Ok(found.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }
}
