//! Limits on tests and resends, per user and scope, for all users of a project, group or server; and on the number of
//! hooks. The default is five tests and five resends a minute.
//!
//! `governor`, which limits the sources, does not fit here. It would allow another test twelve seconds after a burst of
//! five; this limit counts the last 60 seconds, and `Retry-After` says so. An action must also pass up to four counters
//! and is counted by all of them or by none, but a check of `governor` that succeeds always counts.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use quickdraw_domain::GroupId;
use quickdraw_domain::scope::Scope;

use crate::error::ApiError;
use crate::places::Requester;

const WINDOW: Duration = Duration::from_secs(60);
/// Largest number of remembered counters. Beyond it, idle ones are removed, and otherwise new ones are refused.
const MAX_KEYS: usize = 10_000;
/// Limits as multiples of a single user's: for all users of a project or group, of a top-level group, and of the
/// node. They exist because bots are users, and a user who can create hooks can also create bots.
const OF_SCOPE: usize = 3;
const OF_NAMESPACE: usize = 12;
const OF_ALL: usize = 60;

/// Limits that the operator sets. The defaults are GitLab's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Largest number of hooks of a project.
    pub project_hooks: i64,

    /// Largest number of hooks of a group.
    pub group_hooks: i64,

    /// Tests per minute, and likewise resends, for one user and scope; 0 for no limit.
    pub manual_per_minute: usize,
}

/// The counter that an action counts against.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Counted {
    User(Scope, i64),
    Scope(Scope),
    Namespace(GroupId),
    All,
}

pub(crate) struct ManualLimit {
    most: usize,
    counts: Mutex<HashMap<(&'static str, Counted), VecDeque<Instant>>>,
}

impl ManualLimit {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            most: limits.manual_per_minute,
            counts: Mutex::default(),
        }
    }

    /// Counts an action, or refuses it with the time to wait. A refused action is not counted.
    pub(crate) fn count(&self, action: &'static str, requester: &Requester) -> Result<(), ApiError> {
        if self.most == 0 {
            return Ok(());
        }

        let mut counts = self.counts.lock();
        if counts.len() >= MAX_KEYS {
            counts.retain(|_, times| times.back().is_some_and(|last| last.elapsed() < WINDOW));
        }

        let wanted = self.counted(requester);
        for (counted, most) in &wanted {
            let Some(times) = counts.get_mut(&(action, *counted)) else {
                continue;
            };
            while times.front().is_some_and(|first| first.elapsed() >= WINDOW) {
                times.pop_front();
            }

            if times.len() >= *most {
                let left = times
                    .front()
                    .map_or(WINDOW, |first| WINDOW.saturating_sub(first.elapsed()));
                return Err(ApiError::too_many(left.as_secs() + 1));
            }
        }

        if counts.len() >= MAX_KEYS {
            return Err(ApiError::too_many(WINDOW.as_secs()));
        }

        for (counted, _) in wanted {
            counts.entry((action, counted)).or_default().push_back(Instant::now());
        }

        Ok(())
    }

    /// Lists the counters of a user's action with their limits. Administrators have the limit per user only.
    fn counted(&self, requester: &Requester) -> Vec<(Counted, usize)> {
        let mut counted = vec![(Counted::User(requester.scope, requester.user), self.most)];
        if requester.is_admin {
            return counted;
        }

        counted.push((Counted::Scope(requester.scope), self.most.saturating_mul(OF_SCOPE)));
        if let Some(group) = requester.namespace {
            counted.push((Counted::Namespace(group), self.most.saturating_mul(OF_NAMESPACE)));
        }

        counted.push((Counted::All, self.most.saturating_mul(OF_ALL)));
        counted
    }
}

#[cfg(test)]
mod tests {
    use quickdraw_domain::ProjectId;

    use super::*;

    #[test]
    fn a_user_who_makes_others_tests_no_oftener() {
        let limit = ManualLimit::new(Limits {
            project_hooks: 1,
            group_hooks: 1,
            manual_per_minute: 2,
        });

        let requester = |user, project| {
            let scope = Scope::Project(ProjectId(project));
            Requester {
                user,
                portal: None,
                is_admin: false,
                scope,
                namespace: Some(GroupId(1)),
            }
        };

        let allowed = |users: std::ops::Range<i64>, project: i64| {
            let mut allowed = 0;
            for user in users {
                for _ in 0..5 {
                    allowed += usize::from(limit.count("test", &requester(user, project)).is_ok());
                }
            }

            allowed
        };
        assert_eq!(allowed(1..2, 1), 2, "one user");
        assert_eq!(allowed(2..20, 1), 4, "the others of the project");

        assert_eq!(
            (2..10).map(|project| allowed(1..20, project)).sum::<usize>(),
            18,
            "the others of the top-level group"
        );

        assert!(
            limit.count("resend", &requester(1, 1)).is_ok(),
            "each action has its own count"
        );

        let admin = Requester {
            is_admin: true,
            ..requester(1, 1)
        };
        let other = Requester { user: 99, ..admin };
        assert_eq!(
            [&admin, &other, &other, &other].map(|one| limit.count("test", one).is_ok()),
            [false, true, true, false]
        );
    }
}
