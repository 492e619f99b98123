//! The findings of `quickdraw gaps`: lines for people as they are found, or one JSON document at the end.

use std::cell::RefCell;

use serde_json::{Value, json};

use super::Completeness;
use crate::commands::{plain, say};
use crate::output::{self, complain};

/// Collects or prints findings. A finding belongs to the project that was named last.
pub(super) struct Findings {
    json: bool,
    projects: RefCell<Vec<Value>>,
}

impl Findings {
    pub(super) const fn new(json: bool) -> Self {
        Self {
            json,
            projects: RefCell::new(Vec::new()),
        }
    }

    /// Prints a line that belongs to no project. With JSON, it goes to standard error.
    pub(super) fn remark(&self, text: &str) {
        if self.json {
            complain(text);
        } else {
            say(text);
        }
    }

    /// Begins a project with its sequences.
    pub(super) fn project(&self, id: i64, path: Option<&str>, sequences: &[Completeness]) {
        if self.json {
            self.projects.borrow_mut().push(json!({
                "source_project_id": id,
                "path_with_namespace": path,
                "sequences": sequences,
                "findings": [],
                "notes": [],
                "error": null,
            }));

            return;
        }

        say(format!("{} (number {id} in GitLab)", plain(path.unwrap_or("no path"))));
        for sequence in sequences {
            say(format!("  {sequence}"));
        }
    }

    /// Adds the result for one event.
    pub(super) fn finding(&self, result: &str, event: &str, text: &str) {
        let value = json!({ "result": result, "event": event, "text": text });
        self.add("findings", value, text);
    }

    /// Adds a note about the project.
    pub(super) fn note(&self, text: &str) {
        self.add("notes", json!(text), text);
    }

    /// Adds the error for which the project was not compared completely.
    pub(super) fn error(&self, text: &str) {
        if !self.json {
            say(format!("    FAILED: {}", plain(text)));
        } else if let Some(project) = self.projects.borrow_mut().last_mut() {
            project["error"] = json!(text);
        }
    }

    /// Prints the document, or the words for people.
    pub(super) fn end(self, summary: &Value, words: Option<String>) {
        if self.json {
            output::json(&json!({ "projects": self.projects.into_inner(), "summary": summary }));
        } else if let Some(words) = words {
            say(words);
        }
    }

    fn add(&self, list: &str, value: Value, text: &str) {
        if !self.json {
            say(format!("    {}", plain(text)));
            return;
        }

        if let Some(project) = self.projects.borrow_mut().last_mut()
            && let Some(list) = project[list].as_array_mut()
        {
            list.push(value);
        }
    }
}
