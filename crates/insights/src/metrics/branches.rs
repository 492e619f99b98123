//! What one push, the pushes of one branch, or one branch gives to each insight.

use std::time::Duration;

use super::{Kind, Metric, Sample, Sampler, View, span};
use crate::branches::{Branch, Push, rewrites};
use crate::chain::{Change, Deployed};
use crate::entity::seconds;

/// How long nobody committed to a stale branch: GitLab has three months.
const STALE: Duration = Duration::from_secs(90 * 86_400);

pub(super) const METRICS: [Metric; 10] = [
    Metric {
        name: "pushes",
        kind: Kind::Count,
        help: "Moves of branches by when they were received, each once: the same move made again is not seen.",
        follows: "GitLab, by what was moved and not by who delivered it",
        sample: Sampler::Push(|one, _| Sample::In(one.received_at, 1)),
    },
    Metric {
        name: "commits_unlisted",
        kind: Kind::Count,
        help: "Commits that pushes counted and did not list: GitLab lists 20. An upper bound that nobody is credited with, each move once \
            on whatever branches it was made.",
        follows: "GitLab's bodies: total_commits_count",
        sample: Sampler::Push(|one, view| match view.around.unlisted_of(one) {
            None => Sample::Out("another branch made the same move"),
            Some(unlisted @ 1..) => Sample::In(one.received_at, unlisted),
            Some(_) => Sample::Out("it lists all of its commits"),
        }),
    },
    Metric {
        name: "branches_created",
        kind: Kind::Count,
        help: "Branches that were made, by when that was received.",
        follows: "CHAOSS: branch lifecycle",
        sample: Sampler::Push(|one, _| when(one.is_creation(), one, "it made no branch")),
    },
    Metric {
        name: "branches_deleted",
        kind: Kind::Count,
        help: "Branches that were deleted, by when that was received.",
        follows: "CHAOSS: branch lifecycle",
        sample: Sampler::Push(|one, _| when(one.is_deletion(), one, "it deleted no branch")),
    },
    Metric {
        name: "branches_active",
        kind: Kind::Distinct,
        help: "Branches that were pushed to, each once for every part of a series.",
        follows: "CHAOSS: branch lifecycle",
        sample: Sampler::Push(|one, _| {
            if one.is_deletion() {
                return Sample::Out("it deleted the branch");
            }
            Sample::In(one.received_at, one.branch())
        }),
    },
    Metric {
        name: "history_rewrites",
        kind: Kind::Count,
        help: "Pushes that list a change which their branch already had under another SHA, or that take commits away. There \
            can be more: events cannot prove a forced push.",
        follows: "asked of GrimoireLab; from payloads alone",
        sample: Sampler::Pushes(rewrites),
    },
    Metric {
        name: "branches_open",
        kind: Kind::Gauge,
        help: "Branches that were there at the end of the window.",
        follows: "CHAOSS: branch lifecycle",
        sample: Sampler::Branch(|one, view| open(one, view, true)),
    },
    Metric {
        name: "stale_branches",
        kind: Kind::Gauge,
        help: "Branches that were there at the end of the window and had no commit in the 90 days before, or \
            `older_than`.",
        follows: "GitLab: stale branches",
        sample: Sampler::Branch(|one, view| {
            // What was committed later than the last push before then is of a later push.
            let pushed = view.around.moves(one).and_then(|moves| moves.last_before(view.to));
            let pushed = pushed.unwrap_or(one.first_received_at);
            let last = one.last_commit_at.unwrap_or(pushed).min(pushed);
            open(one, view, !one.is_default && last < view.to.minus(view.older_than(STALE)))
        }),
    },
    Metric {
        name: "branch_lifetime",
        kind: Kind::Duration,
        help: "From the creation of a branch, or its first commit, to its deletion; by when those were received, because a push has no \
            time of its own.",
        follows: "CHAOSS: branch lifecycle",
        sample: Sampler::Branch(|one, view| {
            let Some(moves) = view.around.moves(one) else { return Sample::Out("no push of it is known any more") };
            let mut spans = Vec::new();
            for life in moves.lives() {
                // The first commit is that of the first life.
                let is_first = moves.first() == Some(life.began_at);
                let commit = one.first_commit_at.filter(|_| is_first);
                let began_at = commit.map_or(life.began_at, |commit| commit.min(life.began_at));
                spans.push((life.ended_at, seconds(began_at, life.ended_at)));
            }
            Sample::Many(spans)
        }),
    },
    Metric {
        name: "commit_lead_time",
        kind: Kind::Duration,
        help: "From the commit to the first successful deployment to production of it or of something behind it, for every commit \
            of a push to the default branch that is no merge; by the time of the deployment. Squashing hides first commits.",
        follows: "DORA and four-keys: lead time for changes",
        sample: Sampler::Landed(|one, view| {
            if !one.is_default || one.is_deletion() {
                return Sample::Out("it did not move the default branch");
            }
            if one.is_creation() {
                return Sample::Out("it made the default branch: what it lists was there before");
            }
            let commits = one
                .commits
                .iter()
                .filter(|commit| !commit.is_merge && !view.around.is_merge_commit(one.project, &commit.sha));
            let spans = |at| commits.filter_map(|commit| Some((at, seconds(commit.at?, at)))).collect();
            // A push has no time of its own, but it cannot be older than its newest commit.
            let newest = one.commits.iter().filter_map(|commit| commit.at).max();
            let not_before = newest.map(|newest| newest.min(one.received_at));
            let change = Change { shas: &[one.after.as_str()], at: one.received_at, not_before };
            match view.around.deployed(one.project, &change) {
                Deployed::At(at) => Sample::Many(spans(at)),
                Deployed::After(at, why) => Sample::About(spans(at), why),
                Deployed::Not(why) => Sample::Out(why),
            }
        }),
    },
];

/// From merge to deployment.
pub(super) const LEAD_TIME: Metric = Metric {
    name: "lead_time_for_changes",
    kind: Kind::Duration,
    help: "From the merge to the first successful deployment to production that has it: of its commit, or of one behind it in \
        the chain of pushes to the default branch; by the time of the deployment. Where pushes are missing or nothing tells the \
        commit, by the first deployment after the merge of a commit that is not known to be older, which the explanation says.",
    follows: "GitLab: DORA metrics (median)",
    sample: Sampler::Delivered(|one, view| {
        let Some(merged_at) = one.merged_at() else { return Sample::Out("it is not merged, or nothing told when") };
        let shas: Vec<&str> = one.landed_as().collect();
        let change = Change { shas: &shas, at: merged_at, not_before: Some(merged_at) };
        match view.around.deployed(one.project, &change) {
            Deployed::At(at) => span(at, merged_at, at),
            Deployed::After(at, why) => Sample::About(vec![(at, seconds(merged_at, at))], why),
            Deployed::Not(why) => Sample::Out(why),
        }
    }),
};

fn when(is_so: bool, one: &Push, otherwise: &'static str) -> Sample {
    if is_so { Sample::In(one.received_at, 1) } else { Sample::Out(otherwise) }
}

fn open(one: &Branch, view: &View<'_>, and: bool) -> Sample {
    if one.first_received_at >= view.to {
        return Sample::Out("it was made later");
    }
    match view.around.moves(one).and_then(|moves| moves.deleted_at(view.to)) {
        Some(_) => Sample::Out("it was deleted"),
        None if and => Sample::In(view.to, 1),
        None => Sample::Out("it is the default branch, or somebody committed to it"),
    }
}
