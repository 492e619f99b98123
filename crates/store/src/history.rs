//! Searches in events, deliveries, attempts and skips, newest first, with one filter for all of them.
//!
//! A search has two parts: a window of at most [`MAX_SCANNED`] rows in the order of the primary key, and conditions on
//! the rows of the window. So a filter without an index costs a bounded amount of work for each page.

mod list;

use async_trait::async_trait;
use quickdraw_domain::audience::SkipReason;
use quickdraw_domain::delivery::Stage;
use quickdraw_domain::event::{Event, Origin};
use quickdraw_domain::outcome::Answers;
use quickdraw_domain::scope::Place;
use quickdraw_domain::{AttemptId, DeliveryId, EventId, HookId, SourceId, Timestamp, Trigger};
use uuid::Uuid;

pub(crate) use self::list::List;
use crate::attempts::{Attempt, outcome_codes};
use crate::columns;
use crate::deliveries::{Delivery, id_range};
use crate::error::Result;
use crate::lists::{MAX_SCANNED, Scanned};

/// Conditions of a search; all of them apply. A condition that a list does not have matches every row of it.
#[derive(Clone, Debug, Default)]
pub struct HistoryFilter {
    /// Only events in one of these projects and groups, and what belongs to them.
    pub places: Option<Vec<Place>>,

    /// Only to one of these hooks; in a list of events, events with a delivery to one of them.
    pub hooks: Option<Vec<HookId>>,

    /// Only of this event.
    pub event: Option<EventId>,

    /// Only of this delivery.
    pub delivery: Option<DeliveryId>,

    /// Only events that arrived through this source.
    pub source: Option<SourceId>,

    /// Only events of these kinds; empty for all.
    pub triggers: Vec<Trigger>,

    /// Only events that arrived at this time or later; for attempts, attempts that began then.
    pub since: Option<Timestamp>,

    /// Only events that arrived before this time; for attempts, attempts that began before it.
    pub until: Option<Timestamp>,

    /// Only deliveries in this state, and events with such a delivery.
    pub state: Option<Stage>,

    /// Only attempts with one of these answers, deliveries whose last attempt had one, and events with such a delivery.
    pub answers: Answers,

    /// Only attempts with one of these outcomes, by their words, deliveries whose last attempt had one, and events with
    /// such a delivery; empty for all.
    pub classes: Vec<String>,
}

/// A subscribed hook that did not get an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Skip {
    /// The event.
    pub event: EventId,

    /// The hook.
    pub hook: HookId,

    /// The reason; `None` if this version does not know its number.
    pub reason: Option<SkipReason>,
}

/// The position of a skip in its list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SkipId {
    /// The event.
    pub event: EventId,

    /// The hook.
    pub hook: HookId,
}

/// Searches in history. `before` is the `next` of the page before.
#[async_trait]
pub trait History {
    /// Events, without their bodies.
    async fn search_events(
        &self,
        filter: HistoryFilter,
        before: Option<EventId>,
        limit: usize,
    ) -> Result<Scanned<Event, EventId>>;

    /// Deliveries.
    async fn search_deliveries(
        &self,
        filter: HistoryFilter,
        before: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Scanned<Delivery, DeliveryId>>;

    /// Attempts.
    async fn search_attempts(
        &self,
        filter: HistoryFilter,
        before: Option<AttemptId>,
        limit: usize,
    ) -> Result<Scanned<Attempt, AttemptId>>;

    /// Hooks that did not get an event.
    async fn search_skips(
        &self,
        filter: HistoryFilter,
        before: Option<SkipId>,
        limit: usize,
    ) -> Result<Scanned<Skip, SkipId>>;
}

/// The spelling of ids in statements. Only values of ours are put into the text: numbers and ids.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    fn id(self, id: Uuid) -> String {
        match self {
            Self::Sqlite => format!("x'{}'", id.simple()),
            Self::Postgres => format!("'{id}'::uuid"),
        }
    }

    /// The deliveries of an event `e`, as a table. They have the first 48 bits of its id, so they are one range of ids.
    fn deliveries_of_event(self) -> &'static str {
        match self {
            Self::Sqlite => {
                "(SELECT * FROM deliveries WHERE id BETWEEN substr(e.id, 1, 6)
                    AND CAST(substr(e.id, 1, 6) || x'ffffffffffffffffffff' AS BLOB))"
            }
            // The OFFSET keeps the planner from reading the whole table once instead of one range for each event.
            Self::Postgres => {
                "(SELECT * FROM deliveries WHERE id BETWEEN (left(e.id::text, 13) || '-0000-0000-000000000000')::uuid
                    AND (left(e.id::text, 13) || '-ffff-ffff-ffffffffffff')::uuid OFFSET 0)"
            }
        }
    }
}

/// The two parts of a search, as text of statements.
pub(crate) struct Search {
    /// The window: a condition on the primary key and indexed columns.
    window: String,

    /// The condition on the rows of the window; `None` if all of them match.
    matches: Option<String>,
}

impl Search {
    pub(crate) fn new(window: Vec<String>, matches: Vec<String>) -> Self {
        let joined = |all: Vec<String>| (!all.is_empty()).then(|| all.join(" AND "));
        Self {
            window: joined(window).unwrap_or_else(|| "1 = 1".to_owned()),
            matches: joined(matches),
        }
    }

    /// Number of rows in the window. Where every row matches, a page of them is enough.
    const fn most(&self, rows: usize) -> usize {
        if self.matches.is_some() { MAX_SCANNED } else { rows }
    }
}

impl Skip {
    /// The position in the list.
    #[must_use]
    pub const fn id(&self) -> SkipId {
        SkipId {
            event: self.event,
            hook: self.hook,
        }
    }
}

impl HistoryFilter {
    /// The search in events, as `e`.
    fn of_events(&self, dialect: Dialect, before: Option<EventId>) -> Search {
        let mut window = Vec::new();
        window.extend(before.map(|id| format!("e.id < {}", dialect.id(id.0))));
        window.extend(self.event.map(|id| format!("e.id = {}", dialect.id(id.0))));
        window.extend(self.ids("e.id", dialect));

        let mut matches = self.of_event();
        matches.extend(self.of_its_deliveries(dialect));

        if let Some([Place::Project(_) | Place::Group(_)]) = self.places.as_deref() {
            // One place has an index. SQLite only finds it with the index's own condition.
            let place = self.of_places();
            matches.retain(|condition| Some(condition) != place.as_ref());
            window.extend(place);
            window.push("e.place_kind <> 0".to_owned());
        }

        Search::new(window, matches)
    }

    /// The search in deliveries, as `d`.
    fn of_deliveries(&self, dialect: Dialect, before: Option<DeliveryId>) -> Search {
        let mut window = Vec::new();
        window.extend(before.map(|id| format!("d.id < {}", dialect.id(id.0))));
        window.extend(self.delivery.map(|id| format!("d.id = {}", dialect.id(id.0))));
        window.extend(self.ids("d.id", dialect));

        if let Some(event) = self.event {
            let (low, high) = id_range(event);
            window.push(format!("d.id BETWEEN {} AND {}", dialect.id(low.0), dialect.id(high.0)));
        }

        let mut matches = self.of_delivery();
        matches.extend(self.event.map(|id| format!("d.event_id = {}", dialect.id(id.0))));
        matches.extend(exists("FROM events e WHERE e.id = d.event_id", &self.of_event()));
        Search::new(window, matches)
    }

    /// The search in attempts, as `a`.
    fn of_attempts(&self, dialect: Dialect, before: Option<AttemptId>) -> Search {
        let mut window = Vec::new();
        window.extend(before.map(|id| format!("a.id < {}", id.0)));
        window.extend(self.delivery.map(|id| format!("a.delivery_id = {}", dialect.id(id.0))));

        let mut matches = self.of_attempt();
        match self.hooks.as_deref() {
            // One hook has an index.
            Some([_]) => window.extend(self.of_hooks("a.hook_id")),
            _ => matches.extend(self.of_hooks("a.hook_id")),
        }

        matches.extend(self.since.map(|since| format!("a.started_at >= {}", since.as_micros())));
        matches.extend(self.until.map(|until| format!("a.started_at < {}", until.as_micros())));

        let mut event = Self {
            since: None,
            until: None,
            ..self.clone()
        }
        .of_event();
        event.extend(self.event.map(|id| format!("e.id = {}", dialect.id(id.0))));
        event.extend(self.state.map(|stage| columns::is_in(Some(stage))));

        let from = "FROM deliveries d JOIN events e ON e.id = d.event_id WHERE d.id = a.delivery_id";
        matches.extend(exists(from, &event));
        Search::new(window, matches)
    }

    /// The search in skips, as `s`.
    fn of_skips(&self, dialect: Dialect, before: Option<SkipId>) -> Search {
        let mut window = Vec::new();
        window.extend(before.map(|id| {
            let event = dialect.id(id.event.0);
            format!("(s.event_id, s.hook_id) < ({event}, {})", id.hook.0)
        }));
        window.extend(self.event.map(|id| format!("s.event_id = {}", dialect.id(id.0))));
        window.extend(self.ids("s.event_id", dialect));

        let mut matches = Vec::new();
        matches.extend(self.of_hooks("s.hook_id"));
        matches.extend(exists("FROM events e WHERE e.id = s.event_id", &self.of_event()));
        Search::new(window, matches)
    }

    /// Ids begin with the time of arrival, so a period is a range of them. The conditions on times are exact.
    fn ids(&self, column: &str, dialect: Dialect) -> Vec<String> {
        let edge = |at: Timestamp| {
            let milliseconds = u64::try_from(at.as_seconds().max(0)).unwrap_or(0) * 1000;
            dialect.id(Uuid::from_u64_pair(milliseconds << 16, 0))
        };

        let mut conditions = Vec::new();
        conditions.extend(self.since.map(|since| format!("{column} >= {}", edge(since))));
        conditions.extend(self.until.map(|until| {
            let end = until.plus(std::time::Duration::from_secs(1));
            format!("{column} < {}", edge(end))
        }));

        conditions
    }

    /// Conditions on an event `e`.
    fn of_event(&self) -> Vec<String> {
        let mut conditions = Vec::new();
        conditions.extend(self.of_places());
        conditions.extend(self.source.map(|source| {
            let (kind, id) = columns::origin_columns(Origin::Source(source));
            format!("e.origin_kind = {kind} AND e.origin_id = {id}")
        }));

        if !self.triggers.is_empty() {
            let codes = self.triggers.iter().map(|trigger| i64::from(trigger.row().code));
            conditions.push(format!("e.trigger_code IN ({})", numbers(codes)));
        }

        conditions.extend(
            self.since
                .map(|since| format!("e.received_at >= {}", since.as_micros())),
        );
        conditions.extend(self.until.map(|until| format!("e.received_at < {}", until.as_micros())));
        conditions
    }

    /// Conditions on a delivery `d` itself.
    fn of_delivery(&self) -> Vec<String> {
        let mut conditions = Vec::new();
        conditions.extend(self.of_hooks("d.hook_id"));
        conditions.extend(self.state.map(|stage| columns::is_in(Some(stage))));

        let attempt = self.of_attempt();
        if !attempt.is_empty() {
            conditions.push(format!(
                "EXISTS (SELECT 1 FROM (SELECT a.status, a.outcome FROM attempts a WHERE a.delivery_id = d.id
                   ORDER BY a.id DESC LIMIT 1) a WHERE {})",
                attempt.join(" AND ")
            ));
        }

        conditions
    }

    /// The condition that an event `e` has a delivery to the hooks, in the state and with the answer.
    fn of_its_deliveries(&self, dialect: Dialect) -> Option<String> {
        let table = dialect.deliveries_of_event();
        exists(&format!("FROM {table} d WHERE d.event_id = e.id"), &self.of_delivery())
    }

    /// The condition on the place of an event `e`.
    fn of_places(&self) -> Option<String> {
        let places = self.places.as_ref()?;
        let mut of_kind: [Vec<i64>; 4] = Default::default();
        for place in places {
            let (kind, id) = columns::place_columns(*place);
            if let Some(ids) = usize::try_from(kind).ok().and_then(|kind| of_kind.get_mut(kind)) {
                ids.push(id);
            }
        }

        let mut any = Vec::new();
        for (kind, ids) in of_kind.iter().enumerate() {
            match ids.as_slice() {
                [] => {}
                [id] => any.push(format!("e.place_kind = {kind} AND e.place_id = {id}")),
                ids => any.push(format!(
                    "e.place_kind = {kind} AND e.place_id IN ({})",
                    numbers(ids.iter().copied())
                )),
            }
        }

        Some(match any.as_slice() {
            [] => NOTHING.to_owned(),
            [one] => one.clone(),
            _ => format!("({})", any.join(" OR ")),
        })
    }

    fn of_hooks(&self, column: &str) -> Option<String> {
        Some(match self.hooks.as_deref()? {
            [] => NOTHING.to_owned(),
            hooks => format!("{column} IN ({})", numbers(hooks.iter().map(|hook| hook.0))),
        })
    }

    /// Conditions on an attempt `a`.
    fn of_attempt(&self) -> Vec<String> {
        let mut conditions = Vec::new();
        if !self.answers.is_any() {
            conditions.push(self.answers_condition());
        }

        if !self.classes.is_empty() {
            let codes = outcome_codes(&self.classes);
            conditions.push(if codes.is_empty() {
                NOTHING.to_owned()
            } else {
                format!("a.outcome IN ({})", numbers(codes.into_iter().map(i64::from)))
            });
        }

        conditions
    }

    fn answers_condition(&self) -> String {
        let ranges = self.answers.ranges.iter();
        let mut any: Vec<String> = ranges
            .map(|(low, high)| format!("a.status BETWEEN {low} AND {high}"))
            .collect();

        if self.answers.unanswered {
            any.push("a.status IS NULL".to_owned());
        }

        format!("({})", any.join(" OR "))
    }
}

/// A condition that no row meets.
const NOTHING: &str = "1 = 0";

fn numbers(numbers: impl Iterator<Item = i64>) -> String {
    numbers.map(|number| number.to_string()).collect::<Vec<_>>().join(", ")
}

fn exists(from: &str, conditions: &[String]) -> Option<String> {
    (!conditions.is_empty()).then(|| format!("EXISTS (SELECT 1 {from} AND {})", conditions.join(" AND ")))
}
