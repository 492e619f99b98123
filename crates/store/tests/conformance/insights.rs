//! Checks of facts and rollups.

use jiff::tz::TimeZone;
use quickdraw_domain::insights::report::{CommitReport, report};
use quickdraw_domain::insights::{Fact, facts};
use quickdraw_domain::scope::Place;
use quickdraw_domain::{EventId, Trigger};
use quickdraw_store::SharedStore;
use quickdraw_store::insights::{CommitFilter, Projected};
use serde_json::json;

use crate::fixture::{Fixture, NOON, at, event};

fn window() -> CommitFilter {
    CommitFilter {
        from: NOON.minus(std::time::Duration::from_secs(86_400)),
        to: at(86_400),
        project: None,
        identities: None,
    }
}

fn bodies() -> Vec<(Trigger, serde_json::Value)> {
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
        (Trigger::PUSH, push("feat", "c2", vec![commit("c1", 1, "ann"), commit("c2", 2, "ann")], 25)),
        (Trigger::PUSH, push("main", "m", vec![commit("c2", 2, "ann"), commit("m", 3, "ann")], 2)),
        (mr, merged),
        (Trigger::PUSH, push("other", "c3", vec![undated, commit("c3", 4, "bob")], 2)),
    ]
}

async fn project(store: &SharedStore, batch: &[(Trigger, serde_json::Value)]) {
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

async fn reports(store: &SharedStore) -> (CommitReport, i64) {
    let rows = store.commit_rows(window()).await.expect("rows");
    let from_rollups = report(&store.commit_cells(window()).await.expect("cells"), &rows, &TimeZone::UTC);
    let from_facts = report(&store.commit_cells_from_facts(window()).await.expect("cells"), &rows, &TimeZone::UTC);
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
    assert_eq!((first.commits, first.merge_commits, first.commits_landed, unlisted), (3, 1, 1, 23));
    assert_eq!((first.files_added, first.files_modified, first.files_touched), (3, 3, 4));
    assert_eq!(first.by_identity.values().copied().collect::<Vec<_>>().iter().sum::<i64>(), 3);
    project(store, &bodies).await;
    project(store, &bodies[1..3]).await;
    assert_eq!(reports(store).await, (first, unlisted), "repetition changes nothing");
    let ann = store.find_identities(Some("Ann@Example.com".to_owned())).await.expect("found");
    assert_eq!(ann.len(), 1);
    let mine = CommitFilter { identities: Some(vec![ann[0].id]), project: Some(7), ..window() };
    assert_eq!(store.commit_rows(mine.clone()).await.expect("rows").len(), 2);
    let cells = store.commit_cells(mine).await.expect("cells");
    assert!(cells.iter().all(|cell| cell.identity == ann[0].id) && !cells.is_empty());
    assert_eq!(store.find_insights_project("G/App".to_owned()).await.expect("found"), Some(7));
}

pub(crate) async fn an_event_is_projected_once(fixture: Fixture) {
    let store = &fixture.store;
    let mut new = event(Place::Elsewhere, b"{}");
    new.counts = true;
    let id = store.append_events(vec![new]).await.expect("appended")[0].id();
    let waiting = store.pending_projection(10).await.expect("read");
    assert_eq!(waiting.iter().map(|(event, _)| event.id).collect::<Vec<EventId>>(), [id]);
    let merge = Fact::MergeCommit { project: 1, sha: "x".to_owned() };
    for _ in 0..2 {
        let projected = Projected { event: id, facts: Ok(vec![merge.clone()]) };
        store.apply_facts(vec![projected]).await.expect("applied");
    }
    assert!(store.pending_projection(10).await.expect("read").is_empty());
}

pub(crate) async fn a_poison_event_is_set_aside_and_shown(fixture: Fixture) {
    let store = &fixture.store;
    let mut new = event(Place::Elsewhere, b"{}");
    new.counts = true;
    let id = store.append_events(vec![new]).await.expect("appended")[0].id();
    let projected = Projected { event: id, facts: Err("lone surrogate".to_owned()) };
    store.apply_facts(vec![projected]).await.expect("applied");
    assert!(store.pending_projection(10).await.expect("read").is_empty());
    assert_eq!(store.list_poison(10).await.expect("listed"), [(id, "lone surrogate".to_owned())]);
}
