//! Reports: what a forge tells, composed and journaled; and operations, whose saves become one event.
//!
//! Saves are written down before they are acknowledged. The last of them closes the operation, and what it comes to is journaled
//! under a key of its own before it is forgotten, so that it becomes one event whoever dies when. An operation that its forge
//! never ends becomes an event too, a while after its last save.

use std::time::Duration;

use quickdraw_domain::compose::operation::Operation;
use quickdraw_domain::compose::{ComposeError, Happened, Instance, Scene, User, compose, kind_of};
use quickdraw_domain::envelope::Envelope;
use quickdraw_domain::event::Origin;
use quickdraw_domain::scope::Place;
use quickdraw_domain::{EventId, Timestamp, Trigger};
use quickdraw_store::operations::Operation as Kept;
use quickdraw_store::scopes::Name;
use quickdraw_store::{Error, Packed};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::belt::Belt;
use crate::ingest::{Arrival, ReceivedAs};

/// How long an operation waits for its next save.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long whoever closed an operation has to make an event of it before somebody else does.
const CLOSING: Duration = Duration::from_secs(10);
/// How often a save is tried again when others save at the same moment, and how long it waits at most before.
const TRIES: u32 = 50;
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// Operations that one look makes events of.
const BATCH: usize = 100;

/// What a forge tells.
pub struct Report<'a> {
    /// Where it happened, with what is known of that.
    pub scene: Scene<'a>,
    /// What kind it is.
    pub trigger: Trigger,
    /// Who did it.
    pub user: &'a User,
    /// What it happened to.
    pub object: &'a RawValue,
    /// Attributes that were different before.
    pub previous: Option<&'a RawValue>,
    /// The chain it continues.
    pub chain: Option<Uuid>,
    /// What recognises a second copy.
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

/// What became of a report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reported {
    /// It is an event.
    Event(EventId),
    /// It is a save, and its operation goes on.
    Saved,
}

/// Why a report was not taken.
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

impl Belt {
    /// Takes a report. When this returns `Ok`, it is on disk.
    ///
    /// # Errors
    /// When no body can be composed from it, or the store cannot take it. Nothing is kept of it then.
    pub async fn report(&self, report: Report<'_>) -> Result<Reported, ReportError> {
        let Report { scene, user, object, previous, chain, ref key, operation, .. } = report;
        let trigger = kind_of(report.trigger, object);
        let happened =
            Happened { trigger, scene, user, object, previous, instance: self.instance(), at: self.clock.now() };
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
        let event = self.journal(place_of(scene), trigger, chain, key.clone(), &body).await?;
        Ok(Reported::Event(event))
    }

    /// The instance that bodies are composed for.
    #[must_use]
    pub fn instance(&self) -> Instance<'_> {
        Instance { base_url: &self.settings.instance, upload_links: self.settings.upload_links }
    }

    async fn journal(
        &self,
        place: Place,
        trigger: Trigger,
        chain: Option<Uuid>,
        key: Option<String>,
        body: &[u8],
    ) -> Result<EventId, Error> {
        // What was composed can be read.
        let envelope = Envelope::read(body).ok();
        let git_ref = envelope.as_ref().and_then(|envelope| envelope.git_ref.as_deref()).map(str::to_owned);
        let arrival = Arrival {
            place,
            trigger,
            origin: Origin::Api,
            chain,
            git_ref,
            key,
            body,
            envelope: envelope.as_ref(),
            received_as: ReceivedAs::default(),
        };
        Ok(self.ingest(arrival).await?.id())
    }

    /// Writes a save down with those before it; nothing where it is the only one.
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
            // Those who save at the same moment get their turns.
            tokio::time::sleep(Duration::from_millis(u64::from(n * n)).min(LONGEST_PAUSE)).await;
            let ends_with = key.filter(|_| !step.more).map(str::to_owned);
            let kept = match self.store.find_operation(place, name.clone(), ends_with).await? {
                // Its end is repeated: the answer to the first was lost, or there was none.
                Some(kept) if kept.closed => return Ok(Some(kept)),
                Some(kept) => {
                    let together = read(&kept)?.then(save.clone())?;
                    // Refused while its reporter can still mend it, and what was saved before stays.
                    together.compose(scene, self.instance(), self.clock.now())?;
                    Kept { chain: chain.or(kept.chain), saves: Packed::pack(&together.to_json()), ..kept }
                }
                None if !step.more => return Ok(None),
                None => Kept {
                    id: self.clock.uuid(),
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
            let now = self.clock.now();
            let due_at = now.plus(if step.more { PATIENCE } else { CLOSING });
            // The key of the save that ends it is the event's: whoever repeats that gets the event.
            let key = if step.more { kept.key.clone() } else { key.map(str::to_owned) };
            let kept = Kept { closed: !step.more, due_at, key, ..kept };
            if self.store.put_operation(kept.clone()).await? {
                return Ok(Some(kept));
            }
        }
        Err(Error::Busy("others save the same operation all the time".into()).into())
    }

    /// Makes the event of a closed operation, and forgets the operation.
    async fn make_event(&self, kept: &Kept, scene: Scene<'_>) -> Result<EventId, ReportError> {
        let operation = read(kept)?;
        let made = match operation.compose(scene, self.instance(), self.clock.now()) {
            Ok(body) => {
                let key = kept.key.clone().unwrap_or_else(|| format!("operation {}", kept.id));
                Ok(self.journal(kept.place, operation.trigger, kept.chain, Some(key), &body).await?)
            }
            // It will never be one.
            Err(error) => Err(error.into()),
        };
        self.store.end_operation(kept.id).await?;
        made
    }

    /// Makes events of operations that nobody ended, or whose end nobody saw through.
    ///
    /// # Errors
    /// When the store fails; they are due at the next look too.
    pub async fn end_operations(&self) -> anyhow::Result<()> {
        let mut failed = None;
        for kept in self.store.due_operations(self.clock.now(), BATCH).await? {
            let closed = Kept { closed: true, due_at: self.clock.now().plus(CLOSING), ..kept.clone() };
            if !kept.closed && !self.store.put_operation(closed).await? {
                // Somebody saves, closes or ends it at this moment.
                continue;
            }
            match self.end(&kept).await {
                Ok(()) => {}
                Err(ReportError::Store(Error::Damaged(_)) | ReportError::Compose(_)) => {
                    tracing::error!("an operation could not become an event; its saves are given up");
                    self.store.end_operation(kept.id).await?;
                }
                // One that fails does not keep the others from it.
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    async fn end(&self, kept: &Kept) -> Result<(), ReportError> {
        let made = match kept.place {
            Place::Project(id) => match self.store.find_project(Name::Id(id.0)).await? {
                Some(project) => self.make_event(kept, Scene::Project(&project)).await.map(Some),
                None => Ok(None),
            },
            Place::Group(id) => match self.store.find_group(Name::Id(id.0)).await? {
                Some(group) => self.make_event(kept, Scene::Group(&group)).await.map(Some),
                None => Ok(None),
            },
            Place::Instance | Place::Elsewhere => self.make_event(kept, Scene::Instance).await.map(Some),
        };
        if made?.is_none() {
            // The project or group is deleted, and with it whoever would hear of this.
            self.store.end_operation(kept.id).await?;
        }
        Ok(())
    }
}

fn read(kept: &Kept) -> Result<Operation, Error> {
    let saves = kept.saves.unpack()?;
    Operation::from_json(&saves).ok_or(Error::Damaged("operation"))
}
