//! Checks of gaps in what was received.

use quickdraw_domain::Trigger;
use quickdraw_domain::scope::Place;
use quickdraw_insights::facts;
use quickdraw_insights::gaps::{After, Gap, Sequence};
use quickdraw_store::insights::{Projected, Projects};
use serde_json::json;

use crate::fixture::{Fixture, at, event};
use crate::insights::project;

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
