//! Reports of a forge, composed and journaled. A report can be a save of an operation.

use quickdraw_domain::EventId;
use quickdraw_domain::compose::{ComposeError, Happened, Scene, kind_of};
use quickdraw_domain::envelope::Envelope;
use quickdraw_domain::event::{Event, Origin};
use quickdraw_domain::report::compose;
use quickdraw_domain::report::operation::Operation;
use quickdraw_domain::scope::Place;
use quickdraw_store::Error;
use uuid::Uuid;

use super::Journal;
use super::operations::Operations;

/// The way in which a report is taken.
#[derive(Clone, Default)]
pub struct Filing<'a> {
    /// The chain that it continues.
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

pub(super) const fn place_of(scene: Scene<'_>) -> Place {
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
    pub async fn report(&self, happened: &Happened<'_>, filing: Filing<'_>) -> Result<Reported, ReportError> {
        let Filing { chain, key, operation } = filing;
        let happened = &Happened {
            trigger: kind_of(happened.trigger, happened.object),
            ..*happened
        };
        let scene = happened.scene;

        if let Some(step) = operation {
            let operations = self.operations();
            let save = Operation::begin(happened)?;
            let kept = operations.save(scene, save, step, chain, key.as_deref()).await?;

            if step.more {
                return Ok(Reported::Saved);
            }

            if let Some(kept) = kept {
                return operations.make_event(&kept, scene).await.map(Reported::Event);
            }
        }

        let body = compose(happened)?;
        let event = Event {
            chain,
            ..self.new_event(place_of(scene), happened.trigger, Origin::Api)
        };
        Ok(Reported::Event(self.ingest_composed(event, key, &body).await?))
    }

    /// Journals a composed body.
    pub(super) async fn ingest_composed(
        &self,
        event: Event,
        key: Option<String>,
        body: &[u8],
    ) -> Result<EventId, Error> {
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

    /// The operations whose saves are stored.
    #[must_use]
    pub const fn operations(&self) -> Operations<'_> {
        Operations(self)
    }
}
