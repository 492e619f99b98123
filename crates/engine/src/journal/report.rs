//! Reports of a forge, composed and journaled. A report can be a save of an operation.

use quickdraw_domain::compose::{ComposeError, Happened, Scene, kind_of};
use quickdraw_domain::envelope::Envelope;
use quickdraw_domain::event::{Event, Origin};
use quickdraw_domain::report::compose;
use quickdraw_domain::report::operation::Operation;
use quickdraw_domain::scope::{Place, Scope};
use quickdraw_domain::{EventId, Trigger};
use quickdraw_insights::Fact;
use quickdraw_insights::commits::NO_PROJECT;
use quickdraw_store::Error;
use uuid::Uuid;

use super::Journal;
use super::operations::Operations;
use crate::context::Context;
use crate::directory::body_names::BodyNames;

/// The way in which a report is taken.
#[derive(Clone, Default)]
pub struct Filing<'a> {
    /// The chain that it continues.
    pub chain: Option<Uuid>,

    /// The key that recognises a second copy.
    pub key: Option<String>,

    /// The operation that it is a save of.
    pub operation: Option<Step<'a>>,

    /// The scope whose projects the body may name, if its reporter is no administrator.
    pub within: Option<Scope>,
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

    /// The body names a project that its reporter may not report for.
    #[error(transparent)]
    Foreign(#[from] ForeignProject),

    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] Error),
}

/// A body that names a project outside of the scope of its reporter. Insights would count it for that project.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the body names the project with the id {0}, for which you may not report; name the project of the report")]
pub struct ForeignProject(pub i64);

pub(super) const fn place_of(scene: Scene<'_>) -> Place {
    match scene {
        Scene::Project(project) => Place::Project(project.id),
        Scene::Group(group) => Place::Group(group.id),
        Scene::Instance => Place::Instance,
    }
}

/// Checks that a body names only projects of a scope, wherever insights read the project of a fact.
///
/// # Errors
/// When it names another project.
pub fn check_projects(context: &Context, trigger: Trigger, body: &[u8], scope: Scope) -> Result<(), ForeignProject> {
    // Insights set a body aside that they cannot read.
    let facts = quickdraw_insights::facts(trigger, context.clock.now(), body).unwrap_or_default();
    let index = context.index();

    for project in facts.iter().filter_map(Fact::project) {
        if project != NO_PROJECT && !BodyNames(&index).may_name(project, scope) {
            return Err(ForeignProject(project));
        }
    }

    Ok(())
}

impl Journal {
    /// Takes a report. When this returns `Ok`, it is on disk.
    ///
    /// # Errors
    /// When no body can be composed from it, or the store cannot take it. Nothing is kept of it then.
    pub async fn report(&self, happened: &Happened<'_>, filing: Filing<'_>) -> Result<Reported, ReportError> {
        let Filing {
            chain,
            key,
            operation,
            within,
        } = filing;
        let happened = &Happened {
            trigger: kind_of(happened.trigger, happened.object),
            ..*happened
        };
        let scene = happened.scene;

        if let Some(scope) = within {
            check_projects(&self.context, happened.trigger, &compose(happened)?, scope)?;
        }

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
