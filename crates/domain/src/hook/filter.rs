//! Event filters: conditions on any field of the body, combined with `all`, `any` and `not`. GitLab has no such
//! filters.

mod ask;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use self::ask::{Look, Truth, lists_all_commits};
use super::expression::{Expression, MAX_STATES, MAX_WEIGHT, TOO_WIDE};
use crate::tree::Tree;
use crate::work::{Exhausted, Work};

/// Longest filter, in bytes of JSON.
pub const MAX_LEN: usize = 8192;
/// The maximum number of conditions, and the deepest nesting.
const MAX_CONDITIONS: usize = 100;
const DEEPEST: usize = 8;
/// The maximum number of expressions.
const MAX_EXPRESSIONS: usize = 10;
/// The largest body that is parsed for a filter. Larger bodies pass.
pub const LARGEST_BODY: usize = 1 << 20;

/// A filter that has been checked.
#[derive(Clone)]
pub struct EventFilter {
    text: Arc<str>,
    condition: Arc<Condition>,
}

/// The result of a filter for an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The event passes.
    Passes,

    /// The event does not pass.
    Stopped,

    /// The event passes, because the result depends on commits that the push does not list.
    Unknown,
}

/// The reason for refusing a filter.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FilterError {
    /// Too many bytes.
    #[error("is too long (maximum is {MAX_LEN} bytes)")]
    TooLong,

    /// Too many conditions, or too deep.
    #[error("has more than {MAX_CONDITIONS} conditions or nests deeper than {DEEPEST}")]
    TooLarge,

    /// The JSON has none of the known forms.
    #[error(
        "is not a condition ({0}); write {{\"field\":\"object_attributes.action\",\"is\":\"open\"}}, {{\"label\":\"bug\"}}, \
         {{\"path\":\"docs/*\"}}, {{\"branch\":\"main\"}} or {{\"actor\":\"ida\"}}, and join them with \"all\", \"any\" and \"not\""
    )]
    Form(String),

    /// An expression cannot be used.
    #[error("has an expression that cannot be used: {0}")]
    Expression(String),
}

/// The JSON form of a condition.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    all: Option<Vec<Written>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    any: Option<Vec<Written>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not: Option<Box<Written>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is: Option<Tree>,
    #[serde(rename = "in", skip_serializing_if = "Option::is_none")]
    one_of: Option<Vec<Tree>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contains: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    like: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    matches: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    over: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    under: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exists: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    branch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
}

enum Condition {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Field(Vec<String>, Test),
    Label(String),
    Path(String),
    Branch(String),
    Actor(String),
}

enum Test {
    Is(Value),
    In(Vec<Value>),
    Contains(String),
    Like(String),
    Matches(Expression),
    Over(f64),
    Under(f64),
    Exists(bool),
}

impl EventFilter {
    /// Parses and checks a filter.
    ///
    /// # Errors
    /// Every reason of [`FilterError`].
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        if text.len() > MAX_LEN {
            return Err(FilterError::TooLong);
        }

        let written: Written = serde_json::from_str(text).map_err(|error| FilterError::Form(error.to_string()))?;
        if text.matches("\"matches\"").count() > MAX_EXPRESSIONS {
            return Err(FilterError::Expression(format!(
                "there are more than {MAX_EXPRESSIONS} expressions"
            )));
        }

        let mut count = 0;
        let condition = condition(&written, 0, &mut count)?;
        let mut left = MAX_WEIGHT;
        condition.check(&mut left)?;

        let states = condition.states();
        if states > MAX_STATES {
            let reason = format!("together they have {states} states (maximum is {MAX_STATES})");
            return Err(FilterError::Expression(reason));
        }

        let text = serde_json::to_string(&written).map_err(|error| FilterError::Form(error.to_string()))?;
        Ok(Self {
            text: text.into(),
            condition: Arc::new(condition),
        })
    }

    /// Reads a filter from the store. It was checked when it was saved, so its expressions are compiled only when they
    /// are needed.
    ///
    /// # Errors
    /// When the text has none of the known forms.
    pub fn stored(text: &str) -> Result<Self, FilterError> {
        let written: Written = serde_json::from_str(text).map_err(|error| FilterError::Form(error.to_string()))?;
        let condition = condition(&written, 0, &mut 0)?;
        Ok(Self {
            text: text.into(),
            condition: Arc::new(condition),
        })
    }

    /// Returns `known` if it is the same filter, because it may be compiled already.
    #[must_use]
    pub fn or_same(self, known: Option<&Self>) -> Self {
        known.filter(|known| known.text == self.text).cloned().unwrap_or(self)
    }

    /// The number of states of all its expressions.
    #[must_use]
    pub fn states(&self) -> usize {
        self.condition.states()
    }

    /// The filter as JSON.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Decides whether an event passes. Names of fields are joined with dots, from the outside in. A number is an index
    /// in a list, and `*` matches any name or index. A field with several values passes if one of them does.
    ///
    /// # Errors
    /// When this takes more work than is left.
    pub fn judge(&self, body: &Value, work: &mut Work) -> Result<Answer, Exhausted> {
        let mut look = Look {
            body,
            lists_all: lists_all_commits(body),
            work,
        };

        Ok(match look.holds(&self.condition)? {
            Truth::Yes => Answer::Passes,
            Truth::No => Answer::Stopped,
            Truth::Unknown => Answer::Unknown,
        })
    }
}

impl fmt::Debug for EventFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn condition(written: &Written, depth: usize, count: &mut usize) -> Result<Condition, FilterError> {
    *count += 1;
    if depth > DEEPEST || *count > MAX_CONDITIONS {
        return Err(FilterError::TooLarge);
    }

    let mut found = Vec::new();
    if let Some(all) = &written.all {
        found.push(Condition::All(several(all, depth, count)?));
    }

    if let Some(any) = &written.any {
        found.push(Condition::Any(several(any, depth, count)?));
    }

    if let Some(not) = &written.not {
        found.push(Condition::Not(Box::new(condition(not, depth + 1, count)?)));
    }

    let tests = tests(written)?;
    match &written.field {
        Some(field) if !field.is_empty() && !tests.is_empty() => {
            let steps: Vec<String> = field.split('.').map(str::to_owned).collect();
            found.extend(tests.into_iter().map(|test| Condition::Field(steps.clone(), test)));
        }
        Some(_) => {
            return Err(FilterError::Form(
                "a field needs a test: is, in, contains, like, matches, over, under, exists".to_owned(),
            ));
        }
        None if !tests.is_empty() => return Err(FilterError::Form("a test needs a field".to_owned())),
        None => {}
    }

    found.extend(written.label.clone().map(Condition::Label));
    found.extend(written.path.clone().map(Condition::Path));
    found.extend(written.branch.clone().map(Condition::Branch));
    found.extend(written.actor.clone().map(Condition::Actor));

    match found.len() {
        0 => Err(FilterError::Form("it has no condition".to_owned())),
        1 => Ok(found.remove(0)),
        _ => Ok(Condition::All(found)),
    }
}

fn several(list: &[Written], depth: usize, count: &mut usize) -> Result<Vec<Condition>, FilterError> {
    list.iter().map(|one| condition(one, depth + 1, count)).collect()
}

fn tests(written: &Written) -> Result<Vec<Test>, FilterError> {
    let mut tests = Vec::new();
    tests.extend(written.is.clone().map(|wanted| Test::Is(wanted.0)));

    tests.extend(
        written
            .one_of
            .clone()
            .map(|wanted| Test::In(wanted.into_iter().map(|one| one.0).collect())),
    );

    tests.extend(written.contains.clone().map(Test::Contains));
    tests.extend(written.like.clone().map(Test::Like));

    if let Some(pattern) = &written.matches {
        tests.push(Test::Matches(Expression::stored(pattern)));
    }

    tests.extend(written.over.as_ref().and_then(Number::as_f64).map(Test::Over));
    tests.extend(written.under.as_ref().and_then(Number::as_f64).map(Test::Under));
    tests.extend(written.exists.map(Test::Exists));

    Ok(tests)
}

impl Condition {
    /// Compiles every expression, as long as they examine no more characters than are left.
    fn check(&self, left: &mut usize) -> Result<(), FilterError> {
        match self {
            Self::All(conditions) | Self::Any(conditions) => conditions.iter().try_for_each(|one| one.check(left)),
            Self::Not(condition) => condition.check(left),
            Self::Field(_, Test::Matches(expression)) => {
                expression.check().map_err(FilterError::Expression)?;

                let after = left.checked_sub(expression.weight());
                *left = after.ok_or_else(|| FilterError::Expression(TOO_WIDE.to_owned()))?;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn states(&self) -> usize {
        match self {
            Self::All(conditions) | Self::Any(conditions) => conditions.iter().map(Self::states).sum(),
            Self::Not(condition) => condition.states(),
            Self::Field(_, Test::Matches(expression)) => expression.states(),
            _ => 0,
        }
    }
}
