//! The journal in PostgreSQL.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use quickdraw_domain::audience::SkipReason;
use quickdraw_domain::event::{DedupeKey, Event};
use quickdraw_domain::recursion::{self, Chain};
use quickdraw_domain::{DeliveryId, EventId, HookId, ObjectKey, Timestamp, Trigger};
use tokio_postgres::types::ToSql;
use tokio_postgres::{GenericClient, Row};
use uuid::Uuid;

use super::{Postgres, appends, partitions, scalar};
use crate::columns;
use crate::deliveries::blocked_at;
use crate::error::{Error, Kind, Result};
use crate::events::{
    Appended, BODY, BODY_COLUMN, Chains, Decide, EVENT, EVENT_COLUMNS, EventFilter, Events, FanOutCount, NewEvent,
    chains_of,
};
use crate::lists::{MOST_LOOKED_AT, Scanned};
use crate::payload::Packed;

/// One statement appends a batch: keys first; what they let through goes into the journal and its marks; and where the
/// decision was made with the directory of this moment (or holds always, -1), the deliveries are written too, and leased if they were taken.
const APPEND: &str = "
    WITH input AS (
        SELECT * FROM UNNEST($1::uuid[], $2::smallint[], $3::bigint[], $4::smallint[], $5::smallint[], $6::bigint[],
            $7::bigint[], $8::uuid[], $9::text[], $10::bytea[], $11::bytea[], $12::bigint[], $13::boolean[],
            $22::bigint[], $24::text[], $25::text[], $26::uuid[], $27::text[])
        AS i(id, place_kind, place_id, trigger_code, origin_kind, origin_id, received_at, chain, git_ref, payload,
            key_hash, decided_at, counts, object, sent_as, instance, duplicate_of, filtered)),
    keyed AS (
        INSERT INTO idempotency_keys (key_hash, event_id, received_at)
        SELECT key_hash, id, received_at FROM input WHERE key_hash IS NOT NULL ORDER BY key_hash
        ON CONFLICT DO NOTHING RETURNING event_id),
    fresh AS MATERIALIZED (
        SELECT *, decided_at IS NOT NULL AND decided_at IN (-1, (SELECT version FROM directory)) AS decided FROM input i
        WHERE i.key_hash IS NULL OR EXISTS (SELECT 1 FROM keyed k WHERE k.event_id = i.id)),
    appended AS (
        INSERT INTO events SELECT id, place_kind, place_id, trigger_code, origin_kind, origin_id, received_at, chain,
            git_ref, payload, object, sent_as, instance, duplicate_of, filtered FROM fresh),
    made AS (
        INSERT INTO deliveries (id, event_id, hook_id, state, due_at, attempts, unknown, created_at, leased_until, fence,
            object)
        SELECT d.id, d.event_id, d.hook_id, 0, coalesce(d.blocked_at, $21), 0, 0, $21, d.leased_until,
            (d.leased_until IS NOT NULL)::int, CASE WHEN d.blocked_at IS NOT NULL THEN f.object END
        FROM UNNEST($14::uuid[], $15::uuid[], $16::bigint[], $17::bigint[], $23::bigint[])
            AS d(id, event_id, hook_id, leased_until, blocked_at)
        JOIN fresh f ON f.id = d.event_id WHERE f.decided),
    skipped AS (
        INSERT INTO skips SELECT s.event_id, s.hook_id, s.reason
        FROM UNNEST($18::uuid[], $19::bigint[], $20::smallint[]) AS s(event_id, hook_id, reason)
        JOIN fresh f ON f.id = s.event_id WHERE f.decided),
    chained AS (
        INSERT INTO chains SELECT DISTINCT f.chain, d.hook_id, $21::bigint
        FROM UNNEST($15::uuid[], $16::bigint[]) AS d(event_id, hook_id)
        JOIN fresh f ON f.id = d.event_id WHERE f.decided AND f.chain IS NOT NULL ORDER BY 1, 2
        ON CONFLICT (chain, hook_id) DO UPDATE SET fired_at = excluded.fired_at),
    undecided AS (INSERT INTO fan_out_pending SELECT id FROM fresh WHERE NOT decided),
    numbered AS (
        INSERT INTO appends
        SELECT pg_current_xact_id()::text::bigint + (SELECT origin FROM appends_origin), min(received_at),
            array_agg(id ORDER BY id)
        FROM fresh HAVING count(*) > 0),
    counted AS (INSERT INTO projection_pending SELECT id FROM fresh WHERE counts)
    SELECT id, decided FROM fresh";

/// The fence of a delivery that is made under a lease: its first.
const FIRST_FENCE: i64 = 1;

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
        if appended.iter().any(|one| matches!(one, Appended::New { fence: None, .. })) {
            self.notify(&client, "fan_out").await;
        }
        let decided = batch.iter().filter_map(|new| new.decided.as_ref());
        if decided.into_iter().any(|decided| decided.taken.len() < decided.audience.deliver.len()) {
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
            return Ok(FanOutCount { outdated: true, ..FanOutCount::default() });
        }
        let (mut done, mut deliveries, mut skips) = (Vec::new(), Owed::default(), Skipped::default());
        let mut fired: (Vec<Uuid>, Vec<i64>) = Default::default();
        let events: Vec<Event> = rows.iter().map(event).collect();
        let continued: Vec<Uuid> = events.iter().filter_map(|event| event.chain).collect();
        let mut unjudged = Vec::new();
        let mut chains =
            if continued.is_empty() { Chains::default() } else { read_chains(&*transaction, &continued, now).await? };
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
        Ok(FanOutCount { events: done.len(), deliveries, outdated: false, unjudged })
    }

    async fn chains(&self, chains: Vec<Uuid>, now: Timestamp) -> Result<Chains> {
        // Accepting has connections of its own, which no slow query of others can hold up.
        read_chains(&**self.accept_client().await?, &chains, now).await
    }

    async fn forget_chains(&self, before: Timestamp, limit: usize) -> Result<usize> {
        let sql = "DELETE FROM chains WHERE (chain, hook_id) IN
            (SELECT chain, hook_id FROM chains WHERE fired_at < $1 ORDER BY fired_at LIMIT $2)";
        let gone = self.client().await?.execute(sql, &[&before.as_micros(), &columns::limit(limit)]).await?;
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
        let place =
            if filter.project.is_some() { "e.place_kind = 1 AND e.place_id = $2" } else { "$2::bigint IS NULL" };
        // Where every row counts, a page of them is enough.
        let most = if filter.trigger.is_some() { MOST_LOOKED_AT } else { filter.limit };
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
        let rows = client.query(&statement, &[&before, &project, &trigger, &columns::limit(filter.limit)]).await?;
        let found: Vec<Event> = rows.iter().map(event).collect();
        let end = match trigger {
            Some(_) if found.len() < filter.limit => end(&client, &looked_at("e.id"), &[&before, &project]).await?,
            _ => None,
        };
        Ok(Scanned::new(found, filter.limit, |event| event.id, end.map(EventId)))
    }

    async fn list_skips(&self, event: EventId) -> Result<Vec<(HookId, SkipReason)>> {
        let client = self.client().await?;
        let statement =
            client.prepare_cached("SELECT hook_id, reason FROM skips WHERE event_id = $1 ORDER BY hook_id").await?;
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
    let fired = rows
        .iter()
        .map(|row| (row.get("chain"), HookId(row.get("hook_id")), Timestamp::from_micros(row.get("fired_at"))));
    Ok(chains_of(chains, fired, now))
}

async fn append(client: &deadpool_postgres::Object, batch: &[NewEvent]) -> Result<Vec<Appended>> {
    let column = |of: fn(&NewEvent) -> (i16, i64)| -> (Vec<i16>, Vec<i64>) { batch.iter().map(of).unzip() };
    let ids: Vec<Uuid> = batch.iter().map(|new| new.event.id.0).collect();
    let (place_kinds, place_ids) = column(|new| columns::place_columns(new.event.place));
    let (origin_kinds, origin_ids) = column(|new| columns::origin_columns(new.event.origin));
    let triggers: Vec<i16> = batch.iter().map(|new| i16::from(new.event.trigger.row().code)).collect();
    let received: Vec<i64> = batch.iter().map(|new| new.event.received_at.as_micros()).collect();
    let chains: Vec<Option<Uuid>> = batch.iter().map(|new| new.event.chain).collect();
    let refs: Vec<Option<&str>> = batch.iter().map(|new| new.event.git_ref.as_deref()).collect();
    let objects: Vec<Option<i64>> = batch.iter().map(|new| new.event.object.map(|object| object.0)).collect();
    let sent_as: Vec<Option<&str>> = batch.iter().map(|new| new.event.sent_as.as_deref()).collect();
    let instances: Vec<Option<&str>> = batch.iter().map(|new| new.event.instance.as_deref()).collect();
    let duplicates: Vec<Option<Uuid>> = batch.iter().map(|new| new.event.duplicate_of.map(|event| event.0)).collect();
    let unlisted: Vec<Option<String>> = batch.iter().map(|new| columns::unlisted(&new.event.unlisted)).collect();
    let payloads: Vec<&[u8]> = batch.iter().map(|new| new.payload.as_bytes()).collect();
    let keys: Vec<Option<Vec<u8>>> =
        batch.iter().map(|new| new.dedupe.as_ref().map(|key| columns::key_hash(key).to_vec())).collect();
    let decided: Vec<Option<i64>> =
        batch.iter().map(|new| new.decided.as_ref().map(|one| one.holds.version())).collect();
    let (mut made, mut skipped) = (Owed::default(), Skipped::default());
    for new in batch {
        let Some(decided) = &new.decided else { continue };
        for hook in &decided.audience.deliver {
            let taken = decided.taken.contains(hook).then(|| decided.lease_until.as_micros());
            made.push(&new.event, *hook, &decided.audience.in_order, taken);
        }
        for (hook, reason) in &decided.audience.skip {
            skipped.push(new.event.id, *hook, *reason);
        }
    }
    let counts: Vec<bool> = batch.iter().map(|new| new.counts).collect();
    // One batch is decided at one time.
    let now = batch.iter().find_map(|new| new.decided.as_ref()).map_or(0, |decided| decided.now.as_micros());
    let statement = client.prepare_cached(APPEND).await?;
    let rows = client
        .query(
            &statement,
            &[
                &ids,
                &place_kinds,
                &place_ids,
                &triggers,
                &origin_kinds,
                &origin_ids,
                &received,
                &chains,
                &refs,
                &payloads,
                &keys,
                &decided,
                &counts,
                &made.ids,
                &made.events,
                &made.hooks,
                &made.leased_until,
                &skipped.events,
                &skipped.hooks,
                &skipped.reasons,
                &now,
                &objects,
                &made.blocked_at,
                &sent_as,
                &instances,
                &duplicates,
                &unlisted,
            ],
        )
        .await?;
    let fresh: HashMap<Uuid, Option<i64>> =
        rows.iter().map(|row| (row.get("id"), row.get::<_, bool>("decided").then_some(FIRST_FENCE))).collect();
    let known = if fresh.len() == batch.len() { HashMap::new() } else { known_keys(client, &keys).await? };
    let answer = |(id, key): (&Uuid, &Option<Vec<u8>>)| match (fresh.get(id), key) {
        (Some(fence), _) => Ok(Appended::New { id: EventId(*id), fence: *fence }),
        (None, Some(key)) if known.contains_key(key) => Ok(Appended::Duplicate(EventId(known[key]))),
        _ => Err(Error::Damaged("an idempotency key")),
    };
    ids.iter().zip(&keys).map(answer).collect()
}

async fn known_keys(client: &deadpool_postgres::Object, keys: &[Option<Vec<u8>>]) -> Result<HashMap<Vec<u8>, Uuid>> {
    let keys: Vec<&Vec<u8>> = keys.iter().flatten().collect();
    let statement =
        client.prepare_cached("SELECT key_hash, event_id FROM idempotency_keys WHERE key_hash = ANY ($1)").await?;
    let rows = client.query(&statement, &[&keys]).await?;
    Ok(rows.iter().map(|row| (row.get("key_hash"), row.get("event_id"))).collect())
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

#[derive(Default)]
struct Owed {
    ids: Vec<Uuid>,
    events: Vec<Uuid>,
    hooks: Vec<i64>,
    leased_until: Vec<Option<i64>>,
    blocked_at: Vec<Option<i64>>,
    objects: Vec<Option<i64>>,
}

impl Owed {
    fn push(&mut self, event: &Event, hook: HookId, in_order: &[HookId], leased_until: Option<i64>) {
        let object = event.object.filter(|_| in_order.contains(&hook));
        let id = DeliveryId::of(event.id, hook);
        self.ids.push(id.0);
        self.events.push(event.id.0);
        self.hooks.push(hook.0);
        self.leased_until.push(leased_until);
        self.blocked_at.push(object.map(|_| blocked_at(id)));
        self.objects.push(object.map(|object| object.0));
    }
}

#[derive(Default)]
struct Skipped {
    events: Vec<Uuid>,
    hooks: Vec<i64>,
    reasons: Vec<i16>,
}

impl Skipped {
    fn push(&mut self, event: EventId, hook: HookId, reason: SkipReason) {
        self.events.push(event.0);
        self.hooks.push(hook.0);
        self.reasons.push(reason.code());
    }
}

/// The last of the rows that were looked at, if there may be more behind it.
pub(super) async fn end(
    client: &deadpool_postgres::Client,
    looked_at: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Option<Uuid>> {
    let sql = format!("SELECT id, count(*) OVER () AS count FROM ({looked_at}) l ORDER BY id LIMIT 1");
    let row = client.query_opt(&client.prepare_cached(&sql).await?, parameters).await?;
    Ok(row.filter(|row| row.get::<_, i64>("count") == columns::limit(MOST_LOOKED_AT)).map(|row| row.get("id")))
}
