//! The kinds of events of a level: which of them a test can send, and their words.

use serde::Deserialize;

use super::trigger_words;
use crate::ui::client::Items;
use crate::ui::error::PageError;
use crate::ui::place::{Level, Visit};

#[derive(Deserialize)]
struct Known {
    name: String,
    attribute: Option<String>,
    levels: Vec<KnownLevel>,
}

#[derive(Deserialize)]
struct KnownLevel {
    level: String,
    reason: Option<String>,
}

/// A kind of event.
pub(super) struct Kind {
    /// Name in history.
    pub(super) name: String,
    pub(super) words: String,

    /// Attribute of the hook API, which tests name.
    pub(super) attribute: String,

    /// Reason why no test can send it.
    pub(super) reason: Option<String>,
}

/// Lists the kinds of events that webhooks of a place can get.
pub(super) async fn kinds(at: &Visit) -> Result<Vec<Kind>, PageError> {
    let known: Items<Known> = at.person.api.get("/api/v1/triggers").await?;
    let level = if at.place.level == Level::Instance {
        "system"
    } else {
        at.place.level.word()
    };

    let mut kinds = Vec::new();
    for kind in known.items {
        let of_level = kind.levels.into_iter().find(|known| known.level == level);
        let (Some(attribute), Some(of_level)) = (kind.attribute, of_level) else {
            continue;
        };

        kinds.push(Kind {
            name: kind.name,
            words: trigger_words(&attribute),
            attribute,
            reason: of_level.reason,
        });
    }

    Ok(kinds)
}
