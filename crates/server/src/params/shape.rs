//! Checks values against the OpenAPI description: unknown names at every level, values of enums, and ranges of numbers.
//! The types of parameters check everything else when they are read.

use std::collections::BTreeMap;

use serde_json::Value;

use super::near;
use crate::error::{ApiError, FieldError, Kind};

/// Deepest level of a description that is followed.
const DEEPEST: usize = 8;
/// Largest number of errors in an answer.
const MAX_FAULTS: usize = 20;

/// The values that a description allows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Checked elsewhere.
    Anything,

    /// A whole number within bounds.
    Whole(Option<i64>, Option<i64>),

    /// `true` or `false`.
    Flag,

    /// One of some texts.
    Choice(Vec<String>),

    /// A list; as text, its items are separated by commas.
    List(Box<Self>),

    /// An object with these fields and no others.
    Object(Fields),
}

/// Fields with the values that they can have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fields(pub(super) BTreeMap<String, Shape>);

/// Errors of a request.
#[derive(Default)]
pub(super) struct Faults {
    errors: Vec<FieldError>,
    has_unknown: bool,
}

impl Faults {
    fn add(&mut self, error: FieldError) {
        if self.errors.len() < MAX_FAULTS {
            self.errors.push(error);
        }
    }

    /// Adds a filter that cannot apply to a list.
    pub(super) fn add_inapplicable(&mut self, name: &str, reason: &str) {
        self.has_unknown = true;
        let detail = format!("{name} does not apply to this list: {reason}");
        self.add(FieldError::new(name, detail));
    }

    /// All errors as one problem.
    pub(super) fn into_result(self) -> Result<(), ApiError> {
        let kind = if self.has_unknown {
            Kind::UnknownParameter
        } else {
            Kind::InvalidParameter
        };

        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(ApiError::fields(kind, self.errors))
        }
    }
}

impl Fields {
    /// Adds one parameter.
    pub(super) fn add(&mut self, name: &Value, schema: &Value, description: &Value) {
        if let Some(name) = name.as_str() {
            self.0.insert(name.to_owned(), Shape::of(schema, description, 0));
        }
    }

    /// Adds all properties of an object.
    pub(super) fn add_properties(&mut self, schema: &Value, description: &Value, depth: usize) {
        if depth > DEEPEST {
            return;
        }

        if let Some(schema) = referred(schema, description) {
            self.add_properties(schema, description, depth + 1);
        }

        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            self.0.insert(name.clone(), Shape::of(property, description, depth + 1));
        }

        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.add_properties(part, description, depth + 1);
        }
    }

    /// Checks a field of the request or of an inner object.
    pub(super) fn check(&self, within: Option<&str>, name: &str, value: &Value, faults: &mut Faults) {
        let path = || match within {
            Some(within) => format!("{within}.{}", near::shown(name)),
            None => near::shown(name),
        };

        match self.0.get(name) {
            Some(shape) => shape.check(&path(), value, faults),
            None => {
                faults.has_unknown = true;
                faults.add(self.unknown(path(), name));
            }
        }
    }

    fn unknown(&self, path: String, name: &str) -> FieldError {
        let names = self.0.keys().map(String::as_str);
        let meant = near::find(name, names.clone()).map(str::to_owned);
        let choices: Vec<String> = names.map(str::to_owned).collect();

        let detail = match &meant {
            Some(meant) => format!("unknown parameter {path}; did you mean {meant}?"),
            None if choices.is_empty() => format!("unknown parameter {path}; this operation has no parameters"),
            None => format!("unknown parameter {path}; the parameters are {}", choices.join(", ")),
        };

        FieldError {
            field: path,
            detail,
            choices,
            did_you_mean: meant,
        }
    }
}

impl Shape {
    /// Reads a schema of the description.
    fn of(schema: &Value, description: &Value, depth: usize) -> Self {
        if depth > DEEPEST {
            return Self::Anything;
        }

        if let Some(schema) = referred(schema, description) {
            return Self::of(schema, description, depth + 1);
        }

        for several in ["oneOf", "anyOf"] {
            let Some(all) = schema[several].as_array() else {
                continue;
            };
            let mut real = all.iter().filter(|one| one["type"] != "null");

            return match (real.next(), real.next()) {
                (Some(only), None) => Self::of(only, description, depth + 1),
                _ => Self::Anything,
            };
        }

        if let Some(values) = schema["enum"].as_array() {
            let words: Option<Vec<String>> = values.iter().map(|value| value.as_str().map(str::to_owned)).collect();
            return words.map_or(Self::Anything, Self::Choice);
        }

        let is = |name: &str| match &schema["type"] {
            Value::String(one) => one == name,
            Value::Array(any) => any.iter().any(|one| one == name),
            _ => false,
        };

        if is("integer") {
            Self::Whole(schema["minimum"].as_i64(), schema["maximum"].as_i64())
        } else if is("boolean") {
            Self::Flag
        } else if is("array") {
            Self::List(Box::new(Self::of(&schema["items"], description, depth + 1)))
        } else if schema["allOf"].is_array() || is("object") && schema["properties"].is_object() {
            let mut fields = Fields(BTreeMap::new());
            fields.add_properties(schema, description, depth + 1);

            // Names beside the described ones are free.
            if schema["additionalProperties"].is_null() && !fields.0.is_empty() {
                Self::Object(fields)
            } else {
                Self::Anything
            }
        } else {
            Self::Anything
        }
    }

    fn check(&self, path: &str, value: &Value, faults: &mut Faults) {
        // Both count as absent, because a form cannot send null.
        if value.is_null() || value == "" {
            return;
        }

        match (self, value) {
            (Self::Whole(least, most), Value::Number(_) | Value::String(_)) => {
                check_whole(*least, *most, path, value, faults);
            }
            (Self::Flag, Value::Number(_) | Value::String(_)) => check_flag(path, value, faults),
            (Self::Choice(choices), Value::String(text)) if !choices.contains(text) => {
                let near = near::find(text, choices.iter().map(String::as_str)).map(str::to_owned);
                faults.add(FieldError::choice(path, choices.clone(), near));
            }
            (Self::List(item), Value::Array(values)) => {
                for (at, value) in values.iter().enumerate() {
                    item.check(&format!("{path}[{at}]"), value, faults);
                }
            }
            (Self::List(item), Value::String(text)) => {
                for word in text.split(',') {
                    item.check(path, &Value::from(word.trim()), faults);
                }
            }
            (Self::Object(fields), Value::Object(object)) => {
                for (name, value) in object {
                    fields.check(Some(path), name, value, faults);
                }
            }
            _ => {}
        }
    }
}

fn check_whole(least: Option<i64>, most: Option<i64>, path: &str, value: &Value, faults: &mut Faults) {
    let number: Option<i64> = match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_i64(),
    };

    let fits = number
        .is_some_and(|number| least.is_none_or(|least| number >= least) && most.is_none_or(|most| number <= most));
    if fits {
        return;
    }

    let range = match (least, most) {
        (Some(least), Some(most)) => format!(" from {least} to {most}"),
        (Some(least), None) => format!(" of at least {least}"),
        (None, Some(most)) => format!(" of at most {most}"),
        (None, None) => String::new(),
    };
    faults.add(FieldError::new(path, format!("{path} must be a whole number{range}")));
}

fn check_flag(path: &str, value: &Value, faults: &mut Faults) {
    const WORDS: [&str; 10] = ["true", "t", "1", "on", "yes", "false", "f", "0", "off", "no"];

    let fits = match value {
        Value::String(text) => WORDS.contains(&text.as_str()),
        other => matches!(other.as_i64(), Some(0 | 1)),
    };
    if !fits {
        faults.add(FieldError::new(path, format!("{path} must be true or false")));
    }
}

fn referred<'a>(schema: &Value, description: &'a Value) -> Option<&'a Value> {
    let name = schema["$ref"].as_str()?.rsplit('/').next()?;
    Some(&description["components"]["schemas"][name])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(value: &Value, expected: &[&str]) {
        let description = json!({ "components": { "schemas": { "Inner": {
            "type": "object",
            "properties": { "name": { "type": "string" }, "rank": { "type": ["integer", "null"], "minimum": 1 } },
        } } } });
        let body = json!({ "type": "object", "properties": {
            "state": { "oneOf": [{ "type": "null" }, { "type": "string", "enum": ["waiting", "delivered"] }] },
            "limit": { "type": "integer", "minimum": 1, "maximum": 100 },
            "dry_run": { "type": "boolean" },
            "items": { "type": "array", "items": { "$ref": "#/components/schemas/Inner" } },
            "free": { "type": "object" },
        } });

        let mut fields = Fields(BTreeMap::new());
        fields.add_properties(&body, &description, 0);

        let mut faults = Faults::default();
        for (name, value) in value.as_object().into_iter().flatten() {
            fields.check(None, name, value, &mut faults);
        }

        let details: Vec<String> = faults.errors.into_iter().map(|error| error.detail).collect();
        assert_eq!(details, expected, "{value}");
    }

    #[test]
    fn a_value_that_the_description_does_not_allow_is_refused_with_the_allowed_ones() {
        check(
            &json!({ "state": "waiting", "limit": "100", "dry_run": "yes", "free": { "a": 1 } }),
            &[],
        );
        check(&json!({ "state": null, "limit": "", "items": null }), &[]);
        check(
            &json!({ "state": "deliverd" }),
            &["state does not have a valid value; did you mean delivered? The choices are waiting, delivered"],
        );
        check(&json!({ "limit": 0 }), &["limit must be a whole number from 1 to 100"]);
        check(
            &json!({ "limit": "many" }),
            &["limit must be a whole number from 1 to 100"],
        );
        check(&json!({ "dry_run": "maybe" }), &["dry_run must be true or false"]);
    }

    #[test]
    fn a_field_of_an_inner_object_is_checked_like_a_parameter() {
        check(&json!({ "items": [{ "name": "a", "rank": null }] }), &[]);
        check(
            &json!({ "items": [{ "nmae": "a" }, { "rank": 0 }] }),
            &[
                "unknown parameter items[0].nmae; did you mean name?",
                "items[1].rank must be a whole number of at least 1",
            ],
        );
    }
}
