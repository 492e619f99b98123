//! Comments. Source: GitLab's `lib/gitlab/data_builder/note.rb` and its webhook events page.

use serde_json::{Map, Value, json};

use super::{Kind, issue, merge_request, pipeline};
use crate::Trigger;
use crate::compose::fields::{Field, Given, no, null, people, user, zero};
use crate::compose::{Addresses, ComposeError, Composer, InProject};
use crate::envelope::ObjectName;
use crate::scope::Levels;
use crate::trigger::{Row, Testable};

impl Trigger {
    /// Public comments.
    pub const NOTE: Self = Self::of(&NOTE.row);
    /// Comments that are internal, or that belong to something confidential.
    pub const CONFIDENTIAL_NOTE: Self = Self::of(&CONFIDENTIAL_NOTE.row);
}

pub(super) static NOTE: Kind = Kind {
    row: Row {
        code: 5,
        name: "note_hooks",
        meaning: "Somebody commented on a commit, merge request, issue or snippet.",
        attribute: Some("note_events"),
        header: "Note Hook",
        object_kinds: &["note"],
        confidential_half: Some(&CONFIDENTIAL_NOTE.row),
        ..BOTH.row
    },
    report: Some(include_str!("../../../../fixtures/gitlab/note_hooks/report.json")),
    ..BOTH
};

pub(super) static CONFIDENTIAL_NOTE: Kind = Kind {
    row: Row {
        code: 6,
        name: "confidential_note_hooks",
        meaning: "Somebody commented on a confidential issue, or wrote an internal comment.",
        attribute: Some("confidential_note_events"),
        header: "Confidential Note Hook",
        object_kinds: &["note"],
        confidential: true,
        test: Testable::NOT_AVAILABLE,
        ..BOTH.row
    },
    ..BOTH
};

const BOTH: Kind = Kind {
    row: Row {
        levels: Levels::PG,
        objects: &["commit", "merge_request", "issue", "snippet"],
        actions: &["create", "update"],
        ..Row::USUAL
    },
    composer: Some(Composer::InProject(compose)),
    identified_by: &["id"],
    object_name: ObjectName::Noteable,
    ..Kind::USUAL
};

const ATTRIBUTES: [Field; 26] = [
    null("attachment"),
    null("author_id"),
    null("change_position"),
    ("commit_id", || json!("")),
    null("created_at"),
    null("discussion_id"),
    null("id"),
    no("internal"),
    null("line_code"),
    null("note"),
    null("noteable_id"),
    null("noteable_type"),
    null("original_position"),
    null("position"),
    null("project_id"),
    null("resolved_at"),
    null("resolved_by_id"),
    null("resolved_by_push"),
    null("st_diff"),
    no("system"),
    null("type"),
    null("updated_at"),
    null("updated_by_id"),
    null("description"),
    null("url"),
    ("action", || json!("create")),
];

const SNIPPET: [Field; 13] = [
    null("id"),
    null("title"),
    null("description"),
    null("content"),
    null("author_id"),
    null("project_id"),
    null("created_at"),
    null("updated_at"),
    null("file_name"),
    null("expires_at"),
    ("type", || json!("ProjectSnippet")),
    zero("visibility_level"),
    null("url"),
];

fn compose(happened: &InProject<'_>) -> Result<Map<String, Value>, ComposeError> {
    let (trigger, project, instance) = (happened.trigger, happened.scene, &happened.instance);
    let mut given = Given::read(trigger, happened.object)?;
    given.follows_from_action(happened, "create");

    let text = given.need("note")?.clone();
    if given.value("system") == json!(true) {
        return Err(ComposeError::Silent(trigger, "a system note"));
    }

    // A comment belongs to exactly one of these.
    let kinds = ["commit", "merge_request", "issue", "snippet"];
    let on = kinds.into_iter().find_map(|kind| Some((kind, given.take(kind)?)));
    let (kind, on) = on.ok_or(ComposeError::Missing(
        trigger,
        "commit, merge_request, issue or snippet",
    ))?;

    let mut on = Given::of(trigger, Some(on));
    // A confidential comment that is not internal belongs to a confidential issue.
    if kind == "issue" && trigger.row().confidential && given.value("internal") != json!(true) {
        on.or("confidential", true);
    }

    let (noteable_type, place) = match kind {
        "commit" => ("Commit", on.text("id").map(|id| format!("-/commit/{id}"))),
        "merge_request" => ("MergeRequest", Some(format!("-/merge_requests/{}", on.need("iid")?))),
        "issue" => ("Issue", Some(format!("-/issues/{}", on.need("iid")?))),
        _ => ("Snippet", on.need("id").ok().map(|id| format!("-/snippets/{id}"))),
    };

    given.or("noteable_type", noteable_type);
    match kind {
        "commit" => given.or("commit_id", on.need("id")?.clone()),
        _ => given.or("noteable_id", on.need("id").cloned().unwrap_or_default()),
    }

    let on = noteable(happened, kind, on)?;
    given.or("project_id", project.id.0);
    given.or("description", text);
    given.absolute_images("description", project, instance);

    if let (Some(place), Ok(id)) = (place, given.need("id")) {
        let url = happened.address(&format!("{place}#note_{id}"));
        given.or("url", url);
    }

    let addresses = Addresses::of(project, instance.base_url);
    Ok(Map::from_iter(
        [
            ("object_kind", json!("note")),
            (
                "event_type",
                json!(if trigger.row().confidential {
                    "confidential_note"
                } else {
                    "note"
                }),
            ),
            ("user", user(happened.user)),
            ("project_id", json!(project.id.0)),
            ("project", json!(addresses.project(project))),
            ("object_attributes", Value::Object(given.filled(&ATTRIBUTES))),
            ("repository", json!(addresses.short_repository(project))),
            (kind, Value::Object(on)),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    ))
}

/// The attributes of the object that a comment or an emoji belongs to.
pub(super) fn noteable(
    happened: &InProject<'_>,
    kind: &str,
    mut on: Given,
) -> Result<Map<String, Value>, ComposeError> {
    match kind {
        "merge_request" | "issue" => {
            let assignees = people(happened.trigger, on.take_list("assignees"));
            let mut on = if kind == "issue" {
                issue::attributes(happened, on, &assignees)?
            } else {
                // Only the numbers of the reviewers are part of it.
                let reviewers = Value::Array(on.take_list("reviewers"));
                merge_request::attributes(happened, on, &assignees, &reviewers)?
            };
            // The action of the event is not an action on this object.
            for name in ["action", "actioned_at"] {
                on.shift_remove(name);
            }

            Ok(on)
        }

        "commit" => {
            if let Some(id) = on.text("id").map(str::to_owned) {
                on.or("url", happened.address(&format!("-/commit/{id}")));
            }

            if let Some(title) = on
                .text("message")
                .and_then(|message| message.lines().next())
                .map(str::to_owned)
            {
                on.or("title", title);
            }

            Ok(on.filled(&pipeline::COMMIT))
        }

        _ => {
            on.or("project_id", happened.scene.id.0);
            if on.has("id") {
                let url = happened.address(&format!("-/snippets/{}", on.value("id")));
                on.or("url", url);
            }

            on.absolute_images("description", happened.scene, &happened.instance);
            Ok(on.filled(&SNIPPET))
        }
    }
}

/// The attributes of a comment that has an emoji.
pub(super) fn alone(happened: &InProject<'_>, mut given: Given) -> Map<String, Value> {
    given.or("project_id", happened.scene.id.0);
    given.or("description", given.value("note"));
    given.absolute_images("description", happened.scene, &happened.instance);

    let mut filled = given.filled(&ATTRIBUTES);
    // The action of the event is not an action on the comment.
    filled.shift_remove("action");
    filled
}
