//! Which deployment brought out what: commits have a place in the chain of pushes to the default branch, and a deployment of a
//! commit brings out everything that lies before it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::branches::{Move, Push, trails};
use super::deployments::Deployment;
use quickdraw_domain::Timestamp;

/// A link of a chain: the chain, and how far along it. Where pushes are missing, there are several chains.
type Place = (usize, usize);

/// How long before the time of a merge the push of that merge can be received.
const MERGING: Duration = Duration::from_secs(60);
/// How far the time of a merge can be from that of the commit that it made.
const AT_ONCE: Duration = Duration::from_secs(10);

/// A change that a deployment can have brought out.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// The commits that brought it to the default branch, the likeliest first.
    pub shas: &'a [&'a str],
    /// When it was on the default branch: earlier deployments did not bring it out.
    pub at: Timestamp,
    /// It was not on the default branch before: commits that were there earlier do not contain it. None where nobody knows.
    pub not_before: Option<Timestamp>,
}

/// A deployment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Out {
    at: Timestamp,
    place: Option<Place>,
    /// When its commit was on the default branch at the latest, if that is known.
    landed_by: Option<Timestamp>,
}

/// The chain of a project, and its deployments to production.
#[derive(Default, Debug)]
pub struct Chain {
    places: HashMap<String, Place>,
    /// When the first push to the default branch was received.
    known_since: Option<Timestamp>,
    /// When the newest commit of each push was made, and the place of that push; by time.
    made: Vec<(Timestamp, Place)>,
    /// By time.
    deployments: Vec<Out>,
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
const MADE_THEN: &str =
    "no push to the default branch listed it: by the push whose newest commit was made at the time of the merge";
const BROKEN: &str = "pushes are missing between it and the deployments: by the first one after it";

impl Chain {
    /// Of one project. `deployments` are those that users have.
    #[must_use]
    pub fn new(pushes: &[&Push], deployments: &[&Deployment]) -> Self {
        let is_of_it = |push: &&Push| push.is_default && !push.is_deletion();
        let pushes: Vec<&Push> = pushes.iter().copied().filter(is_of_it).collect();
        let mut chain = Self { known_since: pushes.iter().map(|push| push.received_at).min(), ..Self::default() };
        let landed_by = chain.place(&pushes);
        let mut all = Vec::with_capacity(deployments.len());
        for one in deployments {
            let place = one.sha.as_ref().and_then(|sha| chain.places.get(sha)).copied();
            let landed_by = place.and_then(|(segment, link)| landed_by.get(segment)?.get(link).copied());
            all.push(Out { at: one.at(), place, landed_by });
        }
        all.sort_unstable();
        for (at, (segment, link)) in all.iter().filter_map(|one| Some((one.at, one.place?))) {
            let first = chain.first.entry(segment).or_default();
            // By time: whoever is behind an earlier one adds nothing.
            if first.range(link..).next().is_none() {
                first.insert(link, at);
            }
        }
        chain.deployments = all;
        chain
    }

    /// Gives every commit its place. Returns when the links of each chain were on the default branch at the latest.
    fn place(&mut self, pushes: &[&Push]) -> Vec<Vec<Timestamp>> {
        let moves: Vec<Move<'_>> = pushes.iter().map(|push| push.as_move()).collect();
        let mut landed_by = Vec::new();
        for (segment, trail) in trails(&moves).into_iter().enumerate() {
            let first = pushes[trail[0]];
            // The link 0 lies before all that is known, and brings nothing of it out.
            let mut received = vec![first.received_at];
            if !first.is_creation() {
                self.places.entry(first.before.clone()).or_insert((segment, 0));
            }
            for (link, index) in (1..).zip(trail) {
                let push = pushes[index];
                let shas = push.commits.iter().map(|commit| &commit.sha).chain([&push.after]);
                for sha in shas {
                    self.places.entry(sha.clone()).or_insert((segment, link));
                }
                let newest = moves[index].made;
                self.made.extend(newest.map(|newest| (newest, (segment, link))));
                received.push(push.received_at);
            }
            // A push can be received late: its commits were there when a later push of the chain was received.
            let mut earliest = None;
            for time in received.iter_mut().rev() {
                let known = earliest.map_or(*time, |later: Timestamp| later.min(*time));
                (*time, earliest) = (known, Some(known));
            }
            landed_by.push(received);
        }
        self.made.sort_unstable();
        landed_by
    }

    /// The place of the only push whose newest commit was made at a time. None where there are several.
    fn made_at(&self, at: Timestamp) -> Option<Place> {
        let first = self.made.partition_point(|(time, _)| *time < at.minus(AT_ONCE));
        let mut near = self.made[first..].iter().take_while(|(time, _)| *time <= at.plus(AT_ONCE));
        let (_, place) = near.next()?;
        near.next().is_none().then_some(*place)
    }

    /// When a change came out.
    #[must_use]
    pub fn deployed(&self, change: &Change<'_>) -> Deployed {
        let Change { shas, at, not_before } = *change;
        let named = shas.iter().find_map(|sha| self.places.get(*sha)).copied();
        // A squash without a merge commit is named by nothing, but GitLab made it when it merged.
        let place = named.or_else(|| not_before.and_then(|time| self.made_at(time)));
        if let Some((segment, link)) = place {
            // Links rise and times fall, so the first one at or behind it is the earliest.
            let of_segment = self.first.get(&segment).into_iter().flat_map(|first| first.range(link..));
            if let Some(at) = of_segment.map(|(_, at)| *at).min() {
                return if named.is_some() { Deployed::At(at) } else { Deployed::After(at, MADE_THEN) };
            }
        } else if self.known_since.is_some_and(|since| at < since) {
            return Deployed::Not(BEFORE);
        }
        let is_elsewhere = |other: &Option<Place>| match (place, other) {
            (Some((segment, _)), Some((other, _))) => segment != *other,
            _ => true,
        };
        let is_older = |one: &Out| match (one.landed_by, not_before) {
            (Some(landed_by), Some(not_before)) => landed_by < not_before.minus(MERGING),
            _ => false,
        };
        let behind = &self.deployments[self.deployments.partition_point(|one| one.at < at)..];
        match behind.iter().find(|one| is_elsewhere(&one.place) && !is_older(one)) {
            Some(one) => Deployed::After(one.at, if place.is_some() { BROKEN } else { NO_PLACE }),
            None => Deployed::Not(NOT_YET),
        }
    }
}

#[cfg(test)]
mod tests;
