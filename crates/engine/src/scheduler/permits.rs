//! Permits: how many attempts each hook and host may have under way. Pure bookkeeping.

use std::collections::HashMap;
use std::sync::Arc;

use quickdraw_domain::HookId;

use crate::settings::PermitLimits;

#[derive(Clone, Debug)]
struct Share {
    in_flight: usize,

    /// Attempts that have ended and are not recorded yet.
    unsettled: usize,

    /// Attempts that this hook may have: one more with each success, half with each failure.
    window: usize,
    host: Option<Arc<str>>,
}

/// The permits of this node.
#[derive(Debug)]
pub(crate) struct Permits {
    limits: PermitLimits,
    shares: HashMap<HookId, Share>,
    hosts: HashMap<Arc<str>, usize>,
    total: usize,
    retries: usize,
    unsettled: usize,
}

impl Permits {
    /// Permits of which none is in use.
    #[must_use]
    pub(crate) fn new(limits: PermitLimits) -> Self {
        Self {
            limits,
            shares: HashMap::new(),
            hosts: HashMap::new(),
            total: 0,
            retries: 0,
            unsettled: 0,
        }
    }

    /// Free permits: for first attempts, and for retries.
    #[must_use]
    pub(crate) fn free(&self) -> (usize, usize) {
        // Results that cannot be recorded pile up; no attempt begins then.
        let room = if self.unsettled > 2 * self.limits.total {
            0
        } else {
            self.limits.total
        };
        let free = room.saturating_sub(self.total);
        let for_retries = (self.limits.total - self.limits.reserved_for_first).saturating_sub(self.retries);
        (free, free.min(for_retries))
    }

    /// How many more attempts a hook may begin, as far as itself and its host are concerned.
    #[must_use]
    pub(crate) fn available(&self, hook: HookId, host: Option<&str>) -> usize {
        let share = self.shares.get(&hook);
        let left = share.map_or(self.limits.initial_per_hook, |share| {
            share.window.saturating_sub(share.in_flight)
        });
        let on_host = host.and_then(|host| self.hosts.get(host)).copied().unwrap_or(0);
        left.min(self.limits.per_host.saturating_sub(on_host))
    }

    /// Whether an attempt for this hook may begin now.
    #[must_use]
    pub(crate) fn is_free(&self, hook: HookId, host: Option<&str>, retry: bool) -> bool {
        let (first, retries) = self.free();
        let free = if retry { retries } else { first };
        free > 0 && self.available(hook, host) > 0
    }

    /// Hooks that have a window or attempts.
    pub(crate) fn known(&self) -> impl Iterator<Item = HookId> + '_ {
        self.shares.keys().copied()
    }

    /// Hosts that are being called.
    pub(crate) fn busy_hosts(&self) -> impl Iterator<Item = &Arc<str>> + '_ {
        self.hosts.keys()
    }

    /// How many more attempts may begin at a host.
    #[must_use]
    pub(crate) fn available_at(&self, host: &str) -> usize {
        self.limits
            .per_host
            .saturating_sub(self.hosts.get(host).copied().unwrap_or(0))
    }

    /// How many deliveries of a hook may wait here for a free permit. Only a hook with the largest window has them: its
    /// claims get larger, and its receiver never waits for the store.
    #[must_use]
    pub(crate) fn reserve(&self, hook: HookId) -> usize {
        let earned = self
            .shares
            .get(&hook)
            .is_some_and(|share| share.window == self.limits.per_hook);
        if earned { self.limits.per_hook } else { 0 }
    }

    /// Releases a permit whose attempt does not begin after all.
    pub(crate) fn release(&mut self, hook: HookId, retry: bool) {
        self.leave(hook, retry);
        self.forget(hook);
    }

    /// Attempts of a hook that are under way or not recorded yet.
    #[must_use]
    pub(crate) fn outstanding(&self, hook: HookId) -> usize {
        self.shares
            .get(&hook)
            .map_or(0, |share| share.in_flight + share.unsettled)
    }

    /// Attempts under way or not recorded yet, in all.
    #[must_use]
    pub(crate) const fn total(&self) -> usize {
        self.total + self.unsettled
    }

    /// Acquires a permit: an attempt begins.
    pub(crate) fn acquire(&mut self, hook: HookId, host: Option<Arc<str>>, retry: bool) {
        let window = self.limits.initial_per_hook;
        let share = self.shares.entry(hook).or_insert(Share {
            in_flight: 0,
            unsettled: 0,
            window,
            host: None,
        });
        if share.in_flight == 0 {
            // A hook whose URL was changed counts for the new host when no attempt to the old one is under way.
            share.host = host;
        }

        share.in_flight += 1;
        if let Some(host) = &share.host {
            *self.hosts.entry(host.clone()).or_default() += 1;
        }

        self.total += 1;
        self.retries += usize::from(retry);
    }

    /// The attempt has ended: the permit is free, the result has yet to be recorded.
    pub(crate) fn ended(&mut self, hook: HookId, retry: bool, delivered: bool) {
        self.leave(hook, retry);

        let Some(share) = self.shares.get_mut(&hook) else {
            return;
        };
        share.unsettled += 1;

        share.window = if delivered {
            (share.window + 1).min(self.limits.per_hook)
        } else {
            (share.window / 2).max(1)
        };

        self.unsettled += 1;
    }

    /// The result of an attempt is recorded, or was lost.
    pub(crate) fn settled(&mut self, hook: HookId) {
        self.unsettled = self.unsettled.saturating_sub(1);
        if let Some(share) = self.shares.get_mut(&hook) {
            share.unsettled = share.unsettled.saturating_sub(1);
        }

        self.forget(hook);
    }

    fn leave(&mut self, hook: HookId, retry: bool) {
        let Some(share) = self.shares.get_mut(&hook) else {
            return;
        };
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

    /// Forgets a hook that has the initial window and no attempt, like a hook without a history.
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

    const LIMITS: PermitLimits = PermitLimits {
        total: 10,
        reserved_for_first: 4,
        per_hook: 6,
        initial_per_hook: 2,
        per_host: 7,
    };
    const A: HookId = HookId(1);
    const B: HookId = HookId(2);

    const HOST: &str = "hooks.example.com";

    fn host() -> Option<Arc<str>> {
        Some(HOST.into())
    }

    #[test]
    fn retries_leave_room_for_first_attempts() {
        let mut permits = Permits::new(LIMITS);
        for _ in 0..6 {
            permits.acquire(A, host(), true);
        }

        assert_eq!(permits.free(), (4, 0));
        permits.acquire(B, None, false);
        assert_eq!(permits.free(), (3, 0));
    }

    #[test]
    fn a_share_grows_with_success_and_halves_with_failure() {
        let mut permits = Permits::new(LIMITS);
        for _ in 0..10 {
            permits.acquire(A, host(), false);
            permits.ended(A, false, true);
        }

        assert_eq!(permits.available(A, Some(HOST)), 6);
        for left in [3, 1, 1] {
            permits.acquire(A, host(), false);
            permits.ended(A, false, false);
            assert_eq!(permits.available(A, Some(HOST)), left);
        }
    }

    #[test]
    fn hooks_on_one_host_share_its_limit() {
        let mut permits = Permits::new(LIMITS);
        for _ in 0..6 {
            permits.acquire(A, host(), false);
        }

        permits.acquire(B, host(), false);
        assert_eq!(permits.available(B, Some(HOST)), 0);
        permits.ended(A, false, true);
        assert_eq!(permits.available(B, Some(HOST)), 1);

        assert_eq!(
            (permits.total(), permits.outstanding(A)),
            (7, 6),
            "it is not recorded yet"
        );

        permits.settled(A);
        assert_eq!((permits.total(), permits.outstanding(A)), (6, 5));
    }
}
