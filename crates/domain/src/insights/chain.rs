//! Which deployment brought out what: commits have a place in the chain of pushes to the default branch, and a deployment of a
//! commit brings out everything that lies before it.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::branches::Push;
use super::deployments::Deployment;
use crate::Timestamp;

/// A link of a chain: the chain, and how far along it. Where pushes are missing, there are several chains.
type Place = (usize, usize);

/// The chain of a project, and its deployments to production.
#[derive(Default, Debug)]
pub struct Chain {
    places: HashMap<String, Place>,
    /// When the first push to the default branch was received.
    known_since: Option<Timestamp>,
    /// By time.
    deployments: Vec<(Timestamp, Option<Place>)>,
    /// Of each chain: by how far along it, the first deployment of that or of something behind it.
    first: HashMap<usize, BTreeMap<usize, Timestamp>>,
}

/// When something came out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deployed {
    /// With this deployment.
    At(Timestamp),
    /// With the first deployment behind it, because nothing tells its place: why.
    After(Timestamp, &'static str),
    /// It did not, as far as is known: why.
    Not(&'static str),
}

const NOT_YET: &str = "no deployment to production brought it out yet";
const BEFORE: &str = "it lies before the first push that is known of the default branch";
const NO_PLACE: &str = "no push to the default branch listed it: by the first deployment after it";
const BROKEN: &str = "pushes are missing between it and the deployments: by the first one after it";

impl Chain {
    /// Of one project. `deployments` are those that users have.
    #[must_use]
    pub fn new(pushes: &[&Push], deployments: &[&Deployment]) -> Self {
        let mut pushes: Vec<&Push> =
            pushes.iter().copied().filter(|push| push.is_default && !push.is_deletion()).collect();
        pushes.sort_by(|one, other| (one.received_at, &one.after).cmp(&(other.received_at, &other.after)));
        let mut chain = Self { known_since: pushes.first().map(|push| push.received_at), ..Self::default() };
        chain.place(&pushes);
        let mut deployments: Vec<(Timestamp, Option<Place>)> = deployments
            .iter()
            .map(|one| (one.at(), one.sha.as_ref().and_then(|sha| chain.places.get(sha)).copied()))
            .collect();
        deployments.sort_unstable();
        for (at, (segment, link)) in deployments.iter().filter_map(|(at, place)| Some((at, (*place)?))) {
            let first = chain.first.entry(segment).or_default();
            // By time: whoever is behind an earlier one adds nothing.
            if first.range(link..).next().is_none() {
                first.insert(link, *at);
            }
        }
        chain.deployments = deployments;
        chain
    }

    fn place(&mut self, pushes: &[&Push]) {
        let mut next: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, push) in pushes.iter().enumerate() {
            next.entry(&push.before).or_default().push(index);
        }
        let ends: HashSet<&str> = pushes.iter().map(|push| push.after.as_str()).collect();
        // Those that nothing known leads to begin chains; then whatever is left, in circles.
        let (starts, others): (Vec<usize>, Vec<usize>) =
            (0..pushes.len()).partition(|index| !ends.contains(pushes[*index].before.as_str()));
        let mut placed = vec![false; pushes.len()];
        for (segment, start) in starts.into_iter().chain(others).enumerate() {
            let (mut at, mut link) = (Some(start).filter(|start| !placed[*start]), 1);
            // Where the first push began lies before all that is known, and brings nothing of it out.
            if at.is_some() && !pushes[start].is_creation() {
                self.places.entry(pushes[start].before.clone()).or_insert((segment, 0));
            }
            while let Some(index) = at {
                let push = pushes[index];
                placed[index] = true;
                let shas = push.commits.iter().map(|commit| &commit.sha).chain([&push.after]);
                for sha in shas {
                    self.places.entry(sha.clone()).or_insert((segment, link));
                }
                link += 1;
                at = next.get(push.after.as_str()).and_then(|next| next.iter().find(|index| !placed[**index])).copied();
            }
        }
    }

    /// When a commit came out that was there at a time, known by one of these names.
    #[must_use]
    pub fn deployed(&self, shas: &[&str], at: Timestamp) -> Deployed {
        let place = shas.iter().find_map(|sha| self.places.get(*sha));
        if let Some((segment, link)) = place {
            // Links rise and times fall, so the first one at or behind it is the earliest.
            let of_segment = self.first.get(segment).into_iter().flat_map(|first| first.range(link..));
            if let Some(at) = of_segment.map(|(_, at)| *at).min() {
                return Deployed::At(at);
            }
        } else if self.known_since.is_some_and(|since| at < since) {
            return Deployed::Not(BEFORE);
        }
        let is_elsewhere = |other: &Option<Place>| match (place, other) {
            (Some((segment, _)), Some((other, _))) => segment != other,
            _ => true,
        };
        let behind = &self.deployments[self.deployments.partition_point(|(time, _)| *time < at)..];
        match behind.iter().find(|(_, place)| is_elsewhere(place)) {
            Some((time, _)) => Deployed::After(*time, if place.is_some() { BROKEN } else { NO_PLACE }),
            None => Deployed::Not(NOT_YET),
        }
    }
}
