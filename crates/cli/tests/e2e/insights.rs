//! Metrics of merge requests: their values, windows, explanations and definitions.

use serde_json::{Value, json};

use crate::answers::{check_shows, items};
use crate::counted::{Counted, Event};
use crate::server::Engine;

pub(crate) const WEEK: &str = "from=2026-03-01&to=2026-03-08&project=gear%2Frope";

/// The body of an event of a merge request of project 7. The times are in March 2026.
pub(crate) fn merge_request(
    iid: i64,
    created: &str,
    action: &str,
    state: &str,
    updated: &str,
    who: (i64, &str),
) -> Value {
    let time = |text: &str| format!("2026-03-{text}:00 UTC");
    json!({ "object_kind": "merge_request", "user": { "id": who.0, "username": who.1, "name": who.1 },
        "project": { "id": 7, "path_with_namespace": "gear/rope" },
        "object_attributes": { "iid": iid, "target_project_id": 7, "author_id": 1, "created_at": time(created),
            "updated_at": time(updated), "action": action, "state": state } })
}

/// Six merge requests. Three are merged, after 2, 10 and 30 hours: mean 50,400 s, median 36,000 s.
fn merge_requests() -> Vec<Event> {
    let jo = (1, "jo");
    let ida = (2, "ida");
    let bot = (9, "project_7_bot_0f");

    let bodies = [
        merge_request(1, "02 08:00", "merge", "merged", "02 10:00", ida),
        merge_request(2, "02 08:00", "open", "opened", "02 08:00", jo),
        merge_request(2, "02 08:00", "approved", "opened", "02 09:00", bot),
        merge_request(2, "02 08:00", "approved", "opened", "02 12:00", ida),
        merge_request(2, "02 08:00", "merge", "merged", "02 18:00", jo),
        merge_request(3, "02 08:00", "merge", "merged", "03 14:00", ida),
        merge_request(4, "04 08:00", "open", "opened", "04 08:00", jo),
        merge_request(5, "04 08:00", "close", "closed", "05 08:00", jo),
        merge_request(6, "28 08:00", "open", "opened", "28 08:00", jo),
    ];

    bodies.map(|body| ("Merge Request Hook", body)).into()
}

/// Starts a server that has counted the merge requests, which arrive in reverse order.
fn count(engine: &Engine) -> Counted {
    let counted = Counted::start(engine, WEEK);
    counted.receive_reversed("k", &merge_requests());
    counted.wait_for("mr_opened", 5.0);

    counted
}

/// The starts of the parts of a series.
fn starts(metric: &Value) -> Vec<&str> {
    items(&metric["series"])
        .iter()
        .filter_map(|part| part["start"].as_str())
        .collect()
}

pub(crate) fn merge_requests_are_counted(engine: Engine) {
    count(&engine).check_values(&[
        ("mr_merged", 3.0),
        ("mr_closed_unmerged", 1.0),
        ("mr_open", 1.0),
        ("merge_rate", 0.6),
        ("acceptance_ratio", 0.75),
        ("self_merged", 1.0),
        ("time_to_first_review", 14_400.0),
    ]);
}

pub(crate) fn a_duration_has_a_mean_and_percentiles(engine: Engine) {
    let merged = count(&engine).metric("time_to_merge");
    let expected = json!({ "value": 50_400.0, "p50": 36_000.0, "samples": 3, "unit": "seconds" });
    check_shows(&merged, &expected);

    let days = items(&merged["series"]);
    assert_eq!(days.len(), 7);

    for (number, day, samples) in [(1, "2026-03-02", 2), (2, "2026-03-03", 1)] {
        let start = days[number]["start"].as_str().expect("a time");
        assert_eq!(&start[..10], day);
        assert_eq!(days[number]["samples"], samples, "{day}");
    }
}

pub(crate) fn a_metric_shows_the_value_of_the_previous_window(engine: Engine) {
    let counted = count(&engine);
    let path = "/api/v1/insights/metrics/mr_merged?from=2026-03-08&to=2026-03-15&project=gear%2Frope";
    let later = counted.server.get(path);
    check_shows(&later, &json!({ "value": 0.0, "previous": { "value": 3.0 } }));

    // A window without data has no value, and not 0.
    let first = counted.metric("time_to_merge");
    assert_eq!(first["previous"]["value"], Value::Null);
}

pub(crate) fn bots_are_counted_on_request(engine: Engine) {
    let counted = count(&engine);
    for (more, bots) in [("bots=true", true), ("whose=all", true), ("whose=people", false)] {
        let review = counted.metric(&format!("time_to_first_review?{more}"));
        check_shows(&review, &json!({ "value": 14_400.0, "bots": bots }));
    }

    counted.check_values(&[("mr_opened?whose=bots", 0.0)]);
}

/// Days start at midnight of the given zone, and weeks on Mondays.
pub(crate) fn weeks_start_on_mondays_of_the_given_zone(engine: Engine) {
    let path = "/api/v1/insights/metrics/mr_open?from=2026-03-01&to=2026-04-01&zone=Europe/Bratislava&interval=week";
    let weeks = count(&engine).server.get(path);
    let starts = starts(&weeks);
    assert_eq!(starts[..2], ["2026-02-28T23:00:00.000Z", "2026-03-01T23:00:00.000Z"]);

    // The clocks went forward.
    let last = starts.last().expect("a week");
    assert_eq!(*last, "2026-03-29T22:00:00.000Z");
    assert_eq!(weeks["value"], 2.0);
}

/// The first day has no midnight because of the change of clocks; the later days have one.
pub(crate) fn a_day_without_a_midnight_starts_at_its_first_moment(engine: Engine) {
    let path = "/api/v1/insights/metrics/mr_merged?from=2026-04-23&to=2026-04-26&zone=Africa/Cairo";
    let days = Counted::start(&engine, WEEK).server.get(path);

    let expected = [
        "2026-04-22T22:00:00.000Z",
        "2026-04-23T22:00:00.000Z",
        "2026-04-24T21:00:00.000Z",
    ];
    assert_eq!(starts(&days), expected);
}

pub(crate) fn a_value_is_explained_by_its_items(engine: Engine) {
    let why = count(&engine).metric("time_to_merge/explain");
    assert_eq!(why["left_out"], json!({ "it is not merged": 2 }));

    let counted = &why["items"][1];
    check_shows(counted, &json!({ "iid": 2, "counts": true, "value": 36_000 }));
    assert_eq!(why["items"][4]["reason"], "it is not merged");
}

/// The times of a page of the events of an item, and the cursor of the next page.
fn events_of_item(counted: &Counted, more: &str) -> (Vec<String>, Option<String>) {
    let path = format!("/api/v1/insights/metrics/time_to_merge/events?item=7/2{more}");
    let page = counted.server.get(&path);
    let mut times = Vec::new();

    for event in items(&page["items"]) {
        let id = event["id"].as_str().expect("an id");
        let event = counted.server.get(&format!("/api/v1/events/{id}"));
        let time = event["payload"]["object_attributes"]["updated_at"].as_str();
        times.push(time.expect("a time").to_owned());
    }

    (times, page["next"].as_str().map(str::to_owned))
}

pub(crate) fn the_events_of_an_item_are_listed_in_the_order_of_their_receipt(engine: Engine) {
    let counted = count(&engine);
    let all = ["02 18:00", "02 12:00", "02 09:00", "02 08:00"].map(|time| format!("2026-03-{time}:00 UTC"));
    assert_eq!(events_of_item(&counted, ""), (all.to_vec(), None));

    let (first, next) = events_of_item(&counted, "&limit=3");
    let next = next.expect("there is a next page");
    let (rest, end) = events_of_item(&counted, &format!("&limit=3&after={next}"));

    assert_eq!(([first, rest].concat(), end), (all.to_vec(), None));

    counted.check_statuses(&[("metrics/mr_open/events?item=1", 400)]);
}

pub(crate) fn invalid_questions_are_refused(engine: Engine) {
    let counted = Counted::start(&engine, WEEK);
    counted.check_statuses(&[
        ("metrics/nonsense", 404),
        ("metrics/mr_open?definition=mine", 400),
        ("metrics/mr_open?whose=mine", 400),
        ("metrics/mr_open?whose=bots&bots=true", 400),
        ("metrics/branches_open?whose=bots", 400),
        ("query?metric=mr_open&whose=bots&group_by=member", 400),
        ("query?metric=mr_open&group_by=label&label=bug", 400),
        ("metrics/mr_open?interval=year", 400),
        ("metrics/mr_open?interval=hour", 400),
        ("metrics/mr_open?zone=Mars", 400),
        ("metrics/mr_open?from=2016-01-01&to=2026-01-01&interval=hour", 400),
    ]);

    let task = counted.call("POST", "rebuild", r#"{"task":"nonsense"}"#);
    task.checked(400);
}

pub(crate) fn other_definitions_are_chosen_by_a_parameter_or_by_name(engine: Engine) {
    let counted = count(&engine);
    let read = counted.metric("time_to_merge?definition=devlake");
    check_shows(&read, &json!({ "name": "time_to_merge.devlake", "p50": 36_000.0 }));

    let path = "/api/v1/insights/query?metric=time_to_merge,time_to_merge.chaoss&from=2026-03-01&interval=none";
    let both = counted.server.get(path);
    assert_eq!(items(&both["definitions"]).len(), 2);
}

pub(crate) fn a_crash_loses_no_data_and_repeated_events_change_no_value(engine: Engine) {
    let mut counted = count(&engine);
    let before = counted.metric("time_to_merge");
    counted.server.kill();
    counted.server.restart();

    counted.receive("again", &merge_requests());

    let last = merge_request(7, "06 08:00", "open", "opened", "06 08:00", (1, "jo"));
    counted.receive("last", &[("Merge Request Hook", last)]);
    counted.wait_for("mr_opened", 6.0);

    let expected = json!({ "value": before["value"], "p50": before["p50"], "p90": before["p90"] });
    check_shows(&counted.metric("time_to_merge"), &expected);
}
