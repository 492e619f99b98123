//! The errors that operations of `/api/v1` and `/api/v4` have in common, each with real answers as examples. An
//! end-to-end test sends the requests in `examples/errors.json` and compares the answers.

use serde::Deserialize;
use serde_json::{Map, Value, json};

const FILE: &str = include_str!("../../examples/errors.json");

/// An error with examples.
#[derive(Deserialize)]
struct Refusal {
    /// Beginning of the paths of operations: `/api/v1` or `/api/v4`.
    api: String,
    status: String,
    applies: Applies,
    description: String,
    examples: Map<String, Value>,
}

/// Operations that can answer with an error.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Applies {
    All,

    /// Operations that need a token.
    Token,

    /// Operations with an id in their path.
    Path,

    /// Operations with a body.
    Body,

    /// Operations with a body or parameters in the query.
    Input,
}

impl Applies {
    fn to(self, operation: &Value) -> bool {
        let has = |place: &str| {
            let mut parameters = operation["parameters"].as_array().into_iter().flatten();
            parameters.any(|parameter| parameter["in"] == place)
        };
        let has_body = !operation["requestBody"].is_null();

        match self {
            Self::All => true,
            // The whole description requires a token. An operation that does not has requirements of its own.
            Self::Token => operation["security"].is_null(),
            Self::Path => has("path"),
            Self::Body => has_body,
            Self::Input => has_body || has("query"),
        }
    }
}

impl Refusal {
    /// Name of the answer among the components, such as `Problem404`.
    fn name(&self) -> String {
        format!("{}{}", self.schema(), self.status)
    }

    fn schema(&self) -> &'static str {
        if self.api == "/api/v1" { "Problem" } else { "Error" }
    }

    /// The answer as it stands among the components.
    fn response(&self) -> Value {
        let kind = if self.api == "/api/v1" {
            "application/problem+json"
        } else {
            "application/json"
        };

        let examples = self.examples.iter();
        let examples: Map<String, Value> = examples
            .map(|(name, example)| (name.clone(), json!({ "value": example["answer"] })))
            .collect();
        let content = json!({
            "schema": { "$ref": format!("#/components/schemas/{}", self.schema()) },
            "examples": examples,
        });
        json!({ "description": self.description, "content": { kind: content } })
    }
}

fn read() -> Vec<Refusal> {
    serde_json::from_str(FILE).expect("the file of errors is JSON")
}

/// Adds the common errors to each operation that does not describe its own.
pub(super) fn add(description: &mut Value) {
    let all = read();
    for one in &all {
        description["components"]["responses"][one.name()] = one.response();
    }

    // An operation can refuse a request for reasons of its own, such as 409 for a name that is taken.
    for (schema, kind) in [("Problem", "application/problem+json"), ("Error", "application/json")] {
        let reference = format!("#/components/schemas/{schema}");
        description["components"]["responses"][format!("{schema}4XX")] = json!({
            "description": "Refused for another reason, which the answer gives.",
            "content": { kind: { "schema": { "$ref": reference } } },
        });
    }

    for (path, item) in description["paths"].as_object_mut().into_iter().flatten() {
        for (_, operation) in item.as_object_mut().into_iter().flatten() {
            if !operation["responses"]["4XX"].is_null() {
                continue;
            }

            for one in &all {
                let is_described = !operation["responses"][&one.status].is_null();
                if path.starts_with(&one.api) && one.applies.to(operation) && !is_described {
                    let name = format!("#/components/responses/{}", one.name());
                    operation["responses"][&one.status] = json!({ "$ref": name });
                }
            }

            let schema = if path.starts_with("/api/v1") {
                "Problem"
            } else {
                "Error"
            };
            operation["responses"]["4XX"] = json!({ "$ref": format!("#/components/responses/{schema}4XX") });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::examples::check::Checker;
    use super::*;
    use crate::openapi;

    #[test]
    fn examples_of_errors_match_their_schemas() {
        let description = openapi::whole();
        let mut checker = Checker::new(&description);

        for one in read() {
            let schema = &description["components"]["schemas"][one.schema()];
            for (name, example) in &one.examples {
                checker.check(&example["answer"], schema, &format!("{} {name}", one.name()));
            }
        }

        assert!(checker.problems.is_empty(), "{:#?}", checker.problems);
    }

    #[test]
    fn an_operation_has_the_errors_that_it_can_answer_with() {
        let description = openapi::whole();
        let statuses = |path: &str, method: &str| -> Vec<String> {
            let responses = description["paths"][path][method]["responses"].as_object();
            responses.expect("an operation").keys().cloned().collect()
        };

        assert_eq!(
            statuses("/api/v1/sources", "post"),
            ["201", "400", "401", "403", "422", "429", "5XX", "4XX"]
        );
        assert_eq!(
            statuses("/api/v1/sources", "get"),
            ["200", "400", "401", "403", "429", "5XX", "4XX"]
        );
        assert_eq!(
            statuses("/api/v1/workers", "get"),
            ["200", "401", "403", "429", "5XX", "4XX"]
        );
        assert!(!statuses("/api/v1/health", "get").contains(&"401".to_owned()));
    }
}
