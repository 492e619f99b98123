//! What one commit gives to each insight.

use super::{Kind, Metric, Sample, Sampler, View};
use crate::commits::{Commit, Paths};
use crate::entity::number;

const MERGE: &str = "it is a merge";

pub(super) const METRICS: [Metric; 18] = [
    Metric {
        name: "commits",
        kind: Kind::Count,
        help: "Distinct commits of a project without merges, by committer time, whoever pushed them and however often.",
        follows: "DevLake, GitHub's contributors; GitLab's contribution analytics count a commit with every push",
        sample: Sampler::Commit(|one, _| work(one, |_| 1)),
    },
    Metric {
        name: "merge_commits",
        kind: Kind::Count,
        help: "Commits that a merge request names as its merge commit, or whose message is one of git's for merges.",
        follows: "ours: from merge requests, and git's messages",
        sample: Sampler::Commit(
            |one, _| {
                if one.is_merge() { Sample::In(one.at(), 1) } else { Sample::Out("it is no merge") }
            },
        ),
    },
    Metric {
        name: "commits_landed",
        kind: Kind::Count,
        help: "Commits without merges that some push to the default branch listed.",
        follows: "ours: under squashing, activity and what landed differ",
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
        help: "Distinct authors, messages without trailers and paths of commits: rebasing and cherry-picking do not make two of one, \
            squashing does (`changes`). Each once for every part of a series.",
        follows: "ours: what a forced push or a cherry-pick repeats",
        sample: Sampler::Commit(|one, _| change(one)),
    },
    Metric {
        name: "changes",
        kind: Kind::Distinct,
        help: "The same without the commits to which merge requests squashed others that are known: a change counts once, however it was \
            rebased, cherry-picked or squashed.",
        follows: "ours: under squashing, commits count what was squashed and the result",
        sample: Sampler::Once(|one, view| {
            if view.around.is_squash(one) {
                return Sample::Out("a merge request squashed others to it, and those are counted");
            }
            change(one)
        }),
    },
    Metric {
        name: "commits_distinct",
        kind: Kind::Distinct,
        help: "Distinct commits without merges over all projects: one that a fork has too counts once. Each once for every part of a series.",
        follows: "DevLake: distinct commits",
        sample: Sampler::Commit(|one, _| {
            if one.is_merge() { Sample::Out(MERGE) } else { Sample::In(one.at(), number(&[&one.sha])) }
        }),
    },
    Metric {
        name: "active_days",
        kind: Kind::Distinct,
        help: "Days of the zone with a commit that is no merge; of one member, asked for or grouped by, the days on which they committed.",
        follows: "DevLake: coding days",
        sample: Sampler::Commit(|one, view| {
            if one.is_merge() { Sample::Out(MERGE) } else { Sample::In(one.at(), view.day_of(one.at())) }
        }),
    },
    Metric {
        name: "coding_days_share",
        kind: Kind::DistinctPerWorkingDay,
        help: "Days of the zone with a commit that is no merge, for each day from Monday to Friday; with work on weekends, more than 1.",
        follows: "DevLake: coding days",
        sample: Sampler::Commit(|one, view| {
            if one.is_merge() { Sample::Out(MERGE) } else { Sample::In(one.at(), view.day_of(one.at())) }
        }),
    },
    Metric {
        name: "time_distribution",
        kind: Kind::Week,
        help: "Commits without merges at each weekday and hour of the zone. The clock on which somebody committed can be another one: see \
            `time_distribution_author`.",
        follows: "GitHub: punch card",
        sample: Sampler::Commit(|one, view| at_hour(one, view, None)),
    },
    Metric {
        name: "time_distribution_author",
        kind: Kind::Week,
        help: "Commits without merges at each weekday and hour on the committer's own clock, as commits tell its offset; some tools always \
            write UTC.",
        follows: "GrimoireLab: local time",
        sample: Sampler::Commit(|one, view| {
            if one.told.undated {
                return Sample::Out("it tells no time");
            }
            at_hour(one, view, Some(one.told.offset_minutes))
        }),
    },
    Metric {
        name: "time_distribution_utc",
        kind: Kind::Week,
        help: "Commits without merges at each weekday and hour of UTC.",
        follows: "DevLake, GrimoireLab",
        sample: Sampler::Commit(|one, view| at_hour(one, view, Some(0))),
    },
    Metric {
        name: "work_balance",
        kind: Kind::Balance,
        help: "How unevenly commits without merges are spread over people, from 0 to 1; of a team, those count too who made none.",
        follows: "the Gini coefficient",
        sample: Sampler::Commit(person),
    },
    Metric {
        name: "contributors",
        kind: Kind::People,
        help: "People with a commit that is no merge, each once for every part of a series. People who are no members are told apart by address, \
            whatever the name, and by account where a private address names one.",
        follows: "GitHub and GitLab: contributors, by address; OpenTelemetry: vcs.contributor.count",
        sample: Sampler::Commit(person),
    },
    Metric {
        name: "burst_share",
        kind: Kind::Share,
        help: "The share of commits in the last fifth of the days of the window, rounded up; in a series, of that and not of its parts.",
        follows: "GitPulse: last-minute burst; CHAOSS: burstiness",
        sample: Sampler::Commit(|one, view| {
            let is_late = one.at() >= view.last_fifth();
            if one.is_merge() { Sample::Out(MERGE) } else { Sample::In(one.at(), i64::from(is_late)) }
        }),
    },
    Metric {
        name: "files_added",
        kind: Kind::Count,
        help: "Paths that commits added, renamed ones too. There are no line counts in webhooks.",
        follows: "GitLab's bodies",
        sample: Sampler::Commit(|one, _| work(one, |paths| paths.added.len())),
    },
    Metric {
        name: "files_modified",
        kind: Kind::Count,
        help: "Paths that commits modified, with every commit.",
        follows: "GitLab's bodies",
        sample: Sampler::Commit(|one, _| work(one, |paths| paths.modified.len())),
    },
    Metric {
        name: "files_removed",
        kind: Kind::Count,
        help: "Paths that commits removed.",
        follows: "GitLab's bodies",
        sample: Sampler::Commit(|one, _| work(one, |paths| paths.removed.len())),
    },
    Metric {
        name: "files_touched",
        kind: Kind::Distinct,
        help: "Distinct paths of projects that commits touched, each once for every part of a series.",
        follows: "CHAOSS",
        sample: Sampler::Commit(|one, _| {
            if one.is_merge() {
                return Sample::Out(MERGE);
            }
            let Paths { added, modified, removed } = &one.told.paths;
            let all = added.iter().chain(modified).chain(removed);
            Sample::Many(all.map(|path| (one.at(), path.cast_signed() ^ one.project)).collect())
        }),
    },
];

/// A number for what it changes.
fn change(one: &Commit) -> Sample {
    let change = one.told.change.first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes));
    if one.is_merge() { Sample::Out(MERGE) } else { Sample::In(one.at(), change ^ one.project) }
}

/// A number for the person who wrote it.
fn person(one: &Commit, view: &View<'_>) -> Sample {
    if one.is_merge() {
        return Sample::Out(MERGE);
    }
    Sample::In(one.at(), view.people.contributor(&one.told.author))
}

fn at_hour(one: &Commit, view: &View<'_>, minutes: Option<i16>) -> Sample {
    if one.is_merge() { Sample::Out(MERGE) } else { Sample::In(one.at(), view.hour_of_week(one.at(), minutes)) }
}

fn work(one: &Commit, value: impl Fn(&Paths) -> usize) -> Sample {
    if one.is_merge() {
        return Sample::Out(MERGE);
    }
    Sample::In(one.at(), i64::try_from(value(&one.told.paths)).unwrap_or(i64::MAX))
}
