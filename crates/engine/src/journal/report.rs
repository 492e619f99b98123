//! Reports of a forge, composed and journaled; and operations, whose saves become one event.
//!
//! Saves are stored before they are acknowledged. The last save closes the operation. Its event is journaled under a
//! key of its own before the operation is deleted, so that it becomes one event even after a crash. An operation that
//! its forge never ends becomes an event too, a while after its last save.

use std::time::Duration;

use quickdraw_domain::compose::{ComposeError, Happened, Scene, User, kind_of};
use quickdraw_domain::envelope::Envelope;
use quickdraw_domain::event::{Event, Origin};
use quickdraw_domain::report::compose;
use quickdraw_domain::report::operation::Operation;
use quickdraw_domain::scope::Place;
use quickdraw_domain::{EventId, Timestamp, Trigger};
use quickdraw_store::operations::Operation as Kept;
use quickdraw_store::scopes::Name;
use quickdraw_store::{Error, Packed};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::Journal;

/// How long an operation waits for its next save.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time for the node that closed an operation to journal its event, before another node does.
const CLOSING: Duration = Duration::from_secs(10);
/// How often a save is tried again when others save at the same moment, and how long it waits at most before.
const TRIES: u32 = 50;
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// Operations that one look makes events of.
const BATCH: usize = 100;

/// A report of a forge.
pub struct Report<'a> {
    /// The place where it happened, with its attributes.
    pub scene: Scene<'a>,

    /// The kind of event.
    pub trigger: Trigger,

    /// The user who did it.
    pub user: &'a User,

    /// The object that it happened to.
    pub object: &'a RawValue,

    /// Attributes that were different before.
    pub previous: Option<&'a RawValue>,

    /// The chain it continues.
    pub chain: Option<Uuid>,

    /// The key that recognises a second copy.
    pub key: Option<String>,

    /// The operation that it is a save of.
    pub operation: Option<Step<'a>>,
}

/// A save of an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step<'a> {
    /// The operation, as its forge names it: a request's id, for instance.
    pub operation: &'a str,

    /// Whether other saves follow.
    pub more: bool,
}

/// The result of a report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reported {
    /// It is an event.
    Event(EventId),

    /// It is a save, and its operation goes on.
    Saved,
}

/// The reason why a report was refused.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// No body can be composed from it.
    #[error(transparent)]
    Compose(#[from] ComposeError),

    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] Error),
}

const fn place_of(scene: Scene<'_>) -> Place {
    match scene {
        Scene::Project(project) => Place::Project(project.id),
        Scene::Group(group) => Place::Group(group.id),
        Scene::Instance => Place::Instance,
    }
}

impl Journal {
    /// Takes a report. When this returns `Ok`, it is on disk.
    ///
    /// # Errors
    /// When no body can be composed from it, or the store cannot take it. Nothing is kept of it then.
    pub async fn report(&self, report: Report<'_>) -> Result<Reported, ReportError> {
        let Report {
            scene,
            user,
            object,
            previous,
            chain,
            ref key,
            operation,
            ..
        } = report;

        let trigger = kind_of(report.trigger, object);
        let happened = Happened {
            trigger,
            scene,
            user,
            object,
            previous,
            instance: self.context.instance(),
            at: self.context.clock.now(),
        };

        if let Some(step) = operation {
            let save = Operation::begin(&happened)?;
            let kept = self.save(scene, save, step, chain, key.as_deref()).await?;

            if step.more {
                return Ok(Reported::Saved);
            }

            if let Some(kept) = kept {
                return self.make_event(&kept, scene).await.map(Reported::Event);
            }
        }

        let body = compose(&happened)?;
        let event = Event {
            chain,
            ..self.new_event(place_of(scene), trigger, Origin::Api)
        };
        Ok(Reported::Event(self.ingest_composed(event, key.clone(), &body).await?))
    }

    /// Journals a composed body.
    async fn ingest_composed(&self, event: Event, key: Option<String>, body: &[u8]) -> Result<EventId, Error> {
        // A composed body can always be read.
        let envelope = Envelope::read(body).ok();
        let git_ref = envelope
            .as_ref()
            .and_then(|envelope| envelope.git_ref.as_deref())
            .map(str::to_owned);
        Ok(self
            .ingest(Event { git_ref, ..event }, key, body, envelope.as_ref())
            .await?
            .id())
    }

    /// Stores a save with those before it; `None` where it is the only one.
    async fn save(
        &self,
        scene: Scene<'_>,
        save: Operation,
        step: Step<'_>,
        chain: Option<Uuid>,
        key: Option<&str>,
    ) -> Result<Option<Kept>, ReportError> {
        let (place, name) = (place_of(scene), format!("{} {}", save.object_name(), step.operation));
        for n in 0..TRIES {
            // Others that save at the same moment get their turns.
            tokio::time::sleep(Duration::from_millis(u64::from(n * n)).min(LONGEST_PAUSE)).await;

            let ends_with = key.filter(|_| !step.more).map(str::to_owned);
            let kept = match self
                .context
                .store
                .find_operation(place, name.clone(), ends_with)
                .await?
            {
                // Its end is repeated: the answer to the first was lost, or there was none.
                Some(kept) if kept.closed => return Ok(Some(kept)),
                Some(kept) => {
                    let together = read(&kept)?.then(save.clone())?;
                    // Refused while its reporter can still mend it, and what was saved before stays.
                    together.compose(scene, self.context.instance(), self.context.clock.now())?;

                    Kept {
                        chain: chain.or(kept.chain),
                        saves: Packed::pack(&together.to_json()),
                        ..kept
                    }
                }
                None if !step.more => return Ok(None),
                None => Kept {
                    id: self.context.clock.uuid(),
                    place,
                    name: name.clone(),
                    version: 0,
                    closed: false,
                    due_at: Timestamp::default(),
                    chain,
                    key: None,
                    saves: Packed::pack(&save.to_json()),
                },
            };

            let now = self.context.clock.now();
            let due_at = now.plus(if step.more { PATIENCE } else { CLOSING });

            // The key of the save that ends it is the event's: a repeated last save gets the same event.
            let key = if step.more {
                kept.key.clone()
            } else {
                key.map(str::to_owned)
            };

            let kept = Kept {
                closed: !step.more,
                due_at,
                key,
                ..kept
            };
            if self.context.store.put_operation(kept.clone()).await? {
                return Ok(Some(kept));
            }
        }

        Err(Error::Busy("others save the same operation all the time".into()).into())
    }

    /// Makes the event of a closed operation, and forgets the operation.
    async fn make_event(&self, kept: &Kept, scene: Scene<'_>) -> Result<EventId, ReportError> {
        let operation = read(kept)?;
        let made = match operation.compose(scene, self.context.instance(), self.context.clock.now()) {
            Ok(body) => {
                let key = kept.key.clone().unwrap_or_else(|| format!("operation {}", kept.id));
                let event = self.new_event(kept.place, operation.trigger, Origin::Api);
                let event = Event {
                    chain: kept.chain,
                    ..event
                };
                Ok(self.ingest_composed(event, Some(key), &body).await?)
            }
            // It will never be one.
            Err(error) => Err(error.into()),
        };

        self.context.store.end_operation(kept.id).await?;
        made
    }

    /// Makes events of operations that their forge did not end, or whose event was not journaled.
    ///
    /// # Errors
    /// When the store fails; they are due at the next look too.
    pub async fn end_operations(&self) -> anyhow::Result<()> {
        let mut failed = None;
        for kept in self
            .context
            .store
            .due_operations(self.context.clock.now(), BATCH)
            .await?
        {
            let closed = Kept {
                closed: true,
                due_at: self.context.clock.now().plus(CLOSING),
                ..kept.clone()
            };
            if !kept.closed && !self.context.store.put_operation(closed).await? {
                // Somebody saves, closes or ends it at this moment.
                continue;
            }

            match self.end(&kept).await {
                Ok(()) => {}
                Err(ReportError::Store(Error::Damaged(_)) | ReportError::Compose(_)) => {
                    tracing::error!("an operation could not become an event; its saves are given up");
                    self.context.store.end_operation(kept.id).await?;
                }
                // One that fails does not keep the others from it.
                Err(error) => failed = Some(error),
            }
        }

        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    async fn end(&self, kept: &Kept) -> Result<(), ReportError> {
        let made = match kept.place {
            Place::Project(id) => match self.context.store.find_project(Name::Id(id.0)).await? {
                Some(project) => self.make_event(kept, Scene::Project(&project)).await.map(Some),
                None => Ok(None),
            },
            Place::Group(id) => match self.context.store.find_group(Name::Id(id.0)).await? {
                Some(group) => self.make_event(kept, Scene::Group(&group)).await.map(Some),
                None => Ok(None),
            },
            Place::Instance | Place::Elsewhere => self.make_event(kept, Scene::Instance).await.map(Some),
        };
        if made?.is_none() {
            // The project or group is deleted, and its hooks with it.
            self.context.store.end_operation(kept.id).await?;
        }

        Ok(())
    }
}

fn read(kept: &Kept) -> Result<Operation, Error> {
    let saves = kept.saves.unpack()?;
    Operation::from_json(&saves).ok_or(Error::Damaged("operation"))
}
