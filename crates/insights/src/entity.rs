//! The common interface of pushes, branches, merge requests, issues, pipelines, jobs, deployments and commits: a key in
//! a project, and a state that grows by joins.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::branches::{Branch, Push};
use super::commits::Commit;
use super::deployments::{By, Deployment};
use super::issues::Issue;
use super::merge_requests::MergeRequest;
use super::pipelines::{Job, Pipeline};
use quickdraw_domain::Timestamp;
use quickdraw_domain::times;

/// Maximum number of comments that are kept for one item.
const MAX_NOTES: usize = 5_000;

/// A kind of entity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Family {
    /// Merge requests.
    MergeRequests,

    /// Issues and incidents.
    Issues,

    /// Pipelines.
    Pipelines,

    /// Runs of jobs.
    Jobs,

    /// Deployments.
    Deployments,

    /// Pushes.
    Pushes,

    /// Branches.
    Branches,

    /// Commits, which have a table of their own.
    Commits,
}

impl Family {
    /// The name of one entity of the family in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MergeRequests => "merge_request",
            Self::Issues => "issue",
            Self::Pipelines => "pipeline",
            Self::Jobs => "job",
            Self::Deployments => "deployment",
            Self::Pushes => "push",
            Self::Branches => "branch",
            Self::Commits => "commit",
        }
    }

    /// The number that the databases store.
    #[must_use]
    pub const fn code(self) -> i16 {
        match self {
            Self::MergeRequests => 1,
            Self::Issues => 2,
            Self::Pipelines => 3,
            Self::Jobs => 4,
            Self::Deployments => 5,
            Self::Pushes => 6,
            Self::Branches => 7,
            Self::Commits => 8,
        }
    }
}

/// The joined state of one object. Two states with the same key join, in any order and any number of times.
pub trait Entity {
    /// The project's id in events, and the object's number in the project.
    fn key(&self) -> (i64, i64);

    /// Combines two states of the same object.
    #[must_use]
    fn join(self, other: Self) -> Self
    where
        Self: Sized;

    /// Time at which the object was created or began.
    fn opened_at(&self) -> Option<Timestamp>;

    /// After this time the object no longer affects any metric. None while it can still do so.
    fn settled_at(&self) -> Option<Timestamp>;
}

/// An entity of any family.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(untagged)]
pub enum Item {
    /// A merge request.
    MergeRequest(MergeRequest),

    /// An issue or an incident.
    Issue(Issue),

    /// A pipeline.
    Pipeline(Pipeline),

    /// A run of a job.
    Job(Job),

    /// A deployment.
    Deployment(Deployment),

    /// A push.
    Push(Push),

    /// A branch.
    Branch(Branch),

    /// A commit.
    Commit(Commit),
}

impl Item {
    /// The family of the item.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self {
            Self::MergeRequest(_) => Family::MergeRequests,
            Self::Issue(_) => Family::Issues,
            Self::Pipeline(_) => Family::Pipelines,
            Self::Job(_) => Family::Jobs,
            Self::Deployment(_) => Family::Deployments,
            Self::Push(_) => Family::Pushes,
            Self::Branch(_) => Family::Branches,
            Self::Commit(_) => Family::Commits,
        }
    }

    /// Reads a state that [`Item::write`] wrote.
    ///
    /// # Errors
    /// When the bytes are not such a state.
    pub fn read(family: Family, state: &[u8]) -> Result<Self, serde_json::Error> {
        Ok(match family {
            Family::MergeRequests => Self::MergeRequest(serde_json::from_slice(state)?),
            Family::Issues => Self::Issue(serde_json::from_slice(state)?),
            Family::Pipelines => Self::Pipeline(serde_json::from_slice(state)?),
            Family::Jobs => Self::Job(serde_json::from_slice(state)?),
            Family::Deployments => Self::Deployment(serde_json::from_slice(state)?),
            Family::Pushes => Self::Push(serde_json::from_slice(state)?),
            Family::Branches => Self::Branch(serde_json::from_slice(state)?),
            Family::Commits => Self::Commit(serde_json::from_slice(state)?),
        })
    }

    /// Encodes the state for the database.
    ///
    /// # Errors
    /// When encoding fails. The present types never fail.
    pub fn write(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// The branch of the item, without `refs/heads/`. A merge request has its target branch. Issues and commits have no
    /// branch.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        let git_ref = match self {
            Self::MergeRequest(one) => one.target_branch(),
            Self::Issue(_) | Self::Commit(_) => None,
            Self::Pipeline(one) => one.git_ref.as_deref(),
            Self::Job(one) => one.git_ref.as_deref(),
            Self::Deployment(one) => one.git_ref.as_deref(),
            Self::Push(one) => Some(one.git_ref.as_str()),
            Self::Branch(one) => Some(one.git_ref.as_str()),
        }?;
        Some(git_ref.strip_prefix("refs/heads/").unwrap_or(git_ref))
    }

    /// Current labels, as last seen. None for families without labels.
    #[must_use]
    pub fn labels(&self) -> Option<impl Iterator<Item = &str>> {
        match self {
            Self::MergeRequest(one) => Some(one.labels.now()),
            Self::Issue(one) => Some(one.labels.now()),
            _ => None,
        }
    }

    /// All labels that the item has ever had. None for families without labels.
    #[must_use]
    pub fn labels_ever(&self) -> Option<impl Iterator<Item = &str>> {
        match self {
            Self::MergeRequest(one) => Some(one.labels.ever()),
            Self::Issue(one) => Some(one.labels.ever()),
            _ => None,
        }
    }

    /// A short name for people, such as `!5` or `#3`.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::MergeRequest(one) => format!("!{}", one.iid),
            Self::Issue(one) => format!("#{}", one.iid),
            Self::Pipeline(one) => format!("pipeline {}", one.id),
            Self::Job(one) => format!("job {} ({})", one.id, one.name),
            Self::Deployment(one) => match one.by {
                By::Event => format!("deployment {} ({})", one.id, one.environment),
                By::Job => format!("job {} ({})", one.id.unsigned_abs(), one.environment),
                By::Tag => format!("tag {}", one.environment),
                By::Release => format!("release {}", one.environment),
            },
            Self::Push(one) => format!("push of {} from {} to {}", one.git_ref, one.before, one.after),
            Self::Branch(one) => one.git_ref.clone(),
            Self::Commit(one) => one.sha.clone(),
        }
    }

    /// True for a push that was received at `at` and for a job that started at `at`. It finds the item of a group that
    /// gave a sample.
    #[must_use]
    pub fn happened_at(&self, at: Timestamp) -> bool {
        match self {
            Self::Push(one) => one.received_at == at,
            Self::Job(one) => one.started_at == Some(at),
            _ => false,
        }
    }

    fn entity(&self) -> &dyn Entity {
        match self {
            Self::MergeRequest(one) => one,
            Self::Issue(one) => one,
            Self::Pipeline(one) => one,
            Self::Job(one) => one,
            Self::Deployment(one) => one,
            Self::Push(one) => one,
            Self::Branch(one) => one,
            Self::Commit(one) => one,
        }
    }
}

impl Entity for Item {
    fn key(&self) -> (i64, i64) {
        self.entity().key()
    }

    /// Items of different families are not joined.
    fn join(self, other: Self) -> Self {
        match (self, other) {
            (Self::MergeRequest(one), Self::MergeRequest(other)) => Self::MergeRequest(one.join(other)),
            (Self::Issue(one), Self::Issue(other)) => Self::Issue(one.join(other)),
            (Self::Pipeline(one), Self::Pipeline(other)) => Self::Pipeline(one.join(other)),
            (Self::Job(one), Self::Job(other)) => Self::Job(one.join(other)),
            (Self::Deployment(one), Self::Deployment(other)) => Self::Deployment(one.join(other)),
            (Self::Push(one), Self::Push(other)) => Self::Push(one.join(other)),
            (Self::Branch(one), Self::Branch(other)) => Self::Branch(one.join(other)),
            (Self::Commit(one), Self::Commit(other)) => Self::Commit(one.join(other)),
            (known, _) => known,
        }
    }

    fn opened_at(&self) -> Option<Timestamp> {
        self.entity().opened_at()
    }

    fn settled_at(&self) -> Option<Timestamp> {
        self.entity().settled_at()
    }
}

/// A comment of a person or a program.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Note {
    /// Time of writing.
    pub at: Timestamp,

    /// Account of the author.
    pub author: i64,
}

impl Note {
    /// Reads the comment of an event and its id. None for comments that GitLab wrote by itself.
    pub(super) fn of(received_at: Timestamp, body: &Value) -> Option<(i64, Self)> {
        let note = &body["object_attributes"];
        if note["system"] == true {
            return None;
        }

        let author = note["author_id"].as_i64().or_else(|| body["user"]["id"].as_i64())?;
        Some((
            note["id"].as_i64()?,
            Self {
                at: time(&note["created_at"]).unwrap_or(received_at),
                author,
            },
        ))
    }
}

/// Joins comments. If there are too many, those with the lowest ids are kept, so the order of joins does not matter.
pub(super) fn join_notes(known: &mut BTreeMap<i64, Note>, other: BTreeMap<i64, Note>) {
    for (id, note) in other {
        let known = known.entry(id).or_insert(note);
        *known = note.min(*known);
    }

    while known.len() > MAX_NOTES {
        known.pop_last();
    }
}

/// The later one of `at` and the last comment.
pub(super) fn not_before(at: Timestamp, notes: &BTreeMap<i64, Note>) -> Timestamp {
    notes.values().map(|note| note.at).fold(at, Timestamp::max)
}

/// Maximum difference between two times of the same action: in its own event, and in later events about the object.
const SAME_ACTION: Duration = Duration::from_secs(10);

/// Sorted times without repeats of the same action.
pub(super) fn distinct_times(times: impl Iterator<Item = Timestamp>) -> Vec<Timestamp> {
    let mut kept: Vec<Timestamp> = Vec::new();
    for at in times {
        if kept.last().is_none_or(|last| at > last.plus(SAME_ACTION)) {
            kept.push(at);
        }
    }

    kept
}

/// A positive number from a digest of texts.
pub(super) fn number(parts: &[&str]) -> i64 {
    let digest = Sha256::digest(parts.join("\n"));
    digest
        .first_chunk()
        .map_or(0, |bytes| i64::from_be_bytes(*bytes) & i64::MAX)
}

/// The lesser of two values. A missing value loses.
pub(super) fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    one.into_iter().chain(other).min()
}

/// Whole seconds between two times; 0 if `to` is before `from`.
pub(super) fn seconds(from: Timestamp, to: Timestamp) -> i64 {
    (to.as_micros() - from.as_micros()).max(0) / 1_000_000
}

pub(super) fn time(value: &Value) -> Option<Timestamp> {
    times::read(value.as_str()?).map(|written| written.at)
}

/// All items of these events, for tests.
#[cfg(test)]
pub(super) fn joined(events: &[(quickdraw_domain::Trigger, Value)]) -> Vec<Item> {
    let at_once = events
        .iter()
        .map(|(trigger, body)| (Timestamp::default(), *trigger, body.clone()));
    joined_at(&at_once.collect::<Vec<_>>())
}

/// All items of events with their times of receipt.
#[cfg(test)]
pub(super) fn joined_at(events: &[(Timestamp, quickdraw_domain::Trigger, Value)]) -> Vec<Item> {
    let mut all: BTreeMap<(Family, (i64, i64)), Item> = BTreeMap::new();
    for (at, trigger, body) in events {
        for fact in super::facts(*trigger, *at, body.to_string().as_bytes()).expect("JSON") {
            if let super::Fact::Item(one) = fact {
                let key = (one.family(), one.key());
                let known = all.remove(&key);
                all.insert(
                    key,
                    known.map_or_else(|| (*one).clone(), |known| known.join((*one).clone())),
                );
            }
        }
    }

    all.into_values().collect()
}
