//! Filters of a question about insights, other than days, projects and people.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use quickdraw_insights::deployments::By;
use quickdraw_insights::metrics::{Choice, Metric, Trait};
use serde::Deserialize;
use utoipa::IntoParams;

use super::not_a_choice;
use crate::error::{ApiError, FieldError, Kind};

/// Filters on the properties of counted items.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct FilterQuery {
    /// Only this branch, such as `main`. Merge requests count by their target branch, commits by the branch they were
    /// pushed to.
    branch: Option<String>,

    /// Only issues and merge requests with this label, as last seen.
    label: Option<String>,

    /// Only jobs with this name.
    job: Option<String>,

    /// Only pipelines, jobs and deployments with this status: `pending`, `running`, `success`, `failed`, `canceled`
    /// or `skipped`. For jobs it applies to each run, or to the last run, depending on the metric.
    status: Option<String>,

    /// Only deployments to this environment.
    environment: Option<String>,

    /// Only CI pipelines that started for this reason, such as `push`, `schedule` or `merge_request_event`.
    source: Option<String>,

    /// Count pushed `tags` or `releases` as deployments, for projects without environments. Default: count deployment
    /// events, and jobs that deploy to production.
    deployed_by: Option<String>,

    /// Also count CI pipelines that another pipeline started.
    #[serde(default)]
    children: bool,

    /// Age in seconds from which an item counts as waiting (default: one day) or a branch as stale (default: 90
    /// days).
    #[param(minimum = 0, maximum = 31622400)]
    older_than: Option<u32>,
}

/// Statuses of pipelines, jobs and deployments, in GitLab's words.
const STATUSES: [&str; 6] = ["pending", "running", "success", "failed", "canceled", "skipped"];

/// The filters of a question, validated.
#[derive(Clone)]
pub(super) struct ItemFilters {
    pub(super) only: BTreeMap<Trait, String>,
    deployed_by: Option<By>,
    children: bool,
    older_than: Option<u32>,
}

impl ItemFilters {
    /// Refuses a filter that does not apply to a metric: its answer would always be 0.
    pub(super) fn check(&self, metric: &Metric, of_members: bool) -> Result<(), ApiError> {
        if let Some(of) = self.only.keys().find(|of| !metric.can_have(**of)) {
            let (of, name) = (of.name(), metric.name);
            let text = format!("\"{of}\" does not apply to the metric \"{name}\"; remove it");
            return Err(ApiError::field(of, text));
        }

        if of_members && !metric.can_be_of_members() {
            return Err(ApiError::field(
                "metric",
                format!("the metric \"{}\" cannot be limited to members or teams", metric.name),
            ));
        }

        if self.deployed_by.is_some() && !metric.is_of_deployments() {
            return Err(ApiError::field(
                "deployed_by",
                format!(
                    "\"deployed_by\" does not apply to the metric \"{}\"; remove it",
                    metric.name
                ),
            ));
        }

        Ok(())
    }

    /// Builds the choice with which `Items` counts.
    pub(super) fn choice(self, zone: TimeZone, least: u32, incident_labels: Arc<[String]>) -> Choice {
        let Self {
            only,
            deployed_by,
            children,
            older_than,
        } = self;

        let older_than = older_than.map(|seconds| Duration::from_secs(seconds.into()));
        Choice {
            only,
            deployed_by,
            children,
            older_than,
            incident_labels,
            zone,
            least,
        }
    }

    /// Lists the filters by name, for the answer.
    pub(super) fn filters(&self) -> BTreeMap<&'static str, String> {
        let mut filters: BTreeMap<&'static str, String> = self
            .only
            .iter()
            .map(|(of, wanted)| (of.name(), wanted.clone()))
            .collect();

        filters.extend(self.deployed_by.map(|by| {
            (
                "deployed_by",
                if by == By::Tag { "tags" } else { "releases" }.to_owned(),
            )
        }));

        filters.extend(self.children.then(|| ("children", "true".to_owned())));
        filters.extend(self.older_than.map(|seconds| ("older_than", seconds.to_string())));
        filters
    }
}

impl FilterQuery {
    /// Validates the filters of a request.
    pub(super) fn read(self) -> Result<ItemFilters, ApiError> {
        let Self {
            branch,
            label,
            job,
            status,
            environment,
            source,
            deployed_by,
            children,
            older_than,
        } = self;

        if status.as_deref().is_some_and(|status| !STATUSES.contains(&status)) {
            let choices = STATUSES.map(str::to_owned).to_vec();
            return Err(ApiError::fields(
                Kind::InvalidParameter,
                vec![FieldError::choice("status", choices, None)],
            ));
        }

        if older_than.is_some_and(|seconds| seconds > 366 * 86_400) {
            return Err(ApiError::field(
                "older_than",
                "older_than must be at most 366 days, in seconds",
            ));
        }

        let deployed_by = match deployed_by.as_deref() {
            None => None,
            Some("tags") => Some(By::Tag),
            Some("releases") => Some(By::Release),
            Some(other) => return Err(not_a_choice("deployed_by", other, &["tags", "releases"])),
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

        Ok(ItemFilters {
            only,
            deployed_by,
            children,
            older_than,
        })
    }
}
