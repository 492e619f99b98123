//! Tests of the examples in the definitions. Each also runs with its events shuffled and repeated.

use std::collections::HashMap;

use jiff::tz::TimeZone;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::branches::Push;
use super::commits::{Author, Commit, Metric};
use super::entity::{Entity, Item};
use super::report::{Cell, CommitReport, Row, burst_share, report, work_balance};
use super::{Fact, facts};
use quickdraw_domain::{Timestamp, Trigger};

/// A plain second implementation of the joins in a store.
#[derive(Default)]
struct Joined {
    commits: HashMap<(i64, String), Commit>,
    pushes: HashMap<(i64, String, String), Push>,
    merges: Vec<(i64, String)>,
}

impl Joined {
    fn of(events: &[(Trigger, Value)]) -> Self {
        let mut joined = Self::default();
        for (trigger, body) in events {
            let facts = facts(
                *trigger,
                Timestamp::from_seconds(1_767_225_600),
                body.to_string().as_bytes(),
            );
            for fact in facts.expect("the body is JSON") {
                joined.join(fact);
            }
        }

        joined
    }

    fn join(&mut self, fact: Fact) {
        match fact {
            Fact::Commit(mut commit) => {
                let key = (commit.project, commit.sha.clone());
                commit.is_merge_commit = self.merges.contains(&key);

                let known = self.commits.remove(&key);
                self.commits.insert(
                    key,
                    known.map_or_else(|| (*commit).clone(), |known| known.join((*commit).clone())),
                );
            }

            Fact::Item(item) => {
                let Item::Push(push) = *item else { return };
                self.pushes
                    .insert((push.project, push.before.clone(), push.after.clone()), push);
            }
            Fact::MergeCommit { project, sha } => {
                if let Some(commit) = self.commits.get_mut(&(project, sha.clone())) {
                    commit.is_merge_commit = true;
                }

                self.merges.push((project, sha));
            }
            // The tests of the store cover the other facts.
            _ => {}
        }
    }

    fn report(&self, zone: &TimeZone) -> CommitReport {
        let mut authors: Vec<&Author> = self.commits.values().map(|commit| &commit.details.author).collect();
        authors.sort();
        authors.dedup();

        let identity = |commit: &Commit| {
            let at = authors
                .binary_search(&&commit.details.author)
                .expect("every author was collected");
            i64::try_from(at).expect("few authors")
        };

        let cells: Vec<Cell> = self
            .commits
            .values()
            .flat_map(|commit| {
                let (at, identity) = (commit.at(), identity(commit));
                commit.contribution().into_iter().map(move |(metric, value)| Cell {
                    at,
                    metric,
                    identity,
                    value,
                })
            })
            .collect();

        let rows: Vec<Row> = self
            .commits
            .values()
            .filter_map(|commit| Row::of(commit, identity(commit)))
            .collect();

        report(&cells, &rows, zone)
    }

    fn unlisted(&self) -> i64 {
        self.pushes.values().map(|push| push.total - push.listed).sum()
    }
}

fn commit(sha: &str, message: &str, at: &str, added: &[&str], modified: &[&str]) -> Value {
    json!({"id": sha, "message": message, "timestamp": at, "author": {"name": "Ann", "email": "Ann@example.com"},
        "added": added, "modified": modified, "removed": []})
}

fn plain(sha: &str) -> Value {
    commit(sha, &format!("work {sha}"), "2026-05-04T10:00:00Z", &[], &[sha])
}

fn push(branch: &str, before: &str, after: &str, commits: &[Value]) -> (Trigger, Value) {
    let body = json!({"object_kind": "push", "ref": format!("refs/heads/{branch}"), "before": before, "after": after,
        "project": {"id": 7, "default_branch": "main"}, "commits": commits, "total_commits_count": commits.len()});
    (Trigger::PUSH, body)
}

fn merge(sha: &str) -> (Trigger, Value) {
    let attributes =
        json!({"iid": 1, "action": "merge", "state": "merged", "target_project_id": 7, "merge_commit_sha": sha});
    (
        Trigger::MERGE_REQUEST,
        json!({"object_kind": "merge_request", "project": {"id": 7}, "object_attributes": attributes}),
    )
}

/// Checks the expectation with the events as given, reversed, and repeated.
fn check(events: &[(Trigger, Value)], expect: impl Fn(&CommitReport, i64)) {
    let reversed: Vec<_> = events.iter().rev().cloned().collect();
    let repeated: Vec<_> = events.iter().chain(&reversed).chain(events).cloned().collect();

    for order in [events, &reversed, &repeated] {
        let joined = Joined::of(order);
        expect(&joined.report(&TimeZone::UTC), joined.unlisted());
    }
}

#[test]
fn a_commit_counts_once_and_a_merge_commit_apart() {
    let (c1, c2, m) = (plain("c1"), plain("c2"), plain("m"));
    let events = [
        push("feat", "A", "B", &[c1.clone(), c2.clone()]),
        push("main", "S", "M", &[c1, c2, m]),
        merge("m"),
    ];
    check(&events, |report, _| {
        assert_eq!((report.commits, report.merge_commits), (2, 1))
    });
}

#[test]
fn a_squash_lands_one_commit_beside_the_activity_on_the_branch() {
    let merge_message = commit("m", "Merge branch 'x' into 'main'", "2026-05-04T11:00:00Z", &[], &[]);
    let events = [
        push("x", "0", "d2", &[plain("d1"), plain("d2")]),
        push("main", "S", "m", &[plain("s"), merge_message]),
    ];
    check(&events, |report, _| {
        assert_eq!((report.commits, report.commits_landed), (3, 1))
    });
}

#[test]
fn a_rebased_change_is_one_unique_change() {
    let d = |sha: &str, n: u8, at: &str| commit(sha, &format!("change {n}"), at, &[], &["a"]);
    let first = [d("d1", 1, "2026-05-04T10:00:00Z"), d("d2", 2, "2026-05-04T10:05:00Z")];
    let again = [d("e1", 1, "2026-05-05T10:00:00Z"), d("e2", 2, "2026-05-05T10:05:00Z")];
    let events = [push("x", "0", "d2", &first), push("x", "d2", "e2", &again)];

    check(&events, |report, _| {
        assert_eq!((report.commits, report.unique_changes), (4, 2))
    });
}

#[test]
fn commits_beyond_the_twenty_listed_are_an_upper_bound() {
    let listed: Vec<Value> = (0..20).map(|n| plain(&format!("c{n}"))).collect();
    let mut first = push("x", "0", "tip", &listed);
    first.1["total_commits_count"] = json!(30);

    let mut second = push("y", "0", "tip", &listed);
    second.1["total_commits_count"] = json!(30);
    check(&[first, second], |report, unlisted| {
        assert_eq!((report.commits, unlisted), (20, 10))
    });
}

#[test]
fn files_are_summed_and_touched_ones_are_distinct() {
    let at = "2026-05-04T10:00:00Z";
    let commits = [
        commit("c1", "1", at, &["a"], &["b"]),
        commit("c2", "2", at, &[], &["a", "b"]),
    ];

    check(&[push("x", "0", "c2", &commits)], |report, _| {
        let files = (
            report.files_added,
            report.files_modified,
            report.files_removed,
            report.files_touched,
        );
        assert_eq!(files, (1, 3, 0, 2));
    });
}

#[test]
fn active_days_are_local_days() {
    let zone = TimeZone::get("Europe/Bratislava").expect("the database is bundled");
    let times = [
        "2026-05-04T00:30:00+02:00",
        "2026-05-04T23:50:00+02:00",
        "2026-05-05T00:10:00+02:00",
    ];
    let commits: Vec<Value> = times.iter().map(|at| commit(at, at, at, &[], &[])).collect();
    let report = Joined::of(&[push("x", "0", "c", &commits)]).report(&zone);

    assert_eq!(report.active_days.values().copied().collect::<Vec<_>>(), [2]);
}

#[test]
fn one_commit_lies_in_three_hours_of_the_week() {
    let zone = TimeZone::get("Europe/Bratislava").expect("the database is bundled");
    let commits = [commit("c", "c", "2026-05-03T20:15:00-07:00", &[], &[])];
    let report = Joined::of(&[push("x", "0", "c", &commits)]).report(&zone);
    assert_eq!(report.week_in_zone[0][5], 1, "Monday 05 in the reporting zone");
    assert_eq!(report.week_author_local[6][20], 1, "Sunday 20 on the author's clock");
    assert_eq!(report.week_in_utc[0][3], 1, "Monday 03 in UTC");
}

#[test]
fn balance_and_burst_follow_their_examples() {
    assert_eq!(work_balance(&[5, 1, 0, 2]), Some(0.5));
    assert_eq!(work_balance(&[0, 0]), None);

    let first: jiff::civil::Date = "2026-05-01".parse().expect("a date");
    let day = |n: i64| first.checked_add(jiff::Span::new().days(n - 1)).expect("in range");
    let by_day = [(day(1), 2), (day(9), 4), (day(10), 2)].into_iter().collect();
    assert_eq!(burst_share(&by_day, first, 10), Some(0.75));
    assert_eq!(super::report::working_days(first, 10), 6);
}

#[test]
fn a_push_without_a_project_counts_under_no_project_by_its_receipt() {
    let body = json!({"object_kind": "push", "ref": "refs/heads/main",
        "commits": [{"id": "test123", "message": "Test commit", "author": {"name": "Test", "email": "test@example.com"}}]});
    let joined = Joined::of(&[(Trigger::PUSH, body)]);
    let commit = joined.commits.get(&(0, "test123".to_owned())).expect("it counts");
    assert_eq!(
        (commit.at(), commit.details.undated),
        (Timestamp::from_seconds(1_767_225_600), true)
    );

    assert_eq!(commit.contribution(), [(Metric::Commits, 1)]);
}

proptest! {
    #[test]
    fn any_order_and_any_repetition_give_the_same_report(order in proptest::collection::vec(0_usize..6, 6..30)) {
        let late = commit("c1", "work c1", "2026-05-04T10:00:00Z", &["x"], &[]);
        let undated = json!({"id": "c1", "message": "other", "author": {"name": "B", "email": "b@x"}});
        let events = [
            push("feat", "A", "B", &[plain("c1"), plain("c2")]),
            push("main", "S", "M", &[plain("c2"), plain("m")]),
            merge("m"),
            push("feat", "B", "C", &[late, plain("c3")]),
            push("feat", "C", "D", &[undated]),
            (Trigger::PUSH, json!({"commits": [{"id": 5}, null, {"id": "x", "timestamp": "nonsense"}]})),
        ];
        let all = events.to_vec();
        let shuffled: Vec<_> = order.iter().map(|n| events[*n].clone()).chain(all.iter().rev().cloned()).collect();
        let (ours, theirs) = (Joined::of(&all), Joined::of(&shuffled));
        prop_assert_eq!(&ours.commits, &theirs.commits);
        prop_assert_eq!(ours.report(&TimeZone::UTC), theirs.report(&TimeZone::UTC));
    }
}
