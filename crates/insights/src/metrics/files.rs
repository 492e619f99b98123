//! The files of a merge request: the paths in the commits that were pushed to its source branch. Commits that a rebase
//! or a merge of the target branch brought along do not count.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::squashes::PathsOf;
use crate::branches::{Push, lives};
use crate::commits::{Commit, Paths};
use crate::merge_requests::MergeRequest;
use quickdraw_domain::Timestamp;

/// A branch: project and name.
type Name = (i64, String);

/// A push with the commits that it listed.
#[derive(Debug)]
struct ListedBy {
    received_at: Timestamp,
    before: String,
    after: String,
    is_creation: bool,
    is_whole: bool,
    shas: Vec<String>,
}

/// For each commit, the pushes to a branch that listed it or ended at it, as positions in a list.
type Landings = HashMap<String, Vec<usize>>;

/// The pushes of all branches, and the paths of their commits.
#[derive(Default, Debug)]
pub(super) struct Files {
    /// The lives of each branch, in order.
    lives: HashMap<Name, Vec<Vec<ListedBy>>>,

    /// Landings on branches that are targets of merge requests.
    landings: HashMap<Name, Landings>,
    paths: PathsOf,
}

/// The number of paths, and whether all commits are known.
pub(super) struct Found {
    pub(super) paths: usize,
    pub(super) is_whole: bool,
}

impl Files {
    pub(super) fn of(pushes: &[&Push], merge_requests: &[&MergeRequest], commits: &[&Commit]) -> Self {
        let paths = commits
            .iter()
            .map(|one| ((one.project, one.sha.clone()), paths_of(one)))
            .collect();

        let mut by_branch: HashMap<Name, Vec<&Push>> = HashMap::new();
        for push in pushes {
            if let Some(branch) = push.git_ref.strip_prefix("refs/heads/") {
                by_branch
                    .entry((push.project, branch.to_owned()))
                    .or_default()
                    .push(push);
            }
        }

        let targets: BTreeSet<Name> = merge_requests
            .iter()
            .filter_map(|one| Some((one.project, one.target_branch()?.to_owned())))
            .collect();

        let mut landings = HashMap::new();
        for target in targets {
            let of_target = by_branch
                .get(&target)
                .map(|pushes| landings_of(pushes))
                .unwrap_or_default();
            landings.insert(target, of_target);
        }

        let lives = by_branch
            .into_iter()
            .map(|(branch, pushes)| (branch, lives_of(&pushes)))
            .collect();
        Self { lives, landings, paths }
    }

    /// The paths of all commits.
    pub(super) const fn paths(&self) -> &PathsOf {
        &self.paths
    }

    /// The branches to which each commit was pushed.
    pub(super) fn branches(&self) -> HashMap<(i64, String), BTreeSet<String>> {
        let mut branches: HashMap<(i64, String), BTreeSet<String>> = HashMap::new();
        for ((project, branch), lives) in &self.lives {
            for sha in lives.iter().flatten().flat_map(|push| &push.shas) {
                branches
                    .entry((*project, sha.clone()))
                    .or_default()
                    .insert(branch.clone());
            }
        }

        branches
    }

    /// The files of a merge request that was merged at the given time. None if no push to its branch is known.
    pub(super) fn of_one(&self, one: &MergeRequest, merged_at: Timestamp) -> Option<Found> {
        let lives = self.lives.get(&(one.project, one.source_branch.clone()?))?;
        let (pushes, is_sure) = life_of(lives, one.merged_head.as_deref(), merged_at)?;
        let landings = one
            .target_branch()
            .and_then(|target| self.landings.get(&(one.project, target.to_owned())));

        let of_merge: HashSet<usize> = match landings {
            Some(landings) => one
                .landed_as()
                .filter_map(|sha| landings.get(sha))
                .flatten()
                .copied()
                .collect(),
            None => HashSet::new(),
        };

        // A commit that another push brought to the target branch is not part of this merge request. A rebase or a
        // merge of the target branch put it here.
        let is_of_others = |sha: &str| {
            let landed = landings.and_then(|landings| landings.get(sha));
            landed.is_some_and(|pushes| pushes.iter().any(|push| !of_merge.contains(push)))
        };

        let mut is_whole = is_sure && pushes.first().is_some_and(|first| first.is_creation);
        let mut paths: HashSet<u64> = HashSet::new();
        let mut end: Option<&str> = None;

        for push in pushes {
            is_whole &= push.is_whole && end.is_none_or(|end| end == push.before);
            end = Some(&push.after);

            for sha in &push.shas {
                if is_of_others(sha) {
                    continue;
                }

                match self.paths.get(&(one.project, sha.clone())) {
                    Some(Some(known)) => paths.extend(known),
                    _ => is_whole = false,
                }
            }
        }

        Some(Found {
            paths: paths.len(),
            is_whole,
        })
    }
}

/// Finds the pushes that led to the last commit of a merge request. If no push ended there, it uses the branch that
/// existed at the time of the merge, as far as it was received. The flag is true if the pushes are certain.
fn life_of<'a>(lives: &'a [Vec<ListedBy>], head: Option<&str>, merged_at: Timestamp) -> Option<(&'a [ListedBy], bool)> {
    for life in lives.iter().rev() {
        if let Some(last) = life.iter().rposition(|push| Some(push.after.as_str()) == head) {
            return Some((&life[..=last], true));
        }
    }

    let mut newest: Option<&[ListedBy]> = None;
    for life in lives {
        let known = &life[..life.iter().take_while(|push| push.received_at <= merged_at).count()];
        let Some(first) = known.first() else { continue };

        if newest.is_none_or(|newest| newest[0].received_at <= first.received_at) {
            newest = Some(known);
        }
    }

    match newest {
        Some(known) => Some((known, head.is_none())),
        // All lives were received after the merge.
        None => lives.first().map(|life| (life.as_slice(), false)),
    }
}

fn lives_of(pushes: &[&Push]) -> Vec<Vec<ListedBy>> {
    let mut all = Vec::new();
    for life in lives(pushes) {
        let moves = life.into_iter().filter(|push| !push.is_deletion());
        let listed: Vec<ListedBy> = moves.map(listed_by).collect();

        if !listed.is_empty() {
            all.push(listed);
        }
    }

    all
}

fn listed_by(push: &Push) -> ListedBy {
    let shas: Vec<String> = push.commits.iter().map(|commit| commit.sha.clone()).collect();
    ListedBy {
        received_at: push.received_at,
        before: push.before.clone(),
        after: push.after.clone(),
        is_creation: push.is_creation(),
        is_whole: i64::try_from(shas.len()).is_ok_and(|known| known >= push.total),
        shas,
    }
}

fn landings_of(pushes: &[&Push]) -> Landings {
    let mut landings = Landings::new();
    for (place, push) in pushes.iter().enumerate() {
        for sha in push.commits.iter().map(|commit| &commit.sha).chain([&push.after]) {
            landings.entry(sha.clone()).or_default().push(place);
        }
    }

    landings
}

/// The paths of a commit. A merge has none of its own. None if the paths are unknown.
fn paths_of(one: &Commit) -> Option<Vec<u64>> {
    let paths = &one.details.paths;
    if one.is_merge() {
        return Some(Vec::new());
    }

    let is_known = *paths != Paths::default();
    is_known.then(|| {
        [&paths.added, &paths.modified, &paths.removed]
            .into_iter()
            .flatten()
            .copied()
            .collect()
    })
}
