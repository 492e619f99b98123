//! Composes GitLab's body from a report of a forge, with the composer of its kind.

pub mod operation;
mod samples;

pub use samples::{example, has_sample, sample, template};

use crate::compose::{ComposeError, Composer, Happened, MAX_OBJECT, Scene, system_events};
use crate::hook::body_template::MAX_BODY;
use crate::kinds::Kind;

/// Composes the body of an event, whose kind is the one that [`kind_of`](crate::compose::kind_of) returns.
///
/// # Errors
/// When the kind has no composer, or `object` is not what it needs.
pub fn compose(happened: &Happened<'_>) -> Result<Vec<u8>, ComposeError> {
    let Happened {
        trigger,
        scene,
        object,
        previous,
        ..
    } = *happened;

    let composer = Kind::of(trigger).composer.as_ref();
    let composer = composer.ok_or(ComposeError::NoComposer(trigger))?;

    let in_project = || match scene {
        Scene::Project(project) => Ok(happened.in_scene(project)),
        _ => Err(ComposeError::Misplaced(trigger, "project")),
    };

    let length = object.get().len() + previous.map_or(0, |previous| previous.get().len());
    if !matches!(composer, Composer::Push(_)) && length > MAX_OBJECT {
        return Err(ComposeError::TooLarge(trigger));
    }

    let body = match composer {
        Composer::Push(compose) => return compose(&in_project()?),
        Composer::InProject(compose) => compose(&in_project()?)?,
        Composer::Anywhere(compose) => compose(happened)?,
        Composer::Attributes(shape) => system_events::compose(shape, happened)?,
    };
    let body = serde_json::to_vec(&body).map_err(|error| ComposeError::Object(trigger, error))?;

    // Absolute links can make it many times longer.
    if body.len() > MAX_BODY {
        Err(ComposeError::TooLarge(trigger))
    } else {
        Ok(body)
    }
}

#[cfg(test)]
pub(crate) mod tests;
