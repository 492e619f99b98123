//! Metrics of issues and incidents.

use super::{Kind, Metric, NOT_CREATED, Sample, Sampler, Trait, View, span};
use crate::issues::Issue;

const INCIDENT: &str = "it is an incident, which other metrics count";
const NOT_CLOSED: &str = "it is not closed";

pub(super) const METRICS: [Metric; 14] = [
    Metric {
        name: "issues_opened",
        kind: Kind::Count,
        help: "Issues by time of creation.",
        defined_by: "GitLab, DevLake",
        sample: Sampler::Issue(|one, _| counted(one, || created(one))),
    },
    Metric {
        name: "issues_closed",
        kind: Kind::Count,
        help: "Issues that are closed now, by time of the last close.",
        defined_by: "GitLab; a reopened issue counts once although it has several closes",
        sample: Sampler::Issue(|one, _| {
            counted(one, || {
                one.closed_at().map_or(Sample::Out(NOT_CLOSED), |at| Sample::In(at, 1))
            })
        }),
    },
    Metric {
        name: "issue_close_events",
        kind: Kind::Count,
        help: "Closes of issues, by time of each close.",
        defined_by: "GrimoireLab, where both numbers were requested",
        sample: Sampler::Issue(|one, _| counted(one, || Sample::Many(one.closes().map(|at| (at, 1)).collect()))),
    },
    Metric {
        name: "issues_reopened",
        kind: Kind::Count,
        help: "Reopened issues, by time of the first reopening.",
        defined_by: "CHAOSS",
        sample: Sampler::Issue(|one, _| {
            counted(one, || {
                one.reopened_at()
                    .map_or(Sample::Out("it was not reopened"), |at| Sample::In(at, 1))
            })
        }),
    },
    Metric {
        name: "issues_open",
        kind: Kind::Gauge,
        help: "Issues that were open at the end of the window, as far as is known now.",
        defined_by: "GitLab: backlog",
        sample: Sampler::Issue(|one, view| counted(one, || open(one, view))),
    },
    Metric {
        name: "issues_net_flow",
        kind: Kind::Count,
        help: "Created issues minus issues that are closed now (by time of the last close). Above 0, the backlog \
            grows.",
        defined_by: "GitLab: issue analytics, opened and closed",
        sample: Sampler::Issue(|one, _| {
            counted(one, || {
                let opened = one.created_at.map(|at| (at, 1));
                Sample::Many(opened.into_iter().chain(one.closed_at().map(|at| (at, -1))).collect())
            })
        }),
    },
    Metric {
        name: "issue_lead_time",
        kind: Kind::Duration,
        help: "Time from creation to the last close, of issues that are closed now.",
        defined_by: "GitLab: value stream analytics; CHAOSS",
        sample: Sampler::Issue(|one, _| counted(one, || lead_time(one))),
    },
    Metric {
        name: "time_to_first_close",
        kind: Kind::Duration,
        help: "Time from creation to the first close, including issues that were reopened.",
        defined_by: "GrimoireLab",
        sample: Sampler::Issue(|one, _| counted(one, || first_close(one))),
    },
    Metric {
        name: "issue_first_response",
        kind: Kind::Duration,
        help: "Time from creation to the first comment by another person. Bots do not count.",
        defined_by: "CHAOSS: time to first response",
        sample: Sampler::Issue(|one, view| {
            counted(one, || {
                let others = one
                    .notes
                    .values()
                    .filter(|note| !view.is_own_or_bots(one.author, note.author));
                let Some(at) = others.map(|note| note.at).min() else {
                    return Sample::Out("no other person commented on it");
                };
                one.created_at
                    .map_or(Sample::Out(NOT_CREATED), |from| span(at, from, at))
            })
        }),
    },
    Metric {
        name: "label_time",
        kind: Kind::Duration,
        help: "Total time for which issues had the label of the filter, by time of its last removal.",
        defined_by: "GitLab since 16.10: value stream analytics, cumulative",
        sample: Sampler::Labelled(|one, view| {
            let Some(label) = view.choice.only.get(&Trait::Label) else {
                return Sample::Out("the question has no label");
            };
            match one.labels.time_on(label) {
                None => Sample::Out("it never had the label"),
                Some((_, None)) => Sample::Out("it still has the label"),
                Some((total, Some(off))) => Sample::In(off, total),
            }
        }),
    },
    Metric {
        name: "incidents",
        kind: Kind::Count,
        help: "Incidents by time of creation.",
        defined_by: "GitLab",
        sample: Sampler::Issue(|one, _| incident(one, || created(one))),
    },
    Metric {
        name: "incidents_open",
        kind: Kind::Gauge,
        help: "Incidents that were open at the end of the window, as far as is known now.",
        defined_by: "GitLab",
        sample: Sampler::Issue(|one, view| incident(one, || open(one, view))),
    },
    Metric {
        name: "time_to_restore",
        kind: Kind::Duration,
        help: "Time from creation to the last close, of incidents that are closed now.",
        defined_by: "GitLab: DORA metrics (median)",
        sample: Sampler::Issue(|one, _| incident(one, || lead_time(one))),
    },
    Metric {
        name: "time_to_first_restore",
        kind: Kind::Duration,
        help: "Time from creation to the first close of incidents, including those that were reopened.",
        defined_by: "GrimoireLab, of incidents",
        sample: Sampler::Issue(|one, _| incident(one, || first_close(one))),
    },
];

fn incident(one: &Issue, then: impl Fn() -> Sample) -> Sample {
    if one.is_incident {
        then()
    } else {
        Sample::Out("it is not an incident")
    }
}

fn created(one: &Issue) -> Sample {
    one.created_at.map_or(Sample::Out(NOT_CREATED), |at| Sample::In(at, 1))
}

/// Time from creation to the first close.
fn first_close(one: &Issue) -> Sample {
    let Some(end) = one.closes().next() else {
        return Sample::Out("no close is known");
    };
    one.created_at
        .map_or(Sample::Out(NOT_CREATED), |from| span(end, from, end))
}

/// Time from creation to the last close.
fn lead_time(one: &Issue) -> Sample {
    let Some(end) = one.closed_at() else {
        return Sample::Out(NOT_CLOSED);
    };
    one.created_at
        .map_or(Sample::Out(NOT_CREATED), |from| span(end, from, end))
}

/// A sample if the issue was open at the end of the window.
fn open(one: &Issue, view: &View<'_>) -> Sample {
    let Some(created_at) = one.created_at else {
        return Sample::Out(NOT_CREATED);
    };
    match one.closed_at() {
        _ if created_at >= view.to => Sample::Out("it was created later"),
        Some(end) if end < view.to => Sample::Out("it was closed"),
        _ => Sample::In(view.to, 1),
    }
}

fn counted(one: &Issue, then: impl Fn() -> Sample) -> Sample {
    if one.is_incident { Sample::Out(INCIDENT) } else { then() }
}
