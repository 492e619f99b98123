//! Metrics of commits.

use super::{Kind, Metric, Sample, Sampler, View};
use crate::commits::{Commit, Paths};
use crate::entity::number;

const MERGE: &str = "it is a merge";

pub(super) const METRICS: [Metric; 18] = [
    Metric {
        name: "commits",
        kind: Kind::Count,
        help: "Distinct commits of each project without merges, by committer time. Repeated pushes of a commit do not \
            count.",
        defined_by: "DevLake, GitHub's contributors; GitLab's contribution analytics count a commit with every push",
        sample: Sampler::Commit(|one, _| work(one, |_| 1)),
    },
    Metric {
        name: "merge_commits",
        kind: Kind::Count,
        help: "Merge commits: commits that a merge request names as its merge commit, or that have one of git's \
            messages for merges.",
        defined_by: "Quickdraw: merge requests and git's messages",
        sample: Sampler::Commit(|one, _| {
            if one.is_merge() {
                Sample::In(one.at(), 1)
            } else {
                Sample::Out("it is not a merge")
            }
        }),
    },
    Metric {
        name: "commits_landed",
        kind: Kind::Count,
        help: "Commits without merges in pushes to the default branch.",
        defined_by: "Quickdraw: with squashing, activity and landed commits differ",
        sample: Sampler::Commit(|one, _| {
            if !one.landed {
                return Sample::Out("no push to the default branch listed it");
            }

            work(one, |_| 1)
        }),
    },
    Metric {
        name: "unique_changes",
        kind: Kind::Distinct,
        help: "Distinct changes: commits with different author, paths, or message without trailers. A rebased or \
            cherry-picked change counts once, a squashed one again (see `changes`). In a series, a change counts once \
            in each interval.",
        defined_by: "Quickdraw: without the repeats of forced pushes and cherry-picks",
        sample: Sampler::Commit(|one, _| change(one)),
    },
    Metric {
        name: "changes",
        kind: Kind::Distinct,
        help: "Distinct changes as in `unique_changes`, without the results of squashing if the squashed commits are \
            known. A change counts once even if it was rebased, cherry-picked or squashed.",
        defined_by: "Quickdraw: with squashing, `commits` counts both the squashed commits and the result",
        sample: Sampler::Once(|one, view| {
            if view.context.is_squash(one) {
                return Sample::Out("it is the result of squashing, and the squashed commits are counted");
            }

            change(one)
        }),
    },
    Metric {
        name: "commits_distinct",
        kind: Kind::Distinct,
        help: "Distinct commits without merges over all projects. A commit that a fork also has counts once. In a \
            series, a commit counts once in each interval.",
        defined_by: "DevLake: distinct commits",
        sample: Sampler::Commit(|one, _| {
            if one.is_merge() {
                Sample::Out(MERGE)
            } else {
                Sample::In(one.at(), number(&[&one.sha]))
            }
        }),
    },
    Metric {
        name: "active_days",
        kind: Kind::Distinct,
        help: "Days, in the zone of the question, with a commit that is not a merge. With a member as filter or \
            grouping, the days on which this member committed.",
        defined_by: "DevLake: coding days",
        sample: Sampler::Commit(|one, view| {
            if one.is_merge() {
                Sample::Out(MERGE)
            } else {
                Sample::In(one.at(), view.day_of(one.at()))
            }
        }),
    },
    Metric {
        name: "coding_days_share",
        kind: Kind::DistinctPerWorkingDay,
        help: "Days with a commit that is not a merge, divided by the days from Monday to Friday. Work on weekends can \
            raise it above 1.",
        defined_by: "DevLake: coding days",
        sample: Sampler::Commit(|one, view| {
            if one.is_merge() {
                Sample::Out(MERGE)
            } else {
                Sample::In(one.at(), view.day_of(one.at()))
            }
        }),
    },
    Metric {
        name: "time_distribution",
        kind: Kind::Week,
        help: "Commits without merges by weekday and hour, in the zone of the question. The committer's own clock can \
            differ: see `time_distribution_author`.",
        defined_by: "GitHub: punch card",
        sample: Sampler::Commit(|one, view| at_hour(one, view, None)),
    },
    Metric {
        name: "time_distribution_author",
        kind: Kind::Week,
        help: "Commits without merges by weekday and hour on the committer's own clock, using the offset in the \
            commit. Some tools always write UTC.",
        defined_by: "GrimoireLab: local time",
        sample: Sampler::Commit(|one, view| {
            if one.details.undated {
                return Sample::Out("its time is unknown");
            }

            at_hour(one, view, Some(one.details.offset_minutes))
        }),
    },
    Metric {
        name: "time_distribution_utc",
        kind: Kind::Week,
        help: "Commits without merges by weekday and hour in UTC.",
        defined_by: "DevLake, GrimoireLab",
        sample: Sampler::Commit(|one, view| at_hour(one, view, Some(0))),
    },
    Metric {
        name: "work_balance",
        kind: Kind::Balance,
        help: "Distribution of commits without merges over people, from 0 (all made the same number) to 1 (one person \
            made all). For a team, members without commits count too.",
        defined_by: "the Gini coefficient",
        sample: Sampler::Commit(person),
    },
    Metric {
        name: "contributors",
        kind: Kind::People,
        help: "People with a commit that is not a merge, each once. In a series, a person counts once in each \
            interval. Authors who are not members are distinguished by address and not by name, or by account if a \
            private address names one.",
        defined_by: "GitHub and GitLab: contributors, by address; OpenTelemetry: vcs.contributor.count",
        sample: Sampler::Commit(person),
    },
    Metric {
        name: "burst_share",
        kind: Kind::Share,
        help: "Share of the commits that were made in the last fifth of the days of the window, rounded up. A series \
            uses the last fifth of the whole window.",
        defined_by: "GitPulse: last-minute burst; CHAOSS: burstiness",
        sample: Sampler::Commit(|one, view| {
            let is_late = one.at() >= view.last_fifth();
            if one.is_merge() {
                Sample::Out(MERGE)
            } else {
                Sample::In(one.at(), i64::from(is_late))
            }
        }),
    },
    Metric {
        name: "files_added",
        kind: Kind::Count,
        help: "Paths that commits added, including new names of renamed files. Webhooks contain no line counts.",
        defined_by: "GitLab's bodies",
        sample: Sampler::Commit(|one, _| work(one, |paths| paths.added.len())),
    },
    Metric {
        name: "files_modified",
        kind: Kind::Count,
        help: "Paths that commits modified. A path counts once for each commit.",
        defined_by: "GitLab's bodies",
        sample: Sampler::Commit(|one, _| work(one, |paths| paths.modified.len())),
    },
    Metric {
        name: "files_removed",
        kind: Kind::Count,
        help: "Paths that commits removed.",
        defined_by: "GitLab's bodies",
        sample: Sampler::Commit(|one, _| work(one, |paths| paths.removed.len())),
    },
    Metric {
        name: "files_touched",
        kind: Kind::Distinct,
        help: "Distinct paths that commits touched, per project. In a series, a path counts once in each interval.",
        defined_by: "CHAOSS",
        sample: Sampler::Commit(|one, _| {
            if one.is_merge() {
                return Sample::Out(MERGE);
            }

            let Paths {
                added,
                modified,
                removed,
            } = &one.details.paths;

            let all = added.iter().chain(modified).chain(removed);
            Sample::Many(all.map(|path| (one.at(), path.cast_signed() ^ one.project)).collect())
        }),
    },
];

/// A number that identifies the change.
fn change(one: &Commit) -> Sample {
    let change = one
        .details
        .change
        .first_chunk()
        .map_or(0, |bytes| i64::from_be_bytes(*bytes));

    if one.is_merge() {
        Sample::Out(MERGE)
    } else {
        Sample::In(one.at(), change ^ one.project)
    }
}

/// A number that identifies the author.
fn person(one: &Commit, view: &View<'_>) -> Sample {
    if one.is_merge() {
        return Sample::Out(MERGE);
    }

    Sample::In(one.at(), view.people.contributor(&one.details.author))
}

fn at_hour(one: &Commit, view: &View<'_>, minutes: Option<i16>) -> Sample {
    if one.is_merge() {
        Sample::Out(MERGE)
    } else {
        Sample::In(one.at(), view.hour_of_week(one.at(), minutes))
    }
}

fn work(one: &Commit, value: impl Fn(&Paths) -> usize) -> Sample {
    if one.is_merge() {
        return Sample::Out(MERGE);
    }

    Sample::In(one.at(), i64::try_from(value(&one.details.paths)).unwrap_or(i64::MAX))
}
