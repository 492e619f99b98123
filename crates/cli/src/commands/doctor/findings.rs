//! The results that `quickdraw doctor` shows: a line for each check, or one JSON document.

use serde_json::{Value, json};

use crate::commands::say;
use crate::output;

/// Counts problems while it prints or collects the results.
pub(super) struct Findings {
    problems: usize,

    /// The results so far, if they are printed as JSON.
    collected: Option<Vec<Value>>,
}

impl Findings {
    pub(super) fn new(json: bool) -> Self {
        Self {
            problems: 0,
            collected: json.then(Vec::new),
        }
    }

    pub(super) fn ok(&mut self, topic: &str, text: impl std::fmt::Display) {
        self.add("ok", topic, &text.to_string());
    }

    /// A warning is no problem: the server works, but perhaps not as intended.
    pub(super) fn warn(&mut self, topic: &str, text: impl std::fmt::Display) {
        self.add("warning", topic, &text.to_string());
    }

    pub(super) fn problem(&mut self, topic: &str, text: impl std::fmt::Display) {
        self.problems += 1;
        self.add("problem", topic, &text.to_string());
    }

    pub(super) fn line(&mut self, topic: &str, result: anyhow::Result<String>) {
        match result {
            Ok(text) => self.ok(topic, text),
            Err(error) => self.problem(topic, format!("{error:#}")),
        }
    }

    /// Prints the JSON document, and fails if there was a problem.
    pub(super) fn end(self) -> anyhow::Result<()> {
        if let Some(checks) = &self.collected {
            output::json(&json!({ "checks": checks, "problems": self.problems }));
        }

        anyhow::ensure!(self.problems == 0, "problems found: {}", self.problems);
        Ok(())
    }

    fn add(&mut self, state: &str, topic: &str, text: &str) {
        match &mut self.collected {
            Some(checks) => checks.push(json!({ "state": state, "topic": topic, "text": text })),
            None => say(format!("{state:<9}{topic}: {text}")),
        }
    }
}
