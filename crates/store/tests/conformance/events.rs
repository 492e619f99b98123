//! Checks of the journal.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use quickdraw_domain::audience::SkipReason;
use quickdraw_domain::delivery::State;
use quickdraw_domain::event::{DedupeKey, Origin};
use quickdraw_domain::outcome::Outcome;
use quickdraw_domain::recursion::{Stop, begun_by};
use quickdraw_domain::scope::Place;
use quickdraw_domain::{DeliveryId, HookId, ProjectId, SourceId, Trigger};
use quickdraw_store::deliveries::{Claimed, DeliveryFilter};
use quickdraw_store::events::{Appended, Decide, Decided, EventFilter, FannedOut, Holds, NewEvent};
use quickdraw_store::lists::MAX_SCANNED;
use uuid::Uuid;

use crate::fixture::{Fixture, NOON, at, event, event_at, keyed, policies, to};

pub(crate) async fn an_appended_event_comes_back_byte_for_byte(fixture: Fixture) {
    let bodies: [&[u8]; 4] = [
        b"{}",
        b"{\"m\":\"a\\u0000b\\ud800\"}",
        "{\"text\":\"héllo\"}".as_bytes(),
        &[0, 255, 7],
    ];

    for body in bodies {
        for place in [Place::Project(ProjectId(3)), Place::Instance, Place::Elsewhere] {
            let new = event(place, body);
            let id = fixture.store.append_events(vec![new.clone()]).await.expect("appended")[0].id();

            let (found, payload) = fixture
                .store
                .find_event(id)
                .await
                .expect("read")
                .expect("the event exists");

            assert_eq!(found, new.event);
            assert_eq!(payload.unpack().expect("unpacked"), body);
        }
    }
}

pub(crate) async fn a_repeated_key_returns_the_first_event(fixture: Fixture) {
    let source = Origin::Source(SourceId(1));
    let first = keyed(source, "k1");
    let id = first.event.id;
    assert_eq!(
        fixture.store.append_events(vec![first]).await.expect("appended"),
        [Appended::New { id, fence: None }]
    );

    let batch = vec![keyed(source, "k1"), keyed(source, "k2"), keyed(source, "k2")];
    let second = batch[1].event.id;
    let answers = fixture.store.append_events(batch).await.expect("appended");

    assert_eq!(
        answers,
        [
            Appended::Duplicate(id),
            Appended::New {
                id: second,
                fence: None
            },
            Appended::Duplicate(second)
        ]
    );

    let all = fixture
        .store
        .list_events(EventFilter {
            limit: 10,
            ..EventFilter::default()
        })
        .await
        .expect("listed");
    assert_eq!((all.rows.len(), all.next), (2, None));

    if fixture.is_sqlite() {
        // SQLite keeps recent keys in memory and reads them again at the start.
        fixture.store.close().await;

        let reopened = loop_open(&fixture).await;
        let answers = reopened
            .append_events(vec![keyed(source, "k1")])
            .await
            .expect("appended");
        assert_eq!(answers, [Appended::Duplicate(id)]);
        reopened.close().await;
    }
}

async fn loop_open(fixture: &Fixture) -> quickdraw_store::SharedStore {
    // A copy of the file, because the fixture still locks the original.
    let copy = fixture.folder().join("copy.db");
    std::fs::copy(fixture.folder().join("store.db"), &copy).expect("copied");

    let wal = fixture.folder().join("store.db-wal");
    if wal.exists() {
        std::fs::copy(wal, fixture.folder().join("copy.db-wal")).expect("copied");
    }

    quickdraw_store::open(&format!("sqlite:{}", copy.display()), crate::fixture::ring(1))
        .await
        .expect("the copy opens")
}

pub(crate) async fn keys_of_different_sources_are_independent(fixture: Fixture) {
    let sources = [Origin::Api, Origin::Source(SourceId(1)), Origin::Source(SourceId(2))];
    let answers = fixture
        .store
        .append_events(sources.map(|source| keyed(source, "same")).to_vec())
        .await;

    assert!(
        answers
            .expect("appended")
            .iter()
            .all(|answer| matches!(answer, Appended::New { .. }))
    );

    let mut elsewhere = keyed(Origin::Api, "same");
    elsewhere.dedupe.as_mut().expect("it has a key").place = Place::Project(ProjectId(2));

    let answers = fixture.store.append_events(vec![elsewhere]).await.expect("appended");
    assert!(
        matches!(answers[0], Appended::New { .. }),
        "keys of different projects are independent"
    );
}

pub(crate) async fn a_received_key_is_recognised_under_any_project(fixture: Fixture) {
    let store = &fixture.store;
    let source = Origin::Source(SourceId(2));
    let key = |place| DedupeKey::new(source, place, "project 7\none".to_owned());
    let mut first = event(Place::Project(ProjectId(1)), b"{}");

    first.event.origin = source;
    first.dedupe = Some(key(first.event.place));

    let first = store.append_events(vec![first]).await.expect("appended")[0].id();
    // The same request with another instance in its header belongs to another project.
    let mut again = event(Place::Project(ProjectId(2)), b"{}");
    again.event.origin = source;
    again.dedupe = Some(key(again.event.place));

    assert_eq!(
        store.find_key(key(again.event.place)).await.expect("looked"),
        Some(first)
    );

    assert_eq!(
        store.append_events(vec![again]).await.expect("appended"),
        [Appended::Duplicate(first)]
    );

    let other = DedupeKey::new(source, Place::Elsewhere, "project 8\none".to_owned());
    assert_eq!(store.find_key(other).await.expect("looked"), None);
}

fn decided(version: i64, deliver: &[HookId], taken: &[HookId]) -> Decided {
    let audience = FannedOut {
        deliver: deliver.to_vec(),
        in_order: Vec::new(),
        skip: vec![(HookId(9), SkipReason::BranchFilter)],
    };

    Decided {
        holds: Holds::AtVersion(version),
        audience,
        taken: taken.to_vec(),
        lease_until: NOON.plus(Duration::from_secs(30)),
        now: NOON,
    }
}

pub(crate) async fn a_decided_event_is_queued_only_if_the_directory_changed(fixture: Fixture) {
    let version = fixture.store.directory_version().await.expect("a version");
    let mut new = event(Place::Instance, b"{}");
    new.decided = Some(decided(version, &[HookId(5)], &[]));

    let mut outdated = event(Place::Instance, b"{}");
    outdated.decided = Some(decided(version - 1, &[HookId(6)], &[HookId(6)]));

    let (new_id, outdated_id) = (new.event.id, outdated.event.id);
    let answers = fixture
        .store
        .append_events(vec![new, outdated])
        .await
        .expect("appended");
    let fences: Vec<bool> = answers
        .iter()
        .map(|answer| matches!(answer, Appended::New { fence: Some(_), .. }))
        .collect();

    assert_eq!(fences, [true, false]);

    let of = |event| DeliveryFilter {
        event: Some(event),
        limit: 10,
        ..DeliveryFilter::default()
    };
    let made = fixture.store.list_deliveries(of(new_id)).await.expect("listed").rows;
    assert_eq!(made.iter().map(|one| one.hook).collect::<Vec<_>>(), [HookId(5)]);

    assert_eq!(
        fixture.store.list_skips(new_id).await.expect("listed"),
        [(HookId(9), SkipReason::BranchFilter)]
    );

    assert!(
        fixture
            .store
            .list_deliveries(of(outdated_id))
            .await
            .expect("listed")
            .rows
            .is_empty()
    );

    assert!(fixture.store.list_skips(outdated_id).await.expect("listed").is_empty());

    let count = fixture.fan_out(NOON, to(&[])).await;
    assert_eq!(count.events, 1);
}

pub(crate) async fn a_delivery_claimed_at_the_append_is_leased_and_settles_under_its_fence(fixture: Fixture) {
    let project = fixture.project("p").await;
    let hooks = [fixture.hook(project).await, fixture.hook(project).await];
    let version = fixture.store.directory_version().await.expect("a version");
    let mut new = keyed(Origin::Api, "taken");

    new.decided = Some(decided(version, &hooks, &hooks[..1]));

    let (event, again) = (new.event.id, new.clone());
    let answers = fixture.store.append_events(vec![new]).await.expect("appended");
    let [Appended::New { fence: Some(fence), .. }] = answers[..] else {
        panic!("{answers:?}")
    };

    // A repeated append creates no second delivery.
    let answers = fixture.store.append_events(vec![again]).await.expect("appended");
    assert_eq!(answers, [Appended::Duplicate(event)]);

    let left = fixture.claim(NOON).await;
    assert_eq!(
        left.iter().map(|one| one.hook).collect::<Vec<_>>(),
        [hooks[1]],
        "the other delivery is leased"
    );

    let mine = Claimed {
        delivery: DeliveryId::of(event, hooks[0]),
        hook: hooks[0],
        fence,
        ..left[0].clone()
    };
    let wrong = Claimed {
        fence: fence + 7,
        ..mine.clone()
    };

    for (claimed, state) in [(wrong, None), (mine, Some(State::Delivered))] {
        assert_eq!(
            fixture
                .finish(&claimed, Outcome::Delivered { status: 200 }, NOON)
                .await
                .state,
            state
        );
    }
}

pub(crate) async fn a_delivery_claimed_by_a_dead_node_is_rescheduled(fixture: Fixture) {
    let project = fixture.project("p").await;
    let hook = fixture.hook(project).await;
    let version = fixture.store.directory_version().await.expect("a version");
    let mut new = event(Place::Instance, b"{}");

    new.decided = Some(decided(version, &[hook], &[hook]));
    fixture.store.append_events(vec![new]).await.expect("appended");
    assert!(fixture.claim(NOON).await.is_empty());

    assert_eq!(
        fixture.store.expire_leases(at(31), policies()).await.expect("expired"),
        1
    );

    let claimed = fixture.claim(at(31)).await;
    assert_eq!(
        claimed
            .iter()
            .map(|one| (one.hook, one.tally.unknown))
            .collect::<Vec<_>>(),
        [(hook, 1)]
    );
}

pub(crate) async fn a_fan_out_runs_once_for_each_event_and_hook(fixture: Fixture) {
    let hooks = [HookId(5), HookId(6)];
    let new = event(Place::Instance, b"{}");
    let id = new.event.id;

    fixture.store.append_events(vec![new]).await.expect("appended");

    let count = fixture.fan_out(NOON, to(&hooks)).await;
    assert_eq!((count.events, count.deliveries), (1, 2));

    let again = fixture.fan_out(NOON, to(&hooks)).await;
    assert_eq!((again.events, again.deliveries), (0, 0));

    let filter = DeliveryFilter {
        event: Some(id),
        limit: 10,
        ..DeliveryFilter::default()
    };
    let made = fixture.store.list_deliveries(filter).await.expect("listed").rows;
    let ids: HashSet<DeliveryId> = made.iter().map(|delivery| delivery.id).collect();

    assert_eq!(ids, hooks.iter().map(|hook| DeliveryId::of(id, *hook)).collect());
    assert!(
        made.iter()
            .all(|delivery| delivery.state.word() == "waiting" && delivery.event == id)
    );
}

pub(crate) async fn a_fan_out_with_an_outdated_directory_does_nothing(fixture: Fixture) {
    fixture
        .store
        .append_events(vec![event(Place::Instance, b"{}")])
        .await
        .expect("appended");

    let version = fixture.store.directory_version().await.expect("a version");
    let count = fixture
        .store
        .fan_out(10, NOON, version - 1, to(&[HookId(5)]))
        .await
        .expect("looked");
    assert!(count.outdated && count.events == 0);
    assert_eq!(fixture.fan_out(NOON, to(&[HookId(5)])).await.deliveries, 1);
}

pub(crate) async fn skips_are_stored_with_their_reason(fixture: Fixture) {
    let new = event(Place::Instance, b"{}");
    let id = new.event.id;
    fixture.store.append_events(vec![new]).await.expect("appended");

    let skip = vec![(HookId(7), SkipReason::BranchFilter), (HookId(8), SkipReason::TooYoung)];
    let decision = FannedOut {
        skip: skip.clone(),
        ..FannedOut::default()
    };
    fixture
        .fan_out(NOON, Arc::new(move |_, _| Some(decision.clone())))
        .await;
    assert_eq!(fixture.store.list_skips(id).await.expect("listed"), skip);
}

pub(crate) async fn chains_remember_the_hooks_that_fired(fixture: Fixture) {
    let chain = Uuid::from_u128(77);
    let continued = || {
        let mut new = event(Place::Instance, b"{}");
        new.event.chain = Some(chain);
        new
    };

    const REPEATED: Stop = Stop::Repeated;
    // One event is decided at its fan-out, and one at its append.
    fixture.store.append_events(vec![continued()]).await.expect("appended");
    fixture.fan_out(NOON, to(&[HookId(1)])).await;

    let version = fixture.store.directory_version().await.expect("a version");
    let new = NewEvent {
        decided: Some(decided(version, &[HookId(2)], &[])),
        ..continued()
    };
    fixture.store.append_events(vec![new.clone()]).await.expect("appended");

    let unknown = Uuid::from_u128(78);
    // A chain that begins with one of these deliveries.
    let begun = begun_by(DeliveryId::of(new.event.id, HookId(2)));

    let chains = fixture
        .store
        .chains(vec![chain, unknown, begun], at(5))
        .await
        .expect("read");
    let stops = |chain: &Uuid, hook: i64| chains[chain].stops(HookId(hook));
    assert_eq!(
        (stops(&chain, 1), stops(&chain, 2), stops(&chain, 3)),
        (Some(REPEATED), Some(REPEATED), None)
    );

    assert_eq!(
        (stops(&begun, 1), stops(&begun, 2), stops(&unknown, 1)),
        (None, Some(REPEATED), None)
    );

    let seen = Arc::new(Mutex::new(None));
    let inner = seen.clone();
    fixture.store.append_events(vec![continued()]).await.expect("appended");

    let look: Decide = Arc::new(move |_, chain| {
        *inner.lock().expect("no panic") = chain.stops(HookId(1));
        Some(FannedOut::default())
    });

    fixture.fan_out(NOON, look).await;
    assert_eq!(
        *seen.lock().expect("no panic"),
        Some(REPEATED),
        "the fan-out gets the same chain"
    );

    assert_eq!(fixture.store.forget_chains(NOON, 10).await.expect("deleted"), 0);
    assert_eq!(fixture.store.forget_chains(at(1), 1).await.expect("deleted"), 1);
    assert_eq!(fixture.store.forget_chains(at(1), 10).await.expect("deleted"), 1);

    let later = fixture
        .store
        .chains(vec![chain, begun], at(31 * 60))
        .await
        .expect("read");
    assert!(
        later.values().all(|chain| chain.stops(HookId(2)).is_none()),
        "a chain ends after half an hour"
    );
}

pub(crate) async fn many_callers_share_commits_and_lose_nothing(fixture: Fixture) {
    let append = |n: usize| {
        let store = fixture.store.clone();
        async move {
            let new = keyed(Origin::Api, &format!("key {}", n % 150));
            store.append_events(vec![new]).await.expect("appended")[0]
        }
    };
    let answers = join_all((0..200).map(append)).await;
    let new = answers
        .iter()
        .filter(|answer| matches!(answer, Appended::New { .. }))
        .count();
    assert_eq!(new, 150);

    for answer in answers {
        assert!(fixture.store.find_event(answer.id()).await.expect("read").is_some());
    }
}

pub(crate) async fn events_are_listed_page_by_page(fixture: Fixture) {
    let mut ids = Vec::new();
    for n in 0..5_u64 {
        let mut new = event_at(Place::Project(ProjectId(n.cast_signed() % 2)), b"{}", at(n));
        new.event.trigger = if n == 4 { Trigger::TAG_PUSH } else { Trigger::PUSH };
        ids.push(fixture.store.append_events(vec![new]).await.expect("appended")[0].id());
    }

    ids.reverse();

    let list = |filter| {
        let store = fixture.store.clone();
        async move {
            let events = store.list_events(filter).await.expect("listed").rows;
            events.into_iter().map(|event| event.id).collect::<Vec<_>>()
        }
    };

    let first = list(EventFilter {
        limit: 2,
        ..EventFilter::default()
    })
    .await;
    assert_eq!(first, ids[..2]);

    let rest = list(EventFilter {
        before: Some(first[1]),
        limit: 9,
        ..EventFilter::default()
    })
    .await;
    assert_eq!(rest, ids[2..]);

    let of_one = list(EventFilter {
        project: Some(ProjectId(1)),
        limit: 9,
        ..EventFilter::default()
    })
    .await;
    assert_eq!(of_one, [ids[1], ids[3]]);

    let tags = list(EventFilter {
        trigger: Some(Trigger::TAG_PUSH),
        limit: 9,
        ..EventFilter::default()
    })
    .await;
    assert_eq!(tags, ids[..1]);
}

pub(crate) async fn a_rare_kind_is_searched_in_steps(fixture: Fixture) {
    let store = &fixture.store;
    let mut rare = event_at(Place::Elsewhere, b"{}", at(0));
    rare.event.trigger = Trigger::TAG_PUSH;

    let rare = store.append_events(vec![rare]).await.expect("appended")[0].id();
    for _ in 0..=MAX_SCANNED / 1000 {
        let batch = (0..1000).map(|_| event_at(Place::Elsewhere, b"{}", at(1))).collect();
        store.append_events(batch).await.expect("appended");
    }

    let mut filter = EventFilter {
        trigger: Some(Trigger::TAG_PUSH),
        limit: 2,
        ..EventFilter::default()
    };
    let first = store.list_events(filter.clone()).await.expect("listed");
    assert!(
        first.rows.is_empty() && first.next.is_some(),
        "the first step finds nothing and continues"
    );

    filter.before = first.next;

    let second = store.list_events(filter).await.expect("listed");
    assert_eq!((second.rows.len(), second.rows[0].id, second.next), (1, rare, None));
}

pub(crate) async fn pruning_deletes_old_events_and_keeps_owed_ones(fixture: Fixture) {
    let project = fixture.project("pruned").await;
    let hook = fixture.hook(project).await;
    let done = fixture.owe(&[hook], NOON).await;
    let claimed = fixture.claim(NOON).await;

    fixture
        .finish(&claimed[0], Outcome::Delivered { status: 200 }, NOON)
        .await;

    let owed = fixture.owe(&[hook], NOON).await;
    let waiting = fixture
        .store
        .append_events(vec![event(Place::Instance, b"{}")])
        .await
        .expect("appended")[0]
        .id();

    // PostgreSQL drops whole days, so the time is after the end of the day.
    let later = at(3 * 86_400);
    fixture.store.prune(later, 100).await.expect("pruned");
    fixture.store.prune(later, 100).await.expect("pruned");

    let there = |id| {
        let store = fixture.store.clone();
        async move { store.find_event(id).await.expect("read").is_some() }
    };
    assert!(there(owed).await, "an owed delivery keeps its event");
    assert!(there(waiting).await, "an event that waits for its fan-out stays");

    // PostgreSQL drops a day as a whole, so there the delivered event stays beside the owed one.
    assert_eq!(there(done).await, !fixture.is_sqlite());

    let claimed = fixture.claim(NOON).await;
    fixture
        .finish(&claimed[0], Outcome::Delivered { status: 200 }, NOON)
        .await;
    fixture.fan_out(NOON, to(&[])).await;

    for _ in 0..3 {
        fixture.store.prune(later, 100).await.expect("pruned");
    }

    for id in [done, owed, waiting] {
        assert!(!there(id).await);
    }
}
