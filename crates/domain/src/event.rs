//! Events: what happened, once, as the journal keeps it.

mod object;
mod skim;
mod whereabouts;

pub(crate) use object::ObjectName;
pub use object::object_key;
pub use skim::{BodyError, MAX_DEPTH, Skim};
use uuid::Uuid;
pub use whereabouts::{SeenGroup, SeenProject, SeenUser, Whereabouts};

use crate::ids::{EventId, HookId, ObjectKey, SourceId};
use crate::scope::Place;
use crate::{Timestamp, Trigger};

/// Where an event came in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Origin {
    /// Reported through the API, by a program, a git hook or a person.
    Api,
    /// Posted to one of our sources by a GitLab.
    Source(SourceId),
    /// Made for a test of one hook: it stands for nothing that happened.
    Test,
    /// Told afterwards, from a repository, a GitLab or a file: it counts, and is delivered to nobody.
    Backfill,
}

/// What the journal knows of an event besides its bytes.
///
/// The bytes themselves travel apart, packed: most steps never look at them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// Its key, ordered by time.
    pub id: EventId,
    /// Where it happened, which decides who hears of it.
    pub place: Place,
    /// What kind it is.
    pub trigger: Trigger,
    /// Where it came in.
    pub origin: Origin,
    /// When we took responsibility for it.
    pub received_at: Timestamp,
    /// `X-Gitlab-Event-UUID` of the request that caused it: the chain it belongs to, for recursion detection.
    pub chain: Option<Uuid>,
    /// Full name of the ref for pushes (`refs/heads/main`), for branch filters.
    pub git_ref: Option<String>,
    /// What it is about. Only known while some hook wants its events in order.
    pub object: Option<ObjectKey>,
    /// `X-Gitlab-Event` of a received event, where it is not what its kind says.
    pub sent_as: Option<String>,
    /// `X-Gitlab-Instance` of a received event.
    pub instance: Option<String>,
    /// The event that this one duplicates: the same body, received a moment before by way of another hook. It is not delivered.
    pub duplicate_of: Option<EventId>,
    /// Hooks that it reaches although their filter asks for commits that the push does not list.
    pub unlisted: Vec<HookId>,
}

impl Event {
    /// One that stands for itself: of no chain, no ref and no object, as it was reported here.
    #[must_use]
    pub const fn new(id: EventId, place: Place, trigger: Trigger, origin: Origin, received_at: Timestamp) -> Self {
        Self {
            id,
            place,
            trigger,
            origin,
            received_at,
            chain: None,
            git_ref: None,
            object: None,
            sent_as: None,
            instance: None,
            duplicate_of: None,
            unlisted: Vec::new(),
        }
    }

    /// The branch that a push was to; `None` for tags and for all other kinds.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        self.git_ref.as_deref()?.strip_prefix("refs/heads/")
    }
}

/// What makes a second copy of an event recognisable.
///
/// GitLab's `Idempotency-Key` and `webhook-id` are stable over retries and resends; its UUID headers are not, so they
/// never stand here (`contract/behaviour.md` section 10).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct DedupeKey {
    /// Keys of different sources, and of the API, never meet.
    pub origin: Origin,
    /// Nor do those of different projects and groups: two reporters may count their builds alike. `Elsewhere` for received
    /// events, whose key names the project or group of the body ([`Whereabouts::key`]).
    pub place: Place,
    /// The sender's key, as sent.
    pub key: String,
}

impl DedupeKey {
    /// The key of an event from a source, about a place.
    ///
    /// The place of a received event follows from `X-Gitlab-Instance`, which no signature covers: it must not decide whether
    /// the event is a duplicate, or a captured request would be a new event under every other instance.
    #[must_use]
    pub fn new(origin: Origin, place: Place, key: String) -> Self {
        let place = match origin {
            Origin::Source(_) => Place::Elsewhere,
            Origin::Api | Origin::Test | Origin::Backfill => place,
        };
        Self { origin, place, key }
    }
}
