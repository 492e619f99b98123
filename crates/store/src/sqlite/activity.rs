//! The activity of hooks in SQLite.

use async_trait::async_trait;
use quickdraw_domain::delivery::Stage;
use quickdraw_domain::hook::backlog::Open;
use quickdraw_domain::hook::calls::Call;
use quickdraw_domain::{DeliveryId, HookId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row};

use super::Sqlite;
use super::rows::scalar;
use crate::activity::{
    AGED, Activity, ActivityOf, HookActivity, LastAttempt, OpenDeliveries, Slice, calls, open_delivery, slices,
};
use crate::columns;
use crate::error::Result;

/// Columns of an attempt.
const COLUMNS: &str = "id, started_at, outcome, status, duration";

#[async_trait]
impl Activity for Sqlite {
    async fn hook_activity(&self, of: ActivityOf) -> Result<Vec<HookActivity>> {
        self.read(move |connection| {
            let (first, end) = range(connection, of.since)?;
            let slices = slices(first, end);
            let mut found = Vec::with_capacity(of.hooks.len());

            for hook in &of.hooks {
                let mut activity = HookActivity::of(hook.0);
                for slice in &slices {
                    read_slice(connection, *slice, &of, &mut activity)?;
                }

                if activity.last.is_none() {
                    activity.last = last(connection, *hook)?;
                }

                activity.open = open(connection, *hook, of.deliveries)?;
                found.push(activity);
            }

            Ok(found)
        })
        .await
    }

    async fn recent_calls(&self, since: Timestamp, most: usize) -> Result<Vec<Call>> {
        self.read(move |connection| {
            let (first, _) = range(connection, since)?;
            let sql = format!("SELECT {COLUMNS} FROM attempts WHERE id >= ?1 ORDER BY id DESC LIMIT ?2");
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map((first, columns::limit(most)), attempt)?;
            let attempts = rows.collect::<rusqlite::Result<Vec<_>>>()?;

            Ok(calls(&attempts, since))
        })
        .await
    }

    async fn open_deliveries(&self, hook: HookId, most: usize) -> Result<Vec<Open>> {
        self.read(move |connection| {
            // The index has the id too, so no row of the table is read.
            let mut statement = connection.prepare_cached(
                "SELECT id, due_at FROM deliveries WHERE state = ?1 AND state < 2 AND hook_id = ?2
                    ORDER BY due_at LIMIT ?3",
            )?;
            let mut open = Vec::new();
            for stage in [Stage::Waiting, Stage::Retrying] {
                let state = stage.code();
                let mut rows = statement.query((state, hook.0, columns::limit(most)))?;
                while let Some(row) = rows.next()? {
                    open.push(open_delivery(DeliveryId(row.get("id")?), state, row.get("due_at")?));
                }
            }

            Ok(open)
        })
        .await
    }
}

/// The numbers of the attempts since a time: the first one, and the first that is free.
fn range(connection: &Connection, since: Timestamp) -> Result<(i64, i64)> {
    let bounds = "SELECT coalesce(min(id), 0) AS low, coalesce(max(id), -1) + 1 AS high FROM attempts";
    let (mut low, end): (i64, i64) = connection.query_row(bounds, [], |row| Ok((row.get("low")?, row.get("high")?)))?;
    let mut high = end;
    let mut next =
        connection.prepare_cached("SELECT id, started_at FROM attempts WHERE id >= ?1 ORDER BY id LIMIT 1")?;

    // Every attempt before `low` is older, and none from `high` on is.
    while low < high {
        let middle = low + (high - low) / 2;
        let found: Option<(i64, i64)> = next
            .query_row([middle], |row| Ok((row.get("id")?, row.get("started_at")?)))
            .optional()?;

        match found {
            Some((id, at)) if at < since.as_micros() => low = id + 1,
            _ => high = middle,
        }
    }

    Ok((low, end))
}

fn read_slice(connection: &Connection, slice: Slice, of: &ActivityOf, activity: &mut HookActivity) -> Result<()> {
    let most = of.per_slice();
    let sql =
        format!("SELECT {COLUMNS} FROM attempts WHERE hook_id = ?1 AND id >= ?2 AND id < ?3 ORDER BY id DESC LIMIT ?4");
    let mut statement = connection.prepare_cached(&sql)?;
    // One more than is used proves that there are more.
    let mut rows = statement.query((activity.hook.0, slice.first, slice.end, most + 1))?;
    let mut read = 0;

    while let Some(row) = rows.next()? {
        if read == most {
            activity.is_sampled = true;
            break;
        }

        activity.add(attempt(row)?, of.since);
        read += 1;
    }

    Ok(())
}

fn last(connection: &Connection, hook: HookId) -> Result<Option<LastAttempt>> {
    let sql = format!("SELECT {COLUMNS} FROM attempts WHERE hook_id = ?1 ORDER BY id DESC LIMIT 1");
    Ok(connection
        .prepare_cached(&sql)?
        .query_row([hook.0], attempt)
        .optional()?)
}

fn attempt(row: &Row<'_>) -> rusqlite::Result<LastAttempt> {
    Ok(LastAttempt::new(
        row.get("id")?,
        row.get("started_at")?,
        row.get("outcome")?,
        row.get("status")?,
        row.get("duration")?,
    ))
}

fn open(connection: &Connection, hook: HookId, most: usize) -> Result<OpenDeliveries> {
    let mut open = OpenDeliveries::default();
    let mut count = connection.prepare_cached(
        "SELECT count(*) AS number, min(due_at) AS due FROM (SELECT due_at FROM deliveries
            WHERE state = ?1 AND state < 2 AND hook_id = ?2 ORDER BY due_at LIMIT ?3)",
    )?;
    let mut oldest = connection.prepare_cached(
        "SELECT min(created_at) FROM (SELECT created_at FROM deliveries
            WHERE state = ?1 AND state < 2 AND hook_id = ?2 ORDER BY due_at LIMIT ?3)",
    )?;

    for stage in [Stage::Waiting, Stage::Retrying] {
        let state = stage.code();
        let (number, due): (i64, Option<i64>) = count.query_row((state, hook.0, columns::limit(most)), |row| {
            Ok((row.get("number")?, row.get("due")?))
        })?;
        if number == 0 {
            continue;
        }

        open.add(number, oldest.query_row((state, hook.0, AGED), scalar)?, due);
    }

    Ok(open)
}
