//! The attributes of a reported object, in GitLab's order and with GitLab's defaults; and the objects that several
//! kinds share.

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::{ComposeError, InProject, Instance, MAX_TREE, User, image_links, shapes, tree_of};
use crate::scope::{Group, Project};
use crate::times::spelling::{self, Form};
use crate::{Timestamp, Trigger};

/// The mask of an e-mail address that its owner does not show.
pub(crate) const REDACTED: &str = "[REDACTED]";

/// An attribute that a body always has, and its value when the forge does not report it.
pub(crate) type Field = (&'static str, fn() -> Value);

pub(crate) const fn null(name: &'static str) -> Field {
    (name, || Value::Null)
}

pub(crate) const fn no(name: &'static str) -> Field {
    (name, || Value::Bool(false))
}

pub(crate) const fn zero(name: &'static str) -> Field {
    (name, || json!(0))
}

pub(crate) const fn list(name: &'static str) -> Field {
    (name, || json!([]))
}

/// An object as the forge gives it.
#[derive(Clone)]
pub(crate) struct Given {
    trigger: Trigger,
    values: Map<String, Value>,
}

impl Given {
    pub(crate) fn read(trigger: Trigger, object: &RawValue) -> Result<Self, ComposeError> {
        let mut values = tree_of(trigger, object, MAX_TREE)?;
        shapes::check(trigger, &values)?;
        without_secrets(&mut values);
        spelling::respell(&trigger.row().times, &mut values);

        Ok(Self { trigger, values })
    }

    pub(crate) fn of(trigger: Trigger, value: Option<Value>) -> Self {
        let values = match value {
            Some(Value::Object(values)) => values,
            _ => Map::new(),
        };
        Self { trigger, values }
    }

    /// Takes a value out. What is null is as good as absent.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.values.shift_remove(name).filter(|value| !value.is_null())
    }

    pub(crate) fn take_list(&mut self, name: &str) -> Vec<Value> {
        match self.take(name) {
            Some(Value::Array(values)) => values,
            _ => Vec::new(),
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.values.get(name).is_some_and(|value| !value.is_null())
    }

    /// A value as it is; null if it is absent.
    pub(crate) fn value(&self, name: &str) -> Value {
        self.values.get(name).cloned().unwrap_or_default()
    }

    pub(crate) fn set(&mut self, name: &str, value: Value) {
        self.values.insert(name.to_owned(), value);
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).and_then(Value::as_str)
    }

    /// A value that has to be there.
    pub(crate) fn need(&self, name: &'static str) -> Result<&Value, ComposeError> {
        let value = self.values.get(name).filter(|value| !value.is_null());
        value.ok_or(ComposeError::Missing(self.trigger, name))
    }

    /// Whether the action says that the object is new. A forge that says no action means `usual`.
    pub(crate) fn is_new(&self, usual: &str) -> bool {
        matches!(self.text("action").unwrap_or(usual), "open" | "create" | "award")
    }

    /// Fills in the attributes that follow from the action: a new object was created now and by the user, and a closed
    /// object is closed. A time that nobody knows stays null, because metrics would count an invented one.
    pub(crate) fn follows_from_action(&mut self, happened: &InProject<'_>, usual: &str) {
        let now = utc(happened.at);
        if self.is_new(usual) {
            self.or("created_at", now.clone());
            if happened.user.id != 0 {
                self.or("author_id", happened.user.id);
            }
        }

        self.or("updated_at", now);

        let state = match self.text("action") {
            Some("close") => "closed",
            Some("merge") => "merged",
            _ => return,
        };
        if !self.has("state") && !self.has("state_id") {
            self.set("state", state.into());
        }
    }

    /// Masks an address that is not shown.
    pub(crate) fn redact(&mut self, name: &'static str) {
        if self.text(name).is_none_or(str::is_empty) {
            self.set(name, REDACTED.into());
        }
    }

    /// Sets what the forge left open.
    pub(crate) fn or(&mut self, name: &'static str, value: impl Into<Value>) {
        self.or_named(name, value);
    }

    pub(crate) fn or_named(&mut self, name: &str, value: impl Into<Value>) {
        let known = self.values.entry(name).or_insert(Value::Null);
        if known.is_null() {
            *known = value.into();
        }
    }

    /// Makes images in a Markdown text absolute.
    pub(crate) fn absolute_images(&mut self, name: &str, project: &Project, instance: &Instance<'_>) {
        if let Some(Value::String(text)) = self.values.get_mut(name) {
            *text = image_links::absolute(text, project, instance).into_owned();
        }
    }

    /// These attributes in their order, and no others: a forge may report more of an object than receivers may see.
    pub(crate) fn filled(mut self, fields: &[Field]) -> Map<String, Value> {
        let known = fields.iter().map(|(name, default)| {
            let value = self.values.shift_remove(*name).filter(|value| !value.is_null());
            ((*name).to_owned(), value.unwrap_or_else(default))
        });
        known.collect()
    }
}

/// Takes out what is called as secrets are, at any depth.
pub(crate) fn without_secrets(values: &mut Map<String, Value>) {
    values.retain(|name, _| !is_secret(name));

    for value in values.values_mut() {
        match value {
            Value::Object(inner) => without_secrets(inner),
            Value::Array(all) => all
                .iter_mut()
                .filter_map(Value::as_object_mut)
                .for_each(without_secrets),
            _ => {}
        }
    }
}

fn is_secret(name: &str) -> bool {
    // Says what a token is for.
    if name == "deploy_token_type" {
        return false;
    }

    let name = name.to_ascii_lowercase();
    let words = [
        "token",
        "secret",
        "password",
        "passwd",
        "private_key",
        "credential",
        "otp_",
        "encrypted_",
        "api_key",
        "session",
        "import_url",
    ];
    words.iter().any(|word| name.contains(word))
}

/// A point in time as most attributes of real bodies spell it.
pub(crate) fn utc(at: Timestamp) -> String {
    Form::Utc.spell(&at.to_iso()).into_owned()
}

/// A point in time as bodies without an object spell it.
pub(crate) fn iso_of(at: Timestamp) -> String {
    iso(&at.to_iso())
}

/// The same for a time, which the forge may write in any format.
pub(crate) fn iso(text: &str) -> String {
    Form::Iso.spell(text).into_owned()
}

const LABEL: [Field; 10] = [
    null("id"),
    null("title"),
    null("color"),
    null("project_id"),
    null("created_at"),
    null("updated_at"),
    no("template"),
    null("description"),
    ("type", || json!("ProjectLabel")),
    null("group_id"),
];

/// Labels with all their keys.
pub(crate) fn labels(trigger: Trigger, given: Vec<Value>) -> Value {
    given
        .into_iter()
        .map(|label| Value::Object(Given::of(trigger, Some(label)).filled(&LABEL)))
        .collect()
}

const CONTACT: [Field; 9] = [
    null("created_at"),
    null("description"),
    null("first_name"),
    null("group_id"),
    null("id"),
    null("last_name"),
    null("organization_id"),
    ("state", || json!("active")),
    null("updated_at"),
];

/// Contacts of customers, without their addresses and telephone numbers, which GitLab does not send either.
pub(crate) fn contacts(trigger: Trigger, given: Vec<Value>) -> Value {
    given
        .into_iter()
        .map(|one| Value::Object(Given::of(trigger, Some(one)).filled(&CONTACT)))
        .collect()
}

pub(crate) const PERSON: [Field; 5] = [
    null("id"),
    null("name"),
    null("username"),
    null("avatar_url"),
    ("email", || json!(REDACTED)),
];

/// People with all their keys; an address that is not shown is masked.
pub(crate) fn people(trigger: Trigger, given: Vec<Value>) -> Value {
    given
        .into_iter()
        .map(|one| Value::Object(person(trigger, one).filled(&PERSON)))
        .collect()
}

/// One of them.
pub(crate) fn person(trigger: Trigger, given: Value) -> Given {
    let mut person = Given::of(trigger, Some(given));
    person.redact("email");
    person
}

const RUNNER: [Field; 6] = [
    null("id"),
    null("description"),
    ("runner_type", || json!("instance_type")),
    ("active", || json!(true)),
    no("is_shared"),
    list("tags"),
];

/// The runner of a job, where it is known.
pub(crate) fn runner(trigger: Trigger, given: Option<Value>) -> Value {
    given.map_or(Value::Null, |runner| {
        Value::Object(Given::of(trigger, Some(runner)).filled(&RUNNER))
    })
}

/// The user who caused the event.
pub(crate) fn user(user: &User) -> Value {
    json!({
        "id": user.id,
        "name": user.name,
        "username": user.username,
        "avatar_url": user.avatar_url,
        "email": user.email.as_deref().filter(|email| !email.is_empty()).unwrap_or(REDACTED),
    })
}

/// A group, as issues and tokens have it.
pub(crate) fn group(group: &Group) -> Value {
    let path = group.full_path.rsplit('/').next().unwrap_or_default();
    json!({ "group_name": group.name, "group_path": path, "group_id": group.id.0, "full_path": group.full_path })
}

/// The page of the user who caused the event.
pub(crate) fn user_url(user: &User, instance: &Instance<'_>) -> Value {
    json!(format!("{}/{}", instance.base_url.trim_end_matches('/'), user.username))
}

/// The ids of people or of other things.
pub(crate) fn ids(of: &Value) -> Vec<Value> {
    of.as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| one.get("id").cloned())
        .collect()
}

/// People beside the attributes: their name, who they are now, and how they are written.
pub(crate) type Beside<'a> = (&'a str, &'a Value, fn(Trigger, Vec<Value>) -> Value);

/// The changes: each attribute that `previous` names, with both values. Those `beside` stand
/// apart from the attributes.
pub(crate) fn changes(
    happened: &InProject<'_>,
    now: &Map<String, Value>,
    attributes: &[Field],
    beside: &[Beside<'_>],
) -> Result<Value, ComposeError> {
    let Some(previous) = happened.previous else {
        return Ok(json!({}));
    };
    let mut before = Given::read(happened.trigger, previous)?;

    let lists: [Beside<'_>; 2] = [
        ("labels", &Value::Null, labels),
        ("customer_relations_contacts", &Value::Null, contacts),
    ];

    for (name, _, written) in beside.iter().copied().chain(lists) {
        // Nobody and none are an empty list.
        if before.values.contains_key(name) {
            let previous = written(happened.trigger, before.take_list(name));
            before.or_named(name, previous);
        }
    }

    before.absolute_images("description", happened.scene, &happened.instance);

    let current = |name: &str| match beside.iter().find(|(known, ..)| *known == name) {
        Some((_, people, _)) => (*people).clone(),
        None => now.get(name).cloned().unwrap_or(Value::Null),
    };

    let is_known = |name: &str| {
        attributes
            .iter()
            .chain(&[null("labels")])
            .any(|(known, _)| *known == name)
            || beside.iter().any(|(known, ..)| *known == name)
    };

    let default = |name: &str| {
        attributes
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, default)| default())
    };

    let changed = before
        .values
        .into_iter()
        .filter(|(name, _)| is_known(name))
        .filter_map(|(name, previous)| {
            let current = current(&name);

            // An attribute that was left open before had the value that it has when it is left open now.
            let previous = if previous.is_null() {
                default(&name).unwrap_or_default()
            } else {
                previous
            };
            if previous == current {
                return None;
            }

            // A repeated request for a review appears in both lists only.
            let is_asked_again = name == "reviewers"
                && current
                    .as_array()
                    .into_iter()
                    .flatten()
                    .any(|reviewer| reviewer["re_requested"] == true);

            let change = json!({ "previous": previous, "current": current });
            Some((
                name,
                if is_asked_again {
                    json!([previous, current])
                } else {
                    change
                },
            ))
        });
    Ok(Value::Object(changed.collect()))
}
