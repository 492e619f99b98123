//! The contribution of an event to insights, as the page of the event shows it.

use std::collections::BTreeMap;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::ui::parts::{Badge, sentence};
use crate::ui::place::Place;

/// Largest number of items that are shown.
const MAX_ITEMS: usize = 20;
/// Kinds of items by which events can be filtered.
const OBJECTS: [&str; 2] = ["merge_request", "issue"];

/// The contribution, as the API shows it.
#[derive(Deserialize)]
pub(super) struct Contribution {
    state: String,
    items: Vec<Item>,
    has_more: bool,
    metrics: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct Item {
    kind: String,
    item: String,
    name: String,
}

/// The contribution as a page shows it.
pub(super) struct Shown {
    pub(super) badge: Badge,
    pub(super) words: &'static str,
    pub(super) items: Vec<Line>,

    /// The number of further items in words. Empty if there are none.
    pub(super) more: String,
    pub(super) metrics: Vec<Metrics>,
}

/// An item with its addresses.
pub(super) struct Line {
    pub(super) words: String,

    /// The events about the same object. Empty for items by which events cannot be filtered.
    pub(super) href: String,

    /// The evidence in the API: all events that describe the item.
    pub(super) evidence: String,
}

/// The metrics about items of one kind.
pub(super) struct Metrics {
    pub(super) words: String,
    pub(super) names: Vec<String>,
}

impl Contribution {
    pub(super) fn shown(self, place: &Place) -> Shown {
        let (badge, words) = match self.state.as_str() {
            "counted" if self.items.is_empty() => (
                Badge::plain("No item"),
                "The body describes no object that a metric is about.",
            ),
            "counted" => (
                Badge::good("Counted"),
                "Insights read these items from the body. An item counts in each metric whose definition it meets.",
            ),
            "set_aside" => (
                Badge::bad("Set aside"),
                "Insights cannot read the body, so the event counts in no metric. It is delivered nevertheless.",
            ),
            _ => (Badge::plain("Not counted"), "No metric counts events like this one."),
        };

        let hidden = self.items.len().saturating_sub(MAX_ITEMS);
        let more = match (hidden, self.has_more) {
            (0, _) => String::new(),
            (hidden, false) => format!("{hidden} more items"),
            (hidden, true) => format!("More than {hidden} more items"),
        };
        let line = |item: &Item| self.line(item, place);
        Shown {
            badge,
            words,
            items: self.items.iter().take(MAX_ITEMS).map(line).collect(),
            more,
            metrics: self.metrics.iter().map(metrics).collect(),
        }
    }

    fn line(&self, item: &Item, place: &Place) -> Line {
        let kind = sentence(&item.kind.replace('_', " "));
        // The names of other items begin with their kind.
        let words = match item.kind.as_str() {
            "merge_request" | "issue" | "commit" | "branch" => format!("{kind} {}", item.name),
            _ => sentence(&item.name),
        };

        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let is_object = OBJECTS.contains(&item.kind.as_str());
        let href = if is_object {
            place.page(&format!("events?object={}", encoded(&item.name)))
        } else {
            String::new()
        };

        let metric = self.metrics.get(&item.kind).and_then(|names| names.first());
        let filter = match place.filter() {
            filter if filter.is_empty() => filter,
            filter => format!("&{filter}"),
        };
        let evidence = metric.map(|metric| {
            let item = encoded(&item.item);
            format!("/api/v1/insights/metrics/{metric}/events?item={item}{filter}")
        });
        Line {
            words,
            href,
            evidence: evidence.unwrap_or_default(),
        }
    }
}

fn metrics((kind, names): (&String, &Vec<String>)) -> Metrics {
    let names: Vec<String> = names.iter().map(|name| sentence(&name.replace('_', " "))).collect();
    let kind = kind.replace('_', " ");
    let words = match names.len() {
        1 => format!("1 metric is about each {kind}"),
        count => format!("{count} metrics are about each {kind}"),
    };
    Metrics { words, names }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_leads_to_its_events_and_its_evidence() {
        let contribution = r#"{"state": "counted", "has_more": false, "metrics": {"merge_request": ["mr_open"]},
            "items": [{"kind": "merge_request", "item": "7/12", "name": "!12"}]}"#;
        let contribution: Contribution = serde_json::from_str(contribution).expect("a contribution");
        let shown = contribution.shown(&Place::instance());

        let line = &shown.items[0];
        assert_eq!(line.words, "Merge request !12");
        assert_eq!(line.href, "/admin/events?object=%2112");
        assert_eq!(line.evidence, "/api/v1/insights/metrics/mr_open/events?item=7%2F12");
        assert_eq!(shown.metrics[0].words, "1 metric is about each merge request");
    }
}
