//! Checks of ordering queues: deliveries of one hook about one object are attempted one after the other.

use std::sync::Arc;

use quickdraw_domain::audience::SkipReason;
use quickdraw_domain::delivery::{Stage, State};
use quickdraw_domain::outcome::Outcome;
use quickdraw_domain::replay::Filter;
use quickdraw_domain::scope::{Place, Scope};
use quickdraw_domain::{DeliveryId, EventId, HookId, ObjectKey, Timestamp};
use quickdraw_store::deliveries::{Claimed, DeliveryFilter, Held, OrderingQueue};
use quickdraw_store::events::{Decide, Decided, FannedOut, Holds, NewEvent};
use quickdraw_store::replays::{NewReplay, Step};
use uuid::Uuid;

use crate::fixture::{Fixture, NOON, at, event_at};

const OK: Outcome = Outcome::Delivered { status: 200 };
const FAILED: Outcome = Outcome::Failed {
    status: 503,
    retry_after: None,
};
const GONE: Outcome = Outcome::Rejected {
    status: 410,
    retry_after: None,
};
const A: ObjectKey = ObjectKey(-7);
const B: ObjectKey = ObjectKey(7);

fn about(object: ObjectKey, now: Timestamp) -> NewEvent {
    let mut new = event_at(Place::Instance, b"{}", now);
    (new.event.object, new.event.chain) = (Some(object), None);
    new
}

fn in_order(hook: HookId) -> FannedOut {
    FannedOut {
        deliver: vec![hook],
        in_order: vec![hook],
        skip: Vec::new(),
    }
}

/// Appends events that are decided at once, as the engine usually does.
async fn report(fixture: &Fixture, hook: HookId, objects: &[(ObjectKey, u64)]) -> Vec<EventId> {
    let version = fixture.store.directory_version().await.expect("a version");
    let decided = |second| Decided {
        holds: Holds::AtVersion(version),
        audience: in_order(hook),
        taken: Vec::new(),
        lease_until: at(second),
        now: at(second),
    };
    let new = |(object, second): &(ObjectKey, u64)| NewEvent {
        decided: Some(decided(*second)),
        ..about(*object, at(*second))
    };

    let appended = fixture
        .store
        .append_events(objects.iter().map(new).collect())
        .await
        .expect("appended");
    appended.iter().map(|one| one.id()).collect()
}

/// Claims deliveries, after the ordering queues have advanced.
async fn next(fixture: &Fixture, now: Timestamp) -> Vec<Claimed> {
    let (lines, more) = fixture.store.blocked_queues_after(None, 100).await.expect("listed");
    assert_eq!(more, None);
    fixture.store.advance(lines, now).await.expect("moved up");

    let mut claimed = fixture.claim(now).await;
    claimed.sort_by_key(|claimed| claimed.event.id);
    claimed
}

fn events(claimed: &[Claimed]) -> Vec<EventId> {
    claimed.iter().map(|claimed| claimed.event.id).collect()
}

async fn state(fixture: &Fixture, event: EventId, hook: HookId) -> &'static str {
    let id = DeliveryId::of(event, hook);
    fixture
        .store
        .find_delivery(id)
        .await
        .expect("read")
        .expect("the delivery exists")
        .state
        .word()
}

pub(crate) async fn a_failing_head_blocks_only_its_own_queue(fixture: Fixture) {
    let store = &fixture.store;
    let hook = fixture.hook(fixture.project("p").await).await;
    let made = report(&fixture, hook, &[(A, 0), (A, 1), (B, 2), (A, 3), (B, 4)]).await;
    let [a1, a2, b1, a3, b2] = made[..] else {
        panic!("five events")
    };

    assert!(
        fixture.claim(at(5)).await.is_empty(),
        "all deliveries are blocked at first"
    );

    let blocked = DeliveryFilter {
        state: Some(Stage::Blocked),
        limit: 10,
        ..DeliveryFilter::default()
    };
    assert_eq!(
        store.list_deliveries(blocked.clone()).await.expect("listed").rows.len(),
        5
    );

    let heads = next(&fixture, at(5)).await;
    assert_eq!(events(&heads), [a1, b1]);
    assert_eq!(heads[0].queue, Some(OrderingQueue { hook, object: A }));

    assert!(
        next(&fixture, at(5)).await.is_empty(),
        "no delivery advances while the heads are being attempted"
    );

    fixture.finish(&heads[0], FAILED, at(6)).await;
    fixture.finish(&heads[1], OK, at(6)).await;

    let second = next(&fixture, at(6)).await;
    assert_eq!(
        events(&second),
        [b2],
        "the head of A waits for its next attempt, and so does its queue"
    );

    assert_eq!(
        (state(&fixture, a1, hook).await, state(&fixture, a2, hook).await),
        ("retrying", "blocked")
    );

    let again = next(&fixture, at(3600)).await;
    assert_eq!(events(&again), [a1]);
    fixture.finish(&again[0], GONE, at(3601)).await;

    let third = next(&fixture, at(3601)).await;
    assert_eq!(
        events(&third),
        [a2],
        "a delivery that failed for good unblocks the next one"
    );

    fixture.finish(&third[0], OK, at(3602)).await;

    let last = next(&fixture, at(3602)).await;
    assert_eq!(events(&last), [a3]);
    assert_eq!(store.list_deliveries(blocked).await.expect("listed").rows.len(), 0);

    assert_eq!(
        store.blocked_queues_after(None, 10).await.expect("listed"),
        (vec![], None)
    );

    assert!(
        store.backlog().await.expect("counted").deliveries == 2,
        "b2 and a3 are being attempted"
    );
}

pub(crate) async fn a_blocked_delivery_can_be_sent_manually_and_keeps_its_place(fixture: Fixture) {
    let store = &fixture.store;
    let hook = fixture.hook(fixture.project("p").await).await;
    let made = report(&fixture, hook, &[(A, 0), (A, 1), (A, 2)]).await;
    let head = next(&fixture, at(3)).await.remove(0);

    let manually = async |event, outcome| {
        let id = DeliveryId::of(event, hook);
        let leased = store
            .lease_delivery(id, at(60))
            .await
            .expect("leased")
            .expect("the delivery is not leased");
        assert_eq!(leased.queue, Some(OrderingQueue { hook, object: A }));
        fixture.finish(&leased, outcome, at(4)).await;
    };
    manually(made[1], FAILED).await;
    assert_eq!(state(&fixture, made[1], hook).await, "blocked");
    manually(made[2], OK).await;
    assert_eq!(state(&fixture, made[2], hook).await, "delivered");
    fixture.finish(&head, OK, at(5)).await;

    let second = next(&fixture, at(5)).await;
    assert_eq!((events(&second), second[0].tally.attempts), (vec![made[1]], 1));
    fixture.finish(&second[0], OK, at(6)).await;
    assert!(next(&fixture, at(7)).await.is_empty());
}

pub(crate) async fn no_delivery_advances_before_older_events_are_fanned_out(fixture: Fixture) {
    let store = &fixture.store;
    let hook = fixture.hook(fixture.project("p").await).await;
    let first = store.append_events(vec![about(A, at(0))]).await.expect("appended")[0].id();
    let second = report(&fixture, hook, &[(A, 1)]).await[0];

    assert!(
        next(&fixture, at(2)).await.is_empty(),
        "the first event may come before it"
    );

    let decide: Decide = Arc::new(move |_, _| Some(in_order(hook)));
    fixture.fan_out(at(3), decide).await;

    let head = next(&fixture, at(3)).await;
    assert_eq!(events(&head), [first], "in the order of the events");
    fixture.finish(&head[0], OK, at(4)).await;
    assert_eq!(events(&next(&fixture, at(4)).await), [second]);
}

pub(crate) async fn blocked_deliveries_are_held_within_the_budget_and_replayed_in_order(fixture: Fixture) {
    let store = &fixture.store;
    let hook = fixture.hook(fixture.project("p").await).await;
    // Four failures disable the hook.
    for _ in 0..4 {
        fixture.owe(&[hook], NOON).await;
    }

    for claimed in fixture.claim(NOON).await {
        fixture.finish(&claimed, GONE, NOON).await;
    }

    let made = report(&fixture, hook, &[(A, 10), (A, 20), (A, 30), (A, 40), (A, 50)]).await;
    store
        .advance(vec![OrderingQueue { hook, object: A }], at(51))
        .await
        .expect("moved up");

    let drop = async |older_than, most| {
        let held = Held {
            older_than,
            most,
            reason: SkipReason::HoldBudget,
        };
        store.drop_held(hook, held, at(60), 100).await.expect("dropped")
    };
    assert_eq!(drop(at(5), 10).await, 0);

    assert_eq!(
        drop(at(25), 10).await,
        1,
        "the head waits since it advanced; only a blocked delivery is too old"
    );

    assert_eq!(drop(at(25), 2).await, 1, "by number of deliveries");
    assert_eq!(drop(at(5), 0).await, 3, "a budget of 0 holds nothing");

    let mut states = Vec::new();
    for event in &made {
        states.push(state(&fixture, *event, hook).await);
    }

    assert_eq!(states, ["given_up"; 5]);

    // A replay puts ended deliveries back into their queue, in the order of events and before those that wait.
    let late = report(&fixture, hook, &[(A, 60)]).await;
    let new = NewReplay {
        scope: Scope::Instance,
        filter: Filter::default(),
        rate: 50,
        created_by: "ida".to_owned(),
    };
    let replay = store.create_replay(new, at(61)).await.expect("made");

    let step = Step {
        replay: replay.id,
        from: replay.cursor,
        to: DeliveryId(Uuid::max()),
        scanned: 2,
        selected: [4, 2, 1, 3].map(|at| DeliveryId::of(made[at], hook)).to_vec(),
        made: Vec::new(),
        finished: false,
    };
    assert_eq!(store.advance_replay(step, at(62)).await.expect("advanced"), 4);

    for event in made[1..].iter().chain(&late) {
        let head = next(&fixture, at(100)).await;
        assert_eq!(events(&head), [*event]);

        assert_eq!(
            fixture.finish(&head[0], OK, at(100)).await.state,
            Some(State::Delivered)
        );
    }

    assert!(next(&fixture, at(100)).await.is_empty());
}

pub(crate) async fn listing_queues_continues_where_it_ended(fixture: Fixture) {
    let store = &fixture.store;
    let hook = fixture.hook(fixture.project("p").await).await;
    let objects: Vec<(ObjectKey, u64)> = (0..5).map(|number| (ObjectKey(number - 2), 0)).collect();

    report(&fixture, hook, &objects).await;

    let line = |number: i64| OrderingQueue {
        hook,
        object: ObjectKey(number),
    };
    store.advance(vec![line(-1)], at(1)).await.expect("moved up");

    let first = store.blocked_queues_after(None, 3).await.expect("listed");
    assert_eq!(
        first,
        (vec![line(-2), line(0)], Some(line(0))),
        "one of three queues has a head that is due"
    );

    let rest = store.blocked_queues_after(first.1, 3).await.expect("listed");
    assert_eq!(rest, (vec![line(1), line(2)], None));
}

/// Two nodes that advance one queue at the same time must not choose different heads.
pub(crate) async fn two_nodes_advance_a_queue_one_after_the_other(server: String) {
    let fixture = Fixture::open(Some(server)).await;
    let hook = fixture.hook(fixture.project("p").await).await;
    let (client, driver) = tokio_postgres::connect(&fixture.url, tokio_postgres::NoTls)
        .await
        .expect("connected");

    tokio::spawn(driver);

    // Another node holds the lock.
    client
        .batch_execute("BEGIN; SELECT pg_advisory_xact_lock(465625310579)")
        .await
        .expect("locked");

    let older = about(A, at(0));
    let younger = report(&fixture, hook, &[(A, 1)]).await[0];
    let store = fixture.store.clone();
    let moving = tokio::spawn(async move { store.advance(vec![OrderingQueue { hook, object: A }], at(2)).await });

    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert!(!moving.is_finished(), "the call waits for the other node");

    let first = older.event.id;
    let version = fixture.store.directory_version().await.expect("a version");
    let audience = in_order(hook);

    let decided = Decided {
        holds: Holds::AtVersion(version),
        audience,
        taken: Vec::new(),
        lease_until: at(2),
        now: at(2),
    };

    fixture
        .store
        .append_events(vec![NewEvent {
            decided: Some(decided),
            ..older
        }])
        .await
        .expect("appended");

    client.batch_execute("COMMIT").await.expect("committed");
    moving.await.expect("no panic").expect("moved up");

    assert_eq!(
        (state(&fixture, first, hook).await, state(&fixture, younger, hook).await),
        ("waiting", "blocked")
    );

    fixture.close().await;
}
