//! What lies around things of one family, where an insight needs more of them than each by itself: the incidents that followed
//! deployments, and the deployments that brought changes out.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::Timestamp;
use crate::insights::branches::{Branch, Moves, Push};
use crate::insights::chain::{Chain, Deployed};
use crate::insights::commits::{Commit, Paths};
use crate::insights::deployments::{Deployment, incidents_of};
use crate::insights::entity::{Entity, Item, number};
use crate::insights::issues::Issue;
use crate::insights::merge_requests::MergeRequest;
use crate::insights::pipelines::Pipeline;

/// What followed a deployment.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Outcome {
    /// The last closes of the incidents that followed it before the next one; nothing for those that are open.
    pub incidents: Vec<Option<Timestamp>>,
    /// It was made while an incident was open that followed an earlier one.
    pub is_rework: bool,
}

/// What lies around.
#[derive(Default, Debug)]
pub struct Around {
    outcomes: HashMap<(i64, i64), Outcome>,
    chains: HashMap<i64, Chain>,
    merge_commits: HashSet<(i64, String)>,
    moves: HashMap<i64, Moves>,
    /// Pushes that are the first to tell of their move: the same can be made on several branches.
    first_of_moves: HashSet<(i64, i64)>,
    /// When pipelines of a branch were created that were decided, and which.
    decided: HashMap<(i64, String), Vec<(Timestamp, i64)>>,
    listed: HashMap<(i64, String), Vec<ListedBy>>,
    /// The branches to which commits were pushed, by project and commit.
    branches: HashMap<(i64, String), BTreeSet<String>>,
    /// Nothing of a commit whose paths nobody told.
    paths: HashMap<(i64, String), Option<Vec<u64>>>,
}

/// The commits that a push listed.
#[derive(Debug)]
struct ListedBy {
    at: Timestamp,
    creates: bool,
    deletes: bool,
    is_whole: bool,
    shas: Vec<String>,
}

impl Around {
    /// From everything that was read.
    #[must_use]
    pub fn of(items: &[&Item]) -> Self {
        let (mut deployments, mut issues, mut pushes): (Vec<&Deployment>, Vec<&Issue>, Vec<&Push>) = Default::default();
        let (mut merge_commits, mut paths) = (HashSet::new(), HashMap::new());
        let mut decided: HashMap<(i64, String), Vec<(Timestamp, i64)>> = HashMap::new();
        for item in items {
            match item {
                Item::Pipeline(one) if one.is_decided() => {
                    let branch = (one.project, one.git_ref.clone().unwrap_or_default());
                    decided.entry(branch).or_default().extend(one.opened_at().map(|at| (at, one.id)));
                }
                Item::Deployment(one) => deployments.push(one),
                Item::Issue(one) => issues.push(one),
                Item::Push(one) => pushes.push(one),
                Item::MergeRequest(one) => {
                    merge_commits.extend(one.merge_commit.clone().map(|sha| (one.project, sha)));
                }
                Item::Commit(one) => drop(paths.insert((one.project, one.sha.clone()), paths_of(one))),
                _ => {}
            }
        }
        let listed = if paths.is_empty() { HashMap::new() } else { listed(&pushes) };
        let mut branches: HashMap<(i64, String), BTreeSet<String>> = HashMap::new();
        for ((project, branch), by) in &listed {
            for sha in by.iter().flat_map(|push| &push.shas) {
                branches.entry((*project, sha.clone())).or_default().insert(branch.clone());
            }
        }
        let first_of_moves = first_of_moves(&pushes);
        deployments.sort_by_key(|one| (one.project, one.at(), one.id));
        let mut moves: HashMap<i64, Moves> = HashMap::new();
        if items.iter().any(|item| matches!(item, Item::Branch(_) | Item::Pipeline(_))) {
            pushes.iter().for_each(|push| moves.entry(push.branch()).or_default().add(push));
            moves.values_mut().for_each(Moves::sort);
        }
        let mut by_project: BTreeMap<i64, (Vec<&Push>, Vec<&Deployment>)> = BTreeMap::new();
        for push in pushes {
            by_project.entry(push.project).or_default().0.push(push);
        }
        for one in deployments.iter().filter(|one| one.is_out()) {
            by_project.entry(one.project).or_default().1.push(one);
        }
        let chains = by_project.into_iter().map(|(project, (pushes, out))| (project, Chain::new(&pushes, &out)));
        let (outcomes, chains) = (outcomes(&deployments, &issues), chains.collect());
        decided.values_mut().for_each(|all| all.sort_unstable());
        Self { outcomes, chains, merge_commits, moves, first_of_moves, decided, listed, branches, paths }
    }

    /// What followed a deployment.
    #[must_use]
    pub fn outcome(&self, deployment: &Deployment) -> Outcome {
        self.outcomes.get(&deployment.key()).cloned().unwrap_or_default()
    }

    /// When a commit of a project came out that was there at a time, known by one of these names.
    #[must_use]
    pub fn deployed(&self, project: i64, shas: &[&str], at: Timestamp) -> Deployed {
        self.chains.get(&project).map_or_else(|| Chain::default().deployed(shas, at), |chain| chain.deployed(shas, at))
    }

    /// The moves of a branch.
    #[must_use]
    pub fn moves(&self, branch: &Branch) -> Option<&Moves> {
        self.moves.get(&branch.number())
    }

    /// Whether a branch is known to be deleted at a time.
    #[must_use]
    pub fn is_deleted(&self, project: i64, name: &str, at: Timestamp) -> bool {
        let number = number(&[&project.to_string(), &format!("refs/heads/{name}")]);
        self.moves.get(&number).is_some_and(|moves| moves.deleted_at(at).is_some())
    }

    /// Whether a push is the one that counts of those that tell of one move on several branches.
    #[must_use]
    pub fn is_first_of_move(&self, push: &Push) -> bool {
        self.first_of_moves.contains(&push.key())
    }

    /// Whether a pipeline is the last of its branch that was created before a time and passed or failed.
    #[must_use]
    pub fn is_newest(&self, one: &Pipeline, before: Timestamp) -> bool {
        let branch = (one.project, one.git_ref.clone().unwrap_or_default());
        let all = self.decided.get(&branch).map(Vec::as_slice).unwrap_or_default();
        let until = all.partition_point(|(at, _)| *at < before);
        all[..until].last().is_some_and(|(_, id)| *id == one.id)
    }

    /// How many distinct paths the commits of a merge request touched, and whether all of its commits are known; nothing where no
    /// push to its branch was.
    #[must_use]
    pub fn files_of(&self, one: &MergeRequest, end: Timestamp) -> Option<(usize, bool)> {
        let pushes = self.listed.get(&(one.project, one.source_branch.clone()?))?;
        // Of a name that is used again, what belongs to the branch that was there before the end.
        let until = pushes.partition_point(|push| push.at <= end);
        let of_it = pushes[..until].iter().rev().skip_while(|push| push.deletes).take_while(|push| !push.deletes);
        let (mut found, mut is_whole, mut paths): (bool, bool, HashSet<u64>) = (false, true, HashSet::new());
        let mut begins = false;
        for push in of_it {
            (found, begins) = (true, push.creates);
            is_whole &= push.is_whole;
            for sha in &push.shas {
                match self.paths.get(&(one.project, sha.clone())) {
                    Some(Some(known)) => paths.extend(known),
                    _ => is_whole = false,
                }
            }
        }
        found.then_some((paths.len(), is_whole && begins))
    }

    /// The branches to which a commit was pushed, as far as pushes are known and list it.
    #[must_use]
    pub fn branches_of(&self, commit: &Commit) -> &BTreeSet<String> {
        static NONE: BTreeSet<String> = BTreeSet::new();
        self.branches.get(&(commit.project, commit.sha.clone())).unwrap_or(&NONE)
    }

    /// Whether a commit is known as what a merge made.
    #[must_use]
    pub fn is_merge_commit(&self, project: i64, sha: &str) -> bool {
        self.merge_commits.contains(&(project, sha.to_owned()))
    }
}

/// The paths that a commit touched; none of a merge, which lists what it brought in.
fn paths_of(one: &Commit) -> Option<Vec<u64>> {
    let paths = &one.told.paths;
    if one.is_merge() {
        return Some(Vec::new());
    }
    let is_known = *paths != Paths::default();
    is_known.then(|| [&paths.added, &paths.modified, &paths.removed].into_iter().flatten().copied().collect())
}

/// What pushes listed, by project and branch, in the order of their receipt.
fn listed(pushes: &[&Push]) -> HashMap<(i64, String), Vec<ListedBy>> {
    let mut listed: HashMap<(i64, String), Vec<ListedBy>> = HashMap::new();
    for push in pushes {
        let Some(branch) = push.git_ref.strip_prefix("refs/heads/") else { continue };
        let shas: Vec<String> = push.commits.iter().map(|commit| commit.sha.clone()).collect();
        let is_whole = i64::try_from(shas.len()).is_ok_and(|known| known >= push.total);
        let by =
            ListedBy { at: push.received_at, creates: push.is_creation(), deletes: push.is_deletion(), is_whole, shas };
        listed.entry((push.project, branch.to_owned())).or_default().push(by);
    }
    listed.values_mut().for_each(|all| all.sort_by_key(|push| push.at));
    listed
}

/// Of the pushes that tell of one move, the first by receipt, and of those the least.
fn first_of_moves(pushes: &[&Push]) -> HashSet<(i64, i64)> {
    let mut first: HashMap<_, (Timestamp, (i64, i64))> = HashMap::new();
    for push in pushes {
        let this = (push.received_at, push.key());
        let known = first.entry((push.project, &push.before, &push.after)).or_insert(this);
        *known = this.min(*known);
    }
    first.into_values().map(|(_, key)| key).collect()
}

/// `deployments` are in the order of projects and time.
fn outcomes(deployments: &[&Deployment], issues: &[&Issue]) -> HashMap<(i64, i64), Outcome> {
    let mut outcomes = HashMap::new();
    // Of a project, the last close of the incidents that followed any deployment so far; none while one is open.
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
