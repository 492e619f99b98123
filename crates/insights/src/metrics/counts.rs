//! Numbers that people ask for beside those of each kind of thing.

use std::collections::HashSet;

use super::{Kind, Metric, Sample, Sampler};
use crate::deployments::By;

pub(super) const METRICS: [Metric; 2] = [
    Metric {
        name: "tags_created",
        kind: Kind::Count,
        help: "Tags that were made, by when that was received. A tag that is moved is not made; one that is made again at the same commit counts \
            once.",
        follows: "ours: pushes of tags",
        sample: Sampler::Tag(|one, _| match one.by {
            By::Tag if one.moved => Sample::Out("it was moved, and not made"),
            By::Tag => Sample::In(one.at(), 1),
            _ => Sample::Out("it is no tag"),
        }),
    },
    Metric {
        name: "reviewers_per_mr",
        kind: Kind::Mean,
        help: "Distinct people, no bots, who reviewed a merge request until its merge, of merge requests merged in the window.",
        follows: "CHAOSS: change request reviews",
        sample: Sampler::MergeRequest(|one, view| {
            let Some(end) = one.merged_at() else { return Sample::Out("it is not merged, or no event told when") };
            let reviews = one.reviews(&|who| view.is_own_or_bots(one.author, who));
            let people: HashSet<i64> = reviews.iter().map(|(_, who)| view.people.person(*who)).collect();
            Sample::In(end, i64::try_from(people.len()).unwrap_or(i64::MAX))
        }),
    },
];
