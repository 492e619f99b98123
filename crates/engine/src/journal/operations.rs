//! Operations: saves of one object by one request of a forge, which become one event.
//!
//! Saves are stored before they are acknowledged. The last save closes the operation. Its event is journaled under a
//! key of its own before the operation is deleted, so that it becomes one event even after a crash. An operation that
//! its forge never ends becomes an event too, a while after its last save.

use std::time::Duration;

use quickdraw_domain::compose::Scene;
use quickdraw_domain::event::{Event, Origin};
use quickdraw_domain::report::operation::Operation;
use quickdraw_domain::scope::Place;
use quickdraw_domain::{EventId, Timestamp};
use quickdraw_store::operations::Operation as Kept;
use quickdraw_store::scopes::Name;
use quickdraw_store::{Error, Packed};
use uuid::Uuid;

use super::Journal;
use super::report::{ReportError, Step, place_of};

/// How long an operation waits for its next save.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time for the node that closed an operation to journal its event, before another node does.
const CLOSING: Duration = Duration::from_secs(10);
/// How often a save is tried again when others save at the same moment, and how long it waits at most before.
const TRIES: u32 = 50;
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// Operations that one look makes events of.
const BATCH: usize = 100;

/// The operations of a journal.
#[derive(Clone, Copy)]
pub struct Operations<'a>(pub(super) &'a Journal);

impl Operations<'_> {
    /// Stores a save with those before it; `None` where it is the only one.
    pub(super) async fn save(
        self,
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
                .0
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
                    together.compose(scene, self.0.context.instance(), self.0.context.clock.now())?;

                    Kept {
                        chain: chain.or(kept.chain),
                        saves: Packed::pack(&together.to_json()),
                        ..kept
                    }
                }
                None if !step.more => return Ok(None),
                None => Kept {
                    id: self.0.context.clock.uuid(),
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

            let now = self.0.context.clock.now();
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
            if self.0.context.store.put_operation(kept.clone()).await? {
                return Ok(Some(kept));
            }
        }

        Err(Error::Busy("others save the same operation all the time".into()).into())
    }

    /// Makes the event of a closed operation, and forgets the operation.
    pub(super) async fn make_event(self, kept: &Kept, scene: Scene<'_>) -> Result<EventId, ReportError> {
        let operation = read(kept)?;
        let made = match operation.compose(scene, self.0.context.instance(), self.0.context.clock.now()) {
            Ok(body) => {
                let key = kept.key.clone().unwrap_or_else(|| format!("operation {}", kept.id));
                let event = self.0.new_event(kept.place, operation.trigger, Origin::Api);
                let event = Event {
                    chain: kept.chain,
                    ..event
                };
                Ok(self.0.ingest_composed(event, Some(key), &body).await?)
            }
            // It will never be one.
            Err(error) => Err(error.into()),
        };

        self.0.context.store.end_operation(kept.id).await?;
        made
    }

    /// Makes events of operations that their forge did not end, or whose event was not journaled.
    ///
    /// # Errors
    /// When the store fails; they are due at the next look too.
    pub async fn end_due(self) -> anyhow::Result<()> {
        let mut failed = None;
        for kept in self
            .0
            .context
            .store
            .due_operations(self.0.context.clock.now(), BATCH)
            .await?
        {
            let closed = Kept {
                closed: true,
                due_at: self.0.context.clock.now().plus(CLOSING),
                ..kept.clone()
            };
            if !kept.closed && !self.0.context.store.put_operation(closed).await? {
                // Somebody saves, closes or ends it at this moment.
                continue;
            }

            match self.end(&kept).await {
                Ok(()) => {}
                Err(ReportError::Store(Error::Damaged(_)) | ReportError::Compose(_)) => {
                    tracing::error!("an operation could not become an event; its saves are given up");
                    self.0.context.store.end_operation(kept.id).await?;
                }
                // One that fails does not keep the others from it.
                Err(error) => failed = Some(error),
            }
        }

        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    async fn end(self, kept: &Kept) -> Result<(), ReportError> {
        let made = match kept.place {
            Place::Project(id) => match self.0.context.store.find_project(Name::Id(id.0)).await? {
                Some(project) => self.make_event(kept, Scene::Project(&project)).await.map(Some),
                None => Ok(None),
            },
            Place::Group(id) => match self.0.context.store.find_group(Name::Id(id.0)).await? {
                Some(group) => self.make_event(kept, Scene::Group(&group)).await.map(Some),
                None => Ok(None),
            },
            Place::Instance | Place::Elsewhere => self.make_event(kept, Scene::Instance).await.map(Some),
        };
        if made?.is_none() {
            // The project or group is deleted, and its hooks with it.
            self.0.context.store.end_operation(kept.id).await?;
        }

        Ok(())
    }
}

fn read(kept: &Kept) -> Result<Operation, Error> {
    let saves = kept.saves.unpack()?;
    Operation::from_json(&saves).ok_or(Error::Damaged("operation"))
}
