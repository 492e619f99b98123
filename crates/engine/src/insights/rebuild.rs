//! Rebuilding insights from the journal: to verify that order and repetition do not matter, to compare definitions, and
//! to replace the stored facts. Each node runs one task at a time; a task that ends with its node does no harm.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use parking_lot::Mutex;
use quickdraw_domain::event::Event;
use quickdraw_domain::{EventId, Timestamp};
use quickdraw_insights::backfill::facts_of;
use quickdraw_insights::branch_numbers::BranchNumbers;
use quickdraw_store::Packed;
use quickdraw_store::insights::Projects;
use quickdraw_store::rebuild::{Difference, Digests, Shadow};
use sha2::{Digest, Sha256};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::Insights;
use super::projection::{LARGE, PIECE};
use crate::workers;

/// Events that are read at once.
const PAGE: usize = 256;
/// Ids that are read at once.
const IDS: usize = 10_000;
/// One in so many events comes a second time.
const REPEATED: u8 = 5;
/// How often it waits for events that came meanwhile.
const ROUNDS: usize = 120;
const ROUND: Duration = Duration::from_millis(500);
/// How much later than later ones an event can be committed.
const LATE: Duration = Duration::from_secs(600);
/// Maximum number of differences that are listed.
const MAX_DIFFERENCES: usize = 1_000;

/// The task of a rebuild.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Task {
    /// Count the journal in an order made of this number, with repetitions, and compare; and again with other times of
    /// receipt.
    Verify(u64),

    /// Count the journal again, and compare.
    Compare,

    /// Count the journal again, and replace the stored facts. Facts that would be lost make it fail, unless it is
    /// forced.
    Replace {
        /// Replace the facts even if some would be lost.
        force: bool,
    },

    /// Count the journal again on top of the stored facts.
    Add,
}

/// The state of a task.
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
    /// The task.
    pub task: Task,

    /// Its state.
    pub state: State,

    /// How many events it looked at, each once.
    pub done: usize,

    /// How many there are.
    pub total: usize,

    /// How often it looked at one of them once more, which must not matter.
    pub repeated: usize,

    /// Events that cannot be read, which are left out.
    pub unreadable: usize,

    /// The first event of the journal: older facts cannot be counted again.
    pub journal_starts: Option<Timestamp>,

    /// How many rows are counted, by what they are; when that is known.
    pub rows: BTreeMap<&'static str, u64>,

    /// The differences between the stored facts and the journal.
    pub differences: Vec<Difference>,

    /// How many there are in all.
    pub difference_count: usize,

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
    fn note(&self, change: impl FnOnce(&mut Progress)) {
        if let Some(progress) = self.current.lock().as_mut() {
            change(progress);
        }
    }
}

impl Insights {
    /// Asks for a task; `false` where one is under way.
    pub fn ask_rebuild(&self, task: Task) -> bool {
        let mut current = self.rebuilds.current.lock();
        if current
            .as_ref()
            .is_some_and(|progress| progress.state == State::Running)
        {
            return false;
        }

        *current = Some(Progress {
            task,
            state: State::Running,
            done: 0,
            total: 0,
            repeated: 0,
            unreadable: 0,
            journal_starts: None,
            rows: BTreeMap::new(),
            differences: Vec::new(),
            difference_count: 0,
            started_at: self.context.clock.now(),
            ended_at: None,
        });

        self.rebuilds.asked.notify_one();
        true
    }

    /// The task under way on this node, or the last one.
    #[must_use]
    pub fn rebuild_progress(&self) -> Option<Progress> {
        self.rebuilds.current.lock().clone()
    }

    /// Runs the task that was asked for.
    pub(crate) async fn rebuild(&self, stop: &watch::Receiver<bool>) -> anyhow::Result<()> {
        let task = match &*self.rebuilds.current.lock() {
            Some(Progress {
                task,
                state: State::Running,
                ..
            }) => *task,
            _ => return Ok(()),
        };

        let mut rebuild = Rebuild {
            insights: self,
            stop,
            seen: Seen::default(),
        };
        let ended = workers::unharmed(rebuild.run(task)).await;
        let now = self.context.clock.now();

        self.rebuilds.note(|progress| {
            progress.ended_at = Some(now);
            progress.state = match &ended {
                Ok(()) => State::Ended,
                Err(error) => State::Failed(format!("{error:#}")),
            };
        });

        // The progress shows the error; the task is not tried again.
        if let Err(error) = ended {
            tracing::warn!("failed to count insights again: {error:#}");
        }

        Ok(())
    }
}

/// A task under way.
struct Rebuild<'a> {
    insights: &'a Insights,
    stop: &'a watch::Receiver<bool>,
    seen: Seen,
}

impl Rebuild<'_> {
    /// Fails when the server was stopped.
    fn go_on(&self) -> anyhow::Result<()> {
        anyhow::ensure!(!*self.stop.borrow(), "the server was stopped");
        Ok(())
    }

    async fn run(&mut self, task: Task) -> anyhow::Result<()> {
        let ids = self.read_new_events().await?;
        let begins = match ids.first() {
            Some(first) => self
                .insights
                .context
                .store
                .find_event(*first)
                .await?
                .map(|(event, _)| event.received_at),
            None => None,
        };
        self.insights.rebuilds.note(|progress| progress.journal_starts = begins);

        if task == Task::Add {
            self.insights.rebuilds.note(|progress| progress.total = ids.len());
            for page in ids.chunks(PAGE) {
                self.go_on()?;
                self.insights.context.store.project_again(page.to_vec()).await?;
                self.insights.rebuilds.note(|progress| progress.done += page.len());
            }

            return Ok(());
        }

        let (shadow, privacy) = (
            self.insights.context.store.shadow().await?,
            self.insights.privacy().await?,
        );

        let ids = if let Task::Verify(seed) = task {
            in_disorder(&ids, seed)
        } else {
            ids
        };
        self.count(&*shadow, &ids, Receipts::Kept).await?;

        let differences = self.compare(&*shadow).await?;

        // One side knows people whom the other has forgotten.
        anyhow::ensure!(
            self.insights.privacy().await? == privacy,
            "what is decided about privacy changed meanwhile: try again"
        );

        if let Task::Verify(seed) = task {
            return self.verify_receipts(shadow, seed).await;
        }

        if let Task::Replace { force } = task {
            let lost: u64 = differences
                .iter()
                .map(|one| one.stored.saturating_sub(one.rebuilt))
                .sum();

            let counted = self
                .insights
                .context
                .store
                .completeness(Projects::ALL, usize::MAX)
                .await?;
            let since = counted.iter().map(|one| one.since).min();
            let begins_late = since.is_some_and(|since| begins.is_none_or(|begins| since < begins));

            anyhow::ensure!(
                (lost == 0 && !begins_late) || force,
                "{lost} rows that are counted would be gone, or what is known of others: retention has deleted their events, or definitions changed. Count \
                 the journal on top of what is counted instead (add), or force it"
            );

            self.swap(&*shadow).await?;
            self.insights.write_definitions(true).await?;
        }

        Ok(())
    }

    /// Counts the same events again as if they had been received at other times, and notes differences of numbers that
    /// must not depend on that.
    async fn verify_receipts(&self, shadow: Box<dyn Shadow>, seed: u64) -> anyhow::Result<()> {
        let kept = shadow.branch_numbers().await?;
        // The next one takes its place.
        drop(shadow);

        let shadow = self.insights.context.store.shadow().await?;
        let mut ids: Vec<EventId> = self.seen.known.iter().copied().collect();
        ids.sort_unstable();
        self.count(&*shadow, &ids, Receipts::Shuffled(seed)).await?;

        let shuffled = shadow.branch_numbers().await?;
        let projects: BTreeSet<i64> = kept.keys().chain(shuffled.keys()).copied().collect();
        let mut found = Vec::new();

        for project in projects {
            let of = |all: &BTreeMap<i64, BranchNumbers>| all.get(&project).copied().unwrap_or_default().named();
            for ((part, stored), (_, rebuilt)) in of(&kept).into_iter().zip(of(&shuffled)) {
                if stored != rebuilt {
                    found.push(Difference {
                        part,
                        day: 0,
                        stored,
                        rebuilt,
                    });
                }
            }
        }

        self.insights.rebuilds.note(|progress| {
            progress.difference_count += found.len();

            let room = MAX_DIFFERENCES.saturating_sub(progress.differences.len());
            progress.differences.extend(found.into_iter().take(room));
        });

        Ok(())
    }

    /// Counts new events until both sides have seen the same, and returns the differences.
    async fn compare(&mut self, shadow: &dyn Shadow) -> anyhow::Result<Vec<Difference>> {
        for round in 0..ROUNDS {
            self.go_on()?;

            // Nothing is projected on this node meanwhile, so what waits is what the other side has not seen either.
            let projecting = self.insights.projecting.lock().await;
            let waiting = self.insights.context.store.pending_projection(PAGE).await?;

            if waiting.len() == PAGE {
                // Too many to compare: first they are counted.
                drop(projecting);
                tokio::time::sleep(ROUND).await;
                continue;
            }

            let more = self.read_new_events().await?;
            let waiting: HashSet<EventId> = waiting.iter().map(|(event, _)| event.id).collect();
            let (later, counted): (Vec<EventId>, Vec<EventId>) = more.into_iter().partition(|id| waiting.contains(id));

            self.seen.forget(&later);
            self.count(shadow, &counted, Receipts::Kept).await?;

            let (stored, rebuilt) = (self.insights.context.store.digests().await?, shadow.digests().await?);
            drop(projecting);

            let differences = stored.differences(&rebuilt);
            self.note_differences(&stored, &differences);

            // A difference is real if it is found twice, with no new and no waiting event in between.
            if differences.is_empty() || (round > 0 && counted.is_empty() && waiting.is_empty()) {
                return Ok(differences);
            }

            tokio::time::sleep(ROUND).await;
        }

        anyhow::bail!("events kept coming, and other nodes count them meanwhile: try again when there are fewer")
    }

    /// Replaces the facts by the shadow, and marks newer events to be counted. They are marked before, so that a crash
    /// loses none.
    async fn swap(&mut self, shadow: &dyn Shadow) -> anyhow::Result<()> {
        {
            // No batch of this node is between its facts and its marks.
            let _projecting = self.insights.projecting.lock().await;
            self.mark_new_events().await?;
            self.insights.context.store.swap_insights(shadow).await?;
        }

        // And what other nodes counted meanwhile.
        self.mark_new_events().await
    }

    async fn mark_new_events(&mut self) -> anyhow::Result<()> {
        let more = self.read_new_events().await?;
        for page in more.chunks(PAGE) {
            self.insights.context.store.project_again(page.to_vec()).await?;
        }

        Ok(())
    }

    fn note_differences(&self, stored: &Digests, differences: &[Difference]) {
        self.insights.rebuilds.note(|progress| {
            progress.rows = stored.rows();
            progress.difference_count = differences.len();
            progress.differences = differences.iter().take(MAX_DIFFERENCES).cloned().collect();
        });
    }

    /// Events that were not read before. Ids are made before events are committed, so some are committed after later
    /// ones: the last minutes are read again.
    async fn read_new_events(&mut self) -> anyhow::Result<Vec<EventId>> {
        let mut all = Vec::new();
        let mut at = self.seen.last.map_or(EventId(Uuid::nil()), |last| before(last, LATE));

        loop {
            let found = self.insights.context.store.event_ids(at, IDS).await?;
            at = found.last().copied().unwrap_or(at);

            let is_end = found.len() < IDS;
            all.extend(found.into_iter().filter(|id| self.seen.known.insert(*id)));

            if is_end {
                self.seen.last = Some(at).filter(|at| !at.0.is_nil()).or(self.seen.last);
                return Ok(all);
            }
        }
    }

    async fn count(&self, shadow: &dyn Shadow, ids: &[EventId], receipts: Receipts) -> anyhow::Result<()> {
        // A repeated event is the same event, and so is every event whose times are shuffled.
        let is_first = receipts == Receipts::Kept;
        let mut left: HashSet<EventId> = if is_first {
            ids.iter().copied().collect()
        } else {
            HashSet::new()
        };

        self.insights.rebuilds.note(|progress| progress.total += left.len());

        for page in ids.chunks(PAGE) {
            self.go_on()?;

            let unreadable = self.apply_page(shadow, page, receipts).await?;
            let unreadable = unreadable
                .into_iter()
                .filter(|id| left.contains(id))
                .collect::<HashSet<_>>()
                .len();

            let new = page.iter().filter(|id| left.remove(*id)).count();
            self.insights.rebuilds.note(|progress| {
                progress.done += new;
                progress.repeated += page.len() - new;
                progress.unreadable += unreadable;
            });
        }

        Ok(())
    }

    /// Counts what events say, in the order of their ids here. Gives those that cannot be read.
    async fn apply_page(
        &self,
        shadow: &dyn Shadow,
        ids: &[EventId],
        receipts: Receipts,
    ) -> anyhow::Result<Vec<EventId>> {
        let wanted: HashSet<EventId> = ids.iter().copied().collect();
        let mut bodies = self
            .insights
            .context
            .store
            .bodies(wanted.iter().copied().collect())
            .await?;
        anyhow::ensure!(
            bodies.len() == wanted.len(),
            "retention deleted events meanwhile: try again"
        );

        if let Receipts::Shuffled(seed) = receipts {
            for (event, _) in &mut bodies {
                event.received_at = other_time(event.id, seed);
            }
        }

        let by_id: BTreeMap<EventId, usize> = bodies
            .iter()
            .enumerate()
            .map(|(at, (event, _))| (event.id, at))
            .collect();

        let privacy = self.insights.privacy().await?;
        let (mut all, mut weight, mut unreadable) = (Vec::new(), 0, Vec::new());

        for (event, payload) in ids.iter().filter_map(|id| by_id.get(id)).map(|at| &bodies[*at]) {
            tokio::task::yield_now().await;

            let read =
                |event: &Event, payload: &Packed| payload.unpack().ok().and_then(|body| facts_of(event, &body).ok());
            let found = if payload.unpacked_len() > LARGE {
                let (event, payload) = (event.clone(), payload.clone());
                tokio::task::spawn_blocking(move || read(&event, &payload)).await?
            } else {
                read(event, payload)
            };

            weight += payload.unpacked_len();

            match found {
                Some(mut found) => {
                    privacy.apply(&mut found);
                    all.extend(found);
                }
                None => unreadable.push(event.id),
            }

            if weight > PIECE {
                shadow.apply(std::mem::take(&mut all)).await?;
                weight = 0;
            }
        }

        shadow.apply(all).await?;
        Ok(unreadable)
    }
}

/// When events count as received.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Receipts {
    /// When they were.
    Kept,

    /// At times made of this number.
    Shuffled(u64),
}

/// A time that has nothing to do with when an event was received: always the same for one event and one number.
fn other_time(id: EventId, seed: u64) -> Timestamp {
    let digest = Sha256::new()
        .chain_update(b"receipt")
        .chain_update(seed.to_be_bytes())
        .chain_update(id.0)
        .finalize();
    let micros = digest.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes) >> 14);
    Timestamp::from_micros(i64::try_from(micros).unwrap_or_default())
}

/// The events of the journal that were read.
#[derive(Default)]
struct Seen {
    last: Option<EventId>,
    known: HashSet<EventId>,
}

impl Seen {
    /// Forgets events, so that they are new the next time.
    fn forget(&mut self, ids: &[EventId]) {
        for id in ids {
            self.known.remove(id);
        }
    }
}

/// The least id of so much before another: the first 48 bits are milliseconds.
fn before(id: EventId, by: Duration) -> EventId {
    let micros = u128::from(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)) << 80;
    EventId(Uuid::from_u128((id.0.as_u128() >> 80 << 80).saturating_sub(micros)))
}

/// An order that has nothing to do with time, and some of them twice.
fn in_disorder(ids: &[EventId], seed: u64) -> Vec<EventId> {
    let place = |id: EventId, again: u8| {
        let digest = Sha256::new()
            .chain_update(seed.to_be_bytes())
            .chain_update(id.0)
            .chain_update([again])
            .finalize();
        (digest, id)
    };
    let mut placed: Vec<_> = ids.iter().map(|id| place(*id, 0)).collect();

    let repeated: Vec<_> = placed
        .iter()
        .filter(|(digest, _)| digest[0] % REPEATED == 0)
        .map(|(_, id)| place(*id, 1))
        .collect();

    placed.extend(repeated);
    placed.sort_unstable();
    placed.into_iter().map(|(_, id)| id).collect()
}
