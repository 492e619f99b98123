//! Finds the deployment that first contained a change. Commits have a place in the chain of pushes to the default
//! branch. A deployment of a commit contains every commit before it in the chain.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::branches::{Move, Push, trails};
use super::deployments::Deployment;
use quickdraw_domain::Timestamp;

/// A position in a chain: the number of the chain, and the number of the link. Missing pushes divide a project's
/// history into several chains.
type Place = (usize, usize);

/// Maximum time between the receipt of the push of a merge and the later time of the merge.
const MERGING: Duration = Duration::from_secs(60);
/// Maximum difference between the time of a merge and the time of the commit that it created.
const AT_ONCE: Duration = Duration::from_secs(10);

/// A change that a deployment may contain.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// The commits that brought the change to the default branch, the likeliest first.
    pub shas: &'a [&'a str],

    /// Time at which the change was on the default branch. Earlier deployments did not contain it.
    pub at: Timestamp,

    /// The change was not on the default branch before this time, so older commits do not contain it. None if the time
    /// is unknown.
    pub not_before: Option<Timestamp>,
}

/// A deployment with its position.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct PlacedDeployment {
    at: Timestamp,
    place: Option<Place>,

    /// The latest possible time at which its commit was added to the default branch, if known.
    landed_by: Option<Timestamp>,
}

/// The chains of a project, and its deployments to production.
#[derive(Default, Debug)]
pub struct Chain {
    places: HashMap<String, Place>,

    /// Receipt of the first known push to the default branch.
    known_since: Option<Timestamp>,

    /// Sorted times of the newest commit of each push, with the position of the push.
    made: Vec<(Timestamp, Place)>,

    /// Sorted by time.
    deployments: Vec<PlacedDeployment>,

    /// For each chain, the first deployment of a link or of a later link, by link.
    first: HashMap<usize, BTreeMap<usize, Timestamp>>,
}

/// The time of the first deployment that contained a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deployed {
    /// The deployment is certain.
    At(Timestamp),

    /// The deployment is assumed, because the position of the change is not certain. The text gives the reason.
    After(Timestamp, &'static str),

    /// The change was not deployed, as far as is known. The text gives the reason.
    Not(&'static str),
}

const NOT_YET: &str = "no deployment to production contains it yet";
const BEFORE: &str = "it is older than the first known push to the default branch";
const NO_PLACE: &str = "no push to the default branch listed it; the first later deployment counts";
const MADE_THEN: &str =
    "no push to the default branch listed it; the push with a commit of the same time as the merge counts";
const BROKEN: &str = "pushes are missing between it and the deployments; the first later deployment counts";

impl Chain {
    /// Builds the chains of one project. `deployments` are those that users have.
    #[must_use]
    pub fn new(pushes: &[&Push], deployments: &[&Deployment]) -> Self {
        let is_of_it = |push: &&Push| push.is_default && !push.is_deletion();
        let pushes: Vec<&Push> = pushes.iter().copied().filter(is_of_it).collect();

        let mut chain = Self {
            known_since: pushes.iter().map(|push| push.received_at).min(),
            ..Self::default()
        };
        let landed_by = chain.place(&pushes);
        let mut all = Vec::with_capacity(deployments.len());

        for one in deployments {
            let place = one.sha.as_ref().and_then(|sha| chain.places.get(sha)).copied();
            let landed_by = place.and_then(|(segment, link)| landed_by.get(segment)?.get(link).copied());

            all.push(PlacedDeployment {
                at: one.at(),
                place,
                landed_by,
            });
        }

        all.sort_unstable();

        for (at, (segment, link)) in all.iter().filter_map(|one| Some((one.at, one.place?))) {
            let first = chain.first.entry(segment).or_default();
            // The deployments are sorted by time, so one of an earlier link after this one adds nothing.
            if first.range(link..).next().is_none() {
                first.insert(link, at);
            }
        }

        chain.deployments = all;
        chain
    }

    /// Gives every commit its position. Returns, for each chain, the latest possible time at which each link was added
    /// to the default branch.
    fn place(&mut self, pushes: &[&Push]) -> Vec<Vec<Timestamp>> {
        let moves: Vec<Move<'_>> = pushes.iter().map(|push| push.as_move()).collect();
        let mut landed_by = Vec::new();

        for (segment, trail) in trails(&moves).into_iter().enumerate() {
            let first = pushes[trail[0]];
            // Link 0 stands for the commits before the first known push. A deployment of it contains no known change.
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

            // A push can be received late. Its commits existed when a later push of the chain was received.
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

    /// Finds the push whose newest commit was made at the given time. None if there are several.
    fn made_at(&self, at: Timestamp) -> Option<Place> {
        let first = self.made.partition_point(|(time, _)| *time < at.minus(AT_ONCE));
        let mut near = self.made[first..]
            .iter()
            .take_while(|(time, _)| *time <= at.plus(AT_ONCE));
        let (_, place) = near.next()?;

        near.next().is_none().then_some(*place)
    }

    /// The time at which a change was first deployed.
    #[must_use]
    pub fn deployed(&self, change: &Change<'_>) -> Deployed {
        let Change { shas, at, not_before } = *change;
        let named = shas.iter().find_map(|sha| self.places.get(*sha)).copied();
        // No push names a squash without a merge commit, but GitLab created it at the time of the merge.
        let place = named.or_else(|| not_before.and_then(|time| self.made_at(time)));

        if let Some((segment, link)) = place {
            // Times fall as links rise, so the first deployment at or after the link is the earliest.
            let of_segment = self
                .first
                .get(&segment)
                .into_iter()
                .flat_map(|first| first.range(link..));

            if let Some(at) = of_segment.map(|(_, at)| *at).min() {
                return if named.is_some() {
                    Deployed::At(at)
                } else {
                    Deployed::After(at, MADE_THEN)
                };
            }
        } else if self.known_since.is_some_and(|since| at < since) {
            return Deployed::Not(BEFORE);
        }

        let is_elsewhere = |other: &Option<Place>| match (place, other) {
            (Some((segment, _)), Some((other, _))) => segment != *other,
            _ => true,
        };

        let is_older = |one: &PlacedDeployment| match (one.landed_by, not_before) {
            (Some(landed_by), Some(not_before)) => landed_by < not_before.minus(MERGING),
            _ => false,
        };

        let later = &self.deployments[self.deployments.partition_point(|one| one.at < at)..];
        match later.iter().find(|one| is_elsewhere(&one.place) && !is_older(one)) {
            Some(one) => Deployed::After(one.at, if place.is_some() { BROKEN } else { NO_PLACE }),
            None => Deployed::Not(NOT_YET),
        }
    }
}

#[cfg(test)]
mod tests;
