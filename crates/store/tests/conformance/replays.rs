//! Checks of replays.

use std::sync::Arc;

use quickdraw_domain::audience::SkipReason;
use quickdraw_domain::delivery::State;
use quickdraw_domain::event::Event;
use quickdraw_domain::outcome::Outcome;
use quickdraw_domain::recursion::Chain;
use quickdraw_domain::replay::{Filter, Progress};
use quickdraw_domain::scope::{Place, Scope};
use quickdraw_domain::{DeliveryId, HookId, Timestamp};
use quickdraw_store::events::FannedOut;
use quickdraw_store::replays::{Later, Look, NewReplay, Replay, ReplayFilter, Results, Step};
use quickdraw_store::scopes::Name;
use uuid::Uuid;

use crate::fixture::{Fixture, NOON, at, event_at};

const GONE: Outcome = Outcome::Rejected {
    status: 410,
    retry_after: None,
};

fn filter() -> Filter {
    Filter {
        from: NOON.as_micros(),
        to: at(3600).as_micros(),
        text: Some("rope".to_owned()),
        ..Filter::default()
    }
}

fn new(scope: Scope, rate: i64) -> NewReplay {
    NewReplay {
        scope,
        filter: filter(),
        rate,
        created_by: "ida".to_owned(),
    }
}

pub(crate) async fn replays_are_listed_by_their_scope(fixture: Fixture) {
    let project = fixture.project("p").await;
    let other = fixture.project("q").await;
    let found = fixture.store.find_project(Name::Id(project.0)).await.expect("read");
    let group = found.expect("the project exists").group;

    let mut ids = Vec::new();
    for scope in [
        Scope::Project(project),
        Scope::Project(other),
        Scope::Group(group),
        Scope::Instance,
    ] {
        let made = fixture.store.create_replay(new(scope, 1), NOON).await.expect("made");
        assert_eq!(made.scope, scope);
        ids.push(made.id);
    }

    let list = async |within, of_admins| {
        let filter = ReplayFilter {
            within,
            of_admins,
            before: None,
            progress: None,
            since: None,
            until: None,
            limit: 10,
        };
        let found = fixture.store.list_replays(filter).await.expect("listed");
        found.iter().map(|replay| replay.id).collect::<Vec<_>>()
    };
    assert_eq!(list(Scope::Project(project), false).await, [ids[0]]);
    assert!(list(Scope::Group(group), false).await.starts_with(&[ids[2]]));
    assert!(list(Scope::Group(group), false).await.contains(&ids[0]));
    assert!(!list(Scope::Group(group), false).await.contains(&ids[3]));
    assert_eq!(list(Scope::Instance, false).await.len(), 4);

    // A replay of an administrator belongs to the instance, and its filter can name a project or a group.
    let mut of_admins = Vec::new();
    for (project, group) in [(Some(project.0), None), (None, Some(group.0))] {
        let mut new = new(Scope::Instance, 1);
        (new.filter.project, new.filter.group) = (project, group);
        of_admins.push(fixture.store.create_replay(new, NOON).await.expect("made").id);
    }

    assert_eq!(list(Scope::Project(project), true).await, [of_admins[0], ids[0]]);
    assert!(
        list(Scope::Group(group), true)
            .await
            .starts_with(&[of_admins[1], of_admins[0], ids[2]])
    );
    assert!(!list(Scope::Project(project), false).await.contains(&of_admins[0]));
}

pub(crate) async fn replays_are_listed_by_the_time_of_their_creation(fixture: Fixture) {
    let store = &fixture.store;
    for second in [0, 60] {
        let made = store.create_replay(new(Scope::Instance, 1), at(second)).await;
        made.expect("made");
    }

    let list = async |since, until| {
        let filter = ReplayFilter {
            within: Scope::Instance,
            of_admins: false,
            before: None,
            progress: None,
            since,
            until,
            limit: 10,
        };
        let found = store.list_replays(filter).await.expect("listed");
        found.iter().map(|replay| replay.created_at).collect::<Vec<_>>()
    };
    assert_eq!(list(Some(at(60)), None).await, [at(60)]);
    assert_eq!(list(None, Some(at(60))).await, [at(0)]);
    assert_eq!(list(Some(at(0)), Some(at(61))).await, [at(60), at(0)]);
}

pub(crate) async fn results_of_a_replay_count_only_hooks_of_its_scope(fixture: Fixture) {
    let store = &fixture.store;
    let (own, other) = (fixture.project("p").await, fixture.project("q").await);
    let hooks = [fixture.hook(own).await, fixture.hook(other).await];
    fixture.owe(&hooks, NOON).await;

    let counts = async |scope| {
        let made = store.create_replay(new(scope, 1), NOON).await.expect("made");
        let past = Replay {
            cursor: DeliveryId(Uuid::max()),
            ..made
        };
        store.replay_results(past).await.expect("counted").pending
    };
    assert_eq!(counts(Scope::Project(own)).await, 1);
    assert_eq!(counts(Scope::Instance).await, 2);
}

pub(crate) async fn a_replay_reads_deliveries_in_order(fixture: Fixture) {
    let hooks = [fixture.hook(fixture.project("p").await).await];
    let mut events = Vec::new();
    for second in 0..3 {
        events.push(fixture.owe(&hooks, at(second)).await);
    }

    for claimed in fixture.claim(at(5)).await {
        fixture.finish(&claimed, GONE, at(6)).await;
    }

    let look = |after, bodies| Look {
        after,
        from: NOON,
        to: at(3600),
        bodies,
        limit: 2,
    };

    let first = fixture
        .store
        .candidates(look(DeliveryId(Uuid::nil()), true))
        .await
        .expect("read");
    assert_eq!(first.len(), 2);
    assert!(first[0].delivery < first[1].delivery);

    assert!(
        first
            .iter()
            .all(|one| one.status == Some(410) && one.state == State::GivenUp && one.hook == hooks[0])
    );

    let body = first[0]
        .payload
        .as_ref()
        .expect("the body was requested")
        .unpack()
        .expect("unpacked");
    assert_eq!(&body[..], b"{\"object_kind\":\"push\"}");

    let rest = fixture
        .store
        .candidates(look(first[1].delivery, false))
        .await
        .expect("read");
    assert!(rest.len() == 1 && rest[0].payload.is_none() && events.contains(&rest[0].event.id));

    assert!(
        fixture
            .store
            .candidates(look(rest[0].delivery, false))
            .await
            .expect("read")
            .is_empty()
    );

    let later = Look {
        from: at(60),
        ..look(DeliveryId(Uuid::nil()), false)
    };
    assert!(fixture.store.candidates(later).await.expect("read").is_empty());
}

pub(crate) async fn a_replay_reschedules_ended_deliveries_and_stores_its_position(fixture: Fixture) {
    let store = &fixture.store;
    let hook = fixture.hook(fixture.project("p").await).await;
    fixture.owe(&[hook], NOON).await;

    let claimed = fixture.claim(at(1)).await.remove(0);
    fixture.finish(&claimed, GONE, at(1)).await;

    let made = store
        .create_replay(new(Scope::Instance, 50), at(2))
        .await
        .expect("made");
    assert_eq!(
        (made.progress, made.cursor, &made.filter),
        (Progress::Running, DeliveryId(Uuid::nil()), &filter())
    );

    let step = Step {
        replay: made.id,
        from: made.cursor,
        to: claimed.delivery,
        scanned: 1,
        selected: vec![claimed.delivery],
        made: Vec::new(),
        finished: false,
    };
    assert_eq!(store.advance_replay(step.clone(), at(3)).await.expect("advanced"), 1);

    assert_eq!(
        store.advance_replay(step.clone(), at(3)).await.expect("looked"),
        0,
        "another node was faster"
    );

    let now = store
        .find_replay(made.id)
        .await
        .expect("read")
        .expect("the replay exists");
    assert_eq!(
        (now.scanned, now.replayed, now.cursor, now.advanced_at),
        (1, 1, claimed.delivery, at(3))
    );

    let again = fixture.claim(at(4)).await.remove(0);
    assert_eq!(
        (again.delivery, again.hook, again.event.id),
        (claimed.delivery, hook, claimed.event.id)
    );

    assert_eq!(
        (again.tally.attempts, again.tally.counted()),
        (1, 0),
        "the delivery has all its attempts again"
    );

    // Deliveries that are being attempted or are pending already are not changed.
    let results = async || {
        let replay = store
            .find_replay(made.id)
            .await
            .expect("read")
            .expect("the replay exists");
        store.replay_results(replay).await.expect("counted")
    };

    assert_eq!(
        results().await,
        Results {
            pending: 1,
            ..Results::default()
        }
    );

    let step = Step {
        from: claimed.delivery,
        to: DeliveryId(Uuid::max()),
        ..step
    };
    assert_eq!(store.advance_replay(step.clone(), at(5)).await.expect("advanced"), 0);
    assert_eq!(fixture.finish(&again, GONE, at(6)).await.state, Some(State::GivenUp));

    assert_eq!(
        results().await,
        Results {
            given_up: 1,
            ..Results::default()
        }
    );

    let end = Step {
        from: step.to,
        finished: true,
        selected: Vec::new(),
        made: Vec::new(),
        ..step
    };
    store.advance_replay(end, at(7)).await.expect("advanced");

    let now = store
        .find_replay(made.id)
        .await
        .expect("read")
        .expect("the replay exists");
    assert_eq!(
        (now.progress, now.finished_at, now.replayed),
        (Progress::Finished, Some(at(7)), 1)
    );

    assert!(
        store
            .set_progress(made.id, Progress::Running, at(8))
            .await
            .expect("looked")
            .is_none(),
        "the replay has ended"
    );
}

pub(crate) async fn replays_are_paused_cancelled_and_listed(fixture: Fixture) {
    let store = &fixture.store;
    let mut ids = Vec::new();

    for _ in 0..3 {
        ids.push(
            store
                .create_replay(new(Scope::Instance, 1), NOON)
                .await
                .expect("made")
                .id,
        );
    }

    let paused = store
        .set_progress(ids[0], Progress::Paused, at(1))
        .await
        .expect("written")
        .expect("the replay runs");
    assert_eq!((paused.progress, paused.finished_at), (Progress::Paused, None));

    let gone = store
        .set_progress(ids[1], Progress::Cancelled, at(1))
        .await
        .expect("written")
        .expect("the replay runs");
    assert_eq!((gone.progress, gone.finished_at), (Progress::Cancelled, Some(at(1))));

    let list = async |before, running: bool| {
        let filter = ReplayFilter {
            within: Scope::Instance,
            of_admins: false,
            before,
            progress: running.then_some(Progress::Running),
            since: None,
            until: None,
            limit: 10,
        };
        let found = store.list_replays(filter).await.expect("listed");
        found.iter().map(|replay| replay.id).collect::<Vec<_>>()
    };
    assert_eq!(list(None, true).await, [ids[2]]);
    assert_eq!(list(Some(ids[2]), false).await, [ids[1], ids[0]]);

    let step = Step {
        replay: ids[0],
        from: paused.cursor,
        to: DeliveryId(Uuid::max()),
        scanned: 1,
        selected: Vec::new(),
        made: Vec::new(),
        finished: true,
    };
    store.advance_replay(step, at(2)).await.expect("looked");

    let now = store
        .find_replay(ids[0])
        .await
        .expect("read")
        .expect("the replay exists");

    assert_eq!(
        (now.progress, now.scanned),
        (Progress::Paused, 0),
        "a pause also stops a step that is in progress"
    );

    let running = store
        .set_progress(ids[0], Progress::Running, at(3))
        .await
        .expect("written")
        .expect("the replay exists");
    assert_eq!((running.progress, running.advanced_at), (Progress::Running, at(3)));
    assert!(store.find_replay(999).await.expect("read").is_none());
}

/// Journals an event that hooks do not get for a reason.
async fn skip(fixture: &Fixture, hooks: &[HookId], reason: SkipReason, now: Timestamp) -> Event {
    let new = event_at(Place::Instance, b"{}", now);
    let event = new.event.clone();
    fixture.store.append_events(vec![new]).await.expect("appended");

    let skip: Vec<_> = hooks.iter().map(|hook| (*hook, reason)).collect();
    let decide = Arc::new(move |_: &Event, _: &mut Chain| {
        Some(FannedOut {
            skip: skip.clone(),
            ..FannedOut::default()
        })
    });
    fixture.fan_out(now, decide).await;
    event
}

fn look_after(after: Uuid, limit: usize) -> Look {
    Look {
        after: DeliveryId(after),
        from: NOON,
        to: at(3600),
        bodies: false,
        limit,
    }
}

pub(crate) async fn skipped_events_are_read_by_reason_in_the_order_of_events(fixture: Fixture) {
    let project = fixture.project("p").await;
    let hooks = [fixture.hook(project).await, fixture.hook(project).await];
    let first = skip(&fixture, &hooks, SkipReason::SilentMode, at(1)).await;
    skip(&fixture, &hooks, SkipReason::Recursion, at(2)).await;
    let last = skip(&fixture, &hooks[..1], SkipReason::SilentMode, at(3)).await;

    let read = async |after, limit| {
        let look = look_after(after, limit);
        let skipped = fixture.store.skipped(look, SkipReason::SilentMode).await.expect("read");
        skipped
            .into_iter()
            .map(|one| (one.event.id, one.hook))
            .collect::<Vec<_>>()
    };
    let of_first = [(first.id, hooks[0]), (first.id, hooks[1])];
    assert_eq!(
        read(Uuid::nil(), 1).await,
        of_first,
        "an event is read with all its hooks"
    );
    assert_eq!(read(first.id.0, 10).await, [(last.id, hooks[0])]);
    assert_eq!(read(last.id.0, 10).await, []);
}

pub(crate) async fn deliveries_of_skipped_events_are_made_once_with_their_position(fixture: Fixture) {
    let store = &fixture.store;
    let hook = fixture.hook(fixture.project("p").await).await;
    let event = skip(&fixture, &[hook], SkipReason::SilentMode, at(1)).await;

    let chosen = Filter {
        skipped: Some(SkipReason::SilentMode.code()),
        text: None,
        ..filter()
    };
    let made = store
        .create_replay(
            NewReplay {
                filter: chosen,
                ..new(Scope::Instance, 50)
            },
            at(2),
        )
        .await
        .expect("made");
    let audience = FannedOut {
        deliver: vec![hook],
        ..FannedOut::default()
    };
    let step = Step {
        replay: made.id,
        from: made.cursor,
        to: DeliveryId(event.id.0),
        scanned: 1,
        selected: Vec::new(),
        made: vec![Later {
            event: event.clone(),
            audience,
        }],
        finished: false,
    };
    assert_eq!(store.advance_replay(step.clone(), at(3)).await.expect("advanced"), 1);
    assert_eq!(
        store.advance_replay(step.clone(), at(3)).await.expect("looked"),
        0,
        "another node was faster"
    );
    assert_eq!(store.list_skips(event.id).await.expect("listed"), []);

    let from = Step { from: step.to, ..step };
    assert_eq!(
        store.advance_replay(from, at(3)).await.expect("advanced"),
        0,
        "the delivery exists already"
    );

    let now = store
        .find_replay(made.id)
        .await
        .expect("read")
        .expect("the replay exists");
    assert_eq!(now.replayed, 1);
    let pending = Results {
        pending: 1,
        ..Results::default()
    };
    assert_eq!(store.replay_results(now).await.expect("counted"), pending);

    let claimed = fixture.claim(at(4)).await;
    assert_eq!(
        (claimed.len(), claimed[0].event.id, claimed[0].hook),
        (1, event.id, hook)
    );
}
