//! Metrics of pushes and branches.

use std::time::Duration;

use super::{Kind, Metric, Sample, Sampler, View, span};
use crate::branches::{Branch, Push, rewrites};
use crate::chain::{Change, Deployed};
use crate::entity::seconds;

/// Minimum time without a commit after which a branch is stale. GitLab uses three months.
const STALE: Duration = Duration::from_secs(90 * 86_400);

pub(super) const METRICS: [Metric; 10] = [
    Metric {
        name: "pushes",
        kind: Kind::Count,
        help: "Pushes to branches, by time of receipt. A push with the same commits before and after counts once.",
        defined_by: "GitLab, but without repeated deliveries",
        sample: Sampler::Push(|one, _| Sample::In(one.received_at, 1)),
    },
    Metric {
        name: "commits_unlisted",
        kind: Kind::Count,
        help: "Commits that pushes counted but did not list, because GitLab lists only 20. It is an upper bound and \
            belongs to no member. The same push to several branches counts once.",
        defined_by: "GitLab's bodies: total_commits_count",
        sample: Sampler::Push(|one, view| match view.context.unlisted_of(one) {
            None => Sample::Out("the same push to another branch is counted"),
            Some(unlisted @ 1..) => Sample::In(one.received_at, unlisted),
            Some(_) => Sample::Out("it lists all of its commits"),
        }),
    },
    Metric {
        name: "branches_created",
        kind: Kind::Count,
        help: "Created branches, by time of receipt.",
        defined_by: "CHAOSS: branch lifecycle",
        sample: Sampler::Push(|one, _| when(one.is_creation(), one, "it did not create a branch")),
    },
    Metric {
        name: "branches_deleted",
        kind: Kind::Count,
        help: "Deleted branches, by time of receipt.",
        defined_by: "CHAOSS: branch lifecycle",
        sample: Sampler::Push(|one, _| when(one.is_deletion(), one, "it did not delete a branch")),
    },
    Metric {
        name: "branches_active",
        kind: Kind::Distinct,
        help: "Branches with a push, each once. In a series, a branch counts once in each interval.",
        defined_by: "CHAOSS: branch lifecycle",
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
        help: "Pushes that list a change which the branch already had under another SHA, or that remove commits. It is \
            a lower bound, because events cannot prove a forced push.",
        defined_by: "requested for GrimoireLab; from payloads alone",
        sample: Sampler::Pushes(rewrites),
    },
    Metric {
        name: "branches_open",
        kind: Kind::Gauge,
        help: "Branches that existed at the end of the window.",
        defined_by: "CHAOSS: branch lifecycle",
        sample: Sampler::Branch(|one, view| open(one, view, true)),
    },
    Metric {
        name: "stale_branches",
        kind: Kind::Gauge,
        help: "Branches that existed at the end of the window and had no commit in the 90 days (or `older_than`) \
            before.",
        defined_by: "GitLab: stale branches",
        sample: Sampler::Branch(|one, view| {
            // A commit that was made after the last push in the window belongs to a later push.
            let pushed = view.context.moves(one).and_then(|moves| moves.last_before(view.to));
            let pushed = pushed.unwrap_or(one.first_received_at);
            let last = one.last_commit_at.unwrap_or(pushed).min(pushed);

            open(
                one,
                view,
                !one.is_default && last < view.to.minus(view.older_than(STALE)),
            )
        }),
    },
    Metric {
        name: "branch_lifetime",
        kind: Kind::Duration,
        help: "Time from the creation of a branch, or its first commit, to its deletion, by time of deletion. Pushes \
            have no time of their own, so times of receipt are used.",
        defined_by: "CHAOSS: branch lifecycle",
        sample: Sampler::Branch(|one, view| {
            let Some(moves) = view.context.moves(one) else {
                return Sample::Out("its pushes are no longer stored");
            };
            let mut spans = Vec::new();

            for life in moves.lives() {
                // The first commit belongs to the first life.
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
        help: "Time from a commit to the first successful deployment to production that contains it, by time of the \
            deployment. All commits of pushes to the default branch count, except merges. Squashing hides the first \
            commits.",
        defined_by: "DORA and four-keys: lead time for changes",
        sample: Sampler::Landed(|one, view| {
            if !one.is_default || one.is_deletion() {
                return Sample::Out("it did not move the default branch");
            }

            if one.is_creation() {
                return Sample::Out("it created the default branch with commits that existed before");
            }

            let commits = one
                .commits
                .iter()
                .filter(|commit| !commit.is_merge && !view.context.is_merge_commit(one.project, &commit.sha));

            let spans = |at| {
                commits
                    .filter_map(|commit| Some((at, seconds(commit.at?, at))))
                    .collect()
            };

            // A push has no time of its own, but it is not older than its newest commit.
            let newest = one.commits.iter().filter_map(|commit| commit.at).max();
            let not_before = newest.map(|newest| newest.min(one.received_at));

            let change = Change {
                shas: &[one.after.as_str()],
                at: one.received_at,
                not_before,
            };

            match view.context.deployed(one.project, &change) {
                Deployed::At(at) => Sample::Many(spans(at)),
                Deployed::After(at, why) => Sample::About(spans(at), why),
                Deployed::Not(why) => Sample::Out(why),
            }
        }),
    },
];

/// Time from merge to deployment.
pub(super) const LEAD_TIME: Metric = Metric {
    name: "lead_time_for_changes",
    kind: Kind::Duration,
    help: "Time from the merge to the first successful deployment to production that contains the change, by time of \
        the deployment. A deployment contains it if its commit is the merged one or a later one in the chain of pushes \
        to the default branch. If pushes are missing or the commit is unknown, the first deployment after the merge \
        counts whose commit is not known to be older. The explanation marks such values.",
    defined_by: "GitLab: DORA metrics (median)",
    sample: Sampler::Delivered(|one, view| {
        let Some(merged_at) = one.merged_at() else {
            return Sample::Out("it is not merged, or no event reported when");
        };
        let shas: Vec<&str> = one.landed_as().collect();

        let change = Change {
            shas: &shas,
            at: merged_at,
            not_before: Some(merged_at),
        };

        match view.context.deployed(one.project, &change) {
            Deployed::At(at) => span(at, merged_at, at),
            Deployed::After(at, why) => Sample::About(vec![(at, seconds(merged_at, at))], why),
            Deployed::Not(why) => Sample::Out(why),
        }
    }),
};

fn when(is_so: bool, one: &Push, otherwise: &'static str) -> Sample {
    if is_so {
        Sample::In(one.received_at, 1)
    } else {
        Sample::Out(otherwise)
    }
}

fn open(one: &Branch, view: &View<'_>, and: bool) -> Sample {
    if one.first_received_at >= view.to {
        return Sample::Out("it was created later");
    }

    match view.context.moves(one).and_then(|moves| moves.deleted_at(view.to)) {
        Some(_) => Sample::Out("it was deleted"),
        None if and => Sample::In(view.to, 1),
        None => Sample::Out("it is the default branch, or it has newer commits"),
    }
}
