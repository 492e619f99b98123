//! Events that are large or costly to process do not affect other events.

use std::sync::Arc;

use quickdraw_domain::audience::SkipReason;
use quickdraw_domain::health::DisablePolicy;
use quickdraw_domain::hook::{BranchFilter, EventFilter, Hook};
use quickdraw_domain::retry::RetryPolicy;
use quickdraw_domain::scope::Scope;
use quickdraw_domain::settle::Policies;
use quickdraw_domain::{EventId, HookId, ProjectId};
use quickdraw_engine::{Clock as _, Engine};
use quickdraw_store::deliveries::DeliveryFilter;
use quickdraw_store::documents::Document;
use quickdraw_store::scopes::Name;
use serde_json::json;

use crate::chance::{Dice, Manual};
use crate::database::{Database, Home, open};
use crate::parts::{self, Nobody};

struct Place {
    home: Home,
    clock: Arc<Manual>,
    engine: Arc<Engine>,
    project: ProjectId,
}

impl Place {
    async fn new(number: u64, database: &Database) -> Self {
        let clock = Manual::new(Dice(Arc::new(std::sync::Mutex::new(number))));
        let home = Home::new(3_000_000 + number, database).await;
        let store = open(&home.url).await;
        let project = parts::project(&store, clock.now()).await;

        let policies = Policies {
            retry: RetryPolicy::standard(),
            disable: DisablePolicy::Published,
        };
        let engine = parts::engine(store, Arc::new(Nobody), clock.clone(), Arc::new(policies)).await;

        Self {
            home,
            clock,
            engine,
            project,
        }
    }

    async fn hook(&self, change: impl FnOnce(Hook) -> Hook) -> HookId {
        let hook = change(parts::hook(Scope::Project(self.project), &self.clock));
        let made = self
            .engine
            .context
            .store()
            .create_hook(hook, 1_000)
            .await
            .expect("a hook")
            .hook
            .id;

        self.engine.context.refresh_directory().await.expect("read");
        made
    }

    async fn push(&self, body: &[u8]) -> EventId {
        parts::push(&self.engine, self.project, None, body).await.id()
    }

    async fn skips(&self, event: EventId) -> Vec<(HookId, SkipReason)> {
        self.engine.context.store().list_skips(event).await.expect("read")
    }

    async fn set_aside(&self) -> Vec<(EventId, String)> {
        self.engine.context.store().list_set_aside(10).await.expect("read")
    }
}

pub(crate) async fn a_large_event_that_ended_the_process_twice_is_set_aside(database: Database) {
    let place = Place::new(1, &database).await;
    let body = json!({ "object_kind": "push", "ref": "refs/heads/main", "x": "x".repeat(100_000) }).to_string();
    let event = place.push(body.as_bytes()).await;

    let began = |times: u32| {
        json!({ event.to_string(): { "times": times, "node": "another", "at": 0 } })
            .to_string()
            .into_bytes()
    };

    let store = place.engine.context.store();

    assert!(
        store
            .put_document(Document::Reading, 0, began(2))
            .await
            .expect("written")
    );

    assert_eq!(place.engine.insights.project().await.expect("projected"), 1);

    let set_aside = place.set_aside().await;
    assert_eq!(set_aside.len(), 1);

    assert!(
        set_aside[0].0 == event && set_aside[0].1.contains("ended 2 times"),
        "{set_aside:?}"
    );

    assert_eq!(
        place
            .engine
            .insights
            .retry_set_aside(Some(event))
            .await
            .expect("retried"),
        1
    );

    let (version, document) = store
        .document(Document::Reading)
        .await
        .expect("read")
        .expect("a document");

    assert_eq!(document, b"{}", "a new try starts the count again");
    assert!(
        store
            .put_document(Document::Reading, version, began(1))
            .await
            .expect("written")
    );

    assert_eq!(place.engine.insights.project().await.expect("projected"), 1);
    assert_eq!(place.set_aside().await, [], "a second start is allowed");
    place.home.end().await;
}

pub(crate) async fn a_large_event_in_small_parts_is_set_aside_and_delivered(database: Database) {
    let place = Place::new(2, &database).await;
    let hook = place.hook(|hook| hook).await;
    let nests = vec![format!("{}{}", "[".repeat(100), "]".repeat(100)); 20_000].join(",");
    let body = format!(r#"{{"object_kind":"push","ref":"refs/heads/main","x":[{nests}]}}"#);
    let event = place.push(body.as_bytes()).await;

    place.engine.insights.project().await.expect("projected");

    let set_aside = place.set_aside().await;
    assert_eq!(set_aside.len(), 1);
    assert!(set_aside[0].1.contains("too many parts"), "{set_aside:?}");
    place.engine.journal.fan_out().await.expect("fanned out");

    let filter = DeliveryFilter {
        event: Some(event),
        limit: 10,
        ..Default::default()
    };

    let deliveries = place
        .engine
        .context
        .store()
        .list_deliveries(filter)
        .await
        .expect("read")
        .rows;
    assert_eq!(
        deliveries.iter().map(|delivery| delivery.hook).collect::<Vec<_>>(),
        [hook]
    );

    place.home.end().await;
}

pub(crate) async fn a_filter_that_is_too_costly_skips_its_hook_with_a_reason(database: Database) {
    let place = Place::new(3, &database).await;
    let costly = place
        .hook(|hook| Hook {
            branch_filter: BranchFilter::parse("regex", Some("(?:a?){600}[^a]")).expect("small enough"),
            ..hook
        })
        .await;

    let filter = json!({ "field": "x", "matches": "[ab]*a[ab]{900}[^ab]" }).to_string();
    let filtered = place
        .hook(|hook| Hook {
            event_filter: Some(EventFilter::parse(&filter).expect("a filter")),
            ..hook
        })
        .await;

    let cheap = place
        .hook(|hook| Hook {
            branch_filter: BranchFilter::parse("regex", Some("^(?!main$)")).expect("legal"),
            ..hook
        })
        .await;

    let plain = place.hook(|hook| hook).await;

    let branch = "a".repeat(20_000);
    let body = json!({ "object_kind": "push", "ref": format!("refs/heads/{branch}"), "x": "ab".repeat(400_000) });
    let (body, store) = (body.to_string(), place.engine.context.store());
    let event = parts::push_to(&place.engine, place.project, &branch, body.as_bytes())
        .await
        .id();

    let gave_up = [
        (costly, SkipReason::BranchFilterGaveUp),
        (filtered, SkipReason::EventFilterGaveUp),
    ];
    assert_eq!(place.skips(event).await, gave_up);

    let filter = DeliveryFilter {
        event: Some(event),
        limit: 10,
        ..Default::default()
    };

    let mut owed: Vec<HookId> = store
        .list_deliveries(filter)
        .await
        .expect("read")
        .rows
        .iter()
        .map(|delivery| delivery.hook)
        .collect();

    owed.sort_unstable();
    assert_eq!(owed, [cheap, plain], "other hooks are not affected");
    place.home.end().await;
}

pub(crate) async fn filters_apply_to_events_that_are_fanned_out_later(database: Database) {
    let place = Place::new(4, &database).await;
    // Another node creates hooks, which the directory of this node does not have when the event arrives.
    let hook = parts::hook(Scope::Project(place.project), &place.clock);
    let filter = EventFilter::parse(r#"{"path":"docs/*"}"#).expect("a filter");
    let stopped = Hook {
        event_filter: Some(filter),
        ..hook.clone()
    };

    let store = place.engine.context.store();
    let stopped = store.create_hook(stopped, 100).await.expect("a hook").hook.id;
    let branches = BranchFilter::parse("regex", Some("^(?!main$)")).expect("legal");

    let other = store
        .create_hook(
            Hook {
                branch_filter: branches,
                uuid: place.clock.uuid(),
                ..hook
            },
            100,
        )
        .await
        .expect("a hook")
        .hook
        .id;

    let body = json!({
        "object_kind": "push", "ref": "refs/heads/main", "before": "a1", "after": "b2", "total_commits_count": 1,
        "commits": [{ "id": "b2", "added": ["src/x.rs"] }],
    });
    let event = place.push(body.to_string().as_bytes()).await;
    assert_eq!(place.skips(event).await, [], "no hook was considered at the append");
    place.engine.journal.fan_out().await.expect("fanned out");

    let reasons = [(stopped, SkipReason::EventFilter), (other, SkipReason::BranchFilter)];
    assert_eq!(place.skips(event).await, reasons);

    assert_eq!(
        place.engine.journal.fan_out().await.expect("fanned out"),
        0,
        "no event is left"
    );

    place.home.end().await;
}

pub(crate) async fn a_push_with_unlisted_commits_passes_a_path_filter_with_a_note(database: Database) {
    let place = Place::new(5, &database).await;
    let filter = EventFilter::parse(r#"{"path":"deploy/*"}"#).expect("a filter");

    let hook = place
        .hook(|hook| Hook {
            event_filter: Some(filter),
            ..hook
        })
        .await;

    let push = |count: u32| {
        let commits = [json!({ "id": "b2", "added": ["docs/x.md"] })];
        json!({ "object_kind": "push", "ref": "refs/heads/main", "before": "a1", "after": "b2",
            "total_commits_count": count, "commits": commits })
        .to_string()
    };
    let listed = place.push(push(1).as_bytes()).await;
    let unlisted = place.push(push(35).as_bytes()).await;

    assert_eq!(place.skips(listed).await, [(hook, SkipReason::EventFilter)]);
    assert_eq!(place.skips(unlisted).await, []);

    let (event, _) = place
        .engine
        .context
        .store()
        .find_event(unlisted)
        .await
        .expect("read")
        .expect("an event");

    assert_eq!(event.unlisted, [hook]);
    place.home.end().await;
}

pub(crate) async fn costly_filters_of_a_project_do_not_affect_hooks_of_its_group(database: Database) {
    let place = Place::new(6, &database).await;
    let store = place.engine.context.store();

    let group = store
        .find_project(Name::Id(place.project.0))
        .await
        .expect("read")
        .expect("a project")
        .group;

    let main = EventFilter::parse(r#"{"branch":"main"}"#).expect("a filter");
    let of_group = Hook {
        event_filter: Some(main),
        ..parts::hook(Scope::Group(group), &place.clock)
    };
    let of_group = store.create_hook(of_group, 100).await.expect("a hook").hook.id;
    let costly = EventFilter::parse(r#"{"field":"x","matches":"(?:a?){90}z"}"#).expect("a filter");

    for _ in 0..100 {
        let hook = Hook {
            event_filter: Some(costly.clone()),
            ..parts::hook(Scope::Project(place.project), &place.clock)
        };
        store.create_hook(hook, 1_000).await.expect("a hook");
    }

    place.engine.context.refresh_directory().await.expect("read");

    let body = json!({ "object_kind": "push", "ref": "refs/heads/main", "x": "a".repeat(30_000) }).to_string();
    let event = place.push(body.as_bytes()).await;

    assert_eq!(
        place.skips(event).await.len(),
        100,
        "the filters of the project give up"
    );

    let filter = DeliveryFilter {
        event: Some(event),
        limit: 10,
        ..Default::default()
    };
    let owed = store.list_deliveries(filter).await.expect("read").rows;
    assert_eq!(
        owed.iter().map(|delivery| delivery.hook).collect::<Vec<_>>(),
        [of_group]
    );

    place.home.end().await;
}

pub(crate) async fn a_large_event_is_read_by_one_node_at_a_time(database: Database) {
    let place = Place::new(7, &database).await;
    let body = json!({ "object_kind": "push", "ref": "refs/heads/main", "x": "x".repeat(100_000) }).to_string();
    let event = place.push(body.as_bytes()).await;
    let store = place.engine.context.store();
    let at = place.clock.now().as_micros();
    let begun = json!({ event.to_string(): { "times": 2, "node": "another", "at": at } })
        .to_string()
        .into_bytes();

    assert!(store.put_document(Document::Reading, 0, begun).await.expect("written"));
    assert_eq!(place.engine.insights.project().await.expect("projected"), 1);
    assert_eq!(place.set_aside().await, [], "the other node may still be reading it");
    assert_eq!(store.pending().await.expect("read").count, 1, "the event waits");
    place.home.end().await;
}
