//! Asking the filters of hooks about events, before anything is committed: never on a thread that commits or answers for others,
//! and never for longer than a budget of work allows. Whatever is cheap is asked at once; the rest takes turns on a thread of its
//! own, one hook of one event after the other, so that a costly filter makes nobody wait longer than for one turn.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use quickdraw_domain::audience::{Filtered, SkipReason, ask_filters};
use quickdraw_domain::hook::filter::Answer;
use quickdraw_domain::hook::{EventFilter, Hook, filter};
use quickdraw_domain::scope::Place;
use quickdraw_domain::work::Work;
use quickdraw_domain::{HookId, Trigger, tree};
use serde_json::Value;
use tokio::sync::{Mutex, Semaphore};

use crate::belt::Belt;
use crate::directory::Index;
use crate::telemetry;

/// Steps that all filters of an event may take at once, on the thread of its sender, and those of one hook of them.
const AT_ONCE: u64 = 100_000;
const AT_ONCE_FOR_ONE: u64 = 10_000;
/// Largest body that is taken apart there.
const SMALL_BODY: usize = 16 << 10;
/// Steps of one hook in a turn, and of all turns of an event. A hook that needs more gives up.
const TURN: u64 = 4_000_000;
const ALL_TURNS: u64 = 20_000_000;
/// Events whose bodies are taken apart at once for turns.
const TREES: usize = 4;
/// Projects and groups share this many places in the queue for a turn.
const QUEUES: usize = 64;

/// What the filters of hooks say of an event.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Judged {
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
                    metrics::counter!(telemetry::FILTERS_GAVE_UP).increment(1);
                }
                self.stopped.push((hook, reason));
            }
        }
    }
}

/// The turns of costly filters.
pub(crate) struct Turns {
    turn: Semaphore,
    trees: Semaphore,
    queues: Vec<Mutex<()>>,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            turn: Semaphore::new(1),
            trees: Semaphore::new(TREES),
            queues: std::iter::repeat_with(Mutex::default).take(QUEUES).collect(),
        }
    }
}

impl Turns {
    /// Waits for a turn, and works on a thread where nobody else waits. `None` while the runtime ends.
    async fn take<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        // Never closed, and fair: whoever waits longest is next.
        let _turn = self.turn.acquire().await.ok()?;
        tokio::task::spawn_blocking(work).await.ok()
    }

    /// A place in the queue. Those of one place wait for one another here, and not in front of all others.
    async fn queue(&self, of: impl Hash) -> tokio::sync::MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        of.hash(&mut hasher);
        let queue = usize::try_from(hasher.finish() % QUEUES as u64).unwrap_or(0);
        self.queues[queue].lock().await
    }
}

/// A body as a tree, if it is no larger than filters look into.
fn take_apart(body: &[u8]) -> Option<Value> {
    (body.len() <= filter::LARGEST_BODY).then(|| tree::read(body, tree::BUDGET).ok()).flatten()
}

impl Belt {
    /// Asks the filters of all hooks that hear of an event.
    pub(crate) async fn judge(
        &self,
        index: &Index,
        (place, trigger): (Place, Trigger),
        branch: Option<&str>,
        body: &[u8],
    ) -> Judged {
        let hooks = index.with_filters(place, trigger, branch.is_some());
        let mut judged = Judged::default();
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
                if work.left() == 0 { costly.push(hook) } else { judged.add(hook.id, filtered) }
            }
        }
        if !costly.is_empty() {
            self.judge_in_turns((place, trigger), branch, body, (costly, look_inside), &mut judged).await;
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
        let _queue = self.turns.queue(place).await;
        let _tree = if look_inside { self.turns.trees.acquire().await.ok() } else { None };
        let tree = match look_inside {
            true => {
                let body = body.to_vec();
                self.turns.take(move || take_apart(&body)).await.flatten()
            }
            false => None,
        };
        let (tree, branch) = (Arc::new(tree), branch.map(Arc::<str>::from));
        let mut left = ALL_TURNS;
        let mut waiting = hooks;
        // Cheap ones first: a filter that uses up its turn must not cost others theirs.
        for steps in [TURN / 20, TURN] {
            let mut costly = Vec::new();
            for hook in waiting {
                let (asked, tree, branch) = (Arc::clone(&hook), Arc::clone(&tree), branch.clone());
                let mut work = Work::new(left.min(steps));
                let answer = self.turns.take(move || {
                    let filtered = ask_filters(&asked, trigger, branch.as_deref(), (*tree).as_ref(), &mut work);
                    (filtered, work)
                });
                // Nothing is decided for a hook while the runtime ends: its event is not committed either.
                let Some((filtered, work)) = answer.await else { return };
                left -= work.taken();
                if work.left() == 0 && steps < TURN { costly.push(hook) } else { judged.add(hook.id, filtered) }
            }
            waiting = costly;
        }
    }

    /// Asks one filter about a body in a turn, with what is left of some work. `None` if that was not enough, or nothing can be
    /// looked into.
    pub async fn ask_filter(
        &self,
        asker: i64,
        filter: &EventFilter,
        body: impl AsRef<[u8]> + Send + 'static,
        work: &mut Work,
    ) -> Option<Answer> {
        let _queue = self.turns.queue(asker).await;
        let _tree = self.turns.trees.acquire().await.ok()?;
        let filter = filter.clone();
        let mut one = Work::new(work.left().min(TURN));
        let answer = self.turns.take(move || {
            let answer = take_apart(body.as_ref()).and_then(|body| filter.judge(&body, &mut one).ok());
            (answer, one.taken())
        });
        let (answer, taken) = answer.await?;
        let _ = work.spend(usize::try_from(taken).unwrap_or(usize::MAX));
        answer
    }
}
