//! Pushes, and the branches that they move: what events say of them, joined. Definitions: `docs/guide/insights.md`.

mod moves;
mod order;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::commits::{self, Commit, named_project, project_of, text};
use super::entity::{Entity, least, number};
use quickdraw_domain::Timestamp;

pub use moves::{Life, Moves};
pub(super) use order::{Move, trails};

/// Most commits that one push is believed to have.
const MOST_COMMITS: i64 = 10_000_000;
/// Most commits of one push that are kept with it, the last ones: GitLab lists 20.
const MOST_LISTED: usize = 100;

/// A commit as a push lists it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Listed {
    /// The commit.
    pub sha: String,
    /// Digest of what it changes: the same under another SHA, after a rebase.
    pub change: u64,
    /// Committer time, where it can be read.
    pub at: Option<Timestamp>,
    /// Its message is one of those that git writes for merges.
    pub is_merge: bool,
}

/// One move of a branch. The same move again is the same push.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Push {
    /// Its project, by its number in events; [`commits::NO_PROJECT`] if it named none.
    pub project: i64,
    /// Full name of the branch.
    pub git_ref: String,
    /// Where the branch was; zeros where it was made.
    pub before: String,
    /// Where it is; zeros where it was deleted.
    pub after: String,
    /// First receipt: a push has no time of its own.
    pub received_at: Timestamp,
    /// Who pushed.
    pub pusher: Option<i64>,
    /// It moved the default branch.
    pub is_default: bool,
    /// `total_commits_count`.
    pub total: i64,
    /// How many commits it listed.
    pub listed: i64,
    /// The commits that it listed, the last of them.
    pub commits: Vec<Listed>,
    /// What was received of it; nothing where it was only told of afterwards.
    #[serde(default)]
    pub received: Option<Received>,
}

/// What pushes that were received said of one move.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Received {
    /// First receipt.
    pub at: Timestamp,
    /// `total_commits_count`.
    pub total: i64,
    /// How many commits were listed.
    pub listed: i64,
}

impl Received {
    fn join(self, other: Self) -> Self {
        let (at, total) = (self.at.min(other.at), self.total.max(other.total));
        Self { at, total, listed: self.listed.max(other.listed) }
    }
}

impl Push {
    /// What a push event says, with the commits that it lists.
    pub(super) fn of_event(received_at: Timestamp, body: &Value, listed: &[Commit]) -> Option<Self> {
        let git_ref = text(&body["ref"]);
        let count = i64::try_from(body["commits"].as_array().map_or(0, Vec::len)).unwrap_or(i64::MAX);
        let commits = listed[listed.len().saturating_sub(MOST_LISTED)..].iter().map(|commit| Listed {
            sha: commit.sha.clone(),
            change: commit.told.change.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes)),
            at: (!commit.told.undated).then_some(commit.told.committed_at),
            is_merge: commit.told.merge_message,
        });
        let (before, after) = (text(&body["before"]), text(&body["after"]));
        // A list of commits that names no move moves nothing.
        let is_move = !git_ref.is_empty() && (!before.is_empty() || !after.is_empty());
        let total = body["total_commits_count"].as_i64().unwrap_or(count).clamp(count, MOST_COMMITS.max(count));
        is_move.then(|| Self {
            project: project_of(body),
            before,
            after,
            received_at,
            pusher: body["user_id"].as_i64(),
            is_default: commits::is_default(&git_ref, body),
            total,
            listed: count,
            commits: commits.collect(),
            received: Some(Received { at: received_at, total, listed: count }),
            git_ref,
        })
    }

    /// Whether it made the branch.
    #[must_use]
    pub fn is_creation(&self) -> bool {
        is_zero(&self.before)
    }

    /// Whether it deleted the branch.
    #[must_use]
    pub fn is_deletion(&self) -> bool {
        is_zero(&self.after)
    }

    /// When it was told of as made, where nobody received it then: it was told of afterwards, and received later or not at all.
    #[must_use]
    pub fn told_at(&self) -> Option<Timestamp> {
        let is_received = self.received.is_some_and(|received| received.at <= self.received_at);
        (!is_received).then_some(self.received_at)
    }

    /// What of it decides over the order of pushes.
    pub(super) fn as_move(&self) -> Move<'_> {
        let made = self.commits.iter().filter_map(|commit| commit.at).max();
        Move { before: &self.before, after: &self.after, made }
    }

    /// What stands for its branch among those of all projects.
    #[must_use]
    pub fn branch(&self) -> i64 {
        number(&[&self.project.to_string(), &self.git_ref])
    }
}

impl Entity for Push {
    /// A push has no number, so it is made from what makes it this push.
    fn key(&self) -> (i64, i64) {
        (self.project, number(&[&self.git_ref, &self.before, &self.after]))
    }

    fn join(mut self, other: Self) -> Self {
        self.received_at = self.received_at.min(other.received_at);
        self.pusher = least(self.pusher, other.pusher);
        self.is_default |= other.is_default;
        self.total = self.total.max(other.total);
        self.listed = self.listed.max(other.listed);
        // What was received knows what its commits changed; what was told of afterwards need not.
        let weight = |one: &Self| (one.received.is_some(), one.commits.len());
        if (weight(&other), &other.commits) > (weight(&self), &self.commits) {
            self.commits = other.commits;
        }
        self.received = match (self.received, other.received) {
            (Some(one), Some(other)) => Some(one.join(other)),
            (one, other) => one.or(other),
        };
        self
    }

    fn opened_at(&self) -> Option<Timestamp> {
        Some(self.received_at)
    }

    fn settled_at(&self) -> Option<Timestamp> {
        Some(self.received_at)
    }
}

/// What events said of one branch, but for its moves: those are its pushes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Branch {
    /// Its project, by its number in events.
    pub project: i64,
    /// Full name.
    pub git_ref: String,
    /// It is, or was, the default branch.
    pub is_default: bool,
    /// It is, or was, protected.
    #[serde(default)]
    pub is_protected: bool,
    /// When the first push of it was received.
    pub first_received_at: Timestamp,
    /// The earliest time of a commit that a push of it listed.
    pub first_commit_at: Option<Timestamp>,
    /// The latest.
    pub last_commit_at: Option<Timestamp>,
}

impl Branch {
    /// What a push says of its branch.
    pub(super) fn of_event(received_at: Timestamp, body: &Value, push: &Push) -> Option<Self> {
        let times = || push.commits.iter().filter_map(|commit| commit.at);
        Some(Self {
            project: named_project(body)?,
            git_ref: push.git_ref.clone(),
            is_default: push.is_default,
            is_protected: body["ref_protected"] == true,
            first_received_at: received_at,
            first_commit_at: times().min(),
            last_commit_at: times().max(),
        })
    }

    /// What stands for it among those of all projects, as [`Push::branch`].
    #[must_use]
    pub fn number(&self) -> i64 {
        number(&[&self.project.to_string(), &self.git_ref])
    }
}

impl Entity for Branch {
    /// A branch has no number, so it is made from its name.
    fn key(&self) -> (i64, i64) {
        (self.project, number(&[&self.git_ref]))
    }

    fn join(mut self, other: Self) -> Self {
        self.is_default |= other.is_default;
        self.is_protected |= other.is_protected;
        self.first_received_at = self.first_received_at.min(other.first_received_at);
        self.first_commit_at = least(self.first_commit_at, other.first_commit_at);
        self.last_commit_at = self.last_commit_at.max(other.last_commit_at);
        self
    }

    fn opened_at(&self) -> Option<Timestamp> {
        Some(self.first_received_at)
    }

    /// Its pushes tell.
    fn settled_at(&self) -> Option<Timestamp> {
        None
    }
}

/// When something was done, and by whom, if that is known.
pub type Act = (Timestamp, Option<i64>);

/// When the history of one branch was rewritten, and by whom, by its pushes, the first one first: a push that lists a change which the
/// branch already had under another SHA, or that takes commits away. Sufficient evidence, but not all that there can be.
///
/// Which push was earlier is decided by where each began and ended, whenever they were received.
#[must_use]
pub fn rewrites(pushes: &[&Push]) -> Vec<Act> {
    let mut known: BTreeMap<u64, &str> = BTreeMap::new();
    let mut found = Vec::new();
    for push in in_order(pushes) {
        if push.is_creation() || push.is_deletion() {
            // A branch that is made under a name that was used before has no history yet.
            known.clear();
        }
        if push.is_deletion() {
            continue;
        }
        let again = |commit: &Listed| known.get(&commit.change).is_some_and(|sha| *sha != commit.sha);
        let is_rewind = push.total == 0 && push.commits.is_empty() && !push.is_creation();
        if is_rewind || push.commits.iter().any(again) {
            found.push((push.received_at, push.pusher));
        }
        known.extend(push.commits.iter().map(|commit| (commit.change, commit.sha.as_str())));
    }
    found.sort_unstable();
    found
}

/// The lives of one branch, in order: each begins with its creation, or where an earlier push is missing, and has its deletion, if there
/// was one, at the end.
pub(super) fn lives<'a>(pushes: &[&'a Push]) -> Vec<Vec<&'a Push>> {
    let mut lives: Vec<Vec<&'a Push>> = Vec::new();
    let mut is_over = true;
    for push in in_order(pushes) {
        let goes_on = !is_over && !push.is_creation();
        if goes_on && let Some(life) = lives.last_mut() {
            life.push(push);
        } else {
            lives.push(vec![push]);
        }
        is_over = push.is_deletion();
    }
    lives
}

/// The pushes of one branch in the order in which they were made, as their bodies tell it. Where pushes are missing, what lies between
/// is ordered by the times of its commits.
fn in_order<'a>(pushes: &[&'a Push]) -> Vec<&'a Push> {
    let moves: Vec<Move<'_>> = pushes.iter().map(|push| push.as_move()).collect();
    let mut trails = trails(&moves);
    trails.sort_by_key(|trail| {
        let first = moves[trail[0]];
        (trail.iter().find_map(|index| moves[*index].made), first.before, first.after)
    });
    trails.into_iter().flatten().map(|index| pushes[index]).collect()
}

/// Whether it is git's name for nothing: 40 or 64 zeros.
fn is_zero(sha: &str) -> bool {
    !sha.is_empty() && sha.bytes().all(|digit| digit == b'0')
}

#[cfg(test)]
mod tests;
