//! Insights: metrics about work, calculated from events.
//!
//! An event gives a list of [`Fact`]s. Facts change entities only by joins (union, minimum, maximum, winner by a total
//! order), so their order and repetition do not matter. After each join, one transaction replaces the entity's old
//! contribution to the sums by the new one.

pub mod alerts;
pub mod backfill;
pub mod branch_numbers;
pub mod branches;
pub mod chain;
pub mod commits;
mod counted;
pub mod deployments;
pub mod entity;
#[cfg(test)]
mod examples;
pub mod gaps;
pub mod issues;
pub mod labels;
pub mod merge_requests;
pub mod metrics;
#[cfg(test)]
mod oracle;
pub mod people;
pub mod pipelines;
pub mod privacy;
pub mod question;
pub mod report;
pub mod reviews;
pub mod roster;

use branches::{Branch, Push};
use counted::Counted;
use deployments::Deployment;
use entity::{Entity, Item};
use issues::Issue;
use merge_requests::MergeRequest;
use pipelines::{Job, Pipeline};

use quickdraw_domain::tree::{self, TreeError};
use quickdraw_domain::{Timestamp, Trigger};

/// Version of the definitions. Answers contain it. Raise it whenever a stored number would change.
pub const DEFINITION_VERSION: u32 = 4;

/// A statement of an event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fact {
    /// A push lists a commit.
    Commit(Box<commits::Commit>),

    /// The event names a project with its full path.
    Project {
        /// The project's id in events.
        id: i64,
        /// Time of receipt.
        seen_at: Timestamp,
        /// The path. If there are several, the one that was seen last is valid.
        path: String,
    },

    /// The event mentions an object of a project.
    Seen(gaps::Seen),

    /// The event describes a push, branch, merge request, issue, pipeline, job or deployment.
    Item(Box<entity::Item>),

    /// The event names an account.
    User(people::User),

    /// A commit is the merge commit of a merge request.
    MergeCommit {
        /// The project of the target branch.
        project: i64,
        /// SHA of the commit.
        sha: String,
    },
}

impl Fact {
    /// The project that the fact is about, by its id in events. `None` for facts about accounts.
    #[must_use]
    pub fn project(&self) -> Option<i64> {
        match self {
            Self::Commit(commit) => Some(commit.project),
            Self::Project { id, .. } => Some(*id),
            Self::Seen(seen) => Some(seen.project),
            Self::Item(item) => Some(Entity::key(&**item).0),
            Self::User(_) => None,
            Self::MergeCommit { project, .. } => Some(*project),
        }
    }
}

/// The reason for which insights cannot read an event. The event is set aside and listed; other events continue.
#[derive(Debug, thiserror::Error)]
#[error("the body cannot be read for insights: {0}")]
pub struct FactError(#[from] TreeError);

impl From<serde_json::Error> for FactError {
    fn from(error: serde_json::Error) -> Self {
        Self(error.into())
    }
}

/// Maximum memory for the tree of one body. A body that needs more is set aside.
const MAX_MEMORY: usize = 32 << 20;

/// True if events of this kind can affect a metric. Other events are never queued for projection.
#[must_use]
pub fn counts(trigger: Trigger) -> bool {
    Counted::of(trigger).is_some()
}

/// Reads the facts of an event.
///
/// # Errors
/// When the body is not JSON that can be represented, for example because a text contains a lone surrogate, or when it
/// needs too much memory.
pub fn facts(trigger: Trigger, received_at: Timestamp, body: &[u8]) -> Result<Vec<Fact>, FactError> {
    let Some(kind) = Counted::of(trigger) else {
        return Ok(Vec::new());
    };
    let body = tree::read(body, MAX_MEMORY)?;
    let mut facts = Vec::new();

    if kind == Counted::Push {
        let commits = commits::of_push(received_at, &body);
        if let Some(push) = Push::of_event(received_at, &body, &commits) {
            let branch = Branch::of_event(received_at, &body, &push).map(Item::Branch);
            facts.extend(
                branch
                    .into_iter()
                    .chain([Item::Push(push)])
                    .map(|item| Fact::Item(Box::new(item))),
            );
        }

        facts.extend(commits.into_iter().map(|commit| Fact::Commit(Box::new(commit))));
        facts.extend(commits::merges_of_push(&body));
    } else if kind == Counted::MergeRequest {
        facts.extend(commits::of_merge_request(&body));
    }

    facts.extend(project(received_at, &body));
    facts.extend(
        items(kind, received_at, &body)
            .into_iter()
            .map(|item| Fact::Item(Box::new(item))),
    );

    facts.extend(people::of(received_at, &body).map(Fact::User));
    facts.extend(gaps::of(kind, received_at, &body));
    Ok(facts)
}

fn project(seen_at: Timestamp, body: &serde_json::Value) -> Option<Fact> {
    let path = body["project"]["path_with_namespace"].as_str()?;
    Some(Fact::Project {
        id: commits::named_project(body)?,
        seen_at,
        path: commits::clean(path, 1_024),
    })
}

/// Reads the items that an event describes.
fn items(kind: Counted, received_at: Timestamp, body: &serde_json::Value) -> Vec<Item> {
    let merge_request = |one: Option<MergeRequest>| one.map(Item::MergeRequest);
    let issue = |one: Option<Issue>| one.map(Item::Issue);

    let all: Vec<Option<Item>> = match kind {
        Counted::MergeRequest => vec![merge_request(MergeRequest::of_event(received_at, body))],
        Counted::Issue => vec![issue(Issue::of_event(received_at, body))],
        Counted::Note => {
            vec![
                merge_request(MergeRequest::of_note(received_at, body)),
                issue(Issue::of_note(received_at, body)),
            ]
        }
        Counted::Pipeline => {
            let pipeline = Pipeline::of_event(received_at, body).map(Item::Pipeline);
            let jobs = Job::of_pipeline(body).into_iter().map(|job| Some(Item::Job(job)));
            let deployments = Deployment::of_pipeline(body)
                .into_iter()
                .map(|one| Some(Item::Deployment(one)));
            jobs.chain(deployments).chain([pipeline]).collect()
        }

        Counted::Job => vec![
            Job::of_event(body).map(Item::Job),
            Deployment::of_build(body).map(Item::Deployment),
        ],
        Counted::TagPush => vec![Deployment::of_tag(received_at, body).map(Item::Deployment)],
        Counted::Release => vec![Deployment::of_release(received_at, body).map(Item::Deployment)],
        Counted::Deployment => vec![Deployment::of_event(received_at, body).map(Item::Deployment)],
        Counted::Push => Vec::new(),
    };

    all.into_iter().flatten().collect()
}
