//! Histories of pipelines, their jobs, and the deployments of those jobs.

use super::*;

/// The runs of a job; true for those that passed.
type Runs = Vec<bool>;

/// Pipelines to play: the pause before each, the runs of its two jobs, and whether deployment events are sent. The
/// second job deploys.
fn pipelines() -> impl Strategy<Value = Vec<(i64, Runs, Runs, bool)>> {
    let runs = || prop::collection::vec(any::<bool>(), 1..4);
    prop::collection::vec((1..200_i64, runs(), runs(), any::<bool>()), 1..6)
}

fn job(id: i64, name: &str, (from, to): (i64, i64), passed: bool) -> Value {
    let environment =
        (name == "ship").then(|| json!({ "name": "prod", "action": "start", "deployment_tier": "production" }));
    json!({ "id": id, "name": name, "stage": "s", "status": if passed { "success" } else { "failed" }, "created_at": written(from),
        "started_at": written(from), "finished_at": written(to), "duration": (to - from) * 60, "environment": environment })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pipelines_jobs_and_deployments_are_measured_as_they_happened(
        played in pipelines(),
        order in prop::collection::vec(any::<Index>(), 0..60),
    ) {
        let mut truth: BTreeMap<&str, i64> = BTreeMap::new();
        let mut add = |name: &'static str, value: i64| *truth.entry(name).or_default() += value;
        let (mut events, mut now, mut id) = (Vec::new(), 0, 0);
        for (number, (pause, unit, ship, has_event)) in (1_i64..).zip(&played) {
            now += pause;
            let begins = now;
            add("pipelines", 1);
            // Both jobs run in rounds until all their runs are played. Each event lists the last run of each job.
            let rounds = unit.len().max(ship.len());
            let (mut last, mut ends): ([Option<(i64, Value)>; 2], Vec<bool>) = ([None, None], Vec::new());
            for round in 0..rounds {
                let (from, to) = (now, now + 3);
                now = to + 1;
                for (at, (name, runs)) in [("unit", unit), ("ship", ship)].into_iter().enumerate() {
                    let Some(passed) = runs.get(round) else { continue };
                    id += 1;
                    add("job_runs", 1);
                    add("jobs_failed", i64::from(!passed));
                    add("ci_seconds", 180);
                    last[at] = Some((id, job(id, name, (from, to), *passed)));
                    if name == "ship" {
                        add(if *passed { "deployments" } else { "failed_deployments" }, 1);
                        if *has_event {
                            let body = json!({ "deployment_id": 1_000 + id, "deployable_id": id, "environment": "prod",
                                "environment_tier": "production", "status": if *passed { "success" } else { "failed" },
                                "status_changed_at": written(to), "project": { "id": 7 } });
                            events.push((to, Trigger::DEPLOYMENT, body));
                        }
                    }
                }
                let passes = [unit, ship].iter().all(|runs| runs[round.min(runs.len() - 1)]);
                ends.push(passes);
                let builds: Vec<&Value> = last.iter().flatten().map(|(_, job)| job).collect();
                let attributes = json!({ "id": number, "status": if passes { "success" } else { "failed" },
                    "created_at": written(begins), "finished_at": written(to), "duration": 180 });
                events.push((to, Trigger::PIPELINE, json!({ "project": { "id": 7 }, "object_attributes": attributes,
                    "builds": builds })));
            }
            add("pipeline_success_rate", i64::from(ends.last() == Some(&true)));
            add("first_attempt_success_rate", i64::from(ends.first() == Some(&true)));
            for runs in [unit, ship] {
                add("retried_jobs", i64::from(runs.len() > 1));
                add("retry_runs", i64::try_from(runs.len() - 1).expect("few"));
                add("flaky_jobs", i64::from(runs.last() == Some(&true) && runs.contains(&false)));
            }
        }
        let items = entity::joined_at(&in_disorder(events, &order));
        for (name, expected) in truth {
            let family = metrics::Metric::by_name(name).expect("a metric").family();
            let (ours, others) = items.iter().cloned().partition(|item| item.family() == family);
            let given: i64 = metrics::given_among(name, ours, others).map_or(0, |values| values.iter().sum());
            prop_assert_eq!(given, expected, "{}", name);
        }
    }
}
