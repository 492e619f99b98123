//! Bodies that tell of access tokens and deploy tokens that expire soon. Source: GitLab's
//! `lib/gitlab/data_builder/resource_access_token.rb` and its webhook events page.

use serde_json::{Map, Value, json};

use super::fields::{Field, Given, no, null};
use super::{Addresses, ComposeError, Happened, Scene};
use crate::scope::Group;

const ACCESS_TOKEN: [Field; 6] =
    [null("user_id"), null("created_at"), null("id"), null("name"), null("expires_at"), null("last_used_at")];

const DEPLOY_TOKEN: [Field; 6] = [
    null("id"),
    null("name"),
    null("expires_at"),
    null("created_at"),
    no("revoked"),
    ("deploy_token_type", || json!("project_type")),
];

pub(super) fn compose(happened: &Happened<'_>) -> Result<Map<String, Value>, ComposeError> {
    let trigger = happened.trigger;
    let given = Given::read(trigger, happened.object)?;
    given.need("expires_at")?;
    let kind = trigger.row().object_kinds.first().copied().unwrap_or_default();
    let fields = if kind == "deploy_token" { &DEPLOY_TOKEN } else { &ACCESS_TOKEN };
    let whose = match happened.scene {
        Scene::Project(project) => {
            ("project", json!(Addresses::of(project, happened.instance.base_url).project(project)))
        }
        Scene::Group(_) if kind == "deploy_token" => return Err(ComposeError::Misplaced(trigger, "project")),
        Scene::Group(scene) => ("group", group(scene)),
        Scene::Instance => return Err(ComposeError::Misplaced(trigger, "project or a group")),
    };
    Ok(Map::from_iter(
        [
            ("object_kind", json!(kind)),
            whose,
            // What the token is, and never the token.
            ("object_attributes", Value::Object(given.filled(fields))),
            ("event_name", json!(trigger.row().event_names.first())),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    ))
}

/// A group, as these bodies have it.
pub(super) fn group(group: &Group) -> Value {
    let path = group.full_path.rsplit('/').next().unwrap_or_default();
    json!({ "group_name": group.name, "group_path": path, "group_id": group.id.0, "full_path": group.full_path })
}
