//! The same insights as others read them, where they differ from ours. The name says whose reading it is, so that two can stand
//! side by side.

use super::deployments::{incidents, out};
use super::pipelines::{ended, told};
use super::{Kind, Measure, NOT_CREATED, Sample, Sampler};
use crate::insights::entity::{Entity, seconds};
use crate::insights::merge_requests::MergeRequest;
use crate::insights::pipelines::Status;

pub(super) const MEASURES: [Measure; 10] = [
    Measure {
        name: "commits.gitlab",
        kind: Kind::Count,
        help: "Commits of every push: one that was pushed to two branches counts twice.",
        follows: "GitLab: contribution analytics",
        sample: Sampler::Push(|one, _| Sample::In(one.received_at, one.total)),
    },
    Measure {
        name: "time_to_merge.devlake",
        kind: Kind::DurationBelow,
        help: "From creation to merge, of merge requests created in the window that are merged by now. The median is the lower one.",
        follows: "DevLake: PR cycle time, by date of creation",
        sample: Sampler::MergeRequest(|one, _| of_created(one)),
    },
    Measure {
        name: "time_to_merge.chaoss",
        kind: Kind::Duration,
        help: "From creation to merge, of merge requests created in the window that are merged by now; the median is p50.",
        follows: "CHAOSS: change request duration",
        sample: Sampler::MergeRequest(|one, _| of_created(one)),
    },
    Measure {
        name: "review_depth.devlake",
        kind: Kind::Mean,
        help: "Comments of merge requests merged in the window, by whomever: authors and bots too.",
        follows: "DevLake: PR review depth",
        sample: Sampler::MergeRequest(|one, _| match one.merged_at() {
            Some(end) => Sample::In(end, i64::try_from(one.notes.len()).unwrap_or(i64::MAX)),
            None => Sample::Out("it is not merged, or no event told when"),
        }),
    },
    Measure {
        name: "pipelines.gitlab",
        kind: Kind::Count,
        help: "Pipelines by when they were created, those too that others started.",
        follows: "GitLab: CI/CD analytics",
        sample: Sampler::Pipeline(|one, _| one.opened_at().map_or(Sample::Out(NOT_CREATED), |at| Sample::In(at, 1))),
    },
    Measure {
        name: "pipeline_success_rate.gitlab",
        kind: Kind::Share,
        help: "Of all pipelines that ended, also canceled and skipped ones and those that others started, the share that passed.",
        follows: "GitLab: CI/CD analytics",
        sample: Sampler::Pipeline(|one, _| {
            ended(one, |at, end| Sample::In(at, i64::from(end.status == Status::Success)))
        }),
    },
    Measure {
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
    Measure {
        name: "pipeline_duration.gitlab",
        kind: Kind::Duration,
        help: "How long pipelines took that ended, those too that others started.",
        follows: "GitLab: CI/CD analytics",
        sample: Sampler::Pipeline(|one, _| ended(one, |at, end| told(at, end.duration))),
    },
    Measure {
        name: "deployment_frequency.devlake",
        kind: Kind::DistinctPerDay,
        help: "Days with a successful deployment to production, as a share of all days.",
        follows: "DevLake: DORA, which counts days with a deployment",
        sample: Sampler::Deployment(|one, _, view| out(one, |at| Sample::In(at, view.day_of(at)))),
    },
    Measure {
        name: "change_failure_rate.gitlab",
        kind: Kind::Mean,
        help: "Incidents divided by deployments, which can be more than 1.",
        follows: "GitLab: DORA metrics",
        sample: Sampler::Deployment(incidents),
    },
];

/// From creation to merge, by creation.
fn of_created(one: &MergeRequest) -> Sample {
    match (one.created_at, one.merged_at()) {
        (None, _) => Sample::Out(NOT_CREATED),
        (_, None) => Sample::Out("it is not merged, or no event told when"),
        (Some(from), Some(end)) => Sample::In(from, seconds(from, end)),
    }
}
