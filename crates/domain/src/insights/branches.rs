//! Pushes, and the branches that they move: what events say of them, joined. Definitions: `docs/guide/insights.md`.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::commits::{self, Commit, named_project, project_of, text};
use super::entity::{Entity, least, number};
use crate::Timestamp;

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

    /// When the life began that ended with a deletion: with its creation, or with its first commit if it had no life before.
    #[must_use]
    pub fn began_at(&self, moves: &Moves, deleted_at: Timestamp) -> Timestamp {
        let before = || moves.0.iter().take_while(|(at, ..)| *at < deleted_at);
        let made = before().filter(|(_, from, _)| is_zero(from)).map(|(at, ..)| *at);
        let is_first = !before().any(|(_, _, to)| is_zero(to));
        match self.first_commit_at {
            Some(commit) if is_first => commit.min(self.first_received_at),
            _ => made.last().unwrap_or(self.first_received_at),
        }
    }
}

/// The moves of one branch, each by its first receipt: from where and to where.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Moves(Vec<(Timestamp, String, String)>);

impl Moves {
    /// Adds a push of the branch.
    pub fn add(&mut self, push: &Push) {
        self.0.push((push.received_at, push.before.clone(), push.after.clone()));
    }

    /// Puts them in order, when all are there.
    pub fn sort(&mut self) {
        self.0.sort_unstable();
    }

    /// When the branch was deleted, as far as was known before a time; nothing while it is there.
    ///
    /// A push is later than a deletion if it was received later and does not lead to what was deleted.
    #[must_use]
    pub fn deleted_at(&self, before: Timestamp) -> Option<Timestamp> {
        let known = &self.0[..self.0.partition_point(|(at, ..)| *at < before)];
        let deletion = known.iter().rposition(|(_, _, to)| is_zero(to))?;
        let (deleted_at, last, _) = &known[deletion];
        let later = &known[deletion + 1..];
        if later.is_empty() {
            return Some(*deleted_at);
        }
        // What led there, as far as it was received before; if that is all of it, what was received later is later.
        let (led_there, is_whole) = leading_to(last, &known[..deletion]);
        if is_whole {
            return None;
        }
        let (late, _) = leading_to(last, known);
        later
            .iter()
            .all(|(_, _, to)| led_there.contains(to.as_str()) || late.contains(to.as_str()))
            .then_some(*deleted_at)
    }

    /// When it was moved last before a time.
    #[must_use]
    pub fn last_before(&self, before: Timestamp) -> Option<Timestamp> {
        self.0[..self.0.partition_point(|(at, ..)| *at < before)].last().map(|(at, ..)| *at)
    }

    /// Times at which it was deleted.
    pub fn deletions(&self) -> impl Iterator<Item = Timestamp> {
        self.0.iter().filter(|(_, _, to)| is_zero(to)).map(|(at, ..)| *at)
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
#[must_use]
pub fn rewrites(pushes: &[&Push]) -> Vec<Act> {
    let mut known: BTreeMap<u64, &str> = BTreeMap::new();
    let mut found = Vec::new();
    for push in pushes {
        if push.is_deletion() {
            // What is made anew under the same name has no history yet.
            known.clear();
            continue;
        }
        let again = |commit: &Listed| known.get(&commit.change).is_some_and(|sha| *sha != commit.sha);
        let is_rewind = push.total == 0 && push.commits.is_empty() && !push.is_creation();
        if is_rewind || push.commits.iter().any(again) {
            found.push((push.received_at, push.pusher));
        }
        known.extend(push.commits.iter().map(|commit| (commit.change, commit.sha.as_str())));
    }
    found
}

/// Where a branch was before it came to a commit, and whether that is known from its creation on.
fn leading_to<'a>(end: &'a str, moves: &'a [(Timestamp, String, String)]) -> (HashSet<&'a str>, bool) {
    let came_from: HashMap<&str, &str> = moves.iter().map(|(_, from, to)| (to.as_str(), from.as_str())).collect();
    let (mut passed, mut at) = (HashSet::from([end]), end);
    while let Some(from) = came_from.get(at).filter(|from| passed.insert(from)) {
        at = from;
        // Behind its creation there are other lives.
        if is_zero(at) {
            return (passed, true);
        }
    }
    (passed, false)
}

/// Whether it is git's name for nothing: 40 or 64 zeros.
fn is_zero(sha: &str) -> bool {
    !sha.is_empty() && sha.bytes().all(|digit| digit == b'0')
}

#[cfg(test)]
mod tests;
