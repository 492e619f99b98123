//! Deliveries in SQLite: claimed by a walk over the hooks that are owed something, settled under the lease's number.

mod pick;

use std::sync::Arc;

use async_trait::async_trait;
use quickdraw_domain::delivery::{BLOCKED, Stage, State};
use quickdraw_domain::settle::Policies;
use quickdraw_domain::{DeliveryId, EventId, HookId, NodeId, Timestamp};
use rusqlite::{OptionalExtension, Row};
use uuid::Uuid;

use self::pick::{Owed, Picked, load, owed, pick, queue_of, read_owed};
use super::claims::{Lease, adopt, forget_claim, unknown, write_claim};
use super::rows::scalar;
use super::settle::finish;
use super::{Sqlite, ordering};
use crate::columns;
use crate::deliveries::{
    Backlog, Claim, Claimed, DELIVERY, DELIVERY_COLUMNS, Deliveries, Delivery, DeliveryFilter, Finished, Held,
    OrderingQueue, Settlement, id_range,
};
use crate::error::Result;
use crate::lists::{MAX_SCANNED, Scanned};

/// Counting stops here: a gauge need not read a million rows.
const COUNT_BOUND: i64 = 100_000;

#[async_trait]
impl Deliveries for Sqlite {
    async fn claim_deliveries(&self, claim: Claim) -> Result<Vec<Claimed>> {
        let picked = self.write(move |tx| pick(tx, &claim)).await?;
        if picked.is_empty() {
            return Ok(Vec::new());
        }

        // Bodies are read after the commit and beside the writer, which has better things to do.
        self.read(move |connection| {
            let mut claimed = Vec::with_capacity(picked.len());
            for picked in picked {
                let id = picked.delivery;
                match load(connection, picked) {
                    Ok(loaded) => claimed.push(loaded),
                    // It must not take its neighbours along; its lease lapses.
                    Err(error) => tracing::error!(delivery.id = %id, %error, "failed to read what is to be delivered"),
                }
            }

            Ok(claimed)
        })
        .await
    }

    async fn finish_attempts(
        &self,
        batch: Vec<Finished>,
        now: Timestamp,
        policies: Arc<Policies>,
    ) -> Result<Vec<Settlement>> {
        self.write(move |tx| {
            batch
                .iter()
                .map(|finished| finish(tx, finished, now, &policies))
                .collect()
        })
        .await
    }

    async fn lease_delivery(&self, id: DeliveryId, lease_until: Timestamp) -> Result<Option<Claimed>> {
        let picked = self
            .write(move |tx| {
                let found = tx
                    .connection
                    .prepare_cached(&read_owed())?
                    .query_row([id.0], owed)
                    .optional()?;
                let Some(found) = found.filter(|_| !tx.claims.holds(id)) else {
                    return Ok(None);
                };

                let Owed {
                    event,
                    hook,
                    tally,
                    object,
                } = found;

                let queue = queue_of(hook, object);
                let claim = write_claim(tx, lease_until, &[(id, tally.attempts)])?;

                let lease = Lease {
                    claim,
                    hook,
                    until: lease_until,
                    tally,
                };
                tx.claims.add(id, lease);

                Ok(Some(Picked {
                    delivery: id,
                    event,
                    queue,
                    lease,
                }))
            })
            .await?;
        let Some(picked) = picked else { return Ok(None) };
        self.read(move |connection| load(connection, picked).map(Some)).await
    }

    async fn advance(&self, queues: Vec<OrderingQueue>, now: Timestamp) -> Result<()> {
        self.write(move |tx| ordering::advance(tx.connection, &queues, now))
            .await
    }

    async fn blocked_queues_after(
        &self,
        after: Option<OrderingQueue>,
        number: usize,
    ) -> Result<(Vec<OrderingQueue>, Option<OrderingQueue>)> {
        self.read(move |connection| ordering::blocked(connection, after, number))
            .await
    }

    async fn release_leases(&self, _node: NodeId, deliveries: Vec<(DeliveryId, i64)>) -> Result<()> {
        self.write(move |tx| {
            for (delivery, fence) in deliveries {
                if let Some((lease, true)) = tx.claims.end(delivery, fence) {
                    forget_claim(tx.connection, lease.claim)?;
                }
            }

            Ok(())
        })
        .await
    }

    async fn expire_leases(&self, now: Timestamp, policies: Arc<Policies>) -> Result<usize> {
        self.write(move |tx| {
            let mut count = adopt(tx, now, &policies)?;
            for (delivery, lease) in tx.claims.lapsed(now) {
                let finished = unknown(delivery, &lease, now);
                count += usize::from(finish(tx, &finished, now, &policies)?.state.is_some());
            }

            Ok(count)
        })
        .await
    }

    async fn cancel_orphans(&self, now: Timestamp, limit: usize) -> Result<usize> {
        self.write(move |tx| {
            // From hook to hook in the index: a million waiting deliveries cost one step for each hook.
            let mut next = tx.connection.prepare_cached(
                "SELECT d.hook_id, EXISTS (SELECT 1 FROM hooks h WHERE h.id = d.hook_id) AS is_there FROM deliveries d
                 WHERE d.state = ?1 AND d.state < 2 AND d.hook_id > ?2 ORDER BY d.hook_id LIMIT 1",
            )?;

            let mut cancel = tx.connection.prepare_cached(
                "UPDATE deliveries SET state = 4, finished_at = ?1 WHERE id IN
                 (SELECT id FROM deliveries WHERE state = ?2 AND state < 2 AND hook_id = ?3 LIMIT ?4)",
            )?;

            let mut count = 0;
            for state in [Stage::Waiting, Stage::Retrying].map(Stage::code) {
                let mut after = 0_i64;
                while let Some((hook, there)) = next
                    .query_row((state, after), |row| {
                        Ok((row.get::<_, i64>("hook_id")?, row.get::<_, bool>("is_there")?))
                    })
                    .optional()?
                {
                    after = hook;
                    if !there {
                        count += cancel.execute((now.as_micros(), state, hook, columns::limit(limit)))?;
                    }
                }
            }

            Ok(count)
        })
        .await
    }

    async fn drop_held(&self, hook: HookId, held: Held, now: Timestamp, limit: usize) -> Result<usize> {
        // The count of what waits is taken beside the writer, who has better things to do.
        let edges: Vec<Option<i64>> = self
            .read(move |connection| {
                let sql = "SELECT due_at FROM deliveries WHERE state = 0 AND state < 2 AND hook_id = ?1
                    AND due_at >= ?2 AND due_at < ?3 ORDER BY due_at DESC LIMIT 1 OFFSET ?4";
                let mut edge = connection.prepare_cached(sql)?;
                let of = [(i64::MIN, BLOCKED), (BLOCKED, i64::MAX)]
                    .map(|(from, to)| edge.query_row((hook.0, from, to, held.most), scalar::<i64>).optional());
                Ok(of.into_iter().collect::<rusqlite::Result<_>>()?)
            })
            .await?;

        // So many of those that wait, and so many of those behind them.
        let age = held.older_than.as_micros();
        let edge = edges[0].map_or(age, |edge| age.max(edge + 1));
        let blocked_edge = edges[1].map_or(BLOCKED + age, |edge| (BLOCKED + age).max(edge + 1));

        self.write(move |tx| {
            let mut dropped = Vec::new();
            // A result of a moment ago may have made the hook healthy, or a person has resumed it.
            let disabled = "SELECT 1 FROM hook_health WHERE hook_id = ?1 AND (disabled OR disabled_until > ?2)
                UNION ALL SELECT 1 FROM hooks WHERE id = ?1 AND paused_at IS NOT NULL";

            if !tx
                .connection
                .prepare_cached(disabled)?
                .exists((hook.0, now.as_micros()))?
            {
                return Ok(0);
            }

            let (waiting, retrying) = (Stage::Waiting.code(), Stage::Retrying.code());
            for (state, from, to) in [
                (waiting, i64::MIN, edge),
                (waiting, BLOCKED, blocked_edge),
                (retrying, i64::MIN, edge),
            ] {
                let mut due = tx.connection.prepare_cached(
                    "SELECT id, event_id FROM deliveries WHERE state = ?1 AND state < 2 AND hook_id = ?2
                     AND due_at >= ?3 AND due_at < ?4 ORDER BY due_at LIMIT ?5",
                )?;
                let mut rows = due.query((state, hook.0, from, to, columns::limit(limit)))?;

                while let Some(row) = rows.next()? {
                    let id = DeliveryId(row.get("id")?);
                    if !tx.claims.holds(id) {
                        dropped.push((id, row.get::<_, Uuid>("event_id")?));
                    }
                }
            }

            let mut give_up = tx
                .connection
                .prepare_cached("UPDATE deliveries SET state = 3, finished_at = ?2 WHERE id = ?1")?;
            let mut skip = tx
                .connection
                .prepare_cached("INSERT OR REPLACE INTO skips VALUES (?1, ?2, ?3)")?;
            for (id, event) in &dropped {
                give_up.execute((id.0, now.as_micros()))?;
                skip.execute((event, hook.0, held.reason.code()))?;
            }

            Ok(dropped.len())
        })
        .await
    }

    async fn find_delivery(&self, id: DeliveryId) -> Result<Option<Delivery>> {
        self.read(move |connection| {
            let sql = format!("SELECT {DELIVERY_COLUMNS} FROM deliveries WHERE id = ?1");
            let mut statement = connection.prepare_cached(&sql)?;
            Ok(statement.query_row([id.0], delivery).optional()?)
        })
        .await
    }

    async fn list_deliveries(&self, filter: DeliveryFilter) -> Result<Scanned<Delivery, DeliveryId>> {
        self.read(move |connection| {
            let looked_at = |columns: &str| {
                format!(
                    "SELECT {columns} FROM deliveries WHERE id BETWEEN ?1 AND ?2 AND id < ?3
                     ORDER BY id DESC LIMIT {MAX_SCANNED}"
                )
            };

            let sql = format!(
                "SELECT * FROM ({})
                 WHERE (?4 IS NULL OR event_id = ?4) AND (?5 IS NULL OR hook_id = ?5)
                   AND {}
                 ORDER BY id DESC LIMIT ?6",
                looked_at(DELIVERY_COLUMNS),
                columns::is_in(filter.state)
            );

            let (low, high) = filter
                .event
                .map(id_range)
                .map_or((Uuid::nil(), Uuid::max()), |(low, high)| (low.0, high.0));

            let before = filter.before.map_or(Uuid::max(), |id| id.0);
            let mut statement = connection.prepare_cached(&sql)?;

            let parameters = (
                low,
                high,
                before,
                filter.event.map(|id| id.0),
                filter.hook.map(|id| id.0),
                columns::limit(filter.limit),
            );
            let found: Vec<Delivery> = statement
                .query_map(parameters, delivery)?
                .collect::<rusqlite::Result<_>>()?;

            let end = if found.len() < filter.limit {
                super::events::end(connection, &looked_at("id"), (low, high, before))?
            } else {
                None
            };

            Ok(Scanned::new(
                found,
                filter.limit,
                |delivery| delivery.id,
                end.map(DeliveryId),
            ))
        })
        .await
    }

    async fn backlog(&self) -> Result<Backlog> {
        self.read(|connection| {
            let count =
                |sql: &str| -> Result<i64> { Ok(connection.prepare_cached(sql)?.query_row([COUNT_BOUND], scalar)?) };
            // Ids of events are in the order of time, and each table is sorted by them.
            let oldest_of = |table: &str| -> Result<Option<EventId>> {
                let sql = format!("SELECT min(event_id) FROM {table}");
                let oldest: Option<Uuid> = connection.prepare_cached(&sql)?.query_row([], scalar)?;
                Ok(oldest.map(EventId))
            };
            let oldest: Option<i64> = connection
                .prepare_cached(
                    // From hook to hook in the index: a million waiting deliveries cost one step for each hook.
                    "WITH RECURSIVE walk (state, hook) AS (
                        VALUES (0, 0), (1, 0)
                        UNION ALL
                        SELECT w.state, (SELECT min(hook_id) FROM deliveries d
                            WHERE d.state = w.state AND d.state < 2 AND d.hook_id > w.hook)
                        FROM walk w WHERE w.hook IS NOT NULL)
                     SELECT min((SELECT min(due_at) FROM deliveries d
                        WHERE d.state = w.state AND d.state < 2 AND d.hook_id = w.hook)) FROM walk w",
                )?
                .query_row([], scalar)?;

            Ok(Backlog {
                deliveries: count("SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE state < 2 LIMIT ?1)")?,
                oldest_due_at: oldest.map(Timestamp::from_micros),
                fan_out: count("SELECT count(*) FROM (SELECT 1 FROM fan_out_pending LIMIT ?1)")?,
                projection: count("SELECT count(*) FROM (SELECT 1 FROM projection_pending LIMIT ?1)")?,
                oldest_fan_out: oldest_of("fan_out_pending")?,
                oldest_projection: oldest_of("projection_pending")?,
            })
        })
        .await
    }
}

pub(super) fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    Ok(Delivery {
        id: DeliveryId(row.get(DELIVERY.id)?),
        event: EventId(row.get(DELIVERY.event_id)?),
        hook: HookId(row.get(DELIVERY.hook_id)?),
        state: State::from_code(
            row.get(DELIVERY.state)?,
            Timestamp::from_micros(row.get(DELIVERY.due_at)?),
        ),
        tally: columns::tally(row.get(DELIVERY.attempts)?, row.get(DELIVERY.unknown)?),
        created_at: Timestamp::from_micros(row.get(DELIVERY.created_at)?),
        finished_at: row
            .get::<_, Option<i64>>(DELIVERY.finished_at)?
            .map(Timestamp::from_micros),
    })
}
