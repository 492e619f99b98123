//! The start of coverage: the time from which items are known. Before it, a metric has no meaning, which is different
//! from 0.

use crate::entity::{Entity, Item};
use quickdraw_domain::Timestamp;

/// The earliest time at which the item was known from events. Every event of a merge request or issue contains its time
/// of creation, so only times at which it was seen count.
#[must_use]
pub fn known_since(item: &Item) -> Option<Timestamp> {
    match item {
        Item::MergeRequest(one) => {
            let seen = one.observations.iter().map(|seen| seen.at);
            seen.chain(one.notes.values().map(|note| note.at))
                .chain([one.first_received_at])
                .min()
        }
        Item::Issue(one) => {
            let seen = one
                .state
                .iter()
                .map(|state| state.at)
                .chain(one.closes())
                .chain(one.reopened_at());
            seen.chain(one.notes.values().map(|note| note.at))
                .chain([one.first_received_at])
                .min()
        }
        other => other.opened_at(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::entity;
    use quickdraw_domain::Trigger;

    #[test]
    fn a_merge_request_is_known_since_it_was_seen_and_not_since_it_was_created() {
        let attributes = json!({ "iid": 1, "target_project_id": 7, "author_id": 1, "created_at": "2020-01-01 08:00:00 UTC",
            "updated_at": "2026-03-02 08:00:00 UTC", "action": "update", "state": "opened" });
        let body = json!({ "project": { "id": 7 }, "object_attributes": attributes });
        let received_at = Timestamp::from_seconds(1_800_000_000);
        let trigger = Trigger::by_name("merge_request_hooks").expect("a row");
        let all = entity::joined_at(&[(received_at, trigger, body)]);

        assert_eq!(
            known_since(&all[0]).map(Timestamp::to_iso).as_deref(),
            Some("2026-03-02T08:00:00.000Z")
        );
    }
}
