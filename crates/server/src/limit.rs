//! How often one user may test and resend: five times a minute for each project or group, as on gitlab.com.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use quickdraw_domain::scope::Scope;

use crate::error::ApiError;

const MOST: usize = 5;
const WINDOW: Duration = Duration::from_secs(60);
/// Most users and scopes that are remembered; beyond it the quiet ones are forgotten.
const MOST_KEYS: usize = 10_000;

/// What is counted: the action, where, and by whom.
pub(crate) type Key = (&'static str, Scope, i64);

#[derive(Default)]
pub(crate) struct ByHandLimit(Mutex<HashMap<Key, VecDeque<Instant>>>);

impl ByHandLimit {
    /// Counts one more, or refuses it and says when to come back.
    pub(crate) fn count(&self, key: Key) -> Result<(), ApiError> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MOST_KEYS {
            counts.retain(|_, times| times.back().is_some_and(|last| last.elapsed() < WINDOW));
        }
        let times = counts.entry(key).or_default();
        while times.front().is_some_and(|first| first.elapsed() >= WINDOW) {
            times.pop_front();
        }
        if times.len() >= MOST {
            let left = times.front().map_or(WINDOW, |first| WINDOW.saturating_sub(first.elapsed()));
            return Err(ApiError::too_many(left.as_secs() + 1));
        }
        times.push_back(Instant::now());
        Ok(())
    }
}
