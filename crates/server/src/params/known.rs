//! The parameters that each operation has, read from the OpenAPI description, so that none is forgotten.
//!
//! `/api/v1` refuses every other parameter. `/api/v4` ignores unknown parameters as GitLab does, because clients send
//! attributes of other versions and editions. It refuses two kinds of them: misspelled names of known parameters, and
//! GitLab's list filters that are not supported, because an unfiltered list would be a wrong answer.

mod lacking;

use std::collections::{BTreeSet, HashMap};

use axum::extract::MatchedPath;
use axum::http::Method;
use axum::http::request::Parts;
use serde_json::Value;
use utoipa::openapi::OpenApi;

use crate::error::ApiError;

/// Longest name, in bytes, that is compared with known names and shown in an error.
const LONGEST: usize = 64;

/// Names of parameters by route pattern and method.
pub(crate) struct Known(HashMap<String, Vec<(String, BTreeSet<String>)>>);

impl Known {
    pub(crate) fn of(description: &OpenApi) -> Self {
        let description = serde_json::to_value(description).unwrap_or_default();
        let mut known: HashMap<String, Vec<(String, BTreeSet<String>)>> = HashMap::new();

        for (path, item) in description["paths"].as_object().into_iter().flatten() {
            for (method, operation) in item.as_object().into_iter().flatten() {
                let names = names_of(operation, &description);
                let methods = known.entry(path.trim_end_matches('/').to_owned()).or_default();
                methods.push((method.to_uppercase(), names));
            }
        }

        Self(known)
    }

    /// Returns the operation of a request, if the description has it.
    pub(crate) fn operation<'a>(&'a self, parts: &'a Parts) -> Option<Operation<'a>> {
        let pattern = parts.extensions.get::<MatchedPath>()?.as_str();

        // Axum answers HEAD with the handler of GET.
        let method = if parts.method == Method::HEAD {
            "GET"
        } else {
            parts.method.as_str()
        };
        let (_, names) = self.0.get(pattern)?.iter().find(|(known, _)| known == method)?;
        Some(Operation { pattern, names })
    }
}

/// Names of an operation's parameters in query and body, which are treated alike.
fn names_of(operation: &Value, description: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        if parameter["in"] == "query" {
            names.extend(parameter["name"].as_str().map(str::to_owned));
        }
    }

    for (_, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
        add_properties(&content["schema"], description, &mut names);
    }

    names
}

fn add_properties(schema: &Value, description: &Value, names: &mut BTreeSet<String>) {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        add_properties(&description["components"]["schemas"][name], description, names);
    }

    for (name, _) in schema["properties"].as_object().into_iter().flatten() {
        names.insert(name.clone());
    }

    for part in schema["allOf"].as_array().into_iter().flatten() {
        add_properties(part, description, names);
    }
}

/// An operation and its parameters.
#[derive(Clone, Copy)]
pub(crate) struct Operation<'a> {
    pattern: &'a str,
    names: &'a BTreeSet<String>,
}

impl Operation<'_> {
    /// Refuses a parameter that the operation does not have, if ignoring it would mislead the client.
    pub(crate) fn check(&self, name: &str, value: &Value) -> Result<(), ApiError> {
        let name = name.split('[').next().unwrap_or(name);
        if self.names.contains(name) {
            return Ok(());
        }

        if self.pattern.starts_with("/api/v1") {
            return Err(self.unknown(name));
        }

        if let Some(neutral) = lacking::filter(self.pattern, name) {
            if narrows_nothing(value, neutral) {
                return Ok(());
            }

            let words = format!("{name} is a filter that this server does not support; remove it");
            return Err(ApiError::bad_parameter(words));
        }

        if lacking::CHANGES_NOTHING.contains(&name) {
            return Ok(());
        }

        match self.names.iter().find(|known| is_slip(name, known)) {
            Some(known) => Err(ApiError::bad_parameter(format!(
                "unknown parameter {name}; did you mean {known}?"
            ))),
            None => Ok(()),
        }
    }

    fn unknown(&self, name: &str) -> ApiError {
        let shown: String = name.chars().filter(|c| !c.is_control()).take(LONGEST).collect();

        // `project` instead of `project_id` counts as misspelled too.
        let is_near = |known: &&String| {
            is_slip(name, known) || name.len() >= 3 && (known.starts_with(name) || name.starts_with(known.as_str()))
        };
        let words = match self.names.iter().find(is_near) {
            Some(known) => format!("unknown parameter {shown}; did you mean {known}?"),
            None if self.names.is_empty() => format!("unknown parameter {shown}; this operation has no parameters"),
            None => {
                let all: Vec<&str> = self.names.iter().map(String::as_str).collect();
                format!("unknown parameter {shown}; this operation has {}", all.join(", "))
            }
        };
        ApiError::bad_parameter(words)
    }
}

/// Checks whether a filter has a value with which it excludes nothing.
fn narrows_nothing(value: &Value, neutral: &[&str]) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => neutral.contains(&if *flag { "true" } else { "false" }),
        Value::String(text) => text.is_empty() || neutral.contains(&text.to_ascii_lowercase().as_str()),
        Value::Array(list) => list.is_empty(),
        Value::Number(_) | Value::Object(_) => false,
    }
}

/// Checks whether a name is a misspelling of another one, by one or two letters depending on its length.
fn is_slip(name: &str, known: &str) -> bool {
    let most = match name.len() {
        0..4 => return false,
        4..10 => 1,
        10..=LONGEST => 2,
        _ => return false,
    };
    name.len().abs_diff(known.len()) <= most && distance(name.as_bytes(), known.as_bytes()) <= most
}

/// Number of letters to insert, delete, replace or swap to turn one name into the other.
fn distance(one: &[u8], other: &[u8]) -> usize {
    // The last three rows of the usual table.
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();

    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let mut least = (last[j] + usize::from(a != b)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                least = least.min(before_last[j - 1] + 1);
            }

            row.push(least);
        }

        before_last = std::mem::replace(&mut last, row);
    }

    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(pattern: &str, name: &str, value: &Value) -> Result<(), String> {
        let names = ["push_events", "issues_events", "project_id", "limit", "before"]
            .map(str::to_owned)
            .into_iter()
            .collect();
        let operation = Operation { pattern, names: &names };
        operation.check(name, value).map_err(|error| match error {
            ApiError::Error(_, words) => words,
            other => format!("{other:?}"),
        })
    }

    #[test]
    fn api_v4_ignores_what_it_does_not_know_but_no_slip() {
        let hooks = "/api/v4/projects/{id}/hooks";
        for name in [
            "push_events",
            "vulnerability_events",
            "reset_password",
            "lim",
            "duo_flow_callback_enabled",
        ] {
            assert_eq!(answer(hooks, name, &json!(true)), Ok(()), "{name}");
        }

        for (name, meant) in [
            ("push_event", "push_events"),
            ("issue_events", "issues_events"),
            ("puhs_events", "push_events"),
            ("limits", "limit"),
        ] {
            let words = format!("unknown parameter {name}; did you mean {meant}?");
            assert_eq!(answer(hooks, name, &json!(true)), Err(words));
        }
    }

    #[test]
    fn a_filter_of_gitlabs_that_is_not_here_is_refused_unless_it_narrows_nothing() {
        let words = Err("starred is a filter that this server does not support; remove it".to_owned());
        assert_eq!(answer("/api/v4/projects", "starred", &json!("true")), words);
        assert_eq!(answer("/api/v4/projects", "starred", &json!("false")), Ok(()));
        assert_eq!(answer("/api/v4/projects", "starred", &Value::Null), Ok(()));

        assert_eq!(
            answer("/api/v4/users", "starred", &json!("true")),
            Ok(()),
            "it is a filter of projects"
        );

        assert_eq!(
            answer("/api/v4/projects", "simple", &json!("true")),
            Ok(()),
            "it changes nothing here"
        );
    }

    #[test]
    fn api_v1_refuses_every_other_parameter_and_names_the_near_one() {
        let events = "/api/v1/events";
        assert_eq!(answer(events, "limit", &json!("5")), Ok(()));

        let near = "unknown parameter project; did you mean project_id?";
        assert_eq!(answer(events, "project", &json!("gear")), Err(near.to_owned()));

        let all = "unknown parameter since; this operation has before, issues_events, limit, project_id, push_events";
        assert_eq!(answer(events, "since", &json!("x")), Err(all.to_owned()));

        let long = "x".repeat(1000);
        assert!(
            answer(events, &long, &json!("x")).is_err_and(|words| words.len() < 200),
            "a name is cut"
        );
    }

    #[test]
    fn letters_are_added_taken_away_replaced_and_exchanged() {
        for (one, other, expected) in [
            ("abc", "abc", 0),
            ("abc", "abxc", 1),
            ("abc", "ac", 1),
            ("abc", "axc", 1),
            ("abc", "acb", 1),
            ("", "ab", 2),
        ] {
            assert_eq!(distance(one.as_bytes(), other.as_bytes()), expected, "{one} {other}");
        }
    }
}
