//! Checks values against the schemas of the description, for tests. It knows the keywords that the description uses,
//! and refuses fields that a schema does not have.

use std::fmt::Display;

use serde_json::Value;

/// Collects the differences between values and their schemas.
pub(crate) struct Checker<'a> {
    schemas: &'a Value,
    pub(crate) problems: Vec<String>,
}

impl<'a> Checker<'a> {
    pub(crate) fn new(description: &'a Value) -> Self {
        Self {
            schemas: &description["components"]["schemas"],
            problems: Vec::new(),
        }
    }

    /// Checks a value. `at` names its place in messages.
    pub(crate) fn check(&mut self, value: &Value, schema: &Value, at: &str) {
        if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
            let schema = &self.schemas[name];
            return self.check(value, schema, at);
        }

        for key in ["oneOf", "anyOf"] {
            if let Some(choices) = schema[key].as_array() {
                self.check_choices(value, choices, at);
            }
        }

        if !has_type(value, &schema["type"]) {
            return self.report(at, format!("{value} is not of type {}", schema["type"]));
        }

        if let Some(choices) = schema["enum"].as_array()
            && !choices.contains(value)
        {
            self.report(at, format!("{value} is not one of {}", schema["enum"]));
        }

        match value {
            Value::Object(fields) => {
                for name in schema["required"].as_array().into_iter().flatten() {
                    if !fields.contains_key(name.as_str().unwrap_or_default()) {
                        self.report(at, format!("{name} is missing"));
                    }
                }

                for (name, field) in fields {
                    self.check_field(name, field, schema, at);
                }
            }
            Value::Array(items) => {
                for (number, item) in items.iter().enumerate() {
                    self.check(item, &schema["items"], &format!("{at}[{number}]"));
                }
            }
            Value::String(text) => self.check_text(text, schema, at),
            Value::Number(number) => {
                let number = number.as_f64().unwrap_or_default();
                if schema["minimum"].as_f64().is_some_and(|least| number < least)
                    || schema["maximum"].as_f64().is_some_and(|most| number > most)
                {
                    self.report(at, format!("{number} is outside of the limits"));
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn check_choices(&mut self, value: &Value, choices: &[Value], at: &str) {
        let mut found = Vec::new();
        for choice in choices {
            let before = self.problems.len();
            self.check(value, choice, at);
            let problems = self.problems.split_off(before);
            if problems.is_empty() {
                return;
            }
            found.extend(problems);
        }

        self.problems.extend(found);
    }

    fn check_field(&mut self, name: &str, field: &Value, schema: &Value, at: &str) {
        let at = format!("{at}.{name}");
        let known = &schema["properties"];
        if !known[name].is_null() {
            return self.check(field, &known[name], &at);
        }

        match &schema["additionalProperties"] {
            // An object without any described field can have every field.
            Value::Null if known.is_null() => {}
            Value::Bool(true) => {}
            rest @ Value::Object(_) => self.check(field, rest, &at),
            _ => self.report(&at, "the schema has no such field"),
        }
    }

    fn check_text(&mut self, text: &str, schema: &Value, at: &str) {
        let letters = text.chars().count() as u64;
        if schema["maxLength"].as_u64().is_some_and(|most| letters > most)
            || schema["minLength"].as_u64().is_some_and(|least| letters < least)
        {
            self.report(at, "the text has a wrong length");
        }

        let right = match schema["format"].as_str() {
            Some("date-time") => text.parse::<jiff::Timestamp>().is_ok(),
            Some("date") => text.parse::<jiff::civil::Date>().is_ok(),
            Some("uuid") => text.parse::<uuid::Uuid>().is_ok(),
            _ => true,
        };
        if !right {
            self.report(at, format!("{text} is not a {}", schema["format"]));
        }
    }

    fn report(&mut self, at: &str, problem: impl Display) {
        self.problems.push(format!("{at}: {problem}"));
    }
}

fn has_type(value: &Value, kind: &Value) -> bool {
    match kind {
        Value::String(kind) => match kind.as_str() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "null" => value.is_null(),
            _ => false,
        },
        Value::Array(kinds) => kinds.iter().any(|kind| has_type(value, kind)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check_problems(value: &Value, expected: &[&str]) {
        let schema = json!({
            "type": "object",
            "required": ["id"],
            "properties": {
                "id": { "type": "integer", "minimum": 1 },
                "state": { "type": ["string", "null"], "enum": ["open", null] },
                "at": { "oneOf": [{ "type": "null" }, { "type": "string", "format": "date-time" }] },
            },
        });
        let description = json!({});
        let mut checker = Checker::new(&description);
        checker.check(value, &schema, "answer");
        assert_eq!(checker.problems, expected, "{value}");
    }

    #[test]
    fn a_value_is_compared_with_its_schema() {
        check_problems(&json!({ "id": 1, "state": null, "at": "2026-11-30T14:12:08Z" }), &[]);
        check_problems(&json!({}), &["answer: \"id\" is missing"]);
        check_problems(&json!({ "id": 0 }), &["answer.id: 0 is outside of the limits"]);
        check_problems(
            &json!({ "id": 1, "old": 2 }),
            &["answer.old: the schema has no such field"],
        );
        check_problems(
            &json!({ "id": 1, "at": "soon" }),
            &[
                "answer.at: \"soon\" is not of type \"null\"",
                "answer.at: soon is not a \"date-time\"",
            ],
        );
    }
}
