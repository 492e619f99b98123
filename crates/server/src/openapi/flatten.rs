//! Puts the fields of a schema that consists of parts (`allOf`) in one place, so that readers and generators of clients
//! find all fields of a body together.

use serde_json::{Map, Value, json};

/// Replaces every `allOf` of objects by one object with the fields of all parts.
pub(super) fn flatten(description: &mut Value) {
    let schemas = description["components"]["schemas"].clone();
    walk(description, &schemas);
}

fn walk(value: &mut Value, schemas: &Value) {
    if let Some(whole) = merged(value, schemas) {
        *value = whole;
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
    fn parts_that_are_no_objects_stay() {
        let schema = json!({ "allOf": [{ "type": "string" }] });
        let mut description = schema.clone();
        flatten(&mut description);
        assert_eq!(description, schema);
    }
}
