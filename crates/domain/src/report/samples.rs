//! Tests of hooks, composed from the realistic report of a kind when nothing real was ever reported.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::compose;
use crate::compose::{ComposeError, Happened, Instance, Scene, User};
use crate::kinds::Kind;
use crate::scope::Project;
use crate::{GroupId, ProjectId, Timestamp, Trigger};

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

/// Whether a kind has a realistic body.
#[must_use]
pub fn has_sample(trigger: Trigger) -> bool {
    Kind::of(trigger).report.is_some()
}

/// The realistic report of a kind as JSON: `object`, and for some kinds `user` and `previous`.
#[must_use]
pub fn template(trigger: Trigger) -> Option<&'static str> {
    Kind::of(trigger).report
}

/// A realistic body of a kind in an invented project, for people who choose kinds; nothing for kinds without one.
///
/// # Errors
/// None that the reports can have.
pub fn example(trigger: Trigger, instance: Instance<'_>, at: Timestamp) -> Result<Option<Vec<u8>>, ComposeError> {
    let project = Project {
        id: ProjectId(1),
        group: GroupId(1),
        name: "Rocket".to_owned(),
        path_with_namespace: "acme/rocket".to_owned(),
        namespace: "Acme".to_owned(),
        description: None,
        default_branch: Some("main".to_owned()),
        visibility_level: 0,
        created_at: at,
    };
    sample(trigger, Scene::Project(&project), instance, at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::UploadLinks;
    use crate::trigger::Testable;

    #[test]
    fn each_kind_that_can_be_tested_has_an_example() {
        let instance = Instance {
            base_url: "https://gitlab.example",
            upload_links: UploadLinks::ProjectPath,
        };
        for trigger in Trigger::all() {
            let example = example(trigger, instance, Timestamp::default()).expect("it is composed");
            assert_eq!(example.is_some(), has_sample(trigger), "{trigger}");

            let is_testable = trigger.row().test == Testable::Yes;
            assert!(!is_testable || example.is_some(), "{trigger}");
        }
    }
}
