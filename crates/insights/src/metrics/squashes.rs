//! Finds commits that are the result of squashing a merge request.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::branches::{Listed, Push};
use crate::merge_requests::MergeRequest;
use quickdraw_domain::Timestamp;

/// Maximum time between the merge and a squash that is only recognised by its time and paths.
const NEAR: Duration = Duration::from_secs(600);

/// The paths of commits, by project and SHA; None if the paths are unknown.
pub(super) type PathsOf = HashMap<(i64, String), Option<Vec<u64>>>;

/// Pushes by project and branch.
type ByBranch<'a> = HashMap<(i64, &'a str), Vec<&'a Push>>;

/// Finds the commits that stand for all commits of a merge request, if those are known, by project and SHA.
pub(super) fn squashes(merge_requests: &[&MergeRequest], pushes: &[&Push], paths: &PathsOf) -> HashSet<(i64, String)> {
    let mut by_branch: ByBranch<'_> = HashMap::new();
    // The push that brought a commit to a branch.
    let mut brought: HashMap<(i64, &str, &str), &Push> = HashMap::new();

    for push in pushes.iter().copied() {
        let Some(branch) = push.git_ref.strip_prefix("refs/heads/") else {
            continue;
        };
        by_branch.entry((push.project, branch)).or_default().push(push);

        for commit in &push.commits {
            brought.insert((push.project, branch, commit.sha.as_str()), push);
        }
    }

    let mut found = HashSet::new();
    for one in merge_requests.iter().copied().filter(|one| one.is_merged()) {
        let (Some(source), Some(target)) = (one.source_branch.as_deref(), one.target_branch()) else {
            continue;
        };
        let Some(of_source) = by_branch.get(&(one.project, source)) else {
            continue;
        };

        let own: HashSet<&str> = of_source
            .iter()
            .flat_map(|push| &push.commits)
            .map(|commit| commit.sha.as_str())
            .collect();

        if own.is_empty() {
            continue;
        }

        if let Some(sha) = one.squash_commit.as_ref().filter(|sha| !own.contains(sha.as_str())) {
            found.insert((one.project, sha.clone()));
            continue;
        }

        let named = one
            .merge_commit
            .as_deref()
            .and_then(|sha| brought.get(&(one.project, target, sha)));

        let sha = match (named, one.merged_at()) {
            (Some(push), _) => pushed_with_merge(push, one.merge_commit.as_deref(), &own),
            (None, Some(merged_at)) => {
                let on_target = by_branch
                    .get(&(one.project, target))
                    .map(Vec::as_slice)
                    .unwrap_or_default();
                with_same_paths(one.project, on_target, merged_at, &own, paths)
            }
            (None, None) => None,
        };
        found.extend(sha.map(|sha| (one.project, sha.to_owned())));
    }

    found
}

/// The only commit that was pushed with the merge commit, if it is not one of the merge request's own commits.
fn pushed_with_merge<'a>(push: &'a Push, merge_commit: Option<&str>, own: &HashSet<&str>) -> Option<&'a str> {
    let is_merge = |commit: &&Listed| commit.is_merge || Some(commit.sha.as_str()) == merge_commit;
    let mut others = push.commits.iter().filter(|commit| !is_merge(commit));
    let (first, second) = (others.next()?, others.next());

    (second.is_none() && !own.contains(first.sha.as_str())).then_some(first.sha.as_str())
}

/// Finds a commit of the target branch that was made at the time of the merge and touches the same paths as the merge
/// request.
fn with_same_paths<'a>(
    project: i64,
    on_target: &[&'a Push],
    merged_at: Timestamp,
    own: &HashSet<&str>,
    paths: &PathsOf,
) -> Option<&'a str> {
    let touched = |sha: &str| paths.get(&(project, sha.to_owned())).and_then(Option::as_ref);
    let mut all: HashSet<u64> = HashSet::new();

    for sha in own {
        all.extend(touched(sha)?);
    }

    if all.is_empty() {
        return None;
    }

    let is_near = |at: Timestamp| merged_at.minus(NEAR) <= at && at <= merged_at.plus(NEAR);
    for commit in on_target.iter().copied().flat_map(|push| &push.commits) {
        if commit.is_merge || own.contains(commit.sha.as_str()) || !commit.at.is_some_and(is_near) {
            continue;
        }

        let is_same = touched(&commit.sha).is_some_and(|one| one.iter().copied().collect::<HashSet<u64>>() == all);
        if is_same {
            return Some(commit.sha.as_str());
        }
    }

    None
}
