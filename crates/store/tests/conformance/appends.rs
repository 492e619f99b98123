//! Checks of the journal in the order of its commits.

use std::time::Duration;

use quickdraw_domain::event::Origin;
use quickdraw_domain::scope::Place;
use quickdraw_domain::{EventId, Timestamp};
use quickdraw_store::appends::Followed;

use crate::fixture::{Fixture, NOON, at, event_at, keyed, ring};

async fn append(fixture: &Fixture, times: &[u64]) -> Vec<EventId> {
    let batch = times
        .iter()
        .map(|second| event_at(Place::Instance, b"{}", at(*second)))
        .collect();
    let appended = fixture.store.append_events(batch).await.expect("appended");
    appended.iter().map(|one| one.id()).collect()
}

/// Reads appends from `from` until there are `batches`. On PostgreSQL, another open transaction can delay them.
async fn follow(fixture: &Fixture, from: i64, batches: usize) -> Followed {
    for _ in 0..500 {
        let followed = fixture.store.appends(from, 100).await.expect("followed");
        if followed.batches.len() >= batches {
            return followed;
        }

        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    panic!("{batches} batches from {from} do not come");
}

fn events(followed: &Followed) -> Vec<EventId> {
    followed.batches.iter().flat_map(|batch| batch.events.clone()).collect()
}

pub(crate) async fn events_follow_in_the_order_of_commits_whatever_their_ids(fixture: Fixture) {
    let begin = fixture.store.next_append().await.expect("a number");
    assert_eq!(
        fixture.store.appends(begin, 100).await.expect("followed"),
        Followed::default()
    );

    assert_eq!(
        fixture.store.append_since(NOON).await.expect("a number"),
        begin,
        "an empty journal starts at the next number"
    );

    // The second batch has the older time, as after a change of the clock or from a node whose clock is behind.
    let later = append(&fixture, &[50, 60]).await;
    let earlier = append(&fixture, &[10]).await;
    let followed = follow(&fixture, begin, 2).await;
    assert!(!followed.lost);
    assert_eq!(events(&followed), [later, earlier.clone()].concat());

    assert_eq!(
        followed.batches.iter().map(|batch| batch.at).collect::<Vec<_>>(),
        [at(50), at(10)]
    );

    let [first, second] = [followed.batches[0].number, followed.batches[1].number];
    assert!(begin <= first && first < second);
    assert_eq!(events(&follow(&fixture, first + 1, 1).await), earlier);

    // A duplicate is not an append.
    let known = || keyed(Origin::Api, "k");
    fixture.store.append_events(vec![known()]).await.expect("appended");
    fixture.store.append_events(vec![known()]).await.expect("appended");

    let last = append(&fixture, &[70]).await;
    let followed = follow(&fixture, second + 1, 2).await;
    assert_eq!((followed.batches.len(), &events(&followed)[1..]), (2, &last[..]));
}

pub(crate) async fn following_can_start_at_a_time(fixture: Fixture) {
    let mut all = Vec::new();
    for second in [10, 20, 30, 40, 50] {
        all.extend(append(&fixture, &[second]).await);
    }

    follow(&fixture, i64::MIN, 5).await;

    for (second, seen) in [(0, 5), (10, 5), (11, 4), (40, 2), (51, 0)] {
        let from = fixture.store.append_since(at(second)).await.expect("a number");
        assert_eq!(
            events(&follow(&fixture, from, seen).await),
            all[5 - seen..],
            "since {second}"
        );
    }
}

pub(crate) async fn a_position_before_the_retained_events_is_reported_as_lost(fixture: Fixture) {
    let begin = fixture.store.next_append().await.expect("a number");
    append(&fixture, &[10]).await;
    append(&fixture, &[20]).await;

    let kept = append(&fixture, &[30]).await;
    let second = follow(&fixture, begin, 3).await.batches[1].number;
    let prune = async |before: Timestamp| while fixture.store.prune(before, 100).await.expect("pruned") >= 100 {};
    prune(at(25)).await;

    for (from, lost) in [(begin, true), (second, true), (second + 1, false)] {
        let followed = follow(&fixture, from, 1).await;
        assert_eq!((followed.lost, events(&followed)), (lost, kept.clone()), "from {from}");
    }

    // The numbers continue after all events were deleted.
    prune(at(1000)).await;

    let next = append(&fixture, &[2000]).await;
    let followed = follow(&fixture, second, 2).await;
    assert_eq!((followed.lost, events(&followed)), (true, next));
    assert!(followed.batches[0].number > second);
}

/// PostgreSQL only: a batch is shown after all older open transactions have ended, so that their events are not
/// skipped.
pub(crate) async fn events_wait_for_older_open_transactions(server: String) {
    let fixture = Fixture::open(Some(server.clone())).await;
    let begin = fixture.store.next_append().await.expect("a number");
    let (mut client, connection) = tokio_postgres::connect(&fixture.url, tokio_postgres::NoTls)
        .await
        .expect("connects");
    let connection = tokio::spawn(connection);
    let transaction = client.transaction().await.expect("begins");

    // A node has written an event and not yet committed it.
    let slow = uuid::Uuid::from_u128(1);
    let sql = "INSERT INTO appends SELECT pg_current_xact_id()::text::bigint, $1, ARRAY[$2::uuid]";
    transaction
        .execute(sql, &[&NOON.as_micros(), &slow])
        .await
        .expect("written");

    let quick = append(&fixture, &[10]).await;
    // A follower that starts now gets both events.
    let now = fixture.store.next_append().await.expect("a number");

    assert_eq!(
        fixture.store.appends(begin, 100).await.expect("followed"),
        Followed::default()
    );

    transaction.commit().await.expect("commits");
    assert_eq!(
        events(&follow(&fixture, now, 2).await),
        [vec![EventId(slow)], quick].concat()
    );

    drop(client);
    connection.await.expect("no panic").expect("ends well");
    fixture.close().await;
}

/// PostgreSQL only: a dump is restored in a cluster with smaller transaction ids.
pub(crate) async fn numbers_continue_after_a_dump_was_restored(server: String) {
    let fixture = Fixture::open(Some(server)).await;
    let first = append(&fixture, &[10]).await;
    let (client, connection) = tokio_postgres::connect(&fixture.url, tokio_postgres::NoTls)
        .await
        .expect("connects");
    let connection = tokio::spawn(connection);

    // Numbers as from a cluster with much larger transaction ids.
    let far = "UPDATE appends SET number = number + 1000000000000";
    client.execute(far, &[]).await.expect("moved");
    drop(client);
    connection.await.expect("no panic").expect("ends well");

    let again = quickdraw_store::open(&fixture.url, ring(1)).await.expect("opens");
    let second = again
        .append_events(vec![event_at(Place::Instance, b"{}", at(20))])
        .await
        .expect("appended")[0]
        .id();
    assert_eq!(
        events(&follow(&fixture, i64::MIN, 2).await),
        [first, vec![second]].concat()
    );

    again.close().await;
    fixture.close().await;
}
