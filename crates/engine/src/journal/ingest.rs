//! Step 1, ingest: a caller that has an event waits here for the commit that covers it.
//!
//! Callers that arrive while a commit is running are gathered and share the next one. There is no timer: under no load
//! a batch is one event, under load it is all events that came in meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use quickdraw_domain::audience::SkipReason;
use quickdraw_domain::delivery::Tally;
use quickdraw_domain::envelope::Envelope;
use quickdraw_domain::event::{DedupeKey, Event, Origin};
use quickdraw_domain::recursion::Chain;
use quickdraw_domain::scope::Place;
use quickdraw_domain::{DeliveryId, EventId, HookId, Timestamp, Trigger};
use quickdraw_store::deliveries::{Claimed, OrderingQueue};
use quickdraw_store::events::{Appended, Chains, Decided, Holds, NewEvent};
use quickdraw_store::{Error, Packed};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use uuid::Uuid;

use super::Journal;
use super::audience::audience;
use crate::context::Context;
use crate::directory::Index;
use crate::scheduler::Acquired;
use crate::{outage, telemetry};

/// Maximum number of events that share a commit.
const MAX_BATCH: usize = 256;
/// Maximum number of events that wait for a commit. Beyond it callers are refused, and come back.
const MAX_WAITING: usize = 8192;
/// Most KiB of packed bodies that wait for a commit. They must not fill the memory when the store hangs.
const MAX_WAITING_KIB: usize = 256 << 10;
/// Commits under way at once: while one flushes, the next is put together.
pub(crate) const COMMITTERS: usize = 2;
/// Commits under way at once where the store itself joins them into one flush. Events that arrive during a flush must
/// be in the next, and not wait here for one of two committers.
pub(crate) const COMMITTERS_THAT_SHARE: usize = 32;

struct Waiting {
    new: NewEvent,

    /// Hooks whose filters stop the event.
    stopped: Vec<(HookId, SkipReason)>,
    answer: oneshot::Sender<Result<Appended, Error>>,

    /// Held until the event is committed.
    permit: OwnedSemaphorePermit,
}

/// Deliveries that this node begins when their event is on disk.
#[derive(Default)]
struct Leased {
    deliveries: Vec<Claimed>,

    /// A claim has to look for other deliveries of the event.
    claim_others: bool,
}

/// Events that wait for a commit.
pub(super) struct Queue {
    /// `None` once no event is accepted any more.
    sender: RwLock<Option<mpsc::Sender<Waiting>>>,
    waiting: Mutex<mpsc::Receiver<Waiting>>,
    permit: Arc<Semaphore>,
    arrived: AtomicU64,
}

impl Default for Queue {
    fn default() -> Self {
        let (sender, waiting) = mpsc::channel(MAX_WAITING);
        Self {
            sender: RwLock::new(Some(sender)),
            waiting: Mutex::new(waiting),
            permit: Arc::new(Semaphore::new(MAX_WAITING_KIB)),
            arrived: AtomicU64::new(0),
        }
    }
}

impl Journal {
    /// The number of events that have arrived on this node. It only goes up.
    pub(crate) fn arrived(&self) -> u64 {
        self.queue.arrived.load(Ordering::Relaxed)
    }

    /// A new event of this moment. The caller sets the fields that it knows, and passes the event to [`Self::ingest`].
    #[must_use]
    pub fn new_event(&self, place: Place, trigger: Trigger, origin: Origin) -> Event {
        let clock = &self.context.clock;
        Event::new(EventId(clock.uuid()), place, trigger, origin, clock.now())
    }

    /// Journals an event with the exact bytes of its body. When this returns `Ok`, it is on disk and will reach every
    /// hook that it is owed. The key recognises a second copy of the event. The envelope is given if the body was read.
    ///
    /// # Errors
    /// When the store could not commit it, or too many wait already; the event is not kept then. When the store does
    /// not answer in time, the event may still be committed, and its key recognises it when it comes again.
    pub async fn ingest(
        &self,
        event: Event,
        key: Option<String>,
        body: &[u8],
        envelope: Option<&Envelope<'_>>,
    ) -> Result<Appended, Error> {
        let (new, stopped) = self.build(event, key, body, envelope).await;
        self.queue.arrived.fetch_add(1, Ordering::Relaxed);

        let kib = u32::try_from(new.payload.as_bytes().len() / 1024 + 1).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.queue.permit)
            .try_acquire_many_owned(kib)
            .map_err(|_| Error::Busy("too much is waiting to be committed".into()))?;

        let (answer, answered) = oneshot::channel();
        match &*self.queue.sender.read() {
            Some(sender) => sender
                .try_send(Waiting {
                    new,
                    stopped,
                    answer,
                    permit,
                })
                .map_err(|_| Error::Busy("too many events are waiting to be committed".into()))?,
            None => return Err(Error::Busy("shutting down".into())),
        }

        let answered = async { answered.await.map_err(|_| Error::Busy("shutting down".into()))? };
        self.context.in_time(answered).await
    }

    /// Completes an event for the store: asks the filters of hooks, names the object, packs the body.
    async fn build(
        &self,
        mut event: Event,
        key: Option<String>,
        body: &[u8],
        envelope: Option<&Envelope<'_>>,
    ) -> (NewEvent, Vec<(HookId, SkipReason)>) {
        let (place, trigger) = (event.place, event.trigger);
        let index = self.context.directory();
        let judged = self.turns.judge(&index, (place, trigger), event.branch(), body).await;
        event.unlisted = judged.unlisted;

        if index.is_subscribed_in_order(place, trigger) {
            // A body that cannot be read has the key of an empty one.
            event.object = Some(match envelope {
                Some(envelope) => trigger.object_key(envelope, place),
                None => trigger.object_key(&Envelope::read(body).unwrap_or_default(), place),
            });
        }

        let new = NewEvent {
            // Packing happens here, on the caller's thread: the committers only put batches together.
            payload: Packed::pack(body),
            dedupe: key.map(|key| DedupeKey::new(event.origin, place, key)),
            decided: None,
            counts: quickdraw_insights::counts(trigger),
            event,
        };

        (new, judged.stopped)
    }

    /// Commits the waiting events as one batch, after waiting for the first of them. `false` when no caller can send
    /// any more.
    pub async fn commit_arrivals(&self) -> bool {
        let mut batch: Vec<Waiting> = Vec::new();
        if self.queue.waiting.lock().await.recv_many(&mut batch, MAX_BATCH).await == 0 {
            return false;
        }

        let (mut events, mut stopped, mut answers) = (Vec::new(), Vec::new(), Vec::new());
        // Dropped when the whole batch is committed.
        let mut permits = Vec::new();

        for waiting in batch {
            events.push(waiting.new);
            stopped.push(waiting.stopped);
            answers.push(waiting.answer);
            permits.push(waiting.permit);
        }

        for new in &events {
            metrics::counter!(telemetry::EVENTS, "trigger" => new.event.trigger.row().name).increment(1);
        }

        let leased = self.decide(&mut events, &stopped).await;
        let queues: Vec<OrderingQueue> = events.iter().flat_map(queues).collect();

        match self.context.store.append_events(events).await {
            Ok(appended) => {
                self.scheduler.queues_changed(queues);
                self.context.announce_commit();

                // Deliveries begin before callers are answered: both are on disk.
                self.begin_deliveries(&appended, leased);
                for (answer, appended) in answers.into_iter().zip(appended) {
                    // A caller that has gone does not undo its event.
                    let _ = answer.send(Ok(appended));
                }
            }

            Err(error) => {
                if outage::stands_alone(&error) {
                    tracing::error!(%error, "failed to commit {} events", answers.len());
                }

                let deliveries = leased.into_iter().flat_map(|leased| leased.deliveries);
                self.scheduler.release(deliveries.map(|one| one.hook));

                for answer in answers {
                    let _ = answer.send(Err(error.clone()));
                }
            }
        }

        true
    }

    /// Decides from memory which hooks get each event, and acquires permits for those deliveries that can begin at
    /// once.
    async fn decide(&self, events: &mut [NewEvent], stopped: &[Vec<(HookId, SkipReason)>]) -> Vec<Leased> {
        let (index, now) = (self.context.directory(), self.context.clock.now());
        let mut chains = chains(&self.context, &index, events, now).await;
        let off = self.hooks_to_drop_for();
        let lease_until = now.plus(self.context.settings.lease);

        let mut all = Vec::with_capacity(events.len());
        for (new, stopped) in events.iter_mut().zip(stopped) {
            if now < index.newest_hook() {
                // The clock was set back: hooks must not look as if they were made after the event.
                new.event.received_at = index.newest_hook();
            }

            let mut none = Chain::default();
            let chain = match new.event.chain {
                Some(chain) => match chains.as_mut() {
                    Some(chains) => chains.entry(chain).or_default(),
                    // The hooks that fired in the chain are not known: fan-out decides later.
                    None => {
                        all.push(Leased {
                            deliveries: Vec::new(),
                            claim_others: true,
                        });

                        continue;
                    }
                },
                None => &mut none,
            };

            let audience = audience(&index, &new.event, stopped, chain, &self.limit, &off);
            let acquired = match audience.deliver.as_slice() {
                [] => Acquired {
                    hooks: Vec::new(),
                    claim_others: false,
                },
                deliver => self.scheduler.acquire(&index, deliver, &audience.in_order, now),
            };
            let mut deliveries = Vec::with_capacity(acquired.hooks.len());

            for hook in &acquired.hooks {
                deliveries.push(Claimed {
                    delivery: DeliveryId::of(new.event.id, *hook),
                    hook: *hook,
                    tally: Tally::default(),
                    fence: 0,
                    lease_until,
                    event: new.event.clone(),
                    payload: new.payload.clone(),
                    queue: None,
                });
            }

            let claim_others = acquired.claim_others && acquired.hooks.len() < audience.deliver.len();
            all.push(Leased {
                deliveries,
                claim_others,
            });

            let version = index.version();
            new.decided = Some(Decided {
                holds: Holds::AtVersion(version),
                audience,
                taken: acquired.hooks,
                lease_until,
                now,
            });
        }

        all
    }

    /// Begins the leased deliveries of new events, and wakes the workers for the others.
    fn begin_deliveries(&self, appended: &[Appended], leased: Vec<Leased>) {
        let (mut undecided, mut claim_others) = (false, false);
        let mut begin = Vec::new();

        for (appended, leased) in appended.iter().zip(leased) {
            if let Appended::New { fence: Some(fence), .. } = appended {
                claim_others |= leased.claim_others;
                begin.extend(
                    leased
                        .deliveries
                        .into_iter()
                        .map(|one| Claimed { fence: *fence, ..one }),
                );
            } else {
                undecided |= matches!(appended, Appended::New { .. });
                self.scheduler
                    .release(leased.deliveries.into_iter().map(|one| one.hook));
            }
        }

        self.scheduler.begin(begin);
        if claim_others {
            self.context.wakes.deliver.notify_one();
        }

        if undecided {
            self.context.wakes.fan_out.notify_one();
        }
    }

    /// Stops accepting events. Events that already wait are still committed; then the committers end.
    pub(crate) fn close(&self) {
        self.queue.sender.write().take();
    }
}

/// The hooks that fired in the chains that these events continue: one query for all of them, and no query where no
/// hook subscribes.
async fn chains(context: &Context, index: &Index, events: &[NewEvent], now: Timestamp) -> Option<Chains> {
    let mut chains: Vec<Uuid> = Vec::new();
    for NewEvent { event, .. } in events {
        if let Some(chain) = event.chain
            && index.is_subscribed(event.place, event.trigger)
        {
            chains.push(chain);
        }
    }

    if chains.is_empty() {
        return Some(Chains::default());
    }

    match context.store.chains(chains, now).await {
        Ok(found) => Some(found),
        Err(error) => {
            if outage::stands_alone(&error) {
                tracing::warn!(%error, "failed to read what fired in chains of events");
            }

            None
        }
    }
}

/// The ordering queues that an event joins.
fn queues(new: &NewEvent) -> impl Iterator<Item = OrderingQueue> + '_ {
    let hooks = new.decided.iter().flat_map(|decided| &decided.audience.in_order);
    hooks
        .zip(std::iter::repeat(new.event.object))
        .filter_map(|(hook, object)| {
            Some(OrderingQueue {
                hook: *hook,
                object: object?,
            })
        })
}
