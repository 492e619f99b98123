//! Checks of claims, leases and settling.

use std::time::Duration;

use quickdraw_domain::audience::SkipReason;
use quickdraw_domain::delivery::{State, Tally};
use quickdraw_domain::health::Status;
use quickdraw_domain::hook::Pause;
use quickdraw_domain::outcome::Outcome;
use quickdraw_domain::retry::OwnRetry;
use quickdraw_domain::scope::Scope;
use quickdraw_domain::{HookId, NodeId};
use quickdraw_store::attempts::AttemptFilter;
use quickdraw_store::deliveries::{DeliveryFilter, Finished, Held};
use uuid::Uuid;

use crate::fixture::{Fixture, NEW, NOON, at, claim, finished, policies};

const OK: Outcome = Outcome::Delivered { status: 200 };
const FAILED: Outcome = Outcome::Failed {
    status: 503,
    retry_after: None,
};

pub(crate) async fn a_claim_leases_and_a_second_claim_finds_nothing(fixture: Fixture) {
    let project = fixture.project("p").await;
    let hook = fixture.hook(project).await;
    let event = fixture.owe(&[hook], NOON).await;

    assert!(
        fixture.claim(NOON.minus(Duration::from_secs(1))).await.is_empty(),
        "the delivery is not due yet"
    );

    let claimed = fixture.claim(NOON).await;
    assert_eq!(claimed.len(), 1);

    assert_eq!(
        (claimed[0].event.id, claimed[0].hook, claimed[0].tally),
        (event, hook, NEW)
    );

    assert_eq!(
        claimed[0].payload.unpack().expect("unpacked"),
        &b"{\"object_kind\":\"push\"}"[..]
    );

    assert!(fixture.claim(NOON).await.is_empty());
}

pub(crate) async fn a_settle_needs_the_fence_of_its_claim(fixture: Fixture) {
    let project = fixture.project("p").await;
    let hook = fixture.hook(project).await;
    fixture.owe(&[hook], NOON).await;

    let first = fixture.claim(NOON).await.remove(0);
    fixture.store.expire_leases(at(31), policies()).await.expect("expired");

    let second = fixture.claim(at(31)).await.remove(0);
    assert_ne!(first.fence, second.fence);

    assert_eq!(
        fixture.finish(&first, OK, at(32)).await.state,
        None,
        "the lease of the first worker has lapsed"
    );

    assert_eq!(fixture.finish(&second, OK, at(32)).await.state, Some(State::Delivered));
    assert_eq!(
        fixture.finish(&second, OK, at(32)).await.state,
        None,
        "a second settle changes nothing"
    );

    let attempts = fixture
        .store
        .list_attempts(AttemptFilter {
            limit: 10,
            ..AttemptFilter::default()
        })
        .await;

    let outcomes: Vec<String> = attempts
        .expect("listed")
        .into_iter()
        .map(|attempt| attempt.outcome)
        .collect();

    assert_eq!(outcomes, ["delivered", "unknown"]);
}

pub(crate) async fn a_lapsed_lease_is_an_unknown_attempt_and_is_rescheduled(fixture: Fixture) {
    let project = fixture.project("p").await;
    let hook = fixture.hook(project).await;
    fixture.owe(&[hook], NOON).await;

    let claimed = fixture.claim(NOON).await.remove(0);
    assert_eq!(
        fixture.store.expire_leases(at(29), policies()).await.expect("looked"),
        0
    );

    assert_eq!(
        fixture.store.expire_leases(at(30), policies()).await.expect("expired"),
        1
    );

    let again = fixture.claim(at(30)).await.remove(0);
    assert_eq!(again.delivery, claimed.delivery, "the key on the wire stays the same");

    assert_eq!(
        again.tally,
        Tally {
            attempts: 1,
            unknown: 1
        }
    );

    let filter = AttemptFilter {
        delivery: Some(claimed.delivery),
        limit: 10,
        ..AttemptFilter::default()
    };
    let attempts = fixture.store.list_attempts(filter).await.expect("listed");
    assert_eq!(
        (attempts[0].outcome.as_str(), attempts[0].status, attempts[0].number),
        ("unknown", None, 1)
    );
}

pub(crate) async fn a_failure_is_rescheduled_and_a_success_ends_the_delivery(fixture: Fixture) {
    let project = fixture.project("p").await;
    let hook = fixture.hook(project).await;
    fixture.owe(&[hook], NOON).await;

    let claimed = fixture.claim(NOON).await.remove(0);
    let settled = fixture.finish(&claimed, FAILED, NOON).await;

    assert_eq!(
        settled.state,
        Some(State::Retrying { due_at: at(5) }),
        "half of the first pause of ten seconds"
    );

    assert!(fixture.claim(at(4)).await.is_empty());

    let again = fixture.claim(at(5)).await.remove(0);
    assert_eq!(again.tally.attempts, 1);
    fixture.finish(&again, OK, at(6)).await;

    let delivery = fixture
        .store
        .find_delivery(claimed.delivery)
        .await
        .expect("read")
        .expect("the delivery exists");
    assert_eq!(
        (delivery.state, delivery.tally.attempts, delivery.finished_at),
        (State::Delivered, 2, Some(at(6)))
    );

    assert!(fixture.claim(at(99)).await.is_empty());
}

pub(crate) async fn the_retry_policy_of_a_hook_applies(fixture: Fixture) {
    let project = fixture.project("p").await;
    let hook = fixture.hook(project).await;
    fixture.owe(&[hook], NOON).await;

    let claimed = fixture.claim(NOON).await.remove(0);
    let own = OwnRetry::parse(&["1h"]).expect("a policy");
    let fail = |claimed, now| Finished {
        retry: Some(own.policy()),
        ..finished(claimed, FAILED, now)
    };
    let settled = fixture
        .store
        .finish_attempts(vec![fail(&claimed, NOON)], NOON, policies())
        .await;

    let settled = settled.expect("settled");
    assert_eq!(
        settled[0].state,
        Some(State::Retrying { due_at: at(1800) }),
        "half of the only pause"
    );

    let again = fixture.claim(at(1800)).await.remove(0);
    let settled = fixture
        .store
        .finish_attempts(vec![fail(&again, at(1800))], at(1800), policies())
        .await;

    assert_eq!(
        settled.expect("settled")[0].state,
        Some(State::GivenUp),
        "the policy has two attempts"
    );
}

pub(crate) async fn four_failures_disable_a_hook_and_a_success_re_enables_it(fixture: Fixture) {
    let project = fixture.project("p").await;
    let hook = fixture.hook(project).await;
    for _ in 0..4 {
        fixture.owe(&[hook], NOON).await;
    }

    let claimed = fixture.claim(NOON).await;
    let batch = claimed.iter().map(|claimed| finished(claimed, FAILED, NOON)).collect();

    let settled = fixture
        .store
        .finish_attempts(batch, NOON, policies())
        .await
        .expect("settled");
    let health = settled[3].health;
    assert_eq!(health.status(NOON), Status::TemporarilyDisabled(at(60)));

    let scope = Scope::Project(project);
    let stored = fixture
        .store
        .find_hook(scope, hook)
        .await
        .expect("read")
        .expect("the hook exists");
    assert_eq!(stored.health, health);
    fixture.owe(&[hook], at(61)).await;

    let claimed = fixture.claim(at(61)).await;
    let first = claimed
        .iter()
        .find(|claimed| claimed.tally == NEW)
        .expect("the new one is due");
    fixture.finish(first, OK, at(61)).await;

    let healed = fixture
        .store
        .find_hook(scope, hook)
        .await
        .expect("read")
        .expect("the hook exists");
    assert_eq!(healed.health.status(at(61)), Status::Executable);
    assert_eq!(healed.health.recent_failures, 0);
}

pub(crate) async fn a_hook_without_permits_does_not_delay_another(fixture: Fixture) {
    let project = fixture.project("p").await;
    let (stuck, well, third) = (
        fixture.hook(project).await,
        fixture.hook(project).await,
        fixture.hook(project).await,
    );

    for _ in 0..30 {
        fixture.owe(&[stuck], NOON).await;
    }

    fixture.owe(&[well, third], at(1)).await;

    let mut request = claim(at(1));
    request.hook_limits.insert(stuck, 0);
    request.hook_limits.insert(third, 5);

    let claimed = fixture.store.claim_deliveries(request).await.expect("claimed");
    let hooks: Vec<HookId> = claimed.iter().map(|claimed| claimed.hook).collect();
    assert_eq!(hooks.len(), 2, "{hooks:?}");
    assert!(hooks.contains(&well) && hooks.contains(&third));

    let claimed = fixture.claim(at(1)).await;
    assert_eq!(claimed.len(), 10, "no hook gets more than its share");
}

pub(crate) async fn first_attempts_and_retries_have_separate_limits(fixture: Fixture) {
    let project = fixture.project("p").await;
    let hook = fixture.hook(project).await;
    fixture.owe(&[hook], NOON).await;

    let failed = fixture.claim(NOON).await.remove(0);
    fixture.finish(&failed, FAILED, NOON).await;
    fixture.owe(&[hook], at(9)).await;

    let mut only_first = claim(at(10));
    only_first.retries = 0;

    let claimed = fixture.store.claim_deliveries(only_first).await.expect("claimed");
    assert_eq!(claimed.iter().map(|claimed| claimed.tally).collect::<Vec<_>>(), [NEW]);

    let mut only_retries = claim(at(10));
    only_retries.first = 0;

    let claimed = fixture.store.claim_deliveries(only_retries).await.expect("claimed");
    assert_eq!(
        claimed.iter().map(|claimed| claimed.delivery).collect::<Vec<_>>(),
        [failed.delivery]
    );
}

pub(crate) async fn a_limited_claim_continues_with_the_next_hook(fixture: Fixture) {
    let project = fixture.project("p").await;
    let mut hooks = Vec::new();
    for _ in 0..4 {
        hooks.push(fixture.hook(project).await);
    }

    for _ in 0..3 {
        fixture.owe(&hooks, NOON).await;
    }

    let mut seen = Vec::new();
    for _ in 0..4 {
        let mut request = claim(NOON);
        (request.first, request.per_hook) = (2, 1);

        seen.extend(
            fixture
                .store
                .claim_deliveries(request)
                .await
                .expect("claimed")
                .iter()
                .map(|c| c.hook),
        );
    }

    for hook in &hooks {
        assert_eq!(seen.iter().filter(|seen| *seen == hook).count(), 2, "{seen:?}");
    }
}

pub(crate) async fn deliveries_of_a_deleted_hook_are_cancelled(fixture: Fixture) {
    let project = fixture.project("p").await;
    let (gone, stays) = (fixture.hook(project).await, fixture.hook(project).await);
    fixture.owe(&[gone, stays], NOON).await;

    assert!(
        fixture
            .store
            .delete_hook(Scope::Project(project), gone, None)
            .await
            .expect("deleted")
    );

    let claimed = fixture.claim(NOON).await;
    assert_eq!(claimed.iter().map(|claimed| claimed.hook).collect::<Vec<_>>(), [stays]);
    assert_eq!(fixture.store.cancel_orphans(NOON, 100).await.expect("cancelled"), 1);

    let filter = DeliveryFilter {
        hook: Some(gone),
        limit: 10,
        ..DeliveryFilter::default()
    };
    let deliveries = fixture.store.list_deliveries(filter).await.expect("listed").rows;
    assert_eq!(deliveries[0].state, State::Cancelled);
}

pub(crate) async fn released_deliveries_are_due_at_once_without_a_record(fixture: Fixture) {
    let project = fixture.project("p").await;
    let hook = fixture.hook(project).await;
    fixture.owe(&[hook], NOON).await;

    let claimed = fixture.claim(NOON).await.remove(0);
    let node = NodeId(Uuid::from_u128(1));

    fixture
        .store
        .release_leases(node, vec![(claimed.delivery, claimed.fence)])
        .await
        .expect("released");

    let again = fixture.claim(NOON).await.remove(0);
    assert_eq!((again.delivery, again.tally), (claimed.delivery, NEW));
}

pub(crate) async fn deliveries_of_a_paused_hook_are_held_within_a_budget(fixture: Fixture) {
    let store = &fixture.store;
    let project = fixture.project("rope").await;
    let hook = fixture.hook(project).await;
    let mut events = Vec::new();
    for second in 0..3 {
        events.push(fixture.owe(&[hook], at(second * 10)).await);
    }

    let pause = Pause {
        at: at(30),
        by: "ida".to_owned(),
    };
    let scope = Scope::Project(project);
    let entry = store
        .find_hook(scope, hook)
        .await
        .expect("read")
        .expect("the hook exists");
    let paused = entry.hook.with_pause(Some(pause), at(30));
    store.update_hook(paused, entry.hook.updated_at).await.expect("written");

    let held = Held {
        older_than: at(5),
        most: 10,
        reason: SkipReason::HoldBudget,
    };
    assert_eq!(
        store.drop_held(hook, held, at(40), 100).await.expect("dropped"),
        1,
        "by age"
    );

    let held = Held { most: 1, ..held };
    assert_eq!(
        store.drop_held(hook, held, at(40), 100).await.expect("dropped"),
        1,
        "by number"
    );
    for (event, skips) in events.iter().zip([1, 1, 0]) {
        assert_eq!(store.list_skips(*event).await.expect("listed").len(), skips);
    }
}

pub(crate) async fn deliveries_of_a_disabled_hook_are_held_within_a_budget(fixture: Fixture) {
    let store = &fixture.store;
    let project = fixture.project("rope").await;
    let (hook, other) = (fixture.hook(project).await, fixture.hook(project).await);
    let mut events = Vec::new();

    let held = |older_than, most| Held {
        older_than,
        most,
        reason: SkipReason::HoldBudget,
    };
    let drop = |held| store.drop_held(hook, held, at(100), 100);
    fixture.owe(&[hook], NOON).await;

    assert_eq!(
        drop(held(at(90), 0)).await.expect("looked"),
        0,
        "the hook is not disabled"
    );

    for _ in 0..3 {
        fixture.owe(&[hook], NOON).await;
    }

    let gone = Outcome::Rejected {
        status: 410,
        retry_after: None,
    };
    for claimed in fixture.claim(NOON).await {
        fixture.finish(&claimed, gone, NOON).await;
    }

    for second in 0..6 {
        events.push(fixture.owe(&[hook, other], at(second * 10)).await);
    }

    // The first delivery is being attempted, and the second was attempted once.
    let claimed = fixture.claim(at(10)).await;
    let of = |event| {
        claimed
            .iter()
            .find(|one| one.hook == hook && one.event.id == event)
            .expect("claimed")
    };
    fixture.finish(of(events[1]), FAILED, at(11)).await;
    assert_eq!(drop(held(at(0), 10)).await.expect("looked"), 0);

    assert_eq!(
        drop(held(at(25), 10)).await.expect("dropped"),
        2,
        "by age: the attempted one and the third one"
    );

    assert_eq!(
        store.list_skips(events[2]).await.expect("listed"),
        [(hook, SkipReason::HoldBudget)]
    );

    assert_eq!(
        store.list_skips(events[0]).await.expect("listed"),
        [],
        "its attempt is in progress"
    );

    assert_eq!(
        drop(held(at(0), 1)).await.expect("dropped"),
        2,
        "by number: all but the newest one"
    );

    let state = async |event| {
        let filter = DeliveryFilter {
            event: Some(event),
            hook: Some(hook),
            limit: 1,
            ..DeliveryFilter::default()
        };
        store.list_deliveries(filter).await.expect("listed").rows[0]
            .state
            .word()
    };
    assert_eq!(
        (state(events[4]).await, state(events[5]).await),
        ("given_up", "waiting")
    );

    let left = fixture.claim(at(100)).await;
    let count = |hook| left.iter().filter(|one| one.hook == hook).count();
    assert_eq!((count(hook), count(other)), (1, 4), "other hooks keep their deliveries");
}
