//! The audience of an event: the hooks that get it, with the limit of their namespace.

use std::collections::HashSet;

use quickdraw_domain::HookId;
use quickdraw_domain::audience::{Decision, SkipReason, select};
use quickdraw_domain::event::Event;
use quickdraw_domain::recursion::Chain;
use quickdraw_store::events::FannedOut;

use super::limits::NamespaceLimit;
use crate::directory::{Index, places};

/// Decides which hooks get an event. Hooks that are `off` and hooks whose filters stop the event are skipped, and in
/// silent mode all are. The hooks
/// that fire now are added to the event's chain and counted for the namespace.
pub(super) fn audience(
    index: &Index,
    event: &Event,
    stopped: &[(HookId, SkipReason)],
    chain: &mut Chain,
    limit: &NamespaceLimit,
    off: &HashSet<HookId>,
) -> FannedOut {
    let is_silent = index.silence().is_on();
    let mut audience = FannedOut::default();

    // All hooks of this event are decided with the chain as it was before the event.
    for hook in index.hooks_around(event.place) {
        match select(event, hook, stopped, chain) {
            Decision::Deliver if is_silent => audience.skip.push((hook.id, SkipReason::SilentMode)),
            Decision::Deliver if off.contains(&hook.id) && index.is_paused(hook.id) => {
                audience.skip.push((hook.id, SkipReason::HookPaused));
            }
            Decision::Deliver if off.contains(&hook.id) => audience.skip.push((hook.id, SkipReason::Disabled)),
            Decision::Deliver
                if !limit.count(
                    || places::counted_for(index, event.place, hook.scope),
                    event.received_at,
                ) =>
            {
                audience.skip.push((hook.id, SkipReason::RateLimit));
            }
            Decision::Deliver => {
                audience.deliver.push(hook.id);
                if hook.ordered && event.object.is_some() {
                    audience.in_order.push(hook.id);
                }
            }
            Decision::Skip(reason) => audience.skip.push((hook.id, reason)),
            Decision::NotSelected => {}
        }
    }

    if event.chain.is_some() {
        audience.deliver.iter().for_each(|hook| chain.add(*hook));
    }

    audience
}
