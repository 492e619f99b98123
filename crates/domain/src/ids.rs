//! Identifiers. Each thing has its own type, so that a hook's id cannot be passed as a project's.
//!
//! Things that GitLab also has use integers, as there. Things of Quickdraw alone use UUIDs. Ids only convert.

use std::fmt;

use sha2::{Digest, Sha256};
use uuid::Uuid;

macro_rules! integer_id {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

macro_rules! uuid_id {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

integer_id! {
    /// A project, as the REST API numbers it.
    ProjectId,
    /// A group, as the REST API numbers it.
    GroupId,
    /// A hook, as the REST API numbers it: one sequence for hooks of all levels.
    HookId,
    /// An attempt. GitLab's API shows attempts as the integer-numbered "events" of a hook.
    AttemptId,
    /// A source. The default source has the id 1.
    SourceId,
    /// The digest of an event's object: the same for all events about one issue, merge request, branch and so on.
    ObjectKey,
}

uuid_id! {
    /// An event in the journal: a UUIDv7, so that the journal is written in the order of its key.
    EventId,
    /// A delivery. Requests send it as `Idempotency-Key`.
    DeliveryId,
    /// One running process, from start to stop.
    NodeId,
}

impl EventId {
    /// The creation time in whole milliseconds, from the first 48 bits.
    #[must_use]
    pub fn at(self) -> crate::Timestamp {
        time_of(self.0)
    }
}

impl DeliveryId {
    /// The id of the delivery that fan-out creates for `hook` and `event`.
    ///
    /// The id is a function of the pair: the event's 48 bits of time followed by a digest. A fan-out that runs twice
    /// produces the same keys, so the primary key alone makes it idempotent, also on a partitioned table. The
    /// deliveries of an event are adjacent in the order of the key.
    #[must_use]
    pub fn of(event: EventId, hook: HookId) -> Self {
        let digest = Sha256::new()
            .chain_update(event.0.as_bytes())
            .chain_update(hook.0.to_be_bytes())
            .finalize();

        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&event.0.as_bytes()[..6]);
        bytes[6..].copy_from_slice(&digest[..10]);
        bytes[6] = 0x70 | (bytes[6] & 0x0f);
        bytes[8] = 0x80 | (bytes[8] & 0x3f);

        Self(Uuid::from_bytes(bytes))
    }

    /// The creation time of its event in whole milliseconds, from the first 48 bits.
    #[must_use]
    pub fn event_at(self) -> crate::Timestamp {
        time_of(self.0)
    }
}

fn time_of(id: Uuid) -> crate::Timestamp {
    crate::Timestamp::from_micros(i64::try_from(id.as_u64_pair().0 >> 16).unwrap_or(i64::MAX / 1000) * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_id_is_a_uuid_v7_that_depends_on_event_and_hook_only() {
        let event = EventId(Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001));
        let id = DeliveryId::of(event, HookId(7));
        assert_eq!(id, DeliveryId::of(event, HookId(7)));
        assert_ne!(id, DeliveryId::of(event, HookId(8)));
        assert_eq!(id.0.get_version_num(), 7);
        assert_eq!(id.0.as_bytes()[..6], event.0.as_bytes()[..6]);
        assert_eq!(id.event_at(), event.at());
    }
}
