//! Issues and other work items, joined from events. Definitions: `docs/guide/insights.md`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::commits::named_project;
use super::entity::{Entity, Note, distinct_times, join_notes, least, not_before, time};
use super::labels::Labels;
use super::people::is_alert_bot;
use quickdraw_domain::Timestamp;

/// Maximum number of times of closing, and of reopening, that are kept for one issue.
const MAX_CHANGES: usize = 1_000;

/// The state of an issue in one event. The order decides between events of the same time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct State {
    /// `updated_at` of the issue.
    pub at: Timestamp,

    /// Among events of the same time, a close follows other events, and a reopening follows a close.
    rank: u8,

    /// True if the issue was open.
    pub is_open: bool,
}

/// An issue, joined from all its events. Two states with the same key join, in any order and any number of times.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Issue {
    /// The project's id in events.
    pub project: i64,

    /// The issue's number in the project.
    pub iid: i64,

    /// Time of creation. Every event contains it.
    pub created_at: Option<Timestamp>,

    /// Account that created the issue.
    pub author: Option<i64>,

    /// Receipt of the first event that mentioned the issue.
    pub first_received_at: Timestamp,

    /// The newest known state.
    pub state: Option<State>,

    /// All times at which the issue was closed.
    closed: BTreeSet<Timestamp>,

    /// All times at which the issue was reopened.
    reopened: BTreeSet<Timestamp>,

    /// True if the issue is or was an incident.
    pub is_incident: bool,

    /// Comments by their ids.
    pub notes: BTreeMap<i64, Note>,

    /// Labels, by the times at which they were seen.
    #[serde(default)]
    pub labels: Labels,

    /// The cause that the description names: a commit, or the id of a deployment.
    #[serde(default)]
    pub caused_by: Option<String>,
}

impl Issue {
    /// Reads an event of the issue.
    pub(super) fn of_event(received_at: Timestamp, body: &Value) -> Option<Self> {
        let attributes = &body["object_attributes"];
        let mut one = Self::of(received_at, body, attributes)?;
        let at = time(&attributes["updated_at"]).unwrap_or(received_at);

        match attributes["action"].as_str() {
            // Most events of a closed issue contain `closed_at`.
            Some("close") if one.closed.is_empty() => drop(one.closed.insert(at)),
            Some("reopen") => drop(one.reopened.insert(at)),
            // An issue that GitLab opens for an alert is an incident, whatever its type.
            Some("open") => one.is_incident |= body["user"]["username"].as_str().is_some_and(is_alert_bot),
            _ => {}
        }

        Some(one)
    }

    /// Reads the issue of a comment.
    pub(super) fn of_note(received_at: Timestamp, body: &Value) -> Option<Self> {
        let mut one = Self::of(received_at, body, &body["issue"])?;
        one.notes.extend(Note::of(received_at, body));
        Some(one)
    }

    fn of(received_at: Timestamp, body: &Value, attributes: &Value) -> Option<Self> {
        let at = time(&attributes["updated_at"]).unwrap_or(received_at);
        let rank = match attributes["action"].as_str() {
            Some("close") => 1,
            Some("reopen") => 2,
            _ => 0,
        };

        let is_open = attributes["state"].as_str().map(|state| state == "opened");
        let is_open = is_open.or_else(|| attributes["state_id"].as_i64().map(|state| state == 1));
        let labels = [&attributes["labels"], &body["labels"]]
            .into_iter()
            .find(|labels| labels.is_array());
        let labels = Labels::of(at, labels.unwrap_or(&Value::Null));

        Some(Self {
            project: named_project(body)?,
            iid: attributes["iid"].as_i64()?,
            created_at: time(&attributes["created_at"]),
            author: attributes["author_id"].as_i64(),
            first_received_at: received_at,
            state: is_open.map(|is_open| State { at, rank, is_open }),
            closed: time(&attributes["closed_at"]).into_iter().collect(),
            reopened: BTreeSet::new(),
            is_incident: has_type_of_incident(attributes) || labels.ever().any(is_of_incidents),
            notes: BTreeMap::new(),
            labels,
            caused_by: attributes["description"].as_str().and_then(cause_in),
        })
    }

    /// True if the issue has or had one of these labels, or a scoped label below one of them.
    #[must_use]
    pub fn has_ever_had(&self, labels: &[String]) -> bool {
        !labels.is_empty()
            && self
                .labels
                .ever()
                .any(|label| labels.iter().any(|one| is_of(label, one)))
    }

    /// All times at which the issue was closed, in order.
    pub fn closes(&self) -> impl Iterator<Item = Timestamp> + '_ {
        distinct_times(self.closed.iter().copied()).into_iter()
    }

    /// Time of the first reopening.
    #[must_use]
    pub fn reopened_at(&self) -> Option<Timestamp> {
        self.reopened.first().copied()
    }

    /// True if the issue is open, as far as is known.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state.is_none_or(|state| state.is_open)
    }

    /// Time of the close after which the issue stayed closed.
    #[must_use]
    pub fn closed_at(&self) -> Option<Timestamp> {
        if self.is_open() {
            return None;
        }

        // A close before the last reopening does not count.
        let closed = self
            .closed
            .last()
            .copied()
            .filter(|at| self.reopened.last().is_none_or(|reopened| at >= reopened));
        closed.or(self.state.map(|state| state.at))
    }
}

/// True if the type is incident. GitLab's webhooks have `type: Incident`, its APIs `issue_type: incident` and `type:
/// INCIDENT`.
fn has_type_of_incident(attributes: &Value) -> bool {
    let types = ["type", "issue_type"]
        .into_iter()
        .filter_map(|name| attributes[name].as_str());
    types.into_iter().any(|name| name.eq_ignore_ascii_case("incident"))
}

/// True for `incident`, and for scoped labels such as `incident::major`.
fn is_of_incidents(label: &str) -> bool {
    is_of(label, "incident")
}

/// True if `label` is `scope`, or a scoped label below it.
fn is_of(label: &str, scope: &str) -> bool {
    label.eq_ignore_ascii_case(scope) || label.split("::").next().unwrap_or_default().eq_ignore_ascii_case(scope)
}

/// The word after `caused-by:` at the beginning of a line.
fn cause_in(text: &str) -> Option<String> {
    const MARK: &str = "caused-by:";

    let is_here = |line: &&str| {
        line.get(..MARK.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(MARK))
    };
    let line = text.lines().map(str::trim_start).find(is_here)?;

    let named = line[MARK.len()..]
        .split_whitespace()
        .next()?
        .trim_start_matches('#')
        .to_ascii_lowercase();
    let is_name = (1..=64).contains(&named.len()) && named.bytes().all(|c| c.is_ascii_hexdigit());
    is_name.then_some(named)
}

impl Entity for Issue {
    fn key(&self) -> (i64, i64) {
        (self.project, self.iid)
    }

    fn join(mut self, other: Self) -> Self {
        self.created_at = least(self.created_at, other.created_at);
        self.author = least(self.author, other.author);
        self.first_received_at = self.first_received_at.min(other.first_received_at);
        self.state = self.state.max(other.state);
        self.closed.extend(other.closed);
        self.reopened.extend(other.reopened);
        self.is_incident |= other.is_incident;
        self.caused_by = least(self.caused_by, other.caused_by);

        for times in [&mut self.closed, &mut self.reopened] {
            while times.len() > MAX_CHANGES {
                times.pop_last();
            }
        }

        join_notes(&mut self.notes, other.notes);
        self.labels.join(other.labels);
        self
    }

    fn opened_at(&self) -> Option<Timestamp> {
        self.created_at
    }

    fn settled_at(&self) -> Option<Timestamp> {
        // The labels of a closed issue can still change.
        let at = self.closed_at().map(|at| not_before(at, &self.notes));
        at.map(|at| self.labels.last().map_or(at, |last| last.max(at)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::entity::{self, Item};
    use crate::metrics;
    use quickdraw_domain::Trigger;

    /// Minutes after 2026-03-01, 00:00 UTC.
    fn written(minute: i64) -> String {
        let time = jiff::Timestamp::from_second(1_772_323_200 + minute * 60).expect("in range");
        time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
    }

    fn event(action: &str, minute: i64, closed_at: Option<i64>) -> (Trigger, Value) {
        let state = if closed_at.is_some() { "closed" } else { "opened" };
        let attributes = json!({ "iid": 3, "author_id": 1, "created_at": written(720), "updated_at": written(minute),
            "action": action, "state": state, "closed_at": closed_at.map(written), "type": "Issue" });
        (
            Trigger::by_name("issue_hooks").expect("a row"),
            json!({ "project": { "id": 7 }, "object_attributes": attributes }),
        )
    }

    fn note(id: i64, minute: i64, who: i64) -> (Trigger, Value) {
        let on = json!({ "iid": 3, "author_id": 1, "created_at": written(720), "updated_at": written(720), "state": "opened" });
        let note = json!({ "id": id, "author_id": who, "created_at": written(minute) });
        let body = json!({ "project": { "id": 7 }, "object_attributes": note, "issue": on });
        (Trigger::by_name("note_hooks").expect("a row"), body)
    }

    fn joined(events: &[(Trigger, Value)]) -> Issue {
        match entity::joined(events).into_iter().next() {
            Some(Item::Issue(one)) => one,
            other => panic!("no issue: {other:?}"),
        }
    }

    fn value(one: &Issue, name: &str) -> Result<i64, &'static str> {
        metrics::given(name, &[Item::Issue(one.clone())], &[9]).map(|values| values.iter().sum())
    }

    /// The issue is opened on 1 March at 12:00, closed at 15:00, and reopened on 3 March.
    fn example() -> [(Trigger, Value); 3] {
        [
            event("open", 720, None),
            event("reopen", 2 * 1_440 + 60, None),
            event("close", 900, Some(900)),
        ]
    }

    fn check_example(one: &Issue) {
        assert_eq!(value(one, "issues_closed"), Err("it is not closed"));
        assert_eq!(
            (value(one, "issue_close_events"), value(one, "issues_open")),
            (Ok(1), Ok(1))
        );

        assert_eq!(
            (value(one, "time_to_first_close"), value(one, "issues_reopened")),
            (Ok(10_800), Ok(1))
        );

        assert!(value(one, "issue_lead_time").is_err());
    }

    proptest! {
        #[test]
        fn the_example_gives_its_numbers_in_any_order(order in prop::collection::vec(0..3_usize, 0..12)) {
            let all = example();
            let mut events: Vec<_> = order.into_iter().map(|index| all[index].clone()).collect();
            events.extend(all.iter().rev().cloned());
            let one = joined(&events);
            prop_assert_eq!(&one, &joined(&all));
            check_example(&one);
        }
    }

    #[test]
    fn an_issue_closed_twice_is_closed_once_and_has_two_closes() {
        let events = [
            &example()[..],
            &[event("close", 4_000, Some(4_000)), event("update", 4_100, Some(4_000))],
        ]
        .concat();
        let one = joined(&events);
        assert_eq!(
            (value(&one, "issues_closed"), value(&one, "issue_close_events")),
            (Ok(1), Ok(2))
        );

        assert_eq!(
            (value(&one, "issue_lead_time"), value(&one, "time_to_first_close")),
            (Ok((4_000 - 720) * 60), Ok(10_800))
        );

        // A close without `closed_at` counts at `updated_at`.
        let (trigger, mut undated) = event("close", 900, Some(900));
        undated["object_attributes"]["closed_at"] = Value::Null;

        assert_eq!(
            value(
                &joined(&[event("open", 720, None), (trigger, undated)]),
                "issue_lead_time"
            ),
            Ok(10_800)
        );
    }

    #[test]
    fn the_first_response_is_by_another_person_and_incidents_are_apart() {
        let events = [
            event("open", 720, None),
            note(1, 721, 9),
            note(2, 730, 1),
            note(3, 780, 2),
            note(4, 760, 4),
        ];
        assert_eq!(value(&joined(&events), "issue_first_response"), Ok(2_400));
        assert!(value(&joined(&events[..3]), "issue_first_response").is_err());

        let (trigger, mut incident) = event("open", 720, None);
        incident["object_attributes"]["type"] = "Incident".into();

        let both = [(trigger, incident), event("update", 800, None)];
        assert_eq!(
            value(&joined(&both), "issues_opened"),
            Err("it is an incident, which other metrics count")
        );

        for (name, spelling) in [("type", "INCIDENT"), ("issue_type", "incident")] {
            let (trigger, mut incident) = event("open", 720, None);
            incident["object_attributes"][name] = spelling.into();

            assert_eq!(
                value(&joined(&[(trigger, incident)]), "incidents"),
                Ok(1),
                "{name}: {spelling}"
            );
        }
    }
}
