//! Health of hooks, driven by real attempts with a manual clock: the tables of both presets, and a receiver that is
//! down for a day.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use quickdraw_domain::health::{DisablePolicy, Status};
use quickdraw_domain::outcome::{Outcome, Unreachable};
use quickdraw_domain::request::Request;
use quickdraw_domain::retry::RetryPolicy;
use quickdraw_domain::scope::Scope;
use quickdraw_domain::settle::Policies;
use quickdraw_domain::{HookId, ProjectId, Timestamp, Trigger};
use quickdraw_engine::{Clock as _, Engine, Sent, Transport};

use crate::chance::{Dice, Manual};
use crate::database::{Database, Home, open};
use crate::parts::{engine, hook, project, push};

const FAILED: Outcome = Outcome::Failed {
    status: 503,
    retry_after: None,
};
const REJECTED: Outcome = Outcome::Rejected {
    status: 404,
    retry_after: None,
};
const DOWN: Outcome = Outcome::Unreachable(Unreachable::Connect);
const OK: Outcome = Outcome::Delivered { status: 200 };

/// A receiver with a scripted answer. It records its requests.
struct Receiver {
    answer: Mutex<Outcome>,
    accepted: Mutex<HashSet<String>>,
    requests: Mutex<usize>,
    open: Mutex<(usize, usize)>,
}

#[async_trait]
impl Transport for Receiver {
    async fn send(&self, request: Request, _now: Timestamp) -> Sent {
        let outcome = *self.answer.lock().expect("no panic");
        {
            let mut open = self.open.lock().expect("no panic");
            open.0 += 1;
            open.1 = open.1.max(open.0);
        }

        tokio::task::yield_now().await;
        self.open.lock().expect("no panic").0 -= 1;
        *self.requests.lock().expect("no panic") += 1;

        if outcome.is_delivered() {
            let key = request
                .headers
                .iter()
                .find(|(name, _)| *name == "Idempotency-Key")
                .expect("always sent");
            self.accepted.lock().expect("no panic").insert(key.1.clone());
        }

        Sent {
            outcome,
            address: None,
            phases: None,
            error: None,
            response_headers: None,
            response_body: None,
        }
    }
}

struct Scene {
    home: Home,
    clock: Arc<Manual>,
    receiver: Arc<Receiver>,
    engine: Arc<Engine>,
    project: ProjectId,
    hook: HookId,
}

impl Scene {
    async fn new(number: u64, database: &Database, retry: RetryPolicy, disable: DisablePolicy) -> Self {
        let dice = Dice(Arc::new(Mutex::new(number)));
        let clock = Manual::new(dice);

        let receiver = Arc::new(Receiver {
            answer: Mutex::new(OK),
            accepted: Mutex::default(),
            requests: Mutex::default(),
            open: Mutex::default(),
        });

        let home = Home::new(1_000_000 + number, database).await;
        let store = open(&home.url).await;
        let project = project(&store, clock.now()).await;
        let hook = hook(Scope::Project(project), &clock);
        let hook = store.create_hook(hook, 100).await.expect("made").hook.id;

        clock.advance(Duration::from_secs(1));

        let policies = Arc::new(Policies { retry, disable });
        let engine = engine(store, receiver.clone(), clock.clone(), policies).await;

        Self {
            home,
            clock,
            receiver,
            engine,
            project,
            hook,
        }
    }

    fn answer(&self, outcome: Outcome) {
        *self.receiver.answer.lock().expect("no panic") = outcome;
    }

    async fn report(&self) {
        push(&self.engine, self.project, None, b"{}").await;
    }

    /// Delivers all that can be delivered now, once. Returns the number of attempts.
    async fn deliver(&self) -> usize {
        self.engine.dispatcher.claim().await.expect("the store works");

        let ready = self.engine.dispatcher.ready();
        self.engine.dispatcher.give_back().await;

        let attempts = ready.into_iter().map(|claimed| async {
            let finished = self.engine.dispatcher.attempt(&claimed).await.expect("the hook exists");
            (claimed, finished)
        });
        let results = futures_util::future::join_all(attempts).await;
        let count = results.len();
        if count > 0 {
            self.engine.dispatcher.settle(results).await.expect("the store works");
        }

        count
    }

    async fn status(&self) -> (u32, Status) {
        let scope = Scope::Project(self.project);
        let found = self
            .engine
            .context
            .store()
            .find_hook(scope, self.hook)
            .await
            .expect("read")
            .expect("the hook exists");
        (found.health.recent_failures, found.health.status(self.clock.now()))
    }

    /// Fails one attempt as soon as the hook may be called. Returns the pause that follows, `None` if the hook is
    /// disabled for good.
    async fn fail(&self, outcome: Outcome) -> Option<Duration> {
        self.answer(outcome);
        self.report().await;
        assert_eq!(self.deliver().await, 1, "the hook is called now");

        let pause = match self.status().await.1 {
            Status::Executable => return Some(Duration::ZERO),
            Status::Disabled => None,
            Status::TemporarilyDisabled(until) => Some(until.since(self.clock.now())),
        };

        // Until the last second of the pause, no request is sent, even if events are reported.
        let before = *self.receiver.requests.lock().expect("no panic");
        self.report().await;

        let wait = pause.unwrap_or(Duration::from_secs(40 * 86_400));
        self.clock.advance(wait.saturating_sub(Duration::from_secs(1)));

        assert_eq!(
            (self.deliver().await, *self.receiver.requests.lock().expect("no panic")),
            (0, before)
        );

        self.clock.advance(Duration::from_secs(1));
        pause
    }

    async fn end(self) {
        self.engine.context.store().close().await;
        self.home.end().await;
    }
}

const fn minutes(n: u64) -> Option<Duration> {
    Some(Duration::from_secs(60 * n))
}

/// The tables of GitLab's documentation: its current rules and those that it has published.
pub(crate) async fn pauses_follow_the_tables_of_both_presets(database: Database) {
    let day = minutes(24 * 60);
    let doubling = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024].map(minutes);
    let scene = Scene::new(1, &database, RetryPolicy::gitlab(), DisablePolicy::Current).await;

    for number in 1..=40_usize {
        // In this preset, all kinds of failures count the same.
        let outcome = [FAILED, REJECTED, DOWN][number % 3];
        let expected = match number {
            1..=3 => minutes(0),
            4..=14 => doubling[number - 4],
            15..=39 => day,
            _ => None,
        };
        assert_eq!(scene.fail(outcome).await, expected, "failure {number}");
        assert_eq!(scene.status().await.0 as usize, number);
    }

    // The hook stays disabled until a test succeeds. A failed test changes nothing.
    let hook = scene
        .engine
        .context
        .store()
        .find_hook(Scope::Project(scene.project), scene.hook)
        .await
        .expect("read");
    let hook = hook.expect("the hook exists").hook;

    scene
        .engine
        .dispatcher
        .test(&hook, Trigger::PUSH, b"{}")
        .await
        .expect("the store works");

    assert_eq!(scene.status().await, (40, Status::Disabled));
    scene.answer(OK);

    scene
        .engine
        .dispatcher
        .test(&hook, Trigger::PUSH, b"{}")
        .await
        .expect("the store works");

    assert_eq!(scene.status().await, (0, Status::Executable));
    scene.end().await;

    let scene = Scene::new(2, &database, RetryPolicy::gitlab(), DisablePolicy::Published).await;
    for number in 1..=16_usize {
        let expected = match number {
            1..=3 => minutes(0),
            4..=14 => doubling[number - 4],
            _ => day,
        };

        assert_eq!(
            scene.fail(if number % 2 == 0 { FAILED } else { DOWN }).await,
            expected,
            "failure {number}"
        );
    }

    scene.answer(OK);
    assert!(scene.deliver().await > 0);

    assert_eq!(
        scene.status().await,
        (0, Status::Executable),
        "a success re-enables the hook"
    );

    while scene.deliver().await > 0 {}
    for number in 1..=4 {
        let expected = if number < 4 { minutes(0) } else { None };
        assert_eq!(scene.fail(REJECTED).await, expected, "4xx number {number}");
    }

    scene.end().await;
}

/// The events of a day without a receiver are held. They are delivered afterwards, at a slowly increasing rate.
pub(crate) async fn a_receiver_that_is_down_for_a_day_gets_everything(database: Database) {
    const MINUTES: u64 = 24 * 60;

    let scene = Scene::new(3, &database, RetryPolicy::standard(), DisablePolicy::Published).await;
    scene.answer(DOWN);

    for _ in 0..MINUTES {
        scene.report().await;
        scene.engine.journal.drop_held().await.expect("the store works");
        scene.deliver().await;
        scene.clock.advance(Duration::from_secs(60));
    }

    let asked = *scene.receiver.requests.lock().expect("no panic");
    assert!(asked <= 30, "{asked} requests in a day to an unreachable receiver");
    scene.answer(OK);
    *scene.receiver.open.lock().expect("no panic") = (0, 0);

    let mut rounds = Vec::new();

    // The next attempt may be a day away.
    for _ in 0..2 * MINUTES {
        let count = scene.deliver().await;
        if count > 0 {
            rounds.push(count);
        } else if scene.engine.context.store().backlog().await.expect("read").deliveries == 0 {
            break;
        } else {
            scene.clock.advance(Duration::from_secs(60));
        }
    }

    let accepted = scene.receiver.accepted.lock().expect("no panic").len();
    assert_eq!(accepted as u64, MINUTES, "no event is lost");

    let most = scene.receiver.open.lock().expect("no panic").1;
    // First one attempt, then two, then more as the share of the hook grows, but never more than its permits.
    assert_eq!(rounds[0], 1, "{rounds:?}");
    assert!(rounds[1] <= 3 && most <= 6, "at most {most} at once: {rounds:?}");

    println!(
        "held {MINUTES} events for a day with {asked} requests; then {} rounds, at most {most} at once",
        rounds.len()
    );

    scene.end().await;
}
