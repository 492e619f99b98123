//! Emoji on comments, issues, merge requests, snippets and commits. Source: GitLab's `lib/gitlab/data_builder/emoji.rb`
//! and its webhook events page.

use serde_json::{Map, Value, json};

use super::{Kind, note};
use crate::compose::fields::{Field, Given, null, user};
use crate::compose::{Addresses, ComposeError, Composer, InProject};
use crate::envelope::ObjectName;
use crate::scope::Levels;
use crate::trigger::Row;

pub(super) static EMOJI: Kind = Kind {
    row: Row {
        code: 15,
        name: "emoji_hooks",
        meaning: "Somebody added or removed an emoji reaction.",
        attribute: Some("emoji_events"),
        header: "Emoji Hook",
        object_kinds: &["emoji"],
        levels: Levels::PG,
        objects: &["note", "commit", "merge_request", "issue", "project_snippet"],
        actions: &["award", "revoke"],
        ..Row::USUAL
    },
    composer: Some(Composer::InProject(compose)),
    identified_by: &["id"],
    object_name: ObjectName::Noteable,
    report: Some(include_str!("../../../../fixtures/gitlab/emoji_hooks/report.json")),
};

const ATTRIBUTES: [Field; 9] = [
    null("user_id"),
    null("created_at"),
    null("id"),
    null("name"),
    null("awardable_type"),
    null("awardable_id"),
    null("updated_at"),
    ("action", || json!("award")),
    null("awarded_on_url"),
];

/// The objects that can have an emoji, and the names of their types. A comment comes with the object that it belongs
/// to.
const AWARDABLE: [(&str, &str); 5] = [
    ("note", "Note"),
    ("issue", "Issue"),
    ("merge_request", "MergeRequest"),
    ("project_snippet", "Snippet"),
    ("commit", "Commit"),
];

fn compose(happened: &InProject<'_>) -> Result<Map<String, Value>, ComposeError> {
    let (trigger, project) = (happened.trigger, happened.scene);
    let mut given = Given::read(trigger, happened.object)?;
    given.follows_from_action(happened, "award");
    given.need("name")?;

    let on: Vec<(&str, &str, Value)> = AWARDABLE
        .into_iter()
        .filter_map(|(name, kind)| Some((name, kind, given.take(name)?)))
        .collect();

    let (_, kind, first) = on.first().ok_or(ComposeError::Missing(
        trigger,
        "note, issue, merge_request, project_snippet or commit",
    ))?;

    given.or("awardable_type", *kind);

    // A commit has no number.
    given.or(
        "awardable_id",
        first.get("id").filter(|id| id.is_number()).cloned().unwrap_or_default(),
    );

    given.or("user_id", happened.user.id);

    let mut awarded = Vec::new();
    let (mut url, mut parent) = (Value::Null, None);

    for (name, kind, value) in on.iter().rev() {
        let value = if *name == "note" {
            let mut note = Given::of(trigger, Some(value.clone()));
            if let (Some(place), true) = (url.as_str(), note.has("id")) {
                let url = format!("{place}#note_{}", note.value("id"));
                note.or("url", url);
            }

            if let Some((kind, id)) = parent.take() {
                note.or("noteable_type", kind);
                note.or("noteable_id", id);
            }

            note::alone(happened, note)
        } else {
            note::noteable(happened, name, Given::of(trigger, Some(value.clone())))?
        };
        url = value.get("url").cloned().unwrap_or_default();

        parent = Some((
            *kind,
            value.get("id").filter(|id| id.is_number()).cloned().unwrap_or_default(),
        ));

        awarded.push((*name, value));
    }

    given.or("awarded_on_url", url);

    let action = given.text("action").unwrap_or("award").to_owned();
    let addresses = Addresses::of(project, happened.instance.base_url);

    let mut body = Map::from_iter(
        [
            ("object_kind", json!("emoji")),
            ("event_type", json!(action)),
            ("user", user(happened.user)),
            ("project_id", json!(project.id.0)),
            ("project", json!(addresses.project(project))),
            ("object_attributes", Value::Object(given.filled(&ATTRIBUTES))),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );

    body.extend(
        awarded
            .into_iter()
            .rev()
            .map(|(name, value)| (name.to_owned(), Value::Object(value))),
    );

    Ok(body)
}
