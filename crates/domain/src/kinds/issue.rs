//! Issues and other work items. Source: GitLab's `lib/gitlab/hook_data/issue_builder.rb` and its webhook events page.

use serde_json::{Map, Value, json};

use super::Kind;
use crate::compose::fields::{Field, Given, changes, contacts, ids, labels, list, no, null, people, user, zero};
use crate::compose::{Addresses, ComposeError, Composer, Happened, InProject, Scene, fields};
use crate::scope::{Group, Levels, Project};
use crate::trigger::Row;
use crate::{ProjectId, Trigger};

impl Trigger {
    /// Public issues and other work items.
    pub const ISSUE: Self = Self::of(&ISSUE.row);
    /// Confidential issues and other work items.
    pub const CONFIDENTIAL_ISSUE: Self = Self::of(&CONFIDENTIAL_ISSUE.row);
}

pub(super) static ISSUE: Kind = Kind {
    row: Row {
        code: 3,
        name: "issue_hooks",
        meaning: "An issue was opened, changed, closed or reopened.",
        attribute: Some("issues_events"),
        header: "Issue Hook",
        object_kinds: &["issue", "work_item"],
        confidential_half: Some(&CONFIDENTIAL_ISSUE.row),
        ..BOTH.row
    },
    report: Some(include_str!("../../../../fixtures/gitlab/issue_hooks/report.json")),
    ..BOTH
};

pub(super) static CONFIDENTIAL_ISSUE: Kind = Kind {
    row: Row {
        code: 4,
        name: "confidential_issue_hooks",
        meaning: "A confidential issue was opened, changed, closed or reopened.",
        attribute: Some("confidential_issues_events"),
        header: "Confidential Issue Hook",
        object_kinds: &["issue", "work_item"],
        confidential: true,
        ..BOTH.row
    },
    report: Some(include_str!(
        "../../../../fixtures/gitlab/confidential_issue_hooks/report.json"
    )),
    ..BOTH
};

const BOTH: Kind = Kind {
    row: Row {
        levels: Levels::PG,
        actions: &["open", "close", "reopen", "update"],
        ..Row::USUAL
    },
    composer: Some(Composer::Anywhere(compose)),
    identified_by: &["iid"],
    ..Kind::USUAL
};

const ATTRIBUTES: [Field; 40] = [
    null("id"),
    null("title"),
    list("assignee_ids"),
    null("assignee_id"),
    null("author_id"),
    null("project_id"),
    null("created_at"),
    null("updated_at"),
    null("updated_by_id"),
    null("last_edited_at"),
    null("last_edited_by_id"),
    zero("relative_position"),
    null("description"),
    null("milestone_id"),
    null("state_id"),
    no("confidential"),
    null("discussion_locked"),
    null("due_date"),
    null("moved_to_id"),
    null("duplicated_to_id"),
    zero("time_estimate"),
    zero("total_time_spent"),
    zero("time_change"),
    null("human_total_time_spent"),
    null("human_time_estimate"),
    null("human_time_change"),
    null("weight"),
    null("health_status"),
    ("type", || json!("Issue")),
    null("iid"),
    null("url"),
    ("state", || json!("opened")),
    null("closed_at"),
    ("action", || json!("update")),
    ("severity", || json!("unknown")),
    null("escalation_status"),
    null("escalation_policy"),
    list("labels"),
    list("customer_relations_contacts"),
    null("status"),
];

/// Attributes that only incidents have, and attributes that are left out when the forge does not report them.
const ONLY_WHEN_GIVEN: [&str; 3] = ["escalation_status", "escalation_policy", "status"];

fn compose(happened: &Happened<'_>) -> Result<Map<String, Value>, ComposeError> {
    match happened.scene {
        Scene::Project(project) => in_project(&happened.in_scene(project)),

        Scene::Group(group) => {
            let project = stand_in(group);
            let mut body = in_project(&happened.in_scene(&project))?;
            body.insert("group".to_owned(), fields::group(group));

            Ok(without_project(body))
        }
        Scene::Instance => Err(ComposeError::Misplaced(happened.trigger, "project or a group")),
    }
}

/// A project whose path begins the addresses of epics and of other work items of a group.
fn stand_in(group: &Group) -> Project {
    Project {
        id: ProjectId(0),
        group: group.id,
        name: group.name.clone(),
        path_with_namespace: format!("groups/{}", group.full_path),
        namespace: group.name.clone(),
        description: None,
        default_branch: None,
        visibility_level: group.visibility_level,
        created_at: group.created_at,
    }
}

/// Removes the project, which work items of groups do not have.
fn without_project(mut body: Map<String, Value>) -> Map<String, Value> {
    for name in ["project", "repository"] {
        body.insert(name.to_owned(), Value::Null);
    }

    if let Some(attributes) = body.get_mut("object_attributes")
        && attributes["project_id"] == json!(0)
    {
        attributes["project_id"] = Value::Null;
    }

    body
}

fn in_project(happened: &InProject<'_>) -> Result<Map<String, Value>, ComposeError> {
    let trigger = happened.trigger;
    let mut given = Given::read(trigger, happened.object)?;
    given.follows_from_action(happened, "");

    let assignees = people(trigger, given.take_list("assignees"));
    let attributes = attributes(happened, given, &assignees)?;
    let confidential = trigger.row().confidential;

    // Service desk tickets are issues; every other type is a work item.
    let kind = match attributes["type"].as_str() {
        None | Some("Issue" | "Ticket") => "issue",
        Some(_) => "work_item",
    };

    let addresses = Addresses::of(happened.scene, happened.instance.base_url);
    let mut body = Map::new();
    let mut put = |name: &str, value| drop(body.insert(name.to_owned(), value));
    put("object_kind", kind.into());

    put(
        "event_type",
        if confidential {
            format!("confidential_{kind}")
        } else {
            kind.to_owned()
        }
        .into(),
    );

    put("user", user(happened.user));
    put("project", json!(addresses.project(happened.scene)));
    put("labels", attributes["labels"].clone());

    put(
        "changes",
        changes(happened, &attributes, &ATTRIBUTES, &[("assignees", &assignees, people)])?,
    );

    put("object_attributes", Value::Object(attributes));
    put("repository", json!(addresses.short_repository(happened.scene)));

    if let Some(first) = assignees.get(0).cloned() {
        put("assignees", assignees);
        put("assignee", first);
    }

    Ok(body)
}

/// The attributes of an issue, in its own events and in those of comments and emoji on it.
pub(super) fn attributes(
    happened: &InProject<'_>,
    mut given: Given,
    assignees: &Value,
) -> Result<Map<String, Value>, ComposeError> {
    let project = happened.scene;
    let iid = given.need("iid")?.clone();
    let labels = labels(happened.trigger, given.take_list("labels"));
    given.or("labels", labels);

    let contacts = contacts(happened.trigger, given.take_list("customer_relations_contacts"));
    given.or("customer_relations_contacts", contacts);
    given.or("project_id", project.id.0);
    given.or("confidential", happened.trigger == Trigger::CONFIDENTIAL_ISSUE);

    let page = match (given.text("type"), project.id.0) {
        (Some("Epic"), 0) => "epics",
        // Only hooks of groups receive epics.
        (Some("Epic"), _) => return Err(ComposeError::Misplaced(happened.trigger, "group")),
        (_, 0) => "work_items",
        _ => "issues",
    };
    given.or("url", happened.address(&format!("-/{page}/{iid}")));

    if given.need("state_id").is_ok_and(|id| *id == json!(2)) {
        given.or("state", "closed");
    }

    let state_id = if given.text("state") == Some("closed") { 2 } else { 1 };
    given.or("state_id", state_id);

    let assignee_ids = ids(assignees);
    given.or("assignee_id", assignee_ids.first().cloned().unwrap_or_default());
    given.or("assignee_ids", assignee_ids);
    given.absolute_images("description", project, &happened.instance);

    let mut filled = given.filled(&ATTRIBUTES);
    for name in ONLY_WHEN_GIVEN {
        if filled[name].is_null() {
            filled.shift_remove(name);
        }
    }

    Ok(filled)
}
