//! The parameters that each operation has, read from the OpenAPI description, so that none is forgotten.
//!
//! `/api/v1` refuses every other parameter. `/api/v4` ignores unknown parameters as GitLab does, because clients send
//! attributes of other versions and editions. It refuses two kinds of them: misspelled names of known parameters, and
//! GitLab's list filters that are not supported, because an unfiltered list would be a wrong answer.

mod inapplicable;
mod lacking;

use std::collections::{BTreeMap, HashMap};

use axum::extract::MatchedPath;
use axum::http::Method;
use axum::http::request::Parts;
use serde_json::Value;
use utoipa::openapi::OpenApi;

use super::near;
use super::shape::{Faults, Fields};
use crate::error::ApiError;

/// Parameters by route pattern and method.
pub(crate) struct Known(HashMap<String, Vec<(String, Fields)>>);

impl Known {
    pub(crate) fn of(description: &OpenApi) -> Self {
        let description = serde_json::to_value(description).unwrap_or_default();
        let mut known: HashMap<String, Vec<(String, Fields)>> = HashMap::new();

        for (path, item) in description["paths"].as_object().into_iter().flatten() {
            for (method, operation) in item.as_object().into_iter().flatten() {
                let fields = fields_of(operation, &description);
                let methods = known.entry(path.trim_end_matches('/').to_owned()).or_default();
                methods.push((method.to_uppercase(), fields));
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
        let (_, fields) = self.0.get(pattern)?.iter().find(|(known, _)| known == method)?;
        Some(Operation { pattern, fields })
    }
}

/// The parameters of an operation in query and body, which are treated alike.
fn fields_of(operation: &Value, description: &Value) -> Fields {
    let mut fields = Fields(BTreeMap::new());
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        if parameter["in"] == "query" {
            fields.add(&parameter["name"], &parameter["schema"], description);
        }
    }

    for (_, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
        fields.add_properties(&content["schema"], description, 0);
    }

    fields
}

/// Refuses every query parameter, for paths of `/api/v1` that the description does not have.
pub(crate) fn refuse_all(query: Option<&str>) -> Result<(), ApiError> {
    let fields = Fields(BTreeMap::new());
    let mut faults = Faults::default();

    for (name, _) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        fields.check(None, &name, &Value::Null, &mut faults);
    }

    faults.into_result()
}

/// An operation and its parameters.
#[derive(Clone, Copy)]
pub(crate) struct Operation<'a> {
    pattern: &'a str,
    fields: &'a Fields,
}

impl Operation<'_> {
    /// Refuses parameters that the operation does not have, if ignoring them would mislead the client. `/api/v1` also
    /// refuses values that its description does not allow.
    pub(crate) fn check<'v>(&self, params: impl Iterator<Item = (&'v str, &'v Value)>) -> Result<(), ApiError> {
        let mut faults = Faults::default();
        for (name, value) in params {
            let name = name.split('[').next().unwrap_or(name);

            if !self.pattern.starts_with("/api/v1") {
                self.check_as_gitlab(name, value)?;
                continue;
            }

            match inapplicable::reason(self.pattern, name) {
                Some(reason) if !self.fields.0.contains_key(name) => faults.add_inapplicable(name, reason),
                _ => self.fields.check(None, name, value, &mut faults),
            }
        }

        faults.into_result()
    }

    /// Refuses a parameter with several values. GitLab takes the last one, but an answer of `/api/v1` that ignores the
    /// others would mislead.
    pub(crate) fn check_repeated(&self, name: &str) -> Result<(), ApiError> {
        if !self.pattern.starts_with("/api/v1") {
            return Ok(());
        }

        let text = format!("{name} has more than one value; give one, or separate the values of a list by commas");
        Err(ApiError::field(name, text))
    }

    /// Refuses the names that `/api/v4` does not ignore.
    fn check_as_gitlab(&self, name: &str, value: &Value) -> Result<(), ApiError> {
        if self.fields.0.contains_key(name) {
            return Ok(());
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

        match self.fields.0.keys().find(|known| near::is_slip(name, known)) {
            Some(known) => Err(ApiError::bad_parameter(format!(
                "unknown parameter {name}; did you mean {known}?"
            ))),
            None => Ok(()),
        }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::shape::Shape;
    use super::*;

    fn answer(pattern: &str, name: &str, value: &Value) -> Result<(), String> {
        let names = ["push_events", "issues_events", "project_id", "limit", "before"];
        let fields = names.map(|name| (name.to_owned(), Shape::Anything));
        let fields = Fields(BTreeMap::from(fields));
        let fields = &fields;

        let operation = Operation { pattern, fields };
        operation
            .check([(name, value)].into_iter())
            .map_err(|error| match error {
                ApiError::Error(_, words) | ApiError::Fields(_, words, _) => words,
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
    fn a_filter_that_cannot_apply_to_a_list_is_refused_with_the_reason() {
        let words = "state does not apply to this list: a skipped event has no delivery and no attempt";
        assert_eq!(
            answer("/api/v1/skips", "state", &json!("waiting")),
            Err(words.to_owned())
        );
    }

    #[test]
    fn api_v1_refuses_every_other_parameter_and_names_the_near_one() {
        let events = "/api/v1/events";
        assert_eq!(answer(events, "limit", &json!("5")), Ok(()));

        let near = "unknown parameter project; did you mean project_id?";
        assert_eq!(answer(events, "project", &json!("gear")), Err(near.to_owned()));

        let all = "unknown parameter color; the parameters are before, issues_events, limit, project_id, push_events";
        assert_eq!(answer(events, "color", &json!("x")), Err(all.to_owned()));

        let long = "x".repeat(1000);
        assert!(
            answer(events, &long, &json!("x")).is_err_and(|words| words.len() < 200),
            "a name is cut"
        );
    }
}
