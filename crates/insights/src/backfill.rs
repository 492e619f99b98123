//! Backfill: history from before the first received event, stored as events in the journal. Its facts go through the
//! same joins as those of received events, so an overlap counts once.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::entity::Item;
use quickdraw_domain::times;

use super::{Fact, FactError, facts};
use quickdraw_domain::Timestamp;
use quickdraw_domain::event::{Event, Origin};

/// The body of an event of [`Origin::Backfill`].
#[derive(Serialize, Deserialize)]
pub struct Record<'a> {
    /// The time at which the event would have been received, in a format of [`times::read`]. Objects without a time of
    /// their own, such as pushes, get this time.
    pub received_at: Option<String>,

    /// The body that would have been received.
    #[serde(borrow)]
    pub payload: &'a RawValue,
}

impl Record<'_> {
    /// The time at which the event would have been received, if it is readable.
    #[must_use]
    pub fn received_at(&self) -> Option<Timestamp> {
        self.received_at
            .as_deref()
            .and_then(times::read)
            .map(|written| written.at)
    }
}

/// Reads the facts of an event of any origin.
///
/// # Errors
/// When the body is not valid JSON, or the body of a backfill is not a [`Record`].
pub fn facts_of(event: &Event, body: &[u8]) -> Result<Vec<Fact>, FactError> {
    if event.origin != Origin::Backfill {
        return facts(event.trigger, event.received_at, body);
    }

    let record: Record<'_> = serde_json::from_slice(body)?;
    let received_at = record.received_at().unwrap_or(event.received_at);
    let mut all = facts(event.trigger, received_at, record.payload.get().as_bytes())?;
    // Coverage and gaps refer to received events only, so backfilled objects are not counted as seen.
    all.retain(|fact| !matches!(fact, Fact::Seen(_)));

    for fact in &mut all {
        match fact {
            Fact::Item(item) => {
                if let Item::Push(push) = &mut **item {
                    push.received = None;
                }
            }
            // A backfill is no sign of life: the project can still be reported as silent.
            Fact::Project { seen_at, .. } => *seen_at = Timestamp::default(),
            _ => {}
        }
    }

    Ok(all)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::entity::Entity;
    use quickdraw_domain::ids::EventId;
    use quickdraw_domain::scope::Place;
    use quickdraw_domain::{ProjectId, Trigger};

    fn read(origin: Origin, body: &serde_json::Value) -> Vec<Fact> {
        let place = Place::Project(ProjectId(1));
        let event = Event::new(
            EventId(Uuid::nil()),
            place,
            Trigger::PUSH,
            origin,
            Timestamp::from_seconds(5_000),
        );
        facts_of(&event, body.to_string().as_bytes()).expect("it can be read")
    }

    #[test]
    fn a_backfilled_event_counts_like_a_received_one() {
        let push =
            json!({ "ref": "refs/heads/main", "before": "a", "after": "b", "project": { "id": 7 }, "commits": [] });
        let record = json!({ "received_at": "1970-01-01T01:23:20Z", "payload": push });

        let marked = |mut facts: Vec<Fact>| {
            for fact in &mut facts {
                if let Fact::Item(item) = fact
                    && let Item::Push(push) = &mut **item
                {
                    push.received = None;
                }
            }

            facts
        };
        assert_eq!(read(Origin::Backfill, &record), marked(read(Origin::Api, &push)));

        let undated = read(Origin::Backfill, &json!({ "payload": push }));
        assert_eq!(
            undated,
            marked(read(Origin::Api, &push)),
            "dated by the receipt of the backfill"
        );

        let earlier = read(
            Origin::Backfill,
            &json!({ "received_at": "1970-01-01T00:00:01Z", "payload": push }),
        );

        let opened: Vec<Option<Timestamp>> = earlier
            .iter()
            .filter_map(|fact| {
                if let Fact::Item(item) = fact {
                    Some(item.opened_at())
                } else {
                    None
                }
            })
            .collect();

        assert_eq!(
            opened,
            [Some(Timestamp::from_seconds(1)); 2],
            "a branch and a push, dated by received_at"
        );
    }

    #[test]
    fn commits_without_a_push_move_no_branch_and_can_have_parents() {
        let commit = |sha: &str, parents: &[&str]| {
            json!({ "id": sha, "message": "m", "timestamp": "2026-01-01T00:00:00Z", "parent_ids": parents,
                "author": { "name": "Ida", "email": "ida@climb.example" } })
        };
        let body = json!({ "ref": "refs/heads/main", "project": { "id": 7, "default_branch": "main" },
            "commits": [commit("c1", &["c0"]), commit("m", &["c1", "d1"])] });
        let facts = read(Origin::Backfill, &json!({ "payload": body }));

        let merges: Vec<&str> = facts
            .iter()
            .filter_map(|fact| {
                if let Fact::MergeCommit { sha, .. } = fact {
                    Some(sha.as_str())
                } else {
                    None
                }
            })
            .collect();

        assert_eq!(merges, ["m"]);

        let landed = facts
            .iter()
            .filter(|fact| matches!(fact, Fact::Commit(commit) if commit.landed))
            .count();
        assert_eq!(landed, 2);

        assert!(
            !facts
                .iter()
                .any(|fact| matches!(fact, Fact::Item(item) if matches!(**item, Item::Push(_) | Item::Branch(_))))
        );
    }
}
