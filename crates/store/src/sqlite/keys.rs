//! Keys that recognise a second copy of an event.
//!
//! GitLab's keys are random, and a unique index on random keys over all history halves the insert rate: every key
//! touches another page. So recent keys are looked up in memory and written in the order of arrival. When memory holds
//! its share, the sweep moves the oldest into an index on disk, sorted, which touches each page once per batch.

use std::collections::{HashMap, VecDeque};

use quickdraw_domain::event::DedupeKey;
use quickdraw_domain::{EventId, Timestamp};
use rusqlite::{Connection, OptionalExtension};
use uuid::Uuid;

use super::rows::scalar;
use crate::columns;
use crate::error::Result;

/// Keys kept in memory: about 60 bytes each.
const IN_MEMORY: usize = 500_000;
/// Keys that one archiving moves.
const ARCHIVE_BATCH: usize = 20_000;

type KeyHash = [u8; 16];

/// Read again whenever a transaction fails, because it may then hold what is not on disk.
#[derive(Default)]
pub(super) struct Keys {
    recent: HashMap<KeyHash, EventId>,
    order: VecDeque<KeyHash>,
    archived: bool,
}

impl Keys {
    pub(super) fn load(connection: &Connection) -> Result<Self> {
        let mut keys = Self {
            archived: connection.query_row("SELECT EXISTS (SELECT 1 FROM idempotency_archive)", [], scalar)?,
            ..Self::default()
        };

        let mut statement = connection.prepare("SELECT event_id, key_hash FROM idempotency_keys ORDER BY event_id")?;
        let rows = statement.query_map([], |row| {
            Ok((row.get::<_, Uuid>("event_id")?, row.get::<_, KeyHash>("key_hash")?))
        })?;

        for row in rows {
            let (event, hash) = row?;
            keys.recent.insert(hash, EventId(event));
            keys.order.push_back(hash);
        }

        Ok(keys)
    }

    /// The event that has a key, if any has.
    pub(super) fn find(&self, connection: &Connection, key: &DedupeKey) -> Result<Option<EventId>> {
        self.find_hash(connection, columns::key_hash(key))
    }

    fn find_hash(&self, connection: &Connection, hash: KeyHash) -> Result<Option<EventId>> {
        if let Some(known) = self.recent.get(&hash) {
            return Ok(Some(*known));
        }

        if !self.archived {
            return Ok(None);
        }

        let known = connection
            .prepare_cached("SELECT event_id FROM idempotency_archive WHERE key_hash = ?1")?
            .query_row([hash], scalar)
            .optional()?;
        Ok(known.map(EventId))
    }

    /// Remembers a key for an event; gives the event that had it before, if any.
    pub(super) fn insert(
        &mut self,
        connection: &Connection,
        key: &DedupeKey,
        event: EventId,
        now: Timestamp,
    ) -> Result<Option<EventId>> {
        let hash = columns::key_hash(key);
        if let Some(known) = self.find_hash(connection, hash)? {
            return Ok(Some(known));
        }

        connection
            .prepare_cached("INSERT INTO idempotency_keys (event_id, key_hash, received_at) VALUES (?1, ?2, ?3)")?
            .execute((event.0, hash, now.as_micros()))?;
        self.recent.insert(hash, event);
        self.order.push_back(hash);

        Ok(None)
    }

    /// Moves the oldest keys to the index on disk when memory holds too many. Returns how many went.
    pub(super) fn archive(&mut self, connection: &Connection) -> Result<usize> {
        let surplus = self.order.len().saturating_sub(IN_MEMORY).min(ARCHIVE_BATCH);
        if surplus == 0 {
            return Ok(0);
        }

        let oldest: Vec<KeyHash> = self.order.iter().take(surplus).copied().collect();
        let Some(last) = oldest.last().and_then(|hash| self.recent.get(hash)).copied() else {
            return Ok(0);
        };

        connection.execute(
            "INSERT OR IGNORE INTO idempotency_archive (key_hash, event_id, received_at)
             SELECT key_hash, event_id, received_at FROM idempotency_keys WHERE event_id <= ?1 ORDER BY key_hash",
            [last.0],
        )?;

        connection.execute("DELETE FROM idempotency_keys WHERE event_id <= ?1", [last.0])?;
        self.archived = true;

        // Everything up to that event went, which may be a few more than asked for.
        while let Some(hash) = self.order.front() {
            if self.recent.get(hash).is_some_and(|event| *event > last) {
                break;
            }

            self.recent.remove(hash);
            self.order.pop_front();
        }

        Ok(surplus)
    }

    /// Forgets keys older than a point, wherever they are.
    pub(super) fn prune(&mut self, connection: &Connection, before: Timestamp, limit: usize) -> Result<usize> {
        let gone: Vec<(Uuid, KeyHash)> = connection
            .prepare_cached(
                "SELECT event_id, key_hash FROM idempotency_keys WHERE event_id < ?1 ORDER BY event_id LIMIT ?2",
            )?
            .query_map(
                (super::events::edge(before), i64::try_from(limit).unwrap_or(i64::MAX)),
                |row| Ok((row.get("event_id")?, row.get("key_hash")?)),
            )?
            .collect::<rusqlite::Result<_>>()?;

        for (event, hash) in &gone {
            connection
                .prepare_cached("DELETE FROM idempotency_keys WHERE event_id = ?1")?
                .execute([event])?;
            self.recent.remove(hash);
        }

        if !gone.is_empty() {
            let recent = &self.recent;
            self.order.retain(|hash| recent.contains_key(hash));
        }

        let archived = connection
            .prepare_cached(
                "DELETE FROM idempotency_archive WHERE key_hash IN
                 (SELECT key_hash FROM idempotency_archive WHERE event_id < ?1 ORDER BY event_id LIMIT ?2)",
            )?
            .execute((super::events::edge(before), i64::try_from(limit).unwrap_or(i64::MAX)))?;
        Ok(gone.len() + archived)
    }
}
