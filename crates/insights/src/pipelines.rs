//! Pipelines and their jobs: what events say of them, joined. Definitions: `docs/guide/insights.md`.
//!
//! Events of pipelines have no time of their own, so the newest time that one mentions says when it was true. They list the
//! latest job of each name only; the ones before it stay known from the events before.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::commits::{clean, named_project, word};
use super::entity::{Entity, least, time};
use quickdraw_domain::Timestamp;

/// Most jobs of one event that are read.
pub(super) const MOST_JOBS: usize = 5_000;

/// How far something has come. The order decides between what is told for one time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It waits, for whatever it is.
    Waiting,
    /// It runs.
    Running,
    /// It was not wanted.
    Skipped,
    /// Somebody stopped it.
    Canceled,
    /// It failed.
    Failed,
    /// It succeeded.
    Success,
}

impl Status {
    fn of(text: &str) -> Self {
        match text {
            "success" => Self::Success,
            "failed" => Self::Failed,
            "canceled" => Self::Canceled,
            "skipped" => Self::Skipped,
            "running" | "canceling" => Self::Running,
            _ => Self::Waiting,
        }
    }

    /// As GitLab names it; whatever it waits for, it is pending.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "pending",
            Self::Running => "running",
            Self::Skipped => "skipped",
            Self::Canceled => "canceled",
            Self::Failed => "failed",
            Self::Success => "success",
        }
    }

    /// Whether it has ended, unless somebody runs it again.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Skipped | Self::Canceled | Self::Failed | Self::Success)
    }
}

/// The reason for which something has not begun, in GitLab's words. The order decides between what is told for one time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// It was only made.
    Created,
    /// Another one uses what it needs.
    WaitingForResource,
    /// Its environment is prepared.
    Preparing,
    /// Somebody has to start it.
    Manual,
    /// It starts at a set time.
    Scheduled,
    /// It waits for a runner.
    #[default]
    Pending,
}

impl Wait {
    fn of(text: &str) -> Self {
        match text {
            "created" => Self::Created,
            "waiting_for_resource" => Self::WaitingForResource,
            "preparing" => Self::Preparing,
            "manual" => Self::Manual,
            "scheduled" => Self::Scheduled,
            _ => Self::Pending,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::WaitingForResource => "waiting_for_resource",
            Self::Preparing => "preparing",
            Self::Manual => "manual",
            Self::Scheduled => "scheduled",
            Self::Pending => "pending",
        }
    }

    /// GitLab's own word for a status.
    const fn word(self, status: Status) -> &'static str {
        if matches!(status, Status::Waiting) { self.name() } else { status.name() }
    }
}

/// What one event said of a pipeline.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Seen {
    /// The newest time that it mentioned.
    pub at: Timestamp,
    /// How far it was. Of two for one time, the final one is right.
    pub status: Status,
    /// For what it waited, if it did.
    #[serde(default)]
    pub wait: Wait,
    /// Seconds that its jobs took.
    pub duration: Option<i64>,
    /// Seconds that it waited for its first job.
    pub queued: Option<i64>,
}

impl Seen {
    /// GitLab's own word for how far it was.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        self.wait.word(self.status)
    }
}

/// Everything that events said of one pipeline.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pipeline {
    /// Its project, by its number in events.
    pub project: i64,
    /// Its number in GitLab.
    pub id: i64,
    /// When it was created.
    pub created_at: Option<Timestamp>,
    /// Another pipeline started it.
    pub is_child: bool,
    /// The branch or tag that it ran for.
    pub git_ref: Option<String>,
    /// What started it: `push`, `schedule`, `merge_request_event`.
    #[serde(default)]
    pub source: Option<String>,
    /// It ran for a tag.
    #[serde(default)]
    pub is_tag: bool,
    /// It ran for the branch that was the default one then.
    #[serde(default)]
    pub is_default: bool,
    /// The merge request that it ran for, by its number in the project.
    #[serde(default)]
    pub merge_request: Option<i64>,
    /// Who started it.
    pub user: Option<i64>,
    /// When the first event that spoke of it was received.
    pub first_received_at: Timestamp,
    /// The newest that was seen.
    pub last: Option<Seen>,
    /// The first end that was seen.
    pub first_end: Option<Seen>,
    /// The first failure that was seen.
    pub first_failure: Option<Seen>,
}

impl Pipeline {
    /// What a pipeline event says.
    pub(super) fn of_event(received_at: Timestamp, body: &Value) -> Option<Self> {
        let attributes = &body["object_attributes"];
        let spelled = attributes["status"].as_str()?;
        let status = Status::of(spelled);
        let jobs = body["builds"].as_array().map(Vec::as_slice).unwrap_or_default();
        let times = jobs.iter().take(MOST_JOBS).chain([attributes]).flat_map(|one| {
            ["created_at", "started_at", "finished_at"].into_iter().filter_map(|name| time(&one[name]))
        });
        let at = times.max().unwrap_or(received_at);
        let seen = Seen {
            at,
            status,
            wait: Wait::of(spelled),
            duration: duration(&attributes["duration"]),
            queued: duration(&attributes["queued_duration"]),
        };
        Some(Self {
            project: named_project(body)?,
            id: attributes["id"].as_i64()?,
            created_at: time(&attributes["created_at"]),
            is_child: attributes["source"] == "parent_pipeline",
            git_ref: word(&attributes["ref"]),
            source: word(&attributes["source"]),
            is_tag: attributes["tag"] == true,
            is_default: is_of_default_branch(body),
            merge_request: body["merge_request"]["iid"]
                .as_i64()
                .filter(|_| attributes["source"] == "merge_request_event"),
            user: body["user"]["id"].as_i64(),
            first_received_at: received_at,
            last: Some(seen),
            first_end: status.is_final().then_some(seen),
            first_failure: (status == Status::Failed).then_some(seen),
        })
    }

    /// The branch that it ran for by itself: not for a tag or a merge request, and not for another pipeline.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        let is_of_merge_request = self.merge_request.is_some() || self.source.as_deref() == Some("merge_request_event");
        if self.is_tag || self.is_child || is_of_merge_request {
            return None;
        }
        self.git_ref.as_deref()
    }

    /// Whether it passed or failed, and no other pipeline started it.
    #[must_use]
    pub fn is_decided(&self) -> bool {
        !self.is_child && self.end().is_some_and(|end| matches!(end.status, Status::Success | Status::Failed))
    }

    /// How it ended; nothing while it goes on.
    #[must_use]
    pub fn end(&self) -> Option<Seen> {
        self.last.filter(|seen| seen.status.is_final())
    }
}

impl Entity for Pipeline {
    fn key(&self) -> (i64, i64) {
        (self.project, self.id)
    }

    fn join(mut self, other: Self) -> Self {
        self.created_at = least(self.created_at, other.created_at);
        self.is_child |= other.is_child;
        self.git_ref = least(self.git_ref, other.git_ref);
        self.source = least(self.source, other.source);
        self.is_tag |= other.is_tag;
        self.is_default |= other.is_default;
        self.merge_request = least(self.merge_request, other.merge_request);
        self.user = least(self.user, other.user);
        self.first_received_at = self.first_received_at.min(other.first_received_at);
        self.last = self.last.max(other.last);
        self.first_end = least(self.first_end, other.first_end);
        self.first_failure = least(self.first_failure, other.first_failure);
        self
    }

    fn opened_at(&self) -> Option<Timestamp> {
        self.created_at
    }

    /// Nothing of it is counted by another time than its creation.
    fn settled_at(&self) -> Option<Timestamp> {
        self.created_at
    }
}

/// Everything that events said of one run of a job.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Job {
    /// Its project, by its number in events.
    pub project: i64,
    /// Its number in GitLab: a job that is run again has another.
    pub id: i64,
    /// Its pipeline.
    pub pipeline: i64,
    /// Its name in the pipeline.
    pub name: String,
    /// Its stage.
    #[serde(default)]
    pub stage: Option<String>,
    /// The branch or tag that it ran for.
    pub git_ref: Option<String>,
    /// Who started it.
    pub user: Option<i64>,
    /// When it was created.
    pub created_at: Option<Timestamp>,
    /// When it began to run.
    pub started_at: Option<Timestamp>,
    /// Its pipeline goes on when it fails.
    pub may_fail: bool,
    /// How often a job of this name had been run again, as GitLab counts.
    pub retries: i64,
    /// How it ended, or how far it is.
    pub last: Run,
}

/// How far a job is. What has ended wins over what has not, and then the later one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Run {
    is_final: bool,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// How far it is.
    pub status: Status,
    /// For what it waits, if it does.
    #[serde(default)]
    pub wait: Wait,
    /// Seconds that it ran.
    pub duration: Option<i64>,
}

impl Run {
    /// GitLab's own word for how far it is.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        self.wait.word(self.status)
    }
}

impl Job {
    /// The jobs that a pipeline event lists.
    pub(super) fn of_pipeline(body: &Value) -> Vec<Self> {
        let jobs = body["builds"].as_array().map(Vec::as_slice).unwrap_or_default();
        let pipeline = body["object_attributes"]["id"].as_i64();
        jobs.iter().take(MOST_JOBS).filter_map(|job| Self::of(body, job, "", pipeline?)).collect()
    }

    /// The job that a job event is about.
    pub(super) fn of_event(body: &Value) -> Option<Self> {
        let mut job = Self::of(body, body, "build_", body["pipeline_id"].as_i64()?)?;
        job.retries = body["retries_count"].as_i64().unwrap_or_default().clamp(0, MOST_RETRIES);
        Some(job)
    }

    fn of(body: &Value, job: &Value, prefix: &str, pipeline: i64) -> Option<Self> {
        let value = |name: &str| &job[format!("{prefix}{name}")];
        let spelled = value("status").as_str()?;
        let status = Status::of(spelled);
        Some(Self {
            project: named_project(body)?,
            id: value("id").as_i64()?,
            pipeline,
            name: clean(value("name").as_str().unwrap_or_default(), 255),
            stage: word(value("stage")),
            git_ref: word(&body["ref"]).or_else(|| word(&body["object_attributes"]["ref"])),
            user: job["user"]["id"].as_i64(),
            created_at: time(value("created_at")),
            started_at: time(value("started_at")),
            may_fail: *value("allow_failure") == true,
            retries: 0,
            last: Run {
                is_final: status.is_final(),
                finished_at: time(value("finished_at")),
                status,
                wait: Wait::of(spelled),
                duration: duration(value("duration")),
            },
        })
    }
}

impl Entity for Job {
    fn key(&self) -> (i64, i64) {
        (self.project, self.id)
    }

    fn join(mut self, other: Self) -> Self {
        self.pipeline = self.pipeline.max(other.pipeline);
        self.name = self.name.max(other.name);
        self.stage = least(self.stage, other.stage);
        self.git_ref = least(self.git_ref, other.git_ref);
        self.user = least(self.user, other.user);
        self.created_at = least(self.created_at, other.created_at);
        self.started_at = least(self.started_at, other.started_at);
        self.may_fail |= other.may_fail;
        self.retries = self.retries.max(other.retries);
        self.last = self.last.max(other.last);
        self
    }

    fn opened_at(&self) -> Option<Timestamp> {
        least(self.created_at, self.started_at)
    }

    /// Only runs count, by when they began. What waits for somebody's click may wait for ever, and is nothing until then.
    fn settled_at(&self) -> Option<Timestamp> {
        self.started_at.or(self.created_at)
    }
}

/// The runs of one job of one pipeline, the first one first.
pub type Runs<'a> = [&'a Job];

/// Longest time that is believed, in seconds: a hundred years.
const LONGEST: i64 = 3_200_000_000;
/// Most repetitions that are believed.
const MOST_RETRIES: i64 = 10_000;

/// Whether the body of a pipeline names its branch as the default one of its project. Pipelines of merge requests name the branch
/// that they come from.
fn is_of_default_branch(body: &Value) -> bool {
    let attributes = &body["object_attributes"];
    if attributes["tag"] == true || attributes["source"] == "merge_request_event" {
        return false;
    }
    let branch = attributes["ref"].as_str().filter(|branch| !branch.is_empty());
    branch.is_some() && branch == body["project"]["default_branch"].as_str()
}

/// Seconds as events write them: whole, or with fractions.
fn duration(value: &Value) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "a cast of a float saturates")]
    let seconds = value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds.round() as i64))?;
    Some(seconds.clamp(0, LONGEST))
}

#[cfg(test)]
mod tests;
