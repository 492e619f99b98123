//! The journal in PostgreSQL.

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use quickdraw_domain::audience::SkipReason;
use quickdraw_domain::event::{DedupeKey, Event};
use quickdraw_domain::recursion::{self, Chain};
use quickdraw_domain::{EventId, HookId, ObjectKey, Timestamp, Trigger};
use tokio_postgres::types::ToSql;
use tokio_postgres::{GenericClient, Row};
use uuid::Uuid;

use super::ingest::{Owed, Skipped, append, known_keys};
use super::{Postgres, appends, partitions, scalar};
use crate::columns;
use crate::error::{Kind, Result};
use crate::events::{
    Appended, BODY, BODY_COLUMN, Chains, Decide, EVENT, EVENT_COLUMNS, EventFilter, Events, FanOutCount, NewEvent,
    chains_of,
};
use crate::lists::{MAX_SCANNED, Scanned};
use crate::payload::Packed;

#[async_trait]
impl Events for Postgres {
    async fn append_events(&self, batch: Vec<NewEvent>) -> Result<Vec<Appended>> {
        let mut client = self.accept_client().await?;
        let mut appended = append(&client, &batch).await;

        if matches!(&appended, Err(error) if error.kind() == Some(Kind::NoPartition)) {
            // The clock may have left the days that were prepared: make room for today and try once more.
            let now = batch.first().map(|new| new.event.received_at).unwrap_or_default();
            partitions::prepare(&mut **client, now).await?;
            appended = append(&client, &batch).await;
        }

        let appended = appended?;
        if appended
            .iter()
            .any(|one| matches!(one, Appended::New { fence: None, .. }))
        {
            self.notify(&client, "fan_out").await;
        }

        let decided = batch.iter().filter_map(|new| new.decided.as_ref());
        if decided
            .into_iter()
            .any(|decided| decided.taken.len() < decided.audience.deliver.len())
        {
            self.notify(&client, "deliver").await;
        }

        Ok(appended)
    }

    async fn find_key(&self, key: DedupeKey) -> Result<Option<EventId>> {
        let client = self.client().await?;
        let hash = columns::key_hash(&key).to_vec();
        let known = known_keys(&client, &[Some(hash.clone())]).await?;
        Ok(known.get(&hash).map(|event| EventId(*event)))
    }

    async fn fan_out(&self, limit: usize, now: Timestamp, version: i64, decide: Decide) -> Result<FanOutCount> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;

        let sql = format!(
            "WITH p AS MATERIALIZED (SELECT event_id FROM fan_out_pending WHERE event_id >= $2
                ORDER BY event_id LIMIT $1 FOR UPDATE SKIP LOCKED)
             SELECT {EVENT_COLUMNS} FROM p CROSS JOIN LATERAL (SELECT * FROM events WHERE id = p.event_id) e"
        );
        let statement = transaction.prepare_cached(&sql).await?;
        let from = self.fan_out_from(now);
        let rows = transaction.query(&statement, &[&columns::limit(limit), &from]).await?;

        if rows.len() == limit {
            // There is more than a batch, and it may be old: look at everything next time.
            self.last_full_look.store(0, Ordering::Relaxed);
        }

        if rows.is_empty() {
            return Ok(FanOutCount::default());
        }

        // Read after the events: a hook that was committed before one of them has raised the version by now.
        let statement = transaction.prepare_cached("SELECT version FROM directory").await?;
        let current: i64 = scalar(&transaction.query_one(&statement, &[]).await?);

        if current != version {
            return Ok(FanOutCount {
                outdated: true,
                ..FanOutCount::default()
            });
        }

        let (mut done, mut deliveries, mut skips) = (Vec::new(), Owed::default(), Skipped::default());
        let mut fired: (Vec<Uuid>, Vec<i64>) = Default::default();
        let events: Vec<Event> = rows.iter().map(event).collect();
        let continued: Vec<Uuid> = events.iter().filter_map(|event| event.chain).collect();
        let mut unjudged = Vec::new();

        let mut chains = if continued.is_empty() {
            Chains::default()
        } else {
            read_chains(&*transaction, &continued, now).await?
        };

        for event in events {
            let chain = event.chain.map(|chain| chains.entry(chain).or_default());
            let Some(audience) = decide(&event, chain.unwrap_or(&mut Chain::default())) else {
                unjudged.push(event);
                continue;
            };

            for hook in audience.deliver {
                deliveries.push(&event, hook, &audience.in_order, None);
                if let Some(chain) = event.chain {
                    fired.0.push(chain);
                    fired.1.push(hook.0);
                }
            }

            for (hook, reason) in audience.skip {
                skips.push(event.id, hook, reason);
            }

            done.push(event.id.0);
        }

        let statement = transaction
            .prepare_cached(
                // DO NOTHING: the id is a function of event and hook, so a second fan-out of one event changes nothing.
                "WITH done AS (DELETE FROM fan_out_pending WHERE event_id = ANY ($1)),
                 skipped AS (INSERT INTO skips SELECT * FROM UNNEST($2::uuid[], $3::bigint[], $4::smallint[])
                     ON CONFLICT DO NOTHING),
                 chained AS (INSERT INTO chains
                     SELECT DISTINCT chain, hook_id, $5::bigint FROM UNNEST($9::uuid[], $10::bigint[]) AS f(chain, hook_id)
                     ORDER BY 1, 2 ON CONFLICT (chain, hook_id) DO UPDATE SET fired_at = excluded.fired_at)
                 INSERT INTO deliveries (id, event_id, hook_id, state, due_at, attempts, unknown, created_at, object)
                 SELECT id, event_id, hook_id, 0, coalesce(blocked_at, $5), 0, 0, $5, object
                 FROM UNNEST($6::uuid[], $7::uuid[], $8::bigint[], $11::bigint[], $12::bigint[])
                     AS d(id, event_id, hook_id, blocked_at, object)
                 ON CONFLICT DO NOTHING",
            )
            .await?;

        let made = transaction
            .execute(
                &statement,
                &[
                    &done,
                    &skips.events,
                    &skips.hooks,
                    &skips.reasons,
                    &now.as_micros(),
                    &deliveries.ids,
                    &deliveries.events,
                    &deliveries.hooks,
                    &fired.0,
                    &fired.1,
                    &deliveries.blocked_at,
                    &deliveries.objects,
                ],
            )
            .await?;

        transaction.commit().await?;
        if made > 0 {
            self.notify(&client, "deliver").await;
        }

        let deliveries = usize::try_from(made).unwrap_or(usize::MAX);
        Ok(FanOutCount {
            events: done.len(),
            deliveries,
            outdated: false,
            unjudged,
        })
    }

    async fn chains(&self, chains: Vec<Uuid>, now: Timestamp) -> Result<Chains> {
        // Accepting has connections of its own, which no slow query of others can hold up.
        read_chains(&**self.accept_client().await?, &chains, now).await
    }

    async fn forget_chains(&self, before: Timestamp, limit: usize) -> Result<usize> {
        let sql = "DELETE FROM chains WHERE (chain, hook_id) IN
            (SELECT chain, hook_id FROM chains WHERE fired_at < $1 ORDER BY fired_at LIMIT $2)";
        let gone = self
            .client()
            .await?
            .execute(sql, &[&before.as_micros(), &columns::limit(limit)])
            .await?;
        Ok(usize::try_from(gone).unwrap_or(usize::MAX))
    }

    async fn find_event(&self, id: EventId) -> Result<Option<(Event, Packed)>> {
        let client = self.client().await?;
        let sql = format!("SELECT {EVENT_COLUMNS}, {BODY_COLUMN} FROM events e WHERE e.id = $1");
        let statement = client.prepare_cached(&sql).await?;
        let row = client.query_opt(&statement, &[&id.0]).await?;

        Ok(row.as_ref().map(event_with_body))
    }

    async fn events_by_id(&self, ids: Vec<EventId>) -> Result<Vec<Event>> {
        let client = self.client().await?;
        let sql = format!("SELECT {EVENT_COLUMNS} FROM events e WHERE e.id = ANY ($1)");
        let ids: Vec<Uuid> = ids.into_iter().map(|id| id.0).collect();
        let rows = client.query(&client.prepare_cached(&sql).await?, &[&ids]).await?;

        Ok(rows.iter().map(event).collect())
    }

    async fn list_events(&self, filter: EventFilter) -> Result<Scanned<Event, EventId>> {
        let client = self.client().await?;

        // Both name the parameter, but only a plain condition finds the index.
        let place = if filter.project.is_some() {
            "e.place_kind = 1 AND e.place_id = $2"
        } else {
            "$2::bigint IS NULL"
        };

        // Where every row counts, a page of them is enough.
        let most = if filter.trigger.is_some() {
            MAX_SCANNED
        } else {
            filter.limit
        };
        let looked_at = |columns: &str| {
            format!("SELECT {columns} FROM events e WHERE e.id < $1 AND {place} ORDER BY e.id DESC LIMIT {most}")
        };
        let sql = format!(
            "SELECT * FROM ({}) l WHERE $3::smallint IS NULL OR trigger_code = $3 ORDER BY id DESC LIMIT $4",
            looked_at(EVENT_COLUMNS)
        );

        let before = filter.before.map_or(Uuid::max(), |id| id.0);
        let project = filter.project.map(|id| id.0);
        let trigger = filter.trigger.map(|trigger| i16::from(trigger.row().code));
        let statement = client.prepare_cached(&sql).await?;

        let rows = client
            .query(
                &statement,
                &[&before, &project, &trigger, &columns::limit(filter.limit)],
            )
            .await?;
        let found: Vec<Event> = rows.iter().map(event).collect();

        let end = match trigger {
            Some(_) if found.len() < filter.limit => end(&client, &looked_at("e.id"), &[&before, &project]).await?,
            _ => None,
        };
        Ok(Scanned::new(found, filter.limit, |event| event.id, end.map(EventId)))
    }

    async fn list_skips(&self, event: EventId) -> Result<Vec<(HookId, SkipReason)>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached("SELECT hook_id, reason FROM skips WHERE event_id = $1 ORDER BY hook_id")
            .await?;
        let rows = client.query(&statement, &[&event.0]).await?;
        Ok(rows
            .iter()
            .filter_map(|row| Some((HookId(row.get("hook_id")), SkipReason::from_code(row.get("reason"))?)))
            .collect())
    }

    async fn prune(&self, before: Timestamp, limit: usize) -> Result<usize> {
        let mut client = self.client().await?;
        let edge = partitions::uuid_at(before.as_seconds());
        let limit = columns::limit(limit);
        let mut gone = appends::prune(&**client, before, limit).await?;

        gone += client
            .execute(
                "DELETE FROM deliveries WHERE id IN
                 (SELECT id FROM deliveries WHERE id < $1 AND state >= 2 ORDER BY id LIMIT $2)",
                &[&edge, &limit],
            )
            .await?;

        gone += client
            .execute(
                "DELETE FROM idempotency_keys WHERE key_hash IN
                 (SELECT key_hash FROM idempotency_keys WHERE received_at < $1 LIMIT $2)",
                &[&before.as_micros(), &limit],
            )
            .await?;

        gone += client
            .execute(
                "DELETE FROM skips WHERE (event_id, hook_id) IN
                 (SELECT event_id, hook_id FROM skips WHERE event_id < $1 ORDER BY event_id LIMIT $2)",
                &[&edge, &limit],
            )
            .await?;

        gone += client
            .execute(
                "DELETE FROM hook_versions WHERE (hook_id, version) IN (SELECT o.hook_id, o.version FROM hook_versions o
                   JOIN hook_versions n ON n.hook_id = o.hook_id AND n.version > o.version AND n.version < $1 LIMIT $2)",
                &[&before.as_micros(), &limit],
            )
            .await?;

        let gone = usize::try_from(gone).unwrap_or(usize::MAX);
        if i64::try_from(gone).is_ok_and(|gone| gone >= limit) {
            return Ok(gone);
        }

        // Whole days go at once, which costs no more for a million rows than for one.
        Ok(gone + partitions::drop_before(&mut **client, before).await?)
    }
}

impl Postgres {
    /// Where the look for waiting events begins. Usually a minute ago: the index before that is full of entries of rows
    /// that are gone. Every few seconds at the beginning of time, for what was left over.
    fn fan_out_from(&self, now: Timestamp) -> Uuid {
        const FULL_LOOK_SECONDS: i64 = 5;

        let seconds = now.as_seconds();
        if (seconds - self.last_full_look.load(Ordering::Relaxed)).abs() >= FULL_LOOK_SECONDS {
            self.last_full_look.store(seconds, Ordering::Relaxed);
            return Uuid::nil();
        }

        partitions::uuid_at(seconds - 60)
    }
}

/// Rows of hooks that fired, and the hook of the delivery that a chain began with.
async fn read_chains(client: &impl GenericClient, chains: &[Uuid], now: Timestamp) -> Result<Chains> {
    let origins: Vec<Uuid> = chains.iter().map(|chain| recursion::origin(*chain).0).collect();
    let sql = "SELECT chain, hook_id, fired_at FROM chains WHERE chain = ANY ($1)
        UNION ALL
        SELECT o.chain, d.hook_id, greatest(d.created_at, least(coalesce(d.finished_at, d.due_at), $3))
        FROM UNNEST($1::uuid[], $2::uuid[]) AS o(chain, id) JOIN deliveries d ON d.id = o.id";
    let statement = client.prepare(sql).await?;
    let rows = client.query(&statement, &[&chains, &origins, &now.as_micros()]).await?;

    let fired = rows.iter().map(|row| {
        (
            row.get("chain"),
            HookId(row.get("hook_id")),
            Timestamp::from_micros(row.get("fired_at")),
        )
    });
    Ok(chains_of(chains, fired, now))
}

/// Reads a row that begins with [`EVENT`].
pub(super) fn event(row: &Row) -> Event {
    Event {
        id: EventId(row.get(EVENT.id)),
        place: columns::place(row.get(EVENT.place_kind), row.get(EVENT.place_id)),
        trigger: Trigger::by_code(u8::try_from(row.get::<_, i16>(EVENT.trigger_code)).unwrap_or(0)),
        origin: columns::origin(row.get(EVENT.origin_kind), row.get(EVENT.origin_id)),
        received_at: Timestamp::from_micros(row.get(EVENT.received_at)),
        chain: row.get(EVENT.chain),
        git_ref: row.get(EVENT.git_ref),
        object: row.get::<_, Option<i64>>(EVENT.object).map(ObjectKey),
        sent_as: row.get(EVENT.sent_as),
        instance: row.get(EVENT.instance),
        duplicate_of: row.get::<_, Option<Uuid>>(EVENT.duplicate_of).map(EventId),
        unlisted: columns::read_unlisted(row.get(EVENT.filtered)),
    }
}

/// Reads a row that begins with [`EVENT`] and [`BODY`].
pub(super) fn event_with_body(row: &Row) -> (Event, Packed) {
    (event(row), Packed::from_stored(row.get(BODY.payload)))
}

/// The last of the rows that were looked at, if there may be more behind it.
pub(super) async fn end(
    client: &deadpool_postgres::Client,
    looked_at: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Option<Uuid>> {
    let sql = format!("SELECT id, count(*) OVER () AS count FROM ({looked_at}) l ORDER BY id LIMIT 1");
    let row = client
        .query_opt(&client.prepare_cached(&sql).await?, parameters)
        .await?;
    Ok(row
        .filter(|row| row.get::<_, i64>("count") == columns::limit(MAX_SCANNED))
        .map(|row| row.get("id")))
}
