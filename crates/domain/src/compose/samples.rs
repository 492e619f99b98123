//! One realistic report of each kind, from which a test of a hook is composed when nothing real was ever reported.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{ComposeError, Happened, Instance, Scene, User, compose};
use crate::{Timestamp, Trigger};

#[derive(Deserialize)]
struct Report {
    #[serde(default)]
    user: User,
    object: Box<RawValue>,
    previous: Option<Box<RawValue>>,
}

macro_rules! reports {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../../../../fixtures/gitlab/", $name, "/report.json")))),+]
    };
}

/// Those that can be tested.
const REPORTS: [(&str, &str); 16] = reports![
    "push_hooks",
    "tag_push_hooks",
    "issue_hooks",
    "confidential_issue_hooks",
    "note_hooks",
    "merge_request_hooks",
    "job_hooks",
    "pipeline_hooks",
    "wiki_page_hooks",
    "release_hooks",
    "milestone_hooks",
    "emoji_hooks",
    "resource_access_token_hooks",
    "resource_deploy_token_hooks",
    "vulnerability_hooks",
    "feature_flag_hooks",
];

/// A body as it could have happened in a scene; nothing for kinds that nobody tests.
///
/// # Errors
/// None that the reports can have.
pub fn sample(
    trigger: Trigger,
    scene: Scene<'_>,
    instance: Instance<'_>,
    at: Timestamp,
) -> Result<Option<Vec<u8>>, ComposeError> {
    let Some((_, text)) = REPORTS.iter().find(|(name, _)| *name == trigger.row().name) else { return Ok(None) };
    let report: Report = serde_json::from_str(text).map_err(|error| ComposeError::Object(trigger, error))?;
    let Report { user, object, previous } = &report;
    let happened = Happened { trigger, scene, user, object, previous: previous.as_deref(), instance, at };
    compose(&happened).map(Some)
}
