//! Incidents per deployment in the way of GitLab: by the time of the incident.

use std::collections::HashMap;

use crate::deployments::Deployment;
use crate::entity::Entity;
use crate::issues::Issue;
use quickdraw_domain::Timestamp;

/// Sorted times of successful deployments to production and of incidents, by project.
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

    /// Counts the incidents of a window that belong to a deployment: those between it and the next deployment of the
    /// window. The first deployment also gets the incidents before it, so that each counts once.
    pub(super) fn in_window(&self, one: &Deployment, from: Timestamp, to: Timestamp) -> usize {
        let out = self.out.get(&one.project).map(Vec::as_slice).unwrap_or_default();
        let first = out.partition_point(|(at, _)| *at < from);
        let out = &out[first..out.partition_point(|(at, _)| *at < to).max(first)];
        let Some(place) = out.iter().position(|known| *known == (one.at(), one.id)) else {
            return 0;
        };

        let begin = if place == 0 { from } else { one.at() };
        let end = out.get(place + 1).map_or(to, |(next, _)| *next);
        let created = self.created.get(&one.project).map(Vec::as_slice).unwrap_or_default();
        created.iter().filter(|at| begin <= **at && **at < end).count()
    }
}
