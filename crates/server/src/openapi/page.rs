//! The description as HTML: the viewer's page, and a plain page without scripts.

use askama::Template;
use serde_json::Value;

/// The content of both pages.
pub(super) struct Page {
    title: String,
    version: String,
    intro: String,
    tags: Vec<Tag>,

    /// Errors that several operations have in common.
    errors: Vec<Answer>,
    schemas: Vec<NamedSchema>,
    names: Names,
}

/// Names of the files that the pages load.
pub(super) struct Names {
    pub(super) style: String,
    pub(super) script: String,
    pub(super) viewer: String,
    pub(super) viewer_style: String,
}

/// The page that loads the viewer. Without scripts, it is an index of the plain page.
#[derive(Template)]
#[template(path = "viewer.html")]
struct Viewer<'a> {
    page: &'a Page,
}

/// The page without scripts.
#[derive(Template)]
#[template(path = "api.html")]
struct Plain<'a> {
    page: &'a Page,
}

struct Tag {
    name: String,
    operations: Vec<Operation>,
}

struct Operation {
    id: String,
    method: String,
    path: String,
    summary: String,
    more: String,
    parameters: Vec<Field>,
    body: Option<Body>,

    /// A request, as a command.
    example: Option<String>,
    answers: Vec<Answer>,
}

struct Body {
    kind: Kind,
    fields: Vec<Field>,
}

struct Answer {
    status: String,
    words: String,
    kind: Option<Kind>,
    examples: Vec<String>,

    /// Name of the answer, if several operations have it. Its examples are shown once, at the end of the page.
    shared: Option<String>,
}

struct NamedSchema {
    name: String,
    words: String,
    kind: Option<Kind>,
    fields: Vec<Field>,
}

struct Field {
    name: String,
    place: String,
    required: bool,
    kind: Kind,
    words: String,
}

/// A type in words, and the schema that explains it.
struct Kind {
    text: String,
    schema: Option<String>,
}

impl Page {
    pub(super) fn of(description: &Value, names: Names) -> Self {
        let components = &description["components"];
        let schemas = components["schemas"].as_object().into_iter().flatten();
        let errors = components["responses"].as_object().into_iter().flatten();

        Self {
            title: text(&description["info"]["title"]),
            version: text(&description["info"]["version"]),
            intro: text(&description["info"]["description"]),
            tags: tags(description),
            errors: errors.map(|(name, response)| read_answer(name, response)).collect(),
            schemas: schemas.map(|(name, schema)| read_schema(name, schema)).collect(),
            names,
        }
    }

    pub(super) fn viewer(&self) -> String {
        Viewer { page: self }.render().expect(RENDERS)
    }

    pub(super) fn plain(&self) -> String {
        Plain { page: self }.render().expect(RENDERS)
    }
}

const RENDERS: &str = "the template only shows values";

/// Groups operations by their tag, in the order of the alphabet.
fn tags(description: &Value) -> Vec<Tag> {
    let mut tags: Vec<Tag> = Vec::new();
    for (path, item) in description["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let name = text(&operation["tags"][0]);
            let found = tags.iter().position(|tag| tag.name == name).unwrap_or_else(|| {
                tags.push(Tag {
                    name,
                    operations: Vec::new(),
                });

                tags.len() - 1
            });
            tags[found]
                .operations
                .push(read_operation(method, path, operation, description));
        }
    }

    tags.sort_by(|a, b| a.name.cmp(&b.name));
    tags
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn read_operation(method: &str, path: &str, operation: &Value, description: &Value) -> Operation {
    let parameters = operation["parameters"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|parameter| Field {
            name: text(&parameter["name"]),
            place: text(&parameter["in"]),
            required: parameter["required"] == true,
            kind: kind(&parameter["schema"]),
            words: text(&parameter["description"]),
        });

    let answers = operation["responses"].as_object().into_iter().flatten();
    let body = content(&operation["requestBody"]).map(|content| &content["schema"]);

    Operation {
        id: text(&operation["operationId"]),
        method: method.to_uppercase(),
        path: path.to_owned(),
        summary: text(&operation["summary"]),
        more: text(&operation["description"]),
        parameters: parameters.collect(),
        body: body.map(|schema| Body {
            kind: kind(schema),
            fields: fields(resolved(schema, description)),
        }),
        example: text_of(&operation["x-codeSamples"][0]["source"]),
        answers: answers
            .map(|(status, response)| match name_of(response) {
                Some(name) => Answer {
                    examples: Vec::new(),
                    shared: Some(name),
                    ..read_answer(status, resolved(response, description))
                },
                None => read_answer(status, response),
            })
            .collect(),
    }
}

fn read_answer(status: &str, response: &Value) -> Answer {
    let content = content(response);
    let mut examples = Vec::new();
    if let Some(content) = content {
        examples.extend(text_of(&content["example"]));
        let several = content["examples"].as_object().into_iter().flatten();
        examples.extend(several.filter_map(|(_, example)| text_of(&example["value"])));
    }

    Answer {
        status: status.to_owned(),
        words: text(&response["description"]),
        kind: content.map(|content| kind(&content["schema"])),
        examples,
        shared: None,
    }
}

/// Reads the name of a referenced component.
fn name_of(value: &Value) -> Option<String> {
    let path = value["$ref"].as_str()?;
    path.rsplit('/').next().map(str::to_owned)
}

/// Shows a value as indented JSON, and text as it is.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(format!("{other:#}")),
    }
}

/// Follows a reference to a component.
fn resolved<'a>(value: &'a Value, description: &'a Value) -> &'a Value {
    let path = value["$ref"].as_str().and_then(|path| path.strip_prefix('#'));
    path.and_then(|path| description.pointer(path)).unwrap_or(value)
}

/// Returns the first content of a body or answer.
fn content(of: &Value) -> Option<&Value> {
    of["content"].as_object()?.values().next()
}

fn read_schema(name: &str, schema: &Value) -> NamedSchema {
    let fields = fields(schema);
    // A schema without fields is a type of value.
    let kind = fields.is_empty().then(|| kind(schema));

    NamedSchema {
        name: name.to_owned(),
        words: text(&schema["description"]),
        kind,
        fields,
    }
}

fn fields(schema: &Value) -> Vec<Field> {
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();

    let own = schema["properties"].as_object().into_iter().flatten();
    own.map(|(name, property)| Field {
        name: name.clone(),
        place: String::new(),
        required: required.contains(&name.as_str()),
        kind: kind(property),
        words: words(property),
    })
    .collect()
}

/// Returns the description of a property. If the property can be null, the description is inside of `oneOf`.
fn words(property: &Value) -> String {
    match property["description"].as_str() {
        Some(words) => words.to_owned(),
        None => property["oneOf"]
            .as_array()
            .into_iter()
            .flatten()
            .map(words)
            .find(|words| !words.is_empty())
            .unwrap_or_default(),
    }
}

fn kind(schema: &Value) -> Kind {
    if let Some(name) = name_of(schema) {
        return Kind {
            text: name.clone(),
            schema: Some(name),
        };
    }

    for key in ["oneOf", "allOf", "anyOf"] {
        if let Some(all) = schema[key].as_array() {
            let kinds: Vec<Kind> = all.iter().map(kind).collect();
            let texts: Vec<&str> = kinds.iter().map(|kind| kind.text.as_str()).collect();
            let text = texts.join(if key == "allOf" { " and " } else { " or " });
            return Kind {
                text,
                schema: kinds.into_iter().find_map(|kind| kind.schema),
            };
        }
    }

    let mut text = match &schema["type"] {
        Value::String(one) => one.clone(),
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ => "anything".to_owned(),
    };

    let mut inner = None;
    if let Some(rest) = text.strip_prefix("array") {
        let items = kind(&schema["items"]);
        text = format!("list of {}{rest}", items.text);
        inner = items.schema;
    }

    if let Some(format) = schema["format"].as_str().filter(|format| !format.starts_with("int")) {
        text += &format!(", {format}");
    }

    if let Some(values) = schema["enum"].as_array() {
        let values = values.iter().filter(|value| !value.is_null());
        let values: Vec<String> = values.map(|value| value.to_string().replace('"', "")).collect();
        text += &format!(": {}", values.join(", "));
    }

    for (key, words) in [
        ("minimum", "at least"),
        ("maximum", "at most"),
        ("maxLength", "at most"),
    ] {
        if let Some(number) = schema[key].as_i64() {
            let unit = if key == "maxLength" { " characters" } else { "" };
            text += &format!(", {words} {number}{unit}");
        }
    }

    if !schema["default"].is_null() {
        text += &format!(", by default {}", schema["default"]);
    }

    Kind { text, schema: inner }
}
