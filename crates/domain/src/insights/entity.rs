//! What merge requests and issues have alike: a number in a project, comments, and a state that grows by joins.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::times;
use crate::Timestamp;

/// Most comments of one thing that are kept apart.
const MOST_NOTES: usize = 5_000;

/// Everything that events said of one thing. Two of one key join, in any order and any number of times.
pub trait Entity: Clone + PartialEq + Serialize + DeserializeOwned {
    /// The project's number in events, and its number there.
    fn key(&self) -> (i64, i64);
    /// Both together.
    #[must_use]
    fn join(self, other: Self) -> Self;
    /// When it began.
    fn opened_at(&self) -> Option<Timestamp>;
    /// Behind when nothing of it counts for anything; nothing while that is open.
    fn settled_at(&self) -> Option<Timestamp>;
}

/// A comment by a person or a program.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Note {
    /// When it was written.
    pub at: Timestamp,
    /// Who wrote it.
    pub author: i64,
}

impl Note {
    /// The comment that an event is about, with its number; nothing for what GitLab wrote by itself.
    pub(super) fn of(received_at: Timestamp, body: &Value) -> Option<(i64, Self)> {
        let note = &body["object_attributes"];
        if note["system"] == true {
            return None;
        }
        let author = note["author_id"].as_i64().or_else(|| body["user"]["id"].as_i64())?;
        Some((note["id"].as_i64()?, Self { at: time(&note["created_at"]).unwrap_or(received_at), author }))
    }
}

/// Joins comments. What stays of too many are those with the lowest numbers, so it is the same whatever came first.
pub(super) fn join_notes(known: &mut BTreeMap<i64, Note>, other: BTreeMap<i64, Note>) {
    for (id, note) in other {
        let known = known.entry(id).or_insert(note);
        *known = note.min(*known);
    }
    while known.len() > MOST_NOTES {
        known.pop_last();
    }
}

/// The lesser of what is known; what one side does not know, the other does.
pub(super) fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    one.into_iter().chain(other).min()
}

/// Whole seconds from one point to another; 0 where it lies before.
pub(super) fn seconds(from: Timestamp, to: Timestamp) -> i64 {
    (to.as_micros() - from.as_micros()).max(0) / 1_000_000
}

pub(super) fn time(value: &Value) -> Option<Timestamp> {
    times::read(value.as_str()?).map(|written| written.at)
}
