//! Pushes and the branches that they move, joined from events. Definitions: `docs/guide/insights.md`.

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

/// Maximum for `total_commits_count`. Larger values in a body are cut to it.
const MAX_COMMITS: i64 = 10_000_000;
/// Maximum number of commits that are kept with a push, the last ones. GitLab lists 20.
const MAX_LISTED: usize = 100;

/// A commit in the list of a push.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Listed {
    /// SHA of the commit.
    pub sha: String,

    /// Digest of the change. It stays the same when a rebase gives the commit another SHA.
    pub change: u64,

    /// Committer time, if it is readable.
    pub at: Option<Timestamp>,

    /// True if the message is one that git writes for merges.
    pub is_merge: bool,
}

/// One move of a branch. Two events with the same move are the same push.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Push {
    /// The project's id in events; [`commits::NO_PROJECT`] if the body names none.
    pub project: i64,

    /// Full name of the branch.
    pub git_ref: String,

    /// Commit before the push; zeros if the push created the branch.
    pub before: String,

    /// Commit after the push; zeros if the push deleted the branch.
    pub after: String,

    /// Time of the first receipt. A push has no time of its own.
    pub received_at: Timestamp,

    /// Account that pushed.
    pub pusher: Option<i64>,

    /// True if the push moved the default branch.
    pub is_default: bool,

    /// `total_commits_count`.
    pub total: i64,

    /// Number of commits in the list.
    pub listed: i64,

    /// The last commits in the list.
    pub commits: Vec<Listed>,

    /// Values from received events. None if the push is only known from a backfill.
    #[serde(default)]
    pub received: Option<Received>,
}

/// Values of a push from received events only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Received {
    /// Time of the first receipt.
    pub at: Timestamp,

    /// `total_commits_count`.
    pub total: i64,

    /// Number of commits in the list.
    pub listed: i64,
}

impl Received {
    fn join(self, other: Self) -> Self {
        let (at, total) = (self.at.min(other.at), self.total.max(other.total));
        Self {
            at,
            total,
            listed: self.listed.max(other.listed),
        }
    }
}

impl Push {
    /// Reads a push event and the commits that it lists.
    pub(super) fn of_event(received_at: Timestamp, body: &Value, listed: &[Commit]) -> Option<Self> {
        let git_ref = text(&body["ref"]);
        let count = i64::try_from(body["commits"].as_array().map_or(0, Vec::len)).unwrap_or(i64::MAX);

        let commits = listed[listed.len().saturating_sub(MAX_LISTED)..]
            .iter()
            .map(|commit| Listed {
                sha: commit.sha.clone(),
                change: commit
                    .details
                    .change
                    .first_chunk()
                    .map_or(0, |bytes| u64::from_be_bytes(*bytes)),
                at: (!commit.details.undated).then_some(commit.details.committed_at),
                is_merge: commit.details.merge_message,
            });

        let (before, after) = (text(&body["before"]), text(&body["after"]));
        // A body without a ref, or without `before` and `after`, is a plain list of commits and moves nothing.
        let is_move = !git_ref.is_empty() && (!before.is_empty() || !after.is_empty());

        let total = body["total_commits_count"]
            .as_i64()
            .unwrap_or(count)
            .clamp(count, MAX_COMMITS.max(count));

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
            received: Some(Received {
                at: received_at,
                total,
                listed: count,
            }),
            git_ref,
        })
    }

    /// True if the push created the branch.
    #[must_use]
    pub fn is_creation(&self) -> bool {
        is_zero(&self.before)
    }

    /// True if the push deleted the branch.
    #[must_use]
    pub fn is_deletion(&self) -> bool {
        is_zero(&self.after)
    }

    /// The time of the push according to a backfill, if no event was received at that time or before.
    #[must_use]
    pub fn reported_at(&self) -> Option<Timestamp> {
        let is_received = self.received.is_some_and(|received| received.at <= self.received_at);
        (!is_received).then_some(self.received_at)
    }

    /// The properties that determine the order of pushes.
    pub(super) fn as_move(&self) -> Move<'_> {
        let made = self.commits.iter().filter_map(|commit| commit.at).max();
        Move {
            before: &self.before,
            after: &self.after,
            made,
        }
    }

    /// A number that identifies the branch among those of all projects.
    #[must_use]
    pub fn branch(&self) -> i64 {
        number(&[&self.project.to_string(), &self.git_ref])
    }
}

impl Entity for Push {
    /// A push has no id, so the key is a digest of the branch and both commits.
    fn key(&self) -> (i64, i64) {
        (self.project, number(&[&self.git_ref, &self.before, &self.after]))
    }

    fn join(mut self, other: Self) -> Self {
        self.received_at = self.received_at.min(other.received_at);
        self.pusher = least(self.pusher, other.pusher);
        self.is_default |= other.is_default;
        self.total = self.total.max(other.total);
        self.listed = self.listed.max(other.listed);

        // Received pushes list the paths of their commits. Backfilled ones may not, so received ones win.
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

/// Properties of a branch, without its moves. Those are [`Push`]es.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Branch {
    /// The project's id in events.
    pub project: i64,

    /// Full name.
    pub git_ref: String,

    /// True if it is or was the default branch.
    pub is_default: bool,

    /// True if it is or was protected.
    #[serde(default)]
    pub is_protected: bool,

    /// Time of receipt of its first push.
    pub first_received_at: Timestamp,

    /// Earliest time of a commit that its pushes listed.
    pub first_commit_at: Option<Timestamp>,

    /// Latest time of a commit that its pushes listed.
    pub last_commit_at: Option<Timestamp>,
}

impl Branch {
    /// Reads the branch of a push event.
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

    /// A number that identifies the branch among those of all projects, as [`Push::branch`].
    #[must_use]
    pub fn number(&self) -> i64 {
        number(&[&self.project.to_string(), &self.git_ref])
    }
}

impl Entity for Branch {
    /// A branch has no id, so the key is a digest of its name.
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

    /// A branch never settles: a push can move it at any time.
    fn settled_at(&self) -> Option<Timestamp> {
        None
    }
}

/// The time of an action, and the account that did it, if known.
pub type Act = (Timestamp, Option<i64>);

/// Finds the pushes that rewrote the history of one branch, oldest first. A push is a rewrite if it lists a change that
/// the branch already had under another SHA, or if it removes commits. Other rewrites are not found.
///
/// The commits before and after each push give the order of the pushes. Times of receipt do not matter.
#[must_use]
pub fn rewrites(pushes: &[&Push]) -> Vec<Act> {
    let mut known: BTreeMap<u64, &str> = BTreeMap::new();
    let mut found = Vec::new();

    for push in in_order(pushes) {
        if push.is_creation() || push.is_deletion() {
            // A branch that is created under an old name starts with an empty history.
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

/// Splits the pushes of one branch into lives, in order. A life begins with the creation of the branch, or after a
/// missing push, and ends with the deletion, if there was one.
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

/// Sorts the pushes of one branch by the commits in their bodies. If pushes are missing, the times of the commits order
/// the remaining parts.
fn in_order<'a>(pushes: &[&'a Push]) -> Vec<&'a Push> {
    let moves: Vec<Move<'_>> = pushes.iter().map(|push| push.as_move()).collect();
    let mut trails = trails(&moves);

    trails.sort_by_key(|trail| {
        let first = moves[trail[0]];
        (
            trail.iter().find_map(|index| moves[*index].made),
            first.before,
            first.after,
        )
    });

    trails.into_iter().flatten().map(|index| pushes[index]).collect()
}

/// True for 40 or 64 zeros, which stand for "no commit".
fn is_zero(sha: &str) -> bool {
    !sha.is_empty() && sha.bytes().all(|digit| digit == b'0')
}

#[cfg(test)]
mod tests;
