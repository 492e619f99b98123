//! Checks of the queries behind the gauges of current state.

use std::collections::BTreeMap;

use quickdraw_domain::scope::Place;
use quickdraw_domain::{Timestamp, Trigger};
use quickdraw_insights::branches::Moves;
use quickdraw_insights::commits::Author;
use quickdraw_insights::entity::{Entity, Family, Item};
use quickdraw_insights::facts;
use quickdraw_store::SharedStore;
use quickdraw_store::insights::{CommitFilter, Projected};
use quickdraw_store::overview::Piece;
use serde_json::{Value, json};

use crate::fixture::{Fixture, at, event};

const HOUR: i64 = 3_600_000_000;

async fn project(store: &SharedStore, second: u64, trigger: Trigger, body: &Value) {
    let mut new = event(Place::Elsewhere, body.to_string().as_bytes());
    new.counts = true;

    let id = store.append_events(vec![new]).await.expect("appended")[0].id();
    let facts = facts(trigger, at(second), body.to_string().as_bytes()).map_err(|error| error.to_string());
    store
        .apply_facts(vec![Projected { event: id, facts }])
        .await
        .expect("applied");
}

fn time(second: u64) -> String {
    jiff::Timestamp::from_microsecond(at(second).as_micros())
        .expect("in range")
        .to_string()
}

fn piece(family: Family, from: u64, to: u64) -> Piece {
    Piece {
        family,
        from: at(from),
        to: at(to),
        first: i64::MIN,
        last: i64::MAX,
    }
}

pub(crate) async fn sums_of_commits_agree_with_the_facts(fixture: Fixture) {
    let store = &fixture.store;
    for number in 0..40_u64 {
        let message = if number % 10 == 9 { "Merge branch 'x'" } else { "m" };
        let author = json!({ "name": format!("Author {}", number % 3), "email": "a@x.example" });
        let commit = json!({ "id": format!("c{number}"), "message": message, "timestamp": time(number * 300), "author": author });
        let body = json!({ "ref": "refs/heads/x", "before": "a", "after": format!("c{number}"),
            "project": { "id": 7 + number % 2 }, "commits": [commit] });

        project(store, 0, Trigger::PUSH, &body).await;
    }

    type Counts = BTreeMap<(i64, Author, Timestamp), i64>;

    for (from, to) in [
        (0, 12_000),
        (1, 11_999),
        (900, 1_000),
        (2_000, 2_900),
        (1_500, 5_000),
        (20_000, 30_000),
    ] {
        let mut counts = Counts::new();
        for one in store
            .commit_counts(piece(Family::Commits, from, to))
            .await
            .expect("counted")
        {
            let before = counts.insert((one.project, one.author, one.hour), one.commits);
            assert_eq!(before, None, "each hour appears once");
        }

        let mut facts = Counts::new();
        let filter = CommitFilter {
            from: at(from),
            to: at(to),
            projects: None,
            identities: None,
        };

        for commit in store.commits(filter).await.expect("found") {
            if commit.is_merge() {
                continue;
            }

            let hour = Timestamp::from_micros(commit.at().as_micros().div_euclid(HOUR) * HOUR);
            *facts.entry((commit.project, commit.details.author, hour)).or_default() += 1;
        }

        assert_eq!(counts, facts, "from {from} to {to}");
    }

    let of_one = Piece {
        first: 8,
        last: 8,
        ..piece(Family::Commits, 0, 12_000)
    };
    let counts = store.commit_counts(of_one).await.expect("counted");

    assert_eq!(
        (
            counts.iter().map(|one| one.commits).sum::<i64>(),
            counts.iter().all(|one| one.project == 8)
        ),
        (16, true)
    );

    let bytes = store
        .bytes_by_project(piece(Family::Commits, 0, 12_000))
        .await
        .expect("weighed");
    assert_eq!(bytes.iter().map(|(project, _)| *project).collect::<Vec<_>>(), [7, 8]);
}

pub(crate) async fn the_newest_items_are_read_within_a_budget(fixture: Fixture) {
    let store = &fixture.store;
    let merge_request_hooks = Trigger::by_name("merge_request_hooks").expect("a row");

    for (iid, merged) in [(1, Some(40)), (2, Some(20)), (3, None), (4, Some(30))] {
        let (action, state) = if merged.is_some() {
            ("merge", "merged")
        } else {
            ("open", "opened")
        };

        let attributes = json!({ "iid": iid, "target_project_id": 7, "author_id": 1, "created_at": time(1),
            "updated_at": time(merged.unwrap_or(10)), "action": action, "state": state });
        let body = json!({ "project": { "id": 7 }, "object_attributes": attributes });
        project(store, 50, merge_request_hooks, &body).await;
    }

    let all = piece(Family::MergeRequests, 0, 100);
    let bytes = store.bytes_by_project(all).await.expect("weighed");
    let [(7, bytes)] = bytes.as_slice() else {
        panic!("{bytes:?}")
    };
    let bytes = usize::try_from(*bytes).expect("a size");

    let read = async |piece, bytes| {
        let (items, has_more) = store.newest_items(piece, bytes).await.expect("read");
        let number = |item: &Item| if let Item::MergeRequest(one) = item { one.iid } else { 0 };
        (items.iter().map(number).collect::<Vec<_>>(), has_more)
    };

    assert_eq!(
        read(all, bytes).await,
        (vec![3, 1, 4, 2], false),
        "open items first, and then the last ended ones"
    );

    assert_eq!(read(all, bytes - 1).await, (vec![3, 1, 4], true));
    assert_eq!(read(all, 0).await, (vec![], true));
    assert_eq!(read(Piece { first: 8, ..all }, bytes).await, (vec![], false));
    assert_eq!(read(piece(Family::Jobs, 0, 100), bytes).await, (vec![], false));
}

pub(crate) async fn branches_are_listed_in_pages_with_the_moves_of_deleted_branches(fixture: Fixture) {
    let store = &fixture.store;
    let zeros = "0".repeat(40);

    for (second, project_number, branch, before, after) in [
        (1, 7, "gone", zeros.as_str(), "a"),
        (2, 7, "stays", zeros.as_str(), "b"),
        (3, 7, "gone", "a", zeros.as_str()),
        (4, 8, "again", "x", zeros.as_str()),
        (5, 8, "again", zeros.as_str(), "y"),
        (6, 9, "other", "x", "y"),
        (50, 7, "late", "x", "y"),
    ] {
        let body = json!({ "ref": format!("refs/heads/{branch}"), "before": before, "after": after,
            "project": { "id": project_number }, "commits": [] });
        project(store, second, Trigger::PUSH, &body).await;
    }

    let mut found = Vec::new();
    let mut behind = (7, i64::MIN);

    loop {
        let page = store
            .branches_after(
                Piece {
                    last: 8,
                    ..piece(Family::Branches, 0, 40)
                },
                behind,
                2,
            )
            .await;
        let page = page.expect("a page");
        let Some(last) = page.last() else { break };

        behind = last.branch.key();
        found.extend(page);
    }

    let mut shown = Vec::new();
    for one in &found {
        let mut moves = Moves::default();
        one.moves.iter().for_each(|push| moves.add(push));
        moves.sort();
        shown.push((one.branch.git_ref.as_str(), one.moves.len(), moves.deleted_at(at(40))));
    }

    shown.sort_unstable();

    let deleted = ("refs/heads/gone", 2, Some(at(3)));
    assert_eq!(
        shown,
        [("refs/heads/again", 2, None), deleted, ("refs/heads/stays", 0, None)]
    );
}
