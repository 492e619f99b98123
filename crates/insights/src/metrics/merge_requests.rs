//! Metrics of merge requests.

use std::collections::HashSet;
use std::time::Duration;

use super::{Kind, Metric, NOT_CREATED, Sample, Sampler, View, span};
use crate::entity::distinct_times;
use crate::merge_requests::{Action, MergeRequest};
use quickdraw_domain::Timestamp;

/// Default time after which a merge request without a review counts as waiting.
const WAITING: Duration = Duration::from_secs(86_400);

const NOT_MERGED: &str = "it is not merged";
const MERGED_UNSEEN: &str = "it is merged, but no event reported when";
const NOT_REVIEWED: &str = "no other person commented on it or approved it before the merge";
const NO_OPENING: &str = "its opening was not received, so it may have begun as a draft";

pub(super) const METRICS: [Metric; 28] = [
    Metric {
        name: "mr_opened",
        kind: Kind::Count,
        help: "Merge requests by time of creation, even if the event of the creation was not received.",
        defined_by: "GitLab, DevLake",
        sample: Sampler::MergeRequest(|one, _| created(one, |at| Sample::In(at, 1))),
    },
    Metric {
        name: "mr_merged",
        kind: Kind::Count,
        help: "Merged merge requests, by time of the merge.",
        defined_by: "GitLab's merge request analytics",
        sample: Sampler::MergeRequest(|one, _| seen_merged(one, |at| Sample::In(at, 1))),
    },
    Metric {
        name: "mr_closed_unmerged",
        kind: Kind::Count,
        help: "Merge requests that are closed and were never merged, by time of the last close.",
        defined_by: "CHAOSS: change requests declined",
        sample: Sampler::MergeRequest(|one, _| {
            one.closed_at()
                .map_or(Sample::Out("it is not closed without a merge"), |at| Sample::In(at, 1))
        }),
    },
    Metric {
        name: "mr_open",
        kind: Kind::Gauge,
        help: "Merge requests that were open at the end of the window, as far as is known now.",
        defined_by: "GitLab",
        sample: Sampler::MergeRequest(|one, view| match one.created_at {
            None => Sample::Out(NOT_CREATED),
            Some(at) if at >= view.to => Sample::Out("it was created later"),
            Some(_) if one.is_open_at(view.to).is_none() => Sample::Out("it was merged or closed"),
            Some(_) => Sample::In(view.to, 1),
        }),
    },
    Metric {
        name: "merge_rate",
        kind: Kind::Share,
        help: "Share of the merge requests created in the window that are merged by now. It can still grow.",
        defined_by: "DevLake: PR merge rate",
        sample: Sampler::MergeRequest(|one, _| created(one, |at| Sample::In(at, i64::from(one.is_merged())))),
    },
    Metric {
        name: "acceptance_ratio",
        kind: Kind::Share,
        help: "Merged merge requests as a share of all that were merged or closed for good.",
        defined_by: "Quickdraw: a share; CHAOSS divides accepted by declined ones",
        sample: Sampler::MergeRequest(|one, _| match (one.merged_or_seen_at(), one.closed_at()) {
            (Some(at), _) => Sample::In(at, 1),
            (None, Some(at)) => Sample::In(at, 0),
            _ => Sample::Out("it is neither merged nor closed"),
        }),
    },
    Metric {
        name: "time_to_merge",
        kind: Kind::Duration,
        help: "Time from creation to merge, of merge requests merged in the window.",
        defined_by: "GitLab (mean), CHAOSS (median); by date of the merge",
        sample: Sampler::MergeRequest(|one, _| {
            merged(one, |at| {
                one.created_at
                    .map_or(Sample::Out(NOT_CREATED), |from| span(at, from, at))
            })
        }),
    },
    Metric {
        name: "time_to_merge_active",
        kind: Kind::Duration,
        help: "`time_to_merge` without the time as a draft or closed.",
        defined_by: "middleware, issue-metrics",
        sample: Sampler::MergeRequest(|one, _| merged(one, |at| active(one, at, at))),
    },
    Metric {
        name: "time_to_first_review",
        kind: Kind::Duration,
        help: "Time from creation to the first comment or approval by another person. Bots do not count.",
        defined_by: "DevLake: pickup time",
        sample: Sampler::MergeRequest(|one, view| {
            first_review(one, view, |at| {
                one.created_at
                    .map_or(Sample::Out(NOT_CREATED), |from| span(at, from, at))
            })
        }),
    },
    Metric {
        name: "time_to_first_review_active",
        kind: Kind::Duration,
        help: "`time_to_first_review` without the time as a draft or closed.",
        defined_by: "DevLake, without drafts",
        sample: Sampler::MergeRequest(|one, view| first_review(one, view, |at| active(one, at, at))),
    },
    Metric {
        name: "time_in_review",
        kind: Kind::Duration,
        help: "Time from the first review to the merge.",
        defined_by: "DevLake: review time",
        sample: Sampler::MergeRequest(|one, view| merged(one, |end| first_review(one, view, |at| span(end, at, end)))),
    },
    Metric {
        name: "time_to_first_approval",
        kind: Kind::Duration,
        help: "Time from creation to the first approval by another person. Bots do not count.",
        defined_by: "OpenTelemetry: vcs.change.time_to_approval",
        sample: Sampler::MergeRequest(|one, view| {
            let Some((at, _)) = approvals(one, view).into_iter().next() else {
                return Sample::Out("no other person approved it before the merge");
            };
            one.created_at
                .map_or(Sample::Out(NOT_CREATED), |from| span(at, from, at))
        }),
    },
    Metric {
        name: "time_approved_to_merge",
        kind: Kind::Duration,
        help: "Time from the last approval before the merge to the merge.",
        defined_by: "middleware: merge time",
        sample: Sampler::MergeRequest(|one, view| {
            merged(one, |end| {
                let approvals = one
                    .observations
                    .iter()
                    .filter(|seen| seen.action == Action::Approve && seen.at <= end);
                let others = approvals.filter(|seen| !view.people.is_bot(seen.actor));
                let last = others.map(|seen| seen.at).next_back();
                last.map_or(Sample::Out("no person approved it before the merge"), |at| {
                    span(end, at, end)
                })
            })
        }),
    },
    Metric {
        name: "rework_rounds",
        kind: Kind::Mean,
        help: "Mean number of pushes to the source branch after the first review, of merge requests merged in the \
            window.",
        defined_by: "middleware: rework cycles",
        sample: Sampler::MergeRequest(|one, view| {
            merged(one, |end| {
                let first = reviews(one, view).first().map(|(at, _)| *at);
                let pushes = one
                    .times(Action::Push)
                    .filter(|at| *at <= end && first.is_some_and(|first| *at > first));
                Sample::In(end, i64::try_from(distinct_times(pushes).len()).unwrap_or(i64::MAX))
            })
        }),
    },
    Metric {
        name: "mr_files",
        kind: Kind::Mean,
        help: "Mean number of distinct paths, of merge requests merged in the window. Paths come from the commits in \
            pushes to the source branch. Commits that another push brought to the target branch, as after a rebase, do \
            not count.",
        defined_by: "DevLake: size of a pull request, in files; webhooks contain no lines",
        sample: Sampler::Changed(|one, view| {
            merged(one, |end| {
                let count = |files| vec![(end, i64::try_from(files).unwrap_or(i64::MAX))];
                match view.context.files_of(one, end) {
                    None => Sample::Out("no push to its source branch is known, or the branch is in a fork"),
                    Some(found) if found.is_whole => Sample::Many(count(found.paths)),
                    Some(found) => Sample::About(count(found.paths), "not all of its commits are known"),
                }
            })
        }),
    },
    Metric {
        name: "review_coverage",
        kind: Kind::Share,
        help: "Share of the merged merge requests that another person reviewed. Bots do not count.",
        defined_by: "DevLake: merged without review, inverted",
        sample: Sampler::MergeRequest(|one, view| {
            seen_merged(one, |at| Sample::In(at, i64::from(!reviews(one, view).is_empty())))
        }),
    },
    Metric {
        name: "self_merged",
        kind: Kind::Count,
        help: "Merge requests that their authors merged.",
        defined_by: "GitPulse",
        sample: Sampler::MergeRequest(|one, _| {
            merged(one, |at| match one.merged_by() {
                Some(who) if who != 0 && Some(who) == one.author => Sample::In(at, 1),
                _ => Sample::Out("another person merged it, or the person is unknown"),
            })
        }),
    },
    Metric {
        name: "review_depth",
        kind: Kind::Mean,
        help: "Mean number of comments by others, without bots, of merge requests merged in the window.",
        defined_by: "DevLake, without authors and bots",
        sample: Sampler::MergeRequest(|one, view| {
            merged(one, |end| {
                let notes = one.notes.values();
                let notes = notes.filter(|note| note.at <= end && !view.is_own_or_bots(one.author, note.author));
                Sample::In(end, i64::try_from(notes.count()).unwrap_or(i64::MAX))
            })
        }),
    },
    Metric {
        name: "mr_reopened",
        kind: Kind::Count,
        help: "Reopened merge requests, by time of the first reopening.",
        defined_by: "CHAOSS",
        sample: Sampler::MergeRequest(|one, _| {
            one.times(Action::Reopen)
                .next()
                .map_or(Sample::Out("it was not reopened"), |at| Sample::In(at, 1))
        }),
    },
    Metric {
        name: "mr_reviewed",
        kind: Kind::Count,
        help: "Merge requests that another person reviewed, by time of the first review. Bots do not count.",
        defined_by: "GitLab: code review analytics",
        sample: Sampler::MergeRequest(|one, view| first_review(one, view, |at| Sample::In(at, 1))),
    },
    Metric {
        name: "mr_reviews",
        kind: Kind::Count,
        help: "Comments and approvals by other people before the merge. Bots do not count.",
        defined_by: "CHAOSS: change request reviews",
        sample: Sampler::Acts(reviews),
    },
    Metric {
        name: "mr_comments",
        kind: Kind::Count,
        help: "Comments by other people before the merge, by time of the comment. Bots do not count. With a member as \
            filter or grouping, the comments that this member wrote.",
        defined_by: "Quickdraw; GitLab's code review analytics count authors too",
        sample: Sampler::Acts(|one, view| one.comments(&|who| view.is_own_or_bots(one.author, who)).collect()),
    },
    Metric {
        name: "mr_reviewed_by",
        kind: Kind::Count,
        help: "Merge requests that people reviewed, once for each reviewer, by time of the first comment or approval.",
        defined_by: "CHAOSS: review participation",
        sample: Sampler::Acts(|one, view| first_of_each(reviews(one, view), view)),
    },
    Metric {
        name: "mr_approved_by",
        kind: Kind::Count,
        help: "Merge requests that people approved, once for each approver, by time of the first approval.",
        defined_by: "GitLab: contribution analytics, approved",
        sample: Sampler::Acts(|one, view| first_of_each(approvals(one, view), view)),
    },
    Metric {
        name: "review_participation",
        kind: Kind::ShareOfPeople,
        help: "Share of the members of a team who reviewed merge requests of others. It has no value without a team or \
            member.",
        defined_by: "CHAOSS: review participation",
        sample: Sampler::Acts(reviews),
    },
    Metric {
        name: "mr_reviewers",
        kind: Kind::People,
        help: "People who reviewed merge requests of others, each once. In a series, a person counts once in each \
            interval.",
        defined_by: "CHAOSS: review participation",
        sample: Sampler::Acts(reviews),
    },
    Metric {
        name: "mr_waiting",
        kind: Kind::Gauge,
        help: "Merge requests that were open and ready at the end of the window and had waited for a first review for \
            more than a day (or `older_than`). The wait begins when the merge request is created, marked as ready, or \
            reopened.",
        defined_by: "GitLab's code review analytics show the reviewed ones",
        sample: Sampler::MergeRequest(|one, view| {
            let is_waiting = one.is_open_at(view.to).is_some_and(|is_draft| !is_draft)
                && one
                    .ready_since(view.to)
                    .is_some_and(|at| at < view.to.minus(view.older_than(WAITING)))
                && reviews(one, view).first().is_none_or(|(at, _)| *at >= view.to);

            if is_waiting {
                Sample::In(view.to, 1)
            } else {
                Sample::Out("it was not waiting for a review")
            }
        }),
    },
    Metric {
        name: "merges_unseen",
        kind: Kind::Count,
        help: "Merge requests that are merged although no merge event was received, by the time at which that was \
            first seen.",
        defined_by: "Quickdraw: completeness, from comments on merged ones",
        sample: Sampler::MergeRequest(|one, _| match one.merged_or_seen_at() {
            None => Sample::Out(NOT_MERGED),
            Some(_) if one.merged_at().is_some() => Sample::Out("its merge event was received"),
            Some(at) => Sample::In(at, 1),
        }),
    },
];

fn reviews(one: &MergeRequest, view: &View<'_>) -> Vec<(Timestamp, i64)> {
    one.reviews(&|who| view.is_own_or_bots(one.author, who))
}

/// Approvals by others, in order.
fn approvals(one: &MergeRequest, view: &View<'_>) -> Vec<(Timestamp, i64)> {
    let mut all: Vec<_> = one.approvals(&|who| view.is_own_or_bots(one.author, who)).collect();
    all.sort_unstable();
    all
}

/// Keeps the first action of each person, in order.
fn first_of_each(mut all: Vec<(Timestamp, i64)>, view: &View<'_>) -> Vec<(Timestamp, i64)> {
    let mut seen = HashSet::new();
    all.retain(|(_, who)| seen.insert(view.people.person(*who)));
    all
}

fn created(one: &MergeRequest, then: impl Fn(Timestamp) -> Sample) -> Sample {
    one.created_at.map_or(Sample::Out(NOT_CREATED), then)
}

/// Requires only that the merge is known, not its time.
fn seen_merged(one: &MergeRequest, then: impl Fn(Timestamp) -> Sample) -> Sample {
    one.merged_or_seen_at().map_or(Sample::Out(NOT_MERGED), then)
}

fn merged(one: &MergeRequest, then: impl Fn(Timestamp) -> Sample) -> Sample {
    match one.merged_at() {
        Some(at) => then(at),
        None if one.is_merged() => Sample::Out(MERGED_UNSEEN),
        None => Sample::Out(NOT_MERGED),
    }
}

fn first_review(one: &MergeRequest, view: &View<'_>, then: impl Fn(Timestamp) -> Sample) -> Sample {
    reviews(one, view)
        .first()
        .map_or(Sample::Out(NOT_REVIEWED), |(at, _)| then(*at))
}

fn active(one: &MergeRequest, at: Timestamp, end: Timestamp) -> Sample {
    one.active_until(end)
        .map_or(Sample::Out(NO_OPENING), |value| Sample::In(at, value))
}
