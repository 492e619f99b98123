//! A search in one table, as the statements that read a page of it. Both engines read the same columns.

use quickdraw_domain::{AttemptId, DeliveryId, EventId};

use super::{Dialect, HistoryFilter, Search, SkipId};
use crate::attempts::COLUMNS;
use crate::deliveries::DELIVERY_COLUMNS;
use crate::events::EVENT_COLUMNS;
use crate::lists::{MAX_SCANNED, Scanned};

/// The columns of a skip.
const SKIP_COLUMNS: &str = "s.event_id, s.hook_id, s.reason";

/// A search in one table.
pub(crate) struct List {
    pub(crate) search: Search,
    pub(crate) columns: &'static str,

    /// The table and its alias.
    pub(crate) from: &'static str,
    pub(crate) alias: &'static str,

    /// The primary key, going down.
    pub(crate) order: &'static str,

    /// The columns of the primary key.
    pub(crate) key: &'static str,
    pub(crate) limit: usize,
}

impl List {
    /// The statement that reads a page.
    pub(crate) fn page(&self) -> String {
        let Self {
            search,
            columns,
            from,
            alias,
            order,
            limit,
            ..
        } = self;

        // One more row than the page has proves that another page follows.
        let rows = limit + 1;
        let (window, most) = (&search.window, search.most(rows));
        let matches = search.matches.as_deref().unwrap_or("1 = 1");

        format!(
            "SELECT * FROM (SELECT {columns} FROM {from} WHERE {window} ORDER BY {order} LIMIT {most}) {alias}
             WHERE {matches} ORDER BY {order} LIMIT {rows}"
        )
    }

    /// Builds the page from the rows of [`List::page`]. `end` is where the search ended, if it ended early.
    pub(crate) fn scanned<T, Id>(&self, mut rows: Vec<T>, id: impl Fn(&T) -> Id, end: Option<Id>) -> Scanned<T, Id> {
        let is_full = rows.len() > self.limit;
        rows.truncate(self.limit);

        let next = if is_full { rows.last().map(id) } else { end };

        Scanned { rows, next }
    }

    /// The statement that reads the key of the last row of a full window. `None` if a short page is the last one.
    pub(crate) fn end(&self) -> Option<String> {
        self.search.matches.as_ref()?;

        let Self { key, from, order, .. } = self;
        let (window, last) = (&self.search.window, MAX_SCANNED - 1);

        Some(format!(
            "SELECT {key} FROM {from} WHERE {window} ORDER BY {order} LIMIT 1 OFFSET {last}"
        ))
    }
}

impl HistoryFilter {
    /// The list of events.
    pub(crate) fn events(&self, dialect: Dialect, before: Option<EventId>, limit: usize) -> List {
        List {
            search: self.of_events(dialect, before),
            columns: EVENT_COLUMNS,
            from: "events e",
            alias: "e",
            order: "e.id DESC",
            key: "e.id AS id",
            limit,
        }
    }

    /// The list of deliveries.
    pub(crate) fn deliveries(&self, dialect: Dialect, before: Option<DeliveryId>, limit: usize) -> List {
        List {
            search: self.of_deliveries(dialect, before),
            columns: DELIVERY_COLUMNS,
            from: "deliveries d",
            alias: "d",
            order: "d.id DESC",
            key: "d.id AS id",
            limit,
        }
    }

    /// The list of attempts.
    pub(crate) fn attempts(&self, dialect: Dialect, before: Option<AttemptId>, limit: usize) -> List {
        List {
            search: self.of_attempts(dialect, before),
            columns: COLUMNS,
            from: "attempts a",
            alias: "a",
            order: "a.id DESC",
            key: "a.id AS id",
            limit,
        }
    }

    /// The list of skips.
    pub(crate) fn skips(&self, dialect: Dialect, before: Option<SkipId>, limit: usize) -> List {
        List {
            search: self.of_skips(dialect, before),
            columns: SKIP_COLUMNS,
            from: "skips s",
            alias: "s",
            order: "s.event_id DESC, s.hook_id DESC",
            key: "s.event_id, s.hook_id",
            limit,
        }
    }
}
