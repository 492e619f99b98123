//! Searches in history in SQLite.

use async_trait::async_trait;
use quickdraw_domain::audience::SkipReason;
use quickdraw_domain::event::Event;
use quickdraw_domain::{AttemptId, DeliveryId, EventId, HookId};
use rusqlite::{Connection, OptionalExtension, Row};

use super::Sqlite;
use super::attempts::attempt;
use super::deliveries::delivery;
use super::rows;
use crate::attempts::Attempt;
use crate::deliveries::Delivery;
use crate::error::Result;
use crate::history::{Dialect, History, HistoryFilter, List, Skip, SkipId};
use crate::lists::Scanned;

#[async_trait]
impl History for Sqlite {
    async fn search_events(
        &self,
        filter: HistoryFilter,
        before: Option<EventId>,
        limit: usize,
    ) -> Result<Scanned<Event, EventId>> {
        let list = filter.events(Dialect::Sqlite, before, limit);
        self.read(move |connection| {
            list.read(
                connection,
                rows::event,
                |event| event.id,
                |row| Ok(EventId(row.get("id")?)),
            )
        })
        .await
    }

    async fn search_deliveries(
        &self,
        filter: HistoryFilter,
        before: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Scanned<Delivery, DeliveryId>> {
        let list = filter.deliveries(Dialect::Sqlite, before, limit);
        self.read(move |connection| {
            list.read(
                connection,
                delivery,
                |delivery| delivery.id,
                |row| Ok(DeliveryId(row.get("id")?)),
            )
        })
        .await
    }

    async fn search_attempts(
        &self,
        filter: HistoryFilter,
        before: Option<AttemptId>,
        limit: usize,
    ) -> Result<Scanned<Attempt, AttemptId>> {
        let list = filter.attempts(Dialect::Sqlite, before, limit);
        self.read(move |connection| {
            list.read(
                connection,
                attempt,
                |attempt| attempt.id,
                |row| Ok(AttemptId(row.get("id")?)),
            )
        })
        .await
    }

    async fn search_skips(
        &self,
        filter: HistoryFilter,
        before: Option<SkipId>,
        limit: usize,
    ) -> Result<Scanned<Skip, SkipId>> {
        let list = filter.skips(Dialect::Sqlite, before, limit);
        self.read(move |connection| list.read(connection, skip, Skip::id, skip_id))
            .await
    }
}

impl List {
    /// Reads a page. Statements differ with every filter, so they are not cached.
    pub(super) fn read<T, Id>(
        &self,
        connection: &Connection,
        row: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
        id: impl Fn(&T) -> Id,
        key: impl Fn(&Row<'_>) -> rusqlite::Result<Id>,
    ) -> Result<Scanned<T, Id>> {
        let mut statement = connection.prepare(&self.page())?;
        let found: Vec<T> = statement.query_map([], row)?.collect::<rusqlite::Result<_>>()?;

        let end = match self.end() {
            Some(sql) if found.len() <= self.limit => connection.query_row(&sql, [], key).optional()?,
            _ => None,
        };
        Ok(self.scanned(found, id, end))
    }
}

fn skip(row: &Row<'_>) -> rusqlite::Result<Skip> {
    let id = skip_id(row)?;

    Ok(Skip {
        event: id.event,
        hook: id.hook,
        reason: SkipReason::from_code(row.get("reason")?),
    })
}

fn skip_id(row: &Row<'_>) -> rusqlite::Result<SkipId> {
    Ok(SkipId {
        event: EventId(row.get("event_id")?),
        hook: HookId(row.get("hook_id")?),
    })
}
