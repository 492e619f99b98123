//! Labels of issues and merge requests. Each event contains all of them, so their history shows how long a label was
//! set.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::commits::text;
use super::entity::{number, seconds};
use quickdraw_domain::Timestamp;

/// Maximum number of labels that are read from one event.
const MAX_LABELS: usize = 100;
/// Maximum number of times that are kept.
const MAX_OBSERVATIONS: usize = 1_000;

/// The history of an item's labels. Two histories join, in any order and any number of times.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Labels {
    /// The set of labels at each time, by the key of the set. The same set can occur several times.
    seen: BTreeMap<Timestamp, i64>,

    /// The newest entry of `seen`. It stays when `seen` is cut.
    newest: Option<(Timestamp, i64)>,

    /// The sets, by their keys.
    sets: BTreeMap<i64, BTreeSet<String>>,
}

impl Labels {
    /// Reads the labels of an event. The history is empty if the body has none.
    pub(super) fn of(at: Timestamp, labels: &Value) -> Self {
        let Some(labels) = labels.as_array() else {
            return Self::default();
        };

        // The key joins titles with line breaks, so a title must not contain one.
        let title = |label: &Value| text(&label["title"]).replace('\n', " ");
        let titles = labels
            .iter()
            .take(MAX_LABELS)
            .map(title)
            .filter(|title| !title.is_empty());
        let set: BTreeSet<String> = titles.collect();
        let key = number(&set.iter().map(String::as_str).collect::<Vec<_>>());

        Self {
            seen: BTreeMap::from([(at, key)]),
            newest: Some((at, key)),
            sets: BTreeMap::from([(key, set)]),
        }
    }

    pub(super) fn join(&mut self, other: Self) {
        for (at, key) in other.seen {
            // Two sets of the same time: the choice must not depend on the order of joins.
            let known = self.seen.entry(at).or_insert(key);
            *known = key.max(*known);
        }

        self.sets.extend(other.sets);
        self.newest = self.newest.max(other.newest);

        while self.seen.len() > MAX_OBSERVATIONS {
            self.seen.pop_last();
        }

        let used: BTreeSet<i64> = self
            .seen
            .values()
            .copied()
            .chain(self.newest.map(|(_, key)| key))
            .collect();

        self.sets.retain(|key, _| used.contains(key));
    }

    /// Current labels, as last seen.
    pub fn now(&self) -> impl Iterator<Item = &str> {
        let last = self.newest.and_then(|(_, key)| self.sets.get(&key));
        last.into_iter().flatten().map(String::as_str)
    }

    /// Time of the newest entry.
    #[must_use]
    pub fn last(&self) -> Option<Timestamp> {
        self.newest.map(|(at, _)| at)
    }

    /// All labels that the item has ever had.
    pub fn ever(&self) -> impl Iterator<Item = &str> {
        self.sets.values().flatten().map(String::as_str)
    }

    /// The total time for which a label was set, in seconds, and the time at which it was last removed. A label that
    /// was never set has neither. A label that is still set has no time of removal.
    #[must_use]
    pub fn time_on(&self, label: &str) -> Option<(i64, Option<Timestamp>)> {
        let (mut total, mut since, mut off, mut ever) = (0, None, None, false);
        for (at, key) in &self.seen {
            let is_on = self.sets.get(key).is_some_and(|set| set.contains(label));
            match (since, is_on) {
                (None, true) => (since, off, ever) = (Some(*at), None, true),
                (Some(begun), false) => {
                    total += seconds(begun, *at);
                    (since, off) = (None, Some(*at));
                }
                _ => {}
            }
        }

        ever.then_some((total, off))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn at(hour: i64, labels: &[&str]) -> Labels {
        let titles: Vec<Value> = labels.iter().map(|title| json!({ "title": title })).collect();
        Labels::of(Timestamp::from_seconds(hour * 3_600), &Value::Array(titles))
    }

    fn joined(all: impl IntoIterator<Item = Labels>) -> Labels {
        all.into_iter().fold(Labels::default(), |mut known, one| {
            known.join(one);
            known
        })
    }

    /// The label is set from 9 to 10 and from 12 to 14: three hours, not five.
    #[test]
    fn the_times_of_a_label_add_up() {
        let all = joined([
            at(12, &["bug", "doing"]),
            at(9, &["doing"]),
            at(14, &["bug"]),
            at(10, &[]),
            at(13, &["doing"]),
        ]);
        assert_eq!(
            all.time_on("doing"),
            Some((3 * 3_600, Some(Timestamp::from_seconds(14 * 3_600))))
        );

        assert_eq!(all.time_on("bug"), Some((3_600, None)), "it is set again");
        assert_eq!(all.time_on("done"), None);
        assert_eq!(all.now().collect::<Vec<_>>(), ["bug"]);
        assert!(all.ever().any(|label| label == "doing"));

        assert_eq!(
            Labels::of(Timestamp::default(), &Value::Null),
            Labels::default(),
            "the body has no labels"
        );
    }

    proptest! {
        #[test]
        fn order_and_repetition_do_not_matter(mut all in prop::collection::vec((0_i64..40, 0_usize..4), 0..30), seed in any::<u64>()) {
            let of = |all: &[(i64, usize)]| joined(all.iter().map(|(hour, which)| at(*hour, &["a", "b", "c"][..*which])));
            let plain = of(&all);
            all.extend(all.clone());
            let mut random = seed;
            all.sort_by_cached_key(|_| { random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1); random >> 33 });
            prop_assert_eq!(of(&all), plain);
        }
    }
}
