//! Checks of items: merge requests, issues, pipelines and others.

use quickdraw_domain::Trigger;
use quickdraw_insights::entity::{Family, Item};
use quickdraw_insights::merge_requests::MergeRequest;
use quickdraw_store::insights::Lives;
use serde_json::json;

use crate::fixture::{Fixture, at};
use crate::insights::project;

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
