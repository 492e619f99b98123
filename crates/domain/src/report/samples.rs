//! Tests of hooks, composed from the realistic report of a kind when nothing real was ever reported.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::compose;
use crate::compose::{ComposeError, Happened, Instance, Scene, User};
use crate::kinds::Kind;
use crate::{Timestamp, Trigger};

#[derive(Deserialize)]
struct Report {
    #[serde(default)]
    user: User,
    object: Box<RawValue>,
    previous: Option<Box<RawValue>>,
}

/// A realistic body in a scene; nothing for kinds that have no test.
///
/// # Errors
/// None that the reports can have.
pub fn sample(
    trigger: Trigger,
    scene: Scene<'_>,
    instance: Instance<'_>,
    at: Timestamp,
) -> Result<Option<Vec<u8>>, ComposeError> {
    let Some(text) = Kind::of(trigger).report else {
        return Ok(None);
    };
    let report: Report = serde_json::from_str(text).map_err(|error| ComposeError::Object(trigger, error))?;
    let Report { user, object, previous } = &report;

    let happened = Happened {
        trigger,
        scene,
        user,
        object,
        previous: previous.as_deref(),
        instance,
        at,
    };
    compose(&happened).map(Some)
}
