//! Deployments joined from events, and the incidents that followed them. Definitions: `docs/guide/insights.md`.
//!
//! A deployment can be reported by its own event and by the job that made it. It counts once, with its own event first.
//! Tags and releases count as deployments only if a question asks for that.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use std::collections::HashSet;

use super::commits::{clean, named_project, word};
use super::entity::{Entity, Item, least, number, time};
use super::issues::Issue;
use super::pipelines::MAX_JOBS;
use quickdraw_domain::Timestamp;

/// The status of a deployment. The order decides between reports of the same time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The deployment was created.
    Created,

    /// The deployment waits for an approval.
    Blocked,

    /// The deployment is running.
    Going,

    /// The deployment was canceled or skipped.
    Canceled,

    /// The deployment failed.
    Failed,

    /// The deployment succeeded.
    Success,
}

impl Status {
    /// Reads the status in events of deployments and of jobs that deploy.
    fn of(text: &str) -> Self {
        match text {
            "success" => Self::Success,
            "failed" => Self::Failed,
            "canceled" | "skipped" => Self::Canceled,
            "created" => Self::Created,
            "blocked" => Self::Blocked,
            _ => Self::Going,
        }
    }

    /// True if the deployment has ended.
    const fn is_final(self) -> bool {
        matches!(self, Self::Canceled | Self::Failed | Self::Success)
    }

    /// GitLab's name of the status; `running` for every deployment that has not ended.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created | Self::Blocked | Self::Going => "running",
            Self::Canceled => "canceled",
            Self::Failed => "failed",
            Self::Success => "success",
        }
    }

    /// GitLab's exact name of the status.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Blocked => "blocked",
            other => other.name(),
        }
    }
}

/// The source of a deployment. When two are joined, the first in this order wins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// A deployment event.
    #[default]
    Event,

    /// The job that deployed.
    Job,

    /// The push of a tag.
    Tag,

    /// A release.
    Release,
}

/// A deployment, joined from all its events.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Deployment {
    /// The project's id in events.
    pub project: i64,

    /// GitLab's id. Negative values are ids of jobs, for jobs and for old bodies without a deployment id. Tags and
    /// releases have a digest.
    pub id: i64,

    /// The source of the deployment.
    #[serde(default)]
    pub by: By,

    /// Id of the job that deployed, if the deployment event names it.
    #[serde(default)]
    pub job: Option<i64>,

    /// Name of the environment; for tags and releases, the name of the tag.
    pub environment: String,

    /// True if the environment is production.
    pub is_production: bool,

    /// SHA of the deployed commit, if the event contains it.
    pub sha: Option<String>,

    /// The deployed branch or tag.
    pub git_ref: Option<String>,

    /// Account that deployed.
    pub user: Option<i64>,

    /// True if the deployment is a tag that was moved from another commit.
    #[serde(default)]
    pub moved: bool,

    /// Whether it has ended, the time of the status, and the status. A final status wins, then the later one.
    last: (bool, Timestamp, Status),
}

impl Deployment {
    /// Reads a deployment event.
    pub(super) fn of_event(received_at: Timestamp, body: &Value) -> Option<Self> {
        let status = Status::of(body["status"].as_str()?);
        let environment = clean(body["environment"].as_str().unwrap_or_default(), 255);
        let is_production = match body["environment_tier"].as_str() {
            Some(tier) => tier == "production",
            None => has_name_of_production(&environment),
        };

        // Old bodies have no time, so the time of receipt is used.
        let at = time(&body["status_changed_at"]).unwrap_or(received_at);
        let job = body["deployable_id"].as_i64();

        Some(Self {
            project: named_project(body)?,
            id: body["deployment_id"].as_i64().or_else(|| job?.checked_neg())?,
            by: By::Event,
            job,
            environment,
            is_production,
            sha: body["commit_url"].as_str().and_then(sha_of),
            git_ref: word(&body["ref"]),
            moved: false,
            user: body["user"]["id"].as_i64(),
            last: (status.is_final(), at, status),
        })
    }

    /// Reads the deployments of the jobs in a pipeline event.
    pub(super) fn of_pipeline(body: &Value) -> Vec<Self> {
        let jobs = body["builds"].as_array().map(Vec::as_slice).unwrap_or_default();
        let attributes = &body["object_attributes"];
        jobs.iter()
            .take(MAX_JOBS)
            .filter_map(|job| Self::of_job(body, job, "", attributes))
            .collect()
    }

    /// Reads the deployment of a job event.
    pub(super) fn of_build(body: &Value) -> Option<Self> {
        Self::of_job(body, body, "build_", body)
    }

    /// A job deploys if it starts an environment; the deployment begins when the job runs. Only production is counted.
    fn of_job(body: &Value, job: &Value, prefix: &str, commit: &Value) -> Option<Self> {
        let value = |name: &str| &job[format!("{prefix}{name}")];
        let to = &job["environment"];
        let environment = clean(to["name"].as_str()?, 255);
        let tier = to["deployment_tier"].as_str();

        if to["action"] != "start"
            || !tier.map_or_else(|| has_name_of_production(&environment), |tier| tier == "production")
        {
            return None;
        }

        let started_at = time(value("started_at"))?;
        let status = Status::of(value("status").as_str()?);
        let at = time(value("finished_at"))
            .filter(|_| status.is_final())
            .unwrap_or(started_at);

        Some(Self {
            project: named_project(body)?,
            id: value("id").as_i64()?.checked_neg()?,
            by: By::Job,
            job: None,
            environment,
            is_production: true,
            sha: commit["sha"].as_str().and_then(sha_of),
            git_ref: word(&commit["ref"]),
            moved: false,
            user: job["user"]["id"].as_i64(),
            last: (status.is_final(), at, status),
        })
    }

    /// Reads a tag push, for questions that count tags as deployments. A moved tag is another deployment.
    pub(super) fn of_tag(received_at: Timestamp, body: &Value) -> Option<Self> {
        let (git_ref, after) = (body["ref"].as_str()?, body["after"].as_str()?);
        let name = git_ref.strip_prefix("refs/tags/")?;

        if after.bytes().all(|digit| digit == b'0') {
            return None;
        }

        Some(Self {
            project: named_project(body)?,
            id: number(&["tag", git_ref, after]),
            by: By::Tag,
            job: None,
            environment: clean(name, 255),
            is_production: true,
            // For an annotated tag, `after` is the tag object and not the commit.
            sha: body["checkout_sha"].as_str().or(Some(after)).and_then(sha_of),
            git_ref: Some(clean(name, 255)),
            moved: body["before"]
                .as_str()
                .is_some_and(|before| before.bytes().any(|digit| digit != b'0')),
            user: body["user_id"].as_i64(),
            last: (true, received_at, Status::Success),
        })
    }

    /// Reads a release event, for questions that count releases as deployments.
    pub(super) fn of_release(received_at: Timestamp, body: &Value) -> Option<Self> {
        let tag = body["tag"].as_str()?;
        if body["action"] == "delete" {
            return None;
        }

        let at = time(&body["released_at"])
            .or_else(|| time(&body["created_at"]))
            .unwrap_or(received_at);
        Some(Self {
            project: named_project(body)?,
            id: number(&["release", tag]),
            by: By::Release,
            job: None,
            environment: clean(tag, 255),
            is_production: true,
            sha: body["commit"]["id"].as_str().and_then(sha_of),
            git_ref: Some(clean(tag, 255)),
            moved: false,
            user: None,
            last: (true, at, Status::Success),
        })
    }

    /// Time of the current status.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.last.1
    }

    /// Current status.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.last.2
    }

    /// True if `name` is the deployment's id, or at least seven digits of its commit.
    fn is_named(&self, name: &str) -> bool {
        let is_commit = name.len() >= 7 && self.sha.as_deref().is_some_and(|sha| sha.starts_with(name));
        is_commit || name.parse() == Ok(self.id)
    }

    /// True if users have the deployment.
    #[must_use]
    pub fn is_out(&self) -> bool {
        self.is_production && self.status() == Status::Success
    }
}

impl Entity for Deployment {
    fn key(&self) -> (i64, i64) {
        (self.project, self.id)
    }

    fn join(mut self, other: Self) -> Self {
        self.by = self.by.min(other.by);
        self.job = least(self.job, other.job);
        self.environment = self.environment.max(other.environment);
        self.is_production |= other.is_production;
        self.sha = least(self.sha, other.sha);
        self.git_ref = least(self.git_ref, other.git_ref);
        self.user = least(self.user, other.user);

        // A tag counts as moved only if no event shows its creation at this commit.
        self.moved &= other.moved;

        // A tag has no time of its own, so the earliest receipt is used.
        self.last = if self.by == By::Tag {
            self.last.min(other.last)
        } else {
            self.last.max(other.last)
        };

        self
    }

    fn opened_at(&self) -> Option<Timestamp> {
        Some(self.at())
    }

    fn settled_at(&self) -> Option<Timestamp> {
        Some(self.at())
    }
}

/// Keeps the deployments that a question counts. If both a deployment event and its job are known, the event counts.
/// Tags and releases count only if `by` asks for them, and then nothing else counts.
pub fn keep(items: &mut Vec<Item>, others: &mut Vec<Item>, by: Option<By>) {
    let reported: HashSet<(i64, i64)> = items
        .iter()
        .chain(others.iter())
        .filter_map(|item| match item {
            Item::Deployment(one) if one.by == By::Event => Some((one.project, one.job?.checked_neg()?)),
            _ => None,
        })
        .collect();

    let counts = |item: &Item| match item {
        Item::Deployment(one) => match one.by {
            By::Event => by.is_none(),
            By::Job => by.is_none() && !reported.contains(&(one.project, one.id)),
            assumed => by == Some(assumed),
        },
        _ => true,
    };
    items.retain(counts);
    others.retain(counts);
}

/// Reads the commit from a URL such as `https://gitlab.example.com/gear/rope/-/commit/<sha>`.
fn sha_of(url: &str) -> Option<String> {
    let sha = url.rsplit('/').next()?;
    let is_whole = matches!(sha.len(), 40 | 64) && sha.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_whole.then(|| sha.to_ascii_lowercase())
}

/// True for `production`, `prod` and environments below them, such as `production/eu`.
fn has_name_of_production(environment: &str) -> bool {
    let name = environment.split('/').next().unwrap_or_default();
    name.eq_ignore_ascii_case("production") || name.eq_ignore_ascii_case("prod")
}

/// Assigns incidents to deployments, as DevLake does: an incident belongs to the last deployment before it that users
/// of its project had. An incident before the first deployment belongs to none. `deployments` must be sorted by project
/// and time. The result has the positions of the incidents of each deployment.
#[must_use]
pub fn incidents_of(deployments: &[&Deployment], issues: &[&Issue]) -> Vec<Vec<usize>> {
    let mut found = vec![Vec::new(); deployments.len()];
    let out = deployments.iter().enumerate().filter(|(_, one)| one.is_out());
    let out: Vec<((i64, Timestamp), usize)> = out.map(|(index, one)| ((one.project, one.at()), index)).collect();

    for (position, issue) in issues.iter().enumerate().filter(|(_, issue)| issue.is_incident) {
        let Some(created_at) = issue.created_at else { continue };
        let until = out.partition_point(|(key, _)| *key <= (issue.project, created_at));
        let before = out[..until]
            .last()
            .filter(|((project, _), _)| *project == issue.project);

        // The cause that the text of the issue names wins over the deployment before it.
        let is_cause = |(_, at): &&((i64, Timestamp), usize)| {
            deployments[*at].project == issue.project
                && issue
                    .caused_by
                    .as_deref()
                    .is_some_and(|cause| deployments[*at].is_named(cause))
        };
        let named = issue.caused_by.as_ref().and_then(|_| out.iter().find(is_cause));
        if let Some((_, deployment)) = named.or(before) {
            found[*deployment].push(position);
        }
    }

    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::entity::{self, Item};
    use crate::metrics;
    use quickdraw_domain::Trigger;

    /// Hours after 2026-03-01, 00:00 UTC.
    fn written(hour: i64) -> String {
        let time = jiff::Timestamp::from_second(1_772_323_200 + hour * 3_600).expect("in range");
        time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
    }

    fn deployment(id: i64, status: &str, hour: i64, commit: &str) -> (Trigger, Value) {
        let commit_url = format!("https://gitlab.example.com/gear/rope/-/commit/{}", sha(commit));
        let body = json!({ "object_kind": "deployment", "deployment_id": id, "status": status, "status_changed_at": written(hour),
            "environment": "production", "environment_tier": "production",
            "commit_url": commit_url, "project": { "id": 7 } });
        (Trigger::by_name("deployment_hooks").expect("a row"), body)
    }

    fn incident(iid: i64, hour: i64, closed: Option<i64>) -> (Trigger, Value) {
        let attributes = json!({ "iid": iid, "type": "Incident", "created_at": written(hour), "updated_at": written(closed.unwrap_or(hour)),
            "state": if closed.is_some() { "closed" } else { "opened" }, "closed_at": closed.map(written),
            "action": if closed.is_some() { "close" } else { "open" } });
        (
            Trigger::by_name("issue_hooks").expect("a row"),
            json!({ "project": { "id": 7 }, "object_attributes": attributes }),
        )
    }

    fn sha(letter: &str) -> String {
        letter.repeat(40)
    }

    /// A push to the default branch with one commit, which was made at `committed`.
    fn push(before: &str, after: &str, hour: i64, committed: i64) -> (Trigger, Value) {
        let commit = json!({ "id": sha(after), "message": format!("Tie {after}"), "timestamp": written(committed) });
        let before = if before == "0" { sha("5") } else { sha(before) };
        let body = json!({ "ref": "refs/heads/main", "before": before, "after": sha(after), "commits": [commit],
            "user_id": hour, "project": { "id": 7, "default_branch": "main" } });
        (Trigger::PUSH, body)
    }

    fn merged(iid: i64, commit: &str, hour: i64) -> (Trigger, Value) {
        let attributes = json!({ "iid": iid, "action": "merge", "state": "merged", "created_at": written(1),
            "updated_at": written(hour), "merge_commit_sha": (iid != 2).then(|| sha(commit)), "last_commit": { "id": sha(commit) },
            "target_project_id": 7 });
        let trigger = Trigger::by_name("merge_request_hooks").expect("a row");
        (
            trigger,
            json!({ "project": { "id": 7 }, "object_attributes": attributes }),
        )
    }

    /// Commit b is deployed on day 1 at 18:00. The deployment of c fails on day 3 at 10:00 and succeeds at 11:00. One
    /// incident lasts from 20:00 to 22:00 on day 1. Another begins on day 2 at 08:00.
    fn example() -> Vec<(Trigger, Value)> {
        vec![
            deployment(1, "running", 17, "b"),
            deployment(1, "success", 18, "b"),
            deployment(2, "failed", 58, "c"),
            deployment(3, "success", 59, "c"),
            incident(1, 20, None),
            incident(1, 20, Some(22)),
            incident(2, 32, None),
            push("0", "a", 10, 9),
            push("a", "b", 12, 11),
            push("b", "c", 57, 57),
            merged(1, "a", 10),
            merged(2, "b", 12),
            merged(3, "c", 57),
        ]
    }

    /// All samples of a metric, from items of its family.
    fn samples(name: &str, all: &[Item]) -> Vec<i64> {
        let family = metrics::Metric::by_name(name).expect("a metric").family();
        let (items, others): (Vec<Item>, Vec<Item>) = all.iter().cloned().partition(|item| item.family() == family);
        metrics::given_among(name, items, others).unwrap_or_default()
    }

    fn check(all: &[Item]) {
        assert_eq!(
            (samples("deployments", all), samples("failed_deployments", all)),
            (vec![1, 1], vec![1])
        );

        assert_eq!(
            samples("change_failure_rate", all),
            [1, 0],
            "both incidents followed the first deployment"
        );

        assert_eq!(
            samples("deployment_rework_rate", all),
            [0, 1],
            "the second one followed an open incident"
        );

        assert_eq!(samples("incidents_per_deployment", all), [2, 0]);
        assert_eq!(samples("time_to_restore", all), [7_200]);
        assert_eq!(samples("failed_deployment_recovery_time", all), [14_400]);

        assert_eq!(
            (samples("incidents", all), samples("issues_opened", all)),
            (vec![1, 1], vec![])
        );

        let mut lead_times = samples("lead_time_for_changes", all);
        lead_times.sort_unstable();
        assert_eq!(lead_times, [7_200, 21_600, 28_800]);

        assert_eq!(
            samples("commit_lead_time", all),
            [7 * 3_600],
            "the other commits are merge commits"
        );
    }

    proptest! {
        #[test]
        fn the_example_gives_its_numbers_in_any_order(order in prop::collection::vec(0..13_usize, 0..30)) {
            let all = example();
            let mut events: Vec<_> = order.into_iter().map(|index| all[index].clone()).collect();
            events.extend(all.iter().rev().cloned());
            prop_assert_eq!(&entity::joined(&events), &entity::joined(&all));
            check(&entity::joined(&events));
        }
    }

    #[test]
    fn old_bodies_and_other_environments() {
        let old = |environment: &str| {
            let body = json!({ "deployable_id": 796, "status": "success", "environment": environment, "project": { "id": 7 } });
            Deployment::of_event(Timestamp::from_seconds(5), &body).expect("a deployment")
        };
        assert!(old("production/eu").is_out() && old("Prod").is_out() && !old("preproduction").is_out());
        assert_eq!((old("prod").id, old("prod").at()), (-796, Timestamp::from_seconds(5)));

        let body = json!({ "deployment_id": 1, "status": "success", "environment": "production", "environment_tier": "staging",
            "project": { "id": 7 } });
        assert!(
            !Deployment::of_event(Timestamp::default(), &body)
                .expect("a deployment")
                .is_out(),
            "the tier decides"
        );
    }
}
