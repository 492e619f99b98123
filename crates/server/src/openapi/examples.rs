//! An example of each operation: a request and its answer. The files in `examples/` have them by operation id.
//!
//! Tests check that each operation has an example, that the request has known parameters only, and that body and answer
//! match their schemas, so that an example cannot become wrong unnoticed.

#[cfg(test)]
pub(super) mod check;
mod command;

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Value, json};

/// The files with examples, by area.
const FILES: [&str; 13] = [
    include_str!("../../examples/accounts.json"),
    include_str!("../../examples/directory.json"),
    include_str!("../../examples/members.json"),
    include_str!("../../examples/tokens.json"),
    include_str!("../../examples/hooks.json"),
    include_str!("../../examples/reports.json"),
    include_str!("../../examples/history.json"),
    include_str!("../../examples/status.json"),
    include_str!("../../examples/sources.json"),
    include_str!("../../examples/metrics.json"),
    include_str!("../../examples/insights.json"),
    include_str!("../../examples/inspectors.json"),
    include_str!("../../examples/operations.json"),
];

/// A request and its answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Example {
    /// Path and query of the request.
    request: String,

    /// Body of the request.
    body: Option<Value>,

    /// Body of the answer. It is absent if the answer has none, and text if it is not JSON.
    answer: Option<Value>,

    /// Status of the answer, if the operation has several.
    status: Option<u16>,

    /// Answers with other statuses, to other bodies.
    #[serde(default)]
    others: Vec<OtherAnswer>,
}

/// An answer of the same operation with another status.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OtherAnswer {
    /// Status of the answer.
    status: u16,

    /// Body of the answer.
    answer: Value,
}

/// Reads all examples, by operation id.
fn read() -> BTreeMap<String, Example> {
    let mut all = BTreeMap::new();
    for file in FILES {
        let file: BTreeMap<String, Example> = serde_json::from_str(file).expect("the files of examples are JSON");
        all.extend(file);
    }

    all
}

/// Adds its example to each operation: to the parameters, the body and the answer.
pub(super) fn add(description: &mut Value) {
    let examples = read();
    let server = description["servers"][0]["url"].as_str().unwrap_or_default().to_owned();
    let paths = description["paths"].as_object_mut().into_iter().flatten();
    for (path, item) in paths {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            let id = operation["operationId"].as_str().unwrap_or_default();
            if let Some(example) = examples.get(id) {
                example.add_to(operation, path);

                let url = format!("{server}{}", example.request);
                let command = command::curl(method, &url, example.body.as_ref(), &operation["security"]);
                operation["x-codeSamples"] = json!([{ "lang": "Shell", "label": "curl", "source": command }]);
            }
        }
    }
}

impl Example {
    fn add_to(&self, operation: &mut Value, path: &str) {
        let values = self.values(path);
        for parameter in operation["parameters"].as_array_mut().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap_or_default();
            let Some((_, value)) = values.iter().find(|(known, _)| known == name) else {
                continue;
            };
            parameter["example"] = typed(value, &parameter["schema"]);
        }

        if let Some(body) = &self.body {
            let contents = operation["requestBody"]["content"]
                .as_object_mut()
                .into_iter()
                .flatten();
            contents.for_each(|(_, content)| content["example"] = body.clone());
        }

        for (answer, status) in self.answers() {
            let Some(response) = response(operation, status) else {
                continue;
            };

            let contents = response["content"].as_object_mut().into_iter().flatten();
            if let Some((_, content)) = contents.into_iter().next() {
                content["example"] = answer.clone();
            }
        }
    }

    /// All answers with a body, with their statuses.
    fn answers(&self) -> impl Iterator<Item = (&Value, Option<u16>)> {
        let first = self.answer.iter().map(|answer| (answer, self.status));
        first.chain(self.others.iter().map(|other| (&other.answer, Some(other.status))))
    }

    /// Returns the values of all parameters in path and query, without percent encoding.
    fn values(&self, path: &str) -> Vec<(String, String)> {
        let (place, query) = self.request.split_once('?').unwrap_or((&self.request, ""));
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();

        let mut values = Vec::new();
        for (name, value) in path.split('/').zip(place.split('/')) {
            if let Some(name) = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                values.push((name.to_owned(), decoded(value)));
            }
        }

        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            values.push((decoded(name), decoded(value)));
        }

        values
    }
}

/// Finds the answer with a status, or the first success.
fn response(operation: &mut Value, status: Option<u16>) -> Option<&mut Value> {
    let responses = operation["responses"].as_object_mut()?;
    let wanted = status.map(|status| status.to_string());
    let is_wanted = |status: &str| {
        wanted
            .as_ref()
            .map_or(status.starts_with('2'), |wanted| wanted == status)
    };
    let (_, response) = responses.iter_mut().find(|(status, _)| is_wanted(status))?;
    Some(response)
}

/// Turns the text of a parameter into a value of its type.
fn typed(text: &str, schema: &Value) -> Value {
    let is =
        |kind: &str| schema["type"] == kind || schema["type"].as_array().is_some_and(|all| all.contains(&json!(kind)));
    let value = if is("integer") || is("boolean") || is("number") {
        serde_json::from_str(text).ok()
    } else {
        None
    };

    match value {
        Some(value) => value,
        None if is("array") => json!([text]),
        None => json!(text),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::check::Checker;
    use super::*;
    use crate::openapi;

    /// Operations by id, with their paths.
    fn operations(description: &Value) -> BTreeMap<&str, (&str, &Value)> {
        let mut all = BTreeMap::new();
        for (path, item) in description["paths"].as_object().expect("paths") {
            for (_, operation) in item.as_object().expect("a path") {
                let id = operation["operationId"].as_str().expect("an id");
                all.insert(id, (path.as_str(), operation));
            }
        }

        all
    }

    #[test]
    fn each_operation_has_an_example_and_each_example_an_operation() {
        let description = openapi::whole();
        let examples = read();
        let known: BTreeSet<&str> = operations(&description).into_keys().collect();
        let shown: BTreeSet<&str> = examples.keys().map(String::as_str).collect();

        let missing: Vec<_> = known.difference(&shown).collect();
        let left: Vec<_> = shown.difference(&known).collect();
        assert!(
            missing.is_empty() && left.is_empty(),
            "operations without an example in crates/server/examples: {missing:?}; examples without an operation: {left:?}"
        );
    }

    #[test]
    fn each_example_matches_its_schemas() {
        let description = openapi::whole();
        let operations = operations(&description);
        let mut problems = Vec::new();

        for (id, example) in read() {
            let Some((path, operation)) = operations.get(id.as_str()) else {
                continue;
            };
            let mut checker = Checker::new(&description);
            check_request(&example, path, operation, &mut checker);
            check_answer(&example, operation, &mut checker);
            check_other_answers(&example, operation, &mut checker);
            problems.extend(checker.problems.into_iter().map(|problem| format!("{id}: {problem}")));
        }

        assert!(
            problems.is_empty(),
            "wrong examples in crates/server/examples:\n{}",
            problems.join("\n")
        );
    }

    fn check_request(example: &Example, path: &str, operation: &Value, checker: &mut Checker<'_>) {
        let place = example.request.split('?').next().unwrap_or_default();
        let fits = |(part, value): (&str, &str)| part.starts_with('{') || part == value;
        if path.split('/').count() != place.split('/').count() || !path.split('/').zip(place.split('/')).all(fits) {
            checker.problems.push(format!("request is not of {path}"));
        }

        let parameters: Vec<&Value> = operation["parameters"].as_array().into_iter().flatten().collect();
        for (name, value) in example.values(path) {
            match parameters.iter().find(|one| one["name"] == name.as_str()) {
                Some(parameter) => {
                    let schema = &parameter["schema"];
                    checker.check(&typed(&value, schema), schema, &format!("request: {name}"));
                }
                None => checker.problems.push(format!("request: there is no parameter {name}")),
            }
        }

        let body = &operation["requestBody"];
        match (
            &example.body,
            body["content"].as_object().and_then(|all| all.values().next()),
        ) {
            (Some(body), Some(content)) => checker.check(body, &content["schema"], "body"),
            (Some(_), None) => checker.problems.push("body: the operation has none".to_owned()),
            (None, Some(_)) => checker.problems.push("body is missing".to_owned()),
            (None, None) => {}
        }
    }

    fn check_other_answers(example: &Example, operation: &Value, checker: &mut Checker<'_>) {
        for other in &example.others {
            let status = other.status.to_string();
            let contents = operation["responses"][status.as_str()]["content"].as_object();

            match contents.and_then(|all| all.values().next()) {
                Some(content) => checker.check(&other.answer, &content["schema"], &format!("answer {status}")),
                None => checker
                    .problems
                    .push(format!("answer {status}: the operation has none with a body")),
            }
        }
    }

    fn check_answer(example: &Example, operation: &Value, checker: &mut Checker<'_>) {
        let mut operation = operation.clone();
        let Some(response) = response(&mut operation, example.status) else {
            checker
                .problems
                .push("answer: the operation has no such status".to_owned());
            return;
        };

        let content = response["content"].as_object().and_then(|all| all.iter().next());
        match (&example.answer, content) {
            // Events of a stream are text around the described object.
            (Some(Value::String(text)), Some((kind, _))) if kind == "text/event-stream" => {
                assert!(text.contains("\ndata: "), "{text}");
            }
            (Some(answer), Some((_, content))) => checker.check(answer, &content["schema"], "answer"),
            (Some(_), None) => checker.problems.push("answer: the operation has no body".to_owned()),
            (None, Some(_)) => checker.problems.push("answer is missing".to_owned()),
            (None, None) => {}
        }
    }
}
