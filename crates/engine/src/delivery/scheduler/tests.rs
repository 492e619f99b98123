//! What may begin, in the order of things.

use quickdraw_domain::delivery::Tally;
use quickdraw_domain::event::{Event, Origin};
use quickdraw_domain::hook::{Hook, HookUrl};
use quickdraw_domain::scope::{Place, Scope};
use quickdraw_domain::{EventId, ObjectKey, Trigger};
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
    let index = Index::new(&Directory { version: 1, hooks, ..Directory::default() }, &Index::default());
    let flow = Flow::new(LIMITS, Duration::from_secs(10));
    flow.learn(1, HashMap::new());
    // As after the first look at all lines.
    let _ = flow.take_lines();
    (flow, index)
}

fn claimed(hook: i64) -> Claimed {
    let event = Event::new(EventId(Uuid::new_v4()), Place::Instance, Trigger::PUSH, Origin::Api, NOW);
    Claimed {
        delivery: DeliveryId::of(event.id, HookId(hook)),
        hook: HookId(hook),
        tally: Tally::default(),
        fence: 1,
        lease_until: NOW.plus(LEASE),
        event,
        payload: Packed::pack(b"{}"),
        line: None,
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
    assert_eq!(flow.take(&index, &[HookId(1)], &[], NOW).0, [], "what the store has comes first");
    assert_eq!(claim_all(&flow, &index, &[]), 0);
    for _ in 0..4 {
        assert_eq!(flow.take(&index, &[HookId(1)], &[], NOW).0, [HookId(1)]);
    }
    assert_eq!(flow.take(&index, &[HookId(1)], &[], NOW).0, [], "its share is used up");
    flow.vacate([HookId(1)]);
    claim_all(&flow, &index, &[]);
    assert_eq!(flow.take(&index, &[HookId(1)], &[], NOW).0, [HookId(1)]);
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
    assert_eq!(
        flow.take(&index, &[HookId(1)], &[], NOW).0,
        [],
        "as much was claimed as could be, so there may be more"
    );
    assert!(flow.wants_claim(&index, NOW));
    assert_eq!(claim_all(&flow, &index, &[]), 0);
    assert_eq!(flow.take(&index, &[HookId(1)], &[], NOW).0, [HookId(1)], "there was none");
}

#[test]
fn a_failure_gives_back_what_was_kept_and_a_lapsing_lease_too() {
    let (flow, index) = world(1);
    claim_all(&flow, &index, &[]);
    for _ in 0..8 {
        assert_eq!(flow.take(&index, &[HookId(1)], &[], NOW).0.len(), 1);
        flow.ended(&claimed(1), true);
    }
    let _ = flow.take(&index, &[HookId(1)], &[], NOW);
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

#[test]
fn a_line_asks_for_a_claim_until_it_was_looked_at() {
    let (flow, index) = world(1);
    let line = Line { hook: HookId(1), object: ObjectKey(7) };
    claim_all(&flow, &index, &[]);
    assert!(!flow.wants_claim(&index, NOW));
    flow.lined_up([line, line]);
    assert!(flow.wants_claim(&index, NOW));
    assert_eq!(flow.take_lines(), (vec![line], None));
    assert!(!flow.wants_claim(&index, NOW));
    flow.lined_up((0..20_000).map(|number| Line { object: ObjectKey(number), ..line }));
    assert_eq!(flow.take_lines(), (vec![], Some(None)), "so many are looked for in the store");
}
