//! The journal in SQLite.

use async_trait::async_trait;
use quickdraw_domain::audience::SkipReason;
use quickdraw_domain::delivery::Tally;
use quickdraw_domain::event::{DedupeKey, Event};
use quickdraw_domain::recursion::{self, Chain};
use quickdraw_domain::{DeliveryId, EventId, HookId, Timestamp};
use rusqlite::{Connection, OptionalExtension};
use uuid::Uuid;

use super::claims::{Lease, write_claim};
use super::rows::{self, scalar};
use super::{Sqlite, Tx, appends};
use crate::columns;
use crate::deliveries::{blocked_at, id_range};
use crate::error::Result;
use crate::events::{
    Appended, BODY_COLUMN, Chains, Decide, EVENT_COLUMNS, EventFilter, Events, FanOutCount, FannedOut, NewEvent,
    chains_of,
};
use crate::lists::{MAX_SCANNED, Scanned};
use crate::payload::Packed;

#[async_trait]
impl Events for Sqlite {
    async fn append_events(&self, batch: Vec<NewEvent>) -> Result<Vec<Appended>> {
        self.write(move |tx| {
            let version = directory_version(tx.connection)?;
            let mut born = Born::default();
            let appended = batch
                .iter()
                .map(|new| append(tx, new, version, &mut born))
                .collect::<Result<Vec<_>>>()?;

            let new: Vec<EventId> = appended
                .iter()
                .filter(|one| matches!(one, Appended::New { .. }))
                .map(|one| one.id())
                .collect();

            if let Some(at) = batch
                .iter()
                .map(|new| new.event.received_at)
                .min()
                .filter(|_| !new.is_empty())
            {
                appends::number(tx.connection, at, &new)?;
            }

            born.lease(tx, appended)
        })
        .await
    }

    async fn find_key(&self, key: DedupeKey) -> Result<Option<EventId>> {
        // Recent keys are in the writer's memory.
        self.write(move |tx| tx.keys.find(tx.connection, &key)).await
    }

    async fn fan_out(&self, limit: usize, now: Timestamp, version: i64, decide: Decide) -> Result<FanOutCount> {
        self.write(move |tx| {
            if directory_version(tx.connection)? != version {
                return Ok(FanOutCount {
                    outdated: true,
                    ..FanOutCount::default()
                });
            }

            fan_out(tx.connection, limit, now, &decide)
        })
        .await
    }

    async fn chains(&self, chains: Vec<Uuid>, now: Timestamp) -> Result<Chains> {
        self.read(move |connection| read_chains(connection, &chains, now)).await
    }

    async fn forget_chains(&self, before: Timestamp, limit: usize) -> Result<usize> {
        self.write(move |tx| {
            let sql = "DELETE FROM chains WHERE (chain, hook_id) IN
                (SELECT chain, hook_id FROM chains WHERE fired_at < ?1 ORDER BY fired_at LIMIT ?2)";
            Ok(tx
                .connection
                .prepare_cached(sql)?
                .execute((before.as_micros(), columns::limit(limit)))?)
        })
        .await
    }

    async fn find_event(&self, id: EventId) -> Result<Option<(Event, Packed)>> {
        self.read(move |connection| {
            let sql = format!("SELECT {EVENT_COLUMNS}, {BODY_COLUMN} FROM events e WHERE e.id = ?1");
            Ok(connection
                .prepare_cached(&sql)?
                .query_row([id.0], rows::event_with_body)
                .optional()?)
        })
        .await
    }

    async fn events_by_id(&self, ids: Vec<EventId>) -> Result<Vec<Event>> {
        self.read(move |connection| {
            let sql = format!("SELECT {EVENT_COLUMNS} FROM events e WHERE e.id = ?1");
            let mut statement = connection.prepare_cached(&sql)?;
            let found = ids.iter().map(|id| statement.query_row([id.0], rows::event).optional());
            Ok(found
                .filter_map(|event| event.transpose())
                .collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn list_events(&self, filter: EventFilter) -> Result<Scanned<Event, EventId>> {
        self.read(move |connection| {
            // Both name the parameter, but only a plain condition finds the index, and only with the index's own words
            // in it.
            let place = if filter.project.is_some() {
                "e.place_kind <> 0 AND e.place_kind = 1 AND e.place_id = ?2"
            } else {
                "?2 IS NULL"
            };

            // Where every row counts, a page of them is enough.
            let most = if filter.trigger.is_some() {
                MAX_SCANNED
            } else {
                filter.limit
            };
            let looked_at = |columns: &str| {
                format!("SELECT {columns} FROM events e WHERE e.id < ?1 AND {place} ORDER BY e.id DESC LIMIT {most}")
            };
            let sql = format!(
                "SELECT * FROM ({}) WHERE ?3 IS NULL OR trigger_code = ?3 ORDER BY id DESC LIMIT ?4",
                looked_at(EVENT_COLUMNS)
            );

            let before = filter.before.map_or(Uuid::max(), |id| id.0);
            let project = filter.project.map(|id| id.0);
            let trigger = filter.trigger.map(|trigger| trigger.row().code);
            let mut statement = connection.prepare_cached(&sql)?;
            let parameters = (before, project, trigger, columns::limit(filter.limit));
            let found = statement.query_map(parameters, rows::event)?;
            let found: Vec<Event> = found.collect::<rusqlite::Result<_>>()?;

            let end = match trigger {
                Some(_) if found.len() < filter.limit => end(connection, &looked_at("e.id"), (before, project))?,
                _ => None,
            };
            Ok(Scanned::new(found, filter.limit, |event| event.id, end.map(EventId)))
        })
        .await
    }

    async fn list_skips(&self, event: EventId) -> Result<Vec<(HookId, SkipReason)>> {
        self.read(move |connection| {
            let mut statement =
                connection.prepare_cached("SELECT hook_id, reason FROM skips WHERE event_id = ?1 ORDER BY hook_id")?;
            let found = statement.query_map([event.0], |row| {
                Ok((HookId(row.get("hook_id")?), row.get::<_, i16>("reason")?))
            })?;
            let found: Vec<_> = found.collect::<rusqlite::Result<_>>()?;

            Ok(found
                .into_iter()
                .filter_map(|(hook, code)| Some((hook, SkipReason::from_code(code)?)))
                .collect())
        })
        .await
    }

    async fn prune(&self, before: Timestamp, limit: usize) -> Result<usize> {
        self.write(move |tx| {
            let mut gone = appends::prune(tx.connection, before, limit)?;
            gone += prune_history(tx, before, limit)?;
            gone += tx.keys.prune(tx.connection, before, limit)?;
            gone += tx.keys.archive(tx.connection)?;

            Ok(gone)
        })
        .await
    }
}

fn directory_version(connection: &Connection) -> Result<i64> {
    Ok(connection
        .prepare_cached("SELECT version FROM directory")?
        .query_row([], scalar)?)
}

/// Deliveries that are made with their event and begun at once: their claim is written like any other.
#[derive(Default)]
struct Born(Vec<(DeliveryId, HookId, Timestamp)>);

impl Born {
    fn lease(self, tx: &mut Tx<'_>, mut appended: Vec<Appended>) -> Result<Vec<Appended>> {
        let Some((_, _, until)) = self.0.first().copied() else {
            return Ok(appended);
        };
        let claim = write_claim(tx, until, &self.0.iter().map(|(id, ..)| (*id, 0)).collect::<Vec<_>>())?;

        for (id, hook, until) in self.0 {
            tx.claims.add(
                id,
                Lease {
                    claim,
                    hook,
                    until,
                    tally: Tally::default(),
                },
            );
        }

        for one in &mut appended {
            if let Appended::New { fence: Some(fence), .. } = one {
                *fence = claim;
            }
        }

        Ok(appended)
    }
}

fn append(tx: &mut Tx<'_>, new: &NewEvent, directory_version: i64, born: &mut Born) -> Result<Appended> {
    let event = &new.event;
    if let Some(key) = &new.dedupe
        && let Some(known) = tx.keys.insert(tx.connection, key, event.id, event.received_at)?
    {
        return Ok(Appended::Duplicate(known));
    }

    let (place_kind, place_id) = columns::place_columns(event.place);
    let (origin_kind, origin_id) = columns::origin_columns(event.origin);

    tx.connection
        .prepare_cached(
            "INSERT INTO events (id, place_kind, place_id, trigger_code, origin_kind, origin_id, received_at, chain,
               git_ref, payload, object, sent_as, instance, duplicate_of, filtered)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )?
        .execute((
            event.id.0,
            place_kind,
            place_id,
            event.trigger.row().code,
            origin_kind,
            origin_id,
            event.received_at.as_micros(),
            event.chain,
            event.git_ref.as_deref(),
            new.payload.as_bytes(),
            event.object.map(|object| object.0),
            event.sent_as.as_deref(),
            event.instance.as_deref(),
            event.duplicate_of.map(|event| event.0),
            columns::unlisted(&event.unlisted),
        ))?;

    let decided = new.decided.as_ref().filter(|one| one.holds.at(directory_version));
    if let Some(decided) = decided {
        write_audience(tx.connection, event, &decided.audience, decided.now)?;

        let taken = decided
            .taken
            .iter()
            .map(|hook| (DeliveryId::of(event.id, *hook), *hook, decided.lease_until));
        born.0.extend(taken);
    } else {
        tx.connection
            .prepare_cached("INSERT INTO fan_out_pending VALUES (?1)")?
            .execute([event.id.0])?;
    }

    if new.counts {
        tx.connection
            .prepare_cached("INSERT INTO projection_pending VALUES (?1)")?
            .execute([event.id.0])?;
    }

    // The number of the claim is not known before the last event of the batch.
    Ok(Appended::New {
        id: event.id,
        fence: decided.map(|_| 0),
    })
}

/// Writes deliveries and skip reasons of an event, and what fired in its chain. Returns the number of new deliveries.
pub(super) fn write_audience(
    connection: &Connection,
    event: &Event,
    audience: &FannedOut,
    now: Timestamp,
) -> Result<usize> {
    let mut made = 0;
    for hook in &audience.deliver {
        let id = DeliveryId::of(event.id, *hook);
        let queued = event
            .object
            .filter(|_| audience.in_order.contains(hook))
            .map(|object| object.0);

        let due_at = if queued.is_some() {
            blocked_at(id)
        } else {
            now.as_micros()
        };

        // OR IGNORE: the id is a function of event and hook, so a second fan-out of one event changes nothing.
        made += connection
            .prepare_cached(
                "INSERT OR IGNORE INTO deliveries (id, event_id, hook_id, state, due_at, attempts, unknown, created_at,
                   object)
                 VALUES (?1, ?2, ?3, 0, ?4, 0, 0, ?5, ?6)",
            )?
            .execute((id.0, event.id.0, hook.0, due_at, now.as_micros(), queued))?;

        if let Some(chain) = event.chain {
            connection
                .prepare_cached("INSERT OR REPLACE INTO chains VALUES (?1, ?2, ?3)")?
                .execute((chain, hook.0, now.as_micros()))?;
        }
    }

    for (hook, reason) in &audience.skip {
        connection
            .prepare_cached("INSERT OR IGNORE INTO skips VALUES (?1, ?2, ?3)")?
            .execute((event.id.0, hook.0, reason.code()))?;
    }

    Ok(made)
}

fn fan_out(connection: &Connection, limit: usize, now: Timestamp, decide: &Decide) -> Result<FanOutCount> {
    let sql = format!(
        "SELECT {EVENT_COLUMNS} FROM fan_out_pending p JOIN events e ON e.id = p.event_id ORDER BY p.event_id LIMIT ?1"
    );
    let events: Vec<Event> = connection
        .prepare_cached(&sql)?
        .query_map([columns::limit(limit)], rows::event)?
        .collect::<rusqlite::Result<_>>()?;

    let mut count = FanOutCount::default();
    let mut done = connection.prepare_cached("DELETE FROM fan_out_pending WHERE event_id = ?1")?;

    for event in events {
        let mut chain = match event.chain {
            Some(id) => read_chains(connection, &[id], now)?.remove(&id).unwrap_or_default(),
            None => Chain::default(),
        };
        let Some(audience) = decide(&event, &mut chain) else {
            count.unjudged.push(event);
            continue;
        };

        count.deliveries += write_audience(connection, &event, &audience, now)?;
        count.events += 1;
        done.execute([event.id.0])?;
    }

    Ok(count)
}

/// Rows of hooks that fired, and the hook of the delivery that a chain began with.
fn read_chains(connection: &Connection, chains: &[Uuid], now: Timestamp) -> Result<Chains> {
    let mut fired = connection.prepare_cached("SELECT hook_id, fired_at FROM chains WHERE chain = ?1")?;
    let mut origin = connection.prepare_cached(
        "SELECT hook_id, max(created_at, min(coalesce(finished_at, due_at), ?2)) AS fired_at FROM deliveries
         WHERE id = ?1",
    )?;

    let mut rows = Vec::new();
    for chain in chains {
        let mut add = |row: &rusqlite::Row<'_>| {
            rows.push((
                *chain,
                HookId(row.get("hook_id")?),
                Timestamp::from_micros(row.get("fired_at")?),
            ));

            Ok(())
        };
        fired.query_map([chain], &mut add)?.collect::<rusqlite::Result<()>>()?;
        origin
            .query_map((recursion::origin(*chain).0, now.as_micros()), &mut add)?
            .collect::<rusqlite::Result<()>>()?;
    }

    Ok(chains_of(chains, rows, now))
}

/// Small batches, so that no other job of the writer waits long, each found by key and never by a look at a whole
/// table. An owed delivery keeps its event, and so does an event that still waits for a step.
fn prune_history(tx: &mut Tx<'_>, before: Timestamp, limit: usize) -> Result<usize> {
    let connection = tx.connection;
    let edge = edge(before);
    let rows = columns::limit(limit);

    // Attempts are numbered as they are recorded: the oldest come first, and the first young one ends the look.
    let mut gone = connection
        .prepare_cached(
            "DELETE FROM attempts WHERE id IN (SELECT a.id
               FROM (SELECT id, delivery_id, started_at FROM attempts ORDER BY id LIMIT ?2) a
               WHERE a.started_at < ?1
                 AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.id = a.delivery_id AND d.state < 2))",
        )?
        .execute((before.as_micros(), rows))?;

    gone += connection
        .prepare_cached(
            "DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries WHERE id < ?1 AND state >= 2
             ORDER BY id LIMIT ?2)",
        )?
        .execute((edge, rows))?;

    gone += connection
        .prepare_cached(
            "DELETE FROM hook_versions WHERE (hook_id, version) IN (SELECT o.hook_id, o.version FROM hook_versions o
               JOIN hook_versions n ON n.hook_id = o.hook_id AND n.version > o.version AND n.version < ?1 LIMIT ?2)",
        )?
        .execute((before.as_micros(), rows))?;

    let events: Vec<Uuid> = connection
        .prepare_cached("SELECT id FROM events WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3")?
        .query_map((tx.claims.pruned_to, edge, rows), scalar)?
        .collect::<rusqlite::Result<_>>()?;

    // Events that have to stay are passed over, and looked at again when the look has come to its end.
    tx.claims.pruned_to = if events.len() < limit {
        Uuid::nil()
    } else {
        events.last().copied().unwrap_or_default()
    };

    let mut owed =
        connection.prepare_cached("SELECT 1 FROM deliveries WHERE id BETWEEN ?1 AND ?2 AND event_id = ?3")?;
    let mut waits = connection.prepare_cached(
        "SELECT 1 FROM fan_out_pending WHERE event_id = ?1 UNION ALL
         SELECT 1 FROM projection_pending WHERE event_id = ?1",
    )?;

    for event in events {
        let (low, high) = id_range(EventId(event));
        if owed.exists((low.0, high.0, event))? || waits.exists([event])? {
            continue;
        }

        connection
            .prepare_cached("DELETE FROM events WHERE id = ?1")?
            .execute([event])?;
        connection
            .prepare_cached("DELETE FROM skips WHERE event_id = ?1")?
            .execute([event])?;
        gone += 1;
    }

    Ok(gone)
}

/// The smallest key of that second.
pub(super) fn edge(at: Timestamp) -> Uuid {
    let milliseconds = u64::try_from(at.as_seconds().max(0)).unwrap_or(0) * 1000;
    Uuid::from_u64_pair(milliseconds << 16, 0)
}

/// The last of the rows that were looked at, if there may be more behind it.
pub(super) fn end(connection: &Connection, looked_at: &str, parameters: impl rusqlite::Params) -> Result<Option<Uuid>> {
    let sql = format!("SELECT min(id) AS last, count(*) AS count FROM ({looked_at})");
    let (last, count): (Option<Uuid>, i64) = connection
        .prepare_cached(&sql)?
        .query_row(parameters, |row| Ok((row.get("last")?, row.get("count")?)))?;
    Ok(last.filter(|_| count == columns::limit(MAX_SCANNED)))
}
