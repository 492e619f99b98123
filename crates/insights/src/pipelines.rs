//! Pipelines and their jobs, joined from events. Definitions: `docs/guide/insights.md`.
//!
//! Pipeline events have no time of their own, so the newest time in the body is used. The body lists only the latest
//! job of each name. Older runs are known from earlier events.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::commits::{clean, named_project, word};
use super::entity::{Entity, least, time};
use quickdraw_domain::Timestamp;

/// Maximum number of jobs that are read from one event.
pub(super) const MAX_JOBS: usize = 5_000;

/// The status of a pipeline or job. The order decides between reports of the same time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It has not started. [`Wait`] has the reason.
    Waiting,

    /// It is running.
    Running,

    /// It was skipped.
    Skipped,

    /// It was canceled.
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

    /// GitLab's name of the status; `pending` for every reason to wait.
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

    /// True if it has ended. A retry can start it again.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Skipped | Self::Canceled | Self::Failed | Self::Success)
    }
}

/// The reason for which a pipeline or job has not started, in GitLab's words. The order decides between reports of the
/// same time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// It was created.
    Created,

    /// Another job uses a resource that it needs.
    WaitingForResource,

    /// Its environment is being prepared.
    Preparing,

    /// A person has to start it.
    Manual,

    /// It starts at a scheduled time.
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

    /// GitLab's exact name of a status.
    const fn word(self, status: Status) -> &'static str {
        if matches!(status, Status::Waiting) {
            self.name()
        } else {
            status.name()
        }
    }
}

/// The state of a pipeline in one event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Seen {
    /// The newest time in the body.
    pub at: Timestamp,

    /// Status. Among several of the same time, the final one wins.
    pub status: Status,

    /// The reason for waiting, if it had not started.
    #[serde(default)]
    pub wait: Wait,

    /// Duration of its jobs in seconds.
    pub duration: Option<i64>,

    /// Seconds until its first job started.
    pub queued: Option<i64>,
}

impl Seen {
    /// GitLab's exact name of the status.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        self.wait.word(self.status)
    }
}

/// A pipeline, joined from all its events.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pipeline {
    /// The project's id in events.
    pub project: i64,

    /// GitLab's id.
    pub id: i64,

    /// Time of creation.
    pub created_at: Option<Timestamp>,

    /// True if another pipeline started it.
    pub is_child: bool,

    /// The branch or tag.
    pub git_ref: Option<String>,

    /// The source: `push`, `schedule`, `merge_request_event` and others.
    #[serde(default)]
    pub source: Option<String>,

    /// True if it ran for a tag.
    #[serde(default)]
    pub is_tag: bool,

    /// True if it ran for the branch that was the default branch then.
    #[serde(default)]
    pub is_default: bool,

    /// The merge request for which it ran, by its number in the project.
    #[serde(default)]
    pub merge_request: Option<i64>,

    /// Account that started it.
    pub user: Option<i64>,

    /// Receipt of the first event that mentioned it.
    pub first_received_at: Timestamp,

    /// The newest state.
    pub last: Option<Seen>,

    /// The first final state.
    pub first_end: Option<Seen>,

    /// The first failure.
    pub first_failure: Option<Seen>,
}

impl Pipeline {
    /// Reads a pipeline event.
    pub(super) fn of_event(received_at: Timestamp, body: &Value) -> Option<Self> {
        let attributes = &body["object_attributes"];
        let status_text = attributes["status"].as_str()?;
        let status = Status::of(status_text);
        let jobs = body["builds"].as_array().map(Vec::as_slice).unwrap_or_default();

        let times = jobs.iter().take(MAX_JOBS).chain([attributes]).flat_map(|one| {
            ["created_at", "started_at", "finished_at"]
                .into_iter()
                .filter_map(|name| time(&one[name]))
        });
        let at = times.max().unwrap_or(received_at);

        let seen = Seen {
            at,
            status,
            wait: Wait::of(status_text),
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

    /// The branch, if it is a branch pipeline and not one of a tag, merge request or parent pipeline.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        let is_of_merge_request = self.merge_request.is_some() || self.source.as_deref() == Some("merge_request_event");
        if self.is_tag || self.is_child || is_of_merge_request {
            return None;
        }

        self.git_ref.as_deref()
    }

    /// True if it passed or failed and no other pipeline started it.
    #[must_use]
    pub fn is_decided(&self) -> bool {
        !self.is_child
            && self
                .end()
                .is_some_and(|end| matches!(end.status, Status::Success | Status::Failed))
    }

    /// The final state. None while it is running.
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

    /// All metrics of a pipeline use its time of creation.
    fn settled_at(&self) -> Option<Timestamp> {
        self.created_at
    }
}

/// One run of a job, joined from all its events.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Job {
    /// The project's id in events.
    pub project: i64,

    /// GitLab's id. A retry has another one.
    pub id: i64,

    /// Id of the pipeline.
    pub pipeline: i64,

    /// Name of the job in the pipeline.
    pub name: String,

    /// Stage.
    #[serde(default)]
    pub stage: Option<String>,

    /// The branch or tag.
    pub git_ref: Option<String>,

    /// Account that started it.
    pub user: Option<i64>,

    /// Time of creation.
    pub created_at: Option<Timestamp>,

    /// Time at which it started to run.
    pub started_at: Option<Timestamp>,

    /// True if the pipeline continues when the job fails (`allow_failure`).
    pub may_fail: bool,

    /// Number of retries of this job so far, in GitLab's own count.
    pub retries: i64,

    /// The newest state.
    pub last: Run,
}

/// The state of a run. A final state wins, then the later one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Run {
    is_final: bool,

    /// Time at which it ended.
    pub finished_at: Option<Timestamp>,

    /// Status.
    pub status: Status,

    /// The reason for waiting, if it has not started.
    #[serde(default)]
    pub wait: Wait,

    /// Running time in seconds.
    pub duration: Option<i64>,
}

impl Run {
    /// GitLab's exact name of the status.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        self.wait.word(self.status)
    }
}

impl Job {
    /// Reads the jobs that a pipeline event lists.
    pub(super) fn of_pipeline(body: &Value) -> Vec<Self> {
        let jobs = body["builds"].as_array().map(Vec::as_slice).unwrap_or_default();
        let pipeline = body["object_attributes"]["id"].as_i64();
        jobs.iter()
            .take(MAX_JOBS)
            .filter_map(|job| Self::of(body, job, "", pipeline?))
            .collect()
    }

    /// Reads the job of a job event.
    pub(super) fn of_event(body: &Value) -> Option<Self> {
        let mut job = Self::of(body, body, "build_", body["pipeline_id"].as_i64()?)?;
        job.retries = body["retries_count"].as_i64().unwrap_or_default().clamp(0, MAX_RETRIES);

        Some(job)
    }

    fn of(body: &Value, job: &Value, prefix: &str, pipeline: i64) -> Option<Self> {
        let value = |name: &str| &job[format!("{prefix}{name}")];
        let status_text = value("status").as_str()?;
        let status = Status::of(status_text);

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
                wait: Wait::of(status_text),
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

    /// Metrics count runs by their start. A manual job may never start, so until then its creation is used.
    fn settled_at(&self) -> Option<Timestamp> {
        self.started_at.or(self.created_at)
    }
}

/// The runs of one job in one pipeline, oldest first.
pub type Runs<'a> = [&'a Job];

/// Maximum duration in seconds, about a hundred years. Larger values in a body are ignored.
const LONGEST: i64 = 3_200_000_000;
/// Maximum number of retries. Larger values in a body are cut to it.
const MAX_RETRIES: i64 = 10_000;

/// True if the body names the pipeline's branch as the default branch. For pipelines of merge requests, `ref` is the
/// source branch.
fn is_of_default_branch(body: &Value) -> bool {
    let attributes = &body["object_attributes"];
    if attributes["tag"] == true || attributes["source"] == "merge_request_event" {
        return false;
    }

    let branch = attributes["ref"].as_str().filter(|branch| !branch.is_empty());
    branch.is_some() && branch == body["project"]["default_branch"].as_str()
}

/// Reads seconds, with or without fractions.
fn duration(value: &Value) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "a cast of a float saturates")]
    let seconds = value
        .as_i64()
        .or_else(|| value.as_f64().map(|seconds| seconds.round() as i64))?;
    Some(seconds.clamp(0, LONGEST))
}

#[cfg(test)]
mod tests;
