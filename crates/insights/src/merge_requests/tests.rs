//! Tests of the examples in the definitions, in any order and with repetitions.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::entity::{self, Item};
use crate::metrics;
use quickdraw_domain::Trigger;

const AUTHOR: i64 = 1;
const BOT: i64 = 9;
const X: i64 = 2;
const Y: i64 = 3;
const Z: i64 = 4;
const HOUR: i64 = 60;
const DAY: i64 = 24 * HOUR;

/// Minutes after Monday, 2026-03-16, 00:00 UTC.
fn at(minute: i64) -> Timestamp {
    Timestamp::from_seconds(1_773_619_200 + minute * 60)
}

fn written(minute: i64) -> String {
    let time = jiff::Timestamp::from_microsecond(at(minute).as_micros()).expect("in range");
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn state_after(action: &str) -> &'static str {
    match action {
        "close" => "closed",
        "merge" => "merged",
        _ => "opened",
    }
}

/// An event of merge request 5, which was created at 09:00.
fn event(action: &str, minute: i64, who: i64) -> (Trigger, Value) {
    let attributes = json!({ "iid": 5, "target_project_id": 7, "author_id": AUTHOR, "created_at": written(9 * HOUR),
        "updated_at": written(minute), "action": action, "state": state_after(action), "draft": false });
    let body = json!({ "user": { "id": who, "username": format!("u{who}") }, "project": { "id": 7 }, "object_attributes": attributes });
    (Trigger::by_name("merge_request_hooks").expect("a row"), body)
}

fn with(mut event: (Trigger, Value), name: &str, value: Value) -> (Trigger, Value) {
    event.1["object_attributes"][name] = value;
    event
}

fn note(id: i64, minute: i64, who: i64, state: &str, seen_at: i64) -> (Trigger, Value) {
    let on = json!({ "iid": 5, "target_project_id": 7, "author_id": AUTHOR, "created_at": written(9 * HOUR),
        "updated_at": written(seen_at), "state": state, "draft": false });
    let note =
        json!({ "id": id, "author_id": who, "created_at": written(minute), "system": false, "action": "create" });
    let body = json!({ "user": { "id": who, "username": format!("u{who}") }, "project": { "id": 7 }, "object_attributes": note, "merge_request": on });
    (Trigger::by_name("note_hooks").expect("a row"), body)
}

fn joined(events: &[(Trigger, Value)]) -> MergeRequest {
    match entity::joined(events).into_iter().next() {
        Some(Item::MergeRequest(one)) => one,
        other => panic!("no merge request: {other:?}"),
    }
}

fn value(one: &MergeRequest, name: &str) -> Result<i64, &'static str> {
    metrics::given(name, &[Item::MergeRequest(one.clone())], &[BOT]).map(|values| values.iter().sum())
}

/// The sequence of the definitions: opened, closed, reopened, reviewed and merged, with a comment after the merge.
fn sequence() -> Vec<(Trigger, Value)> {
    vec![
        event("open", 9 * HOUR, AUTHOR),
        note(1, 9 * HOUR + 1, BOT, "opened", 9 * HOUR),
        event("close", 12 * HOUR, AUTHOR),
        event("reopen", DAY + 9 * HOUR, AUTHOR),
        note(2, DAY + 10 * HOUR, X, "opened", DAY + 9 * HOUR),
        event("approval", DAY + 11 * HOUR, X),
        event("approved", DAY + 12 * HOUR, Y),
        event("merge", DAY + 13 * HOUR, Y),
        note(3, DAY + 15 * HOUR, Z, "merged", DAY + 13 * HOUR),
    ]
}

fn check_sequence(one: &MergeRequest) {
    assert_eq!((value(one, "mr_merged"), value(one, "mr_reopened")), (Ok(1), Ok(1)));
    assert!(value(one, "mr_closed_unmerged").is_err() && value(one, "self_merged").is_err());

    assert_eq!(
        (value(one, "time_to_merge"), value(one, "time_to_merge_active")),
        (Ok(100_800), Ok(25_200))
    );

    assert_eq!(
        (
            value(one, "time_to_first_review"),
            value(one, "time_to_first_review_active")
        ),
        (Ok(90_000), Ok(14_400))
    );

    let reviews = one.reviews(&|who| who == BOT);
    let reviewers: BTreeSet<i64> = reviews.iter().map(|(_, who)| *who).collect();
    assert_eq!(reviewers, BTreeSet::from([X, Y]), "the last note came after the merge");

    assert_eq!(
        (value(one, "review_depth"), value(one, "review_coverage")),
        (Ok(1), Ok(1))
    );

    assert_eq!(
        (value(one, "time_in_review"), value(one, "time_approved_to_merge")),
        (Ok(10_800), Ok(3_600))
    );
}

#[test]
fn the_sequence_of_the_definitions_gives_its_numbers() {
    check_sequence(&joined(&sequence()));
}

proptest! {
    #[test]
    fn order_and_repetition_change_nothing(order in prop::collection::vec(0..9_usize, 0..30)) {
        let all = sequence();
        let mut events: Vec<_> = order.into_iter().map(|index| all[index].clone()).collect();
        events.extend(all.into_iter().rev());
        let (once, shuffled) = (joined(&sequence()), joined(&events));
        prop_assert_eq!(&once, &shuffled);
        check_sequence(&shuffled);
        let text = serde_json::to_vec(&shuffled).expect("JSON");
        prop_assert_eq!(serde_json::from_slice::<MergeRequest>(&text).expect("the same"), shuffled);
    }
}

#[test]
fn time_as_a_draft_or_closed_is_left_out() {
    let draft = |event| with(event, "draft", json!(true));
    let events = [
        draft(event("open", 9 * HOUR, AUTHOR)),
        event("update", 14 * HOUR, AUTHOR),
        event("merge", 29 * HOUR, X),
    ];

    assert_eq!(
        value(&joined(&events), "time_to_merge_active"),
        Ok(54_000),
        "five of twenty hours a draft"
    );

    let events = [
        event("open", 9 * HOUR, AUTHOR),
        event("close", 12 * HOUR, X),
        event("reopen", 15 * HOUR, X),
        event("merge", 21 * HOUR, X),
    ];

    assert_eq!(
        value(&joined(&events), "time_to_merge_active"),
        Ok(32_400),
        "three of twelve hours closed"
    );

    // It becomes ready six hours after its creation, and gets a comment an hour later.
    let events = [
        draft(event("open", 9 * HOUR, AUTHOR)),
        event("update", 15 * HOUR, AUTHOR),
        note(1, 16 * HOUR, X, "opened", 15 * HOUR),
    ];
    assert_eq!(value(&joined(&events), "time_to_first_review_active"), Ok(3_600));

    assert!(
        value(&joined(&events[1..]), "time_to_first_review_active").is_err(),
        "its opening was not seen"
    );
}

#[test]
fn a_merge_request_counts_by_the_fields_of_its_events() {
    // The hook was added later, so only the merge is known. A group hook reports it a second time.
    let late = joined(&[event("merge", 11 * HOUR, AUTHOR), event("merge", 11 * HOUR, AUTHOR)]);
    assert_eq!((value(&late, "mr_opened"), value(&late, "mr_merged")), (Ok(1), Ok(1)));

    assert_eq!(
        (value(&late, "time_to_merge"), value(&late, "self_merged")),
        (Ok(7_200), Ok(1))
    );

    // A merge request that was closed, reopened and merged does not count as closed.
    let events = [
        event("close", 10 * HOUR, X),
        event("reopen", 11 * HOUR, X),
        event("merge", 12 * HOUR, X),
    ];
    assert_eq!(
        value(&joined(&events), "mr_closed_unmerged"),
        Err("it is not closed without a merge")
    );

    assert_eq!(value(&joined(&events[..1]), "mr_closed_unmerged"), Ok(1));
    assert_eq!(
        (
            value(&joined(&events[..1]), "mr_open"),
            value(&joined(&events[..2]), "mr_open")
        ),
        (Err("it was merged or closed"), Ok(1))
    );

    // A label after the merge does not change the time of the merge.
    let events = [
        event("merge", 12 * HOUR, X),
        with(event("update", 20 * HOUR, X), "state", json!("merged")),
    ];
    assert_eq!(value(&joined(&events), "time_to_merge"), Ok(3 * 3_600));

    // A comment shows that it is merged. The time of the merge is unknown.
    let merged = joined(&[
        event("open", 9 * HOUR, AUTHOR),
        note(1, 12 * HOUR, X, "merged", 12 * HOUR),
    ]);
    assert_eq!(value(&merged, "merge_rate"), Ok(1));

    assert_eq!(
        value(&merged, "time_to_merge"),
        Err("it is merged, but no event reported when")
    );

    assert_eq!(value(&merged, "merges_unseen"), Ok(1));
    assert_eq!(
        (value(&merged, "mr_merged"), value(&merged, "review_coverage")),
        (Ok(1), Ok(1))
    );

    // It is closed, reopened, and closed again without an event. The first close does not count.
    let unseen = [
        event("close", 10 * HOUR, X),
        event("reopen", 11 * HOUR, X),
        note(1, 14 * HOUR, X, "closed", 13 * HOUR),
    ];
    assert_eq!(joined(&unseen).closed_at(), Some(at(13 * HOUR)));
}

#[test]
fn between_a_close_and_a_reopening_a_merge_request_is_not_open() {
    let events = [
        event("open", 9 * HOUR, AUTHOR),
        event("close", 10 * HOUR, X),
        event("reopen", 20 * HOUR, X),
    ];
    let one = joined(&events);
    let times = [at(9 * HOUR + 30), at(15 * HOUR), at(21 * HOUR)];
    assert_eq!(times.map(|time| one.is_open_at(time)), [Some(false), None, Some(false)]);

    assert_eq!(
        times.map(|time| one.open_since(time)),
        [Some(at(9 * HOUR)), None, Some(at(20 * HOUR))]
    );

    let only_reopened = joined(&events[2..]);
    assert_eq!(
        only_reopened.open_since(at(21 * HOUR)),
        Some(at(20 * HOUR)),
        "its close was not seen"
    );
}

#[test]
fn reviews_are_by_others_and_pushes_after_them_are_rework() {
    let push = |minute| with(event("update", minute, AUTHOR), "oldrev", json!("a".repeat(40)));
    let events = [
        event("open", 9 * HOUR, AUTHOR),
        push(9 * HOUR + 10),
        note(1, 10 * HOUR, X, "opened", 9 * HOUR + 10),
        push(11 * HOUR),
        note(2, 12 * HOUR, X, "opened", 11 * HOUR),
        push(13 * HOUR),
        event("approved", 14 * HOUR, X),
        event("merge", 15 * HOUR, X),
    ];
    assert_eq!(value(&joined(&events), "rework_rounds"), Ok(2));

    let own = [
        event("open", 9 * HOUR, AUTHOR),
        note(1, 9 * HOUR + 1, BOT, "opened", 9 * HOUR),
        note(2, 10 * HOUR, AUTHOR, "opened", 9 * HOUR),
        with(event("unapproved", 11 * HOUR, X), "system", json!(true)),
        event("merge", 12 * HOUR, X),
    ];

    assert_eq!(
        (
            value(&joined(&own), "review_coverage"),
            value(&joined(&own), "review_depth")
        ),
        (Ok(0), Ok(0))
    );

    let later = [&own[..1], &[note(3, 13 * HOUR, X, "opened", 9 * HOUR)]].concat();
    assert_eq!(
        value(&joined(&later), "time_to_first_review"),
        Ok(4 * 3_600),
        "a note of 13:00 on one of 09:00"
    );
}

#[test]
fn the_state_is_bounded_and_the_same_in_any_order() {
    let update = |minute| event("update", 10 * HOUR + minute, X);
    let mut events: Vec<_> = (0..1_100).map(update).collect();
    events.extend((0..1_100).map(|minute| with(update(minute), "oldrev", json!("a".repeat(40)))));
    events.push(event("merge", 3 * DAY, X));

    let forwards = joined(&events);
    events.reverse();
    assert_eq!(forwards.observations.len(), 1_000);
    assert_eq!(forwards, joined(&events));
    assert_eq!(value(&forwards, "mr_merged"), Ok(1), "the merge is kept");
}

#[test]
fn a_stacked_merge_request_has_its_last_target_branch() {
    let stacked = with(event("open", 9 * HOUR, AUTHOR), "target_branch", json!("feat-1"));
    let retargeted = with(event("update", 10 * HOUR, AUTHOR), "target_branch", json!("main"));
    for order in [[stacked.clone(), retargeted.clone()], [retargeted, stacked]] {
        assert_eq!(joined(&order).target_branch(), Some("main"));
    }
}
