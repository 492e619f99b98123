//! Checks of facts, rollups and rebuilds of insights.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use quickdraw_domain::scope::Place;
use quickdraw_domain::{EventId, Timestamp, Trigger};
use quickdraw_insights::commits::Author;
use quickdraw_insights::entity::{Family, Item};
use quickdraw_insights::gaps::{After, Gap, Sequence};
use quickdraw_insights::merge_requests::MergeRequest;
use quickdraw_insights::report::{CommitReport, report};
use quickdraw_insights::roster::Roster;
use quickdraw_insights::{Fact, facts};
use quickdraw_store::SharedStore;
use quickdraw_store::documents::{self, Document};
use quickdraw_store::insights::{CommitFilter, Identity, Lives, Projected, Projects};
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

/// The example of completeness. The branch main moves S0->a and b->c, so one push is missing. Of the merge requests 10
/// to 14, number 12 is missing.
pub(crate) async fn gaps_are_found_from_received_events(fixture: Fixture) {
    let store = &fixture.store;
    let in_project = |id: i64| json!({"id": id, "default_branch": "main", "path_with_namespace": format!("g/app{id}")});

    let push = |project: i64, branch: &str, before: &str, after: &str| {
        let git_ref = format!("refs/heads/{branch}");
        (
            Trigger::PUSH,
            json!({"ref": git_ref, "before": before, "after": after, "project": in_project(project)}),
        )
    };

    let object = |trigger: &str, project: i64, iid: i64| {
        let trigger = Trigger::by_name(trigger).expect("a row");
        (
            trigger,
            json!({"object_attributes": {"iid": iid}, "project": in_project(project)}),
        )
    };

    let note = Trigger::by_name("note_hooks").expect("a row");
    let mut batch = vec![push(7, "main", "S0", "a"), push(7, "main", "b", "c")];
    batch.extend([10, 11, 14].map(|iid| object("merge_request_hooks", 7, iid)));

    batch.push((
        note,
        json!({"merge_request": {"iid": 13, "target_project_id": 7}, "project": in_project(7)}),
    ));

    // There is no gap for a branch that was created and moved before its first push, nor for a branch that moves back
    // and forth.
    batch.extend([
        push(7, "feat", "000", "f1"),
        push(7, "feat", "f2", "f3"),
        push(7, "wip", "w0", "w1"),
    ]);

    batch.extend([
        push(7, "wip", "w1", "w0"),
        push(7, "wip", "w0", "w1"),
        push(7, "wip", "w1", "000"),
    ]);

    batch.push(push(7, "wip", "000", "w9"));
    // The second push arrives first.
    batch.extend([push(8, "main", "m1", "m2"), push(8, "main", "m0", "m1")]);

    batch.extend([
        object("issue_hooks", 8, 3),
        object("pipeline_hooks", 8, 100),
        object("pipeline_hooks", 8, 200),
    ]);

    let shown = async || {
        let mut shown = Vec::new();
        for one in store.completeness(Projects::ALL, 100).await.expect("counted") {
            assert_eq!(one.project_path, Some(format!("g/app{}", one.project)));
            shown.push((
                one.project,
                one.kind.name(),
                one.first,
                one.last,
                one.known,
                one.missing,
            ));
        }

        shown
    };

    // Each event has its own time of receipt. A second receipt later changes nothing.
    for (offset, repeated) in [(0, false), (1_000, true)] {
        let mut projected = Vec::new();
        for (second, (trigger, body)) in batch.iter().enumerate() {
            let mut new = event(Place::Elsewhere, body.to_string().as_bytes());
            new.counts = true;

            let id = store.append_events(vec![new]).await.expect("appended")[0].id();
            let received_at = at(offset + u64::try_from(second).expect("small"));
            let facts = facts(*trigger, received_at, body.to_string().as_bytes()).map_err(|error| error.to_string());
            projected.push(Projected { event: id, facts });
        }

        if repeated {
            projected.reverse();
        }

        store.apply_facts(projected).await.expect("applied");

        let expected = [
            // The second move from w0 to w1 is the same fact.
            (7, "push", None, None, 8, 2),
            (7, "merge_request", Some(10), Some(14), 4, 1),
            (8, "push", None, None, 2, 0),
            (8, "issue", Some(3), Some(3), 1, 0),
            (8, "pipeline", Some(100), Some(200), 2, 99),
        ];
        assert_eq!(shown().await, expected);
    }

    let of_eight = store.completeness(Projects::One(8), 100).await.expect("counted");
    assert_eq!(
        store.completeness(Projects::After(7), 2).await.expect("counted"),
        of_eight[..2]
    );

    assert_eq!(
        (of_eight.len(), of_eight[0].since),
        (3, at(13)),
        "coverage starts with the first received event"
    );

    assert!((store.completeness(Projects::One(7), 100).await.expect("counted")[1].share() - 0.8).abs() < 1e-9);

    let gaps = async |project, metric| store.gaps(project, After::start(metric), 10).await.expect("listed");
    let pushes = |branch: &str, before: &str, after: &str, second: u64| Gap::Pushes {
        git_ref: format!("refs/heads/{branch}"),
        before: Some(before.to_owned()),
        after: after.to_owned(),
        received_at: at(second),
    };
    let (main, feat) = (pushes("main", "a", "b", 1), pushes("feat", "f1", "f2", 7));

    assert_eq!(gaps(7, Sequence::Push).await, [main.clone(), feat.clone()]);
    assert_eq!(
        store.gaps(7, After::start(Sequence::Push), 1).await.expect("listed"),
        std::slice::from_ref(&main)
    );

    assert_eq!(store.gaps(7, main.position(), 1).await.expect("listed"), [feat]);
    assert_eq!(gaps(8, Sequence::Push).await, []);

    let objects = |kind, first, last| Gap::Objects { kind, first, last };
    assert_eq!(
        gaps(7, Sequence::MergeRequest).await,
        [objects(Sequence::MergeRequest, 12, 12)]
    );

    assert_eq!(
        gaps(8, Sequence::Pipeline).await,
        [objects(Sequence::Pipeline, 101, 199)]
    );

    let behind = objects(Sequence::Pipeline, 101, 199).position();
    assert_eq!(store.gaps(8, behind, 10).await.expect("listed"), []);

    // A late event closes its gap.
    project(
        store,
        &[push(7, "main", "a", "b"), object("merge_request_hooks", 7, 12)],
    )
    .await;

    assert_eq!(gaps(7, Sequence::Push).await.len(), 1);
    assert_eq!(gaps(7, Sequence::MergeRequest).await, []);
}

pub(crate) async fn merge_requests_join_in_any_order_and_are_found_by_lifetime(fixture: Fixture) {
    let store = &fixture.store;
    let time = |second: u64| {
        jiff::Timestamp::from_microsecond(at(second).as_micros())
            .expect("in range")
            .to_string()
    };

    let trigger = Trigger::by_name("merge_request_hooks").expect("a row");
    let event = |iid: i64, action: &str, state: &str, second: u64| {
        let attributes = json!({"iid": iid, "target_project_id": 7, "author_id": 1, "created_at": time(10 * iid as u64),
            "updated_at": time(second), "action": action, "state": state});
        let user = json!({"id": 2, "username": "ida", "name": format!("Ida {second}")});
        (
            trigger,
            json!({"user": user, "project": {"id": 7}, "object_attributes": attributes}),
        )
    };

    let all = [
        event(1, "open", "opened", 10),
        event(1, "approved", "opened", 15),
        event(1, "merge", "merged", 20),
        event(2, "open", "opened", 20),
        event(3, "open", "opened", 30),
        event(3, "close", "closed", 40),
    ];
    // One by one in reverse order, and then all again in one batch.
    for one in all.iter().rev() {
        project(store, std::slice::from_ref(one)).await;
    }

    let lives = |from, to| Lives {
        from: at(from),
        to: at(to),
        projects: None,
    };

    let living = async |window| -> Vec<MergeRequest> {
        let found = store.items(Family::MergeRequests, window).await.expect("found");
        let one = |item| {
            if let Item::MergeRequest(one) = item {
                Some(one)
            } else {
                None
            }
        };
        found.into_iter().filter_map(one).collect()
    };
    let first = living(lives(0, 100)).await;
    project(store, &all).await;
    assert_eq!(living(lives(0, 100)).await, first, "repetition changes nothing");

    assert_eq!(
        (first.len(), first[0].merged_at(), first[2].closed_at()),
        (3, Some(at(20)), Some(at(40)))
    );

    assert_eq!(first[0].observations.len(), 3);

    let found = async |from, to, project: Option<i64>| {
        let found = living(Lives {
            projects: project.map(|one| vec![one, 99]),
            ..lives(from, to)
        })
        .await;
        found.iter().map(|one| one.iid).collect::<Vec<_>>()
    };

    assert_eq!(
        found(0, 15, None).await,
        [1],
        "a later merge request does not exist yet"
    );

    assert_eq!(found(21, 100, None).await, [2, 3], "an earlier merge ends the lifetime");
    assert_eq!(found(41, 100, None).await, [2], "an open merge request stays alive");

    assert_eq!(
        (found(0, 100, Some(7)).await.len(), found(0, 100, Some(8)).await.len()),
        (3, 0)
    );

    let users = store.insights_users().await.expect("found");
    assert_eq!(
        users
            .iter()
            .map(|user| (user.id, user.username.as_str()))
            .collect::<Vec<_>>(),
        [(2, "ida")]
    );

    assert_eq!(
        users[0].name, "Ida 40",
        "of several names at one time, the same one is chosen everywhere"
    );
}

pub(crate) async fn items_of_every_family_join_across_batches(fixture: Fixture) {
    let store = &fixture.store;
    let time = |second: u64| {
        jiff::Timestamp::from_microsecond(at(second).as_micros())
            .expect("in range")
            .to_string()
    };

    let issue = |action: &str, second: u64, closed: Option<u64>| {
        let attributes = json!({"iid": 3, "author_id": 1, "created_at": time(1), "updated_at": time(second), "action": action,
            "state": if closed.is_some() { "closed" } else { "opened" }, "closed_at": closed.map(time)});
        (
            Trigger::by_name("issue_hooks").expect("a row"),
            json!({"project": {"id": 7}, "object_attributes": attributes}),
        )
    };

    let pipeline = |status: &str, job: i64, started: u64, ended: Option<u64>| {
        let attributes = json!({"id": 31, "status": status, "created_at": time(1), "finished_at": ended.map(time)});
        let build = json!({"id": job, "name": "test", "status": status, "started_at": time(started), "finished_at": ended.map(time)});
        let body = json!({"project": {"id": 7}, "object_attributes": attributes, "builds": [build]});
        (Trigger::by_name("pipeline_hooks").expect("a row"), body)
    };

    let deployment = |status: &str, second: u64| {
        let body = json!({"deployment_id": 9, "status": status, "status_changed_at": time(second), "environment": "prod",
            "project": {"id": 7}});
        (Trigger::by_name("deployment_hooks").expect("a row"), body)
    };

    let push = |before: &str, after: &str| {
        let body = json!({"ref": "refs/heads/x", "before": before, "after": after, "user_id": 2, "project": {"id": 7}});
        (Trigger::PUSH, body)
    };

    let all = [
        issue("open", 1, None),
        issue("close", 20, Some(20)),
        pipeline("failed", 1, 5, Some(10)),
        pipeline("running", 2, 20, None),
        pipeline("success", 2, 20, Some(30)),
        deployment("running", 35),
        deployment("success", 40),
        push("000", "a"),
        push("a", "b"),
        push("b", "000"),
    ];
    for one in all.iter().rev() {
        project(store, std::slice::from_ref(one)).await;
    }

    let lives = Lives {
        from: at(0),
        to: at(100),
        projects: Some(vec![7]),
    };

    let shown = async |window| {
        let mut shown = Vec::new();
        let families = [
            Family::Issues,
            Family::Pipelines,
            Family::Jobs,
            Family::Deployments,
            Family::Branches,
        ];
        for family in families {
            shown.extend(store.items(family, Lives::clone(&window)).await.expect("found"));
        }

        shown
    };
    let first = shown(lives.clone()).await;
    project(store, &all).await;
    assert_eq!(shown(lives.clone()).await, first, "repetition changes nothing");

    let [
        Item::Issue(issue),
        Item::Pipeline(pipeline),
        Item::Job(failed),
        Item::Job(passed),
        Item::Deployment(out),
        Item::Branch(branch),
    ] = first.as_slice()
    else {
        panic!("{first:?}")
    };

    assert_eq!(issue.closed_at(), Some(at(20)));
    assert_eq!(
        (pipeline.end().map(|end| end.at), pipeline.first_end.map(|end| end.at)),
        (Some(at(30)), Some(at(10)))
    );

    assert_eq!([failed, passed].map(|job| (job.id, job.pipeline)), [(1, 31), (2, 31)]);
    assert!(out.is_out() && out.at() == at(40));

    let moves = store.moves(Some(vec![7]), at(0), at(100)).await.expect("found");
    assert!(moves.iter().all(|push| push.branch() == branch.number()) && moves.iter().any(|push| push.is_deletion()));

    assert_eq!(
        (
            moves.len(),
            store.items(Family::Pushes, lives.clone()).await.expect("found").len()
        ),
        (3, 3)
    );

    assert_eq!(
        (
            store.moves(None, at(0), at(100)).await.expect("found").len(),
            store.moves(Some(vec![8]), at(0), at(100)).await.expect("found").len()
        ),
        (3, 0)
    );

    let left = shown(Lives {
        from: at(50),
        ..lives.clone()
    })
    .await;
    assert_eq!(left, [Item::Branch(branch.clone())], "the other items have ended");

    assert_eq!(
        shown(Lives {
            projects: Some(vec![8]),
            ..lives
        })
        .await,
        []
    );
}

pub(crate) async fn a_document_is_replaced_only_at_its_current_version(fixture: Fixture) {
    let store = &fixture.store;
    assert_eq!(store.document(Document::Roster).await.expect("read"), None);

    assert!(
        !store
            .put_document(Document::Roster, 3, b"late".to_vec())
            .await
            .expect("asked"),
        "there is no document at this version"
    );

    assert!(
        store
            .put_document(Document::Roster, 0, b"one".to_vec())
            .await
            .expect("written")
    );

    assert!(
        !store
            .put_document(Document::Roster, 0, b"other".to_vec())
            .await
            .expect("asked"),
        "another writer was faster"
    );

    assert_eq!(
        store.document(Document::Roster).await.expect("read"),
        Some((1, b"one".to_vec()))
    );

    assert!(
        store
            .put_document(Document::Roster, 1, b"two".to_vec())
            .await
            .expect("written")
    );

    assert!(
        !store
            .put_document(Document::Roster, 1, b"three".to_vec())
            .await
            .expect("asked")
    );

    assert_eq!(
        store.document(Document::Roster).await.expect("read"),
        Some((2, b"two".to_vec()))
    );

    // A document that an older version emptied is read as absent, and not as damaged.
    assert!(
        store
            .put_document(Document::Roster, 2, Vec::new())
            .await
            .expect("written")
    );

    let read: Roster = documents::read(store, Document::Roster).await.expect("read");
    assert_eq!(read, Roster::default());
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
    store.swap_insights(&shadow).await.expect("swapped");
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
