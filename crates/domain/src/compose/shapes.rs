//! Checks the types of a reported object: a text, a list of objects, an object. A value of another type would be lost
//! silently, or break receivers that read by type.

use serde_json::{Map, Value};

use super::ComposeError;
use crate::Trigger;

/// Attributes that are lists of objects, at any depth.
const LISTS: [&str; 7] = [
    "labels",
    "assignees",
    "reviewers",
    "builds",
    "links",
    "owners",
    "customer_relations_contacts",
];

/// Attributes that are numbers in every kind that has them.
const NUMBERS: [&str; 2] = ["id", "iid"];
const TEXTS: [&str; 11] = [
    "title",
    "description",
    "ref",
    "slug",
    "name",
    "action",
    "state",
    "status",
    "source_branch",
    "target_branch",
    "sha",
];
/// Flags that decide which hooks receive the event.
const FLAGS: [&str; 3] = ["confidential", "internal", "system"];

/// The allowed values of `action` of a kind, empty for a kind without actions. They never change. Source: GitLab's
/// webhook events page.
#[must_use]
pub fn actions(trigger: Trigger) -> &'static [&'static str] {
    trigger.row().actions
}

pub(crate) fn check(trigger: Trigger, object: &Map<String, Value>) -> Result<(), ComposeError> {
    let row = trigger.row();
    for name in row.objects {
        if object
            .get(*name)
            .is_some_and(|value| !value.is_null() && !value.is_object())
        {
            return Err(ComposeError::Shape(trigger, (*name).to_owned(), "an object"));
        }
    }

    let is = |name: &str, fits: fn(&Value) -> bool| object.get(name).is_none_or(|value| value.is_null() || fits(value));
    let must = |name: &&str, what| Err(ComposeError::Shape(trigger, (*name).to_owned(), what));
    if let Some(name) = NUMBERS.iter().find(|name| !is(name, Value::is_i64)) {
        return must(name, "a whole number");
    }

    if let Some(name) = TEXTS.iter().find(|name| !is(name, Value::is_string)) {
        return must(name, "a text");
    }

    let words = row.actions;
    if let Some(action) = object.get("action").and_then(Value::as_str)
        && !words.is_empty()
        && !words.contains(&action)
    {
        return Err(ComposeError::Action(
            trigger,
            action.chars().take(40).collect(),
            words.join(", "),
        ));
    }

    if let Some(name) = FLAGS.iter().find(|name| !is(name, Value::is_boolean)) {
        return must(name, "true or false");
    }

    for (name, value) in object {
        if LISTS.contains(&name.as_str()) || row.lists.contains(&name.as_str()) {
            check_list(trigger, name, value)?;
        }

        if let Value::Object(inner) = value {
            let is_flag = |name: &&str| {
                inner
                    .get(*name)
                    .is_none_or(|value| value.is_null() || value.is_boolean())
            };

            if let Some(flag) = FLAGS.iter().find(|name| !is_flag(name)) {
                return Err(ComposeError::Shape(
                    trigger,
                    format!("{flag} in the {name}"),
                    "true or false",
                ));
            }

            for (name, value) in inner.iter().filter(|(name, _)| LISTS.contains(&name.as_str())) {
                check_list(trigger, name, value)?;
            }
        }
    }

    Ok(())
}

fn check_list(trigger: Trigger, name: &str, value: &Value) -> Result<(), ComposeError> {
    let is_list = value.is_null() || value.as_array().is_some_and(|all| all.iter().all(Value::is_object));
    if is_list {
        Ok(())
    } else {
        Err(ComposeError::Shape(trigger, name.to_owned(), "a list of objects"))
    }
}
