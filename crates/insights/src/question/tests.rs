//! Examples of answers: numbers, series with their coverage, groups, and items.

use serde_json::{Value, json};

use super::*;
use crate::entity;
use crate::reviews::Pair;
use crate::roster::{Resolver, Roster};
use quickdraw_domain::Trigger;

const DAY: i64 = 86_400;

type Event = (Timestamp, Trigger, Value);

fn day(number: i64) -> Timestamp {
    Timestamp::from_seconds(number * DAY)
}

/// A window of whole days.
fn days(from: i64, to: i64) -> Window {
    Window {
        from: day(from),
        to: day(to),
        days: f64::from(i32::try_from(to - from).expect("few")),
    }
}

/// A question about the days from 200 to 210, asked on day 208, without output.
fn question(name: &str) -> Question {
    let metric = Metric::by_name(name).expect("a metric");
    Question {
        output: Output::default(),
        ..Question::new(metric, days(200, 210), day(208))
    }
}

/// One interval for every two days of the window.
fn every_two_days() -> Vec<Part> {
    (0..5)
        .map(|number| Part {
            start: day(200 + 2 * number),
            days: 2.0,
            is_cut: number == 3,
        })
        .collect()
}

/// A pipeline that was created in the middle of a day.
fn pipeline(project: i64, id: i64, created: i64, source: &str) -> Event {
    let at = day(created).plus(std::time::Duration::from_secs(43_200));
    let attributes = json!({ "id": id, "status": "success", "source": source, "created_at": at.to_iso() });
    let body = json!({ "project": { "id": project }, "object_attributes": attributes });
    (at, Trigger::by_name("pipeline_hooks").expect("a row"), body)
}

fn found(events: &[Event]) -> Found {
    Found {
        items: entity::joined_at(events),
        ..Found::default()
    }
}

/// Two projects with pipelines on the days 195 to 207.
fn pipelines() -> Found {
    found(&[
        pipeline(7, 1, 195, "push"),
        pipeline(7, 2, 200, "push"),
        pipeline(7, 3, 201, "schedule"),
        pipeline(8, 4, 207, "push"),
    ])
}

/// The groups of an answer with the value of each interval.
fn check_groups(question: &Question, expected: &[(GroupKey, [f64; 5])]) {
    let answer = question.answer(pipelines()).expect("few groups");
    let values = |group: Group| {
        group
            .series
            .iter()
            .map(|one| one.number.value.expect("a count"))
            .collect()
    };

    let groups: Vec<(GroupKey, Vec<f64>)> = answer
        .groups
        .into_iter()
        .map(|group| (group.key.clone(), values(group)))
        .collect();

    let expected: Vec<_> = expected
        .iter()
        .map(|(key, values)| (key.clone(), values.to_vec()))
        .collect();

    assert_eq!(groups, expected);
}

#[test]
fn an_answer_has_the_number_of_the_window_and_of_the_window_before() {
    let output = Output {
        number: true,
        ..Output::default()
    };

    let question = Question {
        output,
        before: Some(days(190, 200)),
        ..question("pipelines")
    };
    let group = question.answer(pipelines()).expect("one group").whole();
    assert_eq!((group.number.value, group.number.samples), (Some(3.0), 3));
    assert_eq!(group.before.map(|before| before.value), Some(Some(1.0)));

    assert_eq!(
        (group.series, group.explanation, group.pairs),
        (Vec::new(), Explanation::default(), Vec::new())
    );
}

#[test]
fn an_interval_is_partial_if_it_is_cut_or_unknown_or_not_over() {
    let output = Output {
        series: every_two_days(),
        ..Output::default()
    };
    let question = Question {
        output,
        ..question("pipelines")
    };

    let check = |first_received: Option<i64>, items: Found, since: Option<i64>, partial: [bool; 5]| {
        let found = Found {
            first_received: first_received.map(day),
            ..items
        };
        let group = question.answer(found).expect("one group").whole();
        assert_eq!(group.coverage.since, since.map(day), "{first_received:?}");

        let is_partial: Vec<bool> = group.series.iter().map(|one| one.is_partial).collect();
        assert_eq!(is_partial, partial, "{first_received:?}");
    };
    // The fourth interval is cut, and the fifth one has not ended.
    check(Some(190), pipelines(), Some(190), [false, false, false, true, true]);
    check(Some(203), Found::default(), Some(203), [true, true, false, true, true]);
    check(None, Found::default(), None, [true; 5]);
}

#[test]
fn coverage_is_whole_if_it_starts_before_the_window_and_the_window_is_over() {
    let check = |first_received: i64, now: i64, expected: (bool, bool)| {
        let output = Output {
            series: every_two_days(),
            ..Output::default()
        };

        let question = Question {
            output,
            now: day(now),
            ..question("pipelines")
        };

        let found = Found {
            first_received: Some(day(first_received)),
            ..Found::default()
        };
        let coverage = question.answer(found).expect("one group").whole().coverage;

        assert_eq!(
            (coverage.begins_before, coverage.is_whole),
            expected,
            "{first_received} {now}"
        );
    };
    check(199, 210, (true, true));
    check(199, 209, (true, false));
    check(200, 210, (false, false));
}

#[test]
fn an_answer_is_split_by_the_grouping() {
    let of = |grouping: Grouping| {
        let output = Output {
            series: every_two_days(),
            ..Output::default()
        };

        Question {
            output,
            grouping,
            ..question("pipelines")
        }
    };

    let named = |name: &str| GroupKey::Named(name.to_owned());
    check_groups(&of(Grouping::None), &[(GroupKey::All, [2.0, 0.0, 0.0, 1.0, 0.0])]);

    let (seven, eight) = ([2.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0, 0.0]);
    check_groups(
        &of(Grouping::Projects),
        &[(GroupKey::Project(7), seven), (GroupKey::Project(8), eight)],
    );

    check_groups(
        &of(Grouping::WatchedProjects(vec![9, 7])),
        &[
            (GroupKey::Project(7), seven),
            (GroupKey::Project(8), eight),
            (GroupKey::Project(9), [0.0; 5]),
        ],
    );

    let (pushed, scheduled) = ([1.0, 0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0]);
    check_groups(
        &of(Grouping::Trait(Trait::Source)),
        &[(named("push"), pushed), (named("schedule"), scheduled)],
    );

    let nobody = People::new(
        Resolver::new(&Roster::default(), &[]),
        &[],
        Default::default(),
        Some(Default::default()),
    );
    let all = [("all", People::default()), ("nobody", nobody)];
    let all = all.map(|(name, people)| NamedPeople {
        name: name.to_owned(),
        people,
    });
    check_groups(
        &of(Grouping::People(all.to_vec())),
        &[(named("all"), [2.0, 0.0, 0.0, 1.0, 0.0]), (named("nobody"), [0.0; 5])],
    );
}

#[test]
fn items_that_do_not_count_create_no_group_of_a_project() {
    let body =
        json!({ "ref": "refs/tags/v1", "before": "0", "after": "a", "checkout_sha": "a", "project": { "id": 7 } });
    let tag = (day(201), Trigger::by_name("tag_push_hooks").expect("a row"), body);

    let check = |grouping: Grouping, groups: usize| {
        let question = Question {
            grouping,
            ..question("deployments")
        };
        let answer = question.answer(found(std::slice::from_ref(&tag))).expect("few groups");
        assert_eq!(answer.groups.len(), groups);
    };

    assert_eq!(found(std::slice::from_ref(&tag)).items.len(), 1);
    check(Grouping::Projects, 0);
    check(Grouping::WatchedProjects(vec![7]), 1);
}

#[test]
fn an_answer_has_bounds_unless_the_projects_are_watched() {
    let groups = |number: usize| {
        let one = NamedPeople {
            name: "all".to_owned(),
            people: People::default(),
        };
        Grouping::People(vec![one; number])
    };

    let check = |metric: &str, grouping: Grouping, intervals: usize, expected: Result<usize, TooLarge>| {
        let part = Part {
            start: day(200),
            days: 10.0,
            is_cut: false,
        };
        let output = Output {
            series: vec![part; intervals],
            ..Output::default()
        };

        let question = Question {
            output,
            grouping,
            ..question(metric)
        };
        assert_eq!(
            question.answer(Found::default()).map(|answer| answer.groups.len()),
            expected
        );
    };
    check("pipelines", groups(500), 1, Ok(500));
    check("pipelines", groups(501), 1, Err(TooLarge::Groups));
    check("pipelines", groups(101), 1_000, Err(TooLarge::Intervals));
    check("mr_open", groups(50), 100, Ok(50));
    check("mr_open", groups(51), 100, Err(TooLarge::Intervals));
    check("pipelines", Grouping::WatchedProjects((0..501).collect()), 1, Ok(501));
}

#[test]
fn an_explanation_has_the_items_that_count_first_and_the_reasons_of_the_others() {
    let output = Output {
        detail: Detail::Explanation,
        ..Output::default()
    };
    let question = Question {
        output,
        ..question("pipelines")
    };
    let Explanation { items, left_out } = question.answer(pipelines()).expect("one group").whole().explanation;

    let shown: Vec<_> = items
        .iter()
        .map(|one| (one.key, one.counts, one.value, one.reason))
        .collect();

    let outside = "it is outside the window";
    let expected = [
        ((7, 2), true, Some(1), None),
        ((7, 3), true, Some(1), None),
        ((8, 4), true, Some(1), None),
        ((7, 1), false, None, Some(outside)),
    ];
    assert_eq!(shown, expected);
    assert_eq!(left_out.into_iter().collect::<Vec<_>>(), [(outside, 1)]);
}

#[test]
fn pairs_of_reviewers_follow_the_filters() {
    let at = day(202);
    let attributes = json!({ "iid": 1, "target_project_id": 7, "author_id": 1, "created_at": day(201).to_iso(),
        "updated_at": at.to_iso(), "action": "approved", "state": "opened", "target_branch": "main" });
    let body =
        json!({ "user": { "id": 2, "username": "ida" }, "project": { "id": 7 }, "object_attributes": attributes });
    let approval = (at, Trigger::by_name("merge_request_hooks").expect("a row"), body);

    let pairs = |branch: &str| {
        let output = Output {
            detail: Detail::Reviews,
            ..Output::default()
        };
        let mut question = Question {
            output,
            ..question("mr_reviews")
        };
        question.choice.only.insert(Trait::Branch, branch.to_owned());

        question
            .answer(found(std::slice::from_ref(&approval)))
            .expect("one group")
            .whole()
            .pairs
    };

    let pair = Pair {
        author: 1,
        reviewer: 2,
        merge_requests: 1,
        comments: 0,
        approvals: 1,
    };
    assert_eq!((pairs("main"), pairs("other")), (vec![pair], Vec::new()));
}
