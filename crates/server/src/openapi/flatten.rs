//! Simplifies schemas, so that readers and generators of clients find all fields and choices of a body together.

use serde_json::{Map, Value, json};

/// Replaces every `allOf` of objects by one object with the fields of all parts, and every choice between a word and
/// null by a word that can be null.
pub(super) fn flatten(description: &mut Value) {
    let schemas = description["components"]["schemas"].clone();
    walk(description, &schemas);
}

fn walk(value: &mut Value, schemas: &Value) {
    if let Some(whole) = merged(value, schemas) {
        *value = whole;
    }

    if let Some(word) = word_or_null(value, schemas) {
        *value = word;
    }

    match value {
        Value::Object(fields) => fields.values_mut().for_each(|field| walk(field, schemas)),
        Value::Array(items) => items.iter_mut().for_each(|item| walk(item, schemas)),
        _ => {}
    }
}

/// Merges the parts of a schema. Returns `None` for a schema without parts, and if a part is not an object.
fn merged(schema: &Value, schemas: &Value) -> Option<Value> {
    let parts = schema["allOf"].as_array()?;
    let mut properties = Map::new();
    let mut required: Vec<Value> = Vec::new();
    let mut rest = Value::Null;

    for part in parts {
        let part = resolved(part, schemas)?;
        let own = part["properties"].as_object().into_iter().flatten();
        properties.extend(own.map(|(name, property)| (name.clone(), property.clone())));
        required.extend(part["required"].as_array().into_iter().flatten().cloned());

        if !part["additionalProperties"].is_null() {
            rest = part["additionalProperties"].clone();
        }
    }

    let mut whole = schema.as_object()?.clone();
    whole.remove("allOf");
    whole.insert("type".to_owned(), json!("object"));
    if !required.is_empty() {
        whole.insert("required".to_owned(), Value::Array(required));
    }

    whole.insert("properties".to_owned(), Value::Object(properties));
    if !rest.is_null() {
        whole.insert("additionalProperties".to_owned(), rest);
    }

    Some(Value::Object(whole))
}

/// Rewrites a choice between null and one of several words.
fn word_or_null(schema: &Value, schemas: &Value) -> Option<Value> {
    let choices = schema["oneOf"].as_array()?;
    let [one, other] = choices.as_slice() else {
        return None;
    };
    let word = if one["type"] == "null" {
        other
    } else if other["type"] == "null" {
        one
    } else {
        return None;
    };

    let name = word["$ref"].as_str().and_then(|path| path.rsplit('/').next());
    let words = name.map_or(word, |name| &schemas[name]);
    if words["type"] != "string" {
        return None;
    }

    let mut whole = words.as_object()?.clone();
    let outer = schema.as_object()?.iter().filter(|(key, _)| *key != "oneOf");
    let inner = word.as_object()?.iter().filter(|(key, _)| *key != "$ref");
    whole.extend(inner.chain(outer).map(|(key, value)| (key.clone(), value.clone())));
    whole.insert("type".to_owned(), json!(["string", "null"]));
    if let Some(Value::Array(words)) = whole.get_mut("enum") {
        words.push(Value::Null);
    }

    Some(Value::Object(whole))
}

/// Follows references and merges parts until the schema is an object with fields.
fn resolved(part: &Value, schemas: &Value) -> Option<Value> {
    if let Some(name) = part["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return resolved(&schemas[name], schemas);
    }

    if let Some(whole) = merged(part, schemas) {
        return Some(whole);
    }

    (part["type"] == "object").then(|| part.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_all_parts_are_in_one_object() {
        let mut description = json!({ "components": { "schemas": {
            "New": { "description": "A new hook.", "allOf": [
                { "$ref": "#/components/schemas/Change" },
                { "type": "object", "required": ["url"], "properties": { "extra": { "type": "integer" } } },
            ] },
            "Change": { "allOf": [{ "$ref": "#/components/schemas/Settings" }] },
            "Settings": { "type": "object", "properties": { "url": { "type": "string" } } },
        } } });
        flatten(&mut description);

        let whole = json!({
            "description": "A new hook.",
            "type": "object",
            "required": ["url"],
            "properties": { "url": { "type": "string" }, "extra": { "type": "integer" } },
        });
        assert_eq!(description["components"]["schemas"]["New"], whole);
    }

    #[test]
    fn a_word_or_null_is_one_schema() {
        let mut description = json!({
            "components": { "schemas": { "Mode": { "type": "string", "enum": ["any", "both"], "description": "Mode." } } },
            "mode": { "oneOf": [{ "type": "null" }, { "$ref": "#/components/schemas/Mode", "description": "Its mode." }] },
        });
        flatten(&mut description);

        let whole = json!({ "type": ["string", "null"], "enum": ["any", "both", null], "description": "Its mode." });
        assert_eq!(description["mode"], whole);
    }

    #[test]
    fn parts_that_are_no_objects_stay() {
        let schema = json!({ "allOf": [{ "type": "string" }] });
        let mut description = schema.clone();
        flatten(&mut description);
        assert_eq!(description, schema);
    }
}
