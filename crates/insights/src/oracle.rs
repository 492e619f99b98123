//! Compares the metrics of random histories with a slow, simple second implementation. It plays each history minute by
//! minute and knows neither events nor joins. The same history becomes events, in any order and with repetitions. Both
//! must give the same numbers.

mod runs;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use super::entity::{self, Item};
use super::metrics;
use quickdraw_domain::{Timestamp, Trigger};

const AUTHOR: i64 = 1;
const BOT: i64 = 9;
/// 2026-03-02, 00:00 UTC.
const START: i64 = 1_772_409_600;

type Events = Vec<(Timestamp, Trigger, Value)>;
/// Events with the minute in which they happened.
type History = Vec<(i64, Trigger, Value)>;
/// The expected values of metrics; None without a sample.
type Truth = BTreeMap<&'static str, Option<i64>>;

fn written(minute: i64) -> String {
    let time = jiff::Timestamp::from_second(START + minute * 60).expect("in range");
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Receives each event a minute after it happened. Then it shuffles the events, repeats some of them, and exchanges the
/// times of receipt.
fn in_disorder(history: History, order: &[Index]) -> Events {
    let received = |(minute, trigger, body): &(i64, Trigger, Value), later: i64| {
        (
            Timestamp::from_seconds(START + (minute + 1 + later) * 60),
            *trigger,
            body.clone(),
        )
    };
    let again = order
        .iter()
        .filter(|_| !history.is_empty())
        .map(|index| received(index.get(&history), 10_000));

    let mut events: Events = history
        .iter()
        .map(|one| received(one, 0))
        .chain(again.collect::<Vec<_>>())
        .collect();

    for (at, index) in order.iter().enumerate().filter(|_| !history.is_empty()) {
        let other = index.index(events.len());
        let at = at % events.len();
        events.swap(at, other);
    }

    for (at, index) in order.iter().rev().enumerate() {
        if events.is_empty() {
            break;
        }

        let (at, other) = (at % events.len(), index.index(events.len()));
        (events[at].0, events[other].0) = (events[other].0, events[at].0);
    }

    events
}

fn value(name: &str, items: &[Item]) -> Option<i64> {
    metrics::given(name, items, &[BOT])
        .ok()
        .map(|values| values.iter().sum())
}

/// An action on a merge request.
#[derive(Clone, Copy, Debug)]
enum Action {
    ToggleDraft,
    Push,
    Label,
    Approve(i64),
    Comment(i64),
    Close,
    Reopen,
    Merge,
}

fn action() -> impl Strategy<Value = Action> {
    let who = prop::sample::select(vec![AUTHOR, 2, 3, 4, BOT]);
    prop_oneof![
        Just(Action::ToggleDraft),
        Just(Action::Push),
        Just(Action::Label),
        who.clone().prop_map(Action::Approve),
        who.prop_map(Action::Comment),
        Just(Action::Close),
        Just(Action::Reopen),
        Just(Action::Merge),
    ]
}

/// The notes of an observer with a clock, from which the expected values are taken.
#[derive(Default, Debug)]
struct Sheet {
    merged_at: Option<i64>,
    merged_by: Option<i64>,
    is_open: bool,
    is_draft: bool,
    closed_at: Option<i64>,
    reopened: bool,

    /// Minutes in which the merge request was open and ready.
    active: BTreeSet<i64>,

    /// Time and account of each review.
    reviews: Vec<(i64, i64)>,
    comments: i64,
    pushes: Vec<i64>,
    approvals: Vec<i64>,
}

/// Plays a merge request that is created at minute 0.
fn play(actions: &[(i64, Action)], begins_as_draft: bool) -> (Sheet, History) {
    let mut sheet = Sheet {
        is_open: true,
        is_draft: begins_as_draft,
        ..Sheet::default()
    };

    let state = |sheet: &Sheet| match (sheet.merged_at, sheet.is_open) {
        (Some(_), _) => "merged",
        (None, true) => "opened",
        (None, false) => "closed",
    };
    let attributes = |sheet: &Sheet, minute: i64| {
        json!({ "iid": 5, "target_project_id": 7, "author_id": AUTHOR, "created_at": written(0), "updated_at": written(minute),
            "state": state(sheet), "draft": sheet.is_draft })
    };

    let event = |sheet: &Sheet, minute: i64, action: &str, who: i64| {
        let mut attributes = attributes(sheet, minute);
        attributes["action"] = action.into();

        let user = json!({ "id": who, "username": format!("u{who}") });
        (
            minute,
            Trigger::MERGE_REQUEST,
            json!({ "user": user, "project": { "id": 7 }, "object_attributes": attributes }),
        )
    };
    let mut events = vec![event(&sheet, 0, "open", AUTHOR)];
    let mut now = 0;

    for (number, (pause, action)) in actions.iter().enumerate() {
        for minute in now..now + pause {
            if sheet.is_open && !sheet.is_draft && sheet.merged_at.is_none() {
                sheet.active.insert(minute);
            }
        }

        now += pause;

        let is_merged = sheet.merged_at.is_some();
        let counts = |who: i64| who != AUTHOR && who != BOT && !is_merged;

        match *action {
            Action::ToggleDraft if !is_merged => {
                sheet.is_draft = !sheet.is_draft;
                events.push(event(&sheet, now, "update", AUTHOR));
            }
            Action::Push if sheet.is_open && !is_merged => {
                sheet.pushes.push(now);

                let mut pushed = event(&sheet, now, "update", AUTHOR);
                pushed.2["object_attributes"]["oldrev"] = "abc".into();
                events.push(pushed);
            }
            Action::Label => events.push(event(&sheet, now, "update", 2)),
            Action::Approve(who) if sheet.is_open && !is_merged => {
                if counts(who) {
                    sheet.reviews.push((now, who));
                }

                if who != BOT {
                    sheet.approvals.push(now);
                }

                events.push(event(
                    &sheet,
                    now,
                    if number % 2 == 0 { "approval" } else { "approved" },
                    who,
                ));
            }

            Action::Comment(who) => {
                if counts(who) {
                    sheet.reviews.push((now, who));
                    sheet.comments += 1;
                }

                let note = json!({ "id": number, "author_id": who, "created_at": written(now), "system": false });
                let user = json!({ "id": who, "username": format!("u{who}") });
                let body = json!({ "user": user, "project": { "id": 7 }, "object_attributes": note,
                    "merge_request": attributes(&sheet, now) });
                events.push((now, Trigger::NOTE, body));
            }

            Action::Close if sheet.is_open && !is_merged => {
                sheet.is_open = false;
                sheet.closed_at = Some(now);
                events.push(event(&sheet, now, "close", 2));
            }
            Action::Reopen if !sheet.is_open && !is_merged => {
                sheet.is_open = true;
                sheet.reopened = true;
                events.push(event(&sheet, now, "reopen", 2));
            }
            Action::Merge if sheet.is_open && !is_merged => {
                sheet.merged_at = Some(now);
                sheet.merged_by = Some(2);
                events.push(event(&sheet, now, "merge", 2));
            }
            _ => {}
        }
    }

    (sheet, events)
}

fn active_before(sheet: &Sheet, minute: i64) -> i64 {
    i64::try_from(sheet.active.range(..minute).count()).expect("few") * 60
}

/// Plays an issue: comments, closes and reopenings.
fn play_issue(actions: &[(i64, u8)]) -> (Truth, History) {
    let (mut now, mut open, mut closes, mut reopened, mut first_comment) = (0, true, Vec::new(), false, None);
    let attributes = |open: bool, minute: i64, closed: Option<i64>| {
        json!({ "iid": 3, "author_id": AUTHOR, "created_at": written(0), "updated_at": written(minute),
            "state": if open { "opened" } else { "closed" }, "closed_at": if open { None } else { closed.map(written) } })
    };

    let event = |action: &str, attributes: Value, minute: i64| {
        let mut attributes = attributes;
        attributes["action"] = action.into();

        (
            minute,
            Trigger::ISSUE,
            json!({ "project": { "id": 7 }, "object_attributes": attributes }),
        )
    };
    let mut events = vec![event("open", attributes(true, 0, None), 0)];

    for (number, (pause, action)) in actions.iter().enumerate() {
        now += pause;

        match action {
            0 if open => {
                open = false;
                closes.push(now);
                events.push(event("close", attributes(false, now, Some(now)), now));
            }
            1 if !open => {
                open = true;
                reopened = true;
                events.push(event("reopen", attributes(true, now, None), now));
            }
            2 => events.push(event("update", attributes(open, now, closes.last().copied()), now)),
            3 => {
                let who = [AUTHOR, 2, BOT][number % 3];
                if who == 2 {
                    first_comment = first_comment.or(Some(now));
                }

                let note = json!({ "id": number, "author_id": who, "created_at": written(now) });
                let on = attributes(open, now, closes.last().copied());
                let body = json!({ "project": { "id": 7 }, "object_attributes": note, "issue": on });
                events.push((now, Trigger::NOTE, body));
            }
            _ => {}
        }
    }

    let last = closes.last().copied().filter(|_| !open);
    let truth = BTreeMap::from([
        ("issues_opened", Some(1)),
        ("issues_closed", last.map(|_| 1)),
        ("issues_open", open.then_some(1)),
        (
            "issue_close_events",
            (!closes.is_empty()).then(|| i64::try_from(closes.len()).expect("few")),
        ),
        ("issues_reopened", reopened.then_some(1)),
        ("issue_lead_time", last.map(|minute| minute * 60)),
        ("time_to_first_close", closes.first().map(|minute| minute * 60)),
        ("issue_first_response", first_comment.map(|minute| minute * 60)),
    ]);
    (truth, events)
}

proptest! {
    #[test]
    fn merge_requests_are_measured_as_they_happened(
        actions in prop::collection::vec((1..200_i64, action()), 0..24),
        begins_as_draft in any::<bool>(),
        order in prop::collection::vec(any::<Index>(), 0..40),
    ) {
        let (sheet, events) = play(&actions, begins_as_draft);
        let items = entity::joined_at(&in_disorder(events, &order));
        prop_assert_eq!(items.len(), 1);
        let merged = sheet.merged_at;
        let first = sheet.reviews.first().map(|(at, _)| *at);
        let closed = sheet.closed_at.filter(|_| merged.is_none() && !sheet.is_open);
        let after_review = |at: &&i64| first.is_some_and(|first| **at > first);
        let count = |number: usize| i64::try_from(number).expect("few");
        let truth = [
            ("mr_opened", Some(1)),
            ("mr_merged", merged.map(|_| 1)),
            ("mr_closed_unmerged", closed.map(|_| 1)),
            ("mr_open", (merged.is_none() && sheet.is_open).then_some(1)),
            ("mr_reopened", sheet.reopened.then_some(1)),
            ("time_to_merge", merged.map(|at| at * 60)),
            ("time_to_merge_active", merged.map(|at| active_before(&sheet, at))),
            ("time_to_first_review", first.map(|at| at * 60)),
            ("time_to_first_review_active", first.map(|at| active_before(&sheet, at))),
            ("time_in_review", merged.zip(first).map(|(at, first)| (at - first) * 60)),
            ("time_approved_to_merge", merged.zip(sheet.approvals.last()).map(|(at, last)| (at - last) * 60)),
            ("rework_rounds", merged.map(|_| count(sheet.pushes.iter().filter(after_review).count()))),
            ("review_depth", merged.map(|_| sheet.comments)),
            ("review_coverage", merged.map(|_| i64::from(first.is_some()))),
            ("mr_reviews", first.map(|_| count(sheet.reviews.len()))),
        ];
        for (name, expected) in truth {
            prop_assert_eq!(value(name, &items), expected, "{} of {:?}", name, sheet);
        }
        let people: BTreeSet<i64> = sheet.reviews.iter().map(|(_, who)| *who).collect();
        let given = metrics::given("mr_reviewers", &items, &[BOT]).unwrap_or_default();
        prop_assert_eq!(given.into_iter().collect::<BTreeSet<_>>(), people);
    }

    #[test]
    fn issues_are_measured_as_they_happened(
        actions in prop::collection::vec((1..500_i64, 0..4_u8), 0..20),
        order in prop::collection::vec(any::<Index>(), 0..30),
    ) {
        let (truth, events) = play_issue(&actions);
        let items = entity::joined_at(&in_disorder(events, &order));
        for (name, expected) in truth {
            prop_assert_eq!(value(name, &items), expected, "{}", name);
        }
    }

    /// Each commit on main is merged from a merge request. Some commits are deployed, also older ones.
    #[test]
    fn lead_times_use_the_first_deployment_that_contains_the_commit(
        steps in prop::collection::vec((1..300_i64, any::<bool>(), any::<Index>()), 1..24),
        order in prop::collection::vec(any::<Index>(), 0..60),
    ) {
        let sha = |number: usize| format!("{number:040x}");
        let (mut now, mut merged, mut out, mut events) = (0, Vec::<i64>::new(), BTreeMap::<usize, i64>::new(), Vec::new());
        for (number, (pause, deploys, which)) in steps.iter().enumerate() {
            now += pause;
            if *deploys && !merged.is_empty() {
                let commit = which.index(merged.len());
                // A deployment contains all earlier commits.
                for earlier in 0..=commit {
                    out.entry(earlier).or_insert(now);
                }
                let body = json!({ "deployment_id": number, "status": "success", "status_changed_at": written(now),
                    "environment": "production", "project": { "id": 7 },
                    "commit_url": format!("https://gitlab.example.com/-/commit/{}", sha(commit + 2)) });
                events.push((now, Trigger::DEPLOYMENT, body));
            } else {
                let commit = merged.len() + 2;
                merged.push(now);
                let listed = json!({ "id": sha(commit), "message": format!("m{commit}"), "timestamp": "2026-03-01T00:00:00Z" });
                let push = json!({ "ref": "refs/heads/main", "before": sha(commit - 1), "after": sha(commit), "commits": [listed],
                    "project": { "id": 7, "default_branch": "main" } });
                events.push((now, Trigger::PUSH, push));
                let attributes = json!({ "iid": commit, "target_project_id": 7, "created_at": written(0), "updated_at": written(now),
                    "action": "merge", "state": "merged", "merge_commit_sha": sha(commit) });
                let body = json!({ "project": { "id": 7 }, "object_attributes": attributes });
                events.push((now, Trigger::MERGE_REQUEST, body));
            }
        }
        let items = entity::joined_at(&in_disorder(events, &order));
        let (ours, others): (Vec<Item>, Vec<Item>) =
            items.into_iter().partition(|item| matches!(item, Item::MergeRequest(_)));
        let mut given = metrics::given_among("lead_time_for_changes", ours, others).unwrap_or_default();
        let mut truth: Vec<i64> = out.iter().map(|(commit, at)| (at - merged[*commit]) * 60).collect();
        given.sort_unstable();
        truth.sort_unstable();
        prop_assert_eq!(given, truth);
    }

    /// Branches that are created, moved, rewritten and deleted.
    #[test]
    fn branches_are_measured_as_they_happened(
        steps in prop::collection::vec((0..3_usize, 0..4_u8), 0..30),
        order in prop::collection::vec(any::<Index>(), 0..40),
    ) {
        let zero = "0".repeat(40);
        let sha = |number: usize| format!("{:040x}", number + 1);
        let (mut heads, mut truth, mut events) = (BTreeMap::<usize, usize>::new(), BTreeMap::<&str, i64>::new(), Vec::new());
        let mut texts: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (number, (branch, action)) in steps.iter().enumerate() {
            let commit = |text: usize| {
                json!({ "id": sha(number), "message": format!("t{text}"), "timestamp": "2026-03-01T00:00:00Z", "modified": [],
                    "author": { "name": "A", "email": "a@x" } })
            };
            let known = heads.get(branch).copied();
            let (before, after, commits) = match (known, action) {
                (None, _) => {
                    texts.insert(*branch, vec![number]);
                    *truth.entry("branches_created").or_default() += 1;
                    (zero.clone(), sha(number), vec![commit(number)])
                }
                (Some(head), 0) => {
                    heads.remove(branch);
                    *truth.entry("branches_deleted").or_default() += 1;
                    (sha(head), zero.clone(), Vec::new())
                }
                // The same change with another SHA.
                (Some(head), 1) => {
                    *truth.entry("history_rewrites").or_default() += 1;
                    (sha(head), sha(number), vec![commit(texts[branch][0])])
                }
                // A push back to an earlier commit.
                (Some(head), 2) => {
                    *truth.entry("history_rewrites").or_default() += 1;
                    (sha(head), sha(number), Vec::new())
                }
                (Some(head), _) => {
                    texts.entry(*branch).or_default().push(number);
                    (sha(head), sha(number), vec![commit(number)])
                }
            };
            if after != zero {
                heads.insert(*branch, number);
            }
            *truth.entry("pushes").or_default() += 1;
            let body = json!({ "ref": format!("refs/heads/b{branch}"), "before": before, "after": after, "commits": commits,
                "project": { "id": 7 } });
            events.push((i64::try_from(number).expect("few") * 10, Trigger::PUSH, body));
        }
        truth.insert("branches_open", i64::try_from(heads.len()).expect("few"));
        let items = entity::joined_at(&in_disorder(events, &order));
        for name in ["pushes", "branches_created", "branches_deleted", "history_rewrites", "branches_open"] {
            let family = metrics::Metric::by_name(name).expect("a metric").family();
            let (ours, others) = items.iter().cloned().partition(|item| item.family() == family);
            let given = metrics::given_among(name, ours, others).map_or(0, |values| values.iter().sum());
            prop_assert_eq!(given, truth.get(name).copied().unwrap_or_default(), "{}", name);
        }
    }
}
