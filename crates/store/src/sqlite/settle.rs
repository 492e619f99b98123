//! Settling in SQLite: one attempt after the other, each with its hook's health as the one before left it.

use quickdraw_domain::delivery::BLOCKED;
use quickdraw_domain::health::Health;
use quickdraw_domain::phases::Phases;
use quickdraw_domain::settle::{Policies, settle};
use quickdraw_domain::{HookId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row};

use super::Tx;
use super::claims::forget_claim;
use crate::attempts::outcome_code;
use crate::columns;
use crate::deliveries::{Finished, Settlement};
use crate::error::Result;

pub(super) fn finish(tx: &mut Tx<'_>, finished: &Finished, now: Timestamp, policies: &Policies) -> Result<Settlement> {
    let health = health(tx.connection, finished.hook)?;
    let Some((_, settled_claim)) = tx.claims.end(finished.delivery, finished.fence) else {
        return Ok(Settlement {
            delivery: finished.delivery,
            hook: finished.hook,
            state: None,
            health,
        });
    };

    let Finished { outcome, record, .. } = finished;
    let settled = settle(finished.attempted(), health, now, &finished.policies(policies));
    let (state, due_at, attempts, unknown) = columns::state_columns(settled.state, settled.tally);
    let finished_at = (!settled.state.is_owed()).then(|| now.as_micros());

    tx.connection
        .prepare_cached(
            // A delivery that was cancelled meanwhile stays so; one that was given up and is resent may get
            // there after all. A blocked delivery keeps its place in its queue, unless that was its last attempt.
            "UPDATE deliveries SET attempts = ?4, unknown = ?5, finished_at = coalesce(finished_at, ?6),
               due_at = CASE WHEN state < 2 AND (due_at < ?7 OR ?2 >= 2) THEN ?3 ELSE due_at END,
               state = CASE WHEN due_at >= ?7 AND state < 2 AND ?2 < 2 THEN state
                 WHEN state < 2 OR (state = 3 AND ?2 = 2) THEN ?2 ELSE state END
             WHERE id = ?1",
        )?
        .execute((
            finished.delivery.0,
            state,
            due_at,
            attempts,
            unknown,
            finished_at,
            BLOCKED,
        ))?;

    tx.connection
        .prepare_cached(
            "INSERT INTO attempts (delivery_id, hook_id, number, outcome, status, started_at, duration, address, error,
               response_headers, response_body, phases, hook_version)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?
        .execute((
            finished.delivery.0,
            finished.hook.0,
            attempts,
            outcome_code(*outcome),
            outcome.status(),
            record.started_at.as_micros(),
            record.duration_micros,
            record.address.as_deref(),
            record.error.as_deref(),
            record.response_headers.as_deref(),
            record.response_body.as_deref(),
            record.phases.map(Phases::to_bytes),
            record.hook_version.map(Timestamp::as_micros),
        ))?;

    if settled.health != health {
        write_health(tx.connection, finished.hook, settled.health)?;
    }

    if settled_claim {
        forget_claim(tx.connection, finished.fence)?;
    }

    Ok(Settlement {
        delivery: finished.delivery,
        hook: finished.hook,
        state: Some(settled.state),
        health: settled.health,
    })
}

pub(super) fn health(connection: &Connection, hook: HookId) -> Result<Health> {
    let found = connection
        .prepare_cached("SELECT recent_failures, pauses, disabled_until, disabled FROM hook_health WHERE hook_id = ?1")?
        .query_row([hook.0], read_health)
        .optional()?;
    Ok(found.unwrap_or_default())
}

/// Reads the columns of `hook_health` from a row that has them under their names.
pub(super) fn read_health(row: &Row<'_>) -> rusqlite::Result<Health> {
    Ok(Health {
        recent_failures: row.get("recent_failures")?,
        pauses: row.get("pauses")?,
        disabled_until: row.get::<_, Option<i64>>("disabled_until")?.map(Timestamp::from_micros),
        disabled: row.get("disabled")?,
    })
}

fn write_health(connection: &Connection, hook: HookId, health: Health) -> Result<()> {
    if health == Health::default() {
        connection
            .prepare_cached("DELETE FROM hook_health WHERE hook_id = ?1")?
            .execute([hook.0])?;
        return Ok(());
    }

    connection
        .prepare_cached(
            // The hook may have been deleted while its delivery was under way.
            "INSERT INTO hook_health SELECT ?1, ?2, ?3, ?4, ?5 WHERE EXISTS (SELECT 1 FROM hooks WHERE id = ?1)
             ON CONFLICT (hook_id) DO UPDATE SET recent_failures = ?2, pauses = ?3, disabled_until = ?4, disabled = ?5",
        )?
        .execute((
            hook.0,
            health.recent_failures,
            health.pauses,
            health.disabled_until.map(Timestamp::as_micros),
            health.disabled,
        ))?;

    Ok(())
}
