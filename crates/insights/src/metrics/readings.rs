//! Metrics in the definitions of other tools, where they differ from Quickdraw's. The suffix of the name says whose
//! definition it is, so both can be compared.

use super::deployments::out;
use super::pipelines::{ended, reported};
use super::{Kind, Metric, NOT_CREATED, Sample, Sampler};
use crate::entity::{Entity, seconds};
use crate::merge_requests::MergeRequest;
use crate::pipelines::{Job, Pipeline, Status};

pub(super) const METRICS: [Metric; 16] = [
    Metric {
        name: "commits.gitlab",
        kind: Kind::Count,
        help: "Commits of every push. A commit that was pushed to two branches counts twice.",
        defined_by: "GitLab: contribution analytics",
        sample: Sampler::Push(|one, _| Sample::In(one.received_at, one.total)),
    },
    Metric {
        name: "time_to_merge.devlake",
        kind: Kind::DurationBelow,
        help: "Time from creation to merge, of merge requests created in the window that are merged by now. The median \
            is the lower of two middle values.",
        defined_by: "DevLake: PR cycle time, by date of creation",
        sample: Sampler::MergeRequest(|one, _| of_created(one)),
    },
    Metric {
        name: "time_to_merge.chaoss",
        kind: Kind::Duration,
        help: "Time from creation to merge, of merge requests created in the window that are merged by now. The median \
            is `p50`.",
        defined_by: "CHAOSS: change request duration",
        sample: Sampler::MergeRequest(|one, _| of_created(one)),
    },
    Metric {
        name: "review_depth.devlake",
        kind: Kind::Mean,
        help: "Mean number of comments of merge requests merged in the window, including those of authors and bots.",
        defined_by: "DevLake: PR review depth",
        sample: Sampler::MergeRequest(|one, _| match one.merged_at() {
            Some(end) => Sample::In(end, i64::try_from(one.notes.len()).unwrap_or(i64::MAX)),
            None => Sample::Out("it is not merged, or no event reported when"),
        }),
    },
    Metric {
        name: "pipelines.gitlab",
        kind: Kind::Count,
        help: "Pipelines by time of creation, including child pipelines.",
        defined_by: "GitLab: CI/CD analytics",
        sample: Sampler::Pipeline(|one, _| one.opened_at().map_or(Sample::Out(NOT_CREATED), |at| Sample::In(at, 1))),
    },
    Metric {
        name: "pipeline_success_rate.gitlab",
        kind: Kind::Share,
        help: "Share of the ended pipelines that passed, including canceled, skipped and child pipelines in the total.",
        defined_by: "GitLab: CI/CD analytics",
        sample: Sampler::Pipeline(|one, _| {
            ended(one, |at, end| Sample::In(at, i64::from(end.status == Status::Success)))
        }),
    },
    Metric {
        name: "pipeline_success_rate.devlake",
        kind: Kind::Share,
        help: "Share of the pipelines that passed, of those that passed, failed or were canceled. A canceled pipeline \
            counts as failed.",
        defined_by: "DevLake: CI/CD",
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
        help: "Duration of all ended pipelines, including child pipelines.",
        defined_by: "GitLab: CI/CD analytics",
        sample: Sampler::Pipeline(|one, _| ended(one, |at, end| reported(at, end.duration))),
    },
    Metric {
        name: "deployment_frequency.devlake",
        kind: Kind::DistinctPerDay,
        help: "Days with a successful deployment to production, as a share of all days.",
        defined_by: "DevLake: DORA, which counts days with a deployment",
        sample: Sampler::Deployment(|one, _, view| out(one, |at| Sample::In(at, view.day_of(at)))),
    },
    Metric {
        name: "change_failure_rate.gitlab",
        kind: Kind::Mean,
        help: "Incidents created in the window divided by its deployments. It can be more than 1. In a series, an \
            incident belongs to the interval of the last deployment before it, or of the first deployment of the \
            window.",
        defined_by: "GitLab: DORA metrics",
        sample: Sampler::Deployment(|one, _, view| {
            out(one, |at| {
                let incidents = view.context.incidents_in(one, view.from, view.to);
                Sample::In(at, i64::try_from(incidents).unwrap_or(i64::MAX))
            })
        }),
    },
    Metric {
        name: "acceptance_ratio.chaoss",
        kind: Kind::Ratio,
        help: "Merged merge requests divided by those that were closed for good, by time of the end. It is null if \
            none was closed.",
        defined_by: "CHAOSS: change request acceptance ratio",
        sample: Sampler::MergeRequest(|one, _| match (one.merged_or_seen_at(), one.closed_at()) {
            (Some(at), _) => Sample::In(at, 1),
            (None, Some(at)) => Sample::In(at, 0),
            _ => Sample::Out("it is neither merged nor closed"),
        }),
    },
    Metric {
        name: "pipeline_success_share.gitlab",
        kind: Kind::Share,
        help: "Share of the ended pipelines that passed, including child pipelines.",
        defined_by: "GitLab: CI/CD analytics",
        sample: Sampler::Pipeline(|one, _| share_of_ended(one, &[Status::Success])),
    },
    Metric {
        name: "pipeline_failure_share.gitlab",
        kind: Kind::Share,
        help: "Share of the ended pipelines that failed, including child pipelines.",
        defined_by: "GitLab: CI/CD analytics",
        sample: Sampler::Pipeline(|one, _| share_of_ended(one, &[Status::Failed])),
    },
    Metric {
        name: "pipeline_other_share.gitlab",
        kind: Kind::Share,
        help: "Share of the ended pipelines that were canceled or skipped, including child pipelines.",
        defined_by: "GitLab: CI/CD analytics",
        sample: Sampler::Pipeline(|one, _| share_of_ended(one, &[Status::Canceled, Status::Skipped])),
    },
    Metric {
        name: "job_failure_rate.gitlab",
        kind: Kind::Share,
        help: "Share of the ended runs of jobs that failed, including canceled and skipped runs and jobs with \
            `allow_failure` in the total.",
        defined_by: "GitLab: job analytics",
        sample: Sampler::EachRun(|runs, _| {
            let ended = runs.iter().filter(|job| job.last.status.is_final());
            let failed = |job: &Job| i64::from(job.last.status == Status::Failed);

            Sample::Many(
                ended
                    .filter_map(|job| Some((job.started_at.or(job.created_at)?, failed(job))))
                    .collect(),
            )
        }),
    },
    Metric {
        name: "job_duration.gitlab",
        kind: Kind::Duration,
        help: "Duration of ended runs of jobs, including canceled ones and jobs with `allow_failure`.",
        defined_by: "GitLab: job analytics",
        sample: Sampler::EachRun(|runs, _| {
            let ended = runs.iter().filter(|job| job.last.status.is_final());
            Sample::Many(
                ended
                    .filter_map(|job| Some((job.started_at?, job.last.duration?)))
                    .collect(),
            )
        }),
    },
];

/// 1 if the pipeline ended with one of these statuses, else 0.
fn share_of_ended(one: &Pipeline, wanted: &[Status]) -> Sample {
    ended(one, |at, end| Sample::In(at, i64::from(wanted.contains(&end.status))))
}

/// Time from creation to merge, by time of creation.
fn of_created(one: &MergeRequest) -> Sample {
    match (one.created_at, one.merged_at()) {
        (None, _) => Sample::Out(NOT_CREATED),
        (_, None) => Sample::Out("it is not merged, or no event reported when"),
        (Some(from), Some(end)) => Sample::In(from, seconds(from, end)),
    }
}
