//! Searches in history in PostgreSQL.

use async_trait::async_trait;
use quickdraw_domain::audience::SkipReason;
use quickdraw_domain::event::Event;
use quickdraw_domain::{AttemptId, DeliveryId, EventId, HookId};
use tokio_postgres::Row;

use super::Postgres;
use super::attempts::attempt;
use super::deliveries::delivery;
use super::events::event;
use crate::attempts::Attempt;
use crate::deliveries::Delivery;
use crate::error::Result;
use crate::history::{Dialect, History, HistoryFilter, List, Skip, SkipId};
use crate::lists::Scanned;

#[async_trait]
impl History for Postgres {
    async fn search_events(
        &self,
        filter: HistoryFilter,
        before: Option<EventId>,
        limit: usize,
    ) -> Result<Scanned<Event, EventId>> {
        let list = filter.events(Dialect::Postgres, before, limit);
        list.fetch(self, event, |event| event.id, |row| EventId(row.get("id")))
            .await
    }

    async fn search_deliveries(
        &self,
        filter: HistoryFilter,
        before: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Scanned<Delivery, DeliveryId>> {
        let list = filter.deliveries(Dialect::Postgres, before, limit);
        list.fetch(self, delivery, |delivery| delivery.id, |row| DeliveryId(row.get("id")))
            .await
    }

    async fn search_attempts(
        &self,
        filter: HistoryFilter,
        before: Option<AttemptId>,
        limit: usize,
    ) -> Result<Scanned<Attempt, AttemptId>> {
        let list = filter.attempts(Dialect::Postgres, before, limit);
        list.fetch(self, attempt, |attempt| attempt.id, |row| AttemptId(row.get("id")))
            .await
    }

    async fn search_skips(
        &self,
        filter: HistoryFilter,
        before: Option<SkipId>,
        limit: usize,
    ) -> Result<Scanned<Skip, SkipId>> {
        let list = filter.skips(Dialect::Postgres, before, limit);
        list.fetch(self, skip, Skip::id, skip_id).await
    }
}

impl List {
    /// Reads a page. Statements differ with every filter, so they are not cached.
    pub(super) async fn fetch<T, Id>(
        &self,
        store: &Postgres,
        row: impl Fn(&Row) -> T,
        id: impl Fn(&T) -> Id,
        key: impl Fn(&Row) -> Id,
    ) -> Result<Scanned<T, Id>> {
        let client = store.client().await?;
        let rows = client.query(&self.page(), &[]).await?;
        let found: Vec<T> = rows.iter().map(row).collect();

        let end = match self.end() {
            Some(sql) if found.len() <= self.limit => client.query_opt(&sql, &[]).await?.as_ref().map(key),
            _ => None,
        };
        Ok(self.scanned(found, id, end))
    }
}

fn skip(row: &Row) -> Skip {
    let id = skip_id(row);

    Skip {
        event: id.event,
        hook: id.hook,
        reason: SkipReason::from_code(row.get("reason")),
    }
}

fn skip_id(row: &Row) -> SkipId {
    SkipId {
        event: EventId(row.get("event_id")),
        hook: HookId(row.get("hook_id")),
    }
}
