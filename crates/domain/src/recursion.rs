//! Chains of events. A receiver that reports a consequence of a delivery and passes `X-Gitlab-Event-UUID` on shows us
//! that the new event was caused by a delivery of ours.
//!
//! Source: GitLab's `lib/gitlab/web_hooks/recursion_detection.rb`. A hook fires once in a chain, and a chain fires at
//! most 100 hooks. A chain is forgotten half an hour after the last of them fired.

use std::time::Duration;

use uuid::Uuid;

use crate::{DeliveryId, HookId, Timestamp};

/// The maximum number of hooks that fire in one chain.
pub const MAX_HOOKS: usize = 100;
/// The time for which a chain is remembered after a hook fired in it.
pub const REMEMBERED: Duration = Duration::from_secs(30 * 60);

/// Combined with a delivery's id to make the id of the chain that begins with it.
const BEGINNING: u128 = 0x7c1f_a2d5_93e8_0b64_2f6d_81c7_e35a_490b;
/// The bits of a UUID that contain its version and variant. They are not combined.
const VERSION: u128 = 0xf000 << 64;
const VARIANT: u128 = 0xc000 << 48;

/// The chain that begins with a delivery: the value of `X-Gitlab-Event-UUID` if the event itself continues no chain.
/// Each delivery has its own chain, the same on every attempt, and [`origin`] computes the delivery from it.
#[must_use]
pub const fn begun_by(delivery: DeliveryId) -> Uuid {
    let mixed = delivery.0.as_u128() ^ (BEGINNING & !VERSION & !VARIANT);
    // Version 8 marks bits of a private format (RFC 9562).
    Uuid::from_u128((mixed & !VERSION) | (0x8000 << 64))
}

/// The delivery with which a chain began, if Quickdraw began it. Only the store knows whether it did.
#[must_use]
pub const fn origin(chain: Uuid) -> DeliveryId {
    let mixed = chain.as_u128() ^ (BEGINNING & !VERSION & !VARIANT);
    DeliveryId(Uuid::from_u128((mixed & !VERSION) | (0x7000 << 64)))
}

/// The reason for which a hook must not fire again in a chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// The hook already fired in the chain.
    Repeated,

    /// The chain has called too many hooks.
    LongChain,
}

/// The hooks that fired in a chain and are still remembered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Chain(Vec<HookId>);

impl Chain {
    /// A chain from the hooks that fired in it, with their times.
    #[must_use]
    pub fn new(mut fired: Vec<(HookId, Timestamp)>, now: Timestamp) -> Self {
        fired.sort_unstable_by_key(|(_, at)| *at);

        let mut hooks: Vec<HookId> = Vec::new();
        let mut last = None;

        for (hook, at) in fired {
            if last.is_some_and(|last| at.since(last) > REMEMBERED) {
                hooks.clear();
            }

            last = Some(at);
            if !hooks.contains(&hook) {
                hooks.push(hook);
            }
        }

        if last.is_some_and(|last| now.since(last) > REMEMBERED) {
            hooks.clear();
        }

        Self(hooks)
    }

    /// The reason for which a hook must not fire again in this chain.
    #[must_use]
    pub fn stops(&self, hook: HookId) -> Option<Stop> {
        if self.0.contains(&hook) {
            Some(Stop::Repeated)
        } else if self.0.len() >= MAX_HOOKS {
            Some(Stop::LongChain)
        } else {
            None
        }
    }

    /// Adds a hook that is about to fire.
    pub fn add(&mut self, hook: HookId) {
        self.0.push(hook);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::EventId;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_seconds(minute * 60)
    }

    #[test]
    fn a_hook_fires_once_in_a_chain_until_the_chain_is_forgotten() {
        let fired = vec![(HookId(1), at(0)), (HookId(2), at(20))];
        let chain = Chain::new(fired.clone(), at(45));

        assert_eq!(
            chain.stops(HookId(1)),
            Some(Stop::Repeated),
            "each hook that fires extends the chain"
        );

        assert_eq!(chain.stops(HookId(3)), None);
        assert_eq!(Chain::new(fired, at(51)).stops(HookId(1)), None);

        let gap = Chain::new(vec![(HookId(2), at(40)), (HookId(1), at(0))], at(45));
        assert_eq!(
            (gap.stops(HookId(1)), gap.stops(HookId(2))),
            (None, Some(Stop::Repeated))
        );
    }

    #[test]
    fn a_chain_of_a_hundred_hooks_calls_no_more() {
        let mut chain = Chain::default();
        for hook in 0..100 {
            assert_eq!(chain.stops(HookId(hook)), None);
            chain.add(HookId(hook));
        }

        assert_eq!(chain.stops(HookId(100)), Some(Stop::LongChain));
    }

    proptest! {
        #[test]
        fn the_delivery_that_began_a_chain_is_found_again(event: u128, hook: i64) {
            let delivery = DeliveryId::of(EventId(Uuid::from_u128(event)), HookId(hook));
            let chain = begun_by(delivery);
            prop_assert_eq!(origin(chain), delivery);
            prop_assert_eq!((chain.get_version_num(), chain.get_variant()), (8, uuid::Variant::RFC4122));
            prop_assert_ne!(chain, delivery.0);
        }
    }
}
