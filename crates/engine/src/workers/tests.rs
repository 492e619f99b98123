//! Cases of the loop and its status.

use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, Ordering};

use quickdraw_domain::retry::Chance;
use uuid::Uuid;

use super::*;

/// A clock that a test sets, in seconds.
#[derive(Default)]
struct Set(AtomicI64);

impl Clock for Set {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.0.load(Ordering::Relaxed))
    }

    fn chance(&self) -> Chance {
        Chance(0.0)
    }

    fn uuid(&self) -> Uuid {
        Uuid::nil()
    }
}

fn shown(status: &Status) -> WorkerStatus {
    status.of(&Worker::DEFAULT, None)
}

async fn panics() -> anyhow::Result<()> {
    panic!("a step panics")
}

/// Runs a loop whose steps end with these results after three seconds each, and stops it with the last.
async fn run_steps(results: Vec<Result<(), &'static str>>) -> WorkerStatus {
    let (clock, status) = (Set::default(), Status::default());
    let (stop, stopped) = watch::channel(false);
    let mut left = results.into_iter();

    let looped = Loop {
        name: "test",
        wake: None,
        tick: Duration::ZERO,
        clock: &clock,
        status: &status,
    };

    let step = || {
        let result = left.next().unwrap_or(Ok(()));
        if left.len() == 0 {
            let _ = stop.send(true);
        }

        assert!(shown(&status).is_running);
        clock.0.fetch_add(3, Ordering::Relaxed);
        async move { result.map_err(|text| anyhow::anyhow!(text)) }
    };
    looped.run(stopped, step).await;

    shown(&status)
}

#[tokio::test]
async fn a_success_after_a_failure_keeps_the_error() {
    let found = run_steps(vec![Ok(()), Err("the disk is full"), Ok(())]).await;

    let at = |seconds| Some(Timestamp::from_seconds(seconds));
    assert!(!found.is_running && !found.is_failing);
    assert_eq!((found.runs, found.failures), (3, 1));
    assert_eq!((found.last_run, found.last_success), (at(6), at(9)));

    assert_eq!(
        (found.last_error.as_deref(), found.last_error_at),
        (Some("the disk is full"), at(6))
    );

    assert_eq!(found.took, Some(Duration::from_secs(3)));
}

#[tokio::test]
async fn a_failure_does_not_move_the_last_success() {
    let found = run_steps(vec![Ok(()), Err("the disk is full")]).await;

    assert!(found.is_failing);
    assert_eq!((found.runs, found.failures), (2, 1));

    assert_eq!(
        (found.last_run, found.last_success),
        (found.last_success, Some(Timestamp::from_seconds(3)))
    );

    assert_eq!(found.last_error.as_deref(), Some("the disk is full"));
}

#[tokio::test]
async fn a_panic_is_a_failure() {
    let (clock, status) = (Set::default(), Status::default());
    let (stop, stopped) = watch::channel(false);

    let looped = Loop {
        name: "test",
        wake: None,
        tick: Duration::ZERO,
        clock: &clock,
        status: &status,
    };

    let step = || {
        let _ = stop.send(true);
        panics()
    };
    looped.run(stopped, step).await;

    assert_eq!(shown(&status).last_error.as_deref(), Some("it panicked"));
}

#[test]
fn each_worker_has_a_name_of_its_own_and_a_status() {
    let statuses = Statuses::default();
    let names: HashSet<&str> = WORKERS.iter().map(|worker| worker.name).collect();

    assert_eq!(names.len(), WORKERS.len());
    for name in [CLAIM, SETTLE, HEARTBEAT] {
        let run = statuses.of(name).begin(Timestamp::from_seconds(1));
        statuses.of(name).end(run, Timestamp::from_seconds(2), None);
    }

    let run = statuses.all(None).iter().filter(|status| status.runs == 1).count();
    assert_eq!(run, 3);
}

#[test]
fn the_backlog_of_a_worker_is_its_own() {
    let backlog = Backlog {
        deliveries: 1,
        fan_out: 2,
        projection: 3,
        ..Backlog::default()
    };
    let all = Statuses::default().all(Some(&backlog));

    let found: Vec<_> = all
        .iter()
        .filter_map(|status| Some((status.name, status.backlog?)))
        .collect();

    assert_eq!(found, [("fan_out", 2), ("claim", 1), ("projection", 3)]);
}

#[test]
fn the_error_that_a_status_keeps_is_bounded() {
    let status = Status::default();
    let run = status.begin(Timestamp::from_seconds(1));

    status.end(run, Timestamp::from_seconds(2), Some("ä".repeat(MAX_ERROR + 1)));

    assert_eq!(shown(&status).last_error, Some("ä".repeat(MAX_ERROR)));
}
