//! What of an insight is asked for beside days, projects and people: what things must have, and how they count.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use quickdraw_insights::deployments::By;
use quickdraw_insights::entity::Item;
use quickdraw_insights::metrics::{Choice, Metric, Trait};
use serde::Deserialize;
use utoipa::IntoParams;

use super::invalid;
use crate::error::ApiError;

/// What things must have.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Chosen {
    /// Only of this branch, as `main`; of merge requests, those that go into it; of commits, those that were pushed to it.
    branch: Option<String>,
    /// Only issues or merge requests with this label, as last seen.
    label: Option<String>,
    /// Only jobs of this name.
    job: Option<String>,
    /// Only pipelines, jobs and deployments that stand so: `pending`, `running`, `success`, `failed`, `canceled` or `skipped`; of jobs,
    /// each run, or how the last one ended.
    status: Option<String>,
    /// Only deployments to this environment.
    environment: Option<String>,
    /// Only pipelines that this started, as `push`, `schedule` or `merge_request_event`.
    source: Option<String>,
    /// What deployments are: `tags` that were pushed, or `releases`, for projects that have no environments; without it, what events of
    /// deployments and of jobs that deploy to production tell.
    deployed_by: Option<String>,
    /// Pipelines that others started count too.
    #[serde(default)]
    children: bool,
    /// For how many seconds something must wait to be waiting (a day), or have no commit to be stale (90 days).
    #[param(minimum = 0, maximum = 31622400)]
    older_than: Option<u32>,
}

/// How far pipelines, jobs and deployments can be, in GitLab's words.
const STATUSES: [&str; 6] = ["pending", "running", "success", "failed", "canceled", "skipped"];

/// What was asked for of things.
#[derive(Clone)]
pub(super) struct Wanted {
    pub(super) only: BTreeMap<Trait, String>,
    deployed_by: Option<By>,
    children: bool,
    older_than: Option<u32>,
}

impl Wanted {
    /// Refuses what an insight cannot have: it would be 0 for everybody.
    pub(super) fn check(&self, metric: &Metric, of_members: bool) -> Result<(), ApiError> {
        if let Some(of) = self.only.keys().find(|of| !metric.can_have(**of)) {
            let (of, name) = (of.name(), metric.name);
            return Err(invalid(format!("what {name} counts has no {of}: leave {of} out")));
        }
        if of_members && !metric.can_be_of_members() {
            return Err(invalid(format!("nobody is known to have done what {} counts: ask for all", metric.name)));
        }
        if self.deployed_by.is_some() && !metric.is_of_deployments() {
            return Err(invalid(format!("{} does not count deployments: leave deployed_by out", metric.name)));
        }
        Ok(())
    }

    /// Whether a thing has all that was asked for.
    pub(super) fn is_met_by(&self, item: &Item) -> bool {
        self.only.iter().all(|(of, wanted)| of.is(item, wanted))
    }

    /// What counts of it.
    pub(super) fn choice(self, zone: TimeZone, least: u32, incident_labels: Arc<[String]>) -> Choice {
        let Self { only, deployed_by, children, older_than } = self;
        let older_than = older_than.map(|seconds| Duration::from_secs(seconds.into()));
        Choice { only, deployed_by, children, older_than, incident_labels, zone, least }
    }

    /// What was asked for, for the answer.
    pub(super) fn said(&self) -> BTreeMap<&'static str, String> {
        let mut said: BTreeMap<&'static str, String> =
            self.only.iter().map(|(of, wanted)| (of.name(), wanted.clone())).collect();
        said.extend(
            self.deployed_by.map(|by| ("deployed_by", if by == By::Tag { "tags" } else { "releases" }.to_owned())),
        );
        said.extend(self.children.then(|| ("children", "true".to_owned())));
        said.extend(self.older_than.map(|seconds| ("older_than", seconds.to_string())));
        said
    }
}

impl Chosen {
    /// What was asked for.
    pub(super) fn read(self) -> Result<Wanted, ApiError> {
        let Self { branch, label, job, status, environment, source, deployed_by, children, older_than } = self;
        if status.as_deref().is_some_and(|status| !STATUSES.contains(&status)) {
            return Err(invalid(format!("status must be one of {}", STATUSES.join(", "))));
        }
        if older_than.is_some_and(|seconds| seconds > 366 * 86_400) {
            return Err(invalid("older_than must be at most 366 days, in seconds"));
        }
        let deployed_by = match deployed_by.as_deref() {
            None => None,
            Some("tags") => Some(By::Tag),
            Some("releases") => Some(By::Release),
            Some(_) => {
                return Err(invalid(
                    "deployed_by must be tags or releases; leave it out for deployments to production",
                ));
            }
        };
        let all = [
            (Trait::Branch, branch),
            (Trait::Label, label),
            (Trait::Job, job),
            (Trait::Status, status),
            (Trait::Environment, environment),
            (Trait::Source, source),
        ];
        let only = all.into_iter().filter_map(|(of, wanted)| Some((of, wanted?))).collect();
        Ok(Wanted { only, deployed_by, children, older_than })
    }
}
