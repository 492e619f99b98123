//! The world: the possible steps. The invariants are in `checks`.

mod checks;
mod receivers;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quickdraw_domain::health::DisablePolicy;
use quickdraw_domain::hook::Hook;
use quickdraw_domain::retry::RetryPolicy;
use quickdraw_domain::scope::Scope;
use quickdraw_domain::settle::Policies;
use quickdraw_domain::{EventId, HookId, ProjectId, Timestamp};
use quickdraw_engine::{Clock as _, Engine};
use quickdraw_store::events::Appended;

use self::receivers::{Receivers, Seen};
use crate::chance::{BEGINNING, Dice, Manual};
use crate::database::{Database, Home, open};
use crate::parts::{engine, hook, project, push};

#[derive(Default, Debug)]
pub(crate) struct Figures {
    pub(crate) events: usize,
    pub(crate) duplicates: usize,
    pub(crate) deliveries: usize,
    pub(crate) failures: usize,
    pub(crate) crashes: usize,
    pub(crate) unknown: usize,
    pub(crate) given_up: usize,
    pub(crate) lines: usize,

    /// Hours of simulated faults.
    pub(crate) hours: f64,
}

impl Figures {
    pub(crate) fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.duplicates += other.duplicates;
        self.deliveries += other.deliveries;
        self.failures += other.failures;
        self.crashes += other.crashes;
        self.unknown += other.unknown;
        self.given_up += other.given_up;
        self.lines += other.lines;
        self.hours += other.hours;
    }
}

/// An acknowledged event. `hooks` existed at its receipt, and must get it; `perhaps` may get it.
struct Acknowledged {
    event: EventId,
    hooks: Vec<HookId>,
    perhaps: Vec<HookId>,
    sha: String,
}

pub(crate) struct World {
    seed: u64,
    dice: Dice,
    clock: Arc<Manual>,
    receivers: Arc<Receivers>,
    seen: Arc<Mutex<Seen>>,
    calm: Arc<Mutex<bool>>,
    home: Home,
    policies: Arc<Policies>,
    engine: Arc<Engine>,
    project: ProjectId,
    hooks: Vec<HookId>,
    made_at: HashMap<HookId, Timestamp>,
    deleted: HashSet<HookId>,
    ledger: Vec<Acknowledged>,
    began: Timestamp,
    figures: Figures,
}

impl World {
    pub(crate) async fn new(seed: u64, database: &Database) -> Self {
        let dice = Dice(Arc::new(Mutex::new(seed)));
        let clock = Manual::new(dice.clone());
        let (seen, calm) = (Arc::new(Mutex::new(Seen::default())), Arc::new(Mutex::new(false)));

        let receivers = Arc::new(Receivers {
            seen: seen.clone(),
            dice: dice.clone(),
            calm: calm.clone(),
        });

        let disable = [DisablePolicy::Published, DisablePolicy::Current, DisablePolicy::Off];
        let policies = Arc::new(Policies {
            retry: RetryPolicy::standard(),
            disable: disable[usize::try_from(dice.below(3)).expect("small")],
        });

        let home = Home::new(seed, database).await;
        let store = open(&home.url).await;
        let project = project(&store, clock.now()).await;
        let engine = engine(store, receivers.clone(), clock.clone(), policies.clone()).await;

        let mut world = Self {
            seed,
            dice,
            clock,
            receivers,
            seen,
            calm,
            home,
            policies,
            engine,
            project,
            hooks: Vec::new(),
            made_at: HashMap::new(),
            deleted: HashSet::new(),
            ledger: Vec::new(),
            began: BEGINNING,
            figures: Figures::default(),
        };
        world.make_hook().await;
        world
    }

    pub(crate) fn rounds(&self) -> u64 {
        100 + self.dice.below(150)
    }

    pub(crate) const fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Performs one random step.
    pub(crate) async fn act(&mut self) {
        match self.dice.below(100) {
            0..30 => self.report_event().await,
            30..45 => drop(self.engine.journal.fan_out().await.expect("the store works")),
            45..75 => self.deliver().await,
            75..82 => drop(self.engine.insights.project().await.expect("the store works")),
            82..86 => drop(self.engine.journal.expire_leases().await.expect("the store works")),
            86..92 => self.clock.advance(Duration::from_secs(self.dice.below(90))),
            92 => self.clock.jump_back(Duration::from_secs(self.dice.below(40))),
            93..95 => self.make_hook().await,
            95 => self.delete_hook().await,
            96 => {
                // The process pauses for some hours.
                let hours = Duration::from_secs(self.dice.below(4 * 3600));
                self.clock.advance(hours);
                self.engine.journal.drop_held().await.expect("the store works");
            }
            _ => self.crash().await,
        }
    }

    async fn report_event(&mut self) {
        let number = self.ledger.len();
        // Sometimes a sender repeats a report, because it did not see the answer.
        let repeated = number > 0 && self.dice.one_in(8);

        let number = if repeated {
            usize::try_from(self.dice.below(number as u64)).expect("small")
        } else {
            number
        };
        let sha = format!("sha-{number}");
        let branch = number % 3;
        let body = format!(
            r#"{{"object_kind":"push","ref":"refs/heads/{branch}","number":{number},"project":{{"id":1}},
                "commits":[{{"id":"{sha}"}}]}}"#
        );

        match push(
            &self.engine,
            self.project,
            Some(format!("key-{number}")),
            body.as_bytes(),
        )
        .await
        {
            Appended::Duplicate(event) => {
                assert!(repeated, "seed {}: a new key was recognised as a duplicate", self.seed);
                assert_eq!(event, self.ledger[number].event, "seed {}", self.seed);
                self.figures.duplicates += 1;
            }
            Appended::New { id: event, .. } => {
                assert!(!repeated, "seed {}: a repeated key created a second event", self.seed);

                // After the clock was set back, a hook may be newer than the event. Then both results are allowed.
                let (stored, _) = self
                    .engine
                    .context
                    .store()
                    .find_event(event)
                    .await
                    .expect("read")
                    .expect("the event exists");

                let is_older = |hook: &HookId| self.made_at[hook] <= stored.received_at;
                let (hooks, perhaps) = self.hooks.iter().copied().partition(is_older);

                self.ledger.push(Acknowledged {
                    event,
                    hooks,
                    perhaps,
                    sha,
                });
            }
        }
    }

    /// Claims, attempts some deliveries at the same time, and settles them. A crash can happen between any two of these
    /// steps.
    async fn deliver(&mut self) {
        self.engine.dispatcher.claim().await.expect("the store works");

        let claimed = self.engine.dispatcher.ready();
        self.engine.dispatcher.give_back().await;

        if self.dice.one_in(25) {
            return self.crash().await;
        }

        let attempts = claimed.into_iter().map(|claimed| async {
            let finished = self.engine.dispatcher.attempt(&claimed).await;
            if finished.is_none() {
                self.engine.dispatcher.abandon(&claimed).await;
            }

            (claimed, finished)
        });
        let results = futures_util::future::join_all(attempts).await;

        if self.dice.one_in(25) {
            return self.crash().await;
        }

        let results: Vec<_> = results
            .into_iter()
            .filter_map(|(claimed, finished)| Some((claimed, finished?)))
            .collect();

        // Results may be settled in several batches, and some time after the attempts.
        let (early, late) =
            results.split_at(usize::try_from(self.dice.below(results.len() as u64 + 1)).expect("small"));
        self.engine
            .dispatcher
            .settle(early.to_vec())
            .await
            .expect("the store works");

        if self.dice.one_in(25) {
            return self.crash().await;
        }

        if self.dice.one_in(15) {
            // A worker pauses for longer than its lease, so its results must be refused.
            self.clock.advance(Duration::from_secs(60));
            self.engine.journal.expire_leases().await.expect("the store works");
        }

        self.engine
            .dispatcher
            .settle(late.to_vec())
            .await
            .expect("the store works");
    }

    async fn make_hook(&mut self) {
        if self.hooks.len() > 5 {
            return;
        }

        // The times before and after the creation must differ.
        self.clock.advance(Duration::from_millis(1));

        let now = self.clock.now();
        let scope = if self.dice.one_in(4) {
            Scope::Instance
        } else {
            Scope::Project(self.project)
        };
        let hook = Hook {
            ordered: self.dice.one_in(2),
            ..hook(scope, &self.clock)
        };

        if hook.ordered {
            self.seen
                .lock()
                .expect("no panic")
                .ordered
                .insert(hook.uuid.to_string());
        }

        let ordered = hook.ordered;

        // The API refreshes the directory, but the invariants must also hold without that. Order holds from the moment
        // when the node knows the hook.
        let made = self
            .engine
            .context
            .store()
            .create_hook(hook, 100)
            .await
            .expect("the store works");

        if ordered || self.dice.one_in(2) {
            self.engine.context.refresh_directory().await.expect("the store works");
        }

        self.hooks.push(made.hook.id);
        self.made_at.insert(made.hook.id, now);
    }

    async fn delete_hook(&mut self) {
        if self.hooks.len() < 2 {
            return;
        }

        let at = usize::try_from(self.dice.below(self.hooks.len() as u64)).expect("small");
        let hook = self.hooks.remove(at);
        let project = Scope::Project(self.project);
        let store = self.engine.context.store();

        let gone = store.delete_hook(project, hook, None).await.expect("the store works")
            || store
                .delete_hook(Scope::Instance, hook, None)
                .await
                .expect("the store works");
        assert!(gone);
        self.deleted.insert(hook);
    }

    /// The process dies. Data in memory is lost, and the database stays.
    async fn crash(&mut self) {
        self.engine.context.store().close().await;
        self.figures.crashes += 1;
        self.seen.lock().expect("no panic").open.clear();

        let store = open(&self.home.url).await;
        let engine = engine(store, self.receivers.clone(), self.clock.clone(), self.policies.clone()).await;
        self.engine = engine;
        self.clock.advance(Duration::from_secs(self.dice.below(40)));
    }

    /// The faults stop. From here, all work must end without further help.
    pub(crate) async fn calm_down(&mut self) {
        self.figures.hours += self.clock.now().since(self.began).as_secs_f64() / 3600.0;
        *self.calm.lock().expect("no panic") = true;

        for _ in 0..4000 {
            while self.engine.journal.fan_out().await.expect("the store works") > 0 {}
            while self.engine.insights.project().await.expect("the store works") > 0 {}
            self.engine.journal.expire_leases().await.expect("the store works");
            self.engine.context.refresh_directory().await.expect("the store works");

            self.engine
                .context
                .store()
                .cancel_orphans(self.clock.now(), 1000)
                .await
                .expect("the store works");

            self.engine.dispatcher.claim().await.expect("the store works");
            self.engine.dispatcher.give_back().await;

            for claimed in self.engine.dispatcher.ready() {
                match self.engine.dispatcher.attempt(&claimed).await {
                    Some(finished) => {
                        self.engine
                            .dispatcher
                            .settle(vec![(claimed, finished)])
                            .await
                            .expect("the store works");
                    }
                    None => self.engine.dispatcher.abandon(&claimed).await,
                }
            }

            if self
                .engine
                .context
                .store()
                .backlog()
                .await
                .expect("the store works")
                .deliveries
                == 0
            {
                return;
            }

            self.clock.advance(Duration::from_secs(60));
        }

        let store = self.engine.context.store();
        let owed = store
            .list_deliveries(quickdraw_store::deliveries::DeliveryFilter {
                limit: 1000,
                ..Default::default()
            })
            .await
            .expect("read");
        let owed: Vec<_> = owed.rows.into_iter().filter(|one| one.state.is_owed()).collect();

        panic!(
            "seed {}: there is still work at {:?}: {owed:?}, {:?}",
            self.seed,
            self.clock.now(),
            store.failing_hooks().await
        );
    }

    pub(crate) async fn end(self) {
        self.engine.context.store().close().await;
        self.home.end().await;
    }
}
