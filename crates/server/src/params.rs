//! Request parameters as GitLab takes them: JSON, form and query alike, the body winning over the query.

mod read;
mod types;

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub use read::Invalid;
pub use types::{Clearable, Day, Level, Line, Moment, Pairs, Prose};

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
        if kind.starts_with("multipart/") {
            let text =
                "send parameters as JSON, or as a form with curl's -d or --data-urlencode; multipart is not read";
            return Err(ApiError::Error(StatusCode::UNSUPPORTED_MEDIA_TYPE, text.to_owned()));
        }
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
    /// All of them as a struct.
    ///
    /// # Errors
    /// Which of them is wrong, in GitLab's words.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Invalid> {
        read::read(&self.0)
    }

    /// One of them: for names that only a table knows.
    ///
    /// # Errors
    /// As [`Params::read`].
    pub fn one<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Invalid> {
        read::one(&self.0, name)
    }

    /// One of them as it came.
    pub fn raw(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The names that were given.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// Parameters as a struct, for handlers with nothing to look at before.
pub struct Input<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Input<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        Ok(Self(Params::from_request(request, app).await?.read()?))
    }
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
        let pairs = |text: &str| form(text).one::<Pairs>("h").map(|pairs| pairs.unwrap_or_default().0);
        assert_eq!(pairs(list).expect("pairs"), expected);
        assert_eq!(pairs("h%5BX-A%5D=1&h%5BX-B%5D=2").expect("pairs"), expected);
        assert_eq!(pairs("h[][key]=X-A").expect("pairs"), [("X-A".to_owned(), None)]);
        assert_eq!(pairs("h[][value]=1").expect_err("no key").to_string(), "h[key] is missing");
        assert_eq!(pairs("h[]=x").expect_err("no pair").to_string(), "h is invalid");
        assert_eq!(form("a[b=1").one::<String>("a[b").expect("a text").as_deref(), Some("1"));
    }
}
