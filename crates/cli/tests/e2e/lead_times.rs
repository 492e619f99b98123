//! Lead times: merge requests are followed to their deployment.
//!
//! The example of the definitions: The branch main moves s → a → b → c. The merge requests !1 (a), !2 (b) and !3 (c)
//! are merged. b is deployed; the deployment of c fails and then succeeds. Two incidents follow the first deployment.

use serde_json::{Value, json};

use crate::answers::{check_shows, items};
use crate::counted::{Counted, Event};
use crate::http::eventually;
use crate::insights::merge_request;
use crate::server::Engine;

const WINDOW: &str = "from=2026-03-01&to=2026-03-08&project=gear%2Frope";

fn time(text: &str) -> String {
    format!("2026-03-{text}:00 UTC")
}

fn project() -> Value {
    json!({ "id": 7, "path_with_namespace": "gear/rope", "default_branch": "main" })
}

fn sha(letter: &str) -> String {
    letter.repeat(40)
}

fn push(before: &str, after: &str, at: &str) -> Event {
    let commit = json!({ "id": sha(after), "message": format!("Tie {after}"), "timestamp": format!("{}Z", at.replace(' ', "T")) });
    let body = json!({ "object_kind": "push", "ref": "refs/heads/main", "before": sha(before), "after": sha(after),
        "commits": [commit], "project": project() });

    ("Push Hook", body)
}

fn deployment(id: i64, letter: &str, status: &str, at: &str) -> Event {
    let body = json!({ "object_kind": "deployment", "deployment_id": id, "status": status, "status_changed_at": time(at),
        "environment": "production", "environment_tier": "production", "project": project(),
        "commit_url": format!("https://gitlab.example.com/gear/rope/-/commit/{}", sha(letter)) });

    ("Deployment Hook", body)
}

fn merged(iid: i64, letter: &str, at: &str) -> Event {
    let mut body = merge_request(iid, "01 08:00", "merge", "merged", at, (2, "ida"));
    body["object_attributes"]["last_commit"] = json!({ "id": sha(letter) });

    ("Merge Request Hook", body)
}

fn incident(iid: i64, created: &str, closed: Option<&str>) -> Event {
    let body = json!({ "object_kind": "work_item", "project": project(), "object_attributes": { "iid": iid, "type": "Incident",
        "created_at": time(created), "updated_at": time(closed.unwrap_or(created)), "closed_at": closed.map(time),
        "action": if closed.is_some() { "close" } else { "open" },
        "state": if closed.is_some() { "closed" } else { "opened" } } });

    ("Issue Hook", body)
}

fn events() -> [Event; 11] {
    [
        push("5", "a", "2026-03-01 09:00:00"),
        push("a", "b", "2026-03-01 11:00:00"),
        push("b", "c", "2026-03-03 08:00:00"),
        merged(1, "a", "01 10:00"),
        merged(2, "b", "01 12:00"),
        merged(3, "c", "03 09:00"),
        deployment(1, "b", "success", "01 18:00"),
        deployment(2, "c", "failed", "03 10:00"),
        deployment(3, "c", "success", "03 11:00"),
        incident(1, "01 20:00", Some("01 22:00")),
        incident(2, "02 08:00", None),
    ]
}

/// Starts a server that has counted the events. They arrive in reverse order, with a crash in between.
fn count(engine: &Engine) -> Counted {
    let mut counted = Counted::start(engine, WINDOW);
    let events = events();
    let (early, late) = events.split_at(7);

    counted.receive_reversed("late", late);
    counted.server.kill();
    counted.server.restart();
    counted.receive_reversed("early", early);

    eventually("all events are counted", || {
        let has_all = |metric: &str| counted.metric(metric)["samples"] == 3;
        has_all("lead_time_for_changes") && has_all("commit_lead_time")
    });

    counted
}

fn check_example(counted: &Counted) {
    let lead_time = counted.metric("lead_time_for_changes");
    check_shows(&lead_time, &json!({ "p50": 21_600.0, "samples": 3 }));

    counted.check_values(&[
        ("deployments", 2.0),
        ("failed_deployments", 1.0),
        ("change_failure_rate", 0.5),
        ("incidents_per_deployment", 1.0),
        ("time_to_restore", 7_200.0),
        ("failed_deployment_recovery_time", 14_400.0),
        ("deployment_rework_rate", 0.5),
    ]);

    let frequency = counted.metric("deployment_frequency")["value"].clone();
    let frequency = frequency.as_f64().expect("a number");
    assert!((frequency - 0.285_714).abs() < 1e-6);

    // From commit to deployment: 9, 7 and 3 hours.
    assert_eq!(counted.metric("commit_lead_time")["p50"], 25_200.0);

    for item in items(&counted.metric("lead_time_for_changes/explain")["items"]) {
        assert_eq!(item["counts"], item["reason"].is_null(), "{item}");
    }
}

pub(crate) fn lead_times_follow_merge_requests_to_their_deployment(engine: Engine) {
    check_example(&count(&engine));
}

pub(crate) fn repeated_events_and_an_older_merge_request_do_not_change_lead_times(engine: Engine) {
    let counted = count(&engine);
    counted.receive("again", &events());
    counted.receive("last", &[merged(4, "z", "03 09:30")]);
    counted.wait_for("mr_merged", 4.0);

    let explained = counted.metric("lead_time_for_changes/explain");
    let reason = "it is older than the first known push to the default branch";
    assert_eq!(explained["left_out"], json!({ reason: 1 }));
    check_example(&counted);
}
