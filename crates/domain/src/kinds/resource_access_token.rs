//! Access tokens that expire soon. Source: GitLab's `lib/gitlab/data_builder/resource_access_token.rb` and its webhook
//! events page.

use serde_json::{Map, Value, json};

use super::Kind;
use crate::compose::fields::{Field, Given, group, null};
use crate::compose::{Addresses, ComposeError, Composer, Happened, Scene};
use crate::scope::Levels;
use crate::times::spelling::{Form, Times};
use crate::trigger::Row;

pub(super) static RESOURCE_ACCESS_TOKEN: Kind = Kind {
    row: Row {
        code: 16,
        name: "resource_access_token_hooks",
        meaning: "An access token of a project or group expires soon.",
        attribute: Some("resource_access_token_events"),
        header: "Resource Access Token Hook",
        object_kinds: &["access_token"],
        event_names: &["expiring_access_token"],
        levels: Levels::PG,
        times: Times {
            usual: Form::Utc,
            special: |name, _| (name == "expires_at").then_some(Form::Date),
        },
        ..Row::USUAL
    },
    composer: Some(Composer::Anywhere(compose)),
    report: Some(include_str!(
        "../../../../fixtures/gitlab/resource_access_token_hooks/report.json"
    )),
    ..Kind::USUAL
};

const ATTRIBUTES: [Field; 6] = [
    null("user_id"),
    null("created_at"),
    null("id"),
    null("name"),
    null("expires_at"),
    null("last_used_at"),
];

fn compose(happened: &Happened<'_>) -> Result<Map<String, Value>, ComposeError> {
    expiring(happened, &ATTRIBUTES)
}

/// The body of a token that expires soon.
pub(super) fn expiring(happened: &Happened<'_>, attributes: &[Field]) -> Result<Map<String, Value>, ComposeError> {
    let trigger = happened.trigger;
    let given = Given::read(trigger, happened.object)?;
    given.need("expires_at")?;

    let owner = match happened.scene {
        Scene::Project(project) => (
            "project",
            json!(Addresses::of(project, happened.instance.base_url).project(project)),
        ),
        Scene::Group(scene) => ("group", group(scene)),
        Scene::Instance => return Err(ComposeError::Misplaced(trigger, "project or a group")),
    };

    Ok(Map::from_iter(
        [
            ("object_kind", json!(trigger.row().object_kinds.first())),
            owner,
            // The attributes describe the token and never contain it.
            ("object_attributes", Value::Object(given.filled(attributes))),
            ("event_name", json!(trigger.row().event_names.first())),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    ))
}
