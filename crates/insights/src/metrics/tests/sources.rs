//! Metrics in the definition of another tool give the numbers of that tool.

use super::*;

fn runs() -> Vec<(&'static str, Value)> {
    let run = |id: i64, status: &str, seconds: i64| {
        json!({ "id": id, "name": "rspec", "stage": "test", "status": status, "created_at": "2026-03-02 08:00:00 UTC",
            "started_at": "2026-03-02 08:00:01 UTC", "finished_at": "2026-03-02 08:10:00 UTC", "duration": seconds })
    };
    let mut skipped = run(4, "skipped", 0);
    skipped["started_at"] = Value::Null;
    skipped["duration"] = Value::Null;

    let mut allowed = run(5, "failed", 10);
    allowed["allow_failure"] = json!(true);

    let builds = [
        run(1, "failed", 3),
        run(2, "failed", 1),
        run(3, "canceled", 4),
        skipped,
        allowed,
    ];

    let pipeline = |id: i64, builds: &[Value]| {
        let attributes =
            json!({ "id": id, "status": "failed", "source": "push", "created_at": "2026-03-02 08:00:00 UTC" });
        (
            "pipeline_hooks",
            json!({ "project": { "id": 7 }, "object_attributes": attributes, "builds": builds }),
        )
    };

    builds
        .iter()
        .zip(1..)
        .map(|(build, id)| pipeline(id, std::slice::from_ref(build)))
        .collect()
}

#[test]
fn gitlabs_job_analytics_use_every_run_that_ended() {
    let all = runs();
    let of = |all: &[(&str, Value)], name: &str| measured(name, all, None);
    let three = &all[..3];
    let rate = of(three, "job_failure_rate.gitlab").value.expect("a rate");

    assert!((rate - 2.0 / 3.0).abs() < 1e-9, "two failed out of three: {rate}");

    let mean = of(three, "job_duration.gitlab").value.expect("a mean");
    assert!((mean - 8.0 / 3.0).abs() < 1e-9, "with the canceled one: {mean}");

    assert_eq!(
        of(three, "job_duration").value,
        Some(2.0),
        "Quickdraw's uses passed and failed runs"
    );

    assert_eq!(
        of(&all, "job_failure_rate.gitlab").value,
        Some(0.6),
        "with a skipped run and one that may fail"
    );

    assert!(Metric::reading("job_duration", Some("gitlab")).is_some_and(|one| one.name == "job_duration.gitlab"));
}

#[test]
fn gitlab_divides_the_incidents_of_a_window_by_its_deployments() {
    let deployed = |id: i64, at: &str| {
        let body = json!({ "deployment_id": id, "status": "success", "environment": "production", "status_changed_at": at,
            "project": { "id": 7 } });
        ("deployment_hooks", body)
    };

    let incident = |iid: i64, at: &str| {
        let attributes =
            json!({ "iid": iid, "type": "Incident", "created_at": at, "updated_at": at, "state": "opened" });
        (
            "issue_hooks",
            json!({ "project": { "id": 7 }, "object_attributes": attributes }),
        )
    };

    let all = [
        deployed(1, "2026-02-20 08:00:00 UTC"),
        incident(1, "2026-03-02 08:00:00 UTC"),
        deployed(2, "2026-03-03 08:00:00 UTC"),
        incident(2, "2026-03-03 09:00:00 UTC"),
        incident(3, "2026-03-03 10:00:00 UTC"),
        deployed(3, "2026-03-04 08:00:00 UTC"),
        incident(4, "2026-03-20 08:00:00 UTC"),
    ];
    let of = |name: &str| measured(name, &all, None).value;

    assert_eq!(
        of("change_failure_rate.gitlab"),
        Some(1.5),
        "three incidents and two deployments in ten days"
    );

    assert_eq!(
        of("incidents_per_deployment"),
        Some(1.5),
        "one incident belongs to an earlier deployment"
    );

    assert_eq!(of("change_failure_rate"), Some(1.0));
}

#[test]
fn chaoss_divides_accepted_by_declined_merge_requests() {
    let closed = json!({ "action": "close", "state": "closed" });
    let mut all = vec![
        merge_request(1, "2026-03-02 08:00:00 UTC", "2026-03-02 10:00:00 UTC", json!({})),
        merge_request(2, "2026-03-02 08:00:00 UTC", "2026-03-02 10:00:00 UTC", json!({})),
        merge_request(3, "2026-03-02 08:00:00 UTC", "2026-03-02 10:00:00 UTC", json!({})),
    ];

    assert_eq!(
        measured("acceptance_ratio.chaoss", &all, None).value,
        None,
        "nothing was declined"
    );

    all.push(merge_request(
        4,
        "2026-03-02 08:00:00 UTC",
        "2026-03-02 10:00:00 UTC",
        closed,
    ));

    let of = |name: &str| measured(name, &all, None).value;
    assert_eq!(
        (of("acceptance_ratio.chaoss"), of("acceptance_ratio")),
        (Some(3.0), Some(0.75))
    );
}

#[test]
fn created_tags_count_and_moved_tags_do_not() {
    let tag = |name: &str, before: &str, after: &str| {
        let body = json!({ "ref": format!("refs/tags/{name}"), "before": before.repeat(40), "after": after.repeat(40),
            "user_id": 1, "project": { "id": 7 } });
        ("tag_push_hooks", body)
    };

    let all = [
        tag("v1", "0", "a"),
        tag("v1", "a", "b"),
        tag("v2", "0", "b"),
        tag("v2", "b", "0"),
        tag("v1", "0", "a"),
    ];

    let metric = Metric::by_name("tags_created").expect("a metric");
    let choice = Choice {
        deployed_by: metric.deployed_by(),
        ..Choice::default()
    };
    let found = measured_with("tags_created", &all, choice, People::default());
    assert_eq!(found.value, Some(2.0));

    assert_eq!(
        measured("deployments", &all, None).value,
        Some(0.0),
        "tags are deployments only on request"
    );
}

#[test]
fn reviewers_of_a_merge_request_are_distinct_people() {
    let note = |id: i64, iid: i64, who: i64| {
        let on = json!({ "iid": iid, "target_project_id": 7, "author_id": 1, "created_at": "2026-03-02 08:00:00 UTC" });
        let note = json!({ "id": id, "author_id": who, "created_at": "2026-03-02 09:00:00 UTC", "system": false });
        (
            "note_hooks",
            json!({ "project": { "id": 7 }, "object_attributes": note, "merge_request": on }),
        )
    };

    let merged = |iid: i64| merge_request(iid, "2026-03-02 08:00:00 UTC", "2026-03-02 10:00:00 UTC", json!({}));
    let all = [
        note(1, 5, 2),
        note(2, 5, 2),
        note(3, 5, 3),
        note(4, 5, 1),
        merged(5),
        merged(6),
    ];

    assert_eq!(
        measured("reviewers_per_mr", &all, None).value,
        Some(1.0),
        "two reviewers and none"
    );
}
