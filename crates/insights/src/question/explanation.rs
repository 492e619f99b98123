//! The explanation of a number: the items that count, and the others with the reasons.

use std::collections::BTreeMap;

use super::Question;
use crate::entity::{Entity, Item};
use crate::metrics::{Items, Sample};
use quickdraw_domain::Timestamp;

/// Largest number of items in an explanation.
const MAX_EXPLAINED: usize = 10_000;

/// Explanation of the number of a window.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Explanation {
    /// Items that count, followed by items that do not count; at most 10,000 in total.
    pub items: Vec<Explained>,

    /// Number of items that do not count, by reason.
    pub left_out: BTreeMap<&'static str, usize>,
}

/// An item of an explanation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explained {
    /// The project's id in events, and the item's number in the project.
    pub key: (i64, i64),

    /// Name of the item in GitLab.
    pub name: String,

    /// True if the item counts.
    pub counts: bool,

    /// Time at which the item counts.
    pub at: Option<Timestamp>,

    /// Value that the item contributes; None if only distinct items or people count.
    pub value: Option<i64>,

    /// Reason why the item does not count. If it counts, the reason why its value is not exact.
    pub reason: Option<&'static str>,
}

impl Explained {
    /// Builds an entry that does not count.
    fn of(item: &Item) -> Self {
        Self {
            key: item.key(),
            name: item.name(),
            counts: false,
            at: None,
            value: None,
            reason: None,
        }
    }
}

impl Question {
    /// Lists the items that count, then the others, and counts the reasons of the others.
    pub(super) fn explanation(&self, items: &Items) -> Explanation {
        let (mut counting, mut others, mut left_out) = (Vec::new(), Vec::new(), BTreeMap::new());
        items.each_together(self.metric, self.window.from, self.window.to, |together, sample| {
            let item = &together[together.len() - 1];
            let (all, why) = match sample {
                Sample::In(at, value) => (vec![(at, value)], None),
                Sample::Many(all) => (all, None),
                Sample::About(all, why) => (all, Some(why)),
                Sample::Out(reason) => {
                    *left_out.entry(reason).or_default() += 1;

                    if others.len() < MAX_EXPLAINED {
                        others.push(Explained {
                            reason: Some(reason),
                            ..Explained::of(item)
                        });
                    }

                    return;
                }
            };

            let room = MAX_EXPLAINED.saturating_sub(counting.len());
            for (at, value) in all.into_iter().take(room) {
                // Of items that belong together, this is the one that changed at this time.
                let item = together.iter().find(|item| item.happened_at(at)).unwrap_or(item);
                // Values that only identify something are not numbers, and identities of people could reveal groups
                // that are too small.
                let value = (!self.metric.kind.is_distinct()).then_some(value);

                let explained = Explained {
                    counts: true,
                    at: Some(at),
                    value,
                    reason: why,
                    ..Explained::of(item)
                };
                counting.push(explained);
            }
        });

        counting.extend(others);
        counting.truncate(MAX_EXPLAINED);

        Explanation {
            items: counting,
            left_out,
        }
    }
}
