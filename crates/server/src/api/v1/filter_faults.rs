//! Explains why an event filter of a request is refused, with the name that a misspelled part of it probably means.

use axum::http::StatusCode;
use quickdraw_domain::hook::filter::FilterError;
use serde_json::Value;

use crate::error::{ApiError, FieldError, Kind};
use crate::params::near;

/// Deepest level of a filter that is searched for an unknown name.
const DEEPEST: usize = 8;
/// The names of the parts of a filter.
const PARTS: [&str; 16] = [
    "all", "any", "not", "field", "is", "in", "contains", "like", "matches", "over", "under", "exists", "label",
    "path", "branch", "actor",
];

/// Builds the refusal of a filter that a parameter contains.
pub(super) fn explain(status: StatusCode, parameter: &str, text: &str, error: &FilterError) -> ApiError {
    let filter: Value = match error {
        FilterError::Form(_) => serde_json::from_str(text).unwrap_or_default(),
        _ => Value::Null,
    };

    let fault = match unknown_part(&filter, 0) {
        Some(part) => unknown(parameter, part),
        None => FieldError::new(parameter, format!("{parameter} {error}")),
    };
    ApiError::fields_with(status, Kind::InvalidParameter, vec![fault])
}

fn unknown(parameter: &str, part: &str) -> FieldError {
    let (part, meant) = (near::shown(part), near::nearest(part, PARTS.into_iter()));
    let hint = match meant {
        Some(meant) => format!("did you mean {meant}?"),
        None => format!("the fields are {}", PARTS.join(", ")),
    };

    FieldError {
        field: format!("{parameter}.{part}"),
        detail: format!("{parameter} has the unknown field {part}; {hint}"),
        choices: PARTS.map(str::to_owned).into(),
        did_you_mean: meant.map(str::to_owned),
    }
}

/// Finds a part of a filter that filters do not have.
fn unknown_part(filter: &Value, depth: usize) -> Option<&str> {
    if depth > DEEPEST {
        return None;
    }

    for (name, value) in filter.as_object()? {
        let inner = match name.as_str() {
            "all" | "any" => value
                .as_array()
                .and_then(|all| all.iter().find_map(|one| unknown_part(one, depth + 1))),
            "not" => unknown_part(value, depth + 1),
            known if PARTS.contains(&known) => None,
            unknown => Some(unknown),
        };

        if inner.is_some() {
            return inner;
        }
    }

    None
}

#[cfg(test)]
mod tests {
    use quickdraw_domain::hook::EventFilter;

    use super::*;

    fn check(text: &str, detail: &str, meant: Option<&str>) {
        let error = EventFilter::parse(text).expect_err("it is refused");
        let ApiError::Fields(_, _, problem) = explain(StatusCode::BAD_REQUEST, "filter", text, &error) else {
            panic!("it names the parameter");
        };

        let fault = &problem.errors[0];
        assert!(fault.detail.contains(detail), "{text}: {}", fault.detail);
        assert_eq!(fault.did_you_mean.as_deref(), meant, "{text}");
    }

    #[test]
    fn a_misspelled_part_gets_the_right_name() {
        check(
            r#"{"any":[{"label":"a"},{"not":{"lable":"b"}}]}"#,
            "unknown field lable; did you mean label?",
            Some("label"),
        );

        check(r#"{"color":"red"}"#, "the fields are all, any, not", None);
        check("[1]", "filter is not a condition", None);
        check(r#"{"field":"a"}"#, "filter", None);
    }

    #[test]
    fn every_part_of_a_filter_is_known() {
        let error = EventFilter::parse(r#"{"x":1}"#).expect_err("x is unknown").to_string();
        for part in PARTS {
            assert!(error.contains(&format!("`{part}`")), "{part}: {error}");
        }
    }
}
