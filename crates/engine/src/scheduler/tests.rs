//! Cases of which deliveries may begin.

use quickdraw_domain::delivery::Tally;
use quickdraw_domain::event::{Event, Origin};
use quickdraw_domain::hook::{Hook, HookUrl, Pause};
use quickdraw_domain::scope::{Place, Scope};
use quickdraw_domain::{EventId, ObjectKey, Trigger};
use quickdraw_store::Packed;
use quickdraw_store::hooks::{Directory, HookWithHealth};
use uuid::Uuid;

use super::*;

const LIMITS: PermitLimits = PermitLimits {
    total: 40,
    reserved_for_first: 10,
    per_hook: 8,
    initial_per_hook: 4,
    per_host: 12,
};
const NOW: Timestamp = Timestamp::from_seconds(1_000);
const LEASE: Duration = Duration::from_secs(30);

/// Hooks 1 to `count` on one host, and hook 100 on another.
fn directory(count: i64) -> Directory {
    let entry = |id: i64, host: &str| {
        let url = HookUrl::parse(&format!("https://{host}/in")).expect("a URL");
        let hook = Hook {
            id: HookId(id),
            ..Hook::new(Scope::Instance, url, Uuid::nil(), NOW)
        };
        HookWithHealth {
            hook,
            health: Health::default(),
        }
    };
    let mut hooks: Vec<HookWithHealth> = (1..=count).map(|id| entry(id, "busy.example")).collect();
    hooks.push(entry(100, "other.example"));

    Directory {
        version: 1,
        hooks,
        ..Directory::default()
    }
}

/// The same hooks while a person has paused hook 1.
fn paused(count: i64) -> Index {
    let mut directory = directory(count);
    directory.hooks[0].hook.paused = Some(Pause {
        at: NOW,
        by: "ida".to_owned(),
    });
    Index::new(&directory, &Index::default())
}

/// The scheduler, and the directory with hooks 1 to `count` on one host, and hook 100 on another.
fn world(count: i64) -> (Scheduler, Index) {
    let index = Index::new(&directory(count), &Index::default());
    let scheduler = Scheduler::new(LIMITS, Duration::from_secs(10));
    scheduler.replace_health(1, HashMap::new());

    // As after the first scan of all ordering queues.
    let _ = scheduler.start_scan();
    (scheduler, index)
}

fn claimed(hook: i64) -> Claimed {
    let event = Event::new(
        EventId(Uuid::new_v4()),
        Place::Instance,
        Trigger::PUSH,
        Origin::Api,
        NOW,
    );

    Claimed {
        delivery: DeliveryId::of(event.id, HookId(hook)),
        hook: HookId(hook),
        tally: Tally::default(),
        fence: 1,
        lease_until: NOW.plus(LEASE),
        event,
        payload: Packed::pack(b"{}"),
        queue: None,
    }
}

/// Claims as a store would that has a lot for each of these hooks.
fn claim_all(scheduler: &Scheduler, index: &Index, hooks: &[i64]) -> usize {
    let Some(claim) = scheduler.claim(index, NodeId(Uuid::nil()), NOW, LEASE) else {
        return 0;
    };
    let available = |hook: &i64| claim.hook_limits.get(&HookId(*hook)).copied().unwrap_or(claim.per_hook);
    let found: Vec<Claimed> = hooks
        .iter()
        .flat_map(|hook| (0..available(hook)).map(|_| claimed(*hook)))
        .collect();

    let found: Vec<Claimed> = found.into_iter().take(claim.first).collect();
    let count = found.len();
    scheduler.claimed(&claim, found);

    count
}

#[test]
fn nothing_is_claimed_for_a_paused_hook_until_it_is_resumed() {
    let (scheduler, index) = world(2);
    let paused = paused(2);
    assert_eq!(claim_all(&scheduler, &paused, &[1, 2]), 4, "only hook 2");
    assert_eq!(scheduler.acquire(&paused, &[HookId(1)], &[], NOW).hooks, []);

    let ready = scheduler.ready(&paused, NOW);
    assert!(ready.iter().all(|claimed| claimed.hook == HookId(2)));
    assert!(!scheduler.wants_claim(&paused, NOW));

    assert!(scheduler.wants_claim(&index, NOW), "its deliveries are remembered");
    assert_eq!(claim_all(&scheduler, &index, &[1]), 4);
}

#[test]
fn deliveries_of_a_hook_that_is_paused_after_their_claim_are_given_back() {
    let (scheduler, index) = world(2);
    assert_eq!(claim_all(&scheduler, &index, &[1, 2]), 8);

    let paused = paused(2);
    assert_eq!(
        scheduler.next(&paused, HookId(1), NOW).map(|claimed| claimed.hook),
        None
    );
    let ready = scheduler.ready(&paused, NOW);
    assert!(ready.iter().all(|claimed| claimed.hook == HookId(2)));
    assert_eq!(scheduler.returned().len(), 4);
}

#[test]
fn nothing_begins_in_silent_mode() {
    let (scheduler, index) = world(1);
    assert_eq!(claim_all(&scheduler, &index, &[1]), 4);

    let mut silent = Index::new(&directory(1), &Index::default());
    silent.silence.always = true;
    assert_eq!(scheduler.ready(&silent, NOW).len(), 0);
    assert_eq!(scheduler.returned().len(), 4);
    assert!(!scheduler.wants_claim(&silent, NOW));
    assert_eq!(claim_all(&scheduler, &silent, &[1]), 0);

    assert!(
        scheduler.wants_claim(&index, NOW),
        "everything may be waiting after silent mode"
    );
}

#[test]
fn a_delivery_holds_its_permit_until_it_is_released_or_ends() {
    let (scheduler, index) = world(1);
    assert_eq!(
        scheduler.acquire(&index, &[HookId(1)], &[], NOW).hooks,
        [],
        "what the store has comes first"
    );

    assert_eq!(claim_all(&scheduler, &index, &[]), 0);
    for _ in 0..4 {
        assert_eq!(scheduler.acquire(&index, &[HookId(1)], &[], NOW).hooks, [HookId(1)]);
    }

    assert_eq!(
        scheduler.acquire(&index, &[HookId(1)], &[], NOW).hooks,
        [],
        "its share is used up"
    );

    scheduler.release([HookId(1)]);
    claim_all(&scheduler, &index, &[]);
    assert_eq!(scheduler.acquire(&index, &[HookId(1)], &[], NOW).hooks, [HookId(1)]);
    assert_eq!(scheduler.in_flight(), 4);
}

#[test]
fn one_host_never_gets_more_than_its_limit_and_leaves_room_for_others() {
    let (scheduler, index) = world(20);
    let all: Vec<i64> = (1..=20).collect();

    assert_eq!(
        claim_all(&scheduler, &index, &all),
        40,
        "nothing is known of any of them yet"
    );

    assert_eq!(scheduler.ready(&index, NOW).len(), 12);
    assert_eq!(claim_all(&scheduler, &index, &all), 0, "enough is kept for that host");
    assert!(!scheduler.wants_claim(&index, NOW), "and no claim would change that");

    assert_eq!(
        claim_all(&scheduler, &index, &[100]),
        4,
        "another host has its share all the same"
    );

    assert_eq!(scheduler.ready(&index, NOW).len(), 4);
}

#[test]
fn deliveries_in_the_store_are_not_overtaken() {
    let (scheduler, index) = world(1);
    assert_eq!(claim_all(&scheduler, &index, &[1]), 4);
    assert_eq!(scheduler.ready(&index, NOW).len(), 4);
    scheduler.ended(&claimed(1), true);

    assert_eq!(
        scheduler.acquire(&index, &[HookId(1)], &[], NOW).hooks,
        [],
        "as much was claimed as could be, so there may be more"
    );

    assert!(scheduler.wants_claim(&index, NOW));
    assert_eq!(claim_all(&scheduler, &index, &[]), 0);

    assert_eq!(
        scheduler.acquire(&index, &[HookId(1)], &[], NOW).hooks,
        [HookId(1)],
        "there was none"
    );
}

#[test]
fn a_failure_gives_back_kept_deliveries_and_a_lapsing_lease_too() {
    let (scheduler, index) = world(1);
    claim_all(&scheduler, &index, &[]);

    for _ in 0..8 {
        assert_eq!(scheduler.acquire(&index, &[HookId(1)], &[], NOW).hooks.len(), 1);
        scheduler.ended(&claimed(1), true);
    }

    let _ = scheduler.acquire(&index, &[HookId(1)], &[], NOW);
    let claim = scheduler
        .claim(&index, NodeId(Uuid::nil()), NOW, LEASE)
        .expect("there is room");
    assert_eq!(claim.hook_limits[&HookId(1)], 7 + 8, "it has earned as many again");
    scheduler.claimed(&claim, (0..15).map(|_| claimed(1)).collect());
    assert_eq!(scheduler.ready(&index, NOW).len(), 7);
    scheduler.ended(&claimed(1), false);
    assert_eq!(scheduler.returned().len(), 8);
    scheduler.begin(vec![claimed(1)]);
    assert!(scheduler.ready(&index, NOW.plus(Duration::from_secs(25))).is_empty());
    assert_eq!(scheduler.returned().len(), 1);
}

#[test]
fn an_unknown_hook_is_not_claimed_until_the_directory_changes() {
    let (scheduler, index) = world(1);
    scheduler.abandoned(&claimed(55), false);

    let claim = scheduler
        .claim(&index, NodeId(Uuid::nil()), NOW, LEASE)
        .expect("there is room");
    assert_eq!(claim.hook_limits.get(&HookId(55)), Some(&0));
    scheduler.claimed(&claim, Vec::new());
    assert!(!scheduler.wants_claim(&index, NOW));
    scheduler.replace_health(2, HashMap::new());

    let claim = scheduler
        .claim(&index, NodeId(Uuid::nil()), NOW, LEASE)
        .expect("there is room");
    assert_eq!(claim.hook_limits.get(&HookId(55)), None);
}

#[test]
fn a_changed_ordering_queue_asks_for_a_claim_until_it_is_scanned() {
    let (scheduler, index) = world(1);
    let queue = OrderingQueue {
        hook: HookId(1),
        object: ObjectKey(7),
    };

    claim_all(&scheduler, &index, &[]);
    assert!(!scheduler.wants_claim(&index, NOW));
    scheduler.queues_changed([queue, queue]);
    assert!(scheduler.wants_claim(&index, NOW));

    assert_eq!(
        scheduler.start_scan(),
        Scan {
            queues: vec![queue],
            all: None
        }
    );

    assert!(!scheduler.wants_claim(&index, NOW));
    scheduler.queues_changed((0..20_000).map(|number| OrderingQueue {
        object: ObjectKey(number),
        ..queue
    }));

    assert_eq!(
        scheduler.start_scan(),
        Scan {
            queues: vec![],
            all: Some(ScanFrom::Beginning)
        },
        "so many are looked for in the store"
    );
}
