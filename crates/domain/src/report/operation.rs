//! Several saves of one object that are one operation: one event with the whole difference.
//!
//! A forge saves an object more than once while it answers one request: a title, then labels, then what a rule added.
//! Receivers want one event, with what was there before the first save and what is there after the last, as
//! GitLab's `ReportableChanges` has it.

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use crate::compose::fields::without_secrets;
use crate::compose::{ComposeError, Happened, Instance, MAX_OBJECT, MAX_TREE, Scene, User, kind_of, tree_of};
use crate::kinds::Kind;
use crate::{Timestamp, Trigger};

/// Longest name of an operation, in bytes.
pub const MAX_NAME: usize = 255;

/// The sum of the saves of one object so far.
#[derive(Clone, PartialEq, Debug)]
pub struct Operation {
    /// The kind of the event: that of the last save.
    pub trigger: Trigger,
    user: User,
    object: Map<String, Value>,
    previous: Map<String, Value>,
}

/// How it is written to be kept.
#[derive(Serialize)]
struct ToKeep<'a> {
    trigger: &'a str,
    user: &'a User,
    object: &'a Map<String, Value>,
    previous: &'a Map<String, Value>,
}

/// The same as it is read.
#[derive(Deserialize)]
struct Kept<'a> {
    trigger: String,
    user: User,
    #[serde(borrow)]
    object: &'a RawValue,
    #[serde(borrow)]
    previous: &'a RawValue,
}

impl Operation {
    /// One of a single save.
    ///
    /// # Errors
    /// When no event can be composed from it, now or with what is saved later.
    pub fn begin(save: &Happened<'_>) -> Result<Self, ComposeError> {
        let trigger = save.trigger;
        let Some(needed) = Kind::of(trigger).identified_by.first() else {
            return Err(ComposeError::NoSaves(trigger));
        };

        // Later saves only add to the sum, so a sum that can be composed now can be composed later.
        super::compose(save)?;

        let read = |value: &RawValue| tree_of(trigger, value, MAX_TREE);
        let mut operation = Self {
            trigger,
            user: save.user.clone(),
            object: read(save.object)?,
            previous: save.previous.map(read).transpose()?.unwrap_or_default(),
        };

        if !Kind::of(trigger)
            .identified_by
            .iter()
            .any(|name| operation.object.get(*name).is_some_and(|value| !value.is_null()))
        {
            return Err(ComposeError::Missing(trigger, needed));
        }

        // Nothing that is not passed on is kept either.
        without_secrets(&mut operation.object);
        without_secrets(&mut operation.previous);
        operation.bounded()
    }

    /// Names the object among those of its kind in one place.
    #[must_use]
    pub fn object_name(&self) -> String {
        let kind = self
            .trigger
            .row()
            .object_kinds
            .first()
            .copied()
            .unwrap_or(self.trigger.row().name);

        let known = Kind::of(self.trigger)
            .identified_by
            .iter()
            .find_map(|name| self.object.get(*name).filter(|value| !value.is_null()));
        let known = known.map(ToString::to_string).unwrap_or_default();
        format!("{kind} {}", known.chars().take(MAX_NAME).collect::<String>())
    }

    /// The same with a later save: what is now is the later one's, what was before is the earlier one's.
    ///
    /// # Errors
    /// When it becomes too large.
    pub fn then(mut self, later: Self) -> Result<Self, ComposeError> {
        let said = action(&self.object);
        let is_public = later.object.get("confidential") == Some(&Value::Bool(false));

        // Attributes that the later save omits follow from those that it has, and not from earlier saves.
        for (_, derived) in DERIVED.iter().filter(|(name, _)| later.object.contains_key(*name)) {
            for name in *derived {
                self.object.shift_remove(*name);
            }
        }

        self.object.extend(later.object);

        // A confidential object stays confidential until a save says otherwise.
        let named = if self.trigger.row().confidential && !is_public {
            self.trigger
        } else {
            later.trigger
        };
        let trigger = match to_raw_value(&self.object) {
            Ok(object) => kind_of(named, &object),
            Err(_) => named,
        };

        // An update says least: what is opened and then changed was opened.
        if let Some(said) = said
            && action(&self.object).as_deref() == Some("update")
        {
            self.object.insert("action".to_owned(), Value::String(said));
        }

        for (name, value) in later.previous {
            self.previous.entry(name).or_insert(value);
        }

        let user = if later.user == User::default() {
            self.user
        } else {
            later.user
        };

        Self {
            trigger,
            user,
            object: self.object,
            previous: self.previous,
        }
        .bounded()
    }

    fn bounded(self) -> Result<Self, ComposeError> {
        let length = |map| serde_json::to_vec(map).map_or(usize::MAX, |text| text.len());
        let is_small = length(&self.object).saturating_add(length(&self.previous)) <= MAX_OBJECT;

        if is_small {
            Ok(self)
        } else {
            Err(ComposeError::TooLarge(self.trigger))
        }
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

        super::compose(&Happened {
            trigger,
            scene,
            user,
            object: &object,
            previous: Some(&previous),
            instance,
            at,
        })
    }

    /// As it is kept between saves.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let Self {
            trigger,
            user,
            object,
            previous,
        } = self;

        let kept = ToKeep {
            trigger: trigger.row().name,
            user,
            object,
            previous,
        };
        serde_json::to_vec(&kept).expect("maps of JSON values can be written")
    }

    /// From what was kept; nothing from anything else.
    #[must_use]
    pub fn from_json(kept: &[u8]) -> Option<Self> {
        let Kept {
            trigger,
            user,
            object,
            previous,
        } = serde_json::from_slice(kept).ok()?;

        let trigger = Trigger::by_name(&trigger)?;
        // The kept report was composed before, within the same budget.
        let read = |value: &RawValue| tree_of(trigger, value, MAX_TREE).ok();

        Some(Self {
            trigger,
            user,
            object: read(object)?,
            previous: read(previous)?,
        })
    }
}

/// The attributes that follow from another attribute where the forge omits them.
const DERIVED: [(&str, &[&str]); 8] = [
    ("state", &["state_id"]),
    ("state_id", &["state"]),
    ("assignees", &["assignee_ids", "assignee_id", "assignee"]),
    ("assignee_ids", &["assignee_id"]),
    ("reviewers", &["reviewer_ids"]),
    ("draft", &["work_in_progress"]),
    ("work_in_progress", &["draft"]),
    ("updated_at", &["actioned_at"]),
];

fn action(object: &Map<String, Value>) -> Option<String> {
    object.get("action").and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::compose::UploadLinks;
    use crate::report::tests::project;

    const HOME: Instance<'_> = Instance {
        base_url: "https://git.example.com",
        upload_links: UploadLinks::ProjectPath,
    };

    fn try_save(trigger: &str, object: &Value, previous: &Value) -> Result<Operation, ComposeError> {
        let (object, previous) = (
            to_raw_value(object).expect("JSON"),
            to_raw_value(previous).expect("JSON"),
        );

        Operation::begin(&Happened {
            trigger: Trigger::by_name(trigger).expect("a trigger"),
            scene: Scene::Project(&project()),
            user: &User {
                id: 4,
                ..User::default()
            },
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
        let body = operation
            .compose(Scene::Project(&project()), HOME, Timestamp::default())
            .expect("composed");
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
            &[
                (title("b"), title("a")),
                (json!({"weight": 3}), json!({"weight": null})),
            ],
            &json!({"title": {"previous": "a", "current": "b"}, "weight": {"previous": null, "current": 3}}),
        );

        check_changes(&[(title("b"), json!({})), (title("b"), title("b"))], &json!({}));

        let labels =
            |titles: &[&str]| json!({"labels": titles.iter().map(|title| json!({"title": title})).collect::<Vec<_>>()});
        let all = save(&json!({"iid": 23, "labels": [{"title": "x"}]}), &labels(&[]))
            .then(save(
                &json!({"iid": 23, "labels": [{"title": "x"}, {"title": "y"}]}),
                &labels(&["x"]),
            ))
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

        assert_eq!(
            user(save(&json!({"iid": 23}), &json!({})).then(nobody).expect("it is small")),
            4
        );
    }

    #[test]
    fn what_is_confidential_after_the_last_save_is_told_as_such() {
        let open = save(&json!({"iid": 23, "confidential": false}), &json!({}));
        let hidden = save(
            &json!({"iid": 23, "confidential": true}),
            &json!({"confidential": false}),
        );

        let last = save(&json!({"iid": 23, "title": "t"}), &json!({}));
        let all = open.then(hidden).and_then(|all| all.then(last)).expect("it is small");
        assert_eq!(all.trigger.row().name, "confidential_issue_hooks");
        assert_eq!(body(&all)["event_type"], "confidential_issue");

        let public = save(
            &json!({"iid": 23, "confidential": false}),
            &json!({"confidential": true}),
        );
        assert_eq!(all.then(public).expect("it is small").trigger.row().name, "issue_hooks");

        // Comments stay what they are, also when a later save says less of what they stand on.
        let on = |confidential: Value| json!({"id": 1, "note": "n", "issue": {"iid": 1, "confidential": confidential}});
        let note = try_save("confidential_note_hooks", &on(json!(true)), &json!({})).expect("it can be composed");
        let later = try_save("note_hooks", &on(Value::Null), &json!({})).expect("it can be composed");
        assert_eq!(
            note.then(later).expect("it is small").trigger.row().name,
            "confidential_note_hooks"
        );
    }

    #[test]
    fn what_follows_from_an_attribute_follows_from_the_last() {
        let first = json!({"iid": 5, "state": "opened", "state_id": 1, "assignees": [{"id": 1}], "assignee_ids": [1]});
        let last = json!({"iid": 5, "state": "merged", "assignees": []});
        let of = |object| try_save("merge_request_hooks", object, &json!({"state_id": 1})).expect("it can be composed");
        let merged = body(&of(&first).then(of(&last)).expect("it is small"));
        let attributes = &merged["object_attributes"];

        assert_eq!(
            (&attributes["state"], &attributes["state_id"]),
            (&json!("merged"), &json!(3))
        );

        assert_eq!(merged["changes"]["state_id"], json!({"previous": 1, "current": 3}));
        assert_eq!(
            (&attributes["assignee_ids"], &attributes["assignee_id"]),
            (&json!([]), &Value::Null)
        );
    }

    #[test]
    fn what_could_never_be_composed_is_no_save() {
        assert!(matches!(
            try_save("issue_hooks", &json!({"title": "x"}), &json!({})),
            Err(ComposeError::Missing(_, "iid"))
        ));

        assert!(matches!(
            try_save("push_hooks", &json!({}), &json!({})),
            Err(ComposeError::NoSaves(_))
        ));

        let member = json!({"event_name": "user_add_to_group", "user": {"id": 4}, "group": {"id": 3}});
        assert!(matches!(
            try_save("member_hooks", &member, &json!({})),
            Err(ComposeError::NoSaves(_))
        ));

        let nameless = json!({"note": "x", "issue": {"iid": 1}});
        assert!(matches!(
            try_save("note_hooks", &nameless, &json!({})),
            Err(ComposeError::Missing(_, "id"))
        ));

        let before = json!({"description": "x".repeat(MAX_OBJECT)});
        assert!(matches!(
            try_save("issue_hooks", &json!({"iid": 23}), &before),
            Err(ComposeError::TooLarge(_))
        ));

        let long = save(
            &json!({"iid": 23, "description": "x".repeat(MAX_OBJECT - 100)}),
            &json!({}),
        );

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
        assert_eq!(issue.object_name(), "issue 23");

        let tag = try_save("release_hooks", &json!({"tag": "v1"}), &json!({})).expect("it can be composed");
        assert_eq!(tag.object_name(), "release \"v1\"");
        assert_eq!(Operation::from_json(b"{}"), None);

        // A text stays a text, whatever its object calls it.
        let text = json!({"iid": 23, "more": {"$serde_json::private::RawValue": "[[]]"}});
        let kept = save(&text, &json!({}));
        assert_eq!(Operation::from_json(&kept.to_json()), Some(kept));
    }
}
