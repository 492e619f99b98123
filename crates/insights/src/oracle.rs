//! Random histories, played forward minute by minute by something slow and obvious that knows nothing of events and joins; and
//! the same histories told as events, in any order and with repetitions. Both must give the same numbers.

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
/// Events by the minute of what they tell.
type Told = Vec<(i64, Trigger, Value)>;
/// What metrics give; nothing where there is no sample.
type Truth = BTreeMap<&'static str, Option<i64>>;

fn spelled(minute: i64) -> String {
    let time = jiff::Timestamp::from_second(START + minute * 60).expect("in range");
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Each is received a minute after it happened; then in another order, some again, later, and all at times that have nothing to do with
/// when they happened.
fn in_disorder(told: Told, order: &[Index]) -> Events {
    let received = |(minute, trigger, body): &(i64, Trigger, Value), later: i64| {
        (Timestamp::from_seconds(START + (minute + 1 + later) * 60), *trigger, body.clone())
    };
    let again = order.iter().filter(|_| !told.is_empty()).map(|index| received(index.get(&told), 10_000));
    let mut events: Events = told.iter().map(|one| received(one, 0)).chain(again.collect::<Vec<_>>()).collect();
    for (at, index) in order.iter().enumerate().filter(|_| !told.is_empty()) {
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
    metrics::given(name, items, &[BOT]).ok().map(|values| values.iter().sum())
}

/// What is done to a merge request.
#[derive(Clone, Copy, Debug)]
enum Deed {
    ToggleDraft,
    Push,
    Label,
    Approve(i64),
    Comment(i64),
    Close,
    Reopen,
    Merge,
}

fn deed() -> impl Strategy<Value = Deed> {
    let who = prop::sample::select(vec![AUTHOR, 2, 3, 4, BOT]);
    prop_oneof![
        Just(Deed::ToggleDraft),
        Just(Deed::Push),
        Just(Deed::Label),
        who.clone().prop_map(Deed::Approve),
        who.prop_map(Deed::Comment),
        Just(Deed::Close),
        Just(Deed::Reopen),
        Just(Deed::Merge),
    ]
}

/// What somebody with a clock and a sheet of paper would have written down.
#[derive(Default, Debug)]
struct Sheet {
    merged_at: Option<i64>,
    merged_by: Option<i64>,
    is_open: bool,
    is_draft: bool,
    closed_at: Option<i64>,
    reopened: bool,
    /// Minutes of which each was open and no draft.
    active: BTreeSet<i64>,
    /// By time and by whom.
    reviews: Vec<(i64, i64)>,
    comments: i64,
    pushes: Vec<i64>,
    approvals: Vec<i64>,
}

/// Plays a merge request that begins at minute 0.
fn play(deeds: &[(i64, Deed)], begins_as_draft: bool) -> (Sheet, Told) {
    let mut sheet = Sheet { is_open: true, is_draft: begins_as_draft, ..Sheet::default() };
    let state = |sheet: &Sheet| match (sheet.merged_at, sheet.is_open) {
        (Some(_), _) => "merged",
        (None, true) => "opened",
        (None, false) => "closed",
    };
    let attributes = |sheet: &Sheet, minute: i64| {
        json!({ "iid": 5, "target_project_id": 7, "author_id": AUTHOR, "created_at": spelled(0), "updated_at": spelled(minute),
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
    let mut told = vec![event(&sheet, 0, "open", AUTHOR)];
    let mut now = 0;
    for (number, (pause, deed)) in deeds.iter().enumerate() {
        for minute in now..now + pause {
            if sheet.is_open && !sheet.is_draft && sheet.merged_at.is_none() {
                sheet.active.insert(minute);
            }
        }
        now += pause;
        let is_merged = sheet.merged_at.is_some();
        let counts = |who: i64| who != AUTHOR && who != BOT && !is_merged;
        match *deed {
            Deed::ToggleDraft if !is_merged => {
                sheet.is_draft = !sheet.is_draft;
                told.push(event(&sheet, now, "update", AUTHOR));
            }
            Deed::Push if sheet.is_open && !is_merged => {
                sheet.pushes.push(now);
                let mut pushed = event(&sheet, now, "update", AUTHOR);
                pushed.2["object_attributes"]["oldrev"] = "abc".into();
                told.push(pushed);
            }
            Deed::Label => told.push(event(&sheet, now, "update", 2)),
            Deed::Approve(who) if sheet.is_open && !is_merged => {
                if counts(who) {
                    sheet.reviews.push((now, who));
                }
                if who != BOT {
                    sheet.approvals.push(now);
                }
                told.push(event(&sheet, now, if number % 2 == 0 { "approval" } else { "approved" }, who));
            }
            Deed::Comment(who) => {
                if counts(who) {
                    sheet.reviews.push((now, who));
                    sheet.comments += 1;
                }
                let note = json!({ "id": number, "author_id": who, "created_at": spelled(now), "system": false });
                let user = json!({ "id": who, "username": format!("u{who}") });
                let body = json!({ "user": user, "project": { "id": 7 }, "object_attributes": note,
                    "merge_request": attributes(&sheet, now) });
                told.push((now, Trigger::NOTE, body));
            }
            Deed::Close if sheet.is_open && !is_merged => {
                sheet.is_open = false;
                sheet.closed_at = Some(now);
                told.push(event(&sheet, now, "close", 2));
            }
            Deed::Reopen if !sheet.is_open && !is_merged => {
                sheet.is_open = true;
                sheet.reopened = true;
                told.push(event(&sheet, now, "reopen", 2));
            }
            Deed::Merge if sheet.is_open && !is_merged => {
                sheet.merged_at = Some(now);
                sheet.merged_by = Some(2);
                told.push(event(&sheet, now, "merge", 2));
            }
            _ => {}
        }
    }
    (sheet, told)
}

fn active_before(sheet: &Sheet, minute: i64) -> i64 {
    i64::try_from(sheet.active.range(..minute).count()).expect("few") * 60
}

/// What is done to an issue: comments, closing, opening again.
fn play_issue(deeds: &[(i64, u8)]) -> (Truth, Told) {
    let (mut now, mut open, mut closes, mut reopened, mut first_comment) = (0, true, Vec::new(), false, None);
    let attributes = |open: bool, minute: i64, closed: Option<i64>| {
        json!({ "iid": 3, "author_id": AUTHOR, "created_at": spelled(0), "updated_at": spelled(minute),
            "state": if open { "opened" } else { "closed" }, "closed_at": if open { None } else { closed.map(spelled) } })
    };
    let event = |action: &str, attributes: Value, minute: i64| {
        let mut attributes = attributes;
        attributes["action"] = action.into();
        (minute, Trigger::ISSUE, json!({ "project": { "id": 7 }, "object_attributes": attributes }))
    };
    let mut told = vec![event("open", attributes(true, 0, None), 0)];
    for (number, (pause, deed)) in deeds.iter().enumerate() {
        now += pause;
        match deed {
            0 if open => {
                open = false;
                closes.push(now);
                told.push(event("close", attributes(false, now, Some(now)), now));
            }
            1 if !open => {
                open = true;
                reopened = true;
                told.push(event("reopen", attributes(true, now, None), now));
            }
            2 => told.push(event("update", attributes(open, now, closes.last().copied()), now)),
            3 => {
                let who = [AUTHOR, 2, BOT][number % 3];
                if who == 2 {
                    first_comment = first_comment.or(Some(now));
                }
                let note = json!({ "id": number, "author_id": who, "created_at": spelled(now) });
                let on = attributes(open, now, closes.last().copied());
                let body = json!({ "project": { "id": 7 }, "object_attributes": note, "issue": on });
                told.push((now, Trigger::NOTE, body));
            }
            _ => {}
        }
    }
    let last = closes.last().copied().filter(|_| !open);
    let truth = BTreeMap::from([
        ("issues_opened", Some(1)),
        ("issues_closed", last.map(|_| 1)),
        ("issues_open", open.then_some(1)),
        ("issue_close_events", (!closes.is_empty()).then(|| i64::try_from(closes.len()).expect("few"))),
        ("issues_reopened", reopened.then_some(1)),
        ("issue_lead_time", last.map(|minute| minute * 60)),
        ("time_to_first_close", closes.first().map(|minute| minute * 60)),
        ("issue_first_response", first_comment.map(|minute| minute * 60)),
    ]);
    (truth, told)
}

proptest! {
    #[test]
    fn merge_requests_are_measured_as_they_happened(
        deeds in prop::collection::vec((1..200_i64, deed()), 0..24),
        begins_as_draft in any::<bool>(),
        order in prop::collection::vec(any::<Index>(), 0..40),
    ) {
        let (sheet, told) = play(&deeds, begins_as_draft);
        let items = entity::joined_at(&in_disorder(told, &order));
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
        deeds in prop::collection::vec((1..500_i64, 0..4_u8), 0..20),
        order in prop::collection::vec(any::<Index>(), 0..30),
    ) {
        let (truth, told) = play_issue(&deeds);
        let items = entity::joined_at(&in_disorder(told, &order));
        for (name, expected) in truth {
            prop_assert_eq!(value(name, &items), expected, "{}", name);
        }
    }

    /// Commits go to main one by one, each merged from a merge request, and now and then one is deployed, also an older one.
    #[test]
    fn lead_times_are_those_of_the_first_deployment_that_has_it(
        steps in prop::collection::vec((1..300_i64, any::<bool>(), any::<Index>()), 1..24),
        order in prop::collection::vec(any::<Index>(), 0..60),
    ) {
        let sha = |number: usize| format!("{number:040x}");
        let (mut now, mut merged, mut out, mut told) = (0, Vec::<i64>::new(), BTreeMap::<usize, i64>::new(), Vec::new());
        for (number, (pause, deploys, which)) in steps.iter().enumerate() {
            now += pause;
            if *deploys && !merged.is_empty() {
                let commit = which.index(merged.len());
                // Whoever is behind what comes out comes out with it, if it did not before.
                for earlier in 0..=commit {
                    out.entry(earlier).or_insert(now);
                }
                let body = json!({ "deployment_id": number, "status": "success", "status_changed_at": spelled(now),
                    "environment": "production", "project": { "id": 7 },
                    "commit_url": format!("https://gitlab.example.com/-/commit/{}", sha(commit + 2)) });
                told.push((now, Trigger::DEPLOYMENT, body));
            } else {
                let commit = merged.len() + 2;
                merged.push(now);
                let listed = json!({ "id": sha(commit), "message": format!("m{commit}"), "timestamp": "2026-03-01T00:00:00Z" });
                let push = json!({ "ref": "refs/heads/main", "before": sha(commit - 1), "after": sha(commit), "commits": [listed],
                    "project": { "id": 7, "default_branch": "main" } });
                told.push((now, Trigger::PUSH, push));
                let attributes = json!({ "iid": commit, "target_project_id": 7, "created_at": spelled(0), "updated_at": spelled(now),
                    "action": "merge", "state": "merged", "merge_commit_sha": sha(commit) });
                let body = json!({ "project": { "id": 7 }, "object_attributes": attributes });
                told.push((now, Trigger::MERGE_REQUEST, body));
            }
        }
        let items = entity::joined_at(&in_disorder(told, &order));
        let (ours, others): (Vec<Item>, Vec<Item>) =
            items.into_iter().partition(|item| matches!(item, Item::MergeRequest(_)));
        let mut given = metrics::given_among("lead_time_for_changes", ours, others).unwrap_or_default();
        let mut truth: Vec<i64> = out.iter().map(|(commit, at)| (at - merged[*commit]) * 60).collect();
        given.sort_unstable();
        truth.sort_unstable();
        prop_assert_eq!(given, truth);
    }

    /// Branches that are made, moved, rewritten and deleted.
    #[test]
    fn branches_are_measured_as_they_happened(
        steps in prop::collection::vec((0..3_usize, 0..4_u8), 0..30),
        order in prop::collection::vec(any::<Index>(), 0..40),
    ) {
        let zero = "0".repeat(40);
        let sha = |number: usize| format!("{:040x}", number + 1);
        let (mut heads, mut truth, mut told) = (BTreeMap::<usize, usize>::new(), BTreeMap::<&str, i64>::new(), Vec::new());
        let mut texts: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (number, (branch, deed)) in steps.iter().enumerate() {
            let commit = |text: usize| {
                json!({ "id": sha(number), "message": format!("t{text}"), "timestamp": "2026-03-01T00:00:00Z", "modified": [],
                    "author": { "name": "A", "email": "a@x" } })
            };
            let known = heads.get(branch).copied();
            let (before, after, commits) = match (known, deed) {
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
                // The same change under another name.
                (Some(head), 1) => {
                    *truth.entry("history_rewrites").or_default() += 1;
                    (sha(head), sha(number), vec![commit(texts[branch][0])])
                }
                // Back to something that was there.
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
            told.push((i64::try_from(number).expect("few") * 10, Trigger::PUSH, body));
        }
        truth.insert("branches_open", i64::try_from(heads.len()).expect("few"));
        let items = entity::joined_at(&in_disorder(told, &order));
        for name in ["pushes", "branches_created", "branches_deleted", "history_rewrites", "branches_open"] {
            let family = metrics::Metric::by_name(name).expect("a metric").family();
            let (ours, others) = items.iter().cloned().partition(|item| item.family() == family);
            let given = metrics::given_among(name, ours, others).map_or(0, |values| values.iter().sum());
            prop_assert_eq!(given, truth.get(name).copied().unwrap_or_default(), "{}", name);
        }
    }
}
