//! Metrics of deployments and the incidents after them.

use super::{Kind, Metric, Outcome, Sample, Sampler, View};
use crate::deployments::{Deployment, Status};
use crate::entity::seconds;

const NOT_OUT: &str = "it is not a successful deployment to production";

pub(super) const METRICS: [Metric; 9] = [
    Metric {
        name: "deployments",
        kind: Kind::Count,
        help: "Successful deployments to production.",
        defined_by: "GitLab and DORA; from deployment events, not from successful pipelines",
        sample: Sampler::Deployment(|one, _, _| out(one, |at| Sample::In(at, 1))),
    },
    Metric {
        name: "deployment_frequency",
        kind: Kind::PerDay,
        help: "Successful deployments to production, per calendar day.",
        defined_by: "GitLab: DORA metrics",
        sample: Sampler::Deployment(|one, _, _| out(one, |at| Sample::In(at, 1))),
    },
    Metric {
        name: "deployment_days",
        kind: Kind::Distinct,
        help: "Days, in the zone of the question, with a successful deployment to production.",
        defined_by: "four-keys, DevLake",
        sample: Sampler::Deployment(|one, _, view| out(one, |at| Sample::In(at, view.day_of(at)))),
    },
    Metric {
        name: "failed_deployments",
        kind: Kind::Count,
        help: "Failed deployments to production. This is not the change failure rate.",
        defined_by: "four-keys, as a separate metric",
        sample: Sampler::Deployment(|one, _, _| match one.status() {
            Status::Failed if one.is_production => Sample::In(one.at(), 1),
            _ => Sample::Out("it is not a failed deployment to production"),
        }),
    },
    Metric {
        name: "change_failure_rate",
        kind: Kind::Share,
        help: "Share of the deployments that caused an incident: one that was created before the next deployment, or \
            one that names the deployment as its cause.",
        defined_by: "DORA in DevLake's reading: an incident belongs to the deployment before it",
        sample: Sampler::Deployment(|one, outcome, _| {
            out(one, |at| Sample::In(at, i64::from(!outcome.incidents.is_empty())))
        }),
    },
    Metric {
        name: "incidents_per_deployment",
        kind: Kind::Mean,
        help: "Incidents divided by deployments. It can be more than 1.",
        defined_by: "Quickdraw: an incident belongs to the deployment before it; GitLab's change failure rate uses the \
            time of the incident",
        sample: Sampler::Deployment(incidents),
    },
    Metric {
        name: "failed_deployment_recovery_time",
        kind: Kind::Duration,
        help: "Time from a deployment to the last close of each incident that followed it.",
        defined_by: "DORA since 2023",
        sample: Sampler::Deployment(|one, outcome, _| {
            out(one, |at| {
                let closed = outcome.incidents.iter().flatten();
                Sample::Many(closed.map(|end| (at, seconds(at, *end))).collect())
            })
        }),
    },
    Metric {
        name: "deployment_rework_rate",
        kind: Kind::Share,
        help: "Share of the deployments that were made while an incident after an earlier deployment was open.",
        defined_by: "DORA since 2024; assumes that these deployments fix the incident",
        sample: Sampler::Deployment(|one, outcome, _| out(one, |at| Sample::In(at, i64::from(outcome.is_rework)))),
    },
    Metric {
        name: "hotfix_share",
        kind: Kind::Share,
        help: "Share of the deployments from a branch named `hotfix/…` or `hotfix-…`.",
        defined_by: "DORA since 2024: deployment rework, by name of the branch",
        sample: Sampler::Deployment(|one, _, _| {
            let name = one.git_ref.as_deref().unwrap_or_default();
            out(one, |at| {
                Sample::In(
                    at,
                    i64::from(name.starts_with("hotfix/") || name.starts_with("hotfix-")),
                )
            })
        }),
    },
];

/// Counts the incidents that followed a deployment.
pub(super) fn incidents(one: &Deployment, outcome: &Outcome, _: &View<'_>) -> Sample {
    out(one, |at| {
        Sample::In(at, i64::try_from(outcome.incidents.len()).unwrap_or(i64::MAX))
    })
}

pub(super) fn out(one: &Deployment, then: impl Fn(quickdraw_domain::Timestamp) -> Sample) -> Sample {
    if one.is_out() {
        then(one.at())
    } else {
        Sample::Out(NOT_OUT)
    }
}
