//! Lead times of squashes that GitLab fast-forwarded: no event names the commit that the merge created.

use serde_json::{Value, json};

use crate::entity::{self, Item};
use crate::metrics;
use quickdraw_domain::{Timestamp, Trigger};

const HOUR: i64 = 60;
const DAY: i64 = 24 * HOUR;

type Event = (Timestamp, Trigger, Value);

/// Minutes after 2026-11-18, 00:00 UTC.
fn at(minute: i64) -> Timestamp {
    Timestamp::from_seconds(1_794_960_000 + minute * 60)
}

fn written(minute: i64) -> String {
    let time = jiff::Timestamp::from_microsecond(at(minute).as_micros()).expect("in range");
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn sha(letter: &str) -> String {
    letter.repeat(40)
}

/// A push to the default branch. `committed` is the time of its commit, if the body has one.
fn push(before: &str, after: &str, received: i64, committed: Option<i64>) -> Event {
    let commit = json!({ "id": sha(after), "message": format!("Tie {after}"), "timestamp": committed.map(written) });
    let body = json!({ "ref": "refs/heads/main", "before": sha(before), "after": sha(after), "commits": [commit],
        "project": { "id": 7, "default_branch": "main" } });
    (at(received), Trigger::PUSH, body)
}

/// A merge whose body names the last commit of the source branch and, optionally, the squash.
fn merge(minute: i64, squash: Option<&str>) -> Event {
    let attributes = json!({ "iid": 1, "action": "merge", "state": "merged", "created_at": written(0),
        "updated_at": written(minute), "merge_commit_sha": null, "last_commit": { "id": sha("f") },
        "squash_commit_sha": squash.map(sha), "target_project_id": 7 });
    let trigger = Trigger::by_name("merge_request_hooks").expect("a row");

    (
        at(minute),
        trigger,
        json!({ "project": { "id": 7 }, "object_attributes": attributes }),
    )
}

fn deploy(id: i64, commit: &str, minute: i64) -> Event {
    let commit_url = format!("https://gitlab.example.com/gear/rope/-/commit/{}", sha(commit));
    let body = json!({ "deployment_id": id, "status": "success", "status_changed_at": written(minute),
        "environment": "production", "commit_url": commit_url, "project": { "id": 7 } });
    (at(minute), Trigger::by_name("deployment_hooks").expect("a row"), body)
}

/// Lead times of these events in minutes. The result must be the same in reverse order.
fn lead_times(events: &[Event]) -> Vec<i64> {
    let of = |events: &[Event]| -> Vec<i64> {
        let (merge_requests, others): (Vec<Item>, Vec<Item>) = entity::joined_at(events)
            .into_iter()
            .partition(|item| matches!(item, Item::MergeRequest(_)));
        let given = metrics::given_among("lead_time_for_changes", merge_requests, others).unwrap_or_default();
        given.into_iter().map(|seconds| seconds / 60).collect()
    };

    let reversed: Vec<Event> = events.iter().rev().cloned().collect();
    let found = of(events);
    assert_eq!(found, of(&reversed));

    found
}

/// The default branch is at `1` for two days until `d` is squashed into it. Then `1` is deployed again, and later a
/// newer commit.
fn squashed(committed: Option<i64>, squash: Option<&str>) -> Vec<Event> {
    let merged = 2 * DAY + 10 * HOUR;
    vec![
        push("0", "1", 0, Some(0)),
        push("1", "d", merged, committed),
        merge(merged, squash),
        deploy(1, "1", merged + 30),
        push("d", "e", merged + 3 * HOUR, Some(merged + 3 * HOUR)),
        deploy(2, "e", merged + 4 * HOUR),
    ]
}

#[test]
fn a_squash_that_the_body_names_is_found_by_its_name() {
    assert_eq!(lead_times(&squashed(None, Some("d"))), [4 * HOUR]);
}

#[test]
fn a_deployment_of_a_commit_from_before_the_merge_does_not_count() {
    assert_eq!(lead_times(&squashed(None, None)), [4 * HOUR]);

    let before_the_next = &squashed(None, None)[..4];
    assert!(
        lead_times(before_the_next).is_empty(),
        "only the older commit was deployed"
    );
}

#[test]
fn an_unnamed_squash_is_the_push_whose_commit_has_the_time_of_the_merge() {
    let merged = 2 * DAY + 10 * HOUR;
    let mut events = squashed(Some(merged), None);
    assert_eq!(lead_times(&events), [4 * HOUR]);

    // The result is the same if the pushes are received days later.
    for event in &mut events {
        if event.1 == Trigger::PUSH {
            event.0 = at(9 * DAY);
        }
    }

    assert_eq!(lead_times(&events), [4 * HOUR]);
}
