//! How things stand, for Prometheus: current state and the last seven days, made anew as a whole every minute. What is gone is
//! gone from it with the next look, so no series tells for hours what was so once. Nothing is labelled by commit, run or person, and
//! of branches only default ones are told.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use quickdraw_domain::Timestamp;
use quickdraw_domain::insights::deployments::{self, Deployment};
use quickdraw_domain::insights::entity::{Entity, Family, Item};
use quickdraw_domain::insights::gaps::Sequence;
use quickdraw_domain::insights::measures::{Choice, Items, Measure, Summary};
use quickdraw_domain::insights::people::People;
use quickdraw_domain::insights::pipelines::{Job, Pipeline};
use quickdraw_domain::insights::roster::Who;
use quickdraw_store::insights::{Lives, NamedProject, Projects, things_of};

use crate::belt::Belt;
use crate::lock;
use crate::telemetry::precise;

/// What is told of a time is told of so many days.
const DAYS: f64 = 7.0;
const WINDOW: Duration = Duration::from_secs(7 * 86_400);
/// Jobs of pipelines that are older are not told of: there are ten times as many jobs as pipelines.
const JOBS: Duration = Duration::from_secs(2 * 86_400);
/// Shortest pause between two looks, how many times as long as a look it is at least, and the longest.
const EVERY: Duration = Duration::from_secs(60);
const PAUSE_PER_WORK: u32 = 20;
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// The last pipeline of a branch and the last deployment to an environment can be so old.
const LAST: Duration = Duration::from_secs(90 * 86_400);
/// Most series, and most jobs or environments of one project: those of others have room too.
const MOST_SERIES: usize = 5_000;
const MOST_OF_ONE: usize = 100;

/// What is shown.
#[derive(Default)]
pub(crate) struct Current {
    text: arc_swap::ArcSwap<String>,
    /// When the last look ended, and how long the pause after it is.
    looked: std::sync::Mutex<Option<(Timestamp, Duration)>>,
}

/// Series by the name of their metric.
#[derive(Default)]
struct Series {
    all: BTreeMap<&'static str, (&'static str, Vec<String>)>,
    count: usize,
    dropped: usize,
}

impl Series {
    fn add(&mut self, name: &'static str, help: &'static str, labels: &[(&str, &str)], value: f64) {
        if self.count == MOST_SERIES {
            self.dropped += 1;
            return;
        }
        self.count += 1;
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        self.all.entry(name).or_insert((help, Vec::new())).1.push(format!("{name}{labels} {value}"));
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (name, (help, lines)) in &self.all {
            // Writing to a text cannot fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{}", lines.join("\n"));
        }
        text
    }
}

/// A label's value as the text format has it.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// What was read of one project.
#[derive(Default)]
struct Read {
    merge_requests: Vec<Item>,
    commits: Vec<Item>,
    pipelines: Vec<Item>,
    deployments: Vec<Deployment>,
    jobs: Vec<Job>,
    /// The one that was committed to last: it can have had another name before.
    default_branch: Option<(Option<Timestamp>, Timestamp, String)>,
}

impl Belt {
    /// How things stand, in Prometheus' text format.
    #[must_use]
    pub fn insights_text(&self) -> Arc<String> {
        self.current.text.load_full()
    }

    /// Looks at how things stand, if it is time to.
    pub(crate) async fn show_insights(&self) -> anyhow::Result<()> {
        let now = self.clock.now();
        let looked = *lock(&self.current.looked);
        // A time ahead of ours is that of a clock that was wrong.
        if looked.is_some_and(|(at, pause)| at <= now && now < at.plus(pause)) {
            return Ok(());
        }
        let shown = self.look_at_insights(now).await;
        let (text, is_empty) = match &shown {
            Ok((text, is_empty)) => (text.clone(), *is_empty),
            // What nobody knows any more is not shown as if it were so.
            Err(_) => (String::new(), true),
        };
        self.current.text.store(Arc::new(text));
        let after = self.clock.now();
        let pause = (after.since(now) * PAUSE_PER_WORK).clamp(EVERY, LONGEST_PAUSE);
        // Somebody who begins wants to see something.
        let pause = if is_empty { Duration::ZERO } else { pause };
        *lock(&self.current.looked) = Some((after, pause));
        shown.map(drop)
    }

    /// What is to be shown, and whether there is nothing yet.
    async fn look_at_insights(&self, now: Timestamp) -> anyhow::Result<(String, bool)> {
        let projects = self.store.insights_projects().await?;
        // Where one was made anew in the place of another, the place is that of the last.
        let mut newest: HashMap<&str, (Timestamp, i64)> = HashMap::new();
        for one in &projects {
            let known = newest.entry(&one.path).or_default();
            *known = (*known).max((one.seen_at, one.id));
        }
        let is_newest = |one: &&NamedProject| newest.get(one.path.as_str()).is_some_and(|(_, id)| *id == one.id);
        let paths: HashMap<i64, String> =
            projects.iter().filter(is_newest).map(|one| (one.id, one.path.clone())).collect();
        let replaced: HashSet<i64> =
            projects.iter().filter(|one| !paths.contains_key(&one.id)).map(|one| one.id).collect();
        let mut all: BTreeMap<i64, Read> = BTreeMap::new();
        let mut read = self.read(now).await?;
        deployments::keep(&mut read, &mut Vec::new(), None);
        for item in read {
            if replaced.contains(&item.key().0) {
                continue;
            }
            let one = all.entry(item.key().0).or_default();
            match item {
                Item::MergeRequest(_) => one.merge_requests.push(item),
                Item::Commit(_) => one.commits.push(item),
                Item::Pipeline(_) => one.pipelines.push(item),
                Item::Deployment(deployment) => one.deployments.push(deployment),
                Item::Job(job) => one.jobs.push(job),
                Item::Branch(branch) if branch.is_default => {
                    let name = branch.git_ref.strip_prefix("refs/heads/").unwrap_or(&branch.git_ref);
                    let this = (branch.last_commit_at, branch.first_received_at, name.to_owned());
                    one.default_branch = one.default_branch.take().max(Some(this));
                }
                _ => {}
            }
        }
        let is_empty = all.is_empty();
        let people = self.people().await?;
        let mut series = Series::default();
        self.beside(&mut series, &paths, &people).await?;
        series.add("quickdraw_insights_shown_timestamp_seconds", "When this was so.", &[], seconds(now));
        // Off the threads that answer others: there can be many.
        let series = tokio::task::spawn_blocking(move || {
            let named: Vec<(String, Read)> = all
                .into_iter()
                .map(|(id, read)| (paths.get(&id).cloned().unwrap_or_else(|| id.to_string()), read))
                .collect();
            // First what there is little of: of each project, whatever others have.
            for (path, read) in &named {
                of_project(&mut series, path, read, &people, now);
            }
            for (path, read) in &named {
                of_last(&mut series, path, read);
            }
            let dropped = count(series.dropped);
            series.count = 0;
            series.add(
                "quickdraw_insights_series_dropped",
                "Series that are left out, because there are too many.",
                &[],
                dropped,
            );
            series
        });
        Ok((series.await?.text(), is_empty))
    }

    async fn read(&self, now: Timestamp) -> anyhow::Result<Vec<Item>> {
        let lives = || Lives { from: now.minus(WINDOW), to: now, projects: None };
        let mut all = Vec::new();
        // Of pipelines, the gauge: it reads back to the last one of a branch.
        for name in ["mr_waiting", "commits", "branches_failing"] {
            let measure = Measure::by_name(name).ok_or_else(|| anyhow::anyhow!("there is no insight {name}"))?;
            all.extend(things_of(&self.store, measure, lives()).await?.0);
        }
        all.extend(self.store.items(Family::Deployments, Lives { from: now.minus(LAST), ..lives() }).await?);
        all.extend(self.store.items(Family::Branches, lives()).await?);
        all.extend(self.store.items(Family::Jobs, Lives { from: now.minus(JOBS), ..lives() }).await?);
        Ok(all)
    }

    /// What belongs to no project, and what lacks.
    async fn beside(&self, series: &mut Series, paths: &HashMap<i64, String>, people: &People) -> anyhow::Result<()> {
        let unmatched: HashSet<i64> = (self.store.identity_uses().await?.into_iter())
            .filter(|one| people.author(&one.identity.author) == Who::Unmatched)
            .map(|one| one.identity.id)
            .collect();
        series.add(
            "pulse_unmatched_identities",
            "Names and addresses of commits that are nobody's.",
            &[],
            count(unmatched.len()),
        );
        let lag = precise(self.store.backlog().await?.projection);
        series.add("pulse_projection_lag_events", "Events that are not counted yet.", &[], lag);
        let known = self.store.completeness(Projects::ALL, usize::MAX).await?;
        for one in known.iter().filter(|one| one.measure == Sequence::Push) {
            let Some(path) = paths.get(&one.project) else { continue };
            let missing = precise(one.missing);
            series.add("pulse_missing_pushes", "Pushes that never came, at least.", &[("project", path)], missing);
        }
        Ok(())
    }
}

fn of_project(series: &mut Series, path: &str, read: &Read, people: &People, now: Timestamp) {
    let Read { merge_requests, commits, pipelines, deployments, .. } = read;
    let items = |all: &Vec<Item>| Items::new(all.clone(), Vec::new(), people.clone(), Choice::default());
    let (merge_requests, commits, pipelines) = (items(merge_requests), items(commits), items(pipelines));
    let summary = |items: &Items, name: &str| -> Option<Summary> {
        Some(items.measure(Measure::by_name(name)?, now.minus(WINDOW), now, DAYS))
    };
    let project = ("project", path);
    let window = ("window", "7d");
    if let Some(value) = summary(&commits, "commits").and_then(|one| one.value) {
        series.add("pulse_commits", "Commits without merges.", &[project, window], value);
    }
    for (state, name) in [("opened", "mr_open"), ("merged", "mr_merged"), ("closed", "mr_closed_unmerged")] {
        if let Some(value) = summary(&merge_requests, name).and_then(|one| one.value) {
            let help = "Merge requests that are open, and that were merged or closed within seven days.";
            series.add("pulse_merge_requests", help, &[project, ("state", state)], value);
        }
    }
    if let Some(value) = summary(&merge_requests, "mr_waiting").and_then(|one| one.value) {
        let help = "Merge requests that wait for a first review for more than a day.";
        series.add("pulse_mr_waiting_review", help, &[project], value);
    }
    let mut quantiles = |name, help, summary: Option<Summary>| {
        let all =
            ["0.5", "0.75", "0.9", "0.95"].into_iter().zip(summary.map(|one| one.percentiles).unwrap_or_default());
        for (quantile, value) in all {
            // What there is no data of has no series.
            if let Some(value) = value {
                series.add(name, help, &[project, ("quantile", quantile), window], value);
            }
        }
    };
    quantiles(
        "pulse_mr_time_to_merge_seconds",
        "From creation to merge, of merge requests merged within seven days.",
        summary(&merge_requests, "time_to_merge"),
    );
    quantiles(
        "pulse_pipeline_duration_seconds",
        "How long pipelines took that passed or failed.",
        summary(&pipelines, "pipeline_duration"),
    );
    for (status, name) in
        [("success", "pipeline_success_share"), ("failed", "pipeline_failure_share"), ("other", "pipeline_other_share")]
    {
        if let Some((share, samples)) = summary(&pipelines, name).and_then(|one| Some((one.value?, one.samples))) {
            let value = (share * count(samples)).round();
            series.add("pulse_pipelines", "Pipelines that ended.", &[project, ("status", status), window], value);
        }
    }
    let mut counts: BTreeMap<(&str, &str), f64> = BTreeMap::new();
    for one in deployments {
        let name = one.status().name();
        if one.at() >= now.minus(WINDOW) {
            *counts.entry((&one.environment, name)).or_default() += 1.0;
        }
    }
    for ((environment, status), count) in counts.into_iter().take(MOST_OF_ONE) {
        let labels = [("project", path), ("environment", environment), ("status", status), ("window", "7d")];
        series.add("pulse_deployments", "Deployments by how they stand.", &labels, count);
    }
}

/// The last of everything.
fn of_last(series: &mut Series, path: &str, read: &Read) {
    if let Some(pipeline) = newest(read) {
        of_pipeline(series, path, pipeline, &read.jobs);
    }
    let mut last: BTreeMap<&str, &Deployment> = BTreeMap::new();
    for one in &read.deployments {
        let known = last.entry(&one.environment).or_insert(one);
        if (one.at(), one.id) > (known.at(), known.id) {
            *known = one;
        }
    }
    for (environment, one) in last.into_iter().take(MOST_OF_ONE) {
        let labels = [("project", path), ("environment", environment)];
        let status = [labels[0], labels[1], ("status", one.status().name())];
        series.add("gitlab_ci_environment_deployment_status", "How the last deployment stands.", &status, 1.0);
        let help = "When the last deployment became what it is.";
        series.add("gitlab_ci_environment_deployment_timestamp", help, &labels, seconds(one.at()));
    }
}

/// The newest pipeline of the default branch. Those of merge requests name the branch that they come from.
fn newest(read: &Read) -> Option<&Pipeline> {
    let (_, _, branch) = read.default_branch.as_ref()?;
    let pipelines =
        read.pipelines.iter().filter_map(|item| if let Item::Pipeline(one) = item { Some(one) } else { None });
    let of_branch = pipelines.filter(|one| {
        let is_of_it = one.git_ref.as_deref() == Some(branch) && one.source.as_deref() != Some("merge_request_event");
        is_of_it && !one.is_child
    });
    of_branch.max_by_key(|one| (one.opened_at(), one.id))
}

fn of_pipeline(series: &mut Series, path: &str, one: &Pipeline, jobs: &[Job]) {
    let Some(seen) = one.last else { return };
    let (branch, source) = (one.git_ref.as_deref().unwrap_or_default(), one.source.as_deref().unwrap_or_default());
    let labels = [("project", path), ("ref", branch), ("kind", "branch"), ("source", source)];
    let with = |more: &[(&'static str, &str)]| -> Vec<(&'static str, String)> {
        labels.iter().chain(more).map(|(name, value)| (*name, (*value).to_owned())).collect()
    };
    let mut add = |name, help, more: &[(&'static str, &str)], value| {
        let all = with(more);
        let all: Vec<(&str, &str)> = all.iter().map(|(name, value)| (*name, value.as_str())).collect();
        series.add(name, help, &all, value);
    };
    let status = [("status", seen.status.name())];
    add("gitlab_ci_pipeline_status", "How the last pipeline stands.", &status, 1.0);
    let id = precise(one.id);
    add("gitlab_ci_pipeline_id", "The number of the last pipeline.", &[], id);
    add(
        "gitlab_ci_pipeline_timestamp",
        "The newest time that the last pipeline's events mentioned.",
        &[],
        seconds(seen.at),
    );
    if let Some(value) = seen.duration {
        add("gitlab_ci_pipeline_duration_seconds", "How long the last pipeline took.", &[], precise(value));
    }
    if let Some(value) = seen.queued {
        add("gitlab_ci_pipeline_queued_duration_seconds", "How long the last pipeline waited.", &[], precise(value));
    }
    let mut last: BTreeMap<&str, &Job> = BTreeMap::new();
    for job in jobs.iter().filter(|job| job.pipeline == one.id) {
        let known = last.entry(&job.name).or_insert(job);
        if job.id > known.id {
            *known = job;
        }
    }
    for (name, job) in last.into_iter().take(MOST_OF_ONE) {
        let (stage, status) = (job.stage.as_deref().unwrap_or_default(), job.last.status.name());
        let of_job = [("stage", stage), ("job_name", name)];
        let help = "How the last run of a job of the last pipeline stands.";
        add("gitlab_ci_pipeline_job_status", help, &[of_job[0], of_job[1], ("status", status)], 1.0);
        if let Some(value) = job.last.duration {
            let help = "How long the last run of a job of the last pipeline took.";
            add("gitlab_ci_pipeline_job_duration_seconds", help, &of_job, precise(value));
        }
    }
}

fn count(things: usize) -> f64 {
    precise(i64::try_from(things).unwrap_or(i64::MAX))
}

fn seconds(at: Timestamp) -> f64 {
    precise(at.as_seconds())
}
