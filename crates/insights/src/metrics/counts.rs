//! Metrics that use the entities of another family's file.

use std::collections::HashSet;

use super::{Kind, Metric, Sample, Sampler};
use crate::deployments::By;

pub(super) const METRICS: [Metric; 2] = [
    Metric {
        name: "tags_created",
        kind: Kind::Count,
        help: "Created tags, by time of receipt. A moved tag does not count. A tag that is created again at the same \
            commit counts once.",
        defined_by: "Quickdraw: pushes of tags",
        sample: Sampler::Tag(|one, _| match one.by {
            By::Tag if one.moved => Sample::Out("it was moved, not created"),
            By::Tag => Sample::In(one.at(), 1),
            _ => Sample::Out("it is not a tag"),
        }),
    },
    Metric {
        name: "reviewers_per_mr",
        kind: Kind::Mean,
        help: "Mean number of distinct people, without bots, who reviewed a merge request before its merge. Merge \
            requests merged in the window count.",
        defined_by: "CHAOSS: change request reviews",
        sample: Sampler::MergeRequest(|one, view| {
            let Some(end) = one.merged_at() else {
                return Sample::Out("it is not merged, or no event reported when");
            };
            let reviews = one.reviews(&|who| view.is_own_or_bots(one.author, who));
            let people: HashSet<i64> = reviews.iter().map(|(_, who)| view.people.person(*who)).collect();

            Sample::In(end, i64::try_from(people.len()).unwrap_or(i64::MAX))
        }),
    },
];
