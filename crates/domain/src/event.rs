//! Events, as the journal keeps them.

use uuid::Uuid;

use crate::ids::{EventId, HookId, ObjectKey, SourceId};
use crate::scope::Place;
use crate::{Timestamp, Trigger};

/// The way in which an event reached Quickdraw.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Origin {
    /// Reported through the API by a program, a git hook or a person.
    Api,

    /// Posted by a GitLab to one of our sources.
    Source(SourceId),

    /// Created for a test of one hook. Nothing happened.
    Test,

    /// Reported later, from a repository, a GitLab or a file. It is counted and never delivered.
    Backfill,
}

/// The journal's record of an event, without its bytes.
///
/// The bytes are passed separately and compressed: most steps never read them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// Its id, ordered by time.
    pub id: EventId,

    /// The place where it happened, which decides the hooks that can get it.
    pub place: Place,

    /// Its kind.
    pub trigger: Trigger,

    /// The way in which it reached Quickdraw.
    pub origin: Origin,

    /// The time at which Quickdraw accepted it.
    pub received_at: Timestamp,

    /// `X-Gitlab-Event-UUID` of the request that caused it: the chain that it continues, for the detection of
    /// recursion.
    pub chain: Option<Uuid>,

    /// Full name of the ref of a push (`refs/heads/main`), for branch filters.
    pub git_ref: Option<String>,

    /// The key of its object. Only known while some hook wants its events in order.
    pub object: Option<ObjectKey>,

    /// `X-Gitlab-Event` of a received event, if it differs from the header of its kind.
    pub sent_as: Option<String>,

    /// `X-Gitlab-Instance` of a received event.
    pub instance: Option<String>,

    /// The event that this one duplicates: the same body, received shortly before through another hook. A duplicate is
    /// not delivered.
    pub duplicate_of: Option<EventId>,

    /// Hooks that get the event although their filter needs commits that the push does not list.
    pub unlisted: Vec<HookId>,
}

impl Event {
    /// An event without chain, ref, object and properties of received events.
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

    /// The branch of a push. `None` for tags and for all other kinds.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        self.git_ref.as_deref()?.strip_prefix("refs/heads/")
    }
}

/// The value by which a second copy of an event is recognised.
///
/// GitLab's `Idempotency-Key` and `webhook-id` are stable over retries and resends. Its UUID headers are not, so they
/// are never used here.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct DedupeKey {
    /// Keys of different sources, and of the API, are never equal.
    pub origin: Origin,

    /// Keys of different projects and groups are never equal: two senders may number their builds alike. `Elsewhere`
    /// for received events, whose key contains the project or group of the body
    /// ([`Envelope::dedupe_key`](crate::envelope::Envelope::dedupe_key)).
    pub place: Place,

    /// The sender's key, as it was sent.
    pub key: String,
}

impl DedupeKey {
    /// The key of an event from an origin about a place.
    ///
    /// The place of a received event follows from `X-Gitlab-Instance`, which no signature covers. So it must not decide
    /// whether the event is a repeat: a captured request would otherwise be a new event under the name of any other
    /// instance.
    #[must_use]
    pub fn new(origin: Origin, place: Place, key: String) -> Self {
        let place = match origin {
            Origin::Source(_) => Place::Elsewhere,
            Origin::Api | Origin::Test | Origin::Backfill => place,
        };
        Self { origin, place, key }
    }
}
