//! Metrics of pipelines, and of jobs with all their runs.

use super::{Kind, Metric, NOT_CREATED, Sample, Sampler, View};
use crate::entity::{Entity, seconds};
use crate::pipelines::{Job, Pipeline, Runs, Seen, Status};
use quickdraw_domain::Timestamp;

const UNDECIDED: &str = "it neither passed nor failed";
const UNFINISHED: &str = "it has not ended";
const UNREPORTED: &str = "no event contains it";

pub(super) const METRICS: [Metric; 19] = [
    Metric {
        name: "pipelines",
        kind: Kind::Count,
        help: "Pipelines by time of creation, without child pipelines.",
        defined_by: "GitLab: CI/CD analytics, which also count child pipelines",
        sample: Sampler::Pipeline(|one, view| counted(one, view, |at| Sample::In(at, 1))),
    },
    Metric {
        name: "pipeline_success_rate",
        kind: Kind::Share,
        help: "Share of the pipelines that passed, of all that finally passed or failed.",
        defined_by: "Quickdraw; DevLake counts canceled ones as failed, and GitLab divides by all that ended",
        sample: Sampler::Pipeline(|one, view| {
            decided(one, view, |at, end| {
                Sample::In(at, i64::from(end.status == Status::Success))
            })
        }),
    },
    Metric {
        name: "pipeline_success_share",
        kind: Kind::Share,
        help: "Share of the ended pipelines that passed.",
        defined_by: "GitLab: CI/CD analytics, without child pipelines",
        sample: Sampler::Pipeline(|one, view| share(one, view, |status| status == Status::Success)),
    },
    Metric {
        name: "pipeline_failure_share",
        kind: Kind::Share,
        help: "Share of the ended pipelines that failed.",
        defined_by: "GitLab: CI/CD analytics, without child pipelines",
        sample: Sampler::Pipeline(|one, view| share(one, view, |status| status == Status::Failed)),
    },
    Metric {
        name: "pipeline_other_share",
        kind: Kind::Share,
        help: "Share of the ended pipelines that were canceled or skipped.",
        defined_by: "GitLab: CI/CD analytics, without child pipelines",
        sample: Sampler::Pipeline(|one, view| {
            share(one, view, |status| matches!(status, Status::Canceled | Status::Skipped))
        }),
    },
    Metric {
        name: "first_attempt_success_rate",
        kind: Kind::Share,
        help: "Share of the pipelines that passed without a retry, of all that finally passed or failed. Retries hide \
            flaky jobs.",
        defined_by: "apicurio-registry#8801",
        sample: Sampler::Pipeline(|one, view| {
            decided(one, view, |at, _| {
                Sample::In(
                    at,
                    i64::from(one.first_end.is_some_and(|first| first.status == Status::Success)),
                )
            })
        }),
    },
    Metric {
        name: "pipeline_duration",
        kind: Kind::Duration,
        help: "Duration of pipelines that passed or failed, as GitLab reports it: without the time in the queue.",
        defined_by: "Quickdraw; GitLab's CI/CD analytics use all that ended",
        sample: Sampler::Pipeline(|one, view| decided(one, view, |at, end| reported(at, end.duration))),
    },
    Metric {
        name: "pipeline_queue_time",
        kind: Kind::Duration,
        help: "Time until the first job of a pipeline started, of pipelines that passed or failed.",
        defined_by: "gitlab-ci-pipelines-exporter",
        sample: Sampler::Pipeline(|one, view| decided(one, view, |at, end| reported(at, end.queued))),
    },
    Metric {
        name: "time_to_green",
        kind: Kind::Duration,
        help: "Time from the first failure of a pipeline to its final success.",
        defined_by: "GitPulse",
        sample: Sampler::Pipeline(|one, view| {
            decided(one, view, |at, end| match one.first_failure {
                Some(failure) if end.status == Status::Success => Sample::In(at, seconds(failure.at, end.at)),
                _ => Sample::Out("it did not fail and then pass"),
            })
        }),
    },
    Metric {
        name: "branches_failing",
        kind: Kind::Gauge,
        help: "Existing branches, and tags, whose last decided pipeline before the end of the window failed. A \
            pipeline is decided if it passed or failed.",
        defined_by: "GitLab: the default branch is red",
        sample: Sampler::Pipeline(|one, view| match one.end() {
            _ if one.is_child => Sample::Out("another pipeline started it"),
            _ if view
                .context
                .is_deleted(one.project, one.git_ref.as_deref().unwrap_or_default(), view.to) =>
            {
                Sample::Out("its branch was deleted")
            }
            _ if !view.context.is_newest(one, view.to) => {
                Sample::Out("it is not the last decided pipeline of its branch")
            }
            Some(end) if end.status == Status::Failed => Sample::In(view.to, 1),
            _ => Sample::Out("it passed"),
        }),
    },
    Metric {
        name: "job_runs",
        kind: Kind::Count,
        help: "Runs of jobs, by time of start. A retried job counts again.",
        defined_by: "Quickdraw; GitLab's job analytics use jobs that ended",
        sample: Sampler::EachRun(|runs, _| {
            Sample::Many(runs.iter().filter_map(|job| Some((job.started_at?, 1))).collect())
        }),
    },
    Metric {
        name: "job_failure_rate",
        kind: Kind::Share,
        help: "Share of the ended runs of jobs that failed. Jobs with `allow_failure` do not count.",
        defined_by: "Quickdraw; GitLab's job analytics also count jobs that may fail or did not start",
        sample: Sampler::EachRun(|runs, _| {
            let ended = runs.iter().filter(|job| job.last.status.is_final() && !job.may_fail);
            Sample::Many(
                ended
                    .filter_map(|job| Some((job.started_at?, i64::from(job.last.status == Status::Failed))))
                    .collect(),
            )
        }),
    },
    Metric {
        name: "job_duration",
        kind: Kind::Duration,
        help: "Duration of runs of jobs that passed or failed, by time of start. Grouped by job, it shows the slow \
            ones.",
        defined_by: "Quickdraw; GitLab's job analytics use all that ended",
        sample: Sampler::EachRun(|runs, _| {
            let decided = runs
                .iter()
                .filter(|job| matches!(job.last.status, Status::Success | Status::Failed));
            Sample::Many(
                decided
                    .filter_map(|job| Some((job.started_at?, job.last.duration?)))
                    .collect(),
            )
        }),
    },
    Metric {
        name: "jobs_failed",
        kind: Kind::Count,
        help: "Failed runs of jobs, by time of start. Jobs with `allow_failure` do not count.",
        defined_by: "Quickdraw; GitLab's job analytics also count jobs that may fail",
        sample: Sampler::EachRun(|runs, _| failures(runs, false)),
    },
    Metric {
        name: "jobs_failed_allowed",
        kind: Kind::Count,
        help: "Failed runs of jobs with `allow_failure`, by time of start.",
        defined_by: "GitLab: allow_failure, counted separately",
        sample: Sampler::EachRun(|runs, _| failures(runs, true)),
    },
    Metric {
        name: "retried_jobs",
        kind: Kind::Count,
        help: "Jobs of a pipeline that ran more than once, by time of the last run.",
        defined_by: "GitLab issue 216562: counts jobs, not changes of state",
        sample: Sampler::Runs(|runs, _| match (retries(runs), last_start(runs)) {
            (1.., Some(at)) => Sample::In(at, 1),
            _ => Sample::Out("it was not retried"),
        }),
    },
    Metric {
        name: "flaky_jobs",
        kind: Kind::Count,
        help: "Jobs of a pipeline that failed and then passed on the same commit.",
        defined_by: "Quickdraw: runs on the same commit",
        sample: Sampler::Runs(|runs, _| {
            let last = runs.last().filter(|job| job.last.status == Status::Success);
            let failed = runs.iter().any(|job| job.last.status == Status::Failed);
            match (last.and_then(|job| job.started_at), failed) {
                (Some(at), true) => Sample::In(at, 1),
                _ => Sample::Out("it did not fail and then pass"),
            }
        }),
    },
    Metric {
        name: "retry_runs",
        kind: Kind::Count,
        help: "Retries of jobs. It includes retries that are only known from GitLab's own count.",
        defined_by: "GitLab: retries_count",
        sample: Sampler::Runs(|runs, _| match (retries(runs), last_start(runs)) {
            (again @ 1.., Some(at)) => Sample::In(at, again),
            _ => Sample::Out("it was not retried"),
        }),
    },
    Metric {
        name: "runs_unseen",
        kind: Kind::Count,
        help: "Runs of jobs that GitLab counts and for which no event was received.",
        defined_by: "Quickdraw: completeness, from retries_count",
        sample: Sampler::Runs(|runs, _| {
            let seen = i64::try_from(runs.len().saturating_sub(1)).unwrap_or(i64::MAX);
            match (retries(runs) - seen, last_start(runs)) {
                (unseen @ 1.., Some(at)) => Sample::In(at, unseen),
                _ => Sample::Out("all of its known runs were received"),
            }
        }),
    },
];

/// Running time of jobs in seconds. It is not in the table because it is a sum.
pub(super) const CI_SECONDS: Metric = Metric {
    name: "ci_seconds",
    kind: Kind::Sum,
    help: "Total running time of jobs, in seconds.",
    defined_by: "GitLab: compute minutes, before factors",
    sample: Sampler::EachRun(|runs, _| {
        Sample::Many(
            runs.iter()
                .filter_map(|job| Some((job.started_at?, job.last.duration?)))
                .collect(),
        )
    }),
};

/// The failed runs, of jobs that may fail or of the others.
fn failures(runs: &Runs<'_>, may_fail: bool) -> Sample {
    let failed = runs
        .iter()
        .filter(|job| job.last.status == Status::Failed && job.may_fail == may_fail);
    Sample::Many(failed.filter_map(|job| Some((job.started_at?, 1))).collect())
}

fn counted(one: &Pipeline, view: &View<'_>, then: impl Fn(Timestamp) -> Sample) -> Sample {
    match one.opened_at() {
        _ if one.is_child && !view.choice.children => Sample::Out("another pipeline started it"),
        Some(at) => then(at),
        None => Sample::Out(NOT_CREATED),
    }
}

fn decided(one: &Pipeline, view: &View<'_>, then: impl Fn(Timestamp, Seen) -> Sample) -> Sample {
    counted(one, view, |at| {
        match one
            .end()
            .filter(|end| matches!(end.status, Status::Success | Status::Failed))
        {
            Some(end) => then(at, end),
            None => Sample::Out(UNDECIDED),
        }
    })
}

fn share(one: &Pipeline, view: &View<'_>, is_it: impl Fn(Status) -> bool) -> Sample {
    counted(one, view, |at| {
        one.end().map_or(Sample::Out(UNFINISHED), |end| {
            Sample::In(at, i64::from(is_it(end.status)))
        })
    })
}

/// A sample for every pipeline that ended, including child pipelines.
pub(super) fn ended(one: &Pipeline, then: impl Fn(Timestamp, Seen) -> Sample) -> Sample {
    match (one.opened_at(), one.end()) {
        (None, _) => Sample::Out(NOT_CREATED),
        (_, None) => Sample::Out(UNFINISHED),
        (Some(at), Some(end)) => then(at, end),
    }
}

pub(super) fn reported(at: Timestamp, value: Option<i64>) -> Sample {
    value.map_or(Sample::Out(UNREPORTED), |value| Sample::In(at, value))
}

fn last_start(runs: &Runs<'_>) -> Option<Timestamp> {
    runs.iter().filter_map(|job: &&Job| job.started_at).max()
}

/// The number of retries: known runs or GitLab's count, whichever is higher.
fn retries(runs: &Runs<'_>) -> i64 {
    let seen = i64::try_from(runs.len().saturating_sub(1)).unwrap_or(i64::MAX);
    runs.iter().map(|job| job.retries).max().unwrap_or(0).max(seen)
}
