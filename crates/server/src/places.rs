//! Shared permits: a limit in total, and limits for one user, one project or group, and one top-level group. Creating
//! more users or projects gives nobody more permits, and some permits are reserved for administrators.
//!
//! These limits count permits in use. `governor` limits rates, and a semaphore has no keys.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use quickdraw_domain::GroupId;
use quickdraw_domain::scope::Scope;
use quickdraw_engine::Index;
use quickdraw_store::access::Actor;

use crate::error::ApiError;

/// Limits of a kind of permit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shares {
    /// In total.
    pub(crate) all: usize,

    /// Reserved for administrators, out of the total.
    pub(crate) of_admins: usize,

    /// For one top-level group with all that it contains.
    pub(crate) of_namespace: usize,

    /// For one project or group.
    pub(crate) of_scope: usize,

    /// For one user.
    pub(crate) of_user: usize,
}

/// A user, with the project or group for which a permit is requested.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Requester {
    pub(crate) user: i64,

    /// The portal session of a visitor, who has a share apart from that of the user who created the link.
    pub(crate) portal: Option<i64>,
    pub(crate) is_admin: bool,
    pub(crate) scope: Scope,

    /// The top-level group that contains the scope.
    pub(crate) namespace: Option<GroupId>,
}

/// The owner of a limit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Share {
    User(i64),
    Portal(i64),
    Scope(Scope),
    Namespace(GroupId),
}

/// The limit that is exhausted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Full {
    /// The total.
    All,

    /// That of the user.
    User,

    /// That of the project or group.
    Scope,

    /// That of the top-level group.
    Namespace,
}

#[derive(Default)]
struct Counts {
    all: usize,
    of: HashMap<Share, usize>,
}

/// Permits that are acquired and released.
pub(crate) struct SharedPermits {
    counts: Mutex<Counts>,
    shares: Shares,

    /// Name of the gauge with the number of acquired permits.
    gauge: &'static str,
}

/// A permit; released on drop.
pub(crate) struct SharedPermit {
    permits: Arc<SharedPermits>,
    of: Vec<Share>,
}

impl Requester {
    pub(crate) fn new(directory: &Index, actor: &Actor, scope: Scope) -> Self {
        Self {
            user: actor.user_id,
            portal: None,
            is_admin: actor.is_admin,
            scope,
            namespace: directory.namespace_of(scope),
        }
    }

    /// Lists the limits that a permit counts against.
    fn shares(&self, shares: &Shares) -> Vec<(Share, usize, Full)> {
        let own = self.portal.map_or(Share::User(self.user), Share::Portal);
        let mut of = vec![(own, shares.of_user, Full::User)];
        if self.is_admin {
            return of;
        }

        if self.scope != Scope::Instance {
            of.push((Share::Scope(self.scope), shares.of_scope, Full::Scope));
        }

        of.extend(
            self.namespace
                .map(|group| (Share::Namespace(group), shares.of_namespace, Full::Namespace)),
        );

        of
    }
}

impl SharedPermits {
    pub(crate) fn new(shares: Shares, gauge: &'static str) -> Arc<Self> {
        Arc::new(Self {
            counts: Mutex::default(),
            shares,
            gauge,
        })
    }

    pub(crate) fn acquire(self: &Arc<Self>, requester: &Requester) -> Result<SharedPermit, Full> {
        let of = requester.shares(&self.shares);
        let most = if requester.is_admin {
            self.shares.all
        } else {
            self.shares.all - self.shares.of_admins
        };

        let mut counts = self.counts.lock();
        for (share, most, full) in &of {
            if counts.of.get(share).is_some_and(|count| count >= most) {
                return Err(*full);
            }
        }

        if counts.all >= most {
            return Err(Full::All);
        }

        counts.all += 1;
        for (share, ..) in &of {
            *counts.of.entry(*share).or_default() += 1;
        }

        metrics::gauge!(self.gauge).increment(1.0);
        Ok(SharedPermit {
            permits: Arc::clone(self),
            of: of.into_iter().map(|(share, ..)| share).collect(),
        })
    }
}

impl Drop for SharedPermit {
    fn drop(&mut self) {
        let mut counts = self.permits.counts.lock();
        counts.all -= 1;

        for share in &self.of {
            if let Some(count) = counts.of.get_mut(share) {
                *count -= 1;
                if *count == 0 {
                    counts.of.remove(share);
                }
            }
        }

        metrics::gauge!(self.permits.gauge).decrement(1.0);
    }
}

impl Full {
    /// Builds a 429 that names the exhausted limit.
    pub(crate) fn refusal(self, what: &str, shares: &Shares) -> ApiError {
        let (most, of) = match self {
            Self::All => (shares.all - shares.of_admins, "this server"),
            Self::User => (shares.of_user, "you"),
            Self::Scope => (shares.of_scope, "the users of this project or group"),
            Self::Namespace => (shares.of_namespace, "the users of this top-level group"),
        };

        let verb = if self == Self::All { "has" } else { "have" };
        ApiError::problem(
            axum::http::StatusCode::TOO_MANY_REQUESTS,
            format!("{of} {verb} the maximum of {most} {what}; close one, or try again later"),
        )
    }
}

#[cfg(test)]
mod tests {
    use quickdraw_domain::ProjectId;

    use super::*;

    const SHARES: Shares = Shares {
        all: 10,
        of_admins: 2,
        of_namespace: 6,
        of_scope: 4,
        of_user: 2,
    };

    fn requester(user: i64, project: i64, group: i64) -> Requester {
        let scope = Scope::Project(ProjectId(project));
        Requester {
            user,
            portal: None,
            is_admin: false,
            scope,
            namespace: Some(GroupId(group)),
        }
    }

    #[test]
    fn visitors_of_a_portal_use_up_no_permits_of_the_user_who_created_the_link() {
        let permits = SharedPermits::new(SHARES, "permits");
        let visitor = Requester {
            portal: Some(7),
            ..requester(1, 1, 1)
        };

        let _first = permits.acquire(&visitor).expect("a permit");
        let _second = permits.acquire(&visitor).expect("another");
        assert_eq!(permits.acquire(&visitor).err(), Some(Full::User));
        assert!(permits.acquire(&requester(1, 1, 1)).is_ok());
    }

    #[test]
    fn a_user_who_makes_others_has_no_more_places_and_administrators_always_find_one() {
        let permits = SharedPermits::new(SHARES, "permits");
        let mut taken = Vec::new();
        let mut full = Vec::new();

        for (user, project, group) in [
            (1, 1, 1),
            (1, 1, 1),
            (1, 1, 1), // the user has two
            (2, 1, 1),
            (2, 1, 1),
            (3, 1, 1), // the project has four
            (3, 2, 1),
            (4, 2, 1),
            (5, 2, 1), // the top-level group has six
            (6, 3, 2),
            (7, 3, 2),
            (8, 4, 3), // eight are taken, and two are for administrators
        ] {
            match permits.acquire(&requester(user, project, group)) {
                Ok(place) => taken.push(place),
                Err(why) => full.push((user, why)),
            }
        }

        assert_eq!(
            full,
            [(1, Full::User), (3, Full::Scope), (5, Full::Namespace), (8, Full::All)]
        );

        let admin = |user| Requester {
            is_admin: true,
            ..requester(user, 1, 1)
        };
        let first = permits.acquire(&admin(9)).expect("a place that others cannot have");
        let _second = permits.acquire(&admin(9)).expect("another");

        assert_eq!(permits.acquire(&admin(10)).err(), Some(Full::All));
        drop(first);
        assert!(permits.acquire(&admin(10)).is_ok());
        taken.clear();
        assert!(permits.acquire(&requester(1, 1, 1)).is_ok(), "they are given back");
        assert_eq!(permits.counts.lock().of.len(), 1, "what has no place is not remembered");
    }
}
