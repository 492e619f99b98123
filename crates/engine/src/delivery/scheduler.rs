//! Who may begin now, what is kept ready, and for whom more is to be claimed. Pure bookkeeping behind one lock.
//!
//! A delivery comes here in one of two ways. Usually a committer takes it for this node in the transaction that appends
//! its event, so that it begins as soon as that is flushed. When its hook has no slot free, or has older ones waiting in
//! the store, it stays there and is claimed.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use quickdraw_domain::health::{Health, Status};
use quickdraw_domain::{DeliveryId, HookId, NodeId, Timestamp};
use quickdraw_store::deliveries::{Claim, Claimed, Line, Settlement};
use tokio::sync::Notify;

use super::permits::{SlotLimits, Slots};
use crate::delivery::notices::Change;
use crate::directory::Index;

/// Lines that are remembered one by one.
const MOST_LINES: usize = 10_000;

pub(crate) struct Flow {
    state: Mutex<State>,
    moved: Notify,
    /// The longest that an attempt takes: one that cannot end within its lease is not begun.
    deadline: Duration,
}

struct State {
    slots: Slots,
    limits: SlotLimits,
    health: HashMap<HookId, Health>,
    /// Version of the directory that `health` was last completed from.
    version: Option<i64>,
    /// Taken with their event: they hold a slot already.
    taken: Vec<Claimed>,
    /// Claimed, and waiting for a slot.
    kept: HashMap<HookId, VecDeque<Claimed>>,
    kept_in_all: usize,
    /// Claimed, and not to be begun here after all.
    returned: Vec<(DeliveryId, i64)>,
    /// Hooks for which more waits in the store, as far as is known.
    behind: HashSet<HookId>,
    /// Whether that may be so for any hook.
    all_behind: bool,
    /// Hooks that the directory of this version does not know: made on another node a moment ago, or deleted.
    unknown: HashSet<HookId>,
    /// Lines in which somebody may move up.
    lines: HashSet<Line>,
    /// Whether that may be so in any line, and behind which one the look at all goes on.
    all_lines: Option<Option<Line>>,
}

impl Flow {
    pub(crate) fn new(limits: SlotLimits, deadline: Duration) -> Self {
        let state = State {
            slots: Slots::new(limits),
            limits,
            health: HashMap::new(),
            version: None,
            taken: Vec::new(),
            kept: HashMap::new(),
            kept_in_all: 0,
            returned: Vec::new(),
            behind: HashSet::new(),
            all_behind: true,
            unknown: HashSet::new(),
            lines: HashSet::new(),
            all_lines: Some(None),
        };
        Self { state: Mutex::new(state), moved: Notify::new(), deadline }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        crate::lock(&self.state)
    }

    /// Waits until there may be something to begin, to give back or to claim.
    pub(crate) async fn moved(&self) {
        self.moved.notified().await;
    }

    /// Which hooks' deliveries this node begins as soon as they are on disk: each has a slot from now on. And whether a claim
    /// has to look for the others, because too little is known of them; a hook that only lacks a slot is remembered.
    /// What goes to the end of a line is never taken.
    pub(crate) fn take(
        &self,
        index: &Index,
        hooks: &[HookId],
        in_order: &[HookId],
        now: Timestamp,
    ) -> (Vec<HookId>, bool) {
        let mut state = self.state();
        let may_begin = |hook: &HookId| !in_order.contains(hook) && state.take(index, *hook, now);
        let taken = hooks.iter().copied().filter(may_begin).collect();
        (taken, state.version != Some(index.version()))
    }

    /// In these lines somebody may move up: one has joined, or one has left.
    pub(crate) fn lined_up(&self, lines: impl IntoIterator<Item = Line>) {
        let mut state = self.state();
        let before = state.lines.len();
        state.lines.extend(lines);
        if state.lines.len() > MOST_LINES {
            // While no slot is free nobody looks at them; then a look at all is as good.
            state.lines.clear();
            state.all_lines = Some(None);
        } else if state.lines.len() > before {
            drop(state);
            self.moved.notify_one();
        }
    }

    /// In any line somebody may move up: all are looked at from the beginning.
    pub(crate) fn look_at_lines(&self) {
        self.look_behind(None);
    }

    /// The same from behind a line on.
    pub(crate) fn look_behind(&self, line: Option<Line>) {
        let mut state = self.state();
        // A look that was asked for meanwhile begins at the beginning.
        state.all_lines.get_or_insert(line);
        if line.is_none() {
            state.all_lines = Some(None);
        }
        drop(state);
        self.moved.notify_one();
    }

    /// The lines to look at, and whether to look at all, behind which one.
    pub(crate) fn take_lines(&self) -> (Vec<Line>, Option<Option<Line>>) {
        let mut state = self.state();
        (state.lines.drain().collect(), state.all_lines.take())
    }

    /// An attempt by hand begins, whether there is a slot or not: people wait for it.
    pub(crate) fn occupy(&self, index: &Index, claimed: &Claimed) {
        self.state().slots.occupy(claimed.hook, index.host(claimed.hook).cloned(), is_retry(claimed));
    }

    /// What was taken is on disk.
    pub(crate) fn taken(&self, deliveries: Vec<Claimed>) {
        if deliveries.is_empty() {
            return;
        }
        self.state().taken.extend(deliveries);
        self.moved.notify_one();
    }

    /// What was taken is not to be begun: it was a duplicate, or left to others.
    pub(crate) fn vacate(&self, hooks: impl IntoIterator<Item = HookId>) {
        let mut state = self.state();
        for hook in hooks {
            state.slots.vacate(hook, false);
        }
        drop(state);
        self.moved.notify_one();
    }

    /// What can begin now.
    pub(crate) fn ready(&self, index: &Index, now: Timestamp) -> Vec<Claimed> {
        let mut state = self.state();
        let last = now.plus(self.deadline);
        let mut ready = std::mem::take(&mut state.taken);
        for stale in ready.extract_if(.., |taken| taken.lease_until < last) {
            state.slots.vacate(stale.hook, false);
            state.returned.push((stale.delivery, stale.fence));
        }
        let hooks: Vec<HookId> = state.kept.keys().copied().collect();
        for hook in hooks {
            if state.kept[&hook].iter().any(|kept| kept.lease_until < last) {
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
        let mut state = self.state();
        let fresh = state.kept.get(&hook)?.front()?.lease_until >= now.plus(self.deadline);
        if fresh { state.begin(index, hook) } else { None }
    }

    /// What is to be given back to the store.
    pub(crate) fn returned(&self) -> Vec<(DeliveryId, i64)> {
        std::mem::take(&mut self.state().returned)
    }

    /// Everything that has not begun is to be given back.
    pub(crate) fn give_all_back(&self) {
        let mut state = self.state();
        for taken in std::mem::take(&mut state.taken) {
            state.slots.vacate(taken.hook, false);
            state.returned.push((taken.delivery, taken.fence));
        }
        let hooks: Vec<HookId> = state.kept.keys().copied().collect();
        for hook in hooks {
            state.give_back(hook);
        }
    }

    /// An attempt has ended.
    pub(crate) fn ended(&self, claimed: &Claimed, delivered: bool) {
        let mut state = self.state();
        state.slots.release(claimed.hook, is_retry(claimed), delivered);
        if !delivered {
            // Nothing is kept for a receiver that fails: it would wait behind the next failure.
            state.give_back(claimed.hook);
        }
    }

    /// It needs no record. What is not known is not claimed again before the directory has been read anew.
    pub(crate) fn abandoned(&self, claimed: &Claimed, known: bool) {
        let mut state = self.state();
        state.slots.vacate(claimed.hook, is_retry(claimed));
        if !known {
            state.unknown.insert(claimed.hook);
            state.give_back(claimed.hook);
        }
        drop(state);
        self.moved.notify_one();
    }

    /// Results were recorded, or given up with `None`. Tells whose condition has changed.
    #[must_use]
    pub(crate) fn settled(
        &self,
        hooks: impl Iterator<Item = HookId>,
        settlements: Option<&[Settlement]>,
    ) -> Vec<Change> {
        let mut state = self.state();
        let mut changes = Vec::new();
        for hook in hooks {
            state.slots.settled(hook);
        }
        for settlement in settlements.into_iter().flatten().filter(|settlement| settlement.state.is_some()) {
            let before = if settlement.health == Health::default() {
                state.health.remove(&settlement.hook)
            } else {
                state.health.insert(settlement.hook, settlement.health)
            };
            changes.extend(Change::between(settlement.hook, before.unwrap_or_default(), settlement.health));
        }
        drop(state);
        self.moved.notify_one();
        changes
    }

    /// Whether health is known as of this directory.
    pub(crate) fn has_learnt(&self, version: i64) -> bool {
        self.state().version == Some(version)
    }

    /// Takes over what other nodes and earlier lives learned of the hooks' health.
    pub(crate) fn learn(&self, version: i64, health: HashMap<HookId, Health>) {
        let mut state = self.state();
        if state.version != Some(version) {
            state.unknown.clear();
        }
        (state.version, state.health) = (Some(version), health);
    }

    /// Whether an attempt that begins now asks if the hook is well again.
    pub(crate) fn is_probing(&self, hook: HookId, now: Timestamp) -> bool {
        self.state().health.get(&hook).is_some_and(|health| health.is_probing(now))
    }

    /// Hooks that must not be called now.
    pub(crate) fn disabled(&self, now: Timestamp) -> HashSet<HookId> {
        let state = self.state();
        let off = state.health.iter().filter(|(_, health)| health.status(now) != Status::Executable);
        off.map(|(hook, _)| *hook).collect()
    }

    /// Whether a claim would find more for a hook that could use it.
    pub(crate) fn wants_claim(&self, index: &Index, now: Timestamp) -> bool {
        let state = self.state();
        let hungry = |hook: &HookId| {
            let left = state.left_at(index, index.host(*hook).map_or("", |host| &**host));
            state.kept_for(*hook) * 2 <= state.reserve(*hook) && state.offer(index, *hook, now, left) > 0
        };
        let lines = state.all_lines.is_some() || !state.lines.is_empty();
        state.slots.free().0 > 0 && (lines || state.all_behind || state.behind.iter().any(hungry))
    }

    /// What may be claimed now; `None` when there is no slot at all.
    pub(crate) fn claim(&self, index: &Index, node: NodeId, now: Timestamp, lease: Duration) -> Option<Claim> {
        let mut state = self.state();
        let (first, retries) = state.slots.free();
        if first == 0 {
            state.all_behind = true;
            return None;
        }
        let mut rooms = HashMap::new();
        // All hooks of a host that is being called have to do with what it has left, unknown ones among them too. It is not
        // parted among them: whoever has nothing waiting would take it from those who have.
        let mut left: HashMap<&str, usize> = HashMap::new();
        let busy: Vec<HookId> = state.slots.busy_hosts().flat_map(|host| index.on_host(host)).copied().collect();
        let known = state.slots.known().chain(state.kept.keys().copied()).chain(state.health.keys().copied());
        for hook in known.chain(busy) {
            let host = index.host(hook).map_or("", |host| &**host);
            let left = *left.entry(host).or_insert_with(|| state.left_at(index, host));
            rooms.entry(hook).or_insert_with(|| state.offer(index, hook, now, left));
        }
        rooms.extend(state.unknown.iter().map(|hook| (*hook, 0)));
        let kept_retries = state.kept.values().flatten().filter(|kept| is_retry(kept)).count();
        let retries = retries.saturating_sub(kept_retries);
        Some(Claim {
            node,
            now,
            lease_until: now.plus(lease),
            first,
            retries,
            per_hook: state.limits.initial_per_hook,
            rooms,
        })
    }

    /// Keeps what was claimed, and learns for whom there is more.
    pub(crate) fn claimed(&self, claim: &Claim, claimed: Vec<Claimed>) {
        let mut state = self.state();
        let retries = claimed.iter().filter(|one| is_retry(one)).count();
        state.all_behind = claimed.len() - retries >= claim.first;
        let mut counts: HashMap<HookId, usize> = HashMap::new();
        for one in claimed {
            *counts.entry(one.hook).or_default() += 1;
            state.kept.entry(one.hook).or_default().push_back(one);
            state.kept_in_all += 1;
        }
        let offered = |hook: &HookId| claim.rooms.get(hook).copied().unwrap_or(claim.per_hook);
        if !state.all_behind {
            state.behind.retain(|hook| offered(hook) == 0);
        }
        // For whom nothing could be claimed, something may be waiting. Who is paused has its own time.
        let passed_over: Vec<HookId> =
            claim.rooms.iter().filter(|(_, room)| **room == 0).map(|(hook, _)| *hook).collect();
        for hook in passed_over {
            if state.is_well(hook, claim.now) && !state.unknown.contains(&hook) {
                state.behind.insert(hook);
            }
        }
        state.behind.extend(counts.iter().filter(|(hook, count)| **count >= offered(hook)).map(|(hook, _)| *hook));
        drop(state);
        self.moved.notify_one();
    }

    /// Attempts under way or not recorded yet, and what waits for a slot.
    pub(crate) fn in_flight(&self) -> usize {
        let state = self.state();
        state.slots.total() + state.kept_in_all
    }
}

impl State {
    fn kept_for(&self, hook: HookId) -> usize {
        self.kept.get(&hook).map_or(0, VecDeque::len)
    }

    fn is_well(&self, hook: HookId, now: Timestamp) -> bool {
        let well = |health: &Health| matches!(health.status(now), Status::Executable) && !health.is_probing(now);
        self.health.get(&hook).is_none_or(well)
    }

    fn take(&mut self, index: &Index, hook: HookId, now: Timestamp) -> bool {
        if self.version != Some(index.version()) || !self.is_well(hook, now) {
            return false;
        }
        let host = index.host(hook);
        let next = !self.all_behind && !self.behind.contains(&hook) && self.kept_for(hook) == 0;
        let free = next && self.slots.is_free(hook, host.map(|host| &**host), false);
        if free {
            self.slots.occupy(hook, host.cloned(), false);
        } else {
            self.behind.insert(hook);
        }
        free
    }

    /// Begins the oldest of what is kept for a hook, if it has a slot.
    fn begin(&mut self, index: &Index, hook: HookId) -> Option<Claimed> {
        let queue = self.kept.get_mut(&hook)?;
        let (host, retry) = (index.host(hook), is_retry(queue.front()?));
        if !self.slots.is_free(hook, host.map(|host| &**host), retry) {
            return None;
        }
        let claimed = queue.pop_front();
        if queue.is_empty() {
            self.kept.remove(&hook);
        }
        self.kept_in_all -= 1;
        self.slots.occupy(hook, host.cloned(), retry);
        claimed
    }

    fn give_back(&mut self, hook: HookId) {
        let Some(queue) = self.kept.remove(&hook) else { return };
        self.kept_in_all -= queue.len();
        self.returned.extend(queue.into_iter().map(|kept| (kept.delivery, kept.fence)));
        self.behind.insert(hook);
    }

    /// How many more may be claimed for all hooks of a host: what can begin, and as many again to be kept.
    fn left_at(&self, index: &Index, host: &str) -> usize {
        let kept: usize = index.on_host(host).iter().map(|hook| self.kept_for(*hook)).sum();
        (self.slots.room_at(host) + self.limits.per_host).saturating_sub(kept)
    }

    /// How many deliveries of a hook may be kept ready; none for anybody when many are.
    fn reserve(&self, hook: HookId) -> usize {
        if self.kept_in_all * 2 >= self.limits.total { 0 } else { self.slots.reserve(hook) }
    }

    /// How many a claim may take for a hook, when its host has so many left.
    fn offer(&self, index: &Index, hook: HookId, now: Timestamp, left: usize) -> usize {
        let kept = self.kept_for(hook);
        let room = self.slots.room(hook, index.host(hook).map(|host| &**host));
        let well = (room + self.reserve(hook)).saturating_sub(kept).min(left);
        match self.health.get(&hook) {
            Some(health) => match health.status(now) {
                Status::Executable if health.is_probing(now) => {
                    1_usize.saturating_sub(self.slots.outstanding(hook) + kept)
                }
                Status::Executable => well,
                Status::TemporarilyDisabled(_) | Status::Disabled => 0,
            },
            None if self.unknown.contains(&hook) => 0,
            None => well,
        }
    }
}

/// Whether it has failed before. One whose outcome nobody recorded has not.
fn is_retry(claimed: &Claimed) -> bool {
    claimed.tally.attempts > claimed.tally.unknown
}

#[cfg(test)]
mod tests;
