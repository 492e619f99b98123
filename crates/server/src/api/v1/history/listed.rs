//! The rows of the lists of history.

use quickdraw_domain::event::Event;
use quickdraw_domain::{AttemptId, DeliveryId, EventId, HookId};
use quickdraw_store::attempts::Attempt;
use quickdraw_store::deliveries::Delivery;
use quickdraw_store::history::{HistoryFilter, Skip, SkipId};
use quickdraw_store::lists::Scanned;
use quickdraw_store::{Result, SharedStore};
use uuid::Uuid;

/// A row of a list.
pub(super) trait Listed: Sized + Send + Sync {
    /// The position in the list.
    type Id: Copy + Send + Sync;

    /// Reads a position that was shown.
    fn parse(text: &str) -> Option<Self::Id>;

    /// Shows a position.
    fn show(id: Self::Id) -> String;

    /// The position of the row.
    fn id(&self) -> Self::Id;

    /// The event that the row belongs to. `None` if it has been deleted.
    fn event(&self, store: &SharedStore) -> impl Future<Output = Result<Option<EventId>>> + Send;

    /// Reads a page.
    fn search(
        store: &SharedStore,
        filter: HistoryFilter,
        before: Option<Self::Id>,
        limit: usize,
    ) -> impl Future<Output = Result<Scanned<Self, Self::Id>>> + Send;
}

impl Listed for Event {
    type Id = EventId;

    fn parse(text: &str) -> Option<EventId> {
        Uuid::parse_str(text).ok().map(EventId)
    }

    fn show(id: EventId) -> String {
        id.to_string()
    }

    fn id(&self) -> EventId {
        self.id
    }

    async fn event(&self, _: &SharedStore) -> Result<Option<EventId>> {
        Ok(Some(self.id))
    }

    async fn search(
        store: &SharedStore,
        filter: HistoryFilter,
        before: Option<EventId>,
        limit: usize,
    ) -> Result<Scanned<Self, EventId>> {
        store.search_events(filter, before, limit).await
    }
}

impl Listed for Delivery {
    type Id = DeliveryId;

    fn parse(text: &str) -> Option<DeliveryId> {
        Uuid::parse_str(text).ok().map(DeliveryId)
    }

    fn show(id: DeliveryId) -> String {
        id.to_string()
    }

    fn id(&self) -> DeliveryId {
        self.id
    }

    async fn event(&self, _: &SharedStore) -> Result<Option<EventId>> {
        Ok(Some(self.event))
    }

    async fn search(
        store: &SharedStore,
        filter: HistoryFilter,
        before: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Scanned<Self, DeliveryId>> {
        store.search_deliveries(filter, before, limit).await
    }
}

impl Listed for Attempt {
    type Id = AttemptId;

    fn parse(text: &str) -> Option<AttemptId> {
        text.parse().ok().map(AttemptId)
    }

    fn show(id: AttemptId) -> String {
        id.to_string()
    }

    fn id(&self) -> AttemptId {
        self.id
    }

    async fn event(&self, store: &SharedStore) -> Result<Option<EventId>> {
        let delivery = store.find_delivery(self.delivery).await?;
        Ok(delivery.map(|delivery| delivery.event))
    }

    async fn search(
        store: &SharedStore,
        filter: HistoryFilter,
        before: Option<AttemptId>,
        limit: usize,
    ) -> Result<Scanned<Self, AttemptId>> {
        store.search_attempts(filter, before, limit).await
    }
}

impl Listed for Skip {
    type Id = SkipId;

    fn parse(text: &str) -> Option<SkipId> {
        let (event, hook) = text.split_once('.')?;

        Some(SkipId {
            event: EventId(Uuid::parse_str(event).ok()?),
            hook: HookId(hook.parse().ok()?),
        })
    }

    fn show(id: SkipId) -> String {
        format!("{}.{}", id.event, id.hook)
    }

    fn id(&self) -> SkipId {
        self.id()
    }

    async fn event(&self, _: &SharedStore) -> Result<Option<EventId>> {
        Ok(Some(self.event))
    }

    async fn search(
        store: &SharedStore,
        filter: HistoryFilter,
        before: Option<SkipId>,
        limit: usize,
    ) -> Result<Scanned<Self, SkipId>> {
        store.search_skips(filter, before, limit).await
    }
}
