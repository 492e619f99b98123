//! Filters on what an event says: conditions on any field of the body, joined by all, any and not. GitLab has none.

use std::fmt;

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::branch_filter::matches_wildcard;

/// Longest filter, in bytes of JSON.
pub const MAX_LEN: usize = 8192;
/// Most conditions, and deepest nesting.
const MOST_CONDITIONS: usize = 100;
const DEEPEST: usize = 8;
/// Bytes that a compiled expression may take.
const SIZE_LIMIT: usize = 64 << 10;
/// Most expressions.
const MOST_EXPRESSIONS: usize = 10;
/// Bodies beyond that are not taken apart: they pass.
pub const LARGEST_BODY: usize = 1 << 20;
/// Most values that one field path may stand for.
const MOST_VALUES: usize = 10_000;

/// A filter that has been checked.
#[derive(Clone)]
pub struct EventFilter {
    text: String,
    condition: Condition,
}

/// Why a filter is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FilterError {
    /// Too many bytes.
    #[error("is too long (maximum is {MAX_LEN} bytes)")]
    TooLong,
    /// Too many conditions, or too deep.
    #[error("has more than {MOST_CONDITIONS} conditions or nests deeper than {DEEPEST}")]
    TooLarge,
    /// Not one of the forms.
    #[error(
        "is not a condition ({0}); write {{\"field\":\"object_attributes.action\",\"is\":\"open\"}}, {{\"label\":\"bug\"}}, \
         {{\"path\":\"docs/*\"}}, {{\"branch\":\"main\"}} or {{\"actor\":\"ida\"}}, and join them with \"all\", \"any\" and \"not\""
    )]
    Form(String),
    /// An expression that cannot be used.
    #[error("has an expression that cannot be used: {0}")]
    Expression(String),
}

/// As it is written in JSON.
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
    is: Option<Value>,
    #[serde(rename = "in", skip_serializing_if = "Option::is_none")]
    one_of: Option<Vec<Value>>,
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

#[derive(Clone)]
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

#[derive(Clone)]
enum Test {
    Is(Value),
    In(Vec<Value>),
    Contains(String),
    Like(String),
    Matches(Regex),
    Over(f64),
    Under(f64),
    Exists(bool),
}

impl EventFilter {
    /// Reads a filter.
    ///
    /// # Errors
    /// Every reason of [`FilterError`].
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        if text.len() > MAX_LEN {
            return Err(FilterError::TooLong);
        }
        let written: Written = serde_json::from_str(text).map_err(|error| FilterError::Form(error.to_string()))?;
        if text.matches("\"matches\"").count() > MOST_EXPRESSIONS {
            return Err(FilterError::Expression(format!("there are more than {MOST_EXPRESSIONS}")));
        }
        let mut count = 0;
        let condition = condition(&written, 0, &mut count)?;
        let text = serde_json::to_string(&written).map_err(|error| FilterError::Form(error.to_string()))?;
        Ok(Self { text, condition })
    }

    /// The filter as JSON.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether an event passes. Names of fields go from the outside in, with dots; a number is a place in a list, and `*`
    /// any. A field that stands for several values passes if one of them does.
    #[must_use]
    pub fn passes(&self, body: &Value) -> bool {
        self.condition.holds(body)
    }
}

impl fmt::Debug for EventFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn condition(written: &Written, depth: usize, count: &mut usize) -> Result<Condition, FilterError> {
    *count += 1;
    if depth > DEEPEST || *count > MOST_CONDITIONS {
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
        0 => Err(FilterError::Form("it says nothing".to_owned())),
        1 => Ok(found.remove(0)),
        _ => Ok(Condition::All(found)),
    }
}

fn several(list: &[Written], depth: usize, count: &mut usize) -> Result<Vec<Condition>, FilterError> {
    list.iter().map(|one| condition(one, depth + 1, count)).collect()
}

fn tests(written: &Written) -> Result<Vec<Test>, FilterError> {
    let mut tests = Vec::new();
    tests.extend(written.is.clone().map(Test::Is));
    tests.extend(written.one_of.clone().map(Test::In));
    tests.extend(written.contains.clone().map(Test::Contains));
    tests.extend(written.like.clone().map(Test::Like));
    if let Some(pattern) = &written.matches {
        let regex = RegexBuilder::new(pattern).size_limit(SIZE_LIMIT).build();
        tests.push(Test::Matches(regex.map_err(|error| FilterError::Expression(error.to_string()))?));
    }
    tests.extend(written.over.as_ref().and_then(Number::as_f64).map(Test::Over));
    tests.extend(written.under.as_ref().and_then(Number::as_f64).map(Test::Under));
    tests.extend(written.exists.map(Test::Exists));
    Ok(tests)
}

impl Condition {
    fn holds(&self, body: &Value) -> bool {
        match self {
            Self::All(conditions) => conditions.iter().all(|one| one.holds(body)),
            Self::Any(conditions) => conditions.iter().any(|one| one.holds(body)),
            Self::Not(condition) => !condition.holds(body),
            Self::Field(steps, Test::Exists(wanted)) => {
                values(body, steps).iter().any(|value| !value.is_null()) == *wanted
            }
            Self::Field(steps, test) => values(body, steps).into_iter().any(|value| test.holds(value)),
            Self::Label(label) => ["labels", "object_attributes.labels", "merge_request.labels", "issue.labels"]
                .into_iter()
                .any(|place| any(body, &format!("{place}.*.title"), |title| title.eq_ignore_ascii_case(label))),
            Self::Path(pattern) => ["added", "modified", "removed"]
                .into_iter()
                .any(|kind| any(body, &format!("commits.*.{kind}.*"), |path| matches_wildcard(pattern, path))),
            Self::Branch(pattern) => {
                let fits = |branch: &str| matches_wildcard(pattern, branch);
                any(body, "ref", |name| fits(name.strip_prefix("refs/heads/").unwrap_or(name)))
                    || ["object_attributes.ref", "object_attributes.target_branch", "merge_request.target_branch"]
                        .into_iter()
                        .any(|field| any(body, field, fits))
            }
            Self::Actor(pattern) => ["user.username", "user_username"]
                .into_iter()
                .any(|field| any(body, field, |name| matches_wildcard(pattern, name))),
        }
    }
}

impl Test {
    fn holds(&self, value: &Value) -> bool {
        let text = || match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(bool) => Some(bool.to_string()),
            _ => None,
        };
        match self {
            Self::Is(wanted) => same(value, wanted),
            Self::In(wanted) => wanted.iter().any(|wanted| same(value, wanted)),
            Self::Contains(part) => text().is_some_and(|text| text.contains(part.as_str())),
            Self::Like(pattern) => text().is_some_and(|text| matches_wildcard(pattern, &text)),
            Self::Matches(regex) => text().is_some_and(|text| regex.is_match(&text)),
            Self::Over(limit) => value.as_f64().is_some_and(|number| number > *limit),
            Self::Under(limit) => value.as_f64().is_some_and(|number| number < *limit),
            Self::Exists(_) => false,
        }
    }
}

/// Numbers are the same however they are written.
fn same(value: &Value, wanted: &Value) -> bool {
    value == wanted || matches!((value.as_f64(), wanted.as_f64()), (Some(a), Some(b)) if a.total_cmp(&b).is_eq())
}

fn any(body: &Value, field: &str, test: impl Fn(&str) -> bool) -> bool {
    let steps: Vec<String> = field.split('.').map(str::to_owned).collect();
    values(body, &steps).into_iter().filter_map(Value::as_str).any(test)
}

fn values<'a>(body: &'a Value, steps: &[String]) -> Vec<&'a Value> {
    let mut found = vec![body];
    for step in steps {
        let mut inside = Vec::new();
        for value in found {
            match value {
                Value::Object(map) if step == "*" => inside.extend(map.values()),
                Value::Object(map) => inside.extend(map.get(step)),
                Value::Array(list) if step == "*" => inside.extend(list),
                Value::Array(list) => inside.extend(step.parse::<usize>().ok().and_then(|at| list.get(at))),
                _ => {}
            }
            inside.truncate(MOST_VALUES);
        }
        found = inside;
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn conditions_are_on_any_field_and_joined() {
        let body = json!({
            "object_kind": "merge_request", "user": { "username": "ida" }, "ref": "refs/heads/release/1",
            "labels": [{ "title": "Bug" }, { "title": "api" }],
            "object_attributes": { "action": "open", "iid": 5, "draft": false, "title": "Fix the gate", "target_branch": "main" },
            "commits": [{ "added": ["docs/a.md"], "modified": [] }, { "removed": ["src/x.rs"] }],
        });
        for (filter, passes) in [
            (json!({ "field": "object_attributes.action", "is": "open" }), true),
            (json!({ "field": "object_attributes.action", "in": ["close", "merge"] }), false),
            (json!({ "field": "object_attributes.iid", "is": 5.0 }), true),
            (json!({ "field": "object_attributes.iid", "over": 4, "under": 6 }), true),
            (json!({ "field": "object_attributes.iid", "over": 5 }), false),
            (json!({ "field": "object_attributes.draft", "is": false }), true),
            (json!({ "field": "object_attributes.title", "contains": "gate" }), true),
            (json!({ "field": "object_attributes.title", "like": "Fix*" }), true),
            (json!({ "field": "object_attributes.title", "matches": "^fix" }), false),
            (json!({ "field": "object_attributes.title", "matches": "(?i)^fix" }), true),
            (json!({ "field": "commits.1.removed.0", "is": "src/x.rs" }), true),
            (json!({ "field": "labels.*.title", "is": "api" }), true),
            (json!({ "field": "object_attributes.oldrev", "exists": false }), true),
            (json!({ "field": "user.username", "exists": false }), false),
            (json!({ "label": "bug" }), true),
            (json!({ "label": "feature" }), false),
            (json!({ "path": "docs/*" }), true),
            (json!({ "path": "*.py" }), false),
            (json!({ "branch": "release/*" }), true),
            (json!({ "branch": "main" }), true),
            (json!({ "branch": "develop" }), false),
            (json!({ "actor": "ida" }), true),
            (json!({ "actor": "*-bot" }), false),
            (json!({ "all": [{ "label": "bug" }, { "not": { "actor": "jo" } }] }), true),
            (json!({ "any": [{ "actor": "jo" }, { "path": "src/*" }] }), true),
            (json!({ "label": "bug", "actor": "jo" }), false),
            (json!({ "all": [] }), true),
            (json!({ "any": [] }), false),
        ] {
            let parsed = EventFilter::parse(&filter.to_string()).unwrap_or_else(|error| panic!("{filter}: {error}"));
            assert_eq!(parsed.passes(&body), passes, "{filter}");
            let again = EventFilter::parse(parsed.text()).expect("what was read can be read again");
            assert_eq!(again.text(), parsed.text());
        }
    }

    #[test]
    fn what_is_no_filter_is_refused_with_the_reason() {
        let deep = (0..20).fold(r#"{"actor":"ida"}"#.to_owned(), |inside, _| format!(r#"{{"not":{inside}}}"#));
        let many = format!(r#"{{"any":[{}]}}"#, vec![r#"{"actor":"i"}"#; 200].join(","));
        let expressions = format!(r#"{{"any":[{}]}}"#, [r#"{"field":"a","matches":"b"}"#; 11].join(","));
        let long = format!(r#"{{"actor":"{}"}}"#, "i".repeat(9000));
        for (text, why) in [
            ("nonsense", "is not a condition"),
            ("{}", "it says nothing"),
            (r#"{"field":"a"}"#, "needs a test"),
            (r#"{"is":1}"#, "needs a field"),
            (r#"{"lable":"bug"}"#, "unknown field"),
            (r#"{"field":"a","matches":"("}"#, "expression"),
            (r#"{"field":"a","matches":"\\w{400}"}"#, "size limit"),
            (&*expressions, "more than 10"),
            (&*deep, "deeper"),
            (&*many, "more than"),
            (&*long, "too long"),
        ] {
            let error = EventFilter::parse(text).expect_err(text).to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
