//! Checks of the searches in history: each filter alone, combinations, pages, and the bound of a search.

use std::sync::Arc;

use quickdraw_domain::audience::SkipReason;
use quickdraw_domain::delivery::Stage;
use quickdraw_domain::event::Origin;
use quickdraw_domain::outcome::{Answers, Outcome};
use quickdraw_domain::scope::Place;
use quickdraw_domain::{EventId, GroupId, HookId, ProjectId, SourceId, Trigger};
use quickdraw_store::events::FannedOut;
use quickdraw_store::history::HistoryFilter;
use quickdraw_store::lists::MAX_SCANNED;

use crate::fixture::{Fixture, NOON, at, event_at};

const OK: Outcome = Outcome::Delivered { status: 200 };
const FAILED: Outcome = Outcome::Failed {
    status: 503,
    retry_after: None,
};

/// Three events, each a minute after the one before. The first is a push in a project that reached both hooks, the
/// second a tag of a source in a group that the second hook skipped and the first one failed to get, and the third a
/// push elsewhere without deliveries.
struct Scene {
    fixture: Fixture,
    events: [EventId; 3],
    hooks: [HookId; 2],
    project: ProjectId,
}

impl Scene {
    async fn new(fixture: Fixture) -> Self {
        let project = fixture.project("p").await;
        let hooks = [fixture.hook(project).await, fixture.hook(project).await];
        let [one, other] = hooks;

        let first = Self::add(&fixture, Place::Project(project), 0, None, &[one, other], &[]).await;
        Self::settle(&fixture, 0, OK).await;

        let source = Some(SourceId(3));
        let second = Self::add(&fixture, Place::Group(GroupId(7)), 60, source, &[one], &[other]).await;
        Self::settle(&fixture, 60, FAILED).await;

        let third = Self::add(&fixture, Place::Elsewhere, 120, None, &[], &[]).await;
        Self {
            fixture,
            events: [first, second, third],
            hooks,
            project,
        }
    }

    async fn add(
        fixture: &Fixture,
        place: Place,
        second: u64,
        source: Option<SourceId>,
        deliver: &[HookId],
        skip: &[HookId],
    ) -> EventId {
        let mut new = event_at(place, b"{}", at(second));
        new.event.trigger = if source.is_some() {
            Trigger::TAG_PUSH
        } else {
            Trigger::PUSH
        };
        new.event.origin = source.map_or(Origin::Api, Origin::Source);
        let id = fixture.store.append_events(vec![new]).await.expect("appended")[0].id();

        let audience = FannedOut {
            deliver: deliver.to_vec(),
            skip: skip.iter().map(|hook| (*hook, SkipReason::BranchFilter)).collect(),
            ..FannedOut::default()
        };
        fixture
            .fan_out(at(second), Arc::new(move |_, _| Some(audience.clone())))
            .await;

        id
    }

    async fn settle(fixture: &Fixture, second: u64, outcome: Outcome) {
        for claimed in fixture.claim(at(second)).await {
            fixture.finish(&claimed, outcome, at(second)).await;
        }
    }

    /// Positions of the events that a filter finds.
    async fn events(&self, filter: HistoryFilter) -> Vec<usize> {
        let found = self.fixture.store.search_events(filter, None, 10).await.expect("found");
        assert_eq!(found.next, None);
        found.rows.iter().map(|event| self.position(event.id)).collect()
    }

    /// Positions of the events and hooks of the deliveries that a filter finds.
    async fn deliveries(&self, filter: HistoryFilter) -> Vec<(usize, usize)> {
        let found = self.fixture.store.search_deliveries(filter, None, 10).await;
        let rows = found.expect("found").rows;
        let mut found: Vec<(usize, usize)> = rows
            .iter()
            .map(|row| (self.position(row.event), self.hook_position(row.hook)))
            .collect();

        // Deliveries of one event have no order of their own.
        found.sort_unstable();
        found
    }

    /// Positions of the hooks of the attempts that a filter finds.
    async fn attempts(&self, filter: HistoryFilter) -> Vec<usize> {
        let found = self.fixture.store.search_attempts(filter, None, 10).await;
        let rows = found.expect("found").rows;
        let mut hooks: Vec<usize> = rows.iter().map(|row| self.hook_position(row.hook)).collect();

        hooks.sort_unstable();
        hooks
    }

    async fn skips(&self, filter: HistoryFilter) -> Vec<(usize, usize)> {
        let found = self.fixture.store.search_skips(filter, None, 10).await.expect("found");
        let positions = |skip: &quickdraw_store::history::Skip| {
            assert_eq!(skip.reason, Some(SkipReason::BranchFilter));
            (self.position(skip.event), self.hook_position(skip.hook))
        };
        found.rows.iter().map(positions).collect()
    }

    fn position(&self, event: EventId) -> usize {
        let found = self.events.iter().position(|known| *known == event);
        found.expect("an event of the scene")
    }

    fn hook_position(&self, hook: HookId) -> usize {
        let found = self.hooks.iter().position(|known| *known == hook);
        found.expect("a hook of the scene")
    }
}

fn any() -> HistoryFilter {
    HistoryFilter::default()
}

pub(crate) async fn events_are_found_by_each_filter(fixture: Fixture) {
    let scene = Scene::new(fixture).await;
    let project = Place::Project(scene.project);
    let group = Place::Group(GroupId(7));

    let of = |places: &[Place]| HistoryFilter {
        places: Some(places.to_vec()),
        ..any()
    };
    assert_eq!(scene.events(any()).await, [2, 1, 0]);
    assert_eq!(scene.events(of(&[project])).await, [0]);
    assert_eq!(scene.events(of(&[project, group])).await, [1, 0]);
    assert_eq!(scene.events(of(&[])).await, Vec::<usize>::new());

    let source = Some(SourceId(3));
    assert_eq!(scene.events(HistoryFilter { source, ..any() }).await, [1]);

    let triggers = vec![Trigger::PUSH];
    assert_eq!(scene.events(HistoryFilter { triggers, ..any() }).await, [2, 0]);

    let event = Some(scene.events[1]);
    assert_eq!(scene.events(HistoryFilter { event, ..any() }).await, [1]);

    let since = Some(at(60));
    assert_eq!(scene.events(HistoryFilter { since, ..any() }).await, [2, 1]);

    let until = Some(at(60));
    assert_eq!(scene.events(HistoryFilter { until, ..any() }).await, [0]);

    let both = HistoryFilter {
        since,
        triggers: vec![Trigger::PUSH],
        ..any()
    };
    assert_eq!(scene.events(both).await, [2]);
}

pub(crate) async fn events_are_found_by_their_deliveries(fixture: Fixture) {
    let scene = Scene::new(fixture).await;

    let hooks = Some(vec![scene.hooks[1]]);
    assert_eq!(scene.events(HistoryFilter { hooks, ..any() }).await, [0]);

    let state = Some(Stage::Retrying);
    assert_eq!(scene.events(HistoryFilter { state, ..any() }).await, [1]);

    let answers = Answers::parse(&["successful"]).expect("answers");
    assert_eq!(scene.events(HistoryFilter { answers, ..any() }).await, [0]);

    let classes = vec!["failed".to_owned()];
    assert_eq!(scene.events(HistoryFilter { classes, ..any() }).await, [1]);

    let no_delivery_meets_both = HistoryFilter {
        hooks: Some(vec![scene.hooks[1]]),
        state,
        ..any()
    };
    assert_eq!(scene.events(no_delivery_meets_both).await, Vec::<usize>::new());
}

pub(crate) async fn deliveries_are_found_by_each_filter(fixture: Fixture) {
    let scene = Scene::new(fixture).await;
    assert_eq!(scene.deliveries(any()).await, [(0, 0), (0, 1), (1, 0)]);

    let places = Some(vec![Place::Project(scene.project)]);
    assert_eq!(
        scene.deliveries(HistoryFilter { places, ..any() }).await,
        [(0, 0), (0, 1)]
    );

    let hooks = Some(vec![scene.hooks[1]]);
    assert_eq!(scene.deliveries(HistoryFilter { hooks, ..any() }).await, [(0, 1)]);

    let none = Some(Vec::new());
    assert_eq!(scene.deliveries(HistoryFilter { hooks: none, ..any() }).await, []);

    let event = Some(scene.events[1]);
    assert_eq!(scene.deliveries(HistoryFilter { event, ..any() }).await, [(1, 0)]);

    let state = Some(Stage::Retrying);
    assert_eq!(scene.deliveries(HistoryFilter { state, ..any() }).await, [(1, 0)]);

    let answers = Answers::parse(&["successful"]).expect("answers");
    assert_eq!(
        scene.deliveries(HistoryFilter { answers, ..any() }).await,
        [(0, 0), (0, 1)]
    );

    let classes = vec!["failed".to_owned()];
    assert_eq!(scene.deliveries(HistoryFilter { classes, ..any() }).await, [(1, 0)]);

    let since = Some(at(60));
    assert_eq!(scene.deliveries(HistoryFilter { since, ..any() }).await, [(1, 0)]);

    let contradiction = HistoryFilter {
        since,
        state: Some(Stage::Delivered),
        ..any()
    };
    assert_eq!(scene.deliveries(contradiction).await, []);
}

pub(crate) async fn attempts_are_found_by_each_filter(fixture: Fixture) {
    let scene = Scene::new(fixture).await;
    assert_eq!(scene.attempts(any()).await, [0, 0, 1]);

    let places = Some(vec![Place::Group(GroupId(7)), Place::Group(GroupId(8))]);
    assert_eq!(scene.attempts(HistoryFilter { places, ..any() }).await, [0]);

    let hooks = Some(scene.hooks.to_vec());
    assert_eq!(scene.attempts(HistoryFilter { hooks, ..any() }).await, [0, 0, 1]);

    let event = Some(scene.events[0]);
    assert_eq!(scene.attempts(HistoryFilter { event, ..any() }).await, [0, 1]);

    let answers = Answers::parse(&["503"]).expect("answers");
    assert_eq!(scene.attempts(HistoryFilter { answers, ..any() }).await, [0]);

    let classes = vec!["delivered".to_owned()];
    assert_eq!(scene.attempts(HistoryFilter { classes, ..any() }).await, [0, 1]);

    let triggers = vec![Trigger::TAG_PUSH];
    assert_eq!(scene.attempts(HistoryFilter { triggers, ..any() }).await, [0]);

    let until = Some(at(60));
    assert_eq!(scene.attempts(HistoryFilter { until, ..any() }).await, [0, 1]);
}

pub(crate) async fn skips_are_found_by_each_filter(fixture: Fixture) {
    let scene = Scene::new(fixture).await;
    assert_eq!(scene.skips(any()).await, [(1, 1)]);

    let hooks = Some(vec![scene.hooks[0]]);
    assert_eq!(scene.skips(HistoryFilter { hooks, ..any() }).await, []);

    let event = Some(scene.events[1]);
    assert_eq!(scene.skips(HistoryFilter { event, ..any() }).await, [(1, 1)]);

    let source = Some(SourceId(3));
    assert_eq!(scene.skips(HistoryFilter { source, ..any() }).await, [(1, 1)]);

    let until = Some(NOON);
    assert_eq!(scene.skips(HistoryFilter { until, ..any() }).await, []);
}

pub(crate) async fn only_the_last_page_of_a_search_has_no_next(fixture: Fixture) {
    let scene = Scene::new(fixture).await;
    let store = &scene.fixture.store;

    let all = store.search_events(any(), None, 3).await.expect("found");
    assert_eq!((all.rows.len(), all.next), (3, None));

    let first = store.search_events(any(), None, 2).await.expect("found");
    assert_eq!(first.next, Some(scene.events[1]));

    let second = store.search_events(any(), first.next, 2).await.expect("found");
    assert_eq!((second.rows[0].id, second.next), (scene.events[0], None));
}

pub(crate) async fn a_search_examines_a_bounded_number_of_rows_for_a_page(fixture: Fixture) {
    let store = &fixture.store;
    let mut rare = event_at(Place::Elsewhere, b"{}", at(0));
    rare.event.trigger = Trigger::TAG_PUSH;
    let rare = store.append_events(vec![rare]).await.expect("appended")[0].id();

    for _ in 0..=MAX_SCANNED / 1000 {
        let batch = (0..1000).map(|_| event_at(Place::Elsewhere, b"{}", at(1))).collect();
        store.append_events(batch).await.expect("appended");
    }

    let filter = HistoryFilter {
        triggers: vec![Trigger::TAG_PUSH],
        ..any()
    };
    let first = store.search_events(filter.clone(), None, 2).await.expect("found");
    assert!(first.rows.is_empty() && first.next.is_some());

    let second = store.search_events(filter, first.next, 2).await.expect("found");
    assert_eq!((second.rows.len(), second.rows[0].id, second.next), (1, rare, None));
}
