//! Request parameters as GitLab takes them: JSON, form and query alike, the body winning over the query.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use serde_json::{Map, Value};

use crate::audit::Note;
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
        if let Some(note) = parts.extensions.get::<Note>() {
            note.attributes(params.keys());
        }
        Ok(Self(params))
    }
}

fn add_form(params: &mut Map<String, Value>, text: &[u8]) -> Result<(), ApiError> {
    for (key, value) in url_pairs(text) {
        if params.len() >= MAX_PARAMETERS {
            return Err(ApiError::Error(StatusCode::BAD_REQUEST, "too many parameters".to_owned()));
        }
        nest(params, &key, value);
    }
    Ok(())
}

/// Brackets nest, as in Rack: `a[b]=v` is an object, `a[]=v` a list, and `a[][k]=v` a list of objects where a key that the
/// last one has already begins another. Deeper nesting has no meaning for any attribute and stays a plain name.
fn nest(params: &mut Map<String, Value>, key: &str, value: String) {
    let value = Value::String(value);
    let Some((name, inner)) = key.split_once('[').and_then(|(name, rest)| Some((name, rest.strip_suffix(']')?))) else {
        params.insert(key.to_owned(), value);
        return;
    };
    let slot = params.entry(name);
    if let Some(field) = inner.strip_prefix("][") {
        let list = slot.or_insert_with(|| Value::Array(Vec::new()));
        let Value::Array(list) = list else { return };
        match list.last_mut() {
            Some(Value::Object(last)) if !last.contains_key(field) => drop(last.insert(field.to_owned(), value)),
            _ => list.push(Value::Object(Map::from_iter([(field.to_owned(), value)]))),
        }
    } else if inner.is_empty() {
        if let Value::Array(list) = slot.or_insert_with(|| Value::Array(Vec::new())) {
            list.push(value);
        }
    } else if let Value::Object(object) = slot.or_insert_with(|| Value::Object(Map::new())) {
        object.insert(inner.to_owned(), value);
    }
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

    /// A list of names and values, in each form that clients use: `[{"key": …, "value": …}]`, `{"KEY": "v"}`,
    /// `name[][key]=…&name[][value]=…` and `name[KEY]=v`. A value may be missing: clients send back what they read.
    ///
    /// # Errors
    /// When it is something else.
    pub fn pairs(&self, name: &str) -> Result<Vec<(String, Option<String>)>, ApiError> {
        let text = |value: Option<&Value>| match value {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(Value::Bool(flag)) => Ok(Some(flag.to_string())),
            Some(_) => Err(invalid(name)),
        };
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::String(text)) if text.is_empty() => Ok(Vec::new()),
            Some(Value::Array(list)) => list
                .iter()
                .map(|one| {
                    let Value::Object(one) = one else { return Err(invalid(name)) };
                    let key = text(one.get("key"))?.ok_or_else(|| missing(&format!("{name}[key]")))?;
                    Ok((key, text(one.get("value"))?))
                })
                .collect(),
            Some(Value::Object(object)) => {
                object.iter().map(|(key, value)| Ok((key.clone(), text(Some(value))?))).collect()
            }
            Some(_) => Err(invalid(name)),
        }
    }

    /// A list of words: `["a", "b"]`, `name[]=a&name[]=b`, or `a,b`.
    ///
    /// # Errors
    /// When it is something else.
    pub fn words(&self, name: &str) -> Result<Vec<String>, ApiError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(text.split(',').map(str::trim).map(str::to_owned).collect()),
            Some(Value::Array(list)) => {
                list.iter().map(|word| word.as_str().map(str::to_owned).ok_or_else(|| invalid(name))).collect()
            }
            Some(_) => Err(invalid(name)),
        }
    }

    /// Whether it was given at all, be it as `null`.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether there is no parameter at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A text that can be taken away: `None` when it was not given, `Some(None)` for `null` or nothing.
    ///
    /// # Errors
    /// As [`Params::line`].
    pub fn change(&self, name: &str, longest: usize) -> Result<Option<Option<String>>, ApiError> {
        if !self.0.contains_key(name) {
            return Ok(None);
        }
        Ok(Some(self.line(name, longest)?.filter(|text| !text.is_empty())))
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

fn missing(name: &str) -> ApiError {
    ApiError::bad_parameter(format!("{name} is missing"))
}

fn invalid(name: &str) -> ApiError {
    ApiError::bad_parameter(format!("{name} is invalid"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> Params {
        let mut params = Map::new();
        add_form(&mut params, text.as_bytes()).expect("few");
        Params(params)
    }

    #[test]
    fn forms_nest_as_clients_write_them() {
        let expected = vec![("X-A".to_owned(), Some("1".to_owned())), ("X-B".to_owned(), Some("2".to_owned()))];
        let list = "h[][key]=X-A&h[][value]=1&h[][key]=X-B&h[][value]=2";
        assert_eq!(form(list).pairs("h").expect("pairs"), expected);
        assert_eq!(form("h%5BX-A%5D=1&h%5BX-B%5D=2").pairs("h").expect("pairs"), expected);
        assert_eq!(form("h[][key]=X-A").pairs("h").expect("pairs"), [("X-A".to_owned(), None)]);
        assert!(form("h[]=x").pairs("h").is_err());
        assert_eq!(form("a[b=1").text("a[b").expect("a text").as_deref(), Some("1"));
    }
}
