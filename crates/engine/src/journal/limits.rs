//! The limit of deliveries that a namespace may have in a minute.
//!
//! `governor`, which limits the sources in `server`, does not fit here. It refills continuously and reads a clock of
//! its own. This limit counts calendar minutes, and it counts an event by the time at which the event was received.

use std::collections::HashMap;

use parking_lot::Mutex;
use quickdraw_domain::{GroupId, Timestamp};

/// Counts deliveries by top-level group and minute, as GitLab's `web_hook_calls` does. Each node counts for itself: the
/// limit is there to stop a flood, and is not worth a query for every event.
#[derive(Debug, Default)]
pub(crate) struct NamespaceLimit {
    /// 0 for no limit.
    per_minute: u32,
    minute: Mutex<(i64, HashMap<GroupId, u32>)>,
}

impl NamespaceLimit {
    /// Allows so many a minute for each namespace; 0 for no limit.
    pub(crate) fn new(per_minute: u32) -> Self {
        Self {
            per_minute,
            minute: Mutex::default(),
        }
    }

    /// Counts one more. `false` if it is one too many.
    pub(crate) fn count(&self, namespace: impl Fn() -> Option<GroupId>, now: Timestamp) -> bool {
        // Without a limit, the namespace is not looked up.
        let Some(namespace) = (self.per_minute > 0).then(namespace).flatten() else {
            return true;
        };
        let minute = now.as_seconds().div_euclid(60);
        let mut counted = self.minute.lock();
        // Events of an earlier minute can come late; they count for this one.
        if counted.0 < minute {
            *counted = (minute, HashMap::new());
        }

        let count = counted.1.entry(namespace).or_default();
        *count = count.saturating_add(1);
        *count <= self.per_minute
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_has_its_number_each_minute() {
        let limit = NamespaceLimit::new(2);
        let counts = |group, second| limit.count(|| group, Timestamp::from_seconds(second));
        let (one, two) = (Some(GroupId(1)), Some(GroupId(2)));

        assert_eq!(
            [counts(one, 0), counts(one, 59), counts(one, 59), counts(two, 59)],
            [true, true, false, true]
        );

        assert!(counts(None, 59), "a system hook is counted nowhere");
        assert_eq!([counts(one, 60), counts(one, 60), counts(one, 30)], [true, true, false]);
        assert!((0..9).all(|_| NamespaceLimit::new(0).count(|| one, Timestamp::default())));
    }
}
