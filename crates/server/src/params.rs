//! Request parameters as GitLab takes them: JSON, form and query alike, the body winning over the query.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use serde_json::{Map, Value};

use crate::body;
use crate::error::ApiError;
use crate::state::App;

/// Largest body of an API request.
const LIMIT: usize = 1 << 20;
/// Most parameters of one request.
const MAX_PARAMETERS: usize = 1000;

/// The parameters of a request. Attributes that nobody reads are ignored, as GitLab does.
#[derive(Debug)]
pub struct Params(Map<String, Value>);

impl FromRequest<Arc<App>> for Params {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let mut params = Map::new();
        add_form(&mut params, request.uri().query().unwrap_or_default().as_bytes())?;
        let (parts, incoming) = request.into_parts();
        let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_form = kind.starts_with("application/x-www-form-urlencoded");
        let held = body::read(app, &parts.headers, incoming, LIMIT)
            .await
            .map_err(|body::Refused(status, text)| ApiError::Error(status, text.to_owned()))?;
        if is_form {
            add_form(&mut params, &held.bytes)?;
        } else if !held.bytes.is_empty() {
            match serde_json::from_slice(&held.bytes) {
                Ok(Value::Object(object)) => params.extend(object),
                Ok(_) => return Err(ApiError::bad_parameter("the body must be a JSON object")),
                Err(error) => return Err(ApiError::bad_parameter(format!("the body is not valid JSON: {error}"))),
            }
        }
        Ok(Self(params))
    }
}

fn add_form(params: &mut Map<String, Value>, text: &[u8]) -> Result<(), ApiError> {
    for (key, value) in url_pairs(text) {
        if params.len() >= MAX_PARAMETERS {
            return Err(ApiError::Error(StatusCode::BAD_REQUEST, "too many parameters".to_owned()));
        }
        params.insert(key, Value::String(value));
    }
    Ok(())
}

fn url_pairs(text: &[u8]) -> impl Iterator<Item = (String, String)> {
    url::form_urlencoded::parse(text).map(|(key, value)| (key.into_owned(), value.into_owned()))
}

impl Params {
    /// A text; `null` and absence are the same.
    ///
    /// # Errors
    /// When it is something else.
    pub fn text(&self, name: &str) -> Result<Option<String>, ApiError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.contains('\0') => Err(invalid(name)),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(_) => Err(invalid(name)),
        }
    }

    /// Whether something was given that is not empty.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        let nothing = |value: &Value| {
            value.is_null()
                || value.as_str().is_some_and(str::is_empty)
                || value.as_array().is_some_and(Vec::is_empty)
                || value.as_object().is_some_and(Map::is_empty)
        };
        // Forms nest with brackets: `custom_headers[X-A]=b`, `custom_headers[][key]=X-A`.
        self.0.iter().any(|(key, value)| key.split('[').next() == Some(name) && !nothing(value))
    }

    /// A text without control characters and of bounded length.
    ///
    /// # Errors
    /// When it is something else.
    pub fn line(&self, name: &str, longest: usize) -> Result<Option<String>, ApiError> {
        let text = self.text(name)?;
        if text.as_ref().is_some_and(|text| text.chars().any(char::is_control)) {
            return Err(ApiError::unprocessable(format!("{name} must not contain control characters")));
        }
        if text.as_ref().is_some_and(|text| text.chars().count() > longest) {
            return Err(ApiError::unprocessable(format!("{name} is too long (maximum is {longest} characters)")));
        }
        Ok(text)
    }

    /// A text that must be there.
    ///
    /// # Errors
    /// When it is not.
    pub fn required(&self, name: &str, longest: usize) -> Result<String, ApiError> {
        let text = self.line(name, longest)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| ApiError::bad_parameter(format!("{name} is missing")))
    }

    /// A yes or no; forms write it as text.
    ///
    /// # Errors
    /// When it is something else.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(Value::String(text)) => match text.as_str() {
                "true" | "t" | "1" | "on" | "yes" => Ok(Some(true)),
                "false" | "f" | "0" | "off" | "no" => Ok(Some(false)),
                _ => Err(invalid(name)),
            },
            Some(Value::Number(number)) if number.as_i64() == Some(1) => Ok(Some(true)),
            Some(Value::Number(number)) if number.as_i64() == Some(0) => Ok(Some(false)),
            Some(_) => Err(invalid(name)),
        }
    }

    /// A whole number.
    ///
    /// # Errors
    /// When it is something else.
    pub fn integer(&self, name: &str) -> Result<Option<i64>, ApiError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Number(number)) => number.as_i64().map(Some).ok_or_else(|| invalid(name)),
            Some(Value::String(text)) => text.parse().map(Some).map_err(|_| invalid(name)),
            Some(_) => Err(invalid(name)),
        }
    }
}

fn invalid(name: &str) -> ApiError {
    ApiError::bad_parameter(format!("{name} is invalid"))
}
