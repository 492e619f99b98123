//! What is told afterwards: history from before anything was received, as the journal keeps it. It goes through the same joins
//! as what was received, so where the two overlap nothing counts twice.

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
    /// When it would have been received, in any of the ways of [`times::read`]. What has no time of its own, as pushes, is
    /// dated by it.
    pub received_at: Option<String>,
    /// The body that would have been received.
    #[serde(borrow)]
    pub payload: &'a RawValue,
}

impl Record<'_> {
    /// When it would have been received, if that can be read.
    #[must_use]
    pub fn received_at(&self) -> Option<Timestamp> {
        self.received_at.as_deref().and_then(times::read).map(|written| written.at)
    }
}

/// What an event of the journal counts for, however it got there.
///
/// # Errors
/// When the body is no JSON that can be represented, or of a backfill and no [`Record`].
pub fn facts_of(event: &Event, body: &[u8]) -> Result<Vec<Fact>, FactError> {
    if event.origin != Origin::Backfill {
        return facts(event.trigger, event.received_at, body);
    }
    let record: Record<'_> = serde_json::from_slice(body)?;
    let received_at = record.received_at().unwrap_or(event.received_at);
    let mut all = facts(event.trigger, received_at, record.payload.get().as_bytes())?;
    // Coverage begins with what was received, and gaps lie between that: what was told of before is no gap.
    all.retain(|fact| !matches!(fact, Fact::Seen(_)));
    for fact in &mut all {
        match fact {
            Fact::Item(item) => {
                if let Item::Push(push) = &mut **item {
                    push.received = None;
                }
            }
            // Nothing was heard of it now: it can be silent all the same.
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

    fn told(origin: Origin, body: &serde_json::Value) -> Vec<Fact> {
        let place = Place::Project(ProjectId(1));
        let event = Event::new(EventId(Uuid::nil()), place, Trigger::PUSH, origin, Timestamp::from_seconds(5_000));
        facts_of(&event, body.to_string().as_bytes()).expect("it can be read")
    }

    #[test]
    fn it_counts_as_if_it_had_been_received() {
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
        assert_eq!(told(Origin::Backfill, &record), marked(told(Origin::Api, &push)));
        let undated = told(Origin::Backfill, &json!({ "payload": push }));
        assert_eq!(undated, marked(told(Origin::Api, &push)), "as of when it was told");
        let earlier = told(Origin::Backfill, &json!({ "received_at": "1970-01-01T00:00:01Z", "payload": push }));
        let opened: Vec<Option<Timestamp>> = earlier
            .iter()
            .filter_map(|fact| if let Fact::Item(item) = fact { Some(item.opened_at()) } else { None })
            .collect();
        assert_eq!(opened, [Some(Timestamp::from_seconds(1)); 2], "a branch and a push, by when they would have come");
    }

    #[test]
    fn commits_without_a_push_move_no_branch_and_tell_their_parents() {
        let commit = |sha: &str, parents: &[&str]| {
            json!({ "id": sha, "message": "m", "timestamp": "2026-01-01T00:00:00Z", "parent_ids": parents,
                "author": { "name": "Ida", "email": "ida@climb.example" } })
        };
        let body = json!({ "ref": "refs/heads/main", "project": { "id": 7, "default_branch": "main" },
            "commits": [commit("c1", &["c0"]), commit("m", &["c1", "d1"])] });
        let facts = told(Origin::Backfill, &json!({ "payload": body }));
        let merges: Vec<&str> = facts
            .iter()
            .filter_map(|fact| if let Fact::MergeCommit { sha, .. } = fact { Some(sha.as_str()) } else { None })
            .collect();
        assert_eq!(merges, ["m"]);
        let landed = facts.iter().filter(|fact| matches!(fact, Fact::Commit(commit) if commit.landed)).count();
        assert_eq!(landed, 2);
        assert!(
            !facts
                .iter()
                .any(|fact| matches!(fact, Fact::Item(item) if matches!(**item, Item::Push(_) | Item::Branch(_))))
        );
    }
}
