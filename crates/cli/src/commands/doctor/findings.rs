//! The lines that `quickdraw doctor` prints, one for each check.

use crate::commands::say;

/// Counts problems while it prints.
#[derive(Default)]
pub(super) struct Findings {
    problems: usize,
}

impl Findings {
    pub(super) fn ok(&mut self, topic: &str, text: impl std::fmt::Display) {
        say(format!("ok       {topic}: {text}"));
    }

    /// A warning is no problem: the server works, but perhaps not as intended.
    pub(super) fn warn(&mut self, topic: &str, text: impl std::fmt::Display) {
        say(format!("warning  {topic}: {text}"));
    }

    pub(super) fn problem(&mut self, topic: &str, text: impl std::fmt::Display) {
        self.problems += 1;
        say(format!("problem  {topic}: {text}"));
    }

    pub(super) fn line(&mut self, topic: &str, result: anyhow::Result<String>) {
        match result {
            Ok(text) => self.ok(topic, text),
            Err(error) => self.problem(topic, format!("{error:#}")),
        }
    }

    /// Fails if there was a problem.
    pub(super) fn end(self) -> anyhow::Result<()> {
        anyhow::ensure!(self.problems == 0, "problems found: {}", self.problems);
        Ok(())
    }
}
