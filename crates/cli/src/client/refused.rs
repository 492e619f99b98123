//! Errors of calls: the server refused, or did not answer, or the call could not be made. The texts are for users.

use serde_json::Value;

/// The server did not answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreachable(pub(crate) String);

/// The certificate of the server cannot be verified. A repetition cannot succeed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unverified(pub(crate) String);

/// The server answered with a status that is not the expected one.
#[derive(Debug, thiserror::Error)]
#[error("the server answered {status}: {text}")]
pub(crate) struct Refused {
    status: u16,
    text: String,
}

impl Refused {
    /// The error for an answer with this status and body.
    pub(crate) fn new(status: u16, body: &str) -> Self {
        let text = match serde_json::from_str(body) {
            Ok(problem) => sentence(&problem).unwrap_or_else(|| body.to_owned()),
            Err(_) => body.to_owned(),
        };

        Self {
            status,
            text: text.trim().to_owned(),
        }
    }

    /// The HTTP status of the answer.
    pub(crate) const fn status(&self) -> u16 {
        self.status
    }

    /// The reason that the server gave.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    #[cfg(feature = "git")]
    /// Returns true if a retry cannot succeed. A missing token or project can be added later, and a rate limit passes.
    pub(crate) const fn is_for_good(&self) -> bool {
        matches!(self.status, 400 | 413 | 415 | 422)
    }
}

/// The command line is not valid, for a reason that only the command itself can find.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Misused(pub(crate) String);

/// There is no token for the server.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NoToken(pub(crate) &'static str);

/// The text of a problem, or of one of GitLab's two shapes of errors.
fn sentence(problem: &Value) -> Option<String> {
    if let Some(detail) = problem["detail"].as_str() {
        let errors = problem["errors"].as_array().into_iter().flatten();
        let news = errors.filter_map(|error| field(error, detail));

        return Some(
            std::iter::once(detail.to_owned())
                .chain(news)
                .collect::<Vec<_>>()
                .join("; "),
        );
    }

    // GitLab's `message` is a text, or an object that lists texts by field.
    if let Some(fields) = problem["message"].as_object() {
        let fields = fields.iter().map(|(name, value)| format!("{name} {}", words(value)));
        return Some(fields.collect::<Vec<_>>().join("; "));
    }

    let text = [&problem["message"], &problem["error_description"], &problem["error"]]
        .into_iter()
        .find_map(Value::as_str)?;

    Some(match problem["scope"].as_str() {
        Some(scope) => format!("{text} (scope: {scope})"),
        None => text.to_owned(),
    })
}

/// The part of one entry of `errors` that the detail of the problem does not say: its text, a near name, the choices.
fn field(error: &Value, detail: &str) -> Option<String> {
    let name = error["field"].as_str().unwrap_or_default();
    let reason = error["detail"].as_str().unwrap_or("is not valid");
    let mut parts = Vec::new();
    if !detail.contains(reason) {
        parts.push(format!("{name}: {reason}"));
    }

    if let Some(near) = error["did_you_mean"].as_str() {
        let question = format!("did you mean {near}?");
        if !detail.contains(&question) && !reason.contains(&question) {
            parts.push(format!("({question})"));
        }
    }

    let text = parts.join(" ");
    let choices = error["choices"].as_array().into_iter().flatten();
    let choices: Vec<String> = choices.map(words).collect();
    let is_said = |choice: &String| detail.contains(choice.as_str()) || reason.contains(choice.as_str());
    if choices.iter().all(is_said) {
        return Some(text).filter(|text| !text.is_empty());
    }

    let choices = format!("choices: {}", choices.join(", "));
    Some(if text.is_empty() {
        choices
    } else {
        format!("{text}; {choices}")
    })
}

fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(words).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: &str) {
        assert_eq!(Refused::new(400, body).text, expected);
    }

    #[test]
    fn the_detail_of_a_problem_is_followed_by_the_choices() {
        check(
            r#"{"title":"Bad Request","detail":"limit must be at least 1"}"#,
            "limit must be at least 1",
        );
        check(
            r#"{"detail":"a parameter is not valid","errors":[{"field":"state","detail":"is unknown","choices":["a","b"]}]}"#,
            "a parameter is not valid; state: is unknown; choices: a, b",
        );
        check(
            r#"{"detail":"unknown parameter","errors":[{"field":"projct","detail":"is unknown","did_you_mean":"project"}]}"#,
            "unknown parameter; projct: is unknown (did you mean project?)",
        );
        check(
            r#"{"detail":"since is invalid","errors":[{"field":"since","detail":"since is invalid"}]}"#,
            "since is invalid",
        );
        check(
            r#"{"detail":"state must be a or b","errors":[{"field":"state","detail":"must be a or b","choices":["a","b"]}]}"#,
            "state must be a or b",
        );
    }

    #[test]
    fn the_shapes_of_gitlab_become_a_sentence() {
        check(r#"{"message":"404 Project Not Found"}"#, "404 Project Not Found");
        check(r#"{"error":"url is missing"}"#, "url is missing");
        check(
            r#"{"message":{"path":["has already been taken"]}}"#,
            "path has already been taken",
        );
        check("plain", "plain");
    }
}
