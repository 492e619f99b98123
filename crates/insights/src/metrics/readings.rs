//! The same insights as others read them, where they differ from ours. The name says whose reading it is, so that two can stand
//! side by side.

use super::deployments::out;
use super::pipelines::{ended, told};
use super::{Kind, Metric, NOT_CREATED, Sample, Sampler};
use crate::entity::{Entity, seconds};
use crate::merge_requests::MergeRequest;
use crate::pipelines::{Job, Pipeline, Status};

pub(super) const METRICS: [Metric; 16] = [
    Metric {
        name: "commits.gitlab",
        kind: Kind::Count,
        help: "Commits of every push: one that was pushed to two branches counts twice.",
        follows: "GitLab: contribution analytics",
        sample: Sampler::Push(|one, _| Sample::In(one.received_at, one.total)),
    },
    Metric {
        name: "time_to_merge.devlake",
        kind: Kind::DurationBelow,
        help: "From creation to merge, of merge requests created in the window that are merged by now. The median is the lower one.",
        follows: "DevLake: PR cycle time, by date of creation",
        sample: Sampler::MergeRequest(|one, _| of_created(one)),
    },
    Metric {
        name: "time_to_merge.chaoss",
        kind: Kind::Duration,
        help: "From creation to merge, of merge requests created in the window that are merged by now; the median is p50.",
        follows: "CHAOSS: change request duration",
        sample: Sampler::MergeRequest(|one, _| of_created(one)),
    },
    Metric {
        name: "review_depth.devlake",
        kind: Kind::Mean,
        help: "Comments of merge requests merged in the window, by whomever: authors and bots too.",
        follows: "DevLake: PR review depth",
        sample: Sampler::MergeRequest(|one, _| match one.merged_at() {
            Some(end) => Sample::In(end, i64::try_from(one.notes.len()).unwrap_or(i64::MAX)),
            None => Sample::Out("it is not merged, or no event told when"),
        }),
    },
    Metric {
        name: "pipelines.gitlab",
        kind: Kind::Count,
        help: "Pipelines by when they were created, those too that others started.",
        follows: "GitLab: CI/CD analytics",
        sample: Sampler::Pipeline(|one, _| one.opened_at().map_or(Sample::Out(NOT_CREATED), |at| Sample::In(at, 1))),
    },
    Metric {
        name: "pipeline_success_rate.gitlab",
        kind: Kind::Share,
        help: "Of all pipelines that ended, also canceled and skipped ones and those that others started, the share that passed.",
        follows: "GitLab: CI/CD analytics",
        sample: Sampler::Pipeline(|one, _| {
            ended(one, |at, end| Sample::In(at, i64::from(end.status == Status::Success)))
        }),
    },
    Metric {
        name: "pipeline_success_rate.devlake",
        kind: Kind::Share,
        help: "Of the pipelines that passed, failed or were canceled, the share that passed: a canceled one counts as failed.",
        follows: "DevLake: CI/CD",
        sample: Sampler::Pipeline(|one, _| {
            ended(one, |at, end| match end.status {
                Status::Success => Sample::In(at, 1),
                Status::Failed | Status::Canceled => Sample::In(at, 0),
                _ => Sample::Out("it was skipped"),
            })
        }),
    },
    Metric {
        name: "pipeline_duration.gitlab",
        kind: Kind::Duration,
        help: "How long pipelines took that ended, those too that others started.",
        follows: "GitLab: CI/CD analytics",
        sample: Sampler::Pipeline(|one, _| ended(one, |at, end| told(at, end.duration))),
    },
    Metric {
        name: "deployment_frequency.devlake",
        kind: Kind::DistinctPerDay,
        help: "Days with a successful deployment to production, as a share of all days.",
        follows: "DevLake: DORA, which counts days with a deployment",
        sample: Sampler::Deployment(|one, _, view| out(one, |at| Sample::In(at, view.day_of(at)))),
    },
    Metric {
        name: "change_failure_rate.gitlab",
        kind: Kind::Mean,
        help: "Incidents created in the window divided by its deployments, which can be more than 1. In a series, an incident is in the part of \
            the last deployment before it, or of the first one of the window.",
        follows: "GitLab: DORA metrics",
        sample: Sampler::Deployment(|one, _, view| {
            out(one, |at| {
                let incidents = view.around.incidents_in(one, view.from, view.to);
                Sample::In(at, i64::try_from(incidents).unwrap_or(i64::MAX))
            })
        }),
    },
    Metric {
        name: "acceptance_ratio.chaoss",
        kind: Kind::Ratio,
        help: "Merged merge requests for each that was closed for good, by when they ended; null where none was.",
        follows: "CHAOSS: change request acceptance ratio",
        sample: Sampler::MergeRequest(|one, _| match (one.merged_or_seen_at(), one.closed_at()) {
            (Some(at), _) => Sample::In(at, 1),
            (None, Some(at)) => Sample::In(at, 0),
            _ => Sample::Out("it is neither merged nor closed"),
        }),
    },
    Metric {
        name: "pipeline_success_share.gitlab",
        kind: Kind::Share,
        help: "Of all pipelines that ended, those too that others started, the share that passed.",
        follows: "GitLab: CI/CD analytics",
        sample: Sampler::Pipeline(|one, _| share_of_ended(one, &[Status::Success])),
    },
    Metric {
        name: "pipeline_failure_share.gitlab",
        kind: Kind::Share,
        help: "Of all pipelines that ended, those too that others started, the share that failed.",
        follows: "GitLab: CI/CD analytics",
        sample: Sampler::Pipeline(|one, _| share_of_ended(one, &[Status::Failed])),
    },
    Metric {
        name: "pipeline_other_share.gitlab",
        kind: Kind::Share,
        help: "Of all pipelines that ended, those too that others started, the share that was canceled or skipped.",
        follows: "GitLab: CI/CD analytics",
        sample: Sampler::Pipeline(|one, _| share_of_ended(one, &[Status::Canceled, Status::Skipped])),
    },
    Metric {
        name: "job_failure_rate.gitlab",
        kind: Kind::Share,
        help: "Of all runs of jobs that ended, also canceled and skipped ones and those that may fail, the share that failed.",
        follows: "GitLab: job analytics",
        sample: Sampler::EachRun(|runs, _| {
            let ended = runs.iter().filter(|job| job.last.status.is_final());
            let failed = |job: &Job| i64::from(job.last.status == Status::Failed);
            Sample::Many(ended.filter_map(|job| Some((job.started_at.or(job.created_at)?, failed(job)))).collect())
        }),
    },
    Metric {
        name: "job_duration.gitlab",
        kind: Kind::Duration,
        help: "How long runs of jobs took that ended, also canceled ones and those that may fail.",
        follows: "GitLab: job analytics",
        sample: Sampler::EachRun(|runs, _| {
            let ended = runs.iter().filter(|job| job.last.status.is_final());
            Sample::Many(ended.filter_map(|job| Some((job.started_at?, job.last.duration?))).collect())
        }),
    },
];

/// Whether a pipeline ended as one of these.
fn share_of_ended(one: &Pipeline, wanted: &[Status]) -> Sample {
    ended(one, |at, end| Sample::In(at, i64::from(wanted.contains(&end.status))))
}

/// From creation to merge, by creation.
fn of_created(one: &MergeRequest) -> Sample {
    match (one.created_at, one.merged_at()) {
        (None, _) => Sample::Out(NOT_CREATED),
        (_, None) => Sample::Out("it is not merged, or no event told when"),
        (Some(from), Some(end)) => Sample::In(from, seconds(from, end)),
    }
}
