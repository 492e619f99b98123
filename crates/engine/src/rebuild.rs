//! Counting everything anew: to prove that order and repetition do not matter, to see what other definitions would change, and
//! to put that in place of what is counted. One at a time on each node; what is under way ends with the node, and harms nothing.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quickdraw_domain::insights::{Fact, facts};
use quickdraw_domain::{EventId, Timestamp};
use quickdraw_store::insights::Projects;
use quickdraw_store::rebuild::{Difference, Digests, Shadow};
use sha2::{Digest, Sha256};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use crate::belt::Belt;

/// Events that are read at once.
const PAGE: usize = 256;
/// Ids that are read at once.
const IDS: usize = 10_000;
/// One in so many events comes a second time.
const REPEATED: u8 = 5;
/// How often it waits for events that came meanwhile.
const ROUNDS: usize = 20;
const ROUND: Duration = Duration::from_millis(500);
/// Differences that are told.
const MOST_DIFFERENCES: usize = 1_000;

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Task {
    /// Count the journal in an order made of this number, with repetitions, and compare.
    Verify(u64),
    /// Count the journal anew, and compare.
    Compare,
    /// The same, and put it in place of what is counted.
    Replace,
    /// Count the journal once more on top of what is counted.
    Add,
}

/// How it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State {
    /// It goes on.
    Running,
    /// It came to its end.
    Ended,
    /// It did not: why.
    Failed(String),
}

/// How far it is, and what it found.
#[derive(Clone, Debug)]
pub struct Progress {
    /// What is done.
    pub task: Task,
    /// How it stands.
    pub state: State,
    /// How many events it looked at; those that come a second time too.
    pub done: usize,
    /// How many there are.
    pub total: usize,
    /// Events that cannot be read, which are left out.
    pub unreadable: usize,
    /// The first event of the journal: what was counted before it cannot be counted anew.
    pub journal_begins: Option<Timestamp>,
    /// How many rows are counted, by what they are; when that is known.
    pub rows: BTreeMap<&'static str, u64>,
    /// Where what is counted differs from that.
    pub differences: Vec<Difference>,
    /// How many there are in all.
    pub differing: usize,
    /// When it began, and when it ended.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// The one that is under way, or the last one.
#[derive(Default)]
pub(crate) struct Rebuilds {
    current: Mutex<Option<Progress>>,
    pub(crate) asked: Notify,
}

impl Rebuilds {
    fn lock(&self) -> MutexGuard<'_, Option<Progress>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, change: impl FnOnce(&mut Progress)) {
        if let Some(progress) = self.lock().as_mut() {
            change(progress);
        }
    }
}

impl Belt {
    /// Asks for a task; `false` where one is under way.
    pub fn ask_rebuild(&self, task: Task) -> bool {
        let mut current = self.rebuilds.lock();
        if current.as_ref().is_some_and(|progress| progress.state == State::Running) {
            return false;
        }
        *current = Some(Progress {
            task,
            state: State::Running,
            done: 0,
            total: 0,
            unreadable: 0,
            journal_begins: None,
            rows: BTreeMap::new(),
            differences: Vec::new(),
            differing: 0,
            started_at: self.clock.now(),
            ended_at: None,
        });
        self.rebuilds.asked.notify_one();
        true
    }

    /// The task under way on this node, or the last one.
    #[must_use]
    pub fn rebuild_progress(&self) -> Option<Progress> {
        self.rebuilds.lock().clone()
    }

    /// Does what was asked for.
    pub(crate) async fn rebuild(&self, stop: &watch::Receiver<bool>) -> anyhow::Result<()> {
        let task = match &*self.rebuilds.lock() {
            Some(Progress { task, state: State::Running, .. }) => *task,
            _ => return Ok(()),
        };
        let ended = crate::worker::unharmed(self.run_task(task, stop)).await;
        let now = self.clock.now();
        self.rebuilds.note(|progress| {
            progress.ended_at = Some(now);
            progress.state = match &ended {
                Ok(()) => State::Ended,
                Err(error) => State::Failed(format!("{error:#}")),
            };
        });
        // It is told to whoever asked; it is not tried again.
        if let Err(error) = ended {
            tracing::warn!("counting anew failed: {error:#}");
        }
        Ok(())
    }

    async fn run_task(&self, task: Task, stop: &watch::Receiver<bool>) -> anyhow::Result<()> {
        let mut last = EventId(Uuid::nil());
        let mut ids = self.ids_behind(&mut last).await?;
        let begins = match ids.first() {
            Some(first) => self.store.find_event(*first).await?.map(|(event, _)| event.received_at),
            None => None,
        };
        self.rebuilds.note(|progress| progress.journal_begins = begins);
        if task == Task::Add {
            self.rebuilds.note(|progress| progress.total = ids.len());
            for page in ids.chunks(PAGE) {
                go_on(stop)?;
                self.store.project_again(page.to_vec()).await?;
                self.rebuilds.note(|progress| progress.done += page.len());
            }
            return Ok(());
        }
        if task == Task::Replace {
            self.check_journal(begins).await?;
        }
        let shadow = self.store.shadow().await?;
        if let Task::Verify(seed) = task {
            ids = in_disorder(&ids, seed);
        }
        self.count(&shadow, &ids, stop).await?;
        // Whatever came meanwhile is counted too, until both sides have the same.
        for _ in 0..ROUNDS {
            let more = self.ids_behind(&mut last).await?;
            self.count(&shadow, &more, stop).await?;
            let waits = self.store.pending_projection(1).await?.len();
            let (live, anew) = (self.store.digests().await?, shadow.digests().await?);
            let differences = live.differences(&anew);
            self.note_differences(&live, &differences);
            if waits == 0 && more.is_empty() {
                break;
            }
            go_on(stop)?;
            tokio::time::sleep(ROUND).await;
        }
        if task == Task::Replace {
            self.store.swap_insights(&shadow).await?;
            // What came since then is counted once more.
            let more = self.ids_behind(&mut last).await?;
            self.store.project_again(more).await?;
        }
        Ok(())
    }

    /// What was counted from events that retention has deleted would be gone.
    async fn check_journal(&self, begins: Option<Timestamp>) -> anyhow::Result<()> {
        let counted = self.store.completeness(Projects::ALL, usize::MAX).await?;
        let since = counted.iter().map(|one| one.since).min();
        let is_older =
            since.zip(begins).is_some_and(|(since, begins)| since < begins) || (since.is_some() && begins.is_none());
        anyhow::ensure!(
            !is_older,
            "the journal begins at {}, and what is counted at {}: it would be lost. Count the journal on top of it instead (add)",
            begins.map_or_else(|| "no time".to_owned(), Timestamp::to_iso),
            since.map_or_else(String::new, Timestamp::to_iso),
        );
        Ok(())
    }

    fn note_differences(&self, live: &Digests, differences: &[Difference]) {
        self.rebuilds.note(|progress| {
            progress.rows = live.rows();
            progress.differing = differences.len();
            progress.differences = differences.iter().take(MOST_DIFFERENCES).cloned().collect();
        });
    }

    async fn ids_behind(&self, last: &mut EventId) -> anyhow::Result<Vec<EventId>> {
        let mut all = Vec::new();
        loop {
            let found = self.store.event_ids(*last, IDS).await?;
            *last = found.last().copied().unwrap_or(*last);
            let is_end = found.len() < IDS;
            all.extend(found);
            if is_end {
                return Ok(all);
            }
        }
    }

    async fn count(&self, shadow: &Shadow, ids: &[EventId], stop: &watch::Receiver<bool>) -> anyhow::Result<()> {
        self.rebuilds.note(|progress| progress.total += ids.len());
        for page in ids.chunks(PAGE) {
            go_on(stop)?;
            let (found, unreadable) = self.facts_of(page).await?;
            shadow.apply(found).await?;
            self.rebuilds.note(|progress| {
                progress.done += page.len();
                progress.unreadable += unreadable;
            });
        }
        Ok(())
    }

    /// What events say, in the order of their ids here; and how many of them cannot be read.
    async fn facts_of(&self, ids: &[EventId]) -> anyhow::Result<(Vec<Fact>, usize)> {
        let bodies = self.store.bodies(ids.to_vec()).await?;
        let by_id: BTreeMap<EventId, usize> =
            bodies.iter().enumerate().map(|(at, (event, _))| (event.id, at)).collect();
        let (mut all, mut unreadable) = (Vec::new(), 0);
        for (event, payload) in ids.iter().filter_map(|id| by_id.get(id)).map(|at| &bodies[*at]) {
            tokio::task::yield_now().await;
            let found = payload.unpack().ok().and_then(|body| facts(event.trigger, event.received_at, &body).ok());
            match found {
                Some(found) => all.extend(found),
                None => unreadable += 1,
            }
        }
        Ok((all, unreadable))
    }
}

/// An order that has nothing to do with time, and some of them twice.
fn in_disorder(ids: &[EventId], seed: u64) -> Vec<EventId> {
    let place = |id: EventId, again: u8| {
        let digest = Sha256::new().chain_update(seed.to_be_bytes()).chain_update(id.0).chain_update([again]).finalize();
        (digest, id)
    };
    let mut placed: Vec<_> = ids.iter().map(|id| place(*id, 0)).collect();
    let repeated: Vec<_> =
        placed.iter().filter(|(digest, _)| digest[0] % REPEATED == 0).map(|(_, id)| place(*id, 1)).collect();
    placed.extend(repeated);
    placed.sort_unstable();
    placed.into_iter().map(|(_, id)| id).collect()
}

fn go_on(stop: &watch::Receiver<bool>) -> anyhow::Result<()> {
    anyhow::ensure!(!*stop.borrow(), "the server was stopped");
    Ok(())
}
