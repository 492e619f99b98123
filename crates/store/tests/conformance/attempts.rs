//! Checks of the attempts of deliveries, and of the log of a hook.

use quickdraw_domain::HookId;
use quickdraw_domain::delivery::State;
use quickdraw_domain::outcome::{Answers, Outcome};
use quickdraw_store::attempts::{AttemptFilter, LogFilter};
use quickdraw_store::lists::{Page, Start};

use crate::fixture::{Fixture, NOON, at, finished};

const OK: Outcome = Outcome::Delivered { status: 200 };
const FAILED: Outcome = Outcome::Failed {
    status: 503,
    retry_after: None,
};

pub(crate) async fn attempts_are_listed_by_delivery_and_by_hook(fixture: Fixture) {
    let project = fixture.project("p").await;
    let (one, other) = (fixture.hook(project).await, fixture.hook(project).await);
    fixture.owe(&[one, other], NOON).await;

    let claimed = fixture.claim(NOON).await;
    for claimed in &claimed {
        fixture.finish(claimed, OK, NOON).await;
    }

    let filter = AttemptFilter {
        hook: Some(one),
        limit: 10,
        ..AttemptFilter::default()
    };
    let by_hook = fixture.store.list_attempts(filter).await.expect("listed");
    assert_eq!(by_hook.len(), 1);

    let expected = claimed
        .iter()
        .find(|claimed| claimed.hook == one)
        .expect("it was claimed");
    assert_eq!(by_hook[0].delivery, expected.delivery);
    assert_eq!(by_hook[0].record, finished(expected, OK, NOON).record);
    assert_eq!(by_hook[0].status, Some(200));

    let older = AttemptFilter {
        hook: Some(one),
        before: Some(by_hook[0].id),
        limit: 10,
        ..AttemptFilter::default()
    };
    assert!(fixture.store.list_attempts(older).await.expect("listed").is_empty());
}

pub(crate) async fn a_manual_lease_of_one_delivery_appears_in_the_log_of_its_hook(fixture: Fixture) {
    let store = &fixture.store;
    let project = fixture.project("p").await;
    let hook = fixture.hook(project).await;
    fixture.owe(&[hook], NOON).await;

    let first = fixture.claim(NOON).await.remove(0);
    assert!(
        store
            .lease_delivery(first.delivery, at(30))
            .await
            .expect("looked")
            .is_none(),
        "the delivery is leased"
    );

    let gone = Outcome::Rejected {
        status: 410,
        retry_after: None,
    };
    assert_eq!(fixture.finish(&first, gone, at(1)).await.state, Some(State::GivenUp));

    let again = store
        .lease_delivery(first.delivery, at(32))
        .await
        .expect("leased")
        .expect("the delivery exists");
    assert_eq!(
        (again.hook, again.tally.attempts, &again.event),
        (hook, 1, &first.event)
    );

    assert!(
        store
            .lease_delivery(first.delivery, at(32))
            .await
            .expect("looked")
            .is_none()
    );

    fixture.finish(&again, OK, at(2)).await;

    let delivery = store
        .find_delivery(first.delivery)
        .await
        .expect("read")
        .expect("the delivery exists");

    assert_eq!(
        (delivery.state, delivery.tally.attempts),
        (State::Delivered, 2),
        "the manual attempt delivers it"
    );

    // A delivered event stays delivered if a resend fails.
    let third = store
        .lease_delivery(first.delivery, at(33))
        .await
        .expect("leased")
        .expect("the delivery exists");
    fixture.finish(&third, FAILED, at(3)).await;

    let delivery = store
        .find_delivery(first.delivery)
        .await
        .expect("read")
        .expect("the delivery exists");
    assert_eq!((delivery.state, delivery.tally.attempts), (State::Delivered, 3));

    let log = async |statuses: Vec<(u16, u16)>, unanswered, since| {
        let page = Page {
            start: Start::Offset(0),
            limit: 10,
        };

        let answers = Answers {
            ranges: statuses,
            unanswered,
        };

        let filter = LogFilter {
            hook,
            since,
            answers,
            page,
        };
        let log = store.hook_log(filter).await.expect("listed");
        assert_eq!(log.total, i64::try_from(log.rows.len()).expect("few"));

        log.rows.iter().filter_map(|attempt| attempt.status).collect::<Vec<_>>()
    };
    assert_eq!(log(vec![], false, NOON).await, [503, 200, 410], "newest first");
    assert_eq!(log(vec![(400, 499), (200, 200)], false, NOON).await, [200, 410]);
    assert_eq!(log(vec![(500, 599)], true, at(3600)).await, [0; 0]);

    let newest = store
        .list_attempts(AttemptFilter {
            limit: 1,
            ..AttemptFilter::default()
        })
        .await
        .expect("listed");
    let id = newest[0].id;
    assert!(store.find_attempt(hook, id).await.expect("read").is_some());

    assert!(
        store.find_attempt(HookId(999), id).await.expect("read").is_none(),
        "the attempt belongs to another hook"
    );
}
