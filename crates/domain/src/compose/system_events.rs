//! Bodies without an object: members, subgroups, projects of groups, and most events of system hooks. Source: GitLab's
//! webhook events and system hooks pages.
//!
//! A forge gives the attributes by these names, or the objects themselves (`user`, `group`, `project`) as in other
//! events. Attributes that the scene knows are filled in.

use serde_json::{Map, Value, json};

use super::fields::{Field, Given, REDACTED, iso_of, null};
use super::{ComposeError, Happened, Scene};
use crate::Trigger;
use crate::scope::Project;

/// The attributes of a kind.
pub(crate) struct Shape {
    /// All of them, in GitLab's order.
    pub(crate) fields: &'static [&'static str],

    /// The attributes without which a receiver could not know what happened.
    pub(crate) needed: &'static [&'static str],
}

impl Shape {
    fn has(&self, name: &str) -> bool {
        self.fields.contains(&name)
    }
}

pub(crate) fn compose(shape: &Shape, happened: &Happened<'_>) -> Result<Map<String, Value>, ComposeError> {
    let trigger = happened.trigger;
    let mut given = Given::read(trigger, happened.object)?;
    let names = trigger.row().event_names;

    match (given.text("event_name"), names) {
        (Some(name), _) if names.contains(&name) => {}
        (None, [only]) => given.or("event_name", *only),
        _ => return Err(ComposeError::WhichEvent(trigger)),
    }

    for name in ["created_at", "updated_at"] {
        given.or(name, iso_of(happened.at));
    }

    people(shape, &mut given, trigger);
    groups(shape, &mut given, happened);
    projects(shape, &mut given, happened);
    before(shape, &mut given, happened)?;

    for name in ["group_access", "access_level"] {
        let known = match given.value(name) {
            Value::Null => continue,
            Value::String(said) => ROLES.iter().find(|(_, name)| name.eq_ignore_ascii_case(&said)),
            said => ROLES.iter().find(|(level, _)| said == json!(level)),
        };

        let Some((_, role)) = known else {
            return Err(ComposeError::Shape(
                trigger,
                name.to_owned(),
                "a role's name or number, as Developer or 30",
            ));
        };

        given.set(name, json!(role));
    }

    if shape.has("state") {
        given.or("state", "blocked");
    }

    for name in shape.needed {
        given.need(name)?;
    }

    let fields: Vec<Field> = shape.fields.iter().map(|name| null(name)).collect();
    let mut filled = given.filled(&fields);

    // The documented bodies of groups have it only after a rename.
    let is_optional = shape.has("full_path") && !shape.has("parent_name") && !shape.has("old_path");
    if is_optional && filled.get("full_path").is_some_and(Value::is_null) {
        filled.shift_remove("full_path");
    }

    Ok(filled)
}

/// Fills in the user that the event is about, from `user` or from the attributes.
fn people(shape: &Shape, given: &mut Given, trigger: Trigger) {
    let mut user = Given::of(trigger, given.take("user"));
    if shape.has("user_username") {
        for (name, of) in [
            ("id", "user_id"),
            ("name", "user_name"),
            ("username", "user_username"),
            ("email", "user_email"),
        ] {
            given.or(of, user.take(name).unwrap_or_default());
        }

        given.redact("user_email");
    } else if shape.has("username") && shape.has("email") {
        if let Some(id) = given.take("id").or_else(|| user.take("id")) {
            given.or("user_id", id);
        }

        for name in ["name", "username", "email", "state"]
            .into_iter()
            .filter(|name| shape.has(name))
        {
            given.or(name, user.take(name).unwrap_or_default());
        }

        given.redact("email");
    } else if shape.has("key") {
        given.or("username", user.take("username").unwrap_or_default());
    }
}

/// Fills in the group that the event is about, or the group of a member, and its parent.
fn groups(shape: &Shape, given: &mut Given, happened: &Happened<'_>) {
    if !shape.has("group_id") {
        return;
    }

    let mut group = Given::of(happened.trigger, given.take("group"));
    let (id, name, path) = if shape.has("group_name") {
        ("group_id", "group_name", "group_path")
    } else {
        ("group_id", "name", "path")
    };

    if let Some(own) = given.take("id").or_else(|| group.take("id")) {
        given.or(id, own);
    }

    given.or(name, group.take("name").unwrap_or_default());
    given.or(path, group.take("path").unwrap_or_default());

    if shape.has("full_path") {
        given.or("full_path", group.take("full_path").unwrap_or_default());

        let last = given.text("full_path").map(|path| last_of(path).to_owned());
        given.or(path, last.map_or(Value::Null, Value::String));
    }

    if let Scene::Group(scene) = happened.scene {
        if shape.has("parent_group_id") {
            given.or("parent_group_id", scene.id.0);
            given.or("parent_name", scene.name.as_str());
            given.or("parent_path", last_of(&scene.full_path));
            given.or("parent_full_path", scene.full_path.as_str());

            let full = given.text("path").map(|path| format!("{}/{path}", scene.full_path));
            given.or("full_path", full.map_or(Value::Null, Value::String));
        } else {
            given.or(id, scene.id.0);
            given.or(name, scene.name.as_str());
            given.or(path, last_of(&scene.full_path));
        }
    }
}

/// Fills in the project that the event is about, or the project of a member.
fn projects(shape: &Shape, given: &mut Given, happened: &Happened<'_>) {
    if !shape.has("project_id") {
        return;
    }

    let trigger = happened.trigger;
    let mut project = Given::of(trigger, given.take("project"));
    if let Scene::Project(scene) = happened.scene {
        fill(&mut project, scene);
    }

    let (name, path, full) = if shape.has("project_name") {
        ("project_name", "project_path", "project_path_with_namespace")
    } else {
        ("name", "path", "path_with_namespace")
    };

    if let Some(id) = given.take("id").or_else(|| project.take("id")) {
        given.or("project_id", id);
    }

    if shape.has("project_namespace_id") {
        given.or("project_namespace_id", project.take("namespace_id").unwrap_or_default());
    }

    given.or(name, project.take("name").unwrap_or_default());
    given.or(full, project.take("path_with_namespace").unwrap_or_default());

    let last = given.text(full).map(|path| last_of(path).to_owned());
    given.or(path, last.map_or(Value::Null, Value::String));

    let level = [given.take("visibility_level"), project.take("visibility_level")]
        .into_iter()
        .flatten()
        .next();

    let word = [given.take("visibility"), project.take("visibility")]
        .into_iter()
        .flatten()
        .next();

    let visibility = word.or_else(|| {
        level
            .as_ref()
            .and_then(Value::as_i64)
            .and_then(visibility)
            .map(Value::from)
    });
    given.or("project_visibility", visibility.unwrap_or_default());

    if !shape.has("owners") {
        return;
    }

    let mut owners = given.take_list("owners");
    if let Some(owner) = given.take("owner") {
        owners.insert(0, owner);
    }

    let owner = |owner: Value| {
        let mut owner = Given::of(trigger, Some(owner));
        let name = owner.take("name").unwrap_or_default();
        json!({ "name": name, "email": owner.take("email").unwrap_or_else(|| json!(REDACTED)) })
    };
    let owners: Vec<Value> = owners.into_iter().map(owner).collect();

    if shape.has("owner_name") {
        given.or(
            "owner_name",
            owners.first().map(|owner| owner["name"].clone()).unwrap_or_default(),
        );

        given.or(
            "owner_email",
            owners.first().map(|owner| owner["email"].clone()).unwrap_or_default(),
        );
    }

    given.set("owners", Value::Array(owners));
}

fn fill(project: &mut Given, scene: &Project) {
    project.or("id", scene.id.0);
    project.or("name", scene.name.as_str());
    project.or("path_with_namespace", scene.path_with_namespace.as_str());
    project.or("visibility_level", scene.visibility_level);
    project.or("namespace_id", scene.group.0);
}

/// Fills in the names from before a rename.
fn before(shape: &Shape, given: &mut Given, happened: &Happened<'_>) -> Result<(), ComposeError> {
    let Some(previous) = happened.previous else {
        return Ok(());
    };
    let mut previous = Given::read(happened.trigger, previous)?;

    for name in ["username", "path", "full_path", "path_with_namespace"] {
        let old = format!("old_{name}");
        if let Some(value) = previous.take(name).filter(|_| shape.has(&old)) {
            given.or_named(&old, value);
        }
    }

    if shape.has("old_path") {
        let last = given.text("old_full_path").map(|path| last_of(path).to_owned());
        given.or("old_path", last.map_or(Value::Null, Value::String));
    }

    Ok(())
}

fn last_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// GitLab's names of access levels.
const ROLES: [(i64, &str); 7] = [
    (5, "Minimal Access"),
    (10, "Guest"),
    (15, "Planner"),
    (20, "Reporter"),
    (30, "Developer"),
    (40, "Maintainer"),
    (50, "Owner"),
];

const fn visibility(level: i64) -> Option<&'static str> {
    Some(match level {
        0 => "private",
        10 => "internal",
        20 => "public",
        _ => return None,
    })
}
