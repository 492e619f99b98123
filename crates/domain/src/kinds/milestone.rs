//! Milestones of projects and of groups. Source: GitLab's `lib/gitlab/data_builder/milestone.rb` and its webhook events
//! page.

use serde_json::{Map, Value, json};

use super::Kind;
use crate::compose::fields::{Field, Given, null, utc};
use crate::compose::{Addresses, ComposeError, Composer, Happened, Scene};
use crate::scope::Levels;
use crate::trigger::Row;

pub(super) static MILESTONE: Kind = Kind {
    row: Row {
        code: 14,
        name: "milestone_hooks",
        meaning: "A milestone was created, closed, reopened or deleted.",
        attribute: Some("milestone_events"),
        header: "Milestone Hook",
        object_kinds: &["milestone"],
        levels: Levels::PG,
        actions: &["create", "close", "reopen", "delete"],
        ..Row::USUAL
    },
    composer: Some(Composer::Anywhere(compose)),
    identified_by: &["id"],
    report: Some(include_str!("../../../../fixtures/gitlab/milestone_hooks/report.json")),
    ..Kind::USUAL
};

const ATTRIBUTES: [Field; 11] = [
    null("id"),
    null("iid"),
    null("title"),
    null("description"),
    ("state", || json!("active")),
    null("created_at"),
    null("updated_at"),
    null("due_date"),
    null("start_date"),
    null("group_id"),
    null("project_id"),
];

fn compose(happened: &Happened<'_>) -> Result<Map<String, Value>, ComposeError> {
    let trigger = happened.trigger;
    let mut given = Given::read(trigger, happened.object)?;
    given.need("title")?;

    let action = given.take("action").unwrap_or_else(|| json!("create"));
    for name in ["created_at", "updated_at"] {
        given.or(name, utc(happened.at));
    }

    let mut body = Map::from_iter([
        ("object_kind".to_owned(), json!("milestone")),
        ("event_type".to_owned(), json!("milestone")),
    ]);

    match happened.scene {
        Scene::Project(project) => {
            given.or("project_id", project.id.0);

            let addresses = Addresses::of(project, happened.instance.base_url);
            body.insert("project".to_owned(), json!(addresses.project(project)));
        }
        Scene::Group(group) => given.or("group_id", group.id.0),
        Scene::Instance => return Err(ComposeError::Misplaced(trigger, "project or a group")),
    }

    body.insert("object_attributes".to_owned(), Value::Object(given.filled(&ATTRIBUTES)));
    body.insert("action".to_owned(), action);
    Ok(body)
}
