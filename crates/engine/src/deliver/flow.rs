//! Who may begin now, what is kept ready, and for whom more is to be claimed. Pure bookkeeping behind one lock.
//!
//! A delivery comes here in one of two ways. Usually a committer takes it for this node in the transaction that appends
//! its event, so that it begins as soon as that is flushed. When its hook has no slot free, or has older ones waiting in
//! the store, it stays there and is claimed.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quickdraw_domain::health::{Health, Status};
use quickdraw_domain::{DeliveryId, HookId, NodeId, Timestamp};
use quickdraw_store::deliveries::{Claim, Claimed, Settlement};
use tokio::sync::Notify;

use super::slots::{SlotLimits, Slots};
use crate::directory::Index;

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
        };
        Self { state: Mutex::new(state), moved: Notify::new(), deadline }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there may be something to begin, to give back or to claim.
    pub(crate) async fn moved(&self) {
        self.moved.notified().await;
    }

    /// Which hooks' deliveries this node begins as soon as they are on disk. Each has a slot from now on.
    pub(crate) fn take(&self, index: &Index, hooks: &[HookId], now: Timestamp) -> Vec<HookId> {
        let mut state = self.state();
        hooks.iter().copied().filter(|hook| state.take(index, *hook, now)).collect()
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

    /// Results were recorded, or given up with `None`.
    pub(crate) fn settled(&self, hooks: impl Iterator<Item = HookId>, settlements: Option<&[Settlement]>) {
        let mut state = self.state();
        for hook in hooks {
            state.slots.settled(hook);
        }
        for settlement in settlements.into_iter().flatten().filter(|settlement| settlement.state.is_some()) {
            if settlement.health == Health::default() {
                state.health.remove(&settlement.hook);
            } else {
                state.health.insert(settlement.hook, settlement.health);
            }
        }
        drop(state);
        self.moved.notify_one();
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

    /// Whether a claim would find more for a hook that could use it.
    pub(crate) fn wants_claim(&self, index: &Index, now: Timestamp) -> bool {
        let state = self.state();
        let hungry = |hook: &HookId| {
            let left = state.left_at(index, index.host(*hook).map_or("", |host| &**host));
            state.kept_for(*hook) * 2 <= state.reserve(*hook) && state.offer(index, *hook, now, left) > 0
        };
        state.slots.free().0 > 0 && (state.all_behind || state.behind.iter().any(hungry))
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
mod tests {
    use quickdraw_domain::delivery::Tally;
    use quickdraw_domain::event::{Event, Source};
    use quickdraw_domain::hook::{Hook, HookUrl};
    use quickdraw_domain::scope::{Place, Scope};
    use quickdraw_domain::{EventId, Trigger};
    use quickdraw_store::Packed;
    use quickdraw_store::hooks::{Directory, HookWithHealth};
    use uuid::Uuid;

    use super::*;

    const LIMITS: SlotLimits =
        SlotLimits { total: 40, reserved_for_first: 10, per_hook: 8, initial_per_hook: 4, per_host: 12 };
    const NOW: Timestamp = Timestamp::from_seconds(1_000);
    const LEASE: Duration = Duration::from_secs(30);

    /// Hooks 1 to `count` on one host, and hook 100 on another.
    fn world(count: i64) -> (Flow, Index) {
        let entry = |id: i64, host: &str| {
            let url = HookUrl::parse(&format!("https://{host}/in")).expect("a URL");
            let hook = Hook { id: HookId(id), ..Hook::new(Scope::Instance, url, Uuid::nil(), NOW) };
            HookWithHealth { hook, health: Health::default() }
        };
        let mut hooks: Vec<HookWithHealth> = (1..=count).map(|id| entry(id, "busy.example")).collect();
        hooks.push(entry(100, "other.example"));
        let index = Index::new(&Directory { version: 1, hooks, ..Directory::default() });
        let flow = Flow::new(LIMITS, Duration::from_secs(10));
        flow.learn(1, HashMap::new());
        (flow, index)
    }

    fn claimed(hook: i64) -> Claimed {
        let event = Event {
            id: EventId(Uuid::new_v4()),
            place: Place::Instance,
            trigger: Trigger::PUSH,
            source: Source::Api,
            received_at: NOW,
            chain: None,
            git_ref: None,
        };
        Claimed {
            delivery: DeliveryId::of(event.id, HookId(hook)),
            hook: HookId(hook),
            tally: Tally::default(),
            fence: 1,
            lease_until: NOW.plus(LEASE),
            event,
            payload: Packed::pack(b"{}"),
        }
    }

    /// Claims as a store would that has a lot for each of these hooks.
    fn claim_all(flow: &Flow, index: &Index, hooks: &[i64]) -> usize {
        let Some(claim) = flow.claim(index, NodeId(Uuid::nil()), NOW, LEASE) else { return 0 };
        let room = |hook: &i64| claim.rooms.get(&HookId(*hook)).copied().unwrap_or(claim.per_hook);
        let found: Vec<Claimed> = hooks.iter().flat_map(|hook| (0..room(hook)).map(|_| claimed(*hook))).collect();
        let found: Vec<Claimed> = found.into_iter().take(claim.first).collect();
        let count = found.len();
        flow.claimed(&claim, found);
        count
    }

    #[test]
    fn what_is_taken_holds_a_slot_until_it_is_vacated_or_ends() {
        let (flow, index) = world(1);
        assert_eq!(flow.take(&index, &[HookId(1)], NOW), [], "what the store has comes first");
        assert_eq!(claim_all(&flow, &index, &[]), 0);
        for _ in 0..4 {
            assert_eq!(flow.take(&index, &[HookId(1)], NOW), [HookId(1)]);
        }
        assert_eq!(flow.take(&index, &[HookId(1)], NOW), [], "its share is used up");
        flow.vacate([HookId(1)]);
        claim_all(&flow, &index, &[]);
        assert_eq!(flow.take(&index, &[HookId(1)], NOW), [HookId(1)]);
        assert_eq!(flow.in_flight(), 4);
    }

    #[test]
    fn one_host_never_gets_more_than_its_limit_and_leaves_room_for_others() {
        let (flow, index) = world(20);
        let all: Vec<i64> = (1..=20).collect();
        assert_eq!(claim_all(&flow, &index, &all), 40, "nothing is known of any of them yet");
        assert_eq!(flow.ready(&index, NOW).len(), 12);
        assert_eq!(claim_all(&flow, &index, &all), 0, "enough is kept for that host");
        assert!(!flow.wants_claim(&index, NOW), "and no claim would change that");
        assert_eq!(claim_all(&flow, &index, &[100]), 4, "another host has its share all the same");
        assert_eq!(flow.ready(&index, NOW).len(), 4);
    }

    #[test]
    fn what_waits_in_the_store_is_not_overtaken() {
        let (flow, index) = world(1);
        assert_eq!(claim_all(&flow, &index, &[1]), 4);
        assert_eq!(flow.ready(&index, NOW).len(), 4);
        flow.ended(&claimed(1), true);
        assert_eq!(flow.take(&index, &[HookId(1)], NOW), [], "as much was claimed as could be, so there may be more");
        assert!(flow.wants_claim(&index, NOW));
        assert_eq!(claim_all(&flow, &index, &[]), 0);
        assert_eq!(flow.take(&index, &[HookId(1)], NOW), [HookId(1)], "there was none");
    }

    #[test]
    fn a_failure_gives_back_what_was_kept_and_a_lapsing_lease_too() {
        let (flow, index) = world(1);
        claim_all(&flow, &index, &[]);
        for _ in 0..8 {
            assert_eq!(flow.take(&index, &[HookId(1)], NOW).len(), 1);
            flow.ended(&claimed(1), true);
        }
        flow.take(&index, &[HookId(1)], NOW);
        let claim = flow.claim(&index, NodeId(Uuid::nil()), NOW, LEASE).expect("there is room");
        assert_eq!(claim.rooms[&HookId(1)], 7 + 8, "it has earned as many again");
        flow.claimed(&claim, (0..15).map(|_| claimed(1)).collect());
        assert_eq!(flow.ready(&index, NOW).len(), 7);
        flow.ended(&claimed(1), false);
        assert_eq!(flow.returned().len(), 8);
        flow.taken(vec![claimed(1)]);
        assert!(flow.ready(&index, NOW.plus(Duration::from_secs(25))).is_empty());
        assert_eq!(flow.returned().len(), 1);
    }

    #[test]
    fn an_unknown_hook_is_left_alone_until_the_directory_changes() {
        let (flow, index) = world(1);
        flow.abandoned(&claimed(55), false);
        let claim = flow.claim(&index, NodeId(Uuid::nil()), NOW, LEASE).expect("there is room");
        assert_eq!(claim.rooms.get(&HookId(55)), Some(&0));
        flow.claimed(&claim, Vec::new());
        assert!(!flow.wants_claim(&index, NOW));
        flow.learn(2, HashMap::new());
        let claim = flow.claim(&index, NodeId(Uuid::nil()), NOW, LEASE).expect("there is room");
        assert_eq!(claim.rooms.get(&HookId(55)), None);
    }
}
