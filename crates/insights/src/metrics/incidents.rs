//! Incidents and deployments of a project by time, as GitLab divides the ones by the others.

use std::collections::HashMap;

use crate::deployments::Deployment;
use crate::entity::Entity;
use crate::issues::Issue;
use quickdraw_domain::Timestamp;

/// Successful deployments to production and incidents, by project, each in order.
#[derive(Default, Debug)]
pub(super) struct Incidents {
    out: HashMap<i64, Vec<(Timestamp, i64)>>,
    created: HashMap<i64, Vec<Timestamp>>,
}

impl Incidents {
    pub(super) fn of(deployments: &[&Deployment], issues: &[&Issue]) -> Self {
        let mut all = Self::default();
        for one in deployments.iter().filter(|one| one.is_out()) {
            all.out.entry(one.project).or_default().push((one.at(), one.id));
        }
        for one in issues.iter().filter(|one| one.is_incident) {
            all.created.entry(one.project).or_default().extend(one.opened_at());
        }
        all.out.values_mut().for_each(|times| times.sort_unstable());
        all.created.values_mut().for_each(|times| times.sort_unstable());
        all
    }

    /// How many incidents of a time count for a deployment: those from it to the next one of that time. The first one has those before it too, so
    /// that each counts once.
    pub(super) fn in_window(&self, one: &Deployment, from: Timestamp, to: Timestamp) -> usize {
        let out = self.out.get(&one.project).map(Vec::as_slice).unwrap_or_default();
        let first = out.partition_point(|(at, _)| *at < from);
        let out = &out[first..out.partition_point(|(at, _)| *at < to).max(first)];
        let Some(place) = out.iter().position(|known| *known == (one.at(), one.id)) else { return 0 };

        let begin = if place == 0 { from } else { one.at() };
        let end = out.get(place + 1).map_or(to, |(next, _)| *next);
        let created = self.created.get(&one.project).map(Vec::as_slice).unwrap_or_default();
        created.iter().filter(|at| begin <= **at && **at < end).count()
    }
}
