//! The results of a run: a table for people, or one JSON document.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use serde_json::{Value, json};

use super::places::Place;
use crate::commands::plain;

/// The result of one place.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) place: Place,
    pub(super) state: State,

    /// GitLab's number of the webhook.
    pub(super) hook: Option<i64>,

    /// Differences and remarks.
    pub(super) notes: Vec<String>,

    /// Reason for a refusal or failure.
    pub(super) reason: Option<String>,
    pub(super) test: Option<Test>,
}

/// The state of a place after the run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum State {
    Ok,
    Created,
    Repaired,
    Removed,

    /// There was no webhook to remove.
    Absent,
    WouldCreate,
    WouldRepair,
    WouldRemove,
    Skipped,
    Missing,
    Differs,
    Refused,
    Failed,

    /// The run ended before this place.
    NotReached,
}

/// The result of a test.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Test {
    /// Quickdraw stored the event with this id.
    Arrived(String),

    /// GitLab reports success, and Quickdraw did not see the request.
    NotSeen,
    Failed(String),

    /// GitLab cannot test this webhook, with the reason.
    Unavailable(String),
}

impl State {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Created => "created",
            Self::Repaired => "repaired",
            Self::Removed => "removed",
            Self::Absent => "absent",
            Self::WouldCreate => "would_create",
            Self::WouldRepair => "would_repair",
            Self::WouldRemove => "would_remove",
            Self::Skipped => "skipped",
            Self::Missing => "missing",
            Self::Differs => "differs",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::NotReached => "not_reached",
        }
    }

    const fn is_problem(self) -> bool {
        matches!(
            self,
            Self::Missing | Self::Differs | Self::Refused | Self::Failed | Self::NotReached
        )
    }
}

impl Test {
    const fn word(&self) -> &'static str {
        match self {
            Self::Arrived(_) => "arrived",
            Self::NotSeen => "not_seen",
            Self::Failed(_) => "failed",
            Self::Unavailable(_) => "unavailable",
        }
    }

    const fn is_problem(&self) -> bool {
        matches!(self, Self::NotSeen | Self::Failed(_))
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arrived(id) => write!(f, "test arrived as {id}"),
            Self::NotSeen => f.write_str(
                "the test did not arrive: GitLab reports success, and this Quickdraw has no such request; does the URL \
                 lead to another server?",
            ),
            Self::Failed(why) => write!(f, "the test failed: {why}"),
            Self::Unavailable(why) => write!(f, "not tested: {why}"),
        }
    }
}

impl Row {
    pub(super) fn new(place: &Place) -> Self {
        Self {
            place: place.clone(),
            state: State::NotReached,
            hook: None,
            notes: Vec::new(),
            reason: None,
            test: None,
        }
    }

    /// GitLab does not allow the work.
    pub(super) fn refused(self, why: impl Into<String>) -> Self {
        Self {
            state: State::Refused,
            reason: Some(why.into()),
            ..self
        }
    }

    /// The work did not succeed.
    pub(super) fn failed(self, why: impl Into<String>) -> Self {
        Self {
            state: State::Failed,
            reason: Some(why.into()),
            ..self
        }
    }

    pub(super) fn is_problem(&self) -> bool {
        self.state.is_problem() || self.test.as_ref().is_some_and(Test::is_problem)
    }

    fn remarks(&self) -> String {
        let mut all: Vec<String> = self.reason.iter().cloned().collect();
        all.extend(self.notes.iter().cloned());
        all.extend(self.test.iter().map(Test::to_string));

        plain(&all.join("; ")).replace('\n', " ")
    }

    fn json(&self) -> Value {
        let event = match &self.test {
            Some(Test::Arrived(id)) => Some(id.as_str()),
            _ => None,
        };

        let test_error = match &self.test {
            Some(Test::Failed(why) | Test::Unavailable(why)) => Some(why.as_str()),
            _ => None,
        };

        json!({
            "level": self.place.level.word(),
            "id": self.place.id,
            "path": self.place.path,
            "state": self.state.word(),
            "hook": self.hook,
            "notes": self.notes,
            "reason": self.reason,
            "test": self.test.as_ref().map(Test::word),
            "test_error": test_error,
            "event": event,
        })
    }
}

/// The results as a table with one line for each place.
pub(super) fn table(rows: &[Row]) -> String {
    let longest = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or_default();
    let states = longest(&mut rows.iter().map(|row| row.state.word().len())).max("STATE".len());
    let paths = longest(&mut rows.iter().map(|row| row.place.path.chars().count())).max("PLACE".len());

    let mut text = format!(
        "{:<states$}  {:<8}  {:<paths$}  {:>7}  NOTE",
        "STATE", "LEVEL", "PLACE", "HOOK"
    );

    for row in rows {
        let hook = row.hook.map_or_else(|| "-".to_owned(), |id| id.to_string());
        let line = format!(
            "{:<states$}  {:<8}  {:<paths$}  {hook:>7}  {}",
            row.state.word(),
            row.place.level.word(),
            plain(&row.place.path),
            row.remarks()
        );
        // A write to a String cannot fail.
        let _ = write!(text, "\n{}", line.trim_end());
    }

    text
}

/// The number of places in each state, such as `190 created, 3 refused`.
pub(super) fn summary(rows: &[Row]) -> String {
    let parts: Vec<String> = counts(rows)
        .iter()
        .map(|(state, number)| format!("{number} {}", state.word()))
        .collect();

    if parts.is_empty() {
        "no places".to_owned()
    } else {
        parts.join(", ")
    }
}

fn counts(rows: &[Row]) -> BTreeMap<State, usize> {
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts.entry(row.state).or_default() += 1;
    }

    counts
}

/// The results as one document, without the head.
pub(super) fn items(rows: &[Row]) -> (Value, Value) {
    let items: Vec<Value> = rows.iter().map(Row::json).collect();
    let mut summary = serde_json::Map::new();
    for (state, number) in counts(rows) {
        summary.insert(state.word().to_owned(), json!(number));
    }

    (Value::Array(items), Value::Object(summary))
}

#[cfg(test)]
mod tests {
    use super::super::hook::Level;
    use super::*;

    fn row(path: &str, state: State) -> Row {
        let place = Place {
            level: Level::Project,
            id: 7,
            path: path.to_owned(),
            skipped: None,
        };
        Row {
            state,
            ..Row::new(&place)
        }
    }

    #[test]
    fn the_table_has_a_header_and_aligned_columns() {
        let mut tested = row("gear/rope", State::Created);
        tested.hook = Some(17);
        tested.test = Some(Test::Arrived("0197".to_owned()));

        let rows = [tested, row("a/b", State::Refused).refused("403: no\u{1b}[2J")];

        assert_eq!(
            table(&rows),
            "STATE    LEVEL     PLACE         HOOK  NOTE\n\
             created  project   gear/rope       17  test arrived as 0197\n\
             refused  project   a/b              -  403: no\u{fffd}[2J"
        );

        assert_eq!(summary(&rows), "1 created, 1 refused");
        assert_eq!(summary(&[]), "no places");
    }

    #[test]
    fn a_failed_test_is_a_problem_and_an_unavailable_one_is_not() {
        let with = |test| Row {
            test: Some(test),
            ..row("a", State::Created)
        };
        assert!(with(Test::Failed(String::new())).is_problem() && with(Test::NotSeen).is_problem());
        assert!(!with(Test::Unavailable(String::new())).is_problem());
        assert!(!with(Test::Arrived(String::new())).is_problem());
        assert!(row("a", State::Differs).is_problem() && !row("a", State::WouldCreate).is_problem());
    }
}
