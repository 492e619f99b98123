//! Checks of facts and rollups.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use quickdraw_domain::scope::Place;
use quickdraw_domain::{EventId, Timestamp, Trigger};
use quickdraw_insights::commits::Author;
use quickdraw_insights::gaps::Sequence;
use quickdraw_insights::report::{CommitReport, report};
use quickdraw_insights::{Fact, facts};
use quickdraw_store::SharedStore;
use quickdraw_store::insights::{CommitFilter, Identity, Projected, Projects};
use serde_json::json;

use crate::fixture::{Fixture, NOON, at, event};

fn window() -> CommitFilter {
    CommitFilter {
        from: NOON.minus(std::time::Duration::from_secs(86_400)),
        to: at(86_400),
        projects: None,
        identities: None,
    }
}

pub(crate) fn bodies() -> Vec<(Trigger, serde_json::Value)> {
    let commit = |sha: &str, minute: u32, author: &str| {
        json!({"id": sha, "message": format!("m {sha}"), "timestamp": format!("2026-09-21T13:{minute:02}:00+02:00"),
            "author": {"name": author, "email": format!("{author}@example.com")},
            "added": [sha], "modified": ["same"], "removed": []})
    };

    let push = |branch: &str, after: &str, commits: Vec<serde_json::Value>, total: u32| {
        json!({"object_kind": "push", "ref": format!("refs/heads/{branch}"), "before": "0", "after": after,
            "project": {"id": 7, "default_branch": "main", "path_with_namespace": "g/app"},
            "commits": commits, "total_commits_count": total})
    };

    let mr = Trigger::by_name("merge_request_hooks").expect("a row");
    let merged = json!({"object_attributes": {"action": "merge", "target_project_id": 7, "merge_commit_sha": "m"}});
    let undated = json!({"id": "c1", "message": "other", "author": {"name": "X", "email": "x@x"}});

    vec![
        (
            Trigger::PUSH,
            push("feat", "c2", vec![commit("c1", 1, "ann"), commit("c2", 2, "ann")], 25),
        ),
        (
            Trigger::PUSH,
            push("main", "m", vec![commit("c2", 2, "ann"), commit("m", 3, "ann")], 2),
        ),
        (mr, merged),
        (
            Trigger::PUSH,
            push("other", "c3", vec![undated, commit("c3", 4, "bob")], 2),
        ),
    ]
}

pub(crate) async fn project(store: &SharedStore, batch: &[(Trigger, serde_json::Value)]) {
    let mut projected = Vec::new();
    for (trigger, body) in batch {
        let mut new = event(Place::Elsewhere, body.to_string().as_bytes());
        new.counts = true;

        let id = store.append_events(vec![new]).await.expect("appended")[0].id();
        let facts = facts(*trigger, NOON, body.to_string().as_bytes()).map_err(|error| error.to_string());
        projected.push(Projected { event: id, facts });
    }

    store.apply_facts(projected).await.expect("applied");
}

pub(crate) async fn reports(store: &SharedStore) -> (CommitReport, i64) {
    let rows = store.commit_rows(window()).await.expect("rows");
    let from_rollups = report(
        &store.commit_cells(window()).await.expect("cells"),
        &rows,
        &TimeZone::UTC,
    );

    let from_facts = report(
        &store.commit_cells_from_facts(window()).await.expect("cells"),
        &rows,
        &TimeZone::UTC,
    );
    assert_eq!(from_rollups, from_facts, "rollups and facts must agree");
    (from_rollups, store.commits_unlisted(window()).await.expect("a sum"))
}

pub(crate) async fn facts_join_in_any_order_and_rollups_agree_with_facts(fixture: Fixture) {
    let store = &fixture.store;
    let bodies = bodies();
    for body in bodies.iter().rev() {
        project(store, std::slice::from_ref(body)).await;
    }

    let (first, unlisted) = reports(store).await;
    assert_eq!(
        (first.commits, first.merge_commits, first.commits_landed, unlisted),
        (3, 1, 1, 23)
    );

    let complete = store.completeness(Projects::ALL, 10).await.expect("counted");
    let of_commits = complete
        .iter()
        .find(|one| one.kind == Sequence::Commit)
        .expect("the pushes list commits");

    assert_eq!(
        (of_commits.project, of_commits.known, of_commits.missing),
        (7, 6, 23),
        "commits that no push lists are missing"
    );

    assert_eq!(
        (first.files_added, first.files_modified, first.files_touched),
        (3, 3, 4)
    );

    assert_eq!(
        first
            .by_identity
            .values()
            .copied()
            .collect::<Vec<_>>()
            .iter()
            .sum::<i64>(),
        3
    );

    project(store, &bodies).await;
    project(store, &bodies[1..3]).await;
    assert_eq!(reports(store).await, (first, unlisted), "repetition changes nothing");

    let ann = store
        .find_identities(Some("Ann@Example.com".to_owned()))
        .await
        .expect("found");
    assert_eq!(ann.len(), 1);

    let mine = CommitFilter {
        identities: Some(vec![ann[0].id]),
        projects: Some(vec![7]),
        ..window()
    };
    assert_eq!(store.commit_rows(mine.clone()).await.expect("rows").len(), 2);

    let cells = store.commit_cells(mine).await.expect("cells");
    assert!(cells.iter().all(|cell| cell.identity == ann[0].id) && !cells.is_empty());

    let named: Vec<(i64, String)> = store
        .insights_projects()
        .await
        .expect("found")
        .into_iter()
        .map(|one| (one.id, one.path))
        .collect();

    assert_eq!(named, [(7, "g/app".to_owned())]);

    let uses = store.identity_uses().await.expect("found");
    let of_ann = uses
        .iter()
        .find(|one| one.identity.id == ann[0].id)
        .expect("she committed");

    assert_eq!(
        (of_ann.project, of_ann.commits, of_ann.merge_commits, uses.len()),
        (7, 2, 1, 2),
        "merge commits are counted separately"
    );

    assert!(store.first_received(None).await.expect("read").is_some());
    assert!(store.first_received(Some(vec![7])).await.expect("read").is_some());

    assert_eq!(
        store.first_received(Some(vec![1_000])).await.expect("read"),
        None,
        "another project has no events"
    );

    assert!(of_ann.first < of_ann.last);
}

pub(crate) async fn an_event_is_projected_once(fixture: Fixture) {
    let store = &fixture.store;
    let mut new = event(Place::Elsewhere, b"{}");
    new.counts = true;

    let id = store.append_events(vec![new]).await.expect("appended")[0].id();
    let waiting = store.pending_projection(10).await.expect("read");
    assert_eq!(
        waiting.iter().map(|(event, _)| event.id).collect::<Vec<EventId>>(),
        [id]
    );

    let pending = store.pending().await.expect("read");
    assert_eq!(
        (pending.oldest, pending.count),
        (Some(id), 1),
        "answers are complete up to the oldest waiting event"
    );

    let merge = Fact::MergeCommit {
        project: 1,
        sha: "x".to_owned(),
    };

    for _ in 0..2 {
        let projected = Projected {
            event: id,
            facts: Ok(vec![merge.clone()]),
        };
        store.apply_facts(vec![projected]).await.expect("applied");
    }

    assert!(store.pending_projection(10).await.expect("read").is_empty());

    let pending = store.pending().await.expect("read");
    assert_eq!((pending.oldest, pending.count), (None, 0));
}

pub(crate) async fn an_unreadable_event_is_set_aside_and_listed(fixture: Fixture) {
    let store = &fixture.store;
    let mut new = event(Place::Elsewhere, b"{}");
    new.counts = true;

    let id = store.append_events(vec![new]).await.expect("appended")[0].id();
    let projected = Projected {
        event: id,
        facts: Err("lone surrogate".to_owned()),
    };
    store.apply_facts(vec![projected]).await.expect("applied");
    assert!(store.pending_projection(10).await.expect("read").is_empty());

    assert_eq!(
        store.list_set_aside(10).await.expect("listed"),
        [(id, "lone surrogate".to_owned())]
    );

    let other = EventId(uuid::Uuid::from_u128(1));
    assert_eq!(store.retry_set_aside(Some(other)).await.expect("none"), 0);
    assert_eq!(store.retry_set_aside(Some(id)).await.expect("retried"), 1);

    let waiting = store.pending_projection(10).await.expect("read");
    assert_eq!((waiting.len(), waiting[0].0.id), (1, id));
    assert!(store.list_set_aside(10).await.expect("listed").is_empty());
    assert_eq!(store.retry_set_aside(None).await.expect("none"), 0);
}

pub(crate) async fn people_can_be_renamed_and_old_facts_deleted(fixture: Fixture) {
    let store = &fixture.store;
    project(store, &bodies()).await;

    let (before, _) = reports(store).await;
    let all = store.find_identities(None).await.expect("found");
    assert!(all.len() > 1, "{all:?}");

    // The first identity is renamed. Then the second one gets the same name, and both become one identity.
    let author = Author {
        email: String::new(),
        name: "erased 1".to_owned(),
    };

    for one in &all[..2] {
        let renamed = Identity {
            id: one.id,
            author: author.clone(),
        };
        store.rename(vec![renamed], Vec::new()).await.expect("renamed");
    }

    let left = store.find_identities(None).await.expect("found");
    assert_eq!(left.len(), all.len() - 1, "{left:?}");

    let (after, _) = reports(store).await;
    assert_eq!(
        (after.commits, after.merge_commits, after.files_added),
        (before.commits, before.merge_commits, before.files_added)
    );

    // All facts of one project are deleted in small steps, and facts of other projects stay.
    let projects: BTreeSet<i64> = store
        .commits(window())
        .await
        .expect("found")
        .iter()
        .map(|commit| commit.project)
        .collect();

    let gone = *projects.first().expect("one");
    let far = Timestamp::from_seconds(4_000_000_000 / 3_600 * 3_600);
    let mut steps = 0;
    while store.forget_before(gone, far, 1).await.expect("deleted") > 0 {
        steps += 1;
    }

    assert!(steps > 1, "{steps}");

    let rest = store.commits(window()).await.expect("found");
    assert!(rest.iter().all(|commit| commit.project != gone), "{rest:?}");

    let kept: BTreeSet<i64> = rest.iter().map(|commit| commit.project).collect();
    assert_eq!(kept.len(), projects.len() - 1);

    let (left, _) = reports(store).await;
    assert_eq!(
        left.commits + left.merge_commits,
        i64::try_from(rest.len()).expect("few"),
        "the sums agree"
    );
}
