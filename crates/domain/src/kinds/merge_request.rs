//! Merge requests. Source: GitLab's `lib/gitlab/hook_data/merge_request_builder.rb` and its webhook events page.

use serde_json::{Map, Value, json};

use super::{Kind, pipeline};
use crate::Trigger;
use crate::compose::fields::{
    Beside, Field, Given, PERSON, changes, ids, labels, list, no, null, people, person, user, zero,
};
use crate::compose::{Addresses, ComposeError, Composer, InProject};
use crate::scope::Levels;
use crate::trigger::Row;

impl Trigger {
    /// Merge requests.
    pub const MERGE_REQUEST: Self = Self::of(&MERGE_REQUEST.row);
}

pub(super) static MERGE_REQUEST: Kind = Kind {
    row: Row {
        code: 7,
        name: "merge_request_hooks",
        meaning: "A merge request was opened, changed, approved, merged or closed.",
        attribute: Some("merge_requests_events"),
        header: "Merge Request Hook",
        object_kinds: &["merge_request"],
        levels: Levels::PGS,
        objects: &["last_commit", "source", "target", "merge_params"],
        actions: &[
            "open",
            "close",
            "reopen",
            "update",
            "approval",
            "approved",
            "unapproval",
            "unapproved",
            "merge",
        ],
        ..Row::USUAL
    },
    composer: Some(Composer::InProject(compose)),
    identified_by: &["iid"],
    report: Some(include_str!(
        "../../../../fixtures/gitlab/merge_request_hooks/report.json"
    )),
    ..Kind::USUAL
};

const ATTRIBUTES: [Field; 55] = [
    null("id"),
    null("iid"),
    null("target_branch"),
    null("source_branch"),
    null("source_project_id"),
    null("author_id"),
    list("assignee_ids"),
    null("assignee_id"),
    list("reviewer_ids"),
    null("title"),
    null("created_at"),
    null("updated_at"),
    null("last_edited_at"),
    null("last_edited_by_id"),
    null("milestone_id"),
    null("state_id"),
    ("state", || json!("opened")),
    ("blocking_discussions_resolved", || json!(true)),
    no("work_in_progress"),
    no("draft"),
    no("first_contribution"),
    ("merge_status", || json!("unchecked")),
    ("detailed_merge_status", || json!("unchecked")),
    null("target_project_id"),
    null("description"),
    null("prepared_at"),
    zero("time_estimate"),
    zero("total_time_spent"),
    zero("time_change"),
    null("human_total_time_spent"),
    null("human_time_change"),
    null("human_time_estimate"),
    null("url"),
    null("source"),
    null("target"),
    null("last_commit"),
    list("labels"),
    ("action", || json!("update")),
    null("actioned_at"),
    null("head_pipeline_id"),
    null("merge_commit_sha"),
    null("merge_error"),
    ("merge_params", || json!({ "force_remove_source_branch": null })),
    null("merge_user_id"),
    no("merge_when_pipeline_succeeds"),
    null("updated_by_id"),
    null("oldrev"),
    no("system"),
    null("system_action"),
    list("approval_rules"),
    null("discussion_locked"),
    null("rebase_commit_sha"),
    no("squash"),
    null("squash_commit_sha"),
    null("assignee"),
];

/// Attributes that are left out when the forge does not report them: those of pushes, and those of paid editions.
const ONLY_WHEN_GIVEN: [&str; 7] = [
    "oldrev",
    "system_action",
    "approval_rules",
    "discussion_locked",
    "rebase_commit_sha",
    "squash_commit_sha",
    // It is deprecated, and receivers still read it.
    "assignee",
];

const STATES: [&str; 4] = ["opened", "closed", "merged", "locked"];

fn compose(happened: &InProject<'_>) -> Result<Map<String, Value>, ComposeError> {
    let trigger = happened.trigger;
    let mut given = Given::read(trigger, happened.object)?;
    given.follows_from_action(happened, "");

    let assignees = people(trigger, given.take_list("assignees"));
    let reviewers = reviewers(trigger, given.take_list("reviewers"));
    let attributes = attributes(happened, given, &assignees, &reviewers)?;

    let beside: [Beside<'_>; 2] = [
        ("assignees", &assignees, people),
        ("reviewers", &reviewers, self::reviewers),
    ];

    let changed = changes(happened, &attributes, &ATTRIBUTES, &beside)?;
    let addresses = Addresses::of(happened.scene, happened.instance.base_url);

    Ok(Map::from_iter(
        [
            ("object_kind", json!("merge_request")),
            ("event_type", json!("merge_request")),
            ("user", user(happened.user)),
            ("project", json!(addresses.project(happened.scene))),
            ("labels", attributes["labels"].clone()),
            ("changes", changed),
            ("object_attributes", Value::Object(attributes)),
            ("repository", json!(addresses.short_repository(happened.scene))),
            ("assignees", assignees),
            ("reviewers", reviewers),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    ))
}

/// The attributes of a merge request, in its own events and in those of comments and emoji on it.
pub(super) fn attributes(
    happened: &InProject<'_>,
    mut given: Given,
    assignees: &Value,
    reviewers: &Value,
) -> Result<Map<String, Value>, ComposeError> {
    let project = happened.scene;
    let iid = given.need("iid")?.clone();
    let labels = labels(happened.trigger, given.take_list("labels"));
    given.or("labels", labels);

    let target = json!(Addresses::of(project, happened.instance.base_url).project(project));
    given.or("target_project_id", project.id.0);
    given.or("source_project_id", project.id.0);
    given.or("target", target.clone());

    // Only the forge knows the addresses of a fork.
    if given
        .need("source_project_id")
        .is_ok_and(|id| *id == json!(project.id.0))
    {
        given.or("source", target);
    }

    given.or("url", happened.address(&format!("-/merge_requests/{iid}")));

    // Each of the two follows from the other.
    let by_id = given
        .value("state_id")
        .as_u64()
        .and_then(|id| STATES.get(usize::try_from(id).ok()?.checked_sub(1)?));
    given.or("state", *by_id.unwrap_or(&"opened"));

    let state = STATES
        .iter()
        .position(|state| given.text("state") == Some(state))
        .unwrap_or(0);
    given.or("state_id", state + 1);

    let said = given.take("draft").or_else(|| given.take("work_in_progress"));
    let draft = said.unwrap_or_else(|| json!(given.text("title").is_some_and(is_draft)));
    given.or("work_in_progress", draft.clone());
    given.or("draft", draft);

    let assignee_ids = ids(assignees);
    given.or("assignee_id", assignee_ids.first().cloned().unwrap_or_default());
    given.or("assignee_ids", assignee_ids);
    given.or("reviewer_ids", ids(reviewers));

    if let Some(commit) = given.take("last_commit") {
        given.or("last_commit", pipeline::commit(happened, commit));
    }

    if let Some(first) = assignees.get(0).cloned() {
        given.or("assignee", first);
    }

    let changed_at = given.value("updated_at");
    given.or("actioned_at", changed_at);
    given.absolute_images("description", project, &happened.instance);

    let absent: Vec<&str> = ONLY_WHEN_GIVEN.into_iter().filter(|name| !given.has(name)).collect();
    let mut filled = given.filled(&ATTRIBUTES);
    filled.retain(|name, _| !absent.contains(&name.as_str()));

    Ok(filled)
}

/// Whether a title marks a draft, as GitLab reads it.
fn is_draft(title: &str) -> bool {
    let start: String = title
        .trim_start()
        .chars()
        .take(8)
        .collect::<String>()
        .to_ascii_lowercase();

    ["draft:", "[draft]", "(draft)"]
        .iter()
        .any(|mark| start.starts_with(mark))
}

const REVIEWER: [Field; 7] = [
    PERSON[0],
    PERSON[1],
    PERSON[2],
    PERSON[3],
    PERSON[4],
    ("state", || json!("unreviewed")),
    no("re_requested"),
];

/// Reviewers with the state of their review.
fn reviewers(trigger: Trigger, given: Vec<Value>) -> Value {
    let reviewer = |reviewer| Value::Object(person(trigger, reviewer).filled(&REVIEWER));
    given.into_iter().map(reviewer).collect()
}
