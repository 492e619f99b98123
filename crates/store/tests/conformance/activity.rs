//! Checks of the activity of hooks.

use quickdraw_domain::delivery::Stage;
use quickdraw_domain::outcome::Outcome;
use quickdraw_domain::scope::Place;
use quickdraw_domain::{HookId, Timestamp};
use quickdraw_store::activity::{ActivityOf, HookActivity};

use crate::fixture::{Fixture, NOON, at, event_at, to};

const OK: Outcome = Outcome::Delivered { status: 200 };
const FAILED: Outcome = Outcome::Failed {
    status: 503,
    retry_after: None,
};

async fn activity(fixture: &Fixture, hooks: &[HookId], since: Timestamp, attempts: usize) -> Vec<HookActivity> {
    let of = ActivityOf {
        hooks: hooks.to_vec(),
        since,
        attempts,
        deliveries: 3,
    };
    fixture.store.hook_activity(of).await.expect("read")
}

/// Owes an event to the hooks, and makes one attempt for each of them.
async fn call(fixture: &Fixture, hooks: &[HookId], outcome: Outcome, now: Timestamp) {
    fixture.owe(hooks, now).await;
    for claimed in fixture.claim(now).await {
        fixture.finish(&claimed, outcome, now).await;
    }
}

pub(crate) async fn the_calls_of_a_hook_are_those_since_a_time(fixture: Fixture) {
    let project = fixture.project("p").await;
    let (one, other) = (fixture.hook(project).await, fixture.hook(project).await);
    call(&fixture, &[one], OK, at(0)).await;
    call(&fixture, &[one], OK, at(10)).await;
    call(&fixture, &[one], FAILED, at(20)).await;
    call(&fixture, &[other], OK, at(5)).await;

    let found = activity(&fixture, &[other, one], at(10), 1000).await;
    assert_eq!(
        found.iter().map(|one| one.hook).collect::<Vec<_>>(),
        [other, one],
        "the order of the question"
    );

    let mut calls: Vec<_> = found[1].calls.iter().map(|call| (call.at, call.is_delivered)).collect();
    calls.sort_unstable();
    assert_eq!(calls, [(at(10), true), (at(20), false)]);
    assert!(!found[1].is_sampled);

    let last = found[1].last.as_ref().expect("an attempt");
    assert_eq!(
        (last.at, last.outcome.word(), last.status),
        (at(20), "failed", Some(503))
    );

    assert!(found[0].calls.is_empty());
    let last = found[0].last.as_ref().expect("an older attempt");
    assert_eq!((last.at, last.is_delivered()), (at(5), true));
}

pub(crate) async fn a_hook_with_many_attempts_shows_a_sample(fixture: Fixture) {
    let project = fixture.project("p").await;
    let hook = fixture.hook(project).await;
    for second in 0..60 {
        call(&fixture, &[hook], OK, at(second)).await;
    }

    let all = activity(&fixture, &[hook], NOON, 24 * 3).await.remove(0);
    assert_eq!((all.calls.len(), all.is_sampled), (60, false));

    let some = activity(&fixture, &[hook], NOON, 24).await.remove(0);
    assert!(some.is_sampled);
    assert!(some.calls.len() <= 24 && some.calls.len() >= 20, "{}", some.calls.len());

    let first_half = some.calls.iter().filter(|call| call.at < at(30)).count();
    assert!(
        (8..=12).contains(&first_half),
        "the sample covers all of the time: {first_half}"
    );
}

pub(crate) async fn open_deliveries_are_counted_with_the_oldest_and_the_next(fixture: Fixture) {
    let project = fixture.project("p").await;
    let (one, idle) = (fixture.hook(project).await, fixture.hook(project).await);
    let none = activity(&fixture, &[idle], NOON, 24).await.remove(0);
    assert_eq!((none.open, none.last), (Default::default(), None));

    call(&fixture, &[one], FAILED, at(0)).await;
    for second in 1..=2 {
        fixture.owe(&[one], at(second)).await;
    }

    let open = activity(&fixture, &[one, idle], NOON, 24).await.remove(0).open;
    assert_eq!((open.count, open.oldest, open.next_due), (3, Some(at(0)), Some(at(1))));

    for second in 3..=9 {
        fixture.owe(&[one], at(second)).await;
    }

    let open = activity(&fixture, &[one], NOON, 24).await.remove(0).open;
    assert_eq!(open.count, 1 + 3, "at most three of each state are counted");

    // Deliveries that are under way are open too.
    let claimed = fixture.claim(at(60)).await;
    assert!(!claimed.is_empty());
    let open = activity(&fixture, &[one], NOON, 24).await.remove(0).open;
    assert!(open.count >= 4 && open.oldest == Some(at(0)), "{open:?}");
}

pub(crate) async fn the_newest_calls_of_all_hooks_come_first(fixture: Fixture) {
    let project = fixture.project("p").await;
    let (one, other) = (fixture.hook(project).await, fixture.hook(project).await);
    call(&fixture, &[one], OK, at(0)).await;
    call(&fixture, &[other], OK, at(10)).await;
    call(&fixture, &[one], FAILED, at(20)).await;

    let store = &fixture.store;
    let calls = |since, most| async move {
        let calls = store.recent_calls(since, most).await.expect("read");
        calls
            .iter()
            .map(|call| (call.at, call.is_delivered))
            .collect::<Vec<_>>()
    };
    let (all, one) = (calls(at(5), 10), calls(at(5), 1));
    assert_eq!(all.await, [(at(20), false), (at(10), true)]);
    assert_eq!(one.await, [(at(20), false)]);
}

/// Owes an event of this time to the hooks.
async fn owe_event_of(fixture: &Fixture, hooks: &[HookId], time: Timestamp) {
    let new = event_at(Place::Instance, b"{}", time);
    fixture.store.append_events(vec![new]).await.expect("appended");
    fixture.fan_out(time, to(hooks)).await;
}

pub(crate) async fn open_deliveries_have_the_time_of_their_event(fixture: Fixture) {
    let project = fixture.project("p").await;
    let (one, other) = (fixture.hook(project).await, fixture.hook(project).await);
    for (second, outcome) in [(0, OK), (1, FAILED)] {
        owe_event_of(&fixture, &[one], at(second)).await;
        for claimed in fixture.claim(at(second)).await {
            fixture.finish(&claimed, outcome, at(second)).await;
        }
    }

    owe_event_of(&fixture, &[one, other], at(2)).await;
    owe_event_of(&fixture, &[one], at(3)).await;

    let store = &fixture.store;
    let open = |most| async move {
        let open = store.open_deliveries(one, most).await.expect("read");
        let mut open: Vec<_> = open.iter().map(|open| (open.event_at, open.stage)).collect();
        open.sort_by_key(|(at, _)| *at);
        open
    };
    let all = [
        (at(1), Stage::Retrying),
        (at(2), Stage::Waiting),
        (at(3), Stage::Waiting),
    ];
    assert_eq!(open(10).await, all);
    assert_eq!(open(1).await, all[..2], "the first due one of each state");

    assert!(!fixture.claim(at(4)).await.is_empty());
    assert_eq!(open(10).await.len(), 3, "deliveries that are under way are open too");
}
