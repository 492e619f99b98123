//! The last pipeline of each branch that is shown, with its jobs, and the last deployment to each environment.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use quickdraw_domain::Timestamp;
use quickdraw_domain::hook::{BranchFilter, Passage};
use quickdraw_domain::work::Work;
use quickdraw_insights::deployments::Deployment;
use quickdraw_insights::entity::{Entity, Item};
use quickdraw_insights::pipelines::{Job, Pipeline};

use super::series::{Counts, DEPLOYMENTS, JOB_RUNS, PIPELINE_RUNS, Series};
use super::{MAX_PER_PROJECT, Read, WINDOW, seconds};
use crate::telemetry::precise;

/// Steps of work for one pattern on one name. Patterns come from the settings.
const WORK: u64 = 1_000_000;

/// The last of everything, and how many there were. Beside default and protected branches, what `refs` ask for.
pub(super) fn of_last(
    series: &mut Series,
    counts: &mut Counts,
    path: &str,
    read: &Read,
    (refs, now): (&[BranchFilter], Timestamp),
) {
    let mut jobs: HashMap<i64, Vec<&Job>> = HashMap::new();
    for job in &read.jobs {
        jobs.entry(job.pipeline).or_default().push(job);
    }

    for (kind, git_ref, pipelines) in shown(read, refs, now) {
        Of {
            series,
            counts,
            labels: [("project", path), ("ref", &git_ref), ("kind", kind)],
        }
        .pipelines(&pipelines, &jobs);
    }

    let mut of_environments: BTreeMap<&str, Vec<&Deployment>> = BTreeMap::new();
    for one in &read.deployments {
        of_environments.entry(&one.environment).or_default().push(one);
    }

    for (environment, all) in of_environments.into_iter().take(MAX_PER_PROJECT) {
        let Some(last) = all.iter().max_by_key(|one| (one.at(), one.id)) else {
            continue;
        };
        let labels = [("project", path), ("environment", environment)];
        let status = [labels[0], labels[1], ("status", last.status().word())];

        series.add(
            "gitlab_ci_environment_deployment_status",
            "How the last deployment stands.",
            &status,
            1.0,
        );

        let help = "When the last deployment became what it is.";
        series.add(
            "gitlab_ci_environment_deployment_timestamp",
            help,
            &labels,
            seconds(last.at()),
        );

        let help = "Deployments that this node counted, those too of 90 days before it began.";
        // By the job, where it is known: the job's event reports a deployment before the deployment's own event does.
        let ids = all.iter().map(|one| one.job.unwrap_or(one.id).saturating_abs());
        counts.add(series, DEPLOYMENTS, help, &labels, ids);
    }
}

/// The branches, tags and open merge requests that are shown, with their pipelines: the default branch first, and then
/// those with the newest pipelines.
fn shown<'a>(read: &'a Read, refs: &[BranchFilter], now: Timestamp) -> Vec<(&'static str, String, Vec<&'a Pipeline>)> {
    let is_asked_for = |name: &str| {
        refs.iter()
            .any(|pattern| pattern.judge(name, &mut Work::new(WORK)) == Passage::Passes)
    };

    let default = read.default_branch.as_ref().map(|(_, _, name)| name.as_str());
    let mut all: BTreeMap<(&'static str, String), Vec<&Pipeline>> = BTreeMap::new();

    for item in &read.pipelines {
        let Item::Pipeline(one) = item else { continue };
        let Some(name) = one.git_ref.as_deref().filter(|_| !one.is_child) else {
            continue;
        };

        // Those of merge requests name the branch that they come from.
        let (kind, name, is_shown) = match one.merge_request {
            Some(iid) => {
                let is_shown = read.open_merge_requests.contains(&iid) && is_asked_for(&format!("!{iid}"));
                // The exporter spells it like that, whatever its documentation says.
                ("merge-request", iid.to_string(), is_shown)
            }
            None if one.source.as_deref() == Some("merge_request_event") => continue,
            // No event reports here that a tag was deleted.
            None if one.is_tag => {
                let is_young = one.opened_at() >= Some(now.minus(WINDOW));
                ("tag", name.to_owned(), is_young && is_asked_for(name))
            }
            None => {
                let is_wanted = read.protected.contains(name) || is_asked_for(name);
                let is_shown = Some(name) == default || (is_wanted && read.open_branches.contains(name));
                ("branch", name.to_owned(), is_shown)
            }
        };

        if is_shown {
            all.entry((kind, name)).or_default().push(one);
        }
    }

    let mut all: Vec<_> = all.into_iter().map(|((kind, name), all)| (kind, name, all)).collect();
    all.sort_by_cached_key(|(kind, name, all)| {
        let is_default = *kind == "branch" && Some(name.as_str()) == default;
        (!is_default, Reverse(all.iter().map(|one| one.opened_at()).max()))
    });

    all.truncate(MAX_PER_PROJECT);
    all
}

/// Where series of one branch go.
struct Of<'a> {
    series: &'a mut Series,
    counts: &'a mut Counts,
    labels: [(&'a str, &'a str); 3],
}

impl Of<'_> {
    fn add(&mut self, name: &'static str, help: &'static str, more: &[(&str, &str)], value: f64) {
        self.series.add(name, help, &[&self.labels, more].concat(), value);
    }

    /// The pipelines of one branch.
    fn pipelines(mut self, all: &[&Pipeline], jobs: &HashMap<i64, Vec<&Job>>) {
        let Some(one) = all.iter().max_by_key(|one| (one.opened_at(), one.id)) else {
            return;
        };
        let Some(seen) = one.last else { return };
        let source = ("source", one.source.as_deref().unwrap_or_default());
        let status = [source, ("status", seen.word())];

        self.add(
            "gitlab_ci_pipeline_status",
            "How the last pipeline stands.",
            &status,
            1.0,
        );

        self.add(
            "gitlab_ci_pipeline_id",
            "The number of the last pipeline.",
            &[source],
            precise(one.id),
        );

        let help = "The newest time that the last pipeline's events mentioned.";
        self.add("gitlab_ci_pipeline_timestamp", help, &[source], seconds(seen.at));

        if let Some(value) = seen.duration {
            let help = "How long the last pipeline took.";
            self.add("gitlab_ci_pipeline_duration_seconds", help, &[source], precise(value));
        }

        if let Some(value) = seen.queued {
            let help = "How long the last pipeline waited.";
            self.add(
                "gitlab_ci_pipeline_queued_duration_seconds",
                help,
                &[source],
                precise(value),
            );
        }

        let of_source: HashSet<i64> = all
            .iter()
            .filter(|other| other.source == one.source)
            .map(|one| one.id)
            .collect();

        let help = "Pipelines with the last one's source that this node counted, those too of 90 days before it began.";
        let labels = [self.labels.as_slice(), &[source]].concat();
        self.counts
            .add(self.series, PIPELINE_RUNS, help, &labels, of_source.iter().copied());

        let mut runs: HashMap<&str, Vec<i64>> = HashMap::new();
        let of_these = of_source.iter().filter_map(|pipeline| jobs.get(pipeline)).flatten();
        for job in of_these.filter(|job| job.started_at.is_some()) {
            runs.entry(&job.name).or_default().push(job.id);
        }

        let mut last: BTreeMap<&str, &Job> = BTreeMap::new();
        for job in jobs.get(&one.id).into_iter().flatten() {
            let known = last.entry(&job.name).or_insert(job);
            if job.id > known.id {
                *known = job;
            }
        }

        for (name, job) in last.into_iter().take(MAX_PER_PROJECT) {
            let (stage, status) = (job.stage.as_deref().unwrap_or_default(), job.last.word());
            let of_job = [source, ("stage", stage), ("job_name", name), ("status", status)];
            let help = "How the last run of a job of the last pipeline stands.";
            self.add("gitlab_ci_pipeline_job_status", help, &of_job, 1.0);

            if let Some(value) = job.last.duration {
                let help = "How long the last run of a job of the last pipeline took.";
                self.add(
                    "gitlab_ci_pipeline_job_duration_seconds",
                    help,
                    &of_job[..3],
                    precise(value),
                );
            }

            let help =
                "Runs of a job of the last pipeline that this node counted, those too of two days before it began.";
            let runs = runs.remove(name).unwrap_or_default().into_iter();
            let labels = [self.labels.as_slice(), &of_job[..3]].concat();
            self.counts.add(self.series, JOB_RUNS, help, &labels, runs);
        }
    }
}
