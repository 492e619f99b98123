//! Checks of the shadow with which insights are counted again.

use quickdraw_domain::{EventId, Trigger};
use quickdraw_insights::facts;
use quickdraw_insights::report::CommitReport;
use quickdraw_store::insights::CommitFilter;
use serde_json::json;

use crate::fixture::{Fixture, NOON};
use crate::insights::{bodies, project, reports};

pub(crate) async fn a_shadow_is_compared_and_swapped_in(fixture: Fixture) {
    let store = &fixture.store;
    let seen = |trigger: &str, body: serde_json::Value| (Trigger::by_name(trigger).expect("a row"), body);
    let mut all = bodies();
    let attributes = json!({"iid": 4, "target_project_id": 7, "created_at": "2026-09-21T10:00:00Z", "updated_at": "2026-09-21T11:00:00Z",
        "action": "open", "state": "opened"});
    let user = json!({"id": 2, "username": "ida", "name": "Ida \u{1f9d7}"});

    all.push(seen(
        "merge_request_hooks",
        json!({"user": user, "project": {"id": 7}, "object_attributes": attributes}),
    ));

    project(store, &all).await;

    let first = reports(store).await;

    // The same facts in another order and in other batches give the same data.
    let shadow = store.shadow().await.expect("made");
    for (trigger, body) in all.iter().rev().chain(&all) {
        let found = facts(*trigger, NOON, body.to_string().as_bytes()).expect("JSON");
        shadow.apply(found).await.expect("joined");
    }

    let (live, rebuilt) = (
        store.digests().await.expect("read"),
        shadow.digests().await.expect("read"),
    );

    assert_eq!(live.differences(&rebuilt), []);

    let rows = live.rows();
    assert_eq!(
        (
            rows["commits"],
            rows["pushes"],
            rows["merge requests"],
            rows["accounts"]
        ),
        (4, 3, 1, 1)
    );

    // A fact that the shadow lacks is listed by part and day, and is gone after the swap.
    let wrong = push_of_somebody();
    project(store, std::slice::from_ref(&wrong)).await;

    let differences = store.digests().await.expect("read").differences(&rebuilt);
    let parts: Vec<&str> = differences.iter().map(|one| one.part).collect();

    assert_eq!(
        parts,
        [
            "branches",
            "commits",
            "pushes",
            "pushes with their commits",
            "sums of commits"
        ]
    );

    assert_eq!((differences[1].stored, differences[1].rebuilt), (1, 0));
    store.swap_insights(&*shadow).await.expect("swapped");
    assert_eq!(store.digests().await.expect("read"), rebuilt);

    // Identities have other ids after the swap, but the same authors.
    let (after, unlisted) = reports(store).await;
    let sums = |report: &CommitReport| {
        let mut of_authors: Vec<i64> = report.by_identity.values().copied().collect();
        of_authors.sort_unstable();

        (
            of_authors,
            report.by_day.clone(),
            report.files_touched,
            report.commits_landed,
        )
    };
    assert_eq!((sums(&after), unlisted), (sums(&first.0), first.1));

    // New facts are added after the swap, including identities.
    project(store, std::slice::from_ref(&wrong)).await;
    assert_eq!(store.commits(window_of_2020()).await.expect("read").len(), 1);

    // The journal in pages, and its bodies.
    let nil = EventId(uuid::Uuid::nil());
    let ids = store.event_ids(nil, 3).await.expect("read");
    let more = store.event_ids(ids[2], 100).await.expect("read");
    assert_eq!((ids.len(), more.len()), (3, all.len() + 2 - 3));

    let found = store.bodies(vec![ids[1], nil, more[0]]).await.expect("read");
    assert_eq!(found.len(), 2);
    store.project_again(vec![ids[0], ids[1], nil]).await.expect("marked");
    store.project_again(vec![ids[0]]).await.expect("marked");
    assert_eq!(store.pending_projection(10).await.expect("read").len(), 2);
}

fn push_of_somebody() -> (Trigger, serde_json::Value) {
    let commit = json!({"id": "z", "message": "z", "timestamp": "2020-01-01T10:00:00Z", "author": {"name": "Zed", "email": "z@z"}});
    (
        Trigger::PUSH,
        json!({"ref": "refs/heads/z", "before": "y", "after": "z", "project": {"id": 9}, "commits": [commit]}),
    )
}

fn window_of_2020() -> CommitFilter {
    let at = quickdraw_domain::Timestamp::from_seconds;
    CommitFilter {
        from: at(1_577_836_800),
        to: at(1_609_459_200),
        projects: None,
        identities: None,
    }
}
