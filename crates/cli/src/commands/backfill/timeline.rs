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
enum What<'a> {
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
    what: What<'a>,
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
        steps.sort_by_key(|step| (step.at, matches!(step.what, What::Now)));

        // The first draft change also shows the state before it: the opposite.
        let first = steps.iter().find_map(|step| {
            if let What::Draft(is_draft) = step.what {
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

        step(merged_at, What::Merge, merged_by).next()
    }

    /// The events of an issue.
    pub(super) fn issue(&self) -> anyhow::Result<Vec<Reported>> {
        let mut steps = self.steps();
        steps.sort_by_key(|step| (step.at, matches!(step.what, What::Now)));

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
        let mut steps: Vec<Step<'a>> = step(&self.there["created_at"], What::Open, &self.there["author"]).collect();
        steps.extend(step(&self.there["updated_at"], What::Now, &Value::Null));

        for state in self.states {
            let what = match text(&state["state"]) {
                "closed" => What::Close,
                "reopened" => What::Reopen,
                _ => continue,
            };
            steps.extend(step(&state["created_at"], what, &state["user"]));
        }

        if self.there["state"] == "closed" && self.there["closed_at"].is_string() {
            // For the last close, `closed_at` is used, because events have that time too.
            let last = steps.iter().rposition(|step| matches!(step.what, What::Close));
            last.map(|last| steps.remove(last));
            steps.extend(step(&self.there["closed_at"], What::Close, &self.there["closed_by"]));
        }

        let comments = self.notes.iter().filter(|note| note["system"] != true);
        steps.extend(comments.flat_map(|note| step(&note["created_at"], What::Comment(note), &note["author"])));
        steps
    }

    fn system_steps(&self) -> impl Iterator<Item = Step<'a>> {
        let system = self.notes.iter().filter(|note| note["system"] == true);
        system.filter_map(|note| {
            let words = text(&note["body"]);
            let what = match words {
                "approved this merge request" => What::Approve,
                "unapproved this merge request" => What::Unapprove,
                _ if words.starts_with("marked this merge request as **draft**") => What::Draft(true),
                _ if words.starts_with("marked this merge request as **ready**") => What::Draft(false),
                _ if words.starts_with("added ") && words.contains(" commit") => What::Push,
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

            let action = match &step.what {
                What::Open => "open",
                What::Close => {
                    (state, closed_at) = ("closed", at.clone());
                    "close"
                }
                What::Reopen => {
                    (state, closed_at) = ("opened", Value::Null);
                    "reopen"
                }
                What::Merge => {
                    state = "merged";
                    "merge"
                }
                What::Approve => "approved",
                What::Unapprove => "unapproved",
                What::Draft(now) => {
                    is_draft = *now;
                    "update"
                }
                What::Push => {
                    // The API does not return the previous commit. Only the presence of `oldrev` matters.
                    oldrev = Some("0".repeat(40));
                    "update"
                }
                What::Now => {
                    // GitLab may have no time for a change of state. Then this step is the first with the new state.
                    state = match text(&self.there["state"]) {
                        "opened" => "opened",
                        "closed" => "closed",
                        "merged" => "merged",
                        _ => state,
                    };

                    "update"
                }
                What::Comment(_) => "",
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
            let (trigger, object) = if let What::Comment(note) = &step.what {
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
            let reported = if matches!(step.what, What::Now) {
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

fn step<'a>(at: &Value, what: What<'a>, who: &'a Value) -> std::option::IntoIter<Step<'a>> {
    let at = at.as_str().and_then(|text| text.parse().ok());
    at.map(|at| Step { at, what, who }).into_iter()
}
