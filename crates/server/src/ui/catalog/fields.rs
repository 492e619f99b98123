//! The fields of a body, one line each, read from its JSON Schema.

use serde_json::Value;

/// Largest number of lines. A page has at most 60 KB.
const MAX_LINES: usize = 300;

/// A field.
pub(super) struct FieldLine {
    /// The path, such as `commits[].author.name`.
    pub(super) path: String,

    /// The types of its values, such as `text or null`.
    pub(super) kind: String,
}

/// The fields of a schema in the order of the body.
pub(super) fn lines(schema: &Value) -> Vec<FieldLine> {
    let mut found = Vec::new();
    add(schema, "", &mut found);
    found.truncate(MAX_LINES);
    found
}

fn add(schema: &Value, path: &str, found: &mut Vec<FieldLine>) {
    if found.len() >= MAX_LINES {
        return;
    }

    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        found.push(FieldLine {
            path: path.clone(),
            kind: kind(field),
        });
        add(field, &path, found);

        let items = &field["items"];
        if items.is_object() {
            add(items, &format!("{path}[]"), found);
        }
    }
}

/// The types of a field in words.
fn kind(field: &Value) -> String {
    let mut types: Vec<&str> = match &field["type"] {
        Value::String(one) => vec![one],
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        _ => return "any value".to_owned(),
    };
    types.sort_by_key(|name| *name == "null");

    let words: Vec<&str> = types.into_iter().map(word).collect();
    let mut words = words.join(" or ");
    let allowed: Vec<&str> = field["enum"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if !allowed.is_empty() {
        words.push_str(": ");
        words.push_str(&allowed.join(", "));
    }

    words
}

fn word(name: &str) -> &str {
    match name {
        "string" => "text",
        "integer" => "whole number",
        "boolean" => "true or false",
        "array" => "list",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_field_of_a_schema_is_a_line() {
        let schema = json!({"properties": {
            "object_kind": {"type": "string", "enum": ["push"]},
            "commits": {"type": ["array", "null"], "items": {"type": "object", "properties": {"id": {"type": ["null", "string"]}}}},
            "any": {},
        }});
        let found = lines(&schema);
        let found: Vec<String> = found
            .iter()
            .map(|line| format!("{}: {}", line.path, line.kind))
            .collect();
        let expected = [
            "object_kind: text: push",
            "commits: list or null",
            "commits[].id: text or null",
            "any: any value",
        ];
        assert_eq!(found, expected);
    }
}
