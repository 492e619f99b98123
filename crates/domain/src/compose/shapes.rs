//! Whether an object and what belongs to it are what they have to be: a text, a list of objects, an object. Whatever else a forge puts
//! there would be lost without a word, or break receivers that read by type.

use serde_json::{Map, Value};

use super::ComposeError;
use crate::Trigger;

/// Lists of objects, wherever they stand.
const LISTS: [&str; 7] =
    ["labels", "assignees", "reviewers", "builds", "links", "owners", "customer_relations_contacts"];

/// What the objects of all kinds have alike, where they have it.
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
/// Who hears of it hangs on these.
const FLAGS: [&str; 3] = ["confidential", "internal", "system"];

/// Objects beside an object of a kind.
fn objects(trigger: Trigger) -> &'static [&'static str] {
    match trigger.row().name {
        "merge_request_hooks" => &["last_commit", "source", "target", "merge_params"],
        "note_hooks" | "confidential_note_hooks" => &["commit", "merge_request", "issue", "snippet"],
        "emoji_hooks" => &["note", "commit", "merge_request", "issue", "project_snippet"],
        "pipeline_hooks" => &["commit", "merge_request", "source_pipeline"],
        "job_hooks" => &["commit", "pipeline", "source_pipeline", "runner"],
        "deployment_hooks" => &["commit"],
        "release_hooks" => &["commit", "assets"],
        "gitlab_subscription_member_approval" | "gitlab_subscription_member_approvals" => &["object_attributes"],
        _ if super::flat::has(trigger) => &["user", "group", "project", "owner"],
        _ => &[],
    }
}

/// What happened, in the words of a kind; nothing where it has none. They never change. Source: GitLab's webhook events page.
#[must_use]
pub fn actions(trigger: Trigger) -> &'static [&'static str] {
    match trigger.row().name {
        "issue_hooks" | "confidential_issue_hooks" => &["open", "close", "reopen", "update"],
        "note_hooks" | "confidential_note_hooks" => &["create", "update"],
        "merge_request_hooks" => {
            &["open", "close", "reopen", "update", "approval", "approved", "unapproval", "unapproved", "merge"]
        }
        "wiki_page_hooks" | "release_hooks" => &["create", "update", "delete"],
        "milestone_hooks" => &["create", "close", "reopen", "delete"],
        "emoji_hooks" => &["award", "revoke"],
        "gitlab_subscription_member_approval" => &["enqueue"],
        "gitlab_subscription_member_approvals" => &["approve", "deny"],
        _ => &[],
    }
}

pub(super) fn check(trigger: Trigger, object: &Map<String, Value>) -> Result<(), ComposeError> {
    for name in objects(trigger) {
        if object.get(*name).is_some_and(|value| !value.is_null() && !value.is_object()) {
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
    let words = actions(trigger);
    if let Some(action) = object.get("action").and_then(Value::as_str)
        && !words.is_empty()
        && !words.contains(&action)
    {
        return Err(ComposeError::Action(trigger, action.chars().take(40).collect(), words.join(", ")));
    }
    if let Some(name) = FLAGS.iter().find(|name| !is(name, Value::is_boolean)) {
        return must(name, "true or false");
    }
    let is_update = trigger.row().name == "repository_update_hooks";
    for (name, value) in object {
        if LISTS.contains(&name.as_str()) || is_update && name == "changes" {
            check_list(trigger, name, value)?;
        }
        if let Value::Object(inner) = value {
            let is_flag = |name: &&str| inner.get(*name).is_none_or(|value| value.is_null() || value.is_boolean());
            if let Some(flag) = FLAGS.iter().find(|name| !is_flag(name)) {
                return Err(ComposeError::Shape(trigger, format!("{flag} in the {name}"), "true or false"));
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
    if is_list { Ok(()) } else { Err(ComposeError::Shape(trigger, name.to_owned(), "a list of objects")) }
}
