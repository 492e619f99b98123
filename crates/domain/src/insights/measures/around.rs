//! What lies around things of one family, where an insight needs more of them than each by itself: the incidents that followed
//! deployments, and the deployments that brought changes out.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::Timestamp;
use crate::insights::branches::{Branch, Moves, Push};
use crate::insights::chain::{Chain, Deployed};
use crate::insights::deployments::{Deployment, incidents_of};
use crate::insights::entity::{Entity, Item};
use crate::insights::issues::Issue;

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
}

impl Around {
    /// From everything that was read.
    #[must_use]
    pub fn of(items: &[&Item]) -> Self {
        let (mut deployments, mut issues, mut pushes): (Vec<&Deployment>, Vec<&Issue>, Vec<&Push>) = Default::default();
        let mut merge_commits = HashSet::new();
        for item in items {
            match item {
                Item::Deployment(one) => deployments.push(one),
                Item::Issue(one) => issues.push(one),
                Item::Push(one) => pushes.push(one),
                Item::MergeRequest(one) => {
                    merge_commits.extend(one.merge_commit.clone().map(|sha| (one.project, sha)));
                }
                _ => {}
            }
        }
        deployments.sort_by_key(|one| (one.project, one.at(), one.id));
        let mut moves: HashMap<i64, Moves> = HashMap::new();
        if items.iter().any(|item| matches!(item, Item::Branch(_))) {
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
        Self { outcomes: outcomes(&deployments, &issues), chains: chains.collect(), merge_commits, moves }
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

    /// Whether a commit is known as what a merge made.
    #[must_use]
    pub fn is_merge_commit(&self, project: i64, sha: &str) -> bool {
        self.merge_commits.contains(&(project, sha.to_owned()))
    }
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
