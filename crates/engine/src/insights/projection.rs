//! Step 6, project: event → facts → rollups. It reads events that are marked as waiting, and never holds other steps
//! up.

use std::collections::BTreeMap;
use std::time::Duration;

use quickdraw_domain::event::Event;
use quickdraw_domain::{EventId, Timestamp};
use quickdraw_insights::Fact;
use quickdraw_insights::backfill::facts_of;
use quickdraw_insights::privacy::Privacy;
use quickdraw_store::Packed;
use quickdraw_store::documents::{self, Document};
use quickdraw_store::insights::Projected;
use serde::{Deserialize, Serialize};

use super::Insights;
use crate::telemetry::{self, precise};

/// Large, because facts of one time touch the same pages: four times as many cost less than twice as much.
const BATCH: usize = 1_024;
/// Bodies that are read before others on this thread get their turn: a whole batch takes ten milliseconds.
const TURN: usize = 4;
/// How long a pause is, measured by the batch before it.
const PAUSE_PER_WORK: u32 = 3;
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Larger bodies are read by themselves, after their beginning is stored.
pub(crate) const LARGE: usize = 64 << 10;
/// How often that may begin without an end.
const MAX_TRIES: u32 = 2;
/// How long another process that has begun may still be reading.
const WITH_ANOTHER: Duration = Duration::from_secs(10);
/// Bytes of bodies whose facts are in memory at once.
pub(crate) const PIECE: usize = 4 << 20;

/// The large events whose reading began, by their ids. Those whose reading ended are not in it.
#[derive(Default, Serialize, Deserialize)]
struct Reading(BTreeMap<String, Begun>);

/// That reading an event began.
#[derive(Default, Serialize, Deserialize)]
struct Begun {
    /// In so many processes.
    times: u32,

    /// The last of them.
    node: String,

    /// When it began there, in microseconds since 1970.
    at: i64,
}

/// Facts that were read and are not stored yet.
#[derive(Default)]
struct Piece {
    read: Vec<Projected>,
    weight: usize,
}

impl Piece {
    fn add(&mut self, event: EventId, found: Result<Vec<Fact>, String>, privacy: &Privacy) {
        if let Err(reason) = &found {
            tracing::warn!(event.id = %event, reason, "set aside an event that insights cannot read");
        }

        let facts = found.map(|mut facts| {
            privacy.apply(&mut facts);
            facts
        });
        self.read.push(Projected { event, facts });
    }
}

fn read(event: &Event, payload: &Packed) -> Result<Vec<Fact>, String> {
    let body = payload.unpack().map_err(|error| error.to_string())?;
    facts_of(event, &body).map_err(|error| error.to_string())
}

impl Insights {
    /// Projects one batch and returns its number of events. Fewer than a batch means that nothing is left, unless
    /// bodies are large.
    ///
    /// # Errors
    /// When the store fails; the events keep waiting. An event that cannot be read is set aside instead.
    pub async fn project(&self) -> anyhow::Result<usize> {
        let _projecting = self.projecting.lock().await;
        let waiting = self.context.store.pending_projection(BATCH).await?;
        let count = waiting.len();
        if count == 0 {
            metrics::gauge!(telemetry::PROJECTION_PENDING).set(0.0);
            return Ok(0);
        }

        let privacy = self.privacy().await?;
        let mut piece = Piece::default();
        let mut large = Vec::new();

        for (at, (event, payload)) in waiting.into_iter().enumerate() {
            if payload.unpacked_len() > LARGE {
                large.push((event, payload));
                continue;
            }

            if at % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }

            piece.weight += payload.unpacked_len();
            piece.add(event.id, read(&event, &payload), &privacy);

            if piece.weight > PIECE {
                self.context.store.apply_facts(std::mem::take(&mut piece).read).await?;
            }
        }

        if !piece.read.is_empty() {
            self.context.store.apply_facts(piece.read).await?;
        }

        for (event, payload) in large {
            self.project_large(event, payload, &privacy).await?;
        }

        let left = self.context.store.pending().await?.count;
        metrics::gauge!(telemetry::PROJECTION_PENDING).set(precise(left));
        Ok(count)
    }

    /// Projects a large event by itself, on a thread where no other task waits. Its beginning is stored first: an event
    /// that ends the process would otherwise end it at every start. After the second time it is set aside.
    async fn project_large(&self, event: Event, payload: Packed, privacy: &Privacy) -> anyhow::Result<()> {
        let id = event.id;
        let (node, now) = (self.context.node.0.to_string(), self.context.clock.now());

        let begun = documents::change(&self.context.store, Document::Reading, |reading: &mut Reading| {
            let begun = reading.0.entry(id.to_string()).or_default();
            let is_another = begun.node != node;
            if is_another && begun.times > 0 && now.since(Timestamp::from_micros(begun.at)) < WITH_ANOTHER {
                return Ok(None);
            }

            // A process that begins once more has not ended: the store failed.
            begun.times += u32::from(is_another);
            begun.node.clone_from(&node);
            begun.at = now.as_micros();

            Ok::<_, quickdraw_store::Error>(Some(begun.times))
        });
        // Another node may be reading it: it stays for the next look.
        let Some((_, times)) = begun.await? else { return Ok(()) };

        let found = if times > MAX_TRIES {
            Err(format!("the server ended {MAX_TRIES} times while it read this event"))
        } else {
            tokio::task::spawn_blocking(move || read(&event, &payload)).await?
        };

        let mut piece = Piece::default();
        piece.add(id, found, privacy);
        self.context.store.apply_facts(piece.read).await?;

        self.forget_reading(&[id]).await
    }

    async fn forget_reading(&self, events: &[EventId]) -> anyhow::Result<()> {
        let ended = documents::change(&self.context.store, Document::Reading, |reading: &mut Reading| {
            let before = reading.0.len();
            for event in events {
                reading.0.remove(&event.to_string());
            }

            Ok::<_, quickdraw_store::Error>((reading.0.len() != before).then_some(()))
        });
        ended.await?;
        Ok(())
    }

    /// Marks events that were set aside to be read again: one, or all. Returns their number.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn retry_set_aside(&self, event: Option<EventId>) -> anyhow::Result<usize> {
        Ok(self.context.store.retry_set_aside(event).await?)
    }

    /// Projects until nothing is left. While events keep arriving, it takes only a share of the time: insights may lag,
    /// answers to requests may not. The lag is a metric.
    pub(crate) async fn project_all(&self) -> anyhow::Result<()> {
        self.note_definitions().await?;

        loop {
            let (started, arrived) = (self.context.clock.now(), self.journal.arrived());

            // Large bodies come in smaller batches; the next tick takes the rest.
            if self.project().await? < BATCH {
                return Ok(());
            }

            if self.journal.arrived() != arrived {
                let took = self.context.clock.now().since(started);
                tokio::time::sleep((took * PAUSE_PER_WORK).min(LONGEST_PAUSE)).await;
            }
        }
    }
}
