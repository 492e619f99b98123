//! The JSON Schema of every composed body, generated from the samples in `fixtures/gitlab`, and the check that bodies
//! only grow: everything that was released stays.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use quickdraw_domain::Trigger;
use quickdraw_domain::compose::actions;
use serde_json::{Map, Value, json};

/// The current schemas, for people and for the server.
const CURRENT: &str = "docs/reference/schemas.json";
/// The released schemas. Nothing in them may be removed.
const RELEASED: &str = "fixtures/gitlab/released.json";

/// Objects whose keys depend on the event.
const OPEN: [&str; 6] = [
    "changes",
    "push_options",
    "object_attributes.merge_params",
    "object_attributes.location",
    "object_attributes.st_diff",
    "object_attributes.position",
];

/// The fields that every new kind must have, by GitLab's rules for new events.
const NEEDED_OF_NEW: [&str; 3] = ["object_kind", "action", "object_attributes"];

/// The values seen at one path in the bodies of a kind.
#[derive(Default)]
struct Shape {
    types: BTreeSet<&'static str>,
    properties: BTreeMap<String, Shape>,

    /// The names in the order in which they were first seen.
    order: Vec<String>,

    /// The number of objects that contain each name.
    seen: BTreeMap<String, usize>,
    objects: usize,
    items: Option<Box<Shape>>,
    words: BTreeSet<String>,
}

impl Shape {
    fn add(&mut self, value: &Value, path: &str) {
        self.types.insert(match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        });

        match value {
            Value::Object(values) if !OPEN.contains(&path) => {
                self.objects += 1;

                for (name, value) in values {
                    let at = if path.is_empty() {
                        name.clone()
                    } else {
                        format!("{path}.{name}")
                    };

                    if !self.properties.contains_key(name) {
                        self.order.push(name.clone());
                    }

                    *self.seen.entry(name.clone()).or_default() += 1;
                    self.properties.entry(name.clone()).or_default().add(value, &at);
                }
            }

            Value::Array(values) => {
                for value in values {
                    self.items.get_or_insert_default().add(value, &format!("{path}[]"));
                }
            }
            Value::String(text) if is_word(path) => drop(self.words.insert(text.clone())),
            _ => {}
        }
    }

    fn schema(&self, is_root: bool) -> Value {
        let mut schema = Map::new();
        let mut types = self.types.clone();
        // Every integer is also a number.
        if types.contains("number") {
            types.remove("integer");
        }

        // A value that was always null may be anything. Every other value may also be null, because a forge may leave
        // it out.
        if types.iter().any(|one| *one != "null") {
            if self.words.is_empty() && !is_root {
                types.insert("null");
            }

            let types: Vec<&str> = types.into_iter().collect();
            schema.insert(
                "type".to_owned(),
                if let [one] = types.as_slice() {
                    json!(one)
                } else {
                    json!(types)
                },
            );
        }

        if !self.words.is_empty() {
            let null = self.types.contains("null").then_some(Value::Null);
            let words: Vec<Value> = self.words.iter().map(|word| json!(word)).chain(null).collect();
            schema.insert("enum".to_owned(), Value::Array(words));
        }

        if !self.properties.is_empty() {
            let properties: Map<String, Value> = self
                .order
                .iter()
                .map(|name| (name.clone(), self.properties[name].schema(false)))
                .collect();

            schema.insert("properties".to_owned(), Value::Object(properties));

            let always: Vec<&String> = self
                .order
                .iter()
                .filter(|name| self.seen[*name] == self.objects)
                .collect();

            schema.insert("required".to_owned(), json!(always));
        }

        if let Some(items) = &self.items {
            schema.insert("items".to_owned(), items.schema(false));
        }

        Value::Object(schema)
    }
}

/// Whether the value is one of a few words that identify the kind of the body.
fn is_word(path: &str) -> bool {
    matches!(
        path,
        "object_kind" | "event_name" | "event_type" | "action" | "object_attributes.action"
    )
}

/// Writes the current schemas, or checks that the file is current and that nothing released is missing.
pub(crate) fn run(root: &Path, check: bool) -> anyhow::Result<()> {
    let current = made(root)?;
    let text = serde_json::to_string_pretty(&current)? + "\n";
    let file = root.join(CURRENT);

    if !check {
        fs::write(&file, text).with_context(|| format!("failed to write {}", file.display()))?;
        writeln!(std::io::stdout(), "{} kinds", current.as_object().map_or(0, Map::len))?;
        return Ok(());
    }

    let there = fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))?;
    anyhow::ensure!(
        there == text,
        "{CURRENT} does not match the samples; run cargo run -p xtask -- schemas"
    );

    let released = root.join(RELEASED);
    let released = fs::read_to_string(&released).with_context(|| format!("failed to read {}", released.display()))?;
    let problems = broken(&serde_json::from_str(&released)?, &current);
    for problem in &problems {
        writeln!(std::io::stdout(), "{problem}")?;
    }

    anyhow::ensure!(
        problems.is_empty(),
        "{} incompatible changes of released bodies",
        problems.len()
    );

    writeln!(std::io::stdout(), "schemas: nothing released is missing")?;
    Ok(())
}

/// Copies the current schemas to the released ones. From then on nothing in them may be removed.
pub(crate) fn release(root: &Path) -> anyhow::Result<()> {
    run(root, true)?;
    fs::copy(root.join(CURRENT), root.join(RELEASED)).context("failed to write the released schemas")?;
    Ok(())
}

/// Generates the schema of each kind.
fn made(root: &Path) -> anyhow::Result<Value> {
    let folder = root.join("fixtures/gitlab");
    let mut schemas = BTreeMap::new();

    for kind in fs::read_dir(&folder).with_context(|| format!("failed to read {}", folder.display()))? {
        let kind = kind?.path();
        let name = kind.file_name().unwrap_or_default().to_string_lossy().into_owned();

        if !kind.is_dir() {
            continue;
        }

        let mut shape = Shape::default();
        let mut files: Vec<_> = fs::read_dir(&kind)?
            .map(|file| file.map(|file| file.path()))
            .collect::<Result<_, _>>()?;
        files.sort();

        for file in files {
            if file
                .file_stem()
                .is_some_and(|stem| stem.to_string_lossy().starts_with("sample"))
            {
                shape.add(&serde_json::from_str(&fs::read_to_string(&file)?)?, "");
            }
        }

        // Actions that no sample has.
        let words = Trigger::by_name(&name).map_or(&[][..], actions);
        if !words.is_empty() {
            let mut places = 0;
            if let Some(action) = shape.properties.get_mut("action") {
                action.words.extend(words.iter().map(|word| (*word).to_owned()));
                places += 1;
            }

            let attributes = shape.properties.get_mut("object_attributes");
            if let Some(action) = attributes.and_then(|attributes| attributes.properties.get_mut("action")) {
                action.words.extend(words.iter().map(|word| (*word).to_owned()));
                places += 1;
            }

            anyhow::ensure!(
                places > 0,
                "{name} has words for an action, and no action in its samples"
            );
        }

        let mut schema = shape.schema(true);
        schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
        schema["title"] = json!(name);
        schemas.insert(name, schema);
    }

    Ok(json!(schemas))
}

/// The incompatible changes since the release, and the missing fields of new kinds.
fn broken(released: &Value, current: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    for (kind, schema) in released.as_object().into_iter().flatten() {
        match current.get(kind) {
            None => problems.push(format!("{kind} is gone")),
            Some(now) => compare(schema, now, kind, &mut problems),
        }
    }

    for (kind, schema) in current.as_object().into_iter().flatten() {
        let is_new = released.get(kind).is_none();
        for name in NEEDED_OF_NEW
            .iter()
            .filter(|name| is_new && schema["properties"].get(**name).is_none())
        {
            problems.push(format!("{kind} is new and has no {name}"));
        }
    }

    problems
}

fn compare(was: &Value, now: &Value, path: &str, problems: &mut Vec<String>) {
    let (before, after) = (types(was), types(now));
    // A field that is no longer supported becomes null. Any other new type is incompatible.
    let is_known = |one: &String| before.contains(one) || *one == "null";

    // A schema without a type belongs to a value that is always null. GitLab's rules allow an unsupported value to
    // become null and nothing else.
    let is_dead = after.is_empty() && was.get("enum").is_none();
    if !before.is_empty() && !is_dead && (!before.is_subset(&after) || !after.iter().all(is_known)) {
        problems.push(format!("{path} was {} and is {}", words(&before), words(&after)));
    }

    let has_null = |schema: &Value| {
        schema["enum"]
            .as_array()
            .is_some_and(|words| words.contains(&Value::Null))
    };
    if was.get("enum").is_some() && has_null(now) && !has_null(was) {
        problems.push(format!("{path} was never null and can be null now"));
    }

    for word in was["enum"].as_array().into_iter().flatten() {
        if !now["enum"].as_array().is_some_and(|words| words.contains(word)) {
            problems.push(format!("{path} no longer has the value {word}"));
        }
    }

    if is_dead {
        return;
    }

    for name in was["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        let is_there = now["properties"].get(name).is_some();
        if is_there && !now["required"].as_array().is_some_and(|all| all.contains(&json!(name))) {
            problems.push(format!("{path}.{name} was always present and is optional now"));
        }
    }

    for (name, property) in was["properties"].as_object().into_iter().flatten() {
        match now["properties"].get(name) {
            None => problems.push(format!("{path}.{name} is gone")),
            Some(there) => compare(property, there, &format!("{path}.{name}"), problems),
        }
    }

    if let (Some(items), Some(there)) = (was.get("items"), now.get("items")) {
        compare(items, there, &format!("{path}[]"), problems);
    }
}

fn types(schema: &Value) -> BTreeSet<String> {
    match &schema["type"] {
        Value::String(one) => BTreeSet::from([one.clone()]),
        Value::Array(all) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => BTreeSet::new(),
    }
}

fn words(types: &BTreeSet<String>) -> String {
    if types.is_empty() {
        "nothing".to_owned()
    } else {
        types.iter().cloned().collect::<Vec<_>>().join(" or ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(value: &Value) -> Value {
        let mut shape = Shape::default();
        shape.add(value, "");
        shape.schema(true)
    }

    #[test]
    fn released_bodies_may_only_grow() {
        let body = json!({ "object_kind": "rope", "action": "tie", "object_attributes": { "id": 1, "knots": [{ "name": "bowline" }] } });
        let released = json!({ "rope_hooks": schema(&body) });
        let problems = |body: &Value| broken(&released, &json!({ "rope_hooks": schema(body) }));
        assert!(problems(&body).is_empty());

        let mut more = body.clone();
        more["object_attributes"]["length"] = json!(60);
        assert!(problems(&more).is_empty(), "a new field is compatible");

        let mut less = body.clone();
        less["object_attributes"]["knots"][0]
            .as_object_mut()
            .expect("an object")
            .remove("name");

        assert_eq!(problems(&less), ["rope_hooks.object_attributes.knots[].name is gone"]);

        let mut other = body.clone();
        other["object_attributes"]["id"] = json!("one");

        assert_eq!(
            problems(&other),
            ["rope_hooks.object_attributes.id was integer or null and is null or string"]
        );

        let mut renamed = body.clone();
        renamed["action"] = json!("knot");

        assert_eq!(
            problems(&renamed),
            ["rope_hooks.action no longer has the value \"tie\""]
        );

        let mut dead = body.clone();
        dead["object_attributes"]["knots"] = json!(null);
        assert!(problems(&dead).is_empty(), "an unsupported value may become null");

        let mut silent = body.clone();
        silent["action"] = json!(null);

        let found = problems(&silent);
        assert!(
            found.contains(&"rope_hooks.action no longer has the value \"tie\"".to_owned()),
            "{found:?}"
        );

        let mut both = Shape::default();
        both.add(&body, "");
        both.add(&silent, "");

        let now = json!({ "rope_hooks": both.schema(true) });
        assert_eq!(
            broken(&released, &now),
            ["rope_hooks.action was never null and can be null now"]
        );

        assert_eq!(broken(&released, &json!({})), ["rope_hooks is gone"]);

        let new = json!({ "rope_hooks": schema(&body), "sling_hooks": schema(&json!({ "object_kind": "sling" })) });
        assert_eq!(
            broken(&released, &new),
            [
                "sling_hooks is new and has no action",
                "sling_hooks is new and has no object_attributes"
            ]
        );
    }
}
