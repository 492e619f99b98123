//! Repository updates for system hooks: one event for each push, however many refs it moves. Source: GitLab's
//! `lib/gitlab/data_builder/repository.rb` and its system hooks page.

use serde_json::{Map, Value, json};

use super::Kind;
use crate::Trigger;
use crate::compose::fields::Given;
use crate::compose::{Addresses, ComposeError, Composer, InProject};
use crate::trigger::Row;

impl Trigger {
    /// All refs that one push moved, for system hooks.
    pub const REPOSITORY_UPDATE: Self = Self::of(&REPOSITORY_UPDATE.row);
}

pub(super) static REPOSITORY_UPDATE: Kind = Kind {
    row: Row {
        attribute: Some("repository_update_events"),
        lists: &["changes"],
        ..Row::system(
            22,
            "repository_update_hooks",
            "A push changed refs of a repository; one event for all refs.",
            &["repository_update"],
        )
    },
    composer: Some(Composer::InProject(compose)),
    ..Kind::USUAL
};

fn compose(happened: &InProject<'_>) -> Result<Map<String, Value>, ComposeError> {
    let (project, user) = (happened.scene, happened.user);
    let mut given = Given::read(happened.trigger, happened.object)?;
    given.need("changes")?;

    let changes = given.take_list("changes");
    let refs = match given.take_list("refs") {
        given if given.is_empty() => {
            let mut refs: Vec<Value> = Vec::new();
            for moved in changes
                .iter()
                .map(|change| &change["ref"])
                .filter(|moved| moved.is_string())
            {
                if !refs.contains(moved) {
                    refs.push(moved.clone());
                }
            }

            refs
        }
        given => given,
    };

    let addresses = Addresses::of(project, happened.instance.base_url);
    Ok(Map::from_iter(
        [
            ("event_name", json!("repository_update")),
            ("user_id", json!(user.id)),
            ("user_name", json!(user.name)),
            ("user_email", json!(user.email)),
            ("user_avatar", json!(user.avatar_url)),
            ("project_id", json!(project.id.0)),
            ("project", json!(addresses.project(project))),
            ("changes", Value::Array(changes)),
            ("refs", Value::Array(refs)),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    ))
}
