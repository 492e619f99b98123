//! The scheduler: which deliveries may begin now, which are kept ready, and for which hooks more is to be claimed. Pure
//! bookkeeping behind one lock.
//!
//! A delivery comes here in one of two ways. Usually a committer acquires a permit and leases the delivery in the
//! transaction that appends its event, so that it begins as soon as that is flushed. When its hook has no free permit,
//! or has older deliveries waiting in the store, the delivery stays in the store and is claimed later.

pub(crate) mod health;
mod permits;
mod scan;

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use parking_lot::Mutex;
use quickdraw_domain::health::{Health, Status};
use quickdraw_domain::{DeliveryId, HookId, NodeId, Timestamp};
use quickdraw_store::deliveries::{Claim, Claimed, OrderingQueue, Settlement};
use tokio::sync::Notify;

use self::health::Change;
use self::permits::Permits;
pub(crate) use self::scan::{Scan, ScanFrom};
use crate::directory::Index;
use crate::settings::PermitLimits;

/// Ordering queues that are remembered one by one. With more, all are scanned.
const MAX_QUEUES: usize = 10_000;

/// The permits that were acquired for the hooks of an event.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Acquired {
    /// Hooks whose deliveries begin on this node as soon as they are on disk.
    pub(crate) hooks: Vec<HookId>,

    /// A claim has to look for the other hooks, because their health is not known. A hook that only lacks a permit is
    /// remembered, and needs no look.
    pub(crate) claim_others: bool,
}

/// The scheduler of one node.
pub(crate) struct Scheduler {
    state: Mutex<State>,
    moved: Notify,

    /// The longest duration of an attempt: one that cannot end within its lease is not begun.
    deadline: Duration,
}

struct State {
    permits: Permits,
    limits: PermitLimits,
    health: HashMap<HookId, Health>,

    /// Version of the directory that `health` was last completed from.
    version: Option<i64>,

    /// Leased with their event: they hold a permit already.
    leased: Vec<Claimed>,

    /// Claimed, and waiting for a permit.
    kept: HashMap<HookId, VecDeque<Claimed>>,
    kept_in_all: usize,

    /// Claimed, and to be given back to the store.
    returned: Vec<(DeliveryId, i64)>,

    /// Hooks for which more waits in the store, as far as is known.
    waiting: HashSet<HookId>,

    /// Any hook may have more in the store.
    all_waiting: bool,

    /// Hooks that the directory of this version does not know: made on another node a moment ago, or deleted.
    unknown: HashSet<HookId>,

    /// Ordering queues that can advance.
    queues: HashSet<OrderingQueue>,

    /// The requested scan of all queues.
    scan: Option<ScanFrom>,
}

impl Scheduler {
    pub(crate) fn new(limits: PermitLimits, deadline: Duration) -> Self {
        let state = State {
            permits: Permits::new(limits),
            limits,
            health: HashMap::new(),
            version: None,
            leased: Vec::new(),
            kept: HashMap::new(),
            kept_in_all: 0,
            returned: Vec::new(),
            waiting: HashSet::new(),
            all_waiting: true,
            unknown: HashSet::new(),
            queues: HashSet::new(),
            scan: Some(ScanFrom::Beginning),
        };

        Self {
            state: Mutex::new(state),
            moved: Notify::new(),
            deadline,
        }
    }

    /// Waits until there may be something to begin, to give back or to claim.
    pub(crate) async fn moved(&self) {
        self.moved.notified().await;
    }

    /// Acquires permits for hooks of an event. A delivery that joins an ordering queue never gets one here.
    pub(crate) fn acquire(&self, index: &Index, hooks: &[HookId], in_order: &[HookId], now: Timestamp) -> Acquired {
        let mut state = self.state.lock();
        let mut acquired = Vec::new();

        for hook in hooks {
            if !in_order.contains(hook) && state.acquire(index, *hook, now) {
                acquired.push(*hook);
            }
        }

        Acquired {
            hooks: acquired,
            claim_others: state.version != Some(index.version()),
        }
    }

    /// Notes ordering queues that a delivery has joined or left: they can advance.
    pub(crate) fn queues_changed(&self, queues: impl IntoIterator<Item = OrderingQueue>) {
        let mut state = self.state.lock();
        let before = state.queues.len();
        state.queues.extend(queues);

        if state.queues.len() > MAX_QUEUES {
            // While no permit is free, nothing reads them. A full scan serves as well then.
            state.queues.clear();
            state.scan = Some(ScanFrom::Beginning);
        } else if state.queues.len() > before {
            drop(state);
            self.moved.notify_one();
        }
    }

    /// Requests a scan of all ordering queues from the beginning.
    pub(crate) fn scan_queues(&self) {
        self.continue_scan(ScanFrom::Beginning);
    }

    /// Continues the scan of all ordering queues after one of them.
    pub(crate) fn continue_scan(&self, from: ScanFrom) {
        let mut state = self.state.lock();

        // A scan that was requested meanwhile begins at the beginning.
        match from {
            ScanFrom::Beginning => state.scan = Some(from),
            ScanFrom::After(_) if state.scan.is_none() => state.scan = Some(from),
            ScanFrom::After(_) => {}
        }

        drop(state);
        self.moved.notify_one();
    }

    /// Takes the ordering queues to advance.
    pub(crate) fn start_scan(&self) -> Scan {
        let mut state = self.state.lock();
        Scan {
            queues: state.queues.drain().collect(),
            all: state.scan.take(),
        }
    }

    /// Acquires a permit for a manual attempt, even beyond the limits: a person waits for it.
    pub(crate) fn acquire_manual(&self, index: &Index, claimed: &Claimed) {
        self.state
            .lock()
            .permits
            .acquire(claimed.hook, index.host(claimed.hook).cloned(), is_retry(claimed));
    }

    /// Begins deliveries that hold a permit, because their event is on disk.
    pub(crate) fn begin(&self, deliveries: Vec<Claimed>) {
        if deliveries.is_empty() {
            return;
        }

        self.state.lock().leased.extend(deliveries);
        self.moved.notify_one();
    }

    /// Releases permits of deliveries that do not begin: their event was a duplicate, or was left to fan-out.
    pub(crate) fn release(&self, hooks: impl IntoIterator<Item = HookId>) {
        let mut state = self.state.lock();
        for hook in hooks {
            state.permits.release(hook, false);
        }

        drop(state);
        self.moved.notify_one();
    }

    /// Deliveries that can begin now.
    pub(crate) fn ready(&self, index: &Index, now: Timestamp) -> Vec<Claimed> {
        if index.silence().is_on() {
            self.give_all_back();
            return Vec::new();
        }

        let mut state = self.state.lock();
        let last = now.plus(self.deadline);
        let mut ready = std::mem::take(&mut state.leased);
        for stale in ready.extract_if(.., |leased| leased.lease_until < last || index.is_paused(leased.hook)) {
            state.permits.release(stale.hook, false);
            state.returned.push((stale.delivery, stale.fence));
        }

        let hooks: Vec<HookId> = state.kept.keys().copied().collect();
        for hook in hooks {
            if index.is_paused(hook) || state.kept[&hook].iter().any(|kept| kept.lease_until < last) {
                state.give_back(hook);
            }

            while let Some(claimed) = state.begin(index, hook) {
                ready.push(claimed);
            }
        }

        ready
    }

    /// Another delivery of the same hook, when one has just ended.
    pub(crate) fn next(&self, index: &Index, hook: HookId, now: Timestamp) -> Option<Claimed> {
        // The loop that asks `ready` gives back what is kept.
        if index.silence().is_on() || index.is_paused(hook) {
            return None;
        }

        let mut state = self.state.lock();
        let fresh = state.kept.get(&hook)?.front()?.lease_until >= now.plus(self.deadline);
        if fresh { state.begin(index, hook) } else { None }
    }

    /// Takes the deliveries that are to be given back to the store.
    pub(crate) fn returned(&self) -> Vec<(DeliveryId, i64)> {
        std::mem::take(&mut self.state.lock().returned)
    }

    /// Marks all deliveries that have not begun: they are to be given back.
    pub(crate) fn give_all_back(&self) {
        let mut state = self.state.lock();
        for leased in std::mem::take(&mut state.leased) {
            state.permits.release(leased.hook, false);
            state.returned.push((leased.delivery, leased.fence));
        }

        let hooks: Vec<HookId> = state.kept.keys().copied().collect();
        for hook in hooks {
            state.give_back(hook);
        }
    }

    /// An attempt has ended.
    pub(crate) fn ended(&self, claimed: &Claimed, delivered: bool) {
        let mut state = self.state.lock();
        state.permits.ended(claimed.hook, is_retry(claimed), delivered);

        if !delivered {
            // No delivery is kept for a receiver that fails: it would wait for the next failure.
            state.give_back(claimed.hook);
        }
    }

    /// An attempt was not made and needs no record. An unknown hook is not claimed again before the directory changes.
    pub(crate) fn abandoned(&self, claimed: &Claimed, known: bool) {
        let mut state = self.state.lock();
        state.permits.release(claimed.hook, is_retry(claimed));

        if !known {
            state.unknown.insert(claimed.hook);
            state.give_back(claimed.hook);
        }

        drop(state);
        self.moved.notify_one();
    }

    /// Results were recorded, or lost with `None`. Returns the changes of the hooks' condition.
    #[must_use]
    pub(crate) fn settled(
        &self,
        hooks: impl Iterator<Item = HookId>,
        settlements: Option<&[Settlement]>,
    ) -> Vec<Change> {
        let mut state = self.state.lock();
        let mut changes = Vec::new();

        for hook in hooks {
            state.permits.settled(hook);
        }

        for settlement in settlements
            .into_iter()
            .flatten()
            .filter(|settlement| settlement.state.is_some())
        {
            let before = if settlement.health == Health::default() {
                state.health.remove(&settlement.hook)
            } else {
                state.health.insert(settlement.hook, settlement.health)
            };

            changes.extend(Change::between(
                settlement.hook,
                before.unwrap_or_default(),
                settlement.health,
            ));
        }

        drop(state);
        self.moved.notify_one();
        changes
    }

    /// Whether health is known as of this version of the directory.
    pub(crate) fn has_health_of(&self, version: i64) -> bool {
        self.state.lock().version == Some(version)
    }

    /// Replaces the health of hooks by that in the store.
    pub(crate) fn replace_health(&self, version: i64, health: HashMap<HookId, Health>) {
        let mut state = self.state.lock();
        if state.version != Some(version) {
            state.unknown.clear();
        }

        (state.version, state.health) = (Some(version), health);
    }

    /// Whether an attempt that begins now tests if the hook works again.
    pub(crate) fn is_probing(&self, hook: HookId, now: Timestamp) -> bool {
        self.state
            .lock()
            .health
            .get(&hook)
            .is_some_and(|health| health.is_probing(now))
    }

    /// Hooks that must not be called now.
    pub(crate) fn disabled(&self, now: Timestamp) -> HashSet<HookId> {
        let state = self.state.lock();
        let off = state
            .health
            .iter()
            .filter(|(_, health)| health.status(now) != Status::Executable);
        off.map(|(hook, _)| *hook).collect()
    }

    /// Whether a claim would find more for a hook that could use it.
    pub(crate) fn wants_claim(&self, index: &Index, now: Timestamp) -> bool {
        if index.silence().is_on() {
            return false;
        }

        let state = self.state.lock();
        let hungry = |hook: &HookId| {
            let left = state.left_at(index, index.host(*hook).map_or("", |host| &**host));
            state.kept_for(*hook) * 2 <= state.reserve(*hook) && state.offer(index, *hook, now, left) > 0
        };

        let queues = state.scan.is_some() || !state.queues.is_empty();
        state.permits.free().0 > 0 && (queues || state.all_waiting || state.waiting.iter().any(hungry))
    }

    /// The deliveries that may be claimed now; `None` when no permit is free, and in silent mode.
    pub(crate) fn claim(&self, index: &Index, node: NodeId, now: Timestamp, lease: Duration) -> Option<Claim> {
        let mut state = self.state.lock();
        let (first, retries) = state.permits.free();

        if first == 0 || index.silence().is_on() {
            state.all_waiting = true;
            return None;
        }

        let mut hook_limits = HashMap::new();
        // All hooks of a host that is being called share the room that it has left, unknown hooks too. The room is not
        // divided among them: a hook without deliveries would take it from those that have some.
        let mut left: HashMap<&str, usize> = HashMap::new();

        let busy: Vec<HookId> = state
            .permits
            .busy_hosts()
            .flat_map(|host| index.on_host(host))
            .copied()
            .collect();

        let known = state
            .permits
            .known()
            .chain(state.kept.keys().copied())
            .chain(state.health.keys().copied());

        for hook in known.chain(busy) {
            let host = index.host(hook).map_or("", |host| &**host);
            let left = *left.entry(host).or_insert_with(|| state.left_at(index, host));
            hook_limits
                .entry(hook)
                .or_insert_with(|| state.offer(index, hook, now, left));
        }

        hook_limits.extend(state.unknown.iter().map(|hook| (*hook, 0)));
        hook_limits.extend(index.paused().iter().map(|hook| (*hook, 0)));

        let kept_retries = state.kept.values().flatten().filter(|kept| is_retry(kept)).count();
        let retries = retries.saturating_sub(kept_retries);

        Some(Claim {
            node,
            now,
            lease_until: now.plus(lease),
            first,
            retries,
            per_hook: state.limits.initial_per_hook,
            hook_limits,
        })
    }

    /// Keeps claimed deliveries, and notes the hooks for which the store has more.
    pub(crate) fn claimed(&self, claim: &Claim, claimed: Vec<Claimed>) {
        let mut state = self.state.lock();
        let retries = claimed.iter().filter(|one| is_retry(one)).count();
        state.all_waiting = claimed.len() - retries >= claim.first;

        let mut counts: HashMap<HookId, usize> = HashMap::new();
        for one in claimed {
            *counts.entry(one.hook).or_default() += 1;
            state.kept.entry(one.hook).or_default().push_back(one);
            state.kept_in_all += 1;
        }

        let offered = |hook: &HookId| claim.hook_limits.get(hook).copied().unwrap_or(claim.per_hook);
        if !state.all_waiting {
            state.waiting.retain(|hook| offered(hook) == 0);
        }

        // A hook for which nothing could be claimed may have deliveries waiting. A paused hook has its own time.
        let passed_over: Vec<HookId> = claim
            .hook_limits
            .iter()
            .filter(|(_, room)| **room == 0)
            .map(|(hook, _)| *hook)
            .collect();

        for hook in passed_over {
            if state.is_healthy(hook, claim.now) && !state.unknown.contains(&hook) {
                state.waiting.insert(hook);
            }
        }

        state.waiting.extend(
            counts
                .iter()
                .filter(|(hook, count)| **count >= offered(hook))
                .map(|(hook, _)| *hook),
        );

        drop(state);
        self.moved.notify_one();
    }

    /// Attempts under way or not recorded yet, and deliveries that wait for a permit.
    pub(crate) fn in_flight(&self) -> usize {
        let state = self.state.lock();
        state.permits.total() + state.kept_in_all
    }
}

impl State {
    fn kept_for(&self, hook: HookId) -> usize {
        self.kept.get(&hook).map_or(0, VecDeque::len)
    }

    fn is_healthy(&self, hook: HookId, now: Timestamp) -> bool {
        let healthy = |health: &Health| matches!(health.status(now), Status::Executable) && !health.is_probing(now);
        self.health.get(&hook).is_none_or(healthy)
    }

    fn acquire(&mut self, index: &Index, hook: HookId, now: Timestamp) -> bool {
        if self.version != Some(index.version()) || !self.is_healthy(hook, now) {
            return false;
        }

        if index.is_paused(hook) {
            self.waiting.insert(hook);
            return false;
        }

        let host = index.host(hook);
        let next = !self.all_waiting && !self.waiting.contains(&hook) && self.kept_for(hook) == 0;
        let free = next && self.permits.is_free(hook, host.map(|host| &**host), false);

        if free {
            self.permits.acquire(hook, host.cloned(), false);
        } else {
            self.waiting.insert(hook);
        }

        free
    }

    /// Begins the oldest delivery that is kept for a hook, if it has a permit.
    fn begin(&mut self, index: &Index, hook: HookId) -> Option<Claimed> {
        let queue = self.kept.get_mut(&hook)?;
        let (host, retry) = (index.host(hook), is_retry(queue.front()?));

        if !self.permits.is_free(hook, host.map(|host| &**host), retry) {
            return None;
        }

        let claimed = queue.pop_front();
        if queue.is_empty() {
            self.kept.remove(&hook);
        }

        self.kept_in_all -= 1;
        self.permits.acquire(hook, host.cloned(), retry);
        claimed
    }

    fn give_back(&mut self, hook: HookId) {
        let Some(queue) = self.kept.remove(&hook) else { return };
        self.kept_in_all -= queue.len();
        self.returned
            .extend(queue.into_iter().map(|kept| (kept.delivery, kept.fence)));
        self.waiting.insert(hook);
    }

    /// How many more may be claimed for all hooks of a host: those that can begin, and as many again to be kept.
    fn left_at(&self, index: &Index, host: &str) -> usize {
        let kept: usize = index.on_host(host).iter().map(|hook| self.kept_for(*hook)).sum();
        (self.permits.available_at(host) + self.limits.per_host).saturating_sub(kept)
    }

    /// How many deliveries of a hook may be kept ready; 0 for all hooks when many are.
    fn reserve(&self, hook: HookId) -> usize {
        if self.kept_in_all * 2 >= self.limits.total {
            0
        } else {
            self.permits.reserve(hook)
        }
    }

    /// How many deliveries a claim may take for a hook whose host has room for so many.
    fn offer(&self, index: &Index, hook: HookId, now: Timestamp, left: usize) -> usize {
        if index.is_paused(hook) {
            return 0;
        }

        let kept = self.kept_for(hook);
        let room = self.permits.available(hook, index.host(hook).map(|host| &**host));
        let healthy = (room + self.reserve(hook)).saturating_sub(kept).min(left);

        match self.health.get(&hook) {
            Some(health) => match health.status(now) {
                Status::Executable if health.is_probing(now) => {
                    1_usize.saturating_sub(self.permits.outstanding(hook) + kept)
                }
                Status::Executable => healthy,
                Status::TemporarilyDisabled(_) | Status::Disabled => 0,
            },
            None if self.unknown.contains(&hook) => 0,
            None => healthy,
        }
    }
}

/// Whether a delivery has failed before. An attempt without a recorded outcome does not count.
fn is_retry(claimed: &Claimed) -> bool {
    claimed.tally.attempts > claimed.tally.unknown
}

#[cfg(test)]
mod tests;
