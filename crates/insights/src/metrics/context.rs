//! The context of items: other entities that a metric needs, such as the incidents after a deployment, and the
//! deployments that contain a change.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::files::{Files, Found};
use super::incidents::Incidents;
use super::squashes::squashes;
use crate::branches::{Branch, Moves, Push};
use crate::chain::{Chain, Change, Deployed};
use crate::commits::Commit;
use crate::deployments::{Deployment, incidents_of};
use crate::entity::{Entity, Item, number};
use crate::issues::Issue;
use crate::merge_requests::MergeRequest;
use crate::pipelines::Pipeline;
use quickdraw_domain::Timestamp;

/// The consequences of a deployment.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Outcome {
    /// The last closes of the incidents between this deployment and the next one; None for open incidents.
    pub incidents: Vec<Option<Timestamp>>,

    /// True if the deployment was made while an incident after an earlier deployment was open.
    pub is_rework: bool,
}

/// The context of the items of a question.
#[derive(Default, Debug)]
pub struct Context {
    outcomes: HashMap<(i64, i64), Outcome>,
    chains: HashMap<i64, Chain>,
    merge_commits: HashSet<(i64, String)>,
    moves: HashMap<i64, Moves>,

    /// The first push of each move, with the number of commits that no push of that move listed. The same move can
    /// happen on several branches.
    first_of_moves: HashMap<(i64, i64), i64>,

    /// For each branch, the decided pipelines by time of creation.
    decided: HashMap<(i64, String), Vec<(Timestamp, i64)>>,
    files: Files,

    /// For each commit, the branches to which it was pushed.
    branches: HashMap<(i64, String), BTreeSet<String>>,

    /// The results of squashing, by project and SHA.
    squashes: HashSet<(i64, String)>,
    incidents: Incidents,
}

impl Context {
    /// Builds the context from all items of a question.
    #[must_use]
    pub fn of(items: &[&Item]) -> Self {
        let (mut deployments, mut issues, mut pushes): (Vec<&Deployment>, Vec<&Issue>, Vec<&Push>) = Default::default();
        let (mut merge_requests, mut commits): (Vec<&MergeRequest>, Vec<&Commit>) = Default::default();
        let mut merge_commits = HashSet::new();
        let mut decided: HashMap<(i64, String), Vec<(Timestamp, i64)>> = HashMap::new();

        for item in items {
            match item {
                Item::Pipeline(one) if one.is_decided() => {
                    let branch = (one.project, one.git_ref.clone().unwrap_or_default());
                    decided
                        .entry(branch)
                        .or_default()
                        .extend(one.opened_at().map(|at| (at, one.id)));
                }
                Item::Deployment(one) => deployments.push(one),
                Item::Issue(one) => issues.push(one),
                Item::Push(one) => pushes.push(one),
                Item::MergeRequest(one) => {
                    merge_requests.push(one);
                    merge_commits.extend(one.merge_commit.clone().map(|sha| (one.project, sha)));
                }
                Item::Commit(one) => commits.push(one),
                _ => {}
            }
        }

        // Only commits have files, and only commits can be filtered by the branches to which they were pushed.
        let files = if commits.is_empty() {
            Files::default()
        } else {
            Files::of(&pushes, &merge_requests, &commits)
        };
        let branches = files.branches();
        let incidents = Incidents::of(&deployments, &issues);

        let squashes = if commits.is_empty() {
            HashSet::new()
        } else {
            squashes(&merge_requests, &pushes, files.paths())
        };

        let first_of_moves = first_of_moves(&pushes);
        deployments.sort_by_key(|one| (one.project, one.at(), one.id));

        let mut moves: HashMap<i64, Moves> = HashMap::new();
        if items
            .iter()
            .any(|item| matches!(item, Item::Branch(_) | Item::Pipeline(_)))
        {
            pushes
                .iter()
                .for_each(|push| moves.entry(push.branch()).or_default().add(push));
            moves.values_mut().for_each(Moves::sort);
        }

        let mut by_project: BTreeMap<i64, (Vec<&Push>, Vec<&Deployment>)> = BTreeMap::new();
        for push in pushes {
            by_project.entry(push.project).or_default().0.push(push);
        }

        for one in deployments.iter().filter(|one| one.is_out()) {
            by_project.entry(one.project).or_default().1.push(one);
        }

        let chains = by_project
            .into_iter()
            .map(|(project, (pushes, out))| (project, Chain::new(&pushes, &out)));
        let (outcomes, chains) = (outcomes(&deployments, &issues), chains.collect());
        decided.values_mut().for_each(|all| all.sort_unstable());

        Self {
            outcomes,
            chains,
            merge_commits,
            moves,
            first_of_moves,
            decided,
            files,
            branches,
            squashes,
            incidents,
        }
    }

    /// The consequences of a deployment.
    #[must_use]
    pub fn outcome(&self, deployment: &Deployment) -> Outcome {
        self.outcomes.get(&deployment.key()).cloned().unwrap_or_default()
    }

    /// The time at which a change was first deployed.
    #[must_use]
    pub fn deployed(&self, project: i64, change: &Change<'_>) -> Deployed {
        match self.chains.get(&project) {
            Some(chain) => chain.deployed(change),
            None => Chain::default().deployed(change),
        }
    }

    /// The moves of a branch.
    #[must_use]
    pub fn moves(&self, branch: &Branch) -> Option<&Moves> {
        self.moves.get(&branch.number())
    }

    /// True if the branch is known to be deleted at the given time.
    #[must_use]
    pub fn is_deleted(&self, project: i64, name: &str, at: Timestamp) -> bool {
        let number = number(&[&project.to_string(), &format!("refs/heads/{name}")]);
        self.moves
            .get(&number)
            .is_some_and(|moves| moves.deleted_at(at).is_some())
    }

    /// The number of commits in a move that no push listed. None if another push already counts for the same move.
    #[must_use]
    pub fn unlisted_of(&self, push: &Push) -> Option<i64> {
        self.first_of_moves.get(&push.key()).copied()
    }

    /// True if no later pipeline of the branch was created before the given time and passed or failed.
    #[must_use]
    pub fn is_newest(&self, one: &Pipeline, before: Timestamp) -> bool {
        let branch = (one.project, one.git_ref.clone().unwrap_or_default());
        let all = self.decided.get(&branch).map(Vec::as_slice).unwrap_or_default();
        let until = all.partition_point(|(at, _)| *at < before);
        all[..until].last().is_some_and(|(_, id)| *id == one.id)
    }

    /// The distinct paths in the commits of a merge request. None if no push to its branch is known.
    pub(super) fn files_of(&self, one: &MergeRequest, merged_at: Timestamp) -> Option<Found> {
        self.files.of_one(one, merged_at)
    }

    /// The branches to which a commit was pushed, as far as known pushes list it.
    #[must_use]
    pub fn branches_of(&self, commit: &Commit) -> &BTreeSet<String> {
        static NONE: BTreeSet<String> = BTreeSet::new();
        self.branches
            .get(&(commit.project, commit.sha.clone()))
            .unwrap_or(&NONE)
    }

    /// The number of incidents created in a window that count for a deployment, as GitLab divides them.
    #[must_use]
    pub fn incidents_in(&self, one: &Deployment, from: Timestamp, to: Timestamp) -> usize {
        self.incidents.in_window(one, from, to)
    }

    /// True if a merge request squashed other known commits to this one.
    #[must_use]
    pub fn is_squash(&self, commit: &Commit) -> bool {
        self.squashes.contains(&(commit.project, commit.sha.clone()))
    }

    /// True if the commit is known as a merge commit of a merge request.
    #[must_use]
    pub fn is_merge_commit(&self, project: i64, sha: &str) -> bool {
        self.merge_commits.contains(&(project, sha.to_owned()))
    }
}

/// All pushes of the same move.
struct SameMove {
    /// The push that was received first. Among several, the one with the least key.
    first: (Timestamp, (i64, i64)),
    total: i64,
    listed: i64,
}

/// Finds the first push of each move, with the number of commits that no push of that move listed.
fn first_of_moves(pushes: &[&Push]) -> HashMap<(i64, i64), i64> {
    let mut moves: HashMap<_, SameMove> = HashMap::new();
    for push in pushes {
        let first = (push.received_at, push.key());
        let new = SameMove {
            first,
            total: push.total,
            listed: push.listed,
        };
        let known = moves.entry((push.project, &push.before, &push.after)).or_insert(new);
        known.first = known.first.min(first);
        known.total = known.total.max(push.total);
        known.listed = known.listed.max(push.listed);
    }

    moves
        .into_values()
        .map(|one| (one.first.1, one.total - one.listed))
        .collect()
}

/// Finds the consequences of all deployments, which must be sorted by project and time.
fn outcomes(deployments: &[&Deployment], issues: &[&Issue]) -> HashMap<(i64, i64), Outcome> {
    let mut outcomes = HashMap::new();
    // The project, and the last close of the incidents after its deployments so far; None while an incident is open.
    let mut until: (i64, Option<Timestamp>) = (i64::MIN, None);

    for (one, followed) in deployments.iter().zip(incidents_of(deployments, issues)) {
        if until.0 != one.project {
            until = (one.project, Some(Timestamp::from_micros(i64::MIN)));
        }

        let is_rework = one.is_out() && until.1.is_none_or(|end| end > one.at());
        let incidents: Vec<Option<Timestamp>> = followed.into_iter().map(|at| issues[at].closed_at()).collect();

        for close in &incidents {
            until.1 = until.1.zip(*close).map(|(end, close)| end.max(close));
        }

        outcomes.insert(one.key(), Outcome { incidents, is_rework });
    }

    outcomes
}
