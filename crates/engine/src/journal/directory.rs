//! Journals the events of changes that are made with the REST API. The change is already carried out, so an event that
//! the store does not accept is tried again, and logged as lost in the end.

use std::time::Duration;

use futures_util::future::join_all;
use quickdraw_domain::compose::{Happened, Scene, User};
use quickdraw_domain::directory::{Audience, Change, Fired};
use quickdraw_store::scopes::Name;
use serde_json::value::to_raw_value;

use super::Journal;
use super::report::{Filing, ReportError};

/// Number of times that an event is offered to the store, and the first pause between two times.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(100);
/// Number of changes whose events are journaled at the same time.
const AT_ONCE: usize = 32;

/// The reporter of changes that are made with the API.
pub struct ChangeReporter<'a>(pub &'a Journal);

impl ChangeReporter<'_> {
    /// Journals the events that changes fire. The events are on disk when this returns, or logged as lost.
    pub async fn report(&self, changes: &[Change<'_>], by: &User) {
        for together in changes.chunks(AT_ONCE) {
            join_all(together.iter().map(|change| self.report_change(change, by))).await;
        }
    }

    async fn report_change(&self, change: &Change<'_>, by: &User) {
        for fired in change.fires() {
            if let Err(error) = self.report_fired(&fired, by).await {
                tracing::error!(
                    event.trigger = fired.trigger.row().name,
                    "failed to journal an event of a change that was made with the API; its webhooks do not get it: \
                     {error:#}"
                );
            }
        }
    }

    async fn report_fired(&self, fired: &Fired, by: &User) -> anyhow::Result<()> {
        let object = to_raw_value(&fired.object)?;
        let previous = fired.previous.as_ref().map(to_raw_value).transpose()?;
        let happened = Happened {
            trigger: fired.trigger,
            scene: Scene::Instance,
            user: by,
            object: &object,
            previous: previous.as_deref(),
            instance: self.0.context.instance(),
            at: self.0.context.clock().now(),
        };

        // A time-out does not show whether the event was stored. The key makes it one event.
        let key = self.0.context.clock().uuid().to_string();
        let mut tries = 0;
        loop {
            tries += 1;
            let error = match self.try_fired(fired.audience, happened, &key).await {
                Ok(()) => return Ok(()),
                Err(error @ (ReportError::Compose(_) | ReportError::Foreign(_))) => return Err(error.into()),
                Err(error @ ReportError::Store(_)) => error,
            };

            if tries == TRIES {
                return Err(error.into());
            }

            tokio::time::sleep(PAUSE * tries * tries).await;
        }
    }

    async fn try_fired(&self, audience: Audience, happened: Happened<'_>, key: &str) -> Result<(), ReportError> {
        let group = match audience {
            Audience::Instance => None,
            Audience::Group(id) => {
                let found = self.0.context.store().find_group(Name::Id(id.0)).await?;
                // A group that was deleted meanwhile has no hooks any more.
                let Some(group) = found else { return Ok(()) };
                Some(group)
            }
        };

        let happened = Happened {
            scene: group.as_ref().map_or(Scene::Instance, Scene::Group),
            ..happened
        };
        let filing = Filing {
            key: Some(key.to_owned()),
            ..Filing::default()
        };

        self.0.report(&happened, filing).await.map(|_| ())
    }
}
