//! Problem details (RFC 9457): the kinds of problems that `/api/v1` answers with, and errors by field.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

/// The kind of a problem. Its word is stable, so that programs can depend on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A parameter that the operation does not have.
    UnknownParameter,

    /// A parameter with a wrong value.
    InvalidParameter,

    /// A request that is wrong as a whole.
    InvalidRequest,

    /// No valid token.
    Unauthorized,

    /// The role of the user does not allow the request.
    Forbidden,

    /// The scopes of the token do not allow the request.
    InsufficientScope,

    /// No such object, or none that the user may see.
    NotFound,

    /// The method is not supported at this path.
    MethodNotAllowed,

    /// The state of the object does not allow the request.
    Conflict,

    /// The object existed and is gone.
    Gone,

    /// The body or the answer is larger than allowed.
    TooLarge,

    /// Too many requests.
    TooManyRequests,

    /// The server cannot answer now.
    Unavailable,

    /// The server did not finish in time.
    Timeout,

    /// The server failed.
    InternalError,
}

impl Kind {
    /// All kinds with their words, in the order of the reference page.
    pub const ALL: [(Self, &'static str); 15] = [
        (Self::UnknownParameter, "unknown-parameter"),
        (Self::InvalidParameter, "invalid-parameter"),
        (Self::InvalidRequest, "invalid-request"),
        (Self::Unauthorized, "unauthorized"),
        (Self::Forbidden, "forbidden"),
        (Self::InsufficientScope, "insufficient-scope"),
        (Self::NotFound, "not-found"),
        (Self::MethodNotAllowed, "method-not-allowed"),
        (Self::Conflict, "conflict"),
        (Self::Gone, "gone"),
        (Self::TooLarge, "too-large"),
        (Self::TooManyRequests, "too-many-requests"),
        (Self::Unavailable, "unavailable"),
        (Self::Timeout, "timeout"),
        (Self::InternalError, "internal-error"),
    ];

    /// The last part of the problem's `type`.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(kind, _)| *kind == self)
            .map_or("internal-error", |(_, word)| word)
    }

    /// The kind of a problem of which only the status is known.
    #[must_use]
    pub const fn of_status(status: StatusCode) -> Self {
        match status.as_u16() {
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            405 => Self::MethodNotAllowed,
            408 | 504 => Self::Timeout,
            409 => Self::Conflict,
            410 => Self::Gone,
            413 => Self::TooLarge,
            429 => Self::TooManyRequests,
            503 => Self::Unavailable,
            400..500 => Self::InvalidRequest,
            _ => Self::InternalError,
        }
    }
}

/// An error of one parameter.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct FieldError {
    /// Name of the parameter; inner fields as `items[2].name`.
    pub field: String,

    /// The error, and how to correct it.
    pub detail: String,

    /// The allowed values or names, if there is a fixed list of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,

    /// The value or name that was probably meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub did_you_mean: Option<String>,
}

impl FieldError {
    /// An error without choices. `detail` names the field.
    #[must_use]
    pub fn new(field: &str, detail: impl Into<String>) -> Self {
        Self {
            field: field.to_owned(),
            detail: detail.into(),
            choices: Vec::new(),
            did_you_mean: None,
        }
    }

    /// A value that is not allowed, with the allowed values.
    #[must_use]
    pub fn choice(field: &str, choices: Vec<String>, did_you_mean: Option<String>) -> Self {
        let hint = match &did_you_mean {
            Some(near) => format!("did you mean {near}? The choices are {}", choices.join(", ")),
            None => format!("the choices are {}", choices.join(", ")),
        };

        Self {
            field: field.to_owned(),
            detail: format!("{field} does not have a valid value; {hint}"),
            choices,
            did_you_mean,
        }
    }
}

/// A problem: its kind, its text, and the fields that caused it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// The kind.
    pub kind: Kind,

    /// The error, and how to correct it.
    pub detail: String,

    /// Errors by field; empty if no parameter is wrong.
    pub errors: Vec<FieldError>,
}

impl Problem {
    /// A problem of wrong parameters.
    #[must_use]
    pub fn of_fields(kind: Kind, errors: Vec<FieldError>) -> Self {
        let details: Vec<&str> = errors.iter().map(|error| error.detail.as_str()).collect();

        Self {
            kind,
            detail: details.join("; "),
            errors,
        }
    }

    /// A problem of which only the status is known.
    #[must_use]
    pub fn of_status(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: Kind::of_status(status),
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    /// Builds the answer.
    pub(crate) fn answer(&self, status: StatusCode) -> Response {
        let mut body = json!({
            "type": format!("/problems/{}", self.kind.word()),
            "title": status.canonical_reason().unwrap_or("Error"),
            "status": status.as_u16(),
            "detail": self.detail,
        });
        if !self.errors.is_empty() {
            body["errors"] = json!(self.errors);
        }

        let mut response = (status, Json(body)).into_response();
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );

        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_page_describes_every_kind_of_problem_in_order() {
        let page = include_str!("../../../../docs/reference/problems.md");
        let described: Vec<&str> = page
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
            .collect();

        assert_eq!(described, Kind::ALL.map(|(_, word)| word));
    }

    #[test]
    fn every_kind_has_a_word() {
        for (kind, word) in Kind::ALL {
            assert_eq!(kind.word(), word);
        }
    }
}
