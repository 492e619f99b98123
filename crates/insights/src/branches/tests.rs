//! Examples of branches and of the chain of deployed commits, also in other orders.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::chain::{Chain, Change, Deployed};
use crate::deployments::Deployment;
use crate::entity::{self, Item};
use crate::metrics;
use crate::people::People;
use quickdraw_domain::{Timestamp, Trigger};

const DAY: i64 = 86_400;

fn commit(sha: &str, text: &str) -> Value {
    let author = json!({ "name": "Ida", "email": "ida@climb.example" });
    json!({ "id": sha, "message": text, "timestamp": "1970-01-11T00:00:00Z", "author": author, "modified": [text] })
}

fn push(branch: &str, before: &str, after: &str, commits: &[Value]) -> Value {
    let git_ref = format!("refs/heads/{branch}");
    json!({ "ref": git_ref, "before": before, "after": after, "commits": commits, "user_id": 9,
        "project": { "id": 7, "default_branch": "main" } })
}

const ZERO: &str = "0000000000000000000000000000000000000000";

/// Receives one body a day.
fn received(bodies: &[Value]) -> Vec<Item> {
    let days = (1..).map(|day| Timestamp::from_seconds(day * DAY));
    entity::joined_at(
        &days
            .zip(bodies)
            .map(|(at, body)| (at, Trigger::PUSH, body.clone()))
            .collect::<Vec<_>>(),
    )
}

fn value(name: &str, all: &[Item]) -> usize {
    let family = metrics::Metric::by_name(name).expect("a metric").family();
    let (items, others) = all.iter().cloned().partition(|item| item.family() == family);
    metrics::given_among(name, items, others).map_or(0, |values| values.len())
}

#[test]
fn the_example_of_a_branch_gives_its_numbers() {
    let (d1, d2) = (commit("d1", "one"), commit("d2", "two"));
    let bodies = [
        push("x", ZERO, "d2", &[d1, d2]),
        push(
            "x",
            "d2",
            "e2",
            &[commit("c1", "of main"), commit("e1", "one"), commit("e2", "two")],
        ),
        push("x", "e2", ZERO, &[]),
    ];
    let all = received(&bodies);

    for (name, expected) in [
        ("pushes", 3),
        ("branches_created", 1),
        ("branches_deleted", 1),
        ("branches_active", 2),
        ("history_rewrites", 1),
        ("branches_open", 0),
        ("stale_branches", 0),
    ] {
        assert_eq!(value(name, &all), expected, "{name}");
    }

    let (branch, pushes) = all.iter().cloned().partition(|item| matches!(item, Item::Branch(_)));
    let lifetime = metrics::given_among("branch_lifetime", branch, pushes);

    assert_eq!(
        lifetime,
        Ok(vec![2 * DAY]),
        "from its creation, which precedes the first commit"
    );

    assert_eq!(value("branches_open", &received(&bodies[..2])), 1);
    assert_eq!(
        value("stale_branches", &received(&bodies[..2])),
        1,
        "nobody committed for years"
    );
}

/// Receives the bodies on the given days.
fn received_on(days: &[i64], bodies: &[Value]) -> Vec<Item> {
    let at = days.iter().map(|day| Timestamp::from_seconds(day * DAY));
    entity::joined_at(
        &at.zip(bodies)
            .map(|(at, body)| (at, Trigger::PUSH, body.clone()))
            .collect::<Vec<_>>(),
    )
}

const ORDERS: [[i64; 3]; 6] = [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]];

fn pushes(all: &[Item]) -> Vec<&Push> {
    all.iter()
        .filter_map(|item| if let Item::Push(push) = item { Some(push) } else { None })
        .collect()
}

#[test]
fn a_rewrite_is_found_by_the_commits_of_pushes_and_not_by_their_receipt() {
    let bodies = [
        push("x", ZERO, "d2", &[commit("d1", "one"), commit("d2", "two")]),
        push("x", "d2", "e2", &[commit("e1", "one"), commit("e2", "two")]),
        push("x", "e2", ZERO, &[]),
    ];

    for days in ORDERS {
        let all = received_on(&days, &bodies);
        let forced = Timestamp::from_seconds(days[1] * DAY);

        assert_eq!(
            rewrites(&pushes(&all)),
            [(forced, Some(9))],
            "{days:?}: the forced push is the rewrite"
        );

        assert_eq!(
            (value("branches_open", &all), value("branch_lifetime", &all)),
            (0, 1),
            "{days:?}"
        );
    }
}

#[test]
fn a_recreated_branch_has_no_history_in_any_order() {
    let bodies = [
        push("x", ZERO, "d1", &[commit("d1", "one")]),
        push("x", ZERO, "e1", &[commit("e1", "one")]),
        push("x", "e1", ZERO, &[]),
    ];
    for days in ORDERS {
        assert_eq!(value("history_rewrites", &received_on(&days, &bodies)), 0, "{days:?}");
    }

    let restored = [
        push("x", ZERO, "a", &[]),
        push("x", "a", ZERO, &[]),
        push("x", ZERO, "b", &[]),
    ];
    for days in ORDERS {
        assert_eq!(value("branches_open", &received_on(&days, &restored)), 1, "{days:?}");
    }
}

#[test]
fn commits_that_no_push_listed_count_once_for_two_branches() {
    let mut first = push("x", ZERO, "d2", &[commit("d2", "two")]);
    let mut second = push("y", ZERO, "d2", &[commit("d1", "one"), commit("d2", "two")]);
    (first["total_commits_count"], second["total_commits_count"]) = (json!(4), json!(3));

    for days in [[1, 2], [2, 1]] {
        let all = received_on(&days, &[first.clone(), second.clone()]);
        let (items, others) = all.into_iter().partition(|item| matches!(item, Item::Push(_)));

        assert_eq!(
            metrics::given_among("commits_unlisted", items, others),
            Ok(vec![2]),
            "{days:?}"
        );
    }
}

#[test]
fn active_branches_are_distinct() {
    let all = received(&[
        push("x", ZERO, "a", &[]),
        push("x", "a", "b", &[]),
        push("y", ZERO, "a", &[]),
    ]);
    let pushes: Vec<Item> = all.into_iter().filter(|item| matches!(item, Item::Push(_))).collect();
    let items = metrics::Items::new(pushes, Vec::new(), People::default(), metrics::Choice::default());
    let metric = metrics::Metric::by_name("branches_active").expect("a metric");
    let (from, to) = (Timestamp::from_seconds(0), Timestamp::from_seconds(9 * DAY));

    assert_eq!(items.metric(metric, from, to, 9.0).value, Some(2.0));

    let day = |day: i64| metrics::Part {
        start: Timestamp::from_seconds(day * DAY),
        days: 1.0,
        is_cut: false,
    };
    let parts: Vec<_> = (1..4).map(day).collect();
    let series = items.series(metric, &parts, to);
    assert_eq!(series.iter().map(|part| part.value).collect::<Vec<_>>(), [Some(1.0); 3]);
}

#[test]
fn a_rewind_is_a_rewrite_and_a_new_branch_of_the_same_name_has_no_history() {
    let (one, again) = (commit("d1", "one"), commit("e1", "one"));
    let back = [
        push("x", ZERO, "d1", std::slice::from_ref(&one)),
        push("x", "d1", "d0", &[]),
    ];
    assert_eq!(value("history_rewrites", &received(&back)), 1);

    let recreated = [
        push("x", ZERO, "d1", &[one]),
        push("x", "d1", ZERO, &[]),
        push("x", ZERO, "e1", &[again]),
    ];
    let all = received(&recreated);
    assert_eq!((value("history_rewrites", &all), value("branches_open", &all)), (0, 1));
}

#[test]
fn a_push_that_leads_to_a_deletion_is_not_later_than_it_in_any_order() {
    let late = [
        push("x", ZERO, "a", &[]),
        push("x", "b", ZERO, &[]),
        push("x", "a", "b", &[]),
    ];
    assert_eq!(value("branches_open", &received(&late)), 0);

    let restored = [
        push("x", ZERO, "a", &[]),
        push("x", "a", "b", &[]),
        push("x", "b", ZERO, &[]),
        push("x", ZERO, "b", &[]),
    ];
    assert_eq!(value("branches_open", &received(&restored)), 1, "it was restored");

    let twice = [
        push("x", ZERO, "a", &[]),
        push("x", "a", "b", &[]),
        push("x", "b", ZERO, &[]),
        push("x", ZERO, "c", &[]),
        push("x", "c", ZERO, &[]),
        push("x", ZERO, "b", &[]),
    ];

    assert_eq!(
        value("branches_open", &received(&twice)),
        1,
        "restored with a commit of an earlier life"
    );

    let other = [
        push("x", ZERO, "a", &[]),
        push("x", "a", ZERO, &[]),
        push("x", "c", "d", &[]),
    ];
    assert_eq!(value("branches_open", &received(&other)), 1);
}

/// Builds the chain a → b → c and, after a missing push, x → y. Each letter is deployed at its time.
fn deployed(deployments: &[(&str, i64)], shas: &[&str], at: i64) -> Deployed {
    let bodies = [("s", "a"), ("a", "b"), ("b", "c"), ("w", "x"), ("x", "y")]
        .map(|(from, to)| push("main", from, to, &[commit(to, to)]));
    let all = received(&bodies);
    let pushes: Vec<&Push> = all
        .iter()
        .filter_map(|item| if let Item::Push(push) = item { Some(push) } else { None })
        .collect();

    let deployments: Vec<Deployment> = (1..)
        .zip(deployments)
        .map(|(id, (letter, at))| {
            let url = format!("https://gitlab.example.com/-/commit/{}", letter.repeat(40));
            let body = json!({ "deployment_id": id, "status": "success", "environment": "production", "commit_url": url,
                "project": { "id": 7 } });
            let mut one = Deployment::of_event(Timestamp::from_seconds(*at), &body).expect("a deployment");
            // The test uses short names for commits.
            one.sha = Some((*letter).to_owned());

            one
        })
        .collect();

    let change = Change {
        shas,
        at: Timestamp::from_seconds(at),
        not_before: None,
    };
    Chain::new(&pushes, &deployments.iter().collect::<Vec<_>>()).deployed(&change)
}

#[test]
fn a_deployment_contains_the_commits_before_it() {
    let at = |seconds| Deployed::At(Timestamp::from_seconds(seconds));
    let out = [("b", 1_000_000), ("a", 1_000_100), ("c", 1_000_200)];
    assert_eq!(deployed(&out, &["a"], 500_000), at(1_000_000));

    assert_eq!(
        deployed(&out, &["c"], 500_000),
        at(1_000_200),
        "a rollback adds nothing"
    );

    assert_eq!(
        deployed(&out, &["unknown", "b"], 500_000),
        at(1_000_000),
        "found by the second name"
    );

    assert!(
        matches!(deployed(&out[..2], &["c"], 500_000), Deployed::Not(_)),
        "not yet"
    );

    let older = [("s", 1_000_000)];
    assert!(
        matches!(deployed(&older, &["a"], 500_000), Deployed::Not(_)),
        "an older commit deploys no later change"
    );

    assert!(
        matches!(deployed(&out, &["unknown"], 5), Deployed::Not(_)),
        "before the first known push"
    );

    let expect_after = |seconds, why: &str| match deployed(&[("b", 1_000_000), ("y", 1_000_300)], &[why], 600_000) {
        Deployed::After(at, _) => assert_eq!(at, Timestamp::from_seconds(seconds), "{why}"),
        other => panic!("{why}: {other:?}"),
    };
    expect_after(1_000_300, "c");
    expect_after(1_000_000, "unknown");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_order_and_any_repetition_give_the_same_branch(order in prop::collection::vec(0..200_usize, 0..300)) {
        let moves: Vec<(Timestamp, Trigger, Value)> = (0..200_i64)
            .map(|n| {
                let end = if n % 31 == 30 { ZERO.to_owned() } else { format!("c{}", n + 1) };
                let body = push("x", &format!("c{n}"), &end, &[commit(&format!("c{n}"), &format!("{}", n % 50))]);
                (Timestamp::from_seconds(n / 3), Trigger::PUSH, body)
            })
            .collect();
        let mut shuffled: Vec<_> = order.into_iter().map(|index| moves[index].clone()).collect();
        shuffled.extend(moves.iter().rev().cloned());
        prop_assert_eq!(entity::joined_at(&shuffled), entity::joined_at(&moves));
    }
}
