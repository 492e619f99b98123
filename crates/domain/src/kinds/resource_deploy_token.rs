//! Deploy tokens that expire soon. Source: GitLab's webhook events page.

use serde_json::{Map, Value, json};

use super::{Kind, resource_access_token};
use crate::compose::fields::{Field, no, null};
use crate::compose::{ComposeError, Composer, Happened, Scene};
use crate::scope::Levels;
use crate::trigger::Row;

pub(super) static RESOURCE_DEPLOY_TOKEN: Kind = Kind {
    row: Row {
        code: 17,
        name: "resource_deploy_token_hooks",
        meaning: "A deploy token of a project expires soon.",
        attribute: Some("resource_deploy_token_events"),
        header: "Resource Deploy Token Hook",
        object_kinds: &["deploy_token"],
        event_names: &["expiring_deploy_token"],
        levels: Levels::P,
        ..Row::USUAL
    },
    composer: Some(Composer::Anywhere(compose)),
    report: Some(include_str!(
        "../../../../fixtures/gitlab/resource_deploy_token_hooks/report.json"
    )),
    ..Kind::USUAL
};

const ATTRIBUTES: [Field; 6] = [
    null("id"),
    null("name"),
    null("expires_at"),
    null("created_at"),
    no("revoked"),
    ("deploy_token_type", || json!("project_type")),
];

fn compose(happened: &Happened<'_>) -> Result<Map<String, Value>, ComposeError> {
    let body = resource_access_token::expiring(happened, &ATTRIBUTES)?;
    if matches!(happened.scene, Scene::Group(_)) {
        return Err(ComposeError::Misplaced(happened.trigger, "project"));
    }

    Ok(body)
}
