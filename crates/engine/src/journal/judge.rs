//! Asking the filters of hooks about events, before the commit: never on a thread that commits or answers other
//! requests, and never beyond a budget of work. Cheap filters are asked at once. Costly filters take turns on threads
//! of their own, one hook of one event after the other: short turns in a quick lane first, longer turns in a slow lane,
//! so that a costly filter makes no cheap filter wait. People who try a filter or follow the journal have a lane of
//! their own.

use std::collections::HashMap;
use std::sync::Arc;

use quickdraw_domain::audience::{Filtered, SkipReason, ask_filters};
use quickdraw_domain::event::Event;
use quickdraw_domain::hook::filter::Answer;
use quickdraw_domain::hook::{EventFilter, Hook, filter};
use quickdraw_domain::scope::Place;
use quickdraw_domain::work::Work;
use quickdraw_domain::{HookId, Trigger, tree};
use serde_json::Value;
use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore};

use super::Journal;
use crate::directory::Index;
use crate::telemetry;

/// Steps that all filters of an event may take at once, on the thread of its sender, and those of one hook of them.
const AT_ONCE: u64 = 100_000;
const AT_ONCE_FOR_ONE: u64 = 10_000;
/// Largest body that is taken apart there.
const SMALL_BODY: usize = 16 << 10;
/// Steps of one hook in a turn of the quick lane, and in the turns of the slow one, where cheaper ones come first; and
/// of all turns of an event. A hook that needs more gives up.
const QUICK: [u64; 1] = [TURN / 100];
const SLOW: [u64; 2] = [TURN / 20, TURN];
const TURN: u64 = 4_000_000;
const ALL_TURNS: u64 = 20_000_000;
/// Bodies that are taken apart at once in each of the lanes for events.
const QUICK_TREES: usize = 3;
const SLOW_TREES: usize = 2;
/// With more queues than that, empty ones are forgotten. There are never more queues than requests under way.
const MANY_QUEUES: usize = 64;

/// The answers of hooks' filters about an event.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Judged {
    /// Hooks whose filters were asked.
    pub(crate) asked: Vec<HookId>,

    /// Hooks that do not get it.
    pub(crate) stopped: Vec<(HookId, SkipReason)>,

    /// Hooks that get it because the push does not list the commits that they ask for.
    pub(crate) unlisted: Vec<HookId>,
}

impl Judged {
    fn add(&mut self, hook: HookId, filtered: Filtered) {
        match filtered {
            Filtered::Passes => {}
            Filtered::PassesUnlisted => self.unlisted.push(hook),
            Filtered::Stopped(reason) => {
                if matches!(reason, SkipReason::BranchFilterGaveUp | SkipReason::EventFilterGaveUp) {
                    metrics::counter!(telemetry::FILTERS_OVER_BUDGET).increment(1);
                }

                self.stopped.push((hook, reason));
            }
        }
    }
}

/// Those who wait for turns one after the other.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Asker {
    /// Events of a project, of a group or of the instance.
    Place(Place),

    /// A user who tries a filter or follows the journal.
    User(i64),
}

/// A thread on which one works after the other.
struct Lane {
    turn: Arc<Semaphore>,

    /// Room for bodies that are taken apart and stay so from one turn to the next.
    trees: Semaphore,
}

impl Lane {
    fn new(trees: usize) -> Self {
        Self {
            turn: Arc::new(Semaphore::new(1)),
            trees: Semaphore::new(trees),
        }
    }

    /// Waits for a turn, and works on a thread where no other task waits. `None` while the runtime ends.
    async fn take<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        // Never closed, and fair: the longest waiter is next.
        let turn = Arc::clone(&self.turn).acquire_owned().await.ok()?;
        let in_turn = move || {
            // The turn ends with the work, also when the caller has gone.
            let _turn = turn;
            work()
        };
        tokio::task::spawn_blocking(in_turn).await.ok()
    }
}

/// The turns of costly filters.
pub(crate) struct Turns {
    quick: Lane,
    slow: Lane,
    people: Lane,
    queues: parking_lot::Mutex<HashMap<Asker, Arc<Mutex<()>>>>,
}

impl Default for Turns {
    fn default() -> Self {
        // People's bodies are taken apart and asked in one turn: only one is there.
        let (quick, slow, people) = (Lane::new(QUICK_TREES), Lane::new(SLOW_TREES), Lane::new(1));
        Self {
            quick,
            slow,
            people,
            queues: parking_lot::Mutex::default(),
        }
    }
}

impl Turns {
    /// A place in the queue. Events of one place wait for one another here, and not in front of all others.
    async fn queue(&self, asker: Asker) -> OwnedMutexGuard<()> {
        let queue = {
            let mut queues = self.queues.lock();
            if queues.len() >= MANY_QUEUES {
                // A task that holds a queue or waits in it has a share of it.
                queues.retain(|_, queue| Arc::strong_count(queue) > 1);
            }

            Arc::clone(queues.entry(asker).or_default())
        };
        queue.lock_owned().await
    }
}

/// A body as a tree, if it is no larger than filters look into.
fn take_apart(body: &[u8]) -> Option<Value> {
    (body.len() <= filter::LARGEST_BODY)
        .then(|| tree::read(body, tree::BUDGET).ok())
        .flatten()
}

impl Turns {
    /// Asks the filters of all hooks that subscribe to an event.
    pub(super) async fn judge(
        &self,
        index: &Index,
        (place, trigger): (Place, Trigger),
        branch: Option<&str>,
        body: &[u8],
    ) -> Judged {
        let mut hooks = index.with_filters(place, trigger, branch.is_some());
        // Hooks of the instance first, then those of groups from the top down: they share one budget of work, and hooks
        // of a project must not use up the work of hooks that only a higher role can change.
        hooks.reverse();

        let mut judged = Judged {
            asked: hooks.iter().map(|hook| hook.id).collect(),
            ..Judged::default()
        };
        if hooks.is_empty() {
            return judged;
        }

        let look_inside = hooks.iter().any(|hook| hook.event_filter.is_some());
        let mut costly = Vec::new();

        if look_inside && body.len() > SMALL_BODY {
            costly = hooks;
        } else {
            let tree = look_inside.then(|| take_apart(body)).flatten();
            let mut left = AT_ONCE;

            for hook in hooks {
                let mut work = Work::new(left.min(AT_ONCE_FOR_ONE));
                let filtered = ask_filters(&hook, trigger, branch, tree.as_ref(), &mut work);
                left -= work.taken();

                if work.left() == 0 {
                    costly.push(hook)
                } else {
                    judged.add(hook.id, filtered)
                }
            }
        }

        if !costly.is_empty() {
            self.judge_in_turns((place, trigger), branch, body, (costly, look_inside), &mut judged)
                .await;
        }

        judged
    }

    async fn judge_in_turns(
        &self,
        (place, trigger): (Place, Trigger),
        branch: Option<&str>,
        body: &[u8],
        (hooks, look_inside): (Vec<Arc<Hook>>, bool),
        judged: &mut Judged,
    ) {
        let _queue = self.queue(Asker::Place(place)).await;
        let branch = branch.map(Arc::<str>::from);
        let mut left = ALL_TURNS;
        let mut waiting = hooks;

        for (lane, turns) in [(&self.quick, &QUICK[..]), (&self.slow, &SLOW[..])] {
            if waiting.is_empty() {
                return;
            }

            // The body is read again in each lane: an event that waits in the slow lane must not keep a tree of the
            // quick lane.
            let _room = if look_inside {
                lane.trees.acquire().await.ok()
            } else {
                None
            };

            let tree = match look_inside {
                true => {
                    let body = body.to_vec();
                    lane.take(move || take_apart(&body)).await.flatten()
                }
                false => None,
            };
            let tree = Arc::new(tree);

            // Cheap ones first: a filter that uses up its turn must not cost others theirs.
            for steps in turns {
                let mut costly = Vec::new();
                for hook in waiting {
                    let (asked, tree, branch) = (Arc::clone(&hook), Arc::clone(&tree), branch.clone());
                    let mut work = Work::new(left.min(*steps));
                    let answer = lane.take(move || {
                        let filtered = ask_filters(&asked, trigger, branch.as_deref(), (*tree).as_ref(), &mut work);
                        (filtered, work)
                    });
                    // Nothing is decided for a hook while the runtime ends: its event is not committed either.
                    let Some((filtered, work)) = answer.await else { return };

                    left -= work.taken();
                    if work.left() == 0 && *steps < TURN {
                        costly.push(hook)
                    } else {
                        judged.add(hook.id, filtered)
                    }
                }

                waiting = costly;
            }
        }
    }

    /// Asks the filters of one hook about an event in a turn, with what is left of some work. `None` while the runtime
    /// ends.
    pub(super) async fn ask_hook(
        &self,
        asker: i64,
        hook: &Arc<Hook>,
        event: &Event,
        body: Option<impl AsRef<[u8]> + Send + 'static>,
        work: &mut Work,
    ) -> Option<Filtered> {
        let _queue = self.queue(Asker::User(asker)).await;
        let (hook, trigger) = (Arc::clone(hook), event.trigger);
        let branch = event.branch().map(str::to_owned);
        let parsed = body.as_ref().map_or(0, |body| body.as_ref().len());
        let mut one = Work::new(work.left().min(TURN));

        let answer = self.people.take(move || {
            let tree = body.and_then(|body| take_apart(body.as_ref()));
            let filtered = ask_filters(&hook, trigger, branch.as_deref(), tree.as_ref(), &mut one);
            (filtered, one.taken())
        });
        let (filtered, taken) = answer.await?;

        // Reading a byte takes about as long as a step.
        let _ = work.spend(usize::try_from(taken).unwrap_or(usize::MAX).saturating_add(parsed));
        Some(filtered)
    }

    /// Asks one filter about a body in a turn, with what is left of some work. `None` if that was not enough.
    async fn ask_filter(
        &self,
        asker: i64,
        filter: &EventFilter,
        body: impl AsRef<[u8]> + Send + 'static,
        work: &mut Work,
    ) -> Option<Answer> {
        let _queue = self.queue(Asker::User(asker)).await;
        let (filter, parsed) = (filter.clone(), body.as_ref().len());
        let mut one = Work::new(work.left().min(TURN));

        let answer = self.people.take(move || {
            // A body that cannot be looked into passes, as for hooks.
            let answer = match take_apart(body.as_ref()) {
                Some(body) => filter.judge(&body, &mut one).ok(),
                None => Some(Answer::Passes),
            };
            (answer, one.taken())
        });
        let (answer, taken) = answer.await?;

        // Reading a byte takes about as long as a step.
        let _ = work.spend(usize::try_from(taken).unwrap_or(usize::MAX).saturating_add(parsed));
        answer
    }
}

impl Journal {
    /// Asks one filter about a body in a turn, with the rest of a budget of work. `None` if that was not enough.
    pub async fn ask_filter(
        &self,
        asker: i64,
        filter: &EventFilter,
        body: impl AsRef<[u8]> + Send + 'static,
        work: &mut Work,
    ) -> Option<Answer> {
        self.turns.ask_filter(asker, filter, body, work).await
    }
}
