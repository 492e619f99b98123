//! Promotions of members that wait for an administrator, and the decisions about them, for system hooks. Source:
//! GitLab's system hooks page.

use serde_json::{Map, Value, json};

use super::Kind;
use crate::compose::fields::{Field, Given, iso_of, list, null};
use crate::compose::{ComposeError, Composer, Happened};
use crate::times::spelling::Times;
use crate::trigger::Row;

pub(super) static MEMBER_APPROVAL: Kind = Kind {
    row: Row {
        object_kinds: &["gitlab_subscription_member_approval"],
        objects: &["object_attributes"],
        actions: &["enqueue"],
        times: Times::ISO,
        ..Row::system(
            47,
            "gitlab_subscription_member_approval",
            "A change of a member's role waits for approval by an administrator.",
            &[],
        )
    },
    composer: Some(Composer::Anywhere(compose_request)),
    ..Kind::USUAL
};

pub(super) static MEMBER_APPROVALS: Kind = Kind {
    row: Row {
        object_kinds: &["gitlab_subscription_member_approvals"],
        objects: &["object_attributes"],
        actions: &["approve", "deny"],
        times: Times::ISO,
        ..Row::system(
            48,
            "gitlab_subscription_member_approvals",
            "An administrator decided about changes of members' roles.",
            &[],
        )
    },
    composer: Some(Composer::Anywhere(compose_decision)),
    ..Kind::USUAL
};

/// The attributes of one of the two kinds.
struct Shape {
    /// Attributes of the object.
    fields: &'static [Field],

    /// Attributes beside the object, in GitLab's order.
    beside: &'static [&'static str],

    /// The attribute that names the user who did it.
    user: &'static str,
}

const REQUEST: Shape = Shape {
    fields: &[
        null("new_access_level"),
        null("old_access_level"),
        null("existing_member_id"),
    ],
    beside: &[
        "user_id",
        "requested_by_user_id",
        "promotion_namespace_id",
        "created_at",
        "updated_at",
    ],
    user: "requested_by_user_id",
};

const DECISION: Shape = Shape {
    fields: &[
        list("promotion_request_ids_that_failed_to_apply"),
        ("status", || json!("success")),
    ],
    beside: &["reviewed_by_user_id", "user_id", "updated_at"],
    user: "reviewed_by_user_id",
};

fn compose_request(happened: &Happened<'_>) -> Result<Map<String, Value>, ComposeError> {
    let mut given = Given::read(happened.trigger, happened.object)?;
    given.or("action", "enqueue");
    Ok(body(&REQUEST, happened, given))
}

fn compose_decision(happened: &Happened<'_>) -> Result<Map<String, Value>, ComposeError> {
    let given = Given::read(happened.trigger, happened.object)?;
    given.need("action")?;
    Ok(body(&DECISION, happened, given))
}

fn body(shape: &Shape, happened: &Happened<'_>, mut given: Given) -> Map<String, Value> {
    for name in ["created_at", "updated_at"] {
        given.or(name, iso_of(happened.at));
    }

    given.or(shape.user, happened.user.id);

    let mut attributes = Given::of(happened.trigger, given.take("object_attributes"));
    for (name, _) in shape.fields {
        if let Some(value) = given.take(name) {
            attributes.or(name, value);
        }
    }

    let kind = happened.trigger.row().object_kinds.first();
    let mut body = Map::new();
    body.insert("object_kind".to_owned(), json!(kind));
    body.insert("action".to_owned(), given.take("action").unwrap_or_default());

    body.insert(
        "object_attributes".to_owned(),
        Value::Object(attributes.filled(shape.fields)),
    );

    for name in shape.beside {
        body.insert((*name).to_owned(), given.take(name).unwrap_or_default());
    }

    body
}
