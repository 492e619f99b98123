//! Figure 13: the time for counting events, from the first to the two hundred thousandth, and then for questions.

use std::time::{Duration, Instant};

use quickdraw_domain::event::{Event, Origin};
use quickdraw_domain::scope::Place as Where;
use quickdraw_domain::{EventId, Timestamp, Trigger};
use quickdraw_insights::facts;
use quickdraw_insights::metrics::Metric;
use quickdraw_insights::question::{Question, Window};
use quickdraw_store::events::NewEvent;
use quickdraw_store::insights::Projected;
use quickdraw_store::{Packed, SharedStore};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Scale;
use crate::server::{Engine, Place};
use crate::stats::{milliseconds, quantile, rate, row};

const BATCH: usize = 1024;
/// 2026-03-02.
const START: i64 = 1_772_409_600;
const DAY: i64 = 86_400;
const PROJECTS: usize = 40;
const ASKED: usize = 20;

/// Counts this many events, and then asks questions.
pub(crate) async fn counting(engine: &Engine, scale: Scale) -> anyhow::Result<()> {
    let number = if scale.backlog < 100_000 { 20_000 } else { 200_000 };
    let place = Place::new(engine).await?;
    let store = place.open().await?;
    store.prepare_partitions(now()).await?;

    let window = number / 20;
    let (mut early, mut late, mut all) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);

    for first in (0..number).step_by(BATCH) {
        let batch: Vec<NewEvent> = (first..number.min(first + BATCH)).map(|at| event(at, number)).collect();
        store.append_events(batch).await?;

        let started = Instant::now();
        project(&store).await?;

        let took = started.elapsed();
        all += took;

        // The second twentieth is used because the first fills empty tables.
        if (window..2 * window).contains(&first) {
            early += took;
        }

        if first >= number - window {
            late += took;
        }
    }

    let per_second = rate(number, all);
    row(
        "13 events counted a second",
        &format!("{per_second:.0}  ({number} events)"),
        "",
    );

    let growth = late.as_secs_f64() / early.as_secs_f64();
    row(
        "13 an event of the last twentieth / of the second",
        &format!("{growth:.2}"),
        "must 1.3",
    );

    for name in [
        "time_to_merge",
        "lead_time_for_changes",
        "flaky_jobs",
        "branches_open",
        "commits",
        "issues_open",
    ] {
        let metric = Metric::by_name(name).expect("a metric");
        let mut times = Vec::new();

        for _ in 0..ASKED {
            let started = Instant::now();
            ask(&store, metric).await?;
            times.push(started.elapsed());
        }

        row(
            &format!("13 p95 of {name} over 30 days"),
            &milliseconds(quantile(&mut times, 0.95)),
            "",
        );
    }

    store.close().await;
    Ok(())
}

fn now() -> Timestamp {
    Timestamp::from_micros(i64::try_from(crate::peers::now_us()).unwrap_or(i64::MAX))
}

/// Counts a batch, as the worker does.
async fn project(store: &SharedStore) -> anyhow::Result<()> {
    let mut batch = Vec::new();
    for (event, payload) in store.pending_projection(BATCH).await? {
        let facts = facts(event.trigger, event.received_at, &payload.unpack()?).map_err(|error| error.to_string());
        batch.push(Projected { event: event.id, facts });
    }

    Ok(store.apply_facts(batch).await?)
}

/// Answers a question, as the server does.
async fn ask(store: &SharedStore, metric: &'static Metric) -> anyhow::Result<()> {
    let (from, to) = (
        Timestamp::from_seconds(START + 60 * DAY),
        Timestamp::from_seconds(START + 90 * DAY),
    );

    let question = Question::new(metric, Window { from, to, days: 30.0 }, to);
    std::hint::black_box(quickdraw_engine::ask(store, question, ()).await?);
    Ok(())
}

/// One of the events of a hundred days: pushes, merge requests with comments, issues, pipelines with jobs, deployments.
fn event(at: usize, number: usize) -> NewEvent {
    let (trigger, body) = sample(at, number);
    let received_at = Timestamp::from_seconds(second(at, number));

    let event = Event::new(
        EventId(Uuid::now_v7()),
        Where::Elsewhere,
        trigger,
        Origin::Api,
        received_at,
    );

    let payload = Packed::pack(body.to_string().as_bytes());
    NewEvent {
        event,
        payload,
        dedupe: None,
        decided: None,
        counts: true,
    }
}

fn second(at: usize, number: usize) -> i64 {
    let share = 100.0 * 86_400.0 / number as f64;
    #[expect(clippy::cast_possible_truncation, reason = "seconds of a hundred days")]
    let seconds = (at as f64 * share) as i64;
    START + seconds
}

fn sample(at: usize, number: usize) -> (Trigger, Value) {
    let project = at / 7 % PROJECTS;
    // The number of earlier events of the project of the same kind.
    let round = at / (7 * PROJECTS);
    let time = |seconds: i64| Timestamp::from_seconds(second(at, number) + seconds).to_iso();
    let sha = |n: usize| format!("{:040x}", (project << 24) + n);
    let home =
        json!({ "id": project + 1, "path_with_namespace": format!("gear/rope-{project}"), "default_branch": "main" });
    let user = json!({ "id": at % 30 + 1, "username": format!("u{}", at % 30), "name": format!("User {}", at % 30) });

    match at % 7 {
        0 | 1 => {
            let is_main = at.is_multiple_of(7);
            let branch = if is_main {
                "main".to_owned()
            } else {
                format!("b{}", round % 50)
            };

            let chain = if is_main { 0 } else { 1 << 20 };
            let (from, to) = (sha(chain + round), sha(chain + round + 1));
            let author = json!({ "name": format!("User {}", at % 30), "email": format!("u{}@climb.example", at % 30) });
            let commit = json!({ "id": to, "message": format!("Change {at}"), "timestamp": time(-60), "author": author,
                "added": [format!("a/{at}")], "modified": ["README.md", format!("src/{}.rs", at % 200)], "removed": [] });
            let body = json!({ "object_kind": "push", "ref": format!("refs/heads/{branch}"), "before": from, "after": to,
                "user_id": at % 30 + 1, "user_username": format!("u{}", at % 30), "user_name": format!("User {}", at % 30),
                "commits": [commit], "total_commits_count": 1, "project": home });

            (Trigger::PUSH, body)
        }

        2 | 3 => {
            // Each merge request is opened, updated, approved and merged.
            let action = ["open", "update", "approved", "merge"][round % 4];
            let attributes = json!({ "iid": round / 4 * 2 + at % 7, "target_project_id": project + 1, "author_id": round / 4 % 30 + 1,
                "created_at": time(-(i64::try_from(round % 4).unwrap_or(0)) * 20_000), "updated_at": time(0), "action": action,
                "state": if action == "merge" { "merged" } else { "opened" }, "target_branch": "main", "draft": false,
                "merge_commit_sha": if action == "merge" { Some(sha(round)) } else { None } });
            let body = json!({ "object_kind": "merge_request", "user": user, "project": home, "object_attributes": attributes });
            (Trigger::MERGE_REQUEST, body)
        }

        4 => {
            let on = json!({ "iid": round / 4 * 2 + 2, "target_project_id": project + 1, "author_id": 1, "created_at": time(-50_000),
                "updated_at": time(-100), "state": "opened" });
            let note = json!({ "id": at, "author_id": at % 30 + 1, "created_at": time(0), "system": false });
            let body = json!({ "object_kind": "note", "user": user, "project": home, "object_attributes": note, "merge_request": on });
            (Trigger::NOTE, body)
        }

        5 => {
            let (action, state) = if round.is_multiple_of(2) {
                ("open", "opened")
            } else {
                ("close", "closed")
            };

            let attributes = json!({ "iid": round / 2 + 1, "author_id": 3, "created_at": time(-9_000), "updated_at": time(0),
                "action": action, "state": state });
            (
                Trigger::ISSUE,
                json!({ "object_kind": "issue", "user": user, "project": home, "object_attributes": attributes }),
            )
        }

        _ if round.is_multiple_of(8) => {
            let body = json!({ "object_kind": "deployment", "deployment_id": at, "status": "success", "status_changed_at": time(0),
                "environment": "production", "environment_tier": "production", "user": user, "project": home,
                "commit_url": format!("https://gitlab.example.com/gear/rope/-/commit/{}", sha(round)) });
            (Trigger::DEPLOYMENT, body)
        }
        _ => {
            let status = if at.is_multiple_of(3) { "failed" } else { "success" };
            let builds: Vec<Value> = ["build", "lint", "test", "package", "deploy"]
                .iter()
                .zip(0..)
                .map(|(name, n)| {
                    json!({ "id": at * 8 + n, "name": name, "status": status, "created_at": time(-500), "started_at": time(-400),
                        "finished_at": time(-10), "duration": 390.0, "user": user })
                })
                .collect();

            let attributes = json!({ "id": at, "iid": round + 1, "ref": "main", "status": status, "source": "push",
                "created_at": time(-600), "finished_at": time(0), "duration": 590 });
            let body = json!({ "object_kind": "pipeline", "user": user, "project": home, "object_attributes": attributes,
                "builds": builds });
            (Trigger::PIPELINE, body)
        }
    }
}
