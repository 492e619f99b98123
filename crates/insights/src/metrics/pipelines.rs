//! What one pipeline, and the runs of one of its jobs, give to each insight.

use super::{Kind, Metric, NOT_CREATED, Sample, Sampler, View};
use crate::entity::{Entity, seconds};
use crate::pipelines::{Job, Pipeline, Runs, Seen, Status};
use quickdraw_domain::Timestamp;

const UNDECIDED: &str = "it was not decided";
const UNFINISHED: &str = "it has not ended";
const NOT_TOLD: &str = "no event told it";

pub(super) const METRICS: [Metric; 19] = [
    Metric {
        name: "pipelines",
        kind: Kind::Count,
        help: "Pipelines by when they were created, without those that others started.",
        follows: "GitLab: CI/CD analytics, which count those too that others started",
        sample: Sampler::Pipeline(|one, view| counted(one, view, |at| Sample::In(at, 1))),
    },
    Metric {
        name: "pipeline_success_rate",
        kind: Kind::Share,
        help: "Of the pipelines that passed or failed in the end, the share that passed.",
        follows: "ours; DevLake counts canceled ones as failed, and GitLab divides by all that ended",
        sample: Sampler::Pipeline(|one, view| {
            decided(one, view, |at, end| Sample::In(at, i64::from(end.status == Status::Success)))
        }),
    },
    Metric {
        name: "pipeline_success_share",
        kind: Kind::Share,
        help: "Of the pipelines that ended, the share that passed.",
        follows: "GitLab: CI/CD analytics, without pipelines that others started",
        sample: Sampler::Pipeline(|one, view| share(one, view, |status| status == Status::Success)),
    },
    Metric {
        name: "pipeline_failure_share",
        kind: Kind::Share,
        help: "Of the pipelines that ended, the share that failed.",
        follows: "GitLab: CI/CD analytics, without pipelines that others started",
        sample: Sampler::Pipeline(|one, view| share(one, view, |status| status == Status::Failed)),
    },
    Metric {
        name: "pipeline_other_share",
        kind: Kind::Share,
        help: "Of the pipelines that ended, the share that was canceled or skipped.",
        follows: "GitLab: CI/CD analytics, without pipelines that others started",
        sample: Sampler::Pipeline(|one, view| {
            share(one, view, |status| matches!(status, Status::Canceled | Status::Skipped))
        }),
    },
    Metric {
        name: "first_attempt_success_rate",
        kind: Kind::Share,
        help: "Of the pipelines that passed or failed in the end, the share that passed at once: retries hide what is flaky.",
        follows: "apicurio-registry#8801",
        sample: Sampler::Pipeline(|one, view| {
            decided(one, view, |at, _| {
                Sample::In(at, i64::from(one.first_end.is_some_and(|first| first.status == Status::Success)))
            })
        }),
    },
    Metric {
        name: "pipeline_duration",
        kind: Kind::Duration,
        help: "How long pipelines took that passed or failed, as GitLab counts: without waiting.",
        follows: "ours; GitLab: CI/CD analytics are of all that ended",
        sample: Sampler::Pipeline(|one, view| decided(one, view, |at, end| told(at, end.duration))),
    },
    Metric {
        name: "pipeline_queue_time",
        kind: Kind::Duration,
        help: "How long pipelines waited for their first job that passed or failed.",
        follows: "gitlab-ci-pipelines-exporter",
        sample: Sampler::Pipeline(|one, view| decided(one, view, |at, end| told(at, end.queued))),
    },
    Metric {
        name: "time_to_green",
        kind: Kind::Duration,
        help: "From the first failure of a pipeline to its success in the end.",
        follows: "GitPulse",
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
        help: "Branches that are there, and tags, whose last pipeline that passed or failed before the end of the window failed.",
        follows: "GitLab: the default branch is red",
        sample: Sampler::Pipeline(|one, view| match one.end() {
            _ if one.is_child => Sample::Out("another pipeline started it"),
            _ if view.around.is_deleted(one.project, one.git_ref.as_deref().unwrap_or_default(), view.to) => {
                Sample::Out("its branch was deleted")
            }
            _ if !view.around.is_newest(one, view.to) => Sample::Out("it is not the last one that was decided"),
            Some(end) if end.status == Status::Failed => Sample::In(view.to, 1),
            _ => Sample::Out("it passed"),
        }),
    },
    Metric {
        name: "job_runs",
        kind: Kind::Count,
        help: "Jobs that began to run, each run of them, by when.",
        follows: "ours; GitLab: job analytics are of jobs that ended",
        sample: Sampler::EachRun(|runs, _| {
            Sample::Many(runs.iter().filter_map(|job| Some((job.started_at?, 1))).collect())
        }),
    },
    Metric {
        name: "job_failure_rate",
        kind: Kind::Share,
        help: "Of the runs of jobs that ended, the share that failed; those that may fail are left out.",
        follows: "ours; GitLab: job analytics count those too that may fail, or did not begin",
        sample: Sampler::EachRun(|runs, _| {
            let ended = runs.iter().filter(|job| job.last.status.is_final() && !job.may_fail);
            Sample::Many(
                ended.filter_map(|job| Some((job.started_at?, i64::from(job.last.status == Status::Failed)))).collect(),
            )
        }),
    },
    Metric {
        name: "job_duration",
        kind: Kind::Duration,
        help: "How long runs of jobs took that passed or failed, by when they began; by job, the slow ones show.",
        follows: "ours; GitLab: job analytics are of all that ended",
        sample: Sampler::EachRun(|runs, _| {
            let decided = runs.iter().filter(|job| matches!(job.last.status, Status::Success | Status::Failed));
            Sample::Many(decided.filter_map(|job| Some((job.started_at?, job.last.duration?))).collect())
        }),
    },
    Metric {
        name: "jobs_failed",
        kind: Kind::Count,
        help: "Runs of jobs that failed, without those that may fail, by when they began.",
        follows: "ours; GitLab: job analytics count those too that may fail",
        sample: Sampler::EachRun(|runs, _| failures(runs, false)),
    },
    Metric {
        name: "jobs_failed_allowed",
        kind: Kind::Count,
        help: "Runs of jobs that failed and may do so, by when they began.",
        follows: "GitLab: allow_failure, apart",
        sample: Sampler::EachRun(|runs, _| failures(runs, true)),
    },
    Metric {
        name: "retried_jobs",
        kind: Kind::Count,
        help: "Jobs of a pipeline that were run more than once, by the last run.",
        follows: "GitLab issue 216562: jobs are counted, never changes of state",
        sample: Sampler::Runs(|runs, _| match (retries(runs), last_start(runs)) {
            (1.., Some(at)) => Sample::In(at, 1),
            _ => Sample::Out("it was not run again"),
        }),
    },
    Metric {
        name: "flaky_jobs",
        kind: Kind::Count,
        help: "Jobs of a pipeline that failed and then passed on the same commit.",
        follows: "ours: from runs of one commit",
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
        help: "How often jobs were run again, also where only GitLab's own count tells so.",
        follows: "GitLab: retries_count",
        sample: Sampler::Runs(|runs, _| match (retries(runs), last_start(runs)) {
            (again @ 1.., Some(at)) => Sample::In(at, again),
            _ => Sample::Out("it was not run again"),
        }),
    },
    Metric {
        name: "runs_unseen",
        kind: Kind::Count,
        help: "Runs of jobs that GitLab counts and that no event told of.",
        follows: "ours: completeness, from retries_count",
        sample: Sampler::Runs(|runs, _| {
            let seen = i64::try_from(runs.len().saturating_sub(1)).unwrap_or(i64::MAX);
            match (retries(runs) - seen, last_start(runs)) {
                (unseen @ 1.., Some(at)) => Sample::In(at, unseen),
                _ => Sample::Out("all of its runs were seen, as far as is known"),
            }
        }),
    },
];

/// What jobs cost; apart, because its number is in seconds.
pub(super) const CI_SECONDS: Metric = Metric {
    name: "ci_seconds",
    kind: Kind::Sum,
    help: "Seconds that jobs ran, all together.",
    follows: "GitLab: compute minutes, before factors",
    sample: Sampler::EachRun(|runs, _| {
        Sample::Many(runs.iter().filter_map(|job| Some((job.started_at?, job.last.duration?))).collect())
    }),
};

/// Runs that failed, of jobs that may fail, or of others.
fn failures(runs: &Runs<'_>, may_fail: bool) -> Sample {
    let failed = runs.iter().filter(|job| job.last.status == Status::Failed && job.may_fail == may_fail);
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
    counted(one, view, |at| match one.end().filter(|end| matches!(end.status, Status::Success | Status::Failed)) {
        Some(end) => then(at, end),
        None => Sample::Out(UNDECIDED),
    })
}

fn share(one: &Pipeline, view: &View<'_>, is_it: impl Fn(Status) -> bool) -> Sample {
    counted(one, view, |at| {
        one.end().map_or(Sample::Out(UNFINISHED), |end| Sample::In(at, i64::from(is_it(end.status))))
    })
}

/// The same of all that ended, those too that others started.
pub(super) fn ended(one: &Pipeline, then: impl Fn(Timestamp, Seen) -> Sample) -> Sample {
    match (one.opened_at(), one.end()) {
        (None, _) => Sample::Out(NOT_CREATED),
        (_, None) => Sample::Out(UNFINISHED),
        (Some(at), Some(end)) => then(at, end),
    }
}

pub(super) fn told(at: Timestamp, value: Option<i64>) -> Sample {
    value.map_or(Sample::Out(NOT_TOLD), |value| Sample::In(at, value))
}

fn last_start(runs: &Runs<'_>) -> Option<Timestamp> {
    runs.iter().filter_map(|job: &&Job| job.started_at).max()
}

/// How often a job was run again: as often as was seen, or as GitLab counts.
fn retries(runs: &Runs<'_>) -> i64 {
    let seen = i64::try_from(runs.len().saturating_sub(1)).unwrap_or(i64::MAX);
    runs.iter().map(|job| job.retries).max().unwrap_or(0).max(seen)
}
