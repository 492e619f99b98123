//! What one deployment, with the incidents that followed it, gives to each insight.

use super::{Kind, Metric, Outcome, Sample, Sampler, View};
use crate::deployments::{Deployment, Status};
use crate::entity::seconds;

const NOT_OUT: &str = "it is no successful deployment to production";

pub(super) const METRICS: [Metric; 9] = [
    Metric {
        name: "deployments",
        kind: Kind::Count,
        help: "Successful deployments to production.",
        follows: "GitLab and DORA; from deployment events, not from green pipelines",
        sample: Sampler::Deployment(|one, _, _| out(one, |at| Sample::In(at, 1))),
    },
    Metric {
        name: "deployment_frequency",
        kind: Kind::PerDay,
        help: "Successful deployments to production, per calendar day.",
        follows: "GitLab: DORA metrics",
        sample: Sampler::Deployment(|one, _, _| out(one, |at| Sample::In(at, 1))),
    },
    Metric {
        name: "deployment_days",
        kind: Kind::Distinct,
        help: "Days of the zone with a successful deployment to production.",
        follows: "four-keys, DevLake",
        sample: Sampler::Deployment(|one, _, view| out(one, |at| Sample::In(at, view.day_of(at)))),
    },
    Metric {
        name: "failed_deployments",
        kind: Kind::Count,
        help: "Deployments to production that failed. That is not the change failure rate.",
        follows: "four-keys, shown apart",
        sample: Sampler::Deployment(|one, _, _| match one.status() {
            Status::Failed if one.is_production => Sample::In(one.at(), 1),
            _ => Sample::Out("it did not fail, or not in production"),
        }),
    },
    Metric {
        name: "change_failure_rate",
        kind: Kind::Share,
        help: "Of the deployments, the share that an incident followed before the next one, or that an incident names as its cause.",
        follows: "DORA as DevLake reads it: an incident belongs to the deployment before it",
        sample: Sampler::Deployment(|one, outcome, _| {
            out(one, |at| Sample::In(at, i64::from(!outcome.incidents.is_empty())))
        }),
    },
    Metric {
        name: "incidents_per_deployment",
        kind: Kind::Mean,
        help: "Incidents divided by deployments, which can be more than 1.",
        follows: "ours: each incident by the deployment before it; GitLab's change failure rate goes by when incidents were created",
        sample: Sampler::Deployment(incidents),
    },
    Metric {
        name: "failed_deployment_recovery_time",
        kind: Kind::Duration,
        help: "From a deployment to the last close of an incident that followed it.",
        follows: "DORA since 2023",
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
        help: "Of the deployments, the share that was made while an incident was open that followed an earlier one.",
        follows: "DORA since 2024; that they are the fix is an assumption",
        sample: Sampler::Deployment(|one, outcome, _| out(one, |at| Sample::In(at, i64::from(outcome.is_rework)))),
    },
    Metric {
        name: "hotfix_share",
        kind: Kind::Share,
        help: "Of the deployments, the share that was made from a branch `hotfix/…` or `hotfix-…`.",
        follows: "DORA since 2024: deployment rework, by name of the branch",
        sample: Sampler::Deployment(|one, _, _| {
            let name = one.git_ref.as_deref().unwrap_or_default();
            out(one, |at| Sample::In(at, i64::from(name.starts_with("hotfix/") || name.starts_with("hotfix-"))))
        }),
    },
];

/// The incidents that followed it.
pub(super) fn incidents(one: &Deployment, outcome: &Outcome, _: &View<'_>) -> Sample {
    out(one, |at| Sample::In(at, i64::try_from(outcome.incidents.len()).unwrap_or(i64::MAX)))
}

pub(super) fn out(one: &Deployment, then: impl Fn(quickdraw_domain::Timestamp) -> Sample) -> Sample {
    if one.is_out() { then(one.at()) } else { Sample::Out(NOT_OUT) }
}
