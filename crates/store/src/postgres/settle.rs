//! Settling in PostgreSQL. A batch of nothing but successes is one statement; one with failures is a transaction that
//! locks the health of its hooks, so that parallel results change it one after the other.

use std::collections::{HashMap, HashSet};

use quickdraw_domain::delivery::BLOCKED;
use quickdraw_domain::health::Health;
use quickdraw_domain::settle::{Policies, Settled, settle};
use quickdraw_domain::{HookId, Timestamp};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::{Postgres, partitions, scalar};
use crate::attempts::outcome_code;
use crate::columns;
use crate::deliveries::{Finished, Settlement};
use crate::error::{Kind, Result};

/// Writes states under their fences, and attempts for those whose fence held.
const WRITE: &str = "
    WITH input AS (
        SELECT * FROM UNNEST($1::uuid[], $2::bigint[], $3::smallint[], $4::bigint[], $5::bigint[], $6::bigint[],
            $7::bigint[], $8::bigint[], $9::smallint[], $10::smallint[], $11::bigint[], $12::bigint[], $13::text[],
            $14::text[], $15::text[], $16::bytea[], $18::bytea[], $19::bigint[])
        AS i(id, fence, state, due_at, attempts, unknown, finished_at, hook_id, outcome, status, started_at, duration,
            address, error, response_headers, response_body, phases, hook_version)),
    settled AS (
        -- A delivery that was cancelled meanwhile stays so; one that was given up and is resent may get there
        -- after all. A blocked delivery keeps its place in its queue, unless that was its last attempt.
        UPDATE deliveries d SET due_at = CASE WHEN d.state < 2 AND (d.due_at < $20 OR i.state >= 2) THEN i.due_at
                ELSE d.due_at END,
            state = CASE WHEN d.due_at >= $20 AND d.state < 2 AND i.state < 2 THEN d.state
                WHEN d.state < 2 OR (d.state = 3 AND i.state = 2) THEN i.state ELSE d.state END,
            attempts = i.attempts, unknown = i.unknown, finished_at = coalesce(d.finished_at, i.finished_at),
            leased_until = NULL
        FROM input i WHERE d.id = i.id AND d.fence = i.fence AND d.leased_until IS NOT NULL
        RETURNING i.*),
    healed AS (DELETE FROM hook_health WHERE $17 AND hook_id IN (SELECT DISTINCT hook_id FROM settled))
    INSERT INTO attempts (delivery_id, hook_id, number, outcome, status, started_at, duration, address, error,
        response_headers, response_body, phases, hook_version)
    SELECT id, hook_id, attempts, outcome, status, started_at, duration, address, error, response_headers, response_body,
        phases, hook_version
    FROM settled
    RETURNING delivery_id";

impl Postgres {
    pub(super) async fn finish(
        &self,
        batch: &[Finished],
        now: Timestamp,
        policies: &Policies,
    ) -> Result<Vec<Settlement>> {
        match self.try_finish(batch, now, policies).await {
            // The clock may have left the days that were prepared: make room for today and try once more.
            Err(error) if error.kind() == Some(Kind::NoPartition) => {
                partitions::prepare(&mut **self.client().await?, now).await?;
                self.try_finish(batch, now, policies).await
            }
            other => other,
        }
    }

    async fn try_finish(&self, batch: &[Finished], now: Timestamp, policies: &Policies) -> Result<Vec<Settlement>> {
        // State and tally do not depend on health, so they can be written before it is known.
        let verdicts: Vec<Settled> = batch
            .iter()
            .map(|one| verdict(one, Health::default(), now, policies))
            .collect();

        let columns = Columns::of(batch, &verdicts, now);
        let mut client = self.client().await?;

        if batch.iter().all(|finished| finished.outcome.is_delivered()) {
            let statement = client.prepare_cached(WRITE).await?;
            let rows = client.query(&statement, &columns.parameters(&true)).await?;
            let kept: HashSet<Uuid> = rows.iter().map(scalar).collect();

            return Ok(settlements(batch, &verdicts, &kept, &HashMap::new()));
        }

        let transaction = client.transaction().await?;
        let statement = transaction.prepare_cached(WRITE).await?;
        let rows = transaction.query(&statement, &columns.parameters(&false)).await?;
        let kept: HashSet<Uuid> = rows.iter().map(scalar).collect();
        let health = settle_health(&transaction, batch, &kept, now, policies).await?;

        transaction.commit().await?;
        Ok(settlements(batch, &verdicts, &kept, &health))
    }
}

fn verdict(finished: &Finished, health: Health, now: Timestamp, policies: &Policies) -> Settled {
    settle(finished.attempted(), health, now, &finished.policies(policies))
}

async fn settle_health(
    transaction: &deadpool_postgres::Transaction<'_>,
    batch: &[Finished],
    kept: &HashSet<Uuid>,
    now: Timestamp,
    policies: &Policies,
) -> Result<HashMap<HookId, Health>> {
    // In one order everywhere: two nodes that lock the same hooks must not wait for each other.
    let mut hooks: Vec<i64> = batch.iter().map(|finished| finished.hook.0).collect();
    hooks.sort_unstable();
    hooks.dedup();

    transaction
        .execute(
            "INSERT INTO hook_health SELECT h.id, 0, 0, NULL, false FROM hooks h WHERE h.id = ANY ($1)
             ORDER BY h.id ON CONFLICT DO NOTHING",
            &[&hooks],
        )
        .await?;

    let rows = transaction
        .query(
            "SELECT hook_id, recent_failures, pauses, disabled_until, disabled FROM hook_health
             WHERE hook_id = ANY ($1) ORDER BY hook_id FOR UPDATE",
            &[&hooks],
        )
        .await?;
    let mut health: HashMap<HookId, Health> = rows
        .iter()
        .map(|row| (HookId(row.get("hook_id")), health(row)))
        .collect();

    for finished in batch.iter().filter(|finished| kept.contains(&finished.delivery.0)) {
        if let Some(known) = health.get_mut(&finished.hook) {
            *known = verdict(finished, *known, now, policies).health;
        }
    }

    let (healthy, failing): (Vec<_>, Vec<_>) = health.iter().partition(|(_, health)| **health == Health::default());
    let healthy: Vec<i64> = healthy.into_iter().map(|(hook, _)| hook.0).collect();
    transaction
        .execute("DELETE FROM hook_health WHERE hook_id = ANY ($1)", &[&healthy])
        .await?;

    let column = |of: fn(&Health) -> i64| -> Vec<i64> { failing.iter().map(|(_, health)| of(health)).collect() };
    let disabled_until: Vec<Option<i64>> = failing
        .iter()
        .map(|(_, health)| health.disabled_until.map(Timestamp::as_micros))
        .collect();

    let disabled: Vec<bool> = failing.iter().map(|(_, health)| health.disabled).collect();
    let ids: Vec<i64> = failing.iter().map(|(hook, _)| hook.0).collect();

    transaction
        .execute(
            "UPDATE hook_health h SET recent_failures = i.recent_failures, pauses = i.pauses,
                disabled_until = i.disabled_until, disabled = i.disabled
             FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::boolean[])
             AS i(hook_id, recent_failures, pauses, disabled_until, disabled) WHERE h.hook_id = i.hook_id",
            &[
                &ids,
                &column(|health| i64::from(health.recent_failures)),
                &column(|health| i64::from(health.pauses)),
                &disabled_until,
                &disabled,
            ],
        )
        .await?;

    Ok(health)
}

/// Reads the columns of `hook_health` from a row that has them under their names.
pub(super) fn health(row: &Row) -> Health {
    columns::health(
        row.get("recent_failures"),
        row.get("pauses"),
        row.get("disabled_until"),
        row.get("disabled"),
    )
}

fn settlements(
    batch: &[Finished],
    verdicts: &[Settled],
    kept: &HashSet<Uuid>,
    health: &HashMap<HookId, Health>,
) -> Vec<Settlement> {
    let one = |(finished, verdict): (&Finished, &Settled)| Settlement {
        delivery: finished.delivery,
        hook: finished.hook,
        state: kept.contains(&finished.delivery.0).then_some(verdict.state),
        health: health.get(&finished.hook).copied().unwrap_or_default(),
    };
    batch.iter().zip(verdicts).map(one).collect()
}

/// A batch, column by column.
struct Columns<'a> {
    ids: Vec<Uuid>,
    fences: Vec<i64>,
    states: Vec<i16>,
    due: Vec<i64>,
    attempts: Vec<i64>,
    unknown: Vec<i64>,
    finished: Vec<Option<i64>>,
    hooks: Vec<i64>,
    outcomes: Vec<i16>,
    statuses: Vec<Option<i16>>,
    started: Vec<i64>,
    durations: Vec<i64>,
    addresses: Vec<Option<&'a str>>,
    errors: Vec<Option<&'a str>>,
    headers: Vec<Option<&'a str>>,
    bodies: Vec<Option<&'a [u8]>>,
    phases: Vec<Option<Vec<u8>>>,
    versions: Vec<Option<i64>>,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a [Finished], verdicts: &[Settled], now: Timestamp) -> Self {
        let settled = |one: &Settled| columns::state_columns(one.state, one.tally);
        let status = |one: &Finished| one.outcome.status().and_then(|status| i16::try_from(status).ok());

        Self {
            ids: batch.iter().map(|one| one.delivery.0).collect(),
            fences: batch.iter().map(|one| one.fence).collect(),
            states: verdicts.iter().map(|one| settled(one).0).collect(),
            due: verdicts.iter().map(|one| settled(one).1).collect(),
            attempts: verdicts.iter().map(|one| settled(one).2).collect(),
            unknown: verdicts.iter().map(|one| settled(one).3).collect(),
            finished: verdicts
                .iter()
                .map(|one| (!one.state.is_owed()).then(|| now.as_micros()))
                .collect(),
            hooks: batch.iter().map(|one| one.hook.0).collect(),
            outcomes: batch.iter().map(|one| outcome_code(one.outcome)).collect(),
            statuses: batch.iter().map(status).collect(),
            started: batch.iter().map(|one| one.record.started_at.as_micros()).collect(),
            durations: batch.iter().map(|one| one.record.duration_micros).collect(),
            addresses: batch.iter().map(|one| one.record.address.as_deref()).collect(),
            errors: batch.iter().map(|one| one.record.error.as_deref()).collect(),
            headers: batch.iter().map(|one| one.record.response_headers.as_deref()).collect(),
            bodies: batch.iter().map(|one| one.record.response_body.as_deref()).collect(),
            phases: batch
                .iter()
                .map(|one| one.record.phases.map(|phases| phases.to_bytes().to_vec()))
                .collect(),
            versions: batch
                .iter()
                .map(|one| one.record.hook_version.map(Timestamp::as_micros))
                .collect(),
        }
    }

    fn parameters<'b>(&'b self, healed: &'b bool) -> [&'b (dyn ToSql + Sync); 20] {
        [
            &self.ids,
            &self.fences,
            &self.states,
            &self.due,
            &self.attempts,
            &self.unknown,
            &self.finished,
            &self.hooks,
            &self.outcomes,
            &self.statuses,
            &self.started,
            &self.durations,
            &self.addresses,
            &self.errors,
            &self.headers,
            &self.bodies,
            healed,
            &self.phases,
            &self.versions,
            &BLOCKED,
        ]
    }
}
