//! Metrics of issues, their labels and incidents, and of pipelines and deployments.

use serde_json::{Value, json};

use crate::counted::{Counted, Event};
use crate::insights::WEEK;
use crate::server::Engine;

/// A time in March 2026.
fn time(text: &str) -> String {
    format!("2026-03-{text}:00 UTC")
}

fn project() -> Value {
    json!({ "id": 7, "path_with_namespace": "gear/rope" })
}

fn issue(iid: i64, action: &str, updated: &str, closed: Option<&str>) -> Event {
    let state = if closed.is_some() { "closed" } else { "opened" };
    let body = json!({ "object_kind": "issue", "user": { "id": 1, "username": "jo" }, "project": project(),
        "object_attributes": { "iid": iid, "author_id": 1, "created_at": time("01 12:00"), "updated_at": time(updated),
            "action": action, "state": state, "closed_at": closed.map(time) } });

    ("Issue Hook", body)
}

/// An issue that is opened, closed and reopened, with its events in another order, and an issue that stays closed.
fn issues() -> [Event; 4] {
    [
        issue(1, "open", "01 12:00", None),
        issue(1, "reopen", "03 09:00", None),
        issue(1, "close", "01 15:00", Some("01 15:00")),
        issue(2, "close", "02 12:00", Some("02 12:00")),
    ]
}

/// An issue that gets labels and loses them.
fn labels() -> [Event; 4] {
    let labelled = |updated: &str, titles: &[&str]| {
        let (event, mut body) = issue(1, "update", updated, None);
        body["object_attributes"]["labels"] = titles.iter().map(|title| json!({ "title": title })).collect();
        (event, body)
    };

    [
        labelled("04 09:00", &["bug", "doing"]),
        labelled("04 10:00", &["bug"]),
        labelled("04 12:00", &["doing"]),
        labelled("04 14:00", &["bug"]),
    ]
}

fn count_issues(engine: &Engine) -> Counted {
    let counted = Counted::start(engine, WEEK);
    counted.receive("i", &issues());
    counted.wait_for("issue_close_events", 2.0);

    counted
}

fn count_labels(engine: &Engine) -> Counted {
    let counted = count_issues(engine);
    counted.receive("l", &labels());
    counted.wait_for("label_time?label=doing", 10_800.0);

    counted
}

pub(crate) fn issues_are_counted(engine: Engine) {
    let counted = count_issues(&engine);
    counted.check_values(&[
        ("issues_opened", 2.0),
        ("issues_closed", 1.0),
        ("issues_open", 1.0),
        ("issues_reopened", 1.0),
        ("issue_lead_time", 86_400.0),
    ]);

    assert_eq!(counted.metric("issue_first_response")["value"], Value::Null);
    assert_eq!(counted.metric("time_to_first_close")["p50"], 48_600.0);
}

pub(crate) fn only_the_current_labels_of_an_issue_count(engine: Engine) {
    let counted = count_labels(&engine);
    counted.check_values(&[("issues_opened?label=bug", 1.0), ("issues_opened?label=doing", 0.0)]);
    counted.check_groups("issues_opened", "label", &[("bug", 1.0)]);
}

/// An event of a pipeline, with one job: its id, status, start and end.
fn pipeline(status: &str, finished: Option<&str>, job: (i64, &str, &str, Option<&str>)) -> Event {
    let time = |text: &str| format!("2026-03-05 {text}:00 UTC");
    let (id, job_status, started, ended) = job;

    let body = json!({ "object_kind": "pipeline", "project": project(),
        "object_attributes": { "id": 31, "iid": 3, "status": status, "created_at": time("12:00"),
            "finished_at": finished.map(time), "duration": 300, "queued_duration": 4 },
        "builds": [{ "id": id, "name": "pull", "status": job_status, "created_at": time("12:00"),
            "started_at": time(started), "finished_at": ended.map(time), "duration": 90.4, "allow_failure": false }] });

    ("Pipeline Hook", body)
}

/// A pipeline that fails, is run again in part, and passes. Its events arrive in another order.
pub(crate) fn a_pipeline_that_is_run_again_is_counted_once(engine: Engine) {
    let counted = Counted::start(&engine, WEEK);
    let passed = (2, "success", "12:20", Some("12:30"));
    let failed = (1, "failed", "12:01", Some("12:10"));

    let events = [
        pipeline("success", Some("12:30"), passed),
        pipeline("failed", Some("12:10"), failed),
        pipeline("running", None, (2, "running", "12:20", None)),
    ];
    counted.receive("p", &events);
    counted.wait_for("job_runs", 2.0);

    counted.check_values(&[
        ("pipelines", 1.0),
        ("pipeline_success_rate", 1.0),
        ("first_attempt_success_rate", 0.0),
        ("pipeline_duration", 300.0),
        ("time_to_green", 1_200.0),
        ("retried_jobs", 1.0),
        ("flaky_jobs", 1.0),
        ("job_failure_rate", 0.5),
        ("ci_seconds", 180.0),
    ]);
}

fn deployment(id: i64, status: &str, at: &str) -> Event {
    let body = json!({ "object_kind": "deployment", "deployment_id": id, "status": status, "environment_tier": "production",
        "status_changed_at": format!("2026-03-{at}:00 +0100"), "environment": "eu", "project": project() });

    ("Deployment Hook", body)
}

fn incident(iid: i64, created: &str, closed: Option<&str>) -> Event {
    let state = if closed.is_some() { "closed" } else { "opened" };
    let body = json!({ "object_kind": "work_item", "project": project(), "user": { "id": 8, "username": "alert-bot" },
        "object_attributes": { "iid": iid, "type": "Incident", "author_id": 8, "created_at": time(created),
            "updated_at": time(closed.unwrap_or(created)), "closed_at": closed.map(time), "action": "update",
            "state": state } });

    ("Issue Hook", body)
}

/// Two successful deployments, one failed deployment, and two incidents after the first one. There are issues too.
fn count_deployments(engine: &Engine) -> Counted {
    let counted = count_issues(engine);
    let events = [
        deployment(3, "success", "04 12:00"),
        deployment(2, "failed", "04 11:00"),
        deployment(1, "success", "02 19:00"),
        incident(8, "02 20:00", Some("02 22:00")),
        incident(9, "03 08:00", None),
    ];
    counted.receive("d", &events);
    counted.wait_for("incidents", 2.0);

    counted
}

pub(crate) fn deployments_and_their_incidents_are_counted(engine: Engine) {
    let counted = count_deployments(&engine);
    counted.check_values(&[
        ("deployment_frequency", 2.0 / 7.0),
        ("deployments", 2.0),
        ("failed_deployments", 1.0),
        ("change_failure_rate", 0.5),
        ("incidents_per_deployment", 1.0),
        ("time_to_restore", 7_200.0),
        ("failed_deployment_recovery_time", 14_400.0),
        ("incidents_open", 1.0),
        // Incidents are no issues.
        ("issues_opened", 2.0),
    ]);

    let days = counted.metric("deployment_frequency")["series"].clone();
    assert_eq!(days[1]["value"], 1.0);
}
