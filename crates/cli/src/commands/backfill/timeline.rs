//! The history of a merge request or an issue, rebuilt from GitLab's API: one event for each change, as the source
//! would have received it then. Approvals, draft changes and pushes come from system notes, which GitLab always writes
//! in English.

use quickdraw_domain::Trigger;
use quickdraw_domain::compose::User;
use serde_json::{Map, Value, json};

use super::report::Reported;
use crate::commands::gitlab::Home;
use crate::commands::gitlab::bodies::{self, found, spelled, text, user};

/// The change that a step makes.
enum Change<'a> {
    Open,
    Close,
    Reopen,
    Merge,
    Approve,
    Unapprove,
    Draft(bool),
    Push,
    Comment(&'a Value),
    /// No change. This step has the current state.
    Now,
}

/// A change with its time and its author.
struct Step<'a> {
    at: jiff::Timestamp,
    change: Change<'a>,
    who: &'a Value,
}

/// A merge request or an issue with its history, as GitLab's API returns it.
pub(super) struct Thing<'a> {
    pub(super) home: &'a Home,
    pub(super) there: &'a Value,

    /// Comments, including system notes.
    pub(super) notes: &'a [Value],

    /// Changes of state.
    pub(super) states: &'a [Value],
}

impl<'a> Thing<'a> {
    /// The events of a merge request.
    pub(super) fn merge_request(&self) -> anyhow::Result<Vec<Reported>> {
        let attributes = bodies::merge_request_attributes(self.there);
        let mut steps = self.steps();
        steps.extend(self.system_steps());
        steps.extend(self.merge());

        // The current state comes last among steps with the same time.
        steps.sort_by_key(|step| (step.at, matches!(step.change, Change::Now)));

        // The first draft change also shows the state before it: the opposite.
        let first = steps.iter().find_map(|step| {
            if let Change::Draft(is_draft) = step.change {
                Some(is_draft)
            } else {
                None
            }
        });
        let is_draft = first.map_or(attributes.get("draft") == Some(&Value::Bool(true)), |is_draft| {
            !is_draft
        });
        self.walk(&steps, &attributes, "merge_request", Trigger::MERGE_REQUEST, is_draft)
    }

    /// The merge. Old versions of GitLab have no `merged_at`; there the time comes from the changes of state.
    fn merge(&self) -> Option<Step<'a>> {
        let seen = self
            .states
            .iter()
            .find(|state| state["state"] == "merged")
            .unwrap_or(&Value::Null);
        let times = [&self.there["merged_at"], &seen["created_at"]];
        let people = [&self.there["merge_user"], &self.there["merged_by"], &seen["user"]];
        let merged_at = times.into_iter().find(|at| at.is_string())?;
        let merged_by = people.into_iter().find(|who| who.is_object()).unwrap_or(&Value::Null);

        step(merged_at, Change::Merge, merged_by).next()
    }

    /// The events of an issue.
    pub(super) fn issue(&self) -> anyhow::Result<Vec<Reported>> {
        let mut steps = self.steps();
        steps.sort_by_key(|step| (step.at, matches!(step.change, Change::Now)));

        let attributes = bodies::issue_attributes(self.there);
        self.walk(
            &steps,
            &attributes,
            "issue",
            bodies::trigger_of_issue(self.there),
            false,
        )
    }

    /// The steps that merge requests and issues have in common.
    fn steps(&self) -> Vec<Step<'a>> {
        let mut steps: Vec<Step<'a>> = step(&self.there["created_at"], Change::Open, &self.there["author"]).collect();
        steps.extend(step(&self.there["updated_at"], Change::Now, &Value::Null));

        for state in self.states {
            let what = match text(&state["state"]) {
                "closed" => Change::Close,
                "reopened" => Change::Reopen,
                _ => continue,
            };
            steps.extend(step(&state["created_at"], what, &state["user"]));
        }

        if self.there["state"] == "closed" && self.there["closed_at"].is_string() {
            // For the last close, `closed_at` is used, because events have that time too.
            let last = steps.iter().rposition(|step| matches!(step.change, Change::Close));
            last.map(|last| steps.remove(last));
            steps.extend(step(&self.there["closed_at"], Change::Close, &self.there["closed_by"]));
        }

        let comments = self.notes.iter().filter(|note| note["system"] != true);
        steps.extend(comments.flat_map(|note| step(&note["created_at"], Change::Comment(note), &note["author"])));
        steps
    }

    fn system_steps(&self) -> impl Iterator<Item = Step<'a>> {
        let system = self.notes.iter().filter(|note| note["system"] == true);
        system.filter_map(|note| {
            let words = text(&note["body"]);
            let what = match words {
                "approved this merge request" => Change::Approve,
                "unapproved this merge request" => Change::Unapprove,
                _ if words.starts_with("marked this merge request as **draft**") => Change::Draft(true),
                _ if words.starts_with("marked this merge request as **ready**") => Change::Draft(false),
                _ if words.starts_with("added ") && words.contains(" commit") => Change::Push,
                _ => return None,
            };
            step(&note["created_at"], what, &note["author"]).next()
        })
    }

    fn walk(
        &self,
        steps: &[Step<'a>],
        attributes: &Map<String, Value>,
        kind: &str,
        trigger: Trigger,
        mut is_draft: bool,
    ) -> anyhow::Result<Vec<Reported>> {
        let (mut state, mut closed_at) = ("opened", Value::Null);
        let mut events = Vec::with_capacity(steps.len());

        for step in steps {
            let at = spelled(&step.at.to_string().into());
            let mut oldrev = None;

            let action = match &step.change {
                Change::Open => "open",
                Change::Close => {
                    (state, closed_at) = ("closed", at.clone());
                    "close"
                }
                Change::Reopen => {
                    (state, closed_at) = ("opened", Value::Null);
                    "reopen"
                }
                Change::Merge => {
                    state = "merged";
                    "merge"
                }
                Change::Approve => "approved",
                Change::Unapprove => "unapproved",
                Change::Draft(now) => {
                    is_draft = *now;
                    "update"
                }
                Change::Push => {
                    // The API does not return the previous commit. Only the presence of `oldrev` matters.
                    oldrev = Some("0".repeat(40));
                    "update"
                }
                Change::Now => {
                    // GitLab may have no time for a change of state. Then this step is the first with the new state.
                    state = match text(&self.there["state"]) {
                        "opened" => "opened",
                        "closed" => "closed",
                        "merged" => "merged",
                        _ => state,
                    };

                    "update"
                }
                Change::Comment(_) => "",
            };

            let mut object = attributes.clone();
            for (name, value) in [
                ("state", state.into()),
                ("updated_at", at.clone()),
                ("closed_at", closed_at.clone()),
            ] {
                object.insert(name.to_owned(), value);
            }

            if kind == "merge_request" {
                object.insert("draft".to_owned(), is_draft.into());
                object.insert("work_in_progress".to_owned(), is_draft.into());
            }

            let who: User = user(step.who, &Value::Null);
            let (trigger, object) = if let Change::Comment(note) = &step.change {
                let is_internal = note["internal"] == true || self.there["confidential"] == true;
                let trigger = if is_internal {
                    Trigger::CONFIDENTIAL_NOTE
                } else {
                    Trigger::NOTE
                };
                (trigger, self.comment(note, kind, object))
            } else {
                object.insert("action".to_owned(), action.into());
                object.extend(oldrev.map(|oldrev| ("oldrev".to_owned(), oldrev.into())));
                (trigger, Value::Object(object))
            };

            let event = found(self.home, trigger, &who, &object, String::new())?;

            // Only the current labels are known, so earlier events have none.
            let reported = if matches!(step.change, Change::Now) {
                Reported::new
            } else {
                Reported::without_labels
            };
            events.push(reported(event, Some(step.at.to_string()))?);
        }

        Ok(events)
    }

    fn comment(&self, note: &Value, kind: &str, on: Map<String, Value>) -> Value {
        let mut object = json!({
            "id": note["id"],
            "note": note["body"],
            "system": false,
            "author_id": note["author"]["id"],
            "created_at": spelled(&note["created_at"]),
            "updated_at": spelled(&note["updated_at"]),
            "internal": note["internal"] == true,
        });
        object[kind] = Value::Object(on);
        object
    }
}

fn step<'a>(at: &Value, change: Change<'a>, who: &'a Value) -> std::option::IntoIter<Step<'a>> {
    let at = at.as_str().and_then(|text| text.parse().ok());
    at.map(|at| Step { at, change, who }).into_iter()
}
