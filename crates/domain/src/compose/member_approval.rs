//! Bodies of system hooks that tell of promotions of members that wait for an administrator, and of what became of them.
//! Source: GitLab's system hooks page.

use serde_json::{Map, Value, json};

use super::fields::{Field, Given, iso_of, list, null};
use super::{ComposeError, Happened};

const WAITING: [Field; 3] = [null("new_access_level"), null("old_access_level"), null("existing_member_id")];
const DECIDED: [Field; 2] = [list("promotion_request_ids_that_failed_to_apply"), ("status", || json!("success"))];

pub(super) fn compose(happened: &Happened<'_>) -> Result<Map<String, Value>, ComposeError> {
    let trigger = happened.trigger;
    let kind = trigger.row().object_kinds.first().copied().unwrap_or_default();
    let mut given = Given::read(trigger, happened.object)?;
    let is_decided = kind == "gitlab_subscription_member_approvals";
    if is_decided {
        given.need("action")?;
    }
    let (fields, beside): (&[Field], &[&'static str]) = if is_decided {
        (&DECIDED, &["reviewed_by_user_id", "user_id", "updated_at"])
    } else {
        (&WAITING, &["user_id", "requested_by_user_id", "promotion_namespace_id", "created_at", "updated_at"])
    };
    let action = given.take("action").unwrap_or_else(|| json!("enqueue"));
    for name in ["created_at", "updated_at"] {
        given.or(name, iso_of(happened.at));
    }
    let whose = if is_decided { "reviewed_by_user_id" } else { "requested_by_user_id" };
    given.or(whose, happened.user.id);
    let beside: Vec<(String, Value)> =
        beside.iter().map(|name| ((*name).to_owned(), given.take(name).unwrap_or_default())).collect();
    let mut attributes = Given::of(trigger, given.take("object_attributes"));
    for (name, _) in fields {
        if let Some(value) = given.take(name) {
            attributes.or(name, value);
        }
    }
    let mut body = Map::from_iter(
        [
            ("object_kind", json!(kind)),
            ("action", action),
            ("object_attributes", Value::Object(attributes.filled(fields))),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    body.extend(beside);
    Ok(body)
}
