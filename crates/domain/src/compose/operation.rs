//! Several saves of one object that are one operation: one event with the whole difference.
//!
//! A forge saves an object more than once while it answers one request: a title, then labels, then what a rule added. Receivers
//! want to hear of it once, with what was there before the first save and what is there after the last, as GitLab's
//! `ReportableChanges` has it.

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use super::fields::without_secrets;
use super::{ComposeError, Happened, Instance, MAX_OBJECT, Scene, User};
use crate::{Timestamp, Trigger};

/// Longest name of an operation, in bytes.
pub const MAX_NAME: usize = 255;

/// What the saves of one object come to so far.
#[derive(Clone, PartialEq, Debug)]
pub struct Operation {
    /// What kind of event it becomes: that of the last save.
    pub trigger: Trigger,
    user: User,
    object: Map<String, Value>,
    previous: Map<String, Value>,
}

/// How it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    trigger: String,
    user: User,
    object: Map<String, Value>,
    previous: Map<String, Value>,
}

impl Operation {
    /// One of a single save.
    ///
    /// # Errors
    /// When no event can be composed from it, now or with what is saved later.
    pub fn begin(save: &Happened<'_>) -> Result<Self, ComposeError> {
        let trigger = save.trigger;
        if ["push_hooks", "tag_push_hooks", "repository_update_hooks"].contains(&trigger.row().name) {
            return Err(ComposeError::NoSaves(trigger));
        }
        // Whatever comes later only adds to this: what can be composed now can be composed then.
        super::compose(save)?;
        let read = |value: &RawValue| Map::deserialize(value).map_err(|error| ComposeError::Object(trigger, error));
        let mut operation = Self {
            trigger,
            user: save.user.clone(),
            object: read(save.object)?,
            previous: save.previous.map(read).transpose()?.unwrap_or_default(),
        };
        // Nothing that is not passed on is kept either.
        without_secrets(&mut operation.object);
        without_secrets(&mut operation.previous);
        Ok(operation)
    }

    /// Names the object among those of its kind in one place; nothing for what has no number.
    #[must_use]
    pub fn object_name(&self) -> String {
        let number = ["id", "iid"].into_iter().find_map(|name| self.object.get(name).filter(|value| !value.is_null()));
        let kind = self.trigger.row().object_kinds.first().copied().unwrap_or(self.trigger.row().name);
        let number = number.map(ToString::to_string).unwrap_or_default();
        format!("{kind} {}", number.chars().take(MAX_NAME).collect::<String>())
    }

    /// The same with a later save: what is now is the later one's, what was before is the earlier one's.
    ///
    /// # Errors
    /// When it becomes too large.
    pub fn then(mut self, later: Self) -> Result<Self, ComposeError> {
        let said = action(&self.object);
        self.object.extend(later.object);
        let trigger = kind_of(later.trigger, &self.object);
        // An update says least: what is opened and then changed was opened.
        if let Some(said) = said
            && action(&self.object).as_deref() == Some("update")
        {
            self.object.insert("action".to_owned(), Value::String(said));
        }
        for (name, value) in later.previous {
            self.previous.entry(name).or_insert(value);
        }
        let user = if later.user == User::default() { self.user } else { later.user };
        let merged = Self { trigger, user, object: self.object, previous: self.previous };
        let length = serde_json::to_vec(&merged.object).map_or(usize::MAX, |object| object.len());
        if length > MAX_OBJECT { Err(ComposeError::TooLarge(trigger)) } else { Ok(merged) }
    }

    /// The body of the one event.
    ///
    /// # Errors
    /// When it is too large, or belongs elsewhere.
    pub fn compose(&self, scene: Scene<'_>, instance: Instance<'_>, at: Timestamp) -> Result<Vec<u8>, ComposeError> {
        let raw =
            |value: &Map<String, Value>| to_raw_value(value).map_err(|error| ComposeError::Object(self.trigger, error));
        let (object, previous) = (raw(&self.object)?, raw(&self.previous)?);
        let (trigger, user) = (self.trigger, &self.user);
        super::compose(&Happened { trigger, scene, user, object: &object, previous: Some(&previous), instance, at })
    }

    /// As it is kept between saves.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let Self { trigger, user, object, previous } = self.clone();
        let kept = Kept { trigger: trigger.row().name.to_owned(), user, object, previous };
        serde_json::to_vec(&kept).expect("maps of JSON values can be written")
    }

    /// From what was kept; nothing from anything else.
    #[must_use]
    pub fn from_json(kept: &[u8]) -> Option<Self> {
        let Kept { trigger, user, object, previous } = serde_json::from_slice(kept).ok()?;
        Some(Self { trigger: Trigger::by_name(&trigger)?, user, object, previous })
    }
}

/// See [`super::kind_of`].
pub(super) fn kind_of(trigger: Trigger, object: &Map<String, Value>) -> Trigger {
    let is = |value: Option<&Value>, name: &str| value.and_then(|value| value.get(name)) == Some(&Value::Bool(true));
    let own = ["confidential", "internal"].iter().any(|name| object.get(*name) == Some(&Value::Bool(true)));
    let confidential = match trigger.row().name {
        "issue_hooks" if own => "confidential_issue_hooks",
        "note_hooks" if own || is(object.get("issue"), "confidential") => "confidential_note_hooks",
        _ => return trigger,
    };
    Trigger::by_name(confidential).unwrap_or(trigger)
}

fn action(object: &Map<String, Value>) -> Option<String> {
    object.get("action").and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::compose::UploadLinks;
    use crate::compose::tests::project;

    const HOME: Instance<'_> = Instance { base_url: "https://git.example.com", upload_links: UploadLinks::ProjectPath };

    fn try_save(trigger: &str, object: &Value, previous: &Value) -> Result<Operation, ComposeError> {
        let (object, previous) = (to_raw_value(object).expect("JSON"), to_raw_value(previous).expect("JSON"));
        Operation::begin(&Happened {
            trigger: Trigger::by_name(trigger).expect("a trigger"),
            scene: Scene::Project(&project()),
            user: &User { id: 4, ..User::default() },
            object: &object,
            previous: Some(&previous),
            instance: HOME,
            at: Timestamp::from_seconds(1_773_649_800),
        })
    }

    fn save(object: &Value, previous: &Value) -> Operation {
        try_save("issue_hooks", object, previous).expect("it can be composed")
    }

    fn body(operation: &Operation) -> Value {
        let body = operation.compose(Scene::Project(&project()), HOME, Timestamp::default()).expect("composed");
        serde_json::from_slice(&body).expect("JSON")
    }

    /// Saves of one operation, each with what was there before it, and the `changes` of its event.
    fn check_changes(saves: &[(Value, Value)], expected: &Value) {
        let mut saves = saves.iter().map(|(object, previous)| {
            let mut object = object.clone();
            object["iid"] = json!(23);
            save(&object, previous)
        });
        let first = saves.next().expect("a save");
        let all = saves.fold(first, |earlier, later| {
            // It is kept between two saves.
            let kept = Operation::from_json(&earlier.to_json()).expect("kept");
            assert_eq!(kept, earlier);
            kept.then(later).expect("it is small")
        });
        assert_eq!(body(&all)["changes"], *expected);
    }

    #[test]
    fn changes_are_those_from_before_the_first_save_to_after_the_last() {
        let title = |title: &str| json!({ "title": title });
        check_changes(
            &[(title("b"), title("a")), (title("c"), title("b"))],
            &json!({"title": {"previous": "a", "current": "c"}}),
        );
        check_changes(&[(title("b"), title("a")), (title("a"), title("b"))], &json!({}));
        check_changes(
            &[(title("b"), title("a")), (json!({"weight": 3}), json!({"weight": null}))],
            &json!({"title": {"previous": "a", "current": "b"}, "weight": {"previous": null, "current": 3}}),
        );
        check_changes(&[(title("b"), json!({})), (title("b"), title("b"))], &json!({}));
        let labels =
            |titles: &[&str]| json!({"labels": titles.iter().map(|title| json!({"title": title})).collect::<Vec<_>>()});
        let all = save(&json!({"iid": 23, "labels": [{"title": "x"}]}), &labels(&[]))
            .then(save(&json!({"iid": 23, "labels": [{"title": "x"}, {"title": "y"}]}), &labels(&["x"])))
            .expect("it is small");
        let body = body(&all);
        assert_eq!(body["changes"]["labels"]["previous"], json!([]));
        assert_eq!(body["changes"]["labels"]["current"], body["labels"]);
        assert_eq!(body["labels"].as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn an_update_does_not_hide_what_was_done_before_it() {
        let action = |first: &str, second: &str| {
            let of = |action: &str| save(&json!({"iid": 23, "action": action}), &json!({}));
            body(&of(first).then(of(second)).expect("it is small"))["object_attributes"]["action"].clone()
        };
        assert_eq!(action("open", "update"), "open");
        assert_eq!(action("update", "close"), "close");
        assert_eq!(action("close", "reopen"), "reopen");
        let user = |operation: Operation| body(&operation)["user"]["id"].clone();
        let mut nobody = save(&json!({"iid": 23}), &json!({}));
        nobody.user = User::default();
        assert_eq!(user(save(&json!({"iid": 23}), &json!({})).then(nobody).expect("it is small")), 4);
    }

    #[test]
    fn what_is_confidential_after_the_last_save_is_told_as_such() {
        let open = save(&json!({"iid": 23, "confidential": false}), &json!({}));
        let hidden = save(&json!({"iid": 23, "confidential": true}), &json!({"confidential": false}));
        let last = save(&json!({"iid": 23, "title": "t"}), &json!({}));
        let all = open.then(hidden).and_then(|all| all.then(last)).expect("it is small");
        assert_eq!(all.trigger.row().name, "confidential_issue_hooks");
        assert_eq!(body(&all)["event_type"], "confidential_issue");
    }

    #[test]
    fn what_could_never_be_composed_is_no_save() {
        assert!(matches!(
            try_save("issue_hooks", &json!({"title": "x"}), &json!({})),
            Err(ComposeError::Missing(_, "iid"))
        ));
        assert!(matches!(try_save("push_hooks", &json!({}), &json!({})), Err(ComposeError::NoSaves(_))));
        let long = save(&json!({"iid": 23, "description": "x".repeat(MAX_OBJECT - 100)}), &json!({}));
        let more = save(&json!({"iid": 23, "title": "y".repeat(200)}), &json!({}));
        assert!(matches!(long.then(more), Err(ComposeError::TooLarge(_))));
    }

    #[test]
    fn what_is_kept_has_no_secrets_and_objects_have_names() {
        let issue = save(
            &json!({"id": 301, "iid": 23, "incoming_email_token": "x", "inner": [{"password": "y"}]}),
            &json!({"api_token": 1}),
        );
        let kept = String::from_utf8(issue.to_json()).expect("text");
        assert!(!kept.contains("token") && !kept.contains("password"), "{kept}");
        assert_eq!(issue.object_name(), "issue 301");
        assert_eq!(save(&json!({"iid": 23}), &json!({})).object_name(), "issue 23");
        let tag = try_save("release_hooks", &json!({"tag": "v1"}), &json!({})).expect("it can be composed");
        assert_eq!(tag.object_name(), "release ");
        assert_eq!(Operation::from_json(b"{}"), None);
    }
}
