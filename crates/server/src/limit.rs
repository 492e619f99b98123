//! How often one user may test and resend: five times a minute for each project or group, unless the
//! operator says otherwise; and how many hooks there may be.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use quickdraw_domain::scope::Scope;

use crate::error::ApiError;

const WINDOW: Duration = Duration::from_secs(60);
/// Most users and scopes that are remembered; beyond it the quiet ones are forgotten.
const MOST_KEYS: usize = 10_000;

/// The operator's choices. GitLab's own figures are the defaults.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Most hooks on one project.
    pub project_hooks: i64,
    /// Most hooks on one group.
    pub group_hooks: i64,
    /// Tests, and likewise resends, a minute for one user and scope; 0 for no limit.
    pub by_hand_per_minute: usize,
}

/// What is counted: the action, where, and by whom.
pub(crate) type Key = (&'static str, Scope, i64);

pub(crate) struct ByHandLimit {
    most: usize,
    counts: Mutex<HashMap<Key, VecDeque<Instant>>>,
}

impl ByHandLimit {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { most: limits.by_hand_per_minute, counts: Mutex::default() }
    }

    /// Counts one more, or refuses it and says when to come back.
    pub(crate) fn count(&self, key: Key) -> Result<(), ApiError> {
        if self.most == 0 {
            return Ok(());
        }
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MOST_KEYS {
            counts.retain(|_, times| times.back().is_some_and(|last| last.elapsed() < WINDOW));
        }
        let times = counts.entry(key).or_default();
        while times.front().is_some_and(|first| first.elapsed() >= WINDOW) {
            times.pop_front();
        }
        if times.len() >= self.most {
            let left = times.front().map_or(WINDOW, |first| WINDOW.saturating_sub(first.elapsed()));
            return Err(ApiError::too_many(left.as_secs() + 1));
        }
        times.push_back(Instant::now());
        Ok(())
    }
}
