//! Who may have how many attempts under way. Pure bookkeeping.

use std::collections::HashMap;
use std::sync::Arc;

use quickdraw_domain::HookId;

/// The bounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlotLimits {
    /// Attempts under way on this node.
    pub total: usize,
    /// Of these, how many only first attempts may use: a wave of retries never shuts them out.
    pub reserved_for_first: usize,
    /// For one hook, when all goes well.
    pub per_hook: usize,
    /// For a hook of which nothing is known yet.
    pub initial_per_hook: usize,
    /// For all hooks with one host and port together.
    pub per_host: usize,
}

impl Default for SlotLimits {
    fn default() -> Self {
        Self { total: 768, reserved_for_first: 256, per_hook: 64, initial_per_hook: 4, per_host: 128 }
    }
}

#[derive(Clone, Debug)]
struct Share {
    in_flight: usize,
    /// Attempts that have ended and are not recorded yet.
    unsettled: usize,
    /// How many this hook may have: grows by one with each success, halves with each failure.
    window: usize,
    host: Option<Arc<str>>,
}

/// What is under way.
#[derive(Debug)]
pub struct Slots {
    limits: SlotLimits,
    shares: HashMap<HookId, Share>,
    hosts: HashMap<Arc<str>, usize>,
    total: usize,
    retries: usize,
    unsettled: usize,
}

impl Slots {
    /// Nothing under way.
    #[must_use]
    pub fn new(limits: SlotLimits) -> Self {
        Self { limits, shares: HashMap::new(), hosts: HashMap::new(), total: 0, retries: 0, unsettled: 0 }
    }

    /// Free slots for first attempts and for retries.
    #[must_use]
    pub fn free(&self) -> (usize, usize) {
        // Results that cannot be recorded pile up: then nothing more is begun.
        let room = if self.unsettled > 2 * self.limits.total { 0 } else { self.limits.total };
        let free = room.saturating_sub(self.total);
        let for_retries = (self.limits.total - self.limits.reserved_for_first).saturating_sub(self.retries);
        (free, free.min(for_retries))
    }

    /// How many more attempts a hook may begin, as far as itself and its host are concerned.
    #[must_use]
    pub fn room(&self, hook: HookId, host: Option<&str>) -> usize {
        let share = self.shares.get(&hook);
        let left = share.map_or(self.limits.initial_per_hook, |share| share.window.saturating_sub(share.in_flight));
        let on_host = host.and_then(|host| self.hosts.get(host)).copied().unwrap_or(0);
        left.min(self.limits.per_host.saturating_sub(on_host))
    }

    /// Whether an attempt for this hook may begin now.
    #[must_use]
    pub fn is_free(&self, hook: HookId, host: Option<&str>, retry: bool) -> bool {
        let (first, retries) = self.free();
        let free = if retry { retries } else { first };
        free > 0 && self.room(hook, host) > 0
    }

    /// Hooks of which something is known.
    pub fn known(&self) -> impl Iterator<Item = HookId> + '_ {
        self.shares.keys().copied()
    }

    /// Hosts that are being called.
    pub fn busy_hosts(&self) -> impl Iterator<Item = &Arc<str>> + '_ {
        self.hosts.keys()
    }

    /// How many more attempts may begin at a host.
    #[must_use]
    pub fn room_at(&self, host: &str) -> usize {
        self.limits.per_host.saturating_sub(self.hosts.get(host).copied().unwrap_or(0))
    }

    /// How many deliveries of a hook may be kept ready for when a slot is free. A hook that has earned all its slots is
    /// worth it: its claims get larger and never keep it waiting.
    #[must_use]
    pub fn reserve(&self, hook: HookId) -> usize {
        let earned = self.shares.get(&hook).is_some_and(|share| share.window == self.limits.per_hook);
        if earned { self.limits.per_hook } else { 0 }
    }

    /// An attempt does not begin after all.
    pub fn vacate(&mut self, hook: HookId, retry: bool) {
        self.leave(hook, retry);
        self.forget(hook);
    }

    /// Attempts of a hook that are under way or not recorded yet.
    #[must_use]
    pub fn outstanding(&self, hook: HookId) -> usize {
        self.shares.get(&hook).map_or(0, |share| share.in_flight + share.unsettled)
    }

    /// Attempts under way or not recorded yet, in all.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.total + self.unsettled
    }

    /// An attempt begins.
    pub fn occupy(&mut self, hook: HookId, host: Option<Arc<str>>, retry: bool) {
        let window = self.limits.initial_per_hook;
        let share = self.shares.entry(hook).or_insert(Share { in_flight: 0, unsettled: 0, window, host: None });
        if share.in_flight == 0 {
            // A hook whose URL was changed moves when nothing is under way to the old one any more.
            share.host = host;
        }
        share.in_flight += 1;
        if let Some(host) = &share.host {
            *self.hosts.entry(host.clone()).or_default() += 1;
        }
        self.total += 1;
        self.retries += usize::from(retry);
    }

    /// It has ended: the slot is free, the result has yet to be recorded.
    pub fn release(&mut self, hook: HookId, retry: bool, delivered: bool) {
        self.leave(hook, retry);
        let Some(share) = self.shares.get_mut(&hook) else { return };
        share.unsettled += 1;
        share.window = if delivered { (share.window + 1).min(self.limits.per_hook) } else { (share.window / 2).max(1) };
        self.unsettled += 1;
    }

    /// Its result is recorded, or given up.
    pub fn settled(&mut self, hook: HookId) {
        self.unsettled = self.unsettled.saturating_sub(1);
        if let Some(share) = self.shares.get_mut(&hook) {
            share.unsettled = share.unsettled.saturating_sub(1);
        }
        self.forget(hook);
    }

    fn leave(&mut self, hook: HookId, retry: bool) {
        let Some(share) = self.shares.get_mut(&hook) else { return };
        share.in_flight = share.in_flight.saturating_sub(1);
        if let Some(host) = &share.host
            && let Some(count) = self.hosts.get_mut(host)
        {
            *count -= 1;
            if *count == 0 {
                self.hosts.remove(host);
            }
        }
        self.total = self.total.saturating_sub(1);
        self.retries = self.retries.saturating_sub(usize::from(retry));
    }

    /// A hook back at the beginning, with nothing outstanding, is like one of which nothing is known.
    fn forget(&mut self, hook: HookId) {
        let Some(share) = self.shares.get(&hook) else { return };
        if share.in_flight + share.unsettled == 0 && share.window == self.limits.initial_per_hook {
            self.shares.remove(&hook);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SlotLimits =
        SlotLimits { total: 10, reserved_for_first: 4, per_hook: 6, initial_per_hook: 2, per_host: 7 };
    const A: HookId = HookId(1);
    const B: HookId = HookId(2);

    const HOST: &str = "hooks.example.com";

    fn host() -> Option<Arc<str>> {
        Some(HOST.into())
    }

    #[test]
    fn retries_leave_room_for_first_attempts() {
        let mut slots = Slots::new(LIMITS);
        for _ in 0..6 {
            slots.occupy(A, host(), true);
        }
        assert_eq!(slots.free(), (4, 0));
        slots.occupy(B, None, false);
        assert_eq!(slots.free(), (3, 0));
    }

    #[test]
    fn a_share_grows_with_success_and_halves_with_failure() {
        let mut slots = Slots::new(LIMITS);
        for _ in 0..10 {
            slots.occupy(A, host(), false);
            slots.release(A, false, true);
        }
        assert_eq!(slots.room(A, Some(HOST)), 6);
        for left in [3, 1, 1] {
            slots.occupy(A, host(), false);
            slots.release(A, false, false);
            assert_eq!(slots.room(A, Some(HOST)), left);
        }
    }

    #[test]
    fn hooks_on_one_host_share_its_limit() {
        let mut slots = Slots::new(LIMITS);
        for _ in 0..6 {
            slots.occupy(A, host(), false);
        }
        slots.occupy(B, host(), false);
        assert_eq!(slots.room(B, Some(HOST)), 0);
        slots.release(A, false, true);
        assert_eq!(slots.room(B, Some(HOST)), 1);
        assert_eq!((slots.total(), slots.outstanding(A)), (7, 6), "it is not recorded yet");
        slots.settled(A);
        assert_eq!((slots.total(), slots.outstanding(A)), (6, 5));
    }
}
