//! Step 1, ingest: everybody who has an event waits here for the commit that covers it.
//!
//! Callers that arrive while a commit is running are gathered and share the next one. There is no timer: under no load
//! a batch is one event, under load it is whatever came in meanwhile.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use quickdraw_domain::audience::SkipReason;
use quickdraw_domain::delivery::Tally;
use quickdraw_domain::event::{DedupeKey, Event, Origin, object_key};
use quickdraw_domain::recursion::Chain;
use quickdraw_domain::scope::Place;
use quickdraw_domain::{DeliveryId, EventId, HookId, Timestamp, Trigger};
use quickdraw_store::deliveries::{Claimed, Line};
use quickdraw_store::events::{Appended, Chains, Decided, Holds, NewEvent};
use quickdraw_store::{Error, Packed};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use uuid::Uuid;

use crate::belt::Belt;
use crate::directory::Index;
use crate::{outage, telemetry};

/// Most events that share a commit.
const MAX_BATCH: usize = 256;
/// Most events that wait for a commit. Beyond it callers are told to come back.
const MAX_WAITING: usize = 8192;
/// The same of their packed bodies, in KiB: what waits for a store that hangs must not fill the memory.
const MAX_WAITING_KIB: usize = 256 << 10;
/// Commits under way at once: while one flushes, the next is put together.
pub(crate) const COMMITTERS: usize = 2;
/// The same where the store joins what is asked of it into one flush by itself: whatever arrives during a flush must be
/// in the next, and not wait here for one of two to come back.
pub(crate) const COMMITTERS_THAT_SHARE: usize = 32;

struct Waiting {
    new: NewEvent,
    /// Hooks whose filters stop it.
    stopped: Vec<(HookId, SkipReason)>,
    answer: oneshot::Sender<Result<Appended, Error>>,
    /// Held until it is committed.
    room: OwnedSemaphorePermit,
}

/// An event as it arrives.
#[derive(Clone, Debug)]
pub struct Arrival<'a> {
    /// Where it happened.
    pub place: Place,
    /// What kind it is.
    pub trigger: Trigger,
    /// Where it came in.
    pub origin: Origin,
    /// The chain it continues.
    pub chain: Option<Uuid>,
    /// Full ref name, for pushes.
    pub git_ref: Option<String>,
    /// What recognises a second copy.
    pub key: Option<String>,
    /// The exact bytes.
    pub body: &'a [u8],
    /// What is known of a received one.
    pub received_as: ReceivedAs,
}

/// What is known of an event because it was received, and not reported.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReceivedAs {
    /// `X-Gitlab-Event`, where it is not what its kind says.
    pub sent_as: Option<String>,
    /// `X-Gitlab-Instance`.
    pub instance: Option<String>,
    /// The event that it duplicates.
    pub duplicate_of: Option<EventId>,
}

/// The way in.
pub struct Ingest {
    /// `None` once nobody is let in any more.
    queue: RwLock<Option<mpsc::Sender<Waiting>>>,
    waiting: Mutex<mpsc::Receiver<Waiting>>,
    room: Arc<Semaphore>,
    arrived: AtomicU64,
}

impl Default for Ingest {
    fn default() -> Self {
        let (queue, waiting) = mpsc::channel(MAX_WAITING);
        Self {
            queue: RwLock::new(Some(queue)),
            waiting: Mutex::new(waiting),
            room: Arc::new(Semaphore::new(MAX_WAITING_KIB)),
            arrived: AtomicU64::new(0),
        }
    }
}

impl Ingest {
    /// Goes up with every event that arrives.
    pub(crate) fn arrived(&self) -> u64 {
        self.arrived.load(Ordering::Relaxed)
    }
}

impl Belt {
    /// Journals an event. When this returns `Ok`, it is on disk and will reach every hook it is owed.
    ///
    /// # Errors
    /// When the store could not commit it, or too many wait already: nothing is kept of it then. When the store does not answer
    /// in time: it may still be committed, and its key tells so when it comes again.
    pub async fn ingest(&self, arrival: Arrival<'_>) -> Result<Appended, Error> {
        let (new, stopped) = self.new_event(arrival).await;
        self.ingest.arrived.fetch_add(1, Ordering::Relaxed);
        let kib = u32::try_from(new.payload.as_bytes().len() / 1024 + 1).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.ingest.room)
            .try_acquire_many_owned(kib)
            .map_err(|_| Error::Busy("too much is waiting to be committed".into()))?;
        let (answer, answered) = oneshot::channel();
        match &*self.ingest.queue.read().unwrap_or_else(PoisonError::into_inner) {
            Some(queue) => queue
                .try_send(Waiting { new, stopped, answer, room })
                .map_err(|_| Error::Busy("too many events are waiting to be committed".into()))?,
            None => return Err(Error::Busy("shutting down".into())),
        }
        self.in_time(async { answered.await.map_err(|_| Error::Busy("shutting down".into()))? }).await
    }

    async fn new_event(&self, arrival: Arrival<'_>) -> (NewEvent, Vec<(HookId, SkipReason)>) {
        let now: Timestamp = self.clock.now();
        let index = self.index().clone();
        let in_order = index.is_heard_in_order(arrival.place, arrival.trigger);
        let branch = arrival.git_ref.as_deref().and_then(|name| name.strip_prefix("refs/heads/"));
        let judged = self.judge(&index, (arrival.place, arrival.trigger), branch, arrival.body).await;
        let new = NewEvent {
            // Packing happens here, on the caller's thread: the committers only put batches together.
            payload: Packed::pack(arrival.body),
            dedupe: arrival.key.map(|key| DedupeKey::new(arrival.origin, arrival.place, key)),
            decided: None,
            counts: quickdraw_insights::counts(arrival.trigger),
            event: Event {
                id: EventId(self.clock.uuid()),
                place: arrival.place,
                trigger: arrival.trigger,
                origin: arrival.origin,
                received_at: now,
                chain: arrival.chain,
                git_ref: arrival.git_ref,
                object: in_order.then(|| object_key(arrival.trigger, arrival.place, arrival.body)),
                sent_as: arrival.received_as.sent_as,
                instance: arrival.received_as.instance,
                duplicate_of: arrival.received_as.duplicate_of,
                unlisted: judged.unlisted,
            },
        };
        (new, judged.stopped)
    }

    /// Commits what waits as one batch, waiting for the first of it. `false` when nobody can send any more.
    pub async fn commit_arrivals(&self) -> bool {
        let mut batch: Vec<Waiting> = Vec::new();
        if self.ingest.waiting.lock().await.recv_many(&mut batch, MAX_BATCH).await == 0 {
            return false;
        }
        let (mut events, mut stopped, mut answers) = (Vec::new(), Vec::new(), Vec::new());
        // Dropped when all of it is committed.
        let mut rooms = Vec::new();
        for waiting in batch {
            events.push(waiting.new);
            stopped.push(waiting.stopped);
            answers.push(waiting.answer);
            rooms.push(waiting.room);
        }
        for new in &events {
            metrics::counter!(telemetry::EVENTS, "trigger" => new.event.trigger.row().name).increment(1);
        }
        let taken = self.decide(&mut events, &stopped).await;
        let lines: Vec<Line> = events.iter().flat_map(lines).collect();
        match self.store.append_events(events).await {
            Ok(appended) => {
                self.flow.lined_up(lines);
                self.news.send_modify(|commits| *commits += 1);
                // Receivers first: nobody's answer is worth more than a delivery, and both are on disk.
                self.hand_over(&appended, taken);
                for (answer, appended) in answers.into_iter().zip(appended) {
                    // A caller that has gone does not undo its event.
                    let _ = answer.send(Ok(appended));
                }
            }
            Err(error) => {
                if outage::stands_alone(&error) {
                    tracing::error!(%error, "failed to commit {} events", answers.len());
                }
                self.flow.vacate(taken.into_iter().flat_map(|(claimed, _)| claimed).map(|one| one.hook));
                for answer in answers {
                    let _ = answer.send(Err(error.clone()));
                }
            }
        }
        true
    }

    /// Decides who gets each event, from memory, and takes what can begin at once. Gives, for each event, what was taken
    /// and whether some of it is left for a claim.
    async fn decide(
        &self,
        events: &mut [NewEvent],
        stopped: &[Vec<(HookId, SkipReason)>],
    ) -> Vec<(Vec<Claimed>, bool)> {
        let (index, now) = (self.index().clone(), self.clock.now());
        let (mut chains, off) = (self.chains(&index, events, now).await, self.hooks_to_drop_for());
        let lease_until = now.plus(self.settings.lease);
        let decide = |(new, stopped): (&mut NewEvent, &Vec<(HookId, SkipReason)>)| {
            if now < index.newest_hook() {
                // The clock was set back: hooks must not look as if they were made after the event.
                new.event.received_at = index.newest_hook();
            }
            let mut none = Chain::default();
            let chain = match new.event.chain {
                Some(chain) => match chains.as_mut() {
                    Some(chains) => chains.entry(chain).or_default(),
                    // Nobody could say what fired in it: fan-out will.
                    None => return (Vec::new(), true),
                },
                None => &mut none,
            };
            let audience = index.audience(&new.event, stopped, chain, &self.rates, &off);
            let (hooks, look) = match audience.deliver.as_slice() {
                [] => (Vec::new(), false),
                deliver => self.flow.take(&index, deliver, &audience.in_order, now),
            };
            let claimed = hooks.iter().map(|hook| Claimed {
                delivery: DeliveryId::of(new.event.id, *hook),
                hook: *hook,
                tally: Tally::default(),
                fence: 0,
                lease_until,
                event: new.event.clone(),
                payload: new.payload.clone(),
                line: None,
            });
            let taken = (claimed.collect(), look && hooks.len() < audience.deliver.len());
            new.decided =
                Some(Decided { holds: Holds::AtVersion(index.version()), audience, taken: hooks, lease_until, now });
            taken
        };
        events.iter_mut().zip(stopped).map(decide).collect()
    }

    /// What fired in the chains that these events continue, with one query for all of them, and none where nobody listens.
    async fn chains(&self, index: &Index, events: &[NewEvent], now: Timestamp) -> Option<Chains> {
        let heard = |new: &&NewEvent| new.event.chain.is_some() && index.is_heard(new.event.place, new.event.trigger);
        let chains: Vec<Uuid> = events.iter().filter(heard).filter_map(|new| new.event.chain).collect();
        if chains.is_empty() {
            return Some(Chains::default());
        }
        let found = self.store.chains(chains, now).await;
        let told = |error: &Error| {
            if outage::stands_alone(error) {
                tracing::warn!(%error, "failed to read what fired in chains of events");
            }
        };
        found.inspect_err(told).ok()
    }

    /// Hands what was taken to the deliver worker, and wakes whoever has to do with the rest.
    fn hand_over(&self, appended: &[Appended], taken: Vec<(Vec<Claimed>, bool)>) {
        let (mut undecided, mut left) = (false, false);
        let mut begin = Vec::new();
        for (appended, (claimed, some_left)) in appended.iter().zip(taken) {
            if let Appended::New { fence: Some(fence), .. } = appended {
                left |= some_left;
                begin.extend(claimed.into_iter().map(|one| Claimed { fence: *fence, ..one }));
            } else {
                undecided |= matches!(appended, Appended::New { .. });
                self.flow.vacate(claimed.into_iter().map(|one| one.hook));
            }
        }
        self.flow.taken(begin);
        if left {
            self.wakes.deliver.notify_one();
        }
        if undecided {
            self.wakes.fan_out.notify_one();
        }
    }

    /// Lets nobody in any more. What waits is still committed; then the committers end.
    pub(crate) fn close_ingest(&self) {
        self.ingest.queue.write().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// The lines at whose ends an event stands.
fn lines(new: &NewEvent) -> impl Iterator<Item = Line> + '_ {
    let hooks = new.decided.iter().flat_map(|decided| &decided.audience.in_order);
    hooks
        .zip(std::iter::repeat(new.event.object))
        .filter_map(|(hook, object)| Some(Line { hook: *hook, object: object? }))
}
