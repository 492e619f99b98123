//! Checks of backfilled pushes, which move branches.

use quickdraw_domain::scope::Place;
use quickdraw_domain::{Timestamp, Trigger};
use quickdraw_insights::branches::Push;
use quickdraw_insights::entity::Item;
use quickdraw_insights::metrics::Metric;
use quickdraw_insights::question::{Found, Question, Window};
use quickdraw_insights::{Fact, facts};
use quickdraw_store::SharedStore;
use quickdraw_store::insights::{Projected, Projects, read_items};
use serde_json::json;

use crate::fixture::{Fixture, at, event};

const ZEROS: &str = "0000000000000000000000000000000000000000";

/// Projects a push, either as a received one or as a backfilled one.
async fn project(store: &SharedStore, (before, after): (&str, &str), at: Timestamp, is_told: bool) {
    let body = json!({"ref": "refs/heads/x", "before": before, "after": after, "user_id": 2, "project": {"id": 7}});
    let body = body.to_string();
    let mut new = event(Place::Elsewhere, body.as_bytes());
    new.counts = true;

    let id = store.append_events(vec![new]).await.expect("appended")[0].id();
    let mut found = facts(Trigger::PUSH, at, body.as_bytes()).expect("JSON");

    for fact in &mut found {
        if let Fact::Item(item) = fact
            && let Item::Push(push) = &mut **item
            && is_told
        {
            push.received = None;
        }
    }

    store
        .apply_facts(vec![Projected {
            event: id,
            facts: Ok(found),
        }])
        .await
        .expect("applied");
}

async fn moves(store: &SharedStore) -> Vec<Push> {
    store.moves(Some(vec![7]), at(0), at(100)).await.expect("found")
}

async fn value(store: &SharedStore, name: &str) -> Option<f64> {
    let metric = Metric::by_name(name).expect("a metric");
    let question = Question::new(
        metric,
        Window {
            from: at(0),
            to: at(100),
            days: 1.0,
        },
        at(100),
    );
    let reads = question.reads();

    let mut found = Found {
        items: read_items(store, reads.items.expect("a read"), None)
            .await
            .expect("found"),
        ..Found::default()
    };

    for read in reads.context {
        found
            .context
            .extend(read_items(store, read, None).await.expect("found"));
    }

    question.answer(found).expect("one group").whole().number.value
}

pub(crate) async fn backfilled_pushes_move_branches_and_are_no_gaps(fixture: Fixture) {
    let store = &fixture.store;
    project(store, (ZEROS, "a"), at(1), true).await;
    project(store, ("a", "b"), at(2), true).await;

    assert_eq!(
        (
            value(store, "branches_open").await,
            value(store, "branch_lifetime").await
        ),
        (Some(1.0), None)
    );

    project(store, ("b", ZEROS), at(5), true).await;
    assert_eq!(
        (
            value(store, "branches_open").await,
            value(store, "branch_lifetime").await
        ),
        (Some(0.0), Some(4.0))
    );

    assert_eq!(moves(store).await.len(), 3);
    // Backfilled pushes do not count for completeness.
    assert_eq!(store.completeness(Projects::ALL, 10).await.expect("counted"), []);

    // The push is received as well. The earlier one of the two times counts, unless the same move can have happened
    // twice.
    project(store, ("a", "b"), at(9), false).await;
    project(store, ("b", ZEROS), at(4), false).await;

    let mut times: Vec<(String, Timestamp)> = moves(store)
        .await
        .into_iter()
        .map(|push| (push.after, push.received_at))
        .collect();

    times.sort_unstable();

    let expected = [(ZEROS, at(4)), ("a", at(1)), ("b", at(2)), ("b", at(9))];
    assert_eq!(times, expected.map(|(after, time)| (after.to_owned(), time)));
    assert_eq!(value(store, "branch_lifetime").await, Some(3.0));

    assert_eq!(
        store.completeness(Projects::ALL, 10).await.expect("counted")[0].known,
        2
    );

    // One batch in another order gives the same data.
    let shadow = store.shadow().await.expect("made");
    let all = [
        ((ZEROS, "a"), 1, true),
        (("a", "b"), 9, false),
        (("b", ZEROS), 4, false),
    ];

    let more = [(("a", "b"), 2, true), (("b", ZEROS), 5, true)];
    for ((before, after), time, is_told) in all.into_iter().chain(more) {
        let body = json!({"ref": "refs/heads/x", "before": before, "after": after, "user_id": 2, "project": {"id": 7}});
        let mut found = facts(Trigger::PUSH, at(time), body.to_string().as_bytes()).expect("JSON");

        for fact in &mut found {
            if let Fact::Item(item) = fact
                && let Item::Push(push) = &mut **item
                && is_told
            {
                push.received = None;
            }
        }

        shadow.apply(found).await.expect("joined");
    }

    let (live, rebuilt) = (
        store.digests().await.expect("read"),
        shadow.digests().await.expect("read"),
    );

    assert_eq!(live.differences(&rebuilt), []);

    let numbers = shadow.branch_numbers().await.expect("read")[&7];
    assert_eq!((numbers.pushes, numbers.open, numbers.deleted), (3, 0, 1));
}
