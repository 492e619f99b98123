//! Appending events in PostgreSQL: one statement for a batch.

use std::collections::HashMap;

use deadpool_postgres::Object;
use quickdraw_domain::audience::SkipReason;
use quickdraw_domain::event::Event;
use quickdraw_domain::{DeliveryId, EventId, HookId};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::columns;
use crate::deliveries::blocked_at;
use crate::error::{Error, Result};
use crate::events::{Appended, NewEvent};

/// Appends a batch in one statement. Keys come first. Events with a new key or none go into the journal and its marks.
/// Where the decision holds at this version of the directory, or always (-1), the deliveries are written too, and
/// leased if they were taken.
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

/// A batch, column by column.
struct Columns<'a> {
    ids: Vec<Uuid>,
    place_kinds: Vec<i16>,
    place_ids: Vec<i64>,
    triggers: Vec<i16>,
    origin_kinds: Vec<i16>,
    origin_ids: Vec<i64>,
    received: Vec<i64>,
    chains: Vec<Option<Uuid>>,
    refs: Vec<Option<&'a str>>,
    payloads: Vec<&'a [u8]>,
    keys: Vec<Option<Vec<u8>>>,
    decided: Vec<Option<i64>>,
    counts: Vec<bool>,
    made: Owed,
    skipped: Skipped,
    now: i64,
    objects: Vec<Option<i64>>,
    sent_as: Vec<Option<&'a str>>,
    instances: Vec<Option<&'a str>>,
    duplicates: Vec<Option<Uuid>>,
    unlisted: Vec<Option<String>>,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a [NewEvent]) -> Self {
        let pairs = |of: fn(&NewEvent) -> (i16, i64)| -> (Vec<i16>, Vec<i64>) { batch.iter().map(of).unzip() };
        let (place_kinds, place_ids) = pairs(|new| columns::place_columns(new.event.place));
        let (origin_kinds, origin_ids) = pairs(|new| columns::origin_columns(new.event.origin));
        let key = |new: &NewEvent| new.dedupe.as_ref().map(|key| columns::key_hash(key).to_vec());

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

        Self {
            ids: batch.iter().map(|new| new.event.id.0).collect(),
            place_kinds,
            place_ids,
            triggers: batch
                .iter()
                .map(|new| i16::from(new.event.trigger.row().code))
                .collect(),
            origin_kinds,
            origin_ids,
            received: batch.iter().map(|new| new.event.received_at.as_micros()).collect(),
            chains: batch.iter().map(|new| new.event.chain).collect(),
            refs: batch.iter().map(|new| new.event.git_ref.as_deref()).collect(),
            payloads: batch.iter().map(|new| new.payload.as_bytes()).collect(),
            keys: batch.iter().map(key).collect(),
            decided: batch
                .iter()
                .map(|new| new.decided.as_ref().map(|one| one.holds.version()))
                .collect(),
            counts: batch.iter().map(|new| new.counts).collect(),
            made,
            skipped,
            // One batch is decided at one time.
            now: batch
                .iter()
                .find_map(|new| new.decided.as_ref())
                .map_or(0, |decided| decided.now.as_micros()),
            objects: batch
                .iter()
                .map(|new| new.event.object.map(|object| object.0))
                .collect(),
            sent_as: batch.iter().map(|new| new.event.sent_as.as_deref()).collect(),
            instances: batch.iter().map(|new| new.event.instance.as_deref()).collect(),
            duplicates: batch
                .iter()
                .map(|new| new.event.duplicate_of.map(|event| event.0))
                .collect(),
            unlisted: batch.iter().map(|new| columns::unlisted(&new.event.unlisted)).collect(),
        }
    }

    /// The parameters of [`APPEND`], in the order of their numbers.
    fn parameters(&self) -> [&(dyn ToSql + Sync); 27] {
        [
            &self.ids,
            &self.place_kinds,
            &self.place_ids,
            &self.triggers,
            &self.origin_kinds,
            &self.origin_ids,
            &self.received,
            &self.chains,
            &self.refs,
            &self.payloads,
            &self.keys,
            &self.decided,
            &self.counts,
            &self.made.ids,
            &self.made.events,
            &self.made.hooks,
            &self.made.leased_until,
            &self.skipped.events,
            &self.skipped.hooks,
            &self.skipped.reasons,
            &self.now,
            &self.objects,
            &self.made.blocked_at,
            &self.sent_as,
            &self.instances,
            &self.duplicates,
            &self.unlisted,
        ]
    }
}

pub(super) async fn append(client: &Object, batch: &[NewEvent]) -> Result<Vec<Appended>> {
    let columns = Columns::of(batch);
    let statement = client.prepare_cached(APPEND).await?;
    let rows = client.query(&statement, &columns.parameters()).await?;

    // Events of the batch that are new, with the fence of those whose decision held.
    let mut fresh: HashMap<Uuid, Option<i64>> = HashMap::with_capacity(rows.len());
    for row in &rows {
        fresh.insert(row.get("id"), row.get::<_, bool>("decided").then_some(FIRST_FENCE));
    }

    let known = if fresh.len() == batch.len() {
        HashMap::new()
    } else {
        known_keys(client, &columns.keys).await?
    };

    let answer = |(id, key): (&Uuid, &Option<Vec<u8>>)| match (fresh.get(id), key) {
        (Some(fence), _) => Ok(Appended::New {
            id: EventId(*id),
            fence: *fence,
        }),
        (None, Some(key)) if known.contains_key(key) => Ok(Appended::Duplicate(EventId(known[key]))),
        _ => Err(Error::Damaged("an idempotency key")),
    };
    columns.ids.iter().zip(&columns.keys).map(answer).collect()
}

/// The events that have these keys.
pub(super) async fn known_keys(client: &Object, keys: &[Option<Vec<u8>>]) -> Result<HashMap<Vec<u8>, Uuid>> {
    let keys: Vec<&Vec<u8>> = keys.iter().flatten().collect();
    let statement = client
        .prepare_cached("SELECT key_hash, event_id FROM idempotency_keys WHERE key_hash = ANY ($1)")
        .await?;
    let rows = client.query(&statement, &[&keys]).await?;
    Ok(rows
        .iter()
        .map(|row| (row.get("key_hash"), row.get("event_id")))
        .collect())
}

/// Deliveries to be made, column by column.
#[derive(Default)]
pub(super) struct Owed {
    pub(super) ids: Vec<Uuid>,
    pub(super) events: Vec<Uuid>,
    pub(super) hooks: Vec<i64>,
    pub(super) leased_until: Vec<Option<i64>>,
    pub(super) blocked_at: Vec<Option<i64>>,
    pub(super) objects: Vec<Option<i64>>,
}

impl Owed {
    pub(super) fn push(&mut self, event: &Event, hook: HookId, in_order: &[HookId], leased_until: Option<i64>) {
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

/// Skips to be written, column by column.
#[derive(Default)]
pub(super) struct Skipped {
    pub(super) events: Vec<Uuid>,
    pub(super) hooks: Vec<i64>,
    pub(super) reasons: Vec<i16>,
}

impl Skipped {
    pub(super) fn push(&mut self, event: EventId, hook: HookId, reason: SkipReason) {
        self.events.push(event.0);
        self.hooks.push(hook.0);
        self.reasons.push(reason.code());
    }
}
