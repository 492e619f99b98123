//! Merge requests joined from events. Definitions: `docs/guide/insights.md`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::commits::{named_project, word};
use super::entity::{Entity, Note, distinct_times, join_notes, least, not_before, time};
use super::labels::Labels;
use quickdraw_domain::Timestamp;

/// Maximum number of observations of one merge request. Plain updates are dropped first.
const MAX_OBSERVATIONS: usize = 1_000;

/// The action that an event shows. The order decides between events of the same time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The merge request was opened.
    Open,

    /// Something else changed, such as a label, or a comment was written.
    Update,

    /// The merge request became a draft.
    Draft,

    /// The merge request was marked as ready.
    Ready,

    /// Commits were pushed to its source branch.
    Push,

    /// A person approved it.
    Approve,

    /// A person revoked an approval.
    Unapprove,

    /// The merge request was closed.
    Close,

    /// The merge request was reopened.
    Reopen,

    /// The merge request was merged.
    Merge,
}

/// The state of a merge request in one event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Observation {
    /// `updated_at` of the merge request.
    pub at: Timestamp,

    /// The action of the event.
    pub action: Action,

    /// Account that did it; 0 if it is unknown, or if GitLab did it by itself.
    pub actor: i64,

    /// True if the merge request was open.
    pub is_open: bool,

    /// True if the merge request was a draft.
    pub is_draft: bool,

    /// True if the merge request was merged.
    pub is_merged: bool,
}

/// A merge request, joined from all its events. Two states with the same key join, in any order and any number of
/// times.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MergeRequest {
    /// Id of the target project in events.
    pub project: i64,

    /// The merge request's number in the project.
    pub iid: i64,

    /// Time of creation. Every event contains it.
    pub created_at: Option<Timestamp>,

    /// Account that created the merge request.
    pub author: Option<i64>,

    /// Receipt of the first event that mentioned the merge request.
    pub first_received_at: Timestamp,

    /// The states that events showed.
    pub observations: BTreeSet<Observation>,

    /// The newest observation. It stays when others are dropped.
    newest: Option<Observation>,

    /// Earliest time at which an event showed the merge request as merged.
    merged_seen_at: Option<Timestamp>,

    /// Comments by their ids.
    pub notes: BTreeMap<i64, Note>,

    /// The target branch, as last seen. GitLab changes the target of a stacked merge request when the one below it is
    /// merged.
    target_branch: Option<(Timestamp, String)>,

    /// The merge commit. None after a fast-forward.
    pub merge_commit: Option<String>,

    /// The last commit of the source branch at the time of the merge.
    pub merged_head: Option<String>,

    /// The squash commit. GitLab's API always contains it, events do not.
    #[serde(default)]
    pub squash_commit: Option<String>,

    /// The source branch, if it is in the target project.
    #[serde(default)]
    pub source_branch: Option<String>,

    /// Labels, by the times at which they were seen.
    #[serde(default)]
    pub labels: Labels,
}

impl MergeRequest {
    /// Reads a merge request event.
    pub(super) fn of_event(received_at: Timestamp, body: &Value) -> Option<Self> {
        let attributes = &body["object_attributes"];
        let mut one = Self::of(received_at, body, attributes)?;
        let is_system = attributes["system"] == true;

        let action = match attributes["action"].as_str() {
            Some("open") => Action::Open,
            Some("close") => Action::Close,
            Some("reopen") => Action::Reopen,
            Some("merge") => Action::Merge,
            // An approval causes one of these two actions; `approved` if it was the last one required. After a push,
            // GitLab revokes approvals by itself, in the name of the person who pushed. Such events have `system:
            // true`.
            Some("approval" | "approved") if !is_system => Action::Approve,
            Some("unapproval" | "unapproved") if !is_system => Action::Unapprove,
            Some("update") if attributes["oldrev"].is_string() => Action::Push,
            Some("update") => draft_change(&body["changes"]).unwrap_or(Action::Update),
            _ => Action::Update,
        };

        let actor = if is_system {
            0
        } else {
            body["user"]["id"].as_i64().unwrap_or_default()
        };
        one.observe(attributes, action, actor, received_at);
        Some(one)
    }

    /// Reads the merge request of a comment.
    pub(super) fn of_note(received_at: Timestamp, body: &Value) -> Option<Self> {
        let mut one = Self::of(received_at, body, &body["merge_request"])?;
        one.observe(&body["merge_request"], Action::Update, 0, received_at);
        one.notes.extend(Note::of(received_at, body));

        Some(one)
    }

    fn of(received_at: Timestamp, body: &Value, attributes: &Value) -> Option<Self> {
        let is_merged = attributes["state"] == "merged" || attributes["action"] == "merge";
        let is_of_fork = attributes["source_project_id"].as_i64() != attributes["target_project_id"].as_i64();
        let labels = [&attributes["labels"], &body["labels"]]
            .into_iter()
            .find(|labels| labels.is_array());

        Some(Self {
            project: attributes["target_project_id"]
                .as_i64()
                .or_else(|| named_project(body))?,
            iid: attributes["iid"].as_i64()?,
            created_at: time(&attributes["created_at"]),
            author: attributes["author_id"].as_i64(),
            first_received_at: received_at,
            observations: BTreeSet::new(),
            newest: None,
            merged_seen_at: None,
            notes: BTreeMap::new(),
            target_branch: word(&attributes["target_branch"])
                .map(|name| (time(&attributes["updated_at"]).unwrap_or(received_at), name)),
            merge_commit: word(&attributes["merge_commit_sha"]).filter(|_| is_merged),
            merged_head: word(&attributes["last_commit"]["id"]).filter(|_| is_merged),
            squash_commit: word(&attributes["squash_commit_sha"]).filter(|_| is_merged),
            source_branch: word(&attributes["source_branch"]).filter(|_| !is_of_fork),
            labels: labels.map_or_else(Labels::default, |labels| {
                Labels::of(time(&attributes["updated_at"]).unwrap_or(received_at), labels)
            }),
        })
    }

    fn observe(&mut self, attributes: &Value, action: Action, actor: i64, received_at: Timestamp) {
        let state = attributes["state"].as_str();
        let draft = attributes["draft"]
            .as_bool()
            .or_else(|| attributes["work_in_progress"].as_bool());

        let seen = Observation {
            at: time(&attributes["updated_at"]).unwrap_or(received_at),
            action,
            actor,
            is_open: state.map_or(!matches!(action, Action::Close | Action::Merge), |state| {
                state == "opened"
            }),
            is_draft: draft.unwrap_or(false),
            is_merged: state == Some("merged") || action == Action::Merge,
        };
        self.observations.insert(seen);
        self.newest = self.newest.max(Some(seen));
        self.merged_seen_at = least(self.merged_seen_at, seen.is_merged.then_some(seen.at));
    }

    /// Drops observations if there are too many. A total order decides, so the order of joins does not matter.
    fn bound(&mut self) {
        while self.observations.len() > MAX_OBSERVATIONS {
            let weight = |action| match action {
                Action::Open | Action::Close | Action::Reopen | Action::Merge => 0,
                Action::Approve | Action::Unapprove | Action::Draft | Action::Ready => 1,
                Action::Push => 2,
                Action::Update => 3,
            };

            let gone = self
                .observations
                .iter()
                .max_by_key(|one| (weight(one.action), **one))
                .copied();
            self.observations.retain(|one| Some(*one) != gone);
        }
    }

    /// The target branch.
    #[must_use]
    pub fn target_branch(&self) -> Option<&str> {
        self.target_branch.as_ref().map(|(_, name)| name.as_str())
    }

    /// Time of the first merge event. A merge cannot be undone.
    #[must_use]
    pub fn merged_at(&self) -> Option<Timestamp> {
        self.merge().map(|merge| merge.at)
    }

    /// Account that merged; 0 if it is unknown.
    #[must_use]
    pub fn merged_by(&self) -> Option<i64> {
        self.merge().map(|merge| merge.actor)
    }

    fn merge(&self) -> Option<&Observation> {
        self.observations.iter().find(|one| one.action == Action::Merge)
    }

    /// The commits that may have brought the change to the target branch, the likeliest first.
    pub fn landed_as(&self) -> impl Iterator<Item = &str> {
        let commits = [&self.merge_commit, &self.squash_commit, &self.merged_head];
        commits.into_iter().flatten().map(String::as_str)
    }

    /// True if the merge request is merged, even if no merge event was received.
    #[must_use]
    pub fn is_merged(&self) -> bool {
        self.merged_seen_at.is_some()
    }

    /// Time of the close after which the merge request stayed closed, without a merge.
    #[must_use]
    pub fn closed_at(&self) -> Option<Timestamp> {
        if self.is_merged() || self.newest.is_none_or(|last| last.is_open) {
            return None;
        }

        // A close before the last reopening does not count.
        let reopened = self.times(Action::Reopen).next_back();
        let is_later = |at: &Timestamp| reopened.is_none_or(|reopened| *at >= reopened);

        let seen = || {
            self.observations
                .iter()
                .find(|one| !one.is_open && is_later(&one.at))
                .map(|one| one.at)
        };
        self.times(Action::Close)
            .rfind(is_later)
            .or_else(seen)
            .or(self.newest.map(|last| last.at))
    }

    /// True if the merge request is open, as far as is known.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.is_merged() && self.newest.is_some_and(|last| last.is_open)
    }

    /// The state at a time, as far as is known now. None if it was not open; otherwise true if it was a draft.
    #[must_use]
    pub fn is_open_at(&self, at: Timestamp) -> Option<bool> {
        let has_ended = self.ended_at().map_or(!self.is_open(), |end| end < at);
        if has_ended {
            return None;
        }

        match self.seen_before(at).last() {
            // It was closed then, and reopened later.
            Some(last) if !last.is_open => None,
            last => Some(last.is_some_and(|last| last.is_draft)),
        }
    }

    /// Start of the time in which it is open at `at`: its creation, or the reopening after its last close. None if it
    /// is closed at `at`.
    #[must_use]
    pub fn open_since(&self, at: Timestamp) -> Option<Timestamp> {
        self.since(at, |one| one.is_open, |one| one.action == Action::Reopen)
    }

    /// Start of the time in which it is open and ready at `at`, as far as is known. None if it is closed or a draft at
    /// `at`.
    #[must_use]
    pub fn ready_since(&self, at: Timestamp) -> Option<Timestamp> {
        let is_ready = |one: &Observation| one.is_open && !one.is_draft;
        self.since(at, is_ready, |one| matches!(one.action, Action::Reopen | Action::Ready))
    }

    /// Start of a state that lasts at `at`. An observation for which `begins` is true starts the state, even if the end
    /// of an earlier one was not seen.
    fn since(
        &self,
        at: Timestamp,
        is_so: impl Fn(&Observation) -> bool,
        begins: impl Fn(&Observation) -> bool,
    ) -> Option<Timestamp> {
        let mut since = self.created_at.filter(|created_at| *created_at < at);
        for one in self.seen_before(at) {
            if !is_so(one) {
                since = None;
            } else if since.is_none() || begins(one) {
                since = Some(one.at);
            }
        }

        since
    }

    /// The observations before a time, in order. The newest one is included even if it was dropped.
    fn seen_before(&self, at: Timestamp) -> impl Iterator<Item = &Observation> {
        self.observations
            .iter()
            .chain(&self.newest)
            .filter(move |one| one.at < at)
    }

    /// Time of the merge event or, without one, the earliest time at which an event showed the merge request as merged.
    #[must_use]
    pub fn merged_or_seen_at(&self) -> Option<Timestamp> {
        self.merged_at().or(self.merged_seen_at)
    }

    /// Time of the merge, or of the last close.
    #[must_use]
    pub fn ended_at(&self) -> Option<Timestamp> {
        self.merged_or_seen_at().or_else(|| self.closed_at())
    }

    /// The times of one kind of action.
    pub(super) fn times(&self, action: Action) -> impl DoubleEndedIterator<Item = Timestamp> {
        self.observations
            .iter()
            .filter(move |one| one.action == action)
            .map(|one| one.at)
    }

    /// Reviews by others until the merge, with time and account: comments and approvals. `is_out` is true for accounts
    /// that do not count, such as bots and other accounts of the author.
    #[must_use]
    pub fn reviews(&self, is_out: &dyn Fn(i64) -> bool) -> Vec<(Timestamp, i64)> {
        let mut reviews: Vec<_> = self.comments(is_out).chain(self.approvals(is_out)).collect();
        reviews.sort_unstable();
        reviews
    }

    /// True if an action of `who` at `at` is a review.
    fn is_review(&self, at: Timestamp, who: i64, is_out: &dyn Fn(i64) -> bool) -> bool {
        Some(who) != self.author && !is_out(who) && self.merged_or_seen_at().is_none_or(|end| at <= end)
    }

    /// The comments among the reviews, unsorted.
    pub fn comments<'a>(&'a self, is_out: &'a dyn Fn(i64) -> bool) -> impl Iterator<Item = (Timestamp, i64)> + 'a {
        let notes = self.notes.values().map(|note| (note.at, note.author));
        notes.filter(|(at, who)| self.is_review(*at, *who, is_out))
    }

    /// The approvals among the reviews, unsorted.
    pub fn approvals<'a>(&'a self, is_out: &'a dyn Fn(i64) -> bool) -> impl Iterator<Item = (Timestamp, i64)> + 'a {
        let approvals = self.observations.iter().filter(|one| one.action == Action::Approve);
        let mut approved: BTreeMap<i64, Vec<Timestamp>> = BTreeMap::new();

        for one in approvals.filter(|one| one.actor != 0) {
            approved.entry(one.actor).or_default().push(one.at);
        }

        let approvals = approved
            .into_iter()
            .flat_map(|(actor, times)| distinct_times(times.into_iter()).into_iter().map(move |at| (at, actor)));
        approvals.filter(|(at, who)| self.is_review(*at, *who, is_out))
    }

    /// Seconds until `end` in which it was open and ready. None if the event of its opening is unknown.
    #[must_use]
    pub fn active_until(&self, end: Timestamp) -> Option<i64> {
        let created_at = self.created_at?;
        let opened = self.observations.iter().find(|one| one.action == Action::Open)?;
        let (mut micros, mut since, mut is_active) = (0, created_at, !opened.is_draft);
        let mut add = |from: Timestamp, to: Timestamp| micros += (to.as_micros() - from.as_micros()).max(0);

        for one in self
            .observations
            .iter()
            .filter(|one| one.action != Action::Open && one.at <= end)
        {
            if is_active {
                add(since, one.at);
            }

            (since, is_active) = (since.max(one.at), one.is_open && !one.is_draft);
        }

        if is_active {
            add(since, end);
        }

        Some(micros / 1_000_000)
    }
}

/// Reads from the changes of an event whether it became a draft or ready. Older GitLab versions call drafts
/// `work_in_progress`.
fn draft_change(changes: &Value) -> Option<Action> {
    for change in [&changes["draft"], &changes["work_in_progress"]] {
        match (change["previous"].as_bool(), change["current"].as_bool()) {
            (Some(true), Some(false)) => return Some(Action::Ready),
            (Some(false), Some(true)) => return Some(Action::Draft),
            _ => {}
        }
    }

    None
}

impl Entity for MergeRequest {
    fn key(&self) -> (i64, i64) {
        (self.project, self.iid)
    }

    fn join(mut self, other: Self) -> Self {
        self.created_at = least(self.created_at, other.created_at);
        self.author = least(self.author, other.author);
        self.first_received_at = self.first_received_at.min(other.first_received_at);
        self.observations.extend(other.observations);
        self.newest = self.newest.max(other.newest);
        self.merged_seen_at = least(self.merged_seen_at, other.merged_seen_at);
        join_notes(&mut self.notes, other.notes);
        self.target_branch = self.target_branch.max(other.target_branch);
        self.merge_commit = least(self.merge_commit, other.merge_commit);
        self.merged_head = least(self.merged_head, other.merged_head);
        self.squash_commit = least(self.squash_commit, other.squash_commit);
        self.source_branch = least(self.source_branch, other.source_branch);
        self.labels.join(other.labels);
        self.bound();

        self
    }

    fn opened_at(&self) -> Option<Timestamp> {
        self.created_at
    }

    /// Comments on a closed merge request still count.
    fn settled_at(&self) -> Option<Timestamp> {
        self.merged_or_seen_at()
            .or_else(|| self.closed_at().map(|at| not_before(at, &self.notes)))
    }
}

#[cfg(test)]
mod tests;
