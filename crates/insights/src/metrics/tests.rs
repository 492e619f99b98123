//! Examples of the definitions with several items, days of a zone, labels, or the definition of another tool.

mod choices;
mod contributors;
mod sources;

use serde_json::{Value, json};

use super::*;
use crate::deployments::By;
use crate::people::{Times, Whose};
use crate::reviews::{self, Pair};
use crate::roster::{Handle, Mark, Resolver, Roster};
use crate::{Fact, facts};
use quickdraw_domain::Trigger;

/// All items and commits in the bodies.
fn items_of(events: &[(&str, Value)]) -> Vec<Item> {
    let mut all: std::collections::BTreeMap<(Family, (i64, i64)), Item> = Default::default();
    for (number, (trigger, body)) in events.iter().enumerate() {
        let at = Timestamp::from_seconds(1_772_323_200 + i64::try_from(number).expect("few"));
        let trigger = Trigger::by_name(trigger).expect("a row");

        for fact in facts(trigger, at, body.to_string().as_bytes()).expect("JSON") {
            let item = match fact {
                Fact::Item(item) => *item,
                Fact::Commit(commit) => Item::Commit(*commit),
                _ => continue,
            };

            use crate::entity::Entity;

            let key = (item.family(), item.key());
            let known = all.remove(&key);
            all.insert(
                key,
                known.map_or_else(|| item.clone(), |known| known.join(item.clone())),
            );
        }
    }

    all.into_values().collect()
}

/// The value of a metric in the ten days from 2026-03-01, in Bratislava.
fn measured(name: &str, events: &[(&str, Value)], label: Option<&str>) -> Summary {
    let only: Vec<_> = label.map(|label| (Trait::Label, label)).into_iter().collect();
    measured_of(name, events, &only, People::default())
}

/// The same for some people and with filters.
fn measured_of(name: &str, events: &[(&str, Value)], only: &[(Trait, &str)], people: People) -> Summary {
    let zone = TimeZone::get("Europe/Bratislava").expect("a zone");
    let only = only.iter().map(|(of, wanted)| (*of, (*wanted).to_owned())).collect();

    measured_with(
        name,
        events,
        Choice {
            zone,
            only,
            ..Choice::default()
        },
        people,
    )
}

/// The same with other options.
fn measured_with(name: &str, events: &[(&str, Value)], choice: Choice, people: People) -> Summary {
    let metric = Metric::by_name(name).expect("a metric");
    let (items, others): (Vec<Item>, Vec<Item>) = items_of(events)
        .into_iter()
        .partition(|item| item.family() == metric.family());
    let items = Items::new(items, others, people, choice);
    let from = Timestamp::from_seconds(1_772_319_600);

    items.metric(metric, from, from.plus(Duration::from_secs(10 * 86_400)), 10.0)
}

fn commit(sha: &str, at: &str, modified: &[&str]) -> Value {
    json!({ "id": sha, "message": sha, "timestamp": at, "author": { "name": "Ida", "email": "i@x" }, "modified": modified })
}

fn push(branch: &str, (before, after): (&str, &str), total: usize, commits: &[Value]) -> (&'static str, Value) {
    let body = json!({ "ref": format!("refs/heads/{branch}"), "before": before, "after": after, "project": { "id": 7 },
        "total_commits_count": total, "commits": commits });
    ("push_hooks", body)
}

fn merge_request(iid: i64, created: &str, merged: &str, more: Value) -> (&'static str, Value) {
    let mut attributes = json!({ "iid": iid, "source_project_id": 7, "target_project_id": 7, "author_id": 1, "created_at": created,
        "updated_at": merged, "action": "merge", "state": "merged", "source_branch": "feat" });
    attributes
        .as_object_mut()
        .expect("an object")
        .extend(more.as_object().expect("an object").clone());

    (
        "merge_request_hooks",
        json!({ "project": { "id": 7 }, "object_attributes": attributes }),
    )
}

fn issue(iid: i64, at: &str, labels: &[&str]) -> (&'static str, Value) {
    let labels: Vec<Value> = labels.iter().map(|title| json!({ "title": title })).collect();
    let attributes = json!({ "iid": iid, "created_at": "2026-03-02 08:00:00 UTC", "updated_at": at, "action": "update",
        "state": "opened", "labels": labels });
    (
        "issue_hooks",
        json!({ "project": { "id": 7 }, "object_attributes": attributes }),
    )
}

#[test]
fn days_are_those_of_the_zone() {
    let commits = [
        commit("a", "2026-03-02T00:30:00+01:00", &[]),
        commit("b", "2026-03-02T22:50:00Z", &[]),
        commit("c", "2026-03-02T23:10:00Z", &[]),
    ];
    assert_eq!(
        measured("active_days", &[push("main", ("0", "c"), 3, &commits)], None).value,
        Some(2.0)
    );

    let deployed = |id: i64, at: &str| {
        (
            "deployment_hooks",
            json!({ "deployment_id": id, "status": "success", "environment": "production",
            "status_changed_at": at, "project": { "id": 7 } }),
        )
    };

    let all = [
        deployed(1, "2026-03-02 22:50:00 UTC"),
        deployed(2, "2026-03-02 23:10:00 UTC"),
        deployed(3, "2026-03-03 09:00:00 UTC"),
    ];
    assert_eq!(measured("deployment_days", &all, None).value, Some(2.0));
    assert_eq!(measured("deployment_frequency", &all, None).value, Some(0.3));
    assert_eq!(measured("deployment_frequency.devlake", &all, None).value, Some(0.2));
}

/// Ten days with eight commits, six of them on the last two days.
#[test]
fn a_burst_is_in_the_last_fifth_of_the_days() {
    let day = |n: usize, sha: &str| commit(sha, &format!("2026-03-{n:02}T12:00:00Z"), &[]);
    let commits: Vec<Value> = [1, 8, 9, 9, 9, 10, 10, 10]
        .iter()
        .enumerate()
        .map(|(at, n)| day(*n, &format!("c{at}")))
        .collect();

    assert_eq!(
        measured("burst_share", &[push("main", ("0", "c7"), 8, &commits)], None).value,
        Some(0.75)
    );
}

/// A push has thirty commits, and its body lists twenty. A second branch with the same tip lists the same twenty.
#[test]
fn unlisted_commits_of_a_push_count_once() {
    let listed: Vec<Value> = (0..20)
        .map(|n| commit(&format!("c{n}"), "2026-03-02T12:00:00Z", &[]))
        .collect();
    let all = [
        push("one", ("0", "c19"), 30, &listed),
        push("two", ("0", "c19"), 30, &listed),
        push("one", ("c19", "d"), 1, &listed[..1]),
    ];
    assert_eq!(measured("commits_unlisted", &all, None).value, Some(10.0));
    assert_eq!(measured("commits", &all, None).value, Some(20.0));

    assert_eq!(
        measured("commits.gitlab", &all, None).value,
        Some(61.0),
        "once for every push"
    );
}

#[test]
fn the_files_of_a_merge_request_are_those_of_its_branch() {
    let at = "2026-03-02T12:00:00Z";
    let merged = merge_request(5, "2026-03-01 08:00:00 UTC", "2026-03-02 13:00:00 UTC", json!({}));

    let all = [
        // An earlier branch with the same name.
        push("feat", ("0", "x"), 1, &[commit("x", at, &["elsewhere"])]),
        push("feat", ("x", "0"), 0, &[]),
        push(
            "feat",
            ("0", "b"),
            2,
            &[commit("a", at, &["knots", "rope"]), commit("b", at, &["rope"])],
        ),
        push("feat", ("b", "c"), 1, &[commit("c", at, &["gear"])]),
        push("other", ("0", "d"), 1, &[commit("d", at, &["other"])]),
        merged.clone(),
    ];
    let found = measured("mr_files", &all, None);
    assert_eq!((found.value, found.samples), (Some(3.0), 1));

    assert_eq!(
        measured("mr_files", &[merged], None).samples,
        0,
        "nothing is known of its branch"
    );

    let of_fork = merge_request(
        6,
        "2026-03-01 08:00:00 UTC",
        "2026-03-02 13:00:00 UTC",
        json!({ "source_project_id": 8 }),
    );

    assert_eq!(
        measured("mr_files", &[all[2].clone(), of_fork], None).samples,
        0,
        "branches of forks are unknown"
    );
}

#[test]
fn a_rebase_adds_no_files_of_the_target_branch() {
    let at = "2026-03-02T12:00:00Z";
    let paths = |sha: &str, modified: &[&str]| commit(sha, at, modified);
    let of_main = [paths("m1", &["one", "two", "three"]), paths("m2", &["four", "five"])];
    let (a, b) = (paths("a2", &["knots"]), paths("b2", &["rope"]));
    let squashed = json!({ "target_branch": "main", "merge_commit_sha": "m", "last_commit": { "id": "b2" } });

    let all = [
        push("feat", ("0", "b"), 2, &[paths("a", &["knots"]), paths("b", &["rope"])]),
        push("main", ("s", "m2"), 2, &of_main),
        // The forced push also lists the commits that main got in the meantime.
        push(
            "feat",
            ("b", "b2"),
            4,
            &[of_main[0].clone(), of_main[1].clone(), a.clone(), b.clone()],
        ),
        push("main", ("m2", "m"), 3, &[a, b, paths("m", &["knots", "rope"])]),
        merge_request(5, "2026-03-01 08:00:00 UTC", "2026-03-02 13:00:00 UTC", squashed),
    ];
    let found = measured("mr_files", &all, None);
    assert_eq!((found.value, found.samples), (Some(2.0), 1));

    let backwards: Vec<_> = all.iter().rev().cloned().collect();
    assert_eq!(
        measured("mr_files", &backwards, None).value,
        Some(2.0),
        "in the reverse order"
    );
}

#[test]
fn pushes_that_come_after_the_merge_still_have_its_files() {
    let at = "2026-02-28T23:10:00Z";

    // Bodies are received from midnight on.
    let merged = |head: &str| {
        let more = json!({ "target_branch": "main", "last_commit": { "id": head } });
        merge_request(5, "2026-02-28 23:05:00 UTC", "2026-02-28 23:30:00 UTC", more)
    };

    let pushes = [
        push("feat", ("0", "a"), 1, &[commit("a", at, &["knots"])]),
        push("feat", ("a", "b"), 1, &[commit("b", at, &["rope"])]),
        // The branch gets more commits after the merge.
        push("feat", ("b", "c"), 1, &[commit("c", at, &["gear"])]),
    ];
    let with = |head: &str| [&pushes[..], &[merged(head)]].concat();
    assert_eq!(measured("mr_files", &with("b"), None).value, Some(2.0));

    assert_eq!(
        measured("mr_files", &with("unknown"), None).value,
        Some(3.0),
        "not exact: the last commit is unknown"
    );
}

#[test]
fn labels_filter_issues_and_have_times() {
    let all = [
        issue(1, "2026-03-02 09:00:00 UTC", &["doing"]),
        issue(1, "2026-03-02 10:00:00 UTC", &[]),
        issue(1, "2026-03-02 12:00:00 UTC", &["doing", "bug"]),
        issue(1, "2026-03-02 14:00:00 UTC", &["bug"]),
        issue(2, "2026-03-02 09:00:00 UTC", &["doing"]),
        issue(3, "2026-03-02 09:00:00 UTC", &[]),
    ];
    let time = measured("label_time", &all, Some("doing"));

    assert_eq!(
        (time.percentiles[0], time.samples),
        (Some(10_800.0), 1),
        "issue 2 still has the label"
    );

    let opened = |label| measured("issues_opened", &all, label).value;
    assert_eq!(
        [None, Some("doing"), Some("bug"), Some("none")].map(opened),
        [Some(3.0), Some(1.0), Some(1.0), Some(0.0)]
    );

    assert_eq!(measured("label_time", &all, None).samples, 0);

    let major = [
        issue(9, "2026-03-02 09:00:00 UTC", &["incident::major"]),
        issue(9, "2026-03-02 10:00:00 UTC", &[]),
    ];

    assert_eq!(
        measured("incidents", &major, None).value,
        Some(1.0),
        "an incident stays one without the label"
    );

    assert_eq!(measured("issues_opened", &major, None).value, Some(0.0));
}

#[test]
fn definitions_of_other_tools_give_other_numbers() {
    let all = [
        merge_request(1, "2026-03-02 08:00:00 UTC", "2026-03-02 10:00:00 UTC", json!({})),
        merge_request(2, "2026-03-02 08:00:00 UTC", "2026-03-02 18:00:00 UTC", json!({})),
        // The third was created before the window and merged in it. The fourth was created in it and merged later.
        merge_request(3, "2026-02-20 08:00:00 UTC", "2026-03-03 08:00:00 UTC", json!({})),
        merge_request(4, "2026-03-09 08:00:00 UTC", "2026-03-20 08:00:00 UTC", json!({})),
    ];
    let median = |name: &str| measured(name, &all[..3], None).percentiles[0];
    assert_eq!(median("time_to_merge"), Some(36_000.0), "the middle one of three");

    assert_eq!(
        (median("time_to_merge.chaoss"), median("time_to_merge.devlake")),
        (Some(21_600.0), Some(7_200.0))
    );

    assert_eq!(measured("time_to_merge.chaoss", &all, None).samples, 3);
    assert_eq!(measured("time_to_merge", &all, None).samples, 3);

    let pipeline = |id: i64, status: &str, source: &str| {
        let attributes = json!({ "id": id, "status": status, "source": source, "created_at": "2026-03-02 08:00:00 UTC",
            "finished_at": "2026-03-02 09:00:00 UTC", "duration": 60 });
        (
            "pipeline_hooks",
            json!({ "project": { "id": 7 }, "object_attributes": attributes }),
        )
    };

    let all = [
        pipeline(1, "success", "push"),
        pipeline(2, "failed", "push"),
        pipeline(3, "canceled", "push"),
        pipeline(4, "skipped", "push"),
        pipeline(5, "success", "parent_pipeline"),
    ];
    let value = |name: &str| measured(name, &all, None).value;
    assert_eq!((value("pipelines"), value("pipelines.gitlab")), (Some(4.0), Some(5.0)));
    assert_eq!(value("pipeline_success_rate"), Some(0.5));
    assert_eq!(value("pipeline_success_rate.gitlab"), Some(0.4));
    assert_eq!(value("pipeline_success_rate.devlake"), Some(0.5), "two of four");
    assert!(Metric::reading("pipelines", Some("gitlab")).is_some_and(|one| one.name == "pipelines.gitlab"));
    assert!(Metric::reading("pipelines", Some("chaoss")).is_some_and(|one| one.name == "pipelines"));
}

/// A team of members with the given accounts, each with an address.
fn team(users: &[i64]) -> People {
    let mut roster = Roster::default();
    let mut times = Times::new();

    for user in users {
        let handles = [format!("#{user}"), format!("u{user}@x")].map(|one| Handle::try_from(one).expect("a handle"));
        let member = roster
            .add_member(&format!("u{user}"), handles.into_iter().collect())
            .expect("added");
        times.insert(
            member,
            vec![(Timestamp::from_seconds(0), Timestamp::from_seconds(2_000_000_000))],
        );
    }

    People::new(Resolver::new(&roster, &[]), &[], Whose::People, Some(times))
}

fn commit_of(user: i64, sha: &str, at: &str) -> Value {
    json!({ "id": sha, "message": sha, "timestamp": at, "author": { "name": "U", "email": format!("u{user}@x") } })
}

/// The weekday and hour of one commit in three zones.
#[test]
fn hours_of_the_week_depend_on_the_zone() {
    let all = [push(
        "main",
        ("0", "a"),
        1,
        &[commit("a", "2026-03-01T20:15:00-07:00", &[])],
    )];

    let places = |name: &str| -> Vec<(usize, usize)> {
        let week = measured(name, &all, None).week.expect("a week");
        let is_there = |(_, count): &((usize, usize), u64)| *count == 1;

        let hours = week
            .iter()
            .enumerate()
            .flat_map(|(day, hours)| hours.iter().enumerate().map(move |(hour, count)| ((day, hour), *count)));
        hours.filter(is_there).map(|(place, _)| place).collect()
    };

    assert_eq!(
        places("time_distribution"),
        [(0, 4)],
        "Monday in Bratislava, UTC+1 in March"
    );

    assert_eq!(places("time_distribution_author"), [(6, 20)], "Sunday");
    assert_eq!(places("time_distribution_utc"), [(0, 3)]);
    assert_eq!(measured("commits", &all, None).week, None);
}

/// Four members with 5, 1, 0 and 2 commits.
#[test]
fn members_without_commits_count_in_the_work_balance() {
    let commits: Vec<Value> = [1, 1, 1, 1, 1, 2, 4, 4]
        .iter()
        .enumerate()
        .map(|(at, user)| commit_of(*user, &format!("c{at}"), &format!("2026-03-{:02}T12:00:00Z", 2 + at)))
        .collect();

    let all = [push("main", ("0", "c7"), 8, &commits)];
    let of = |name: &str, people: People| measured_of(name, &all, &[], people).value;
    assert_eq!(of("work_balance", team(&[1, 2, 3, 4])), Some(0.5));
    assert_eq!(of("work_balance", team(&[3])), None, "there are no commits");

    assert_eq!(
        of("work_balance", People::default()),
        Some(0.333_333_333_333_333_3),
        "among the authors only"
    );

    // The ten days begin on a Sunday, so seven of them are from Monday to Friday.
    assert_eq!(of("coding_days_share", team(&[1])), Some(5.0 / 7.0));
}

#[test]
fn reviews_count_for_their_reviewers() {
    let note = |id: i64, iid: i64, who: i64, at: &str| {
        let on = json!({ "iid": iid, "target_project_id": 7, "author_id": 1, "created_at": "2026-03-02 08:00:00 UTC" });
        let note = json!({ "id": id, "author_id": who, "created_at": at, "system": false });
        let body = json!({ "user": { "id": who, "username": format!("u{who}") }, "project": { "id": 7 },
            "object_attributes": note, "merge_request": on });
        ("note_hooks", body)
    };

    let mut approved = merge_request(
        5,
        "2026-03-02 08:00:00 UTC",
        "2026-03-02 10:00:00 UTC",
        json!({ "action": "approved", "state": "opened" }),
    );
    approved.1["user"] = json!({ "id": 2, "username": "u2" });

    let all = [
        note(1, 5, 2, "2026-03-02 09:00:00 UTC"),
        note(2, 5, 2, "2026-03-02 09:30:00 UTC"),
        note(3, 5, 3, "2026-03-02 09:40:00 UTC"),
        note(4, 6, 2, "2026-03-03 09:00:00 UTC"),
        note(5, 6, 1, "2026-03-03 10:00:00 UTC"),
        approved,
    ];
    let of = |name: &str, people: People| measured_of(name, &all, &[], people).value;
    assert_eq!(of("mr_comments", team(&[2])), Some(3.0));

    assert_eq!(
        (of("mr_reviewed_by", team(&[2])), of("mr_reviewed_by", team(&[2, 3]))),
        (Some(2.0), Some(3.0))
    );

    assert_eq!(
        (of("mr_approved_by", team(&[2])), of("mr_approved_by", team(&[3]))),
        (Some(1.0), Some(0.0))
    );

    assert_eq!(
        of("review_participation", team(&[1, 2, 3, 4])),
        Some(0.5),
        "the author's own comment is not a review"
    );

    assert_eq!(of("review_participation", People::default()), None);
    assert_eq!(
        measured("time_to_first_approval", &all, None).percentiles[0],
        Some(7_200.0)
    );

    let items = items_of(&all);
    let found = reviews::pairs(
        &items
            .iter()
            .filter_map(|item| {
                if let Item::MergeRequest(one) = item {
                    Some(one)
                } else {
                    None
                }
            })
            .collect::<Vec<_>>(),
        &People::default(),
        Timestamp::from_seconds(0),
        Timestamp::from_seconds(2_000_000_000),
    );

    let pair = |reviewer, merge_requests, comments, approvals| Pair {
        author: 1,
        reviewer,
        merge_requests,
        comments,
        approvals,
    };
    assert_eq!(found, [pair(2, 2, 3, 1), pair(3, 1, 1, 0)]);
}
