//! Evaluates a filter's conditions on one body and counts every step of work.

use std::borrow::Cow;

use serde_json::Value;

use super::{Condition, MAX_LEN, Test};
use crate::hook::branch_filter::matches_wildcard;
use crate::work::{Exhausted, Work};

/// The bytes of a field's name that are compared or hashed in one step.
const BYTES_OF_A_STEP: usize = 8;
/// Steps for converting a number to text.
const NUMBER: usize = 16;

/// The truth of a condition.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
    Yes,
    No,
    Unknown,
}

impl From<bool> for Truth {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

/// Whether a push lists all its commits. GitLab lists the last 20 commits and gives their total number. It lists none
/// if a branch was moved back. The paths of unlisted commits are not known.
pub(super) fn lists_all_commits(body: &Value) -> bool {
    let listed = body["commits"].as_array().map_or(0, Vec::len);
    let (Some(before), Some(after)) = (body["before"].as_str(), body["after"].as_str()) else {
        return true;
    };

    if body["total_commits_count"]
        .as_u64()
        .is_some_and(|count| count > listed as u64)
    {
        return false;
    }

    let is_none = |sha: &str| sha.bytes().all(|byte| byte == b'0');
    listed > 0 || before == after || is_none(before) || is_none(after)
}

/// The evaluation of a filter on one body, with its budget of work.
pub(super) struct Look<'a> {
    pub(super) body: &'a Value,
    pub(super) lists_all: bool,
    pub(super) work: &'a mut Work,
}

impl<'a> Look<'a> {
    pub(super) fn holds(&mut self, condition: &Condition) -> Result<Truth, Exhausted> {
        self.work.spend(1)?;

        match condition {
            Condition::All(conditions) => {
                let mut all = Truth::Yes;
                for condition in conditions {
                    match self.holds(condition)? {
                        Truth::No => return Ok(Truth::No),
                        Truth::Unknown => all = Truth::Unknown,
                        Truth::Yes => {}
                    }
                }

                Ok(all)
            }

            Condition::Any(conditions) => {
                let mut any = Truth::No;
                for condition in conditions {
                    match self.holds(condition)? {
                        Truth::Yes => return Ok(Truth::Yes),
                        Truth::Unknown => any = Truth::Unknown,
                        Truth::No => {}
                    }
                }

                Ok(any)
            }

            Condition::Not(condition) => Ok(match self.holds(condition)? {
                Truth::Yes => Truth::No,
                Truth::No => Truth::Yes,
                Truth::Unknown => Truth::Unknown,
            }),
            Condition::Field(steps, Test::Exists(wanted)) => {
                let exists = self.values(steps)?.iter().any(|value| !value.is_null());
                Ok(self.found_in(steps, exists, Truth::from(exists == *wanted)))
            }
            Condition::Field(steps, test) => {
                let mut found = false;
                for value in self.values(steps)? {
                    found = test.holds(value, self.work)?;
                    if found {
                        break;
                    }
                }

                Ok(self.found_in(steps, found, Truth::from(found)))
            }

            Condition::Label(label) => {
                let places = [
                    "labels",
                    "object_attributes.labels",
                    "merge_request.labels",
                    "issue.labels",
                ];
                let places = places.map(|place| format!("{place}.*.title"));
                self.any(&places, |title, _| Ok(title.eq_ignore_ascii_case(label)))
            }

            Condition::Path(pattern) => {
                let places = ["added", "modified", "removed"].map(|kind| format!("commits.*.{kind}.*"));
                self.any(&places, |path, work| matches_wildcard(pattern, path, work))
            }
            Condition::Branch(pattern) => {
                let places = [
                    "ref",
                    "object_attributes.ref",
                    "object_attributes.target_branch",
                    "merge_request.target_branch",
                ];
                self.any(&places, |name, work| {
                    matches_wildcard(pattern, name.strip_prefix("refs/heads/").unwrap_or(name), work)
                })
            }
            Condition::Actor(pattern) => self.any(&["user.username", "user_username"], |name, work| {
                matches_wildcard(pattern, name, work)
            }),
        }
    }

    /// Whether a text at one of these places passes a test.
    fn any(
        &mut self,
        places: &[impl AsRef<str>],
        test: impl Fn(&str, &mut Work) -> Result<bool, Exhausted>,
    ) -> Result<Truth, Exhausted> {
        let mut truth = Truth::No;
        for place in places {
            let steps: Vec<String> = place.as_ref().split('.').map(str::to_owned).collect();
            for value in self.values(&steps)? {
                let Some(text) = value.as_str() else { continue };
                self.work.spend(1)?;

                if test(text, self.work)? {
                    return Ok(Truth::Yes);
                }
            }

            truth = self.found_in(&steps, false, truth);
        }

        Ok(truth)
    }

    /// The truth of a test on a field. A value that was not found in the listed commits may be in an unlisted one.
    fn found_in(&self, steps: &[String], found: bool, truth: Truth) -> Truth {
        let in_commits = steps.first().is_some_and(|step| step == "commits");
        if in_commits && !found && !self.lists_all {
            Truth::Unknown
        } else {
            truth
        }
    }

    fn values(&mut self, steps: &[String]) -> Result<Vec<&'a Value>, Exhausted> {
        values(self.body, steps, self.work)
    }
}

impl Test {
    fn holds(&self, value: &Value, work: &mut Work) -> Result<bool, Exhausted> {
        work.spend(1)?;

        match self {
            Self::Is(wanted) => {
                // The wanted value is small, and a comparison ends at the first difference.
                work.spend(MAX_LEN / 64)?;
                Ok(same(value, wanted))
            }
            Self::In(wanted) => {
                work.spend(wanted.len() + MAX_LEN / 64)?;
                Ok(wanted.iter().any(|wanted| same(value, wanted)))
            }
            Self::Contains(part) => {
                let Some(text) = text_of(value, work)? else {
                    return Ok(false);
                };
                work.spend(text.len() + part.len())?;
                Ok(text.contains(part.as_str()))
            }

            Self::Like(pattern) => match text_of(value, work)? {
                Some(text) => matches_wildcard(pattern, &text, work),
                None => Ok(false),
            },
            Self::Matches(expression) => match text_of(value, work)? {
                Some(text) => expression.is_match(&text, work),
                None => Ok(false),
            },
            Self::Over(limit) => Ok(value.as_f64().is_some_and(|number| number > *limit)),
            Self::Under(limit) => Ok(value.as_f64().is_some_and(|number| number < *limit)),
            Self::Exists(_) => Ok(false),
        }
    }
}

/// The value as text: a string, a number or a boolean.
fn text_of<'v>(value: &'v Value, work: &mut Work) -> Result<Option<Cow<'v, str>>, Exhausted> {
    Ok(match value {
        Value::String(text) => Some(Cow::Borrowed(text.as_str())),
        Value::Number(number) => {
            work.spend(NUMBER)?;
            Some(Cow::Owned(number.to_string()))
        }
        Value::Bool(bool) => Some(Cow::Owned(bool.to_string())),
        _ => None,
    })
}

/// Compares values. Numbers are equal independent of their notation.
fn same(value: &Value, wanted: &Value) -> bool {
    value == wanted || matches!((value.as_f64(), wanted.as_f64()), (Some(a), Some(b)) if a.total_cmp(&b).is_eq())
}

/// The values at a path of fields. Each value on the way costs one step, and long names cost more.
fn values<'a>(body: &'a Value, steps: &[String], work: &mut Work) -> Result<Vec<&'a Value>, Exhausted> {
    let mut found = vec![body];
    for step in steps {
        let mut inside = Vec::new();
        let cost = 1 + step.len() / BYTES_OF_A_STEP;

        for value in found {
            work.spend(cost)?;

            match value {
                Value::Object(map) if step == "*" => {
                    work.spend(map.len())?;
                    inside.extend(map.values());
                }
                Value::Object(map) => inside.extend(map.get(step)),
                Value::Array(list) if step == "*" => {
                    work.spend(list.len())?;
                    inside.extend(list);
                }
                Value::Array(list) => inside.extend(step.parse::<usize>().ok().and_then(|at| list.get(at))),
                _ => {}
            }
        }

        found = inside;
    }

    Ok(found)
}
