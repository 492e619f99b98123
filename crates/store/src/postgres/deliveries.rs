//! Deliveries in PostgreSQL. Claiming is in `claims.rs`, settling in `settle.rs`.

use std::sync::Arc;

use async_trait::async_trait;
use quickdraw_domain::delivery::{BLOCKED, State};
use quickdraw_domain::outcome::Outcome;
use quickdraw_domain::retry::Chance;
use quickdraw_domain::settle::{Occasion, Policies};
use quickdraw_domain::{DeliveryId, EventId, HookId, NodeId, Timestamp};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::Postgres;
use crate::columns;
use crate::deliveries::{
    Backlog, Claim, Claimed, DELIVERY, DELIVERY_COLUMNS, Deliveries, Delivery, DeliveryFilter, Finished, Held,
    OrderingQueue, Record, Settlement, UNKNOWN, id_range,
};
use crate::error::Result;
use crate::lists::{MAX_SCANNED, Scanned};

/// Leases that one sweep takes away.
const EXPIRE_BATCH: i64 = 1000;

#[async_trait]
impl Deliveries for Postgres {
    async fn claim_deliveries(&self, claim: Claim) -> Result<Vec<Claimed>> {
        self.claim(claim).await
    }

    async fn finish_attempts(
        &self,
        batch: Vec<Finished>,
        now: Timestamp,
        policies: Arc<Policies>,
    ) -> Result<Vec<Settlement>> {
        self.finish(&batch, now, &policies).await
    }

    async fn lease_delivery(&self, id: DeliveryId, lease_until: Timestamp) -> Result<Option<Claimed>> {
        self.lease_one(id, lease_until).await
    }

    async fn advance(&self, queues: Vec<OrderingQueue>, now: Timestamp) -> Result<()> {
        self.advance_queues(&queues, now).await
    }

    async fn blocked_queues_after(
        &self,
        after: Option<OrderingQueue>,
        number: usize,
    ) -> Result<(Vec<OrderingQueue>, Option<OrderingQueue>)> {
        self.blocked_queues(after, number).await
    }

    async fn release_leases(&self, _node: NodeId, deliveries: Vec<(DeliveryId, i64)>) -> Result<()> {
        let (ids, fences): (Vec<Uuid>, Vec<i64>) = deliveries.iter().map(|(id, fence)| (id.0, *fence)).unzip();
        let client = self.client().await?;

        client
            .execute(
                "UPDATE deliveries d SET leased_until = NULL FROM UNNEST($1::uuid[], $2::bigint[]) AS i(id, fence)
                 WHERE d.id = i.id AND d.fence = i.fence",
                &[&ids, &fences],
            )
            .await?;

        self.notify(&client, "deliver").await;
        Ok(())
    }

    async fn expire_leases(&self, now: Timestamp, policies: Arc<Policies>) -> Result<usize> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT id, hook_id, fence, attempts, unknown FROM deliveries
                 WHERE leased_until IS NOT NULL AND leased_until <= $1 ORDER BY leased_until LIMIT $2",
            )
            .await?;
        let rows = client.query(&statement, &[&now.as_micros(), &EXPIRE_BATCH]).await?;

        drop(client);
        if rows.is_empty() {
            return Ok(0);
        }

        // A worker that settles at this very moment wins or loses by the fence, like any other.
        let lapsed: Vec<Finished> = rows
            .iter()
            .map(|row| Finished {
                delivery: DeliveryId(row.get("id")),
                hook: HookId(row.get("hook_id")),
                // Of no consequence: an unknown outcome leaves the hook's health alone.
                is_system: true,
                fence: row.get("fence"),
                tally: columns::tally(row.get("attempts"), row.get("unknown")),
                outcome: Outcome::Unknown,
                occasion: Occasion::Usual,
                chance: Chance(0.0),
                retry: None,
                record: Record {
                    started_at: now,
                    error: Some(UNKNOWN.to_owned()),
                    ..Record::default()
                },
            })
            .collect();

        let settled = self.finish(&lapsed, now, &policies).await?;
        Ok(settled.iter().filter(|settlement| settlement.state.is_some()).count())
    }

    async fn cancel_orphans(&self, now: Timestamp, limit: usize) -> Result<usize> {
        let client = self.client().await?;
        let cancelled = client
            .execute(
                // From hook to hook in the index: a million waiting deliveries cost one step for each hook.
                "WITH RECURSIVE walk (state, hook_id) AS (
                    SELECT s, (SELECT min(d.hook_id) FROM deliveries d
                        WHERE d.state = s AND d.state < 2 AND d.leased_until IS NULL)
                    FROM UNNEST(ARRAY[0, 1]::smallint[]) s
                    UNION ALL
                    SELECT w.state, (SELECT min(d.hook_id) FROM deliveries d
                        WHERE d.state = w.state AND d.state < 2 AND d.leased_until IS NULL AND d.hook_id > w.hook_id)
                    FROM walk w WHERE w.hook_id IS NOT NULL),
                 orphans AS MATERIALIZED (
                    SELECT d.id FROM walk w CROSS JOIN LATERAL (SELECT id FROM deliveries d
                        WHERE d.state = w.state AND d.state < 2 AND d.leased_until IS NULL AND d.hook_id = w.hook_id
                        LIMIT $2 FOR UPDATE SKIP LOCKED) d
                    WHERE w.hook_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM hooks h WHERE h.id = w.hook_id)
                    LIMIT $2)
                 UPDATE deliveries d SET state = 4, finished_at = $1 FROM orphans o WHERE d.id = o.id",
                &[&now.as_micros(), &columns::limit(limit)],
            )
            .await?;
        Ok(usize::try_from(cancelled).unwrap_or(usize::MAX))
    }

    async fn drop_held(&self, hook: HookId, held: Held, now: Timestamp, limit: usize) -> Result<usize> {
        // Another node may have found a moment ago that the hook is healthy, or a person has resumed it: then there is
        // no edge.
        let sql = "WITH edge AS (
                -- So many of those that wait, and so many of those behind them.
                SELECT greatest($2, coalesce((SELECT due_at + 1 FROM deliveries WHERE state = 0 AND state < 2
                    AND leased_until IS NULL AND hook_id = $1 AND due_at < $7
                    ORDER BY due_at DESC LIMIT 1 OFFSET $3), $2)) AS at,
                greatest($7 + $2, coalesce((SELECT due_at + 1 FROM deliveries WHERE state = 0 AND state < 2
                    AND leased_until IS NULL AND hook_id = $1 AND due_at >= $7
                    ORDER BY due_at DESC LIMIT 1 OFFSET $3), $7 + $2)) AS blocked
                WHERE EXISTS (SELECT 1 FROM hook_health WHERE hook_id = $1 AND (disabled OR disabled_until > $5))
                    OR EXISTS (SELECT 1 FROM hooks WHERE id = $1 AND paused_at IS NOT NULL)),
            held AS MATERIALIZED (
                SELECT d.id FROM edge, LATERAL (SELECT id FROM deliveries WHERE state = 0 AND state < 2
                    AND leased_until IS NULL AND hook_id = $1 AND due_at < edge.at
                    ORDER BY due_at LIMIT $4 FOR UPDATE SKIP LOCKED) d
                UNION ALL
                SELECT d.id FROM edge, LATERAL (SELECT id FROM deliveries WHERE state = 0 AND state < 2
                    AND leased_until IS NULL AND hook_id = $1 AND due_at >= $7 AND due_at < edge.blocked
                    ORDER BY due_at LIMIT $4 FOR UPDATE SKIP LOCKED) d
                UNION ALL
                SELECT d.id FROM edge, LATERAL (SELECT id FROM deliveries WHERE state = 1 AND state < 2
                    AND leased_until IS NULL AND hook_id = $1 AND due_at < edge.at
                    ORDER BY due_at LIMIT $4 FOR UPDATE SKIP LOCKED) d),
            dropped AS (
                UPDATE deliveries d SET state = 3, finished_at = $5 FROM held h WHERE d.id = h.id RETURNING d.event_id)
            INSERT INTO skips SELECT event_id, $1, $6 FROM dropped
            ON CONFLICT (event_id, hook_id) DO UPDATE SET reason = excluded.reason";

        let client = self.client().await?;
        let parameters: [&(dyn ToSql + Sync); 7] = [
            &hook.0,
            &held.older_than.as_micros(),
            &held.most,
            &columns::limit(limit),
            &now.as_micros(),
            &held.reason.code(),
            &BLOCKED,
        ];

        let dropped = client.execute(sql, &parameters).await?;
        Ok(usize::try_from(dropped).unwrap_or(usize::MAX))
    }

    async fn find_delivery(&self, id: DeliveryId) -> Result<Option<Delivery>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(&format!("SELECT {DELIVERY_COLUMNS} FROM deliveries WHERE id = $1"))
            .await?;
        Ok(client.query_opt(&statement, &[&id.0]).await?.as_ref().map(delivery))
    }

    async fn list_deliveries(&self, filter: DeliveryFilter) -> Result<Scanned<Delivery, DeliveryId>> {
        let client = self.client().await?;
        let looked_at = |columns: &str| {
            format!(
                "SELECT {columns} FROM deliveries WHERE id BETWEEN $1 AND $2 AND id < $3 ORDER BY id DESC LIMIT {MAX_SCANNED}"
            )
        };

        let sql = format!(
            "SELECT * FROM ({}) l
             WHERE ($4::uuid IS NULL OR event_id = $4) AND ($5::bigint IS NULL OR hook_id = $5)
                AND {}
             ORDER BY id DESC LIMIT $6",
            looked_at(DELIVERY_COLUMNS),
            columns::is_in(filter.state)
        );

        let (low, high) = filter
            .event
            .map(id_range)
            .map_or((Uuid::nil(), Uuid::max()), |(low, high)| (low.0, high.0));

        let before = filter.before.map_or(Uuid::max(), |id| id.0);
        let statement = client.prepare_cached(&sql).await?;

        let rows = client
            .query(
                &statement,
                &[
                    &low,
                    &high,
                    &before,
                    &filter.event.map(|id| id.0),
                    &filter.hook.map(|id| id.0),
                    &columns::limit(filter.limit),
                ],
            )
            .await?;
        let found: Vec<Delivery> = rows.iter().map(delivery).collect();

        let end = if found.len() < filter.limit {
            super::events::end(&client, &looked_at("id"), &[&low, &high, &before]).await?
        } else {
            None
        };

        Ok(Scanned::new(
            found,
            filter.limit,
            |delivery| delivery.id,
            end.map(DeliveryId),
        ))
    }

    async fn backlog(&self) -> Result<Backlog> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "WITH RECURSIVE walk (state, hook) AS (
                    VALUES (0::smallint, 0::bigint), (1::smallint, 0::bigint)
                    UNION ALL
                    SELECT w.state, (SELECT min(d.hook_id) FROM deliveries d
                        WHERE d.state = w.state AND d.state < 2 AND d.leased_until IS NULL AND d.hook_id > w.hook)
                    FROM walk w WHERE w.hook IS NOT NULL)
                 SELECT (SELECT count(*) FROM (SELECT 1 FROM deliveries
                        WHERE state < 2 AND leased_until IS NULL LIMIT 100000) a)
                        + (SELECT count(*) FROM deliveries WHERE leased_until IS NOT NULL) AS deliveries,
                    (SELECT min((SELECT min(d.due_at) FROM deliveries d
                        WHERE d.state = w.state AND d.state < 2 AND d.leased_until IS NULL AND d.hook_id = w.hook))
                     FROM walk w) AS oldest_due_at,
                    (SELECT count(*) FROM (SELECT 1 FROM fan_out_pending LIMIT 100000) c) AS fan_out,
                    (SELECT count(*) FROM (SELECT 1 FROM projection_pending LIMIT 100000) d) AS projection,
                    (SELECT event_id FROM fan_out_pending ORDER BY event_id LIMIT 1) AS oldest_fan_out,
                    (SELECT event_id FROM projection_pending ORDER BY event_id LIMIT 1) AS oldest_projection",
            )
            .await?;
        let row = client.query_one(&statement, &[]).await?;

        Ok(Backlog {
            deliveries: row.get("deliveries"),
            oldest_due_at: row.get::<_, Option<i64>>("oldest_due_at").map(Timestamp::from_micros),
            fan_out: row.get("fan_out"),
            projection: row.get("projection"),
            oldest_fan_out: row.get::<_, Option<Uuid>>("oldest_fan_out").map(EventId),
            oldest_projection: row.get::<_, Option<Uuid>>("oldest_projection").map(EventId),
        })
    }
}

pub(super) fn delivery(row: &Row) -> Delivery {
    Delivery {
        id: DeliveryId(row.get(DELIVERY.id)),
        event: EventId(row.get(DELIVERY.event_id)),
        hook: HookId(row.get(DELIVERY.hook_id)),
        state: State::from_code(
            row.get(DELIVERY.state),
            Timestamp::from_micros(row.get(DELIVERY.due_at)),
        ),
        tally: columns::tally(row.get(DELIVERY.attempts), row.get(DELIVERY.unknown)),
        created_at: Timestamp::from_micros(row.get(DELIVERY.created_at)),
        finished_at: row
            .get::<_, Option<i64>>(DELIVERY.finished_at)
            .map(Timestamp::from_micros),
    }
}
