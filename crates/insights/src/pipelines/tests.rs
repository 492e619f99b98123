//! Tests of the example in the definitions, in any order and with repetitions.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::entity::{self, Item};
use crate::metrics;
use quickdraw_domain::Trigger;

fn written(minute: i64) -> String {
    let time = jiff::Timestamp::from_second(1_773_619_200 + 12 * 3_600 + minute * 60).expect("in range");
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Pipeline 31, created at 12:00, with a job `test`. `job` has its id, status, start and end.
fn event(status: &str, finished: Option<i64>, job: (i64, &str, i64, Option<i64>)) -> (Trigger, Value) {
    let (id, job_status, started, ended) = job;
    let attributes = json!({ "id": 31, "iid": 3, "status": status, "source": "push", "created_at": written(0),
        "finished_at": finished.map(written), "duration": finished.map(|end| end * 60), "queued_duration": 5 });
    let build = json!({ "id": id, "name": "test", "status": job_status, "created_at": written(0), "started_at": written(started),
        "finished_at": ended.map(written), "duration": ended.map(|end| (end - started) * 60), "allow_failure": false });
    let body = json!({ "project": { "id": 7 }, "object_attributes": attributes, "builds": [build] });

    (Trigger::by_name("pipeline_hooks").expect("a row"), body)
}

/// The job fails at 12:10, is retried at 12:20, and passes at 12:30.
fn example() -> [(Trigger, Value); 3] {
    [
        event("success", Some(30), (2, "success", 20, Some(30))),
        event("failed", Some(10), (1, "failed", 1, Some(10))),
        event("running", None, (2, "running", 20, None)),
    ]
}

#[test]
fn a_status_has_the_word_that_gitlab_has_for_it() {
    for word in [
        "created",
        "waiting_for_resource",
        "preparing",
        "pending",
        "running",
        "success",
        "failed",
        "canceled",
        "skipped",
        "manual",
        "scheduled",
    ] {
        let (pipeline, jobs) = joined(&[event(word, None, (1, word, 1, None))]);
        assert_eq!(
            (pipeline.last.map(|seen| seen.word()), jobs[0].last.word()),
            (Some(word), word)
        );
    }

    let both = [
        event("manual", None, (1, "manual", 0, None)),
        event("created", None, (1, "created", 0, None)),
    ];

    assert_eq!(
        joined(&both).0.last.map(|seen| seen.word()),
        Some("manual"),
        "of the same time, the later status"
    );
}

fn joined(events: &[(Trigger, Value)]) -> (Pipeline, Vec<Job>) {
    let (mut pipeline, mut jobs) = (None, Vec::new());
    for item in entity::joined(events) {
        match item {
            Item::Pipeline(one) => pipeline = Some(one),
            Item::Job(one) => jobs.push(one),
            other => panic!("an unexpected item: {other:?}"),
        }
    }

    (pipeline.expect("a pipeline"), jobs)
}

#[test]
fn a_pipeline_shows_whether_it_ran_for_the_default_branch() {
    let of = |git_ref: &str, more: Value| {
        let (trigger, mut body) = event("success", Some(30), (1, "success", 1, Some(10)));
        body["project"]["default_branch"] = "trunk".into();
        body["object_attributes"]["ref"] = git_ref.into();

        for (name, value) in more.as_object().into_iter().flatten() {
            body["object_attributes"][name] = value.clone();
        }

        let one = joined(&[(trigger, body)]).0;
        (one.is_default, one.branch().map(str::to_owned))
    };
    assert_eq!(of("trunk", json!({})), (true, Some("trunk".to_owned())));
    assert_eq!(of("feat", json!({})), (false, Some("feat".to_owned())));
    assert_eq!(of("trunk", json!({ "tag": true })), (false, None));

    assert_eq!(
        of("trunk", json!({ "source": "merge_request_event" })),
        (false, None),
        "trunk is its source branch"
    );
}

fn value(name: &str, items: &[Item]) -> Result<i64, &'static str> {
    metrics::given(name, items, &[]).map(|values| values.iter().sum())
}

fn check(pipeline: &Pipeline, jobs: &[Job]) {
    let of_pipeline = |name| value(name, &[Item::Pipeline(pipeline.clone())]);
    assert_eq!(
        (
            of_pipeline("pipeline_success_rate"),
            of_pipeline("first_attempt_success_rate")
        ),
        (Ok(1), Ok(0))
    );

    assert_eq!(
        (of_pipeline("time_to_green"), of_pipeline("pipeline_duration")),
        (Ok(1_200), Ok(1_800))
    );

    let runs: Vec<Item> = jobs.iter().cloned().map(Item::Job).collect();
    let of_job = |name| value(name, &runs);
    assert_eq!(
        (of_job("retried_jobs"), of_job("flaky_jobs"), of_job("job_runs")),
        (Ok(1), Ok(1), Ok(2))
    );

    assert_eq!(
        (of_job("retry_runs"), of_job("ci_seconds"), of_job("job_failure_rate")),
        (Ok(1), Ok(1_140), Ok(1))
    );
}

proptest! {
    #[test]
    fn the_example_gives_its_numbers_in_any_order(order in prop::collection::vec(0..3_usize, 0..12)) {
        let all = example();
        let mut events: Vec<_> = order.into_iter().map(|index| all[index].clone()).collect();
        events.extend(all.iter().rev().cloned());
        let (pipeline, jobs) = joined(&events);
        prop_assert_eq!(&(pipeline.clone(), jobs.clone()), &joined(&all));
        check(&pipeline, &jobs);
    }
}

#[test]
fn undecided_and_child_pipelines_do_not_count() {
    let (running, jobs) = joined(&example()[2..]);
    let of = |name, pipeline: &Pipeline| value(name, &[Item::Pipeline(pipeline.clone())]);
    assert_eq!(
        (of("pipelines", &running), of("pipeline_success_rate", &running)),
        (Ok(1), Err("it neither passed nor failed"))
    );

    let runs: Vec<Item> = jobs.into_iter().map(Item::Job).collect();
    assert_eq!(value("retried_jobs", &runs), Err("it was not retried"));

    let (trigger, mut child) = example()[0].clone();
    child["object_attributes"]["source"] = "parent_pipeline".into();

    let (child, _) = joined(&[(trigger, child)]);
    assert_eq!(of("pipelines", &child), Err("another pipeline started it"));

    let (canceled, _) = joined(&[event("canceled", Some(5), (1, "canceled", 1, Some(5)))]);
    assert_eq!(
        (
            of("pipeline_success_rate", &canceled),
            of("pipeline_success_share", &canceled)
        ),
        (Err("it neither passed nor failed"), Ok(0))
    );

    assert_eq!(
        (
            of("pipeline_other_share", &canceled),
            of("pipeline_failure_share", &canceled)
        ),
        (Ok(1), Ok(0))
    );
}

#[test]
fn a_job_that_never_began_is_settled_and_nonsense_is_bounded() {
    let of = |status: &str, started: Value, duration: Value| {
        let body = json!({ "build_id": 40, "build_name": "ship", "build_status": status, "pipeline_id": 31,
            "build_created_at": written(0), "build_started_at": started, "build_duration": duration, "project": { "id": 7 } });
        Job::of_event(&body).expect("a job")
    };
    let manual = of("manual", Value::Null, Value::Null);
    assert_eq!(manual.settled_at(), manual.created_at);

    let clicked = manual.join(of("running", written(5).into(), i64::MAX.into()));
    assert_eq!(
        (clicked.settled_at(), clicked.last.duration),
        (time(&written(5).into()), Some(LONGEST))
    );

    assert!(
        Job::of_event(&json!({ "build_id": 1, "build_status": "success", "pipeline_id": 1 })).is_none(),
        "no project"
    );
}

#[test]
fn a_job_event_proves_runs_without_events() {
    let body = json!({ "object_kind": "build", "build_id": 40, "build_name": "test", "build_status": "success", "pipeline_id": 31,
        "build_created_at": written(0), "build_started_at": written(1), "build_finished_at": written(3), "build_duration": 119.6,
        "build_allow_failure": false, "retries_count": 2, "project": { "id": 7 } });
    let found = entity::joined(&[(Trigger::by_name("job_hooks").expect("a row"), body)]);
    let [Item::Job(job)] = found.as_slice() else {
        panic!("no job: {found:?}")
    };

    assert_eq!((job.pipeline, job.last.duration), (31, Some(120)));
    assert_eq!(
        (value("retry_runs", &found), value("runs_unseen", &found)),
        (Ok(2), Ok(2))
    );
}
