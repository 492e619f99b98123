//! The events from which an item of an explanation was read. The journal has no index of them, so a search examines the
//! events of the journal in batches.

use quickdraw_domain::event::Event;
use quickdraw_domain::{EventId, Trigger};

use crate::backfill::facts_of;
use crate::entity::{Entity, Family};
use crate::metrics::Metric;
use crate::{Fact, counts};

/// Events that are examined for one page, and the number of events that are read at once.
const MAX_EXAMINED: usize = 20_000;
const BATCH: usize = 20;

/// A search for the events that mention an item.
#[derive(Clone, Debug)]
pub struct EventSearch {
    item: ItemKey,

    /// The last event that was examined. A page that is full goes on after its own last event.
    after: EventId,

    /// Largest number of events of the page.
    most: usize,

    /// Number of batches that can still be read.
    batches: usize,
    found: Vec<Event>,
    state: State,
}

/// The state of a search.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// There are more batches.
    Running,

    /// The page is full.
    Full,

    /// All events were examined.
    Complete,
}

/// An item, as an explanation names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ItemKey {
    /// Family of the item.
    pub family: Family,

    /// The project's id in events, and the item's number in the project.
    pub key: (i64, i64),
}

/// One read of a search: events of the journal in the order of their ids.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventRead {
    /// Only events after this one.
    pub after: EventId,

    /// Largest number of events.
    pub limit: usize,
}

/// The events of one page, oldest first.
#[derive(Clone, Debug)]
pub struct EventPage {
    /// The events.
    pub events: Vec<Event>,

    /// The event after which the next page goes on. None if there is no next page.
    pub next: Option<EventId>,
}

impl ItemKey {
    /// Checks whether events of this kind can mention an item. The bodies of the others need not be read.
    #[must_use]
    pub fn can_be_in(trigger: Trigger) -> bool {
        counts(trigger)
    }

    /// Checks whether an event mentions the item.
    #[must_use]
    pub fn is_in(self, event: &Event, body: &[u8]) -> bool {
        let facts = facts_of(event, body).unwrap_or_default();
        facts.iter().any(|fact| match fact {
            Fact::Item(item) => (item.family(), item.key()) == (self.family, self.key),
            Fact::Commit(commit) => self.family == Family::Commits && commit.key() == self.key,
            _ => false,
        })
    }
}

impl EventSearch {
    /// Starts a search for an item of the metric's explanation, after an event.
    #[must_use]
    pub const fn new(metric: &Metric, key: (i64, i64), after: EventId, most: usize) -> Self {
        Self {
            item: ItemKey {
                family: metric.family(),
                key,
            },
            after,
            most,
            batches: MAX_EXAMINED / BATCH,
            found: Vec::new(),
            state: State::Running,
        }
    }

    /// The item.
    #[must_use]
    pub const fn item(&self) -> ItemKey {
        self.item
    }

    /// Decides what to read next. None if the search has ended.
    #[must_use]
    pub fn next_read(&self) -> Option<EventRead> {
        let is_running = self.state == State::Running && self.batches > 0;
        is_running.then_some(EventRead {
            after: self.after,
            limit: BATCH,
        })
    }

    /// Adds the result of a read: the ids of its events in ascending order, and the events that mention the item.
    pub fn add(&mut self, examined: &[EventId], mut mentioning: Vec<Event>) {
        mentioning.sort_by_key(|event| event.id);

        let room = self.most - self.found.len();
        let is_full = mentioning.len() >= room && !mentioning.is_empty();
        mentioning.truncate(room);

        let last = if is_full {
            mentioning.last().map(|event| event.id)
        } else {
            examined.last().copied()
        };

        self.after = last.unwrap_or(self.after);
        self.found.append(&mut mentioning);
        self.batches = self.batches.saturating_sub(1);

        if is_full {
            self.state = State::Full;
        } else if examined.len() < BATCH {
            self.state = State::Complete;
        }
    }

    /// The page that was found.
    #[must_use]
    pub fn page(self) -> EventPage {
        let next = (self.state != State::Complete).then_some(self.after);
        EventPage {
            events: self.found,
            next,
        }
    }
}

#[cfg(test)]
mod tests {
    use quickdraw_domain::event::Origin;
    use quickdraw_domain::scope::Place;
    use quickdraw_domain::{ProjectId, Timestamp};
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;

    fn id(number: usize) -> EventId {
        EventId(Uuid::from_u128(number as u128))
    }

    fn event(number: usize, trigger: Trigger) -> Event {
        let place = Place::Project(ProjectId(1));
        Event::new(id(number), place, trigger, Origin::Api, Timestamp::from_seconds(5_000))
    }

    fn search(most: usize) -> EventSearch {
        let metric = Metric::by_name("commits").expect("a metric");
        EventSearch::new(metric, (7, 1), id(0), most)
    }

    /// Reads a page of a journal in which only these events mention the item, and returns the number of reads.
    fn read(mut search: EventSearch, journal: usize, mentioning: &[usize]) -> (EventPage, usize) {
        let mut reads = 0;
        while let Some(EventRead { after, limit }) = search.next_read() {
            reads += 1;

            let first = usize::try_from(after.0.as_u128()).expect("few events") + 1;
            let numbers: Vec<usize> = (first..=journal).take(limit).collect();
            let ids: Vec<EventId> = numbers.iter().map(|number| id(*number)).collect();

            let is_in = |number: &&usize| mentioning.contains(number);

            // Stores return the bodies in any order.
            let found = numbers
                .iter()
                .rev()
                .filter(is_in)
                .map(|number| event(*number, Trigger::PUSH));
            search.add(&ids, found.collect());
        }

        (search.page(), reads)
    }

    fn check_page(journal: usize, mentioning: &[usize], most: usize, expected: &[usize], next: Option<usize>) {
        let (page, _) = read(search(most), journal, mentioning);
        let found: Vec<EventId> = page.events.iter().map(|event| event.id).collect();
        let expected: Vec<EventId> = expected.iter().map(|number| id(*number)).collect();

        assert_eq!((found, page.next), (expected, next.map(id)));
    }

    #[test]
    fn a_page_goes_on_after_its_last_event() {
        check_page(0, &[], 2, &[], None);
        check_page(30, &[5, 25], 3, &[5, 25], None);
        check_page(30, &[5, 7, 25], 2, &[5, 7], Some(7));
        check_page(90, &[5, 25, 60], 2, &[5, 25], Some(25));

        // A full page ends the search, even if no event follows.
        check_page(30, &[5, 30], 2, &[5, 30], Some(30));
        // The last batch is full, so one more is read to see the end.
        check_page(40, &[5], 2, &[5], None);
    }

    #[test]
    fn a_page_examines_a_bounded_number_of_events() {
        let (page, reads) = read(search(2), 20_100, &[20_050]);
        assert_eq!((page.events.len(), page.next, reads), (0, Some(id(20_000)), 1_000));
    }

    #[test]
    fn an_event_mentions_its_commits_and_items() {
        let check = |metric: &str, key: (i64, i64), body: &Value, expected: bool| {
            let metric = Metric::by_name(metric).expect("a metric");
            let item = EventSearch::new(metric, key, id(0), 1).item();
            let event = event(1, Trigger::MERGE_REQUEST);

            assert_eq!(
                item.is_in(&event, body.to_string().as_bytes()),
                expected,
                "{} {key:?}",
                metric.name
            );
        };

        let attributes = json!({ "iid": 3, "action": "open", "state": "opened", "target_project_id": 7 });
        let body = json!({ "project": { "id": 7 }, "object_attributes": attributes });
        check("mr_open", (7, 3), &body, true);
        check("mr_open", (7, 4), &body, false);
        check("issues_open", (7, 3), &body, false);
        check("mr_open", (7, 3), &json!("no object"), false);

        assert!(ItemKey::can_be_in(Trigger::PUSH));
        assert!(!ItemKey::can_be_in(Trigger::by_name("wiki_page_hooks").expect("a row")));
    }
}
