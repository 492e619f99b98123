//! Reads request parameters as GitLab does: JSON, form and query alike. The body takes precedence over the query.

mod known;
pub(crate) mod near;
mod read;
mod shape;
mod types;
mod when;
mod words;

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::{StatusCode, header};
use quickdraw_domain::tree::{self, TreeError};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub(crate) use known::{Known, refuse_all};
pub use read::Invalid;
pub use types::{Clearable, Day, Hidden, Level, Line, Moment, Pairs, Prose};
pub use when::{Wait, When};
pub use words::{Class, TriggerName};

use crate::audit::Note;
use crate::body::{self, BodyMemory, Kind};
use crate::error::ApiError;
use crate::memory::{Memory, UntilAnswered};
use crate::sudo::{self, EarlyBody};

/// Largest body of an API request, in bytes.
pub(crate) const LIMIT: usize = 1 << 20;
/// Maximum amount of memory in bytes that the parameters of a request can take as a tree. The values read from them
/// take at most as much again.
const TREE: usize = 8 << 20;
/// Largest number of parameters in a request.
const MAX_PARAMETERS: usize = 1000;
/// Number of characters of a parameter's name that an error shows.
const MAX_SHOWN: usize = 60;
/// Largest number of pairs in a form or a query. A list has one pair for each item.
const MAX_PAIRS: usize = 4096;
/// Maximum amount of memory in bytes that a pair takes besides its text: a member of the whole, and a list or an object
/// with one member.
const PAIR: usize = 1280;
/// Factor by which the text of a pair can grow: an invalid UTF-8 byte becomes three, and names are stored twice.
const LONGER: usize = 4;

/// The parameters of a request. `params::known` has already refused those that the operation does not have.
#[derive(Debug)]
pub struct Params(Map<String, Value>);

/// Estimates the memory that the pairs of a form take at most, in bytes.
fn weigh_form(text: &[u8]) -> Result<usize, ApiError> {
    let pairs = text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).count();
    if pairs > MAX_PAIRS {
        return Err(ApiError::Error(
            StatusCode::BAD_REQUEST,
            "too many parameters".to_owned(),
        ));
    }

    Ok(pairs * PAIR + text.len() * LONGER)
}

/// Estimates the memory that a JSON body takes at most, in bytes.
fn weigh_json(body: &[u8]) -> Result<usize, ApiError> {
    if body.is_empty() {
        Ok(0)
    } else {
        tree::weigh(body, TREE).map_err(|error| unreadable(&error))
    }
}

fn read_json(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    if body.is_empty() {
        return Ok(Map::new());
    }

    match tree::read(body, TREE).map_err(|error| unreadable(&error))? {
        // Each name is compared with those of the operation, so their number is limited.
        Value::Object(object) if object.len() > MAX_PARAMETERS => Err(ApiError::Error(
            StatusCode::BAD_REQUEST,
            "too many parameters".to_owned(),
        )),
        Value::Object(object) => Ok(object),
        // Clients without parameters send `null`. GitLab treats it as no body.
        Value::Null => Ok(Map::new()),
        _ => Err(ApiError::bad_parameter("the body must be a JSON object")),
    }
}

fn unreadable(error: &TreeError) -> ApiError {
    match error {
        TreeError::Json(error) => ApiError::bad_parameter(format!("the body is not valid JSON: {error}")),
        TreeError::TooLarge(_) => {
            let text = format!(
                "the body has too many parts: they would take more than {} MiB of memory",
                TREE >> 20
            );
            ApiError::Error(StatusCode::PAYLOAD_TOO_LARGE, text)
        }
    }
}

/// Adds the pairs of a form. Returns a name that the form gives two values, of which the last one counts, as in Rack.
fn add_form(params: &mut Map<String, Value>, text: &[u8]) -> Result<Option<String>, ApiError> {
    let (mut seen, mut repeated) = (HashSet::new(), None);
    for pair in text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        if params.len() >= MAX_PARAMETERS {
            return Err(ApiError::Error(
                StatusCode::BAD_REQUEST,
                "too many parameters".to_owned(),
            ));
        }

        let end = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let (key, value) = (&pair[..end], pair.get(end + 1..).unwrap_or_default());
        let key = decoded(key).ok_or_else(|| ApiError::bad_parameter("the name of a parameter is not valid UTF-8"))?;
        let shown = || key.chars().take(MAX_SHOWN).collect::<String>();
        let value = decoded(value).ok_or_else(|| ApiError::bad_parameter(format!("{} is not valid UTF-8", shown())))?;

        let is_repeated = !key.contains('[') && !seen.insert(key.clone());
        if is_repeated && params.get(&key).is_some_and(|before| *before != value) {
            repeated = Some(shown());
        }

        if !nest(params, &key, value) {
            return Err(ApiError::bad_parameter(format!("{} is given in two forms", shown())));
        }
    }

    Ok(repeated)
}

/// Decodes a name or value of a form. Returns `None` if it is not UTF-8, because replacement characters would store
/// something else than was sent.
fn decoded(part: &[u8]) -> Option<String> {
    let blanks: Vec<u8> = part
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();

    String::from_utf8(percent_encoding::percent_decode(&blanks).collect()).ok()
}

/// Adds a pair, whose brackets nest as in Rack: `a[b]=v` is an object, `a[]=v` a list, and `a[][k]=v` a list of
/// objects, in which a repeated key begins the next object. No attribute needs deeper nesting, so such names are not
/// parsed. Returns false if the name already has a value of another form.
fn nest(params: &mut Map<String, Value>, key: &str, value: String) -> bool {
    let value = Value::String(value);
    let Some((name, inner)) = key
        .split_once('[')
        .and_then(|(name, rest)| Some((name, rest.strip_suffix(']')?)))
    else {
        params.insert(key.to_owned(), value);
        return true;
    };

    let entry = params.entry(name);
    if let Some(field) = inner.strip_prefix("][") {
        let list = entry.or_insert_with(|| Value::Array(Vec::new()));
        let Value::Array(list) = list else { return false };

        match list.last_mut() {
            Some(Value::Object(last)) if !last.contains_key(field) => drop(last.insert(field.to_owned(), value)),
            _ => list.push(Value::Object(Map::from_iter([(field.to_owned(), value)]))),
        }
    } else if inner.is_empty() {
        let Value::Array(list) = entry.or_insert_with(|| Value::Array(Vec::new())) else {
            return false;
        };
        list.push(value);
    } else {
        let Value::Object(object) = entry.or_insert_with(|| Value::Object(Map::new())) else {
            return false;
        };
        object.insert(inner.to_owned(), value);
    }

    true
}

impl Params {
    /// Reads the parameters of a request from its query and body.
    ///
    /// # Errors
    /// An error of the body, 503 if memory is short, and a parameter that the operation does not have.
    pub(crate) async fn receive(
        request: Request,
        rooms: &BodyMemory,
        memory: &Memory,
        known: Option<&Known>,
    ) -> Result<Self, ApiError> {
        let (parts, incoming) = request.into_parts();
        let query = parts.uri.query().unwrap_or_default().as_bytes();

        let kind = parts
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let is_form = kind.starts_with("application/x-www-form-urlencoded");

        if kind.starts_with("multipart/") {
            let text =
                "send parameters as JSON, or as a form with curl's -d or --data-urlencode; multipart is not supported";
            return Err(ApiError::Error(StatusCode::UNSUPPORTED_MEDIA_TYPE, text.to_owned()));
        }

        let held = match parts.extensions.get::<EarlyBody>() {
            Some(early) => Arc::clone(&early.held),
            None => {
                let read = body::read(rooms, &parts.headers, incoming, LIMIT, Kind::Parameters).await;
                Arc::new(read.map_err(|body::Refused(status, text)| ApiError::Error(status, text.to_owned()))?)
            }
        };
        let of_body = if is_form {
            weigh_form(&held.bytes)?
        } else {
            weigh_json(&held.bytes)?
        };
        let weight = weigh_form(query)? + of_body;
        // Acquires memory before the tree is built, and until the request is answered: once for the tree, and once
        // for the values read from it.
        memory.tree(&UntilAnswered::of(&parts.extensions), weight * 2).await?;

        let mut params = Map::new();
        let mut repeated = add_form(&mut params, query)?;

        if is_form {
            repeated = repeated.or(add_form(&mut params, &held.bytes)?);
        } else {
            params.extend(read_json(&held.bytes)?);
        }

        if let Some(note) = parts.extensions.get::<Note>() {
            note.attributes(params.keys());
        }

        // A caller with the right to act as another user already does so.
        if let Some(right) = parts.extensions.get::<sudo::Right>()
            && params.remove(sudo::NAME).is_some_and(|user| !user.is_null())
        {
            right.check()?;
        }

        if let Some(operation) = known.and_then(|known| known.operation(&parts)) {
            if let Some(name) = repeated {
                operation.check_repeated(&name)?;
            }

            operation.check(params.iter().map(|(name, value)| (name.as_str(), value)))?;
        }

        Ok(Self(params))
    }

    /// Reads all parameters as a struct.
    ///
    /// # Errors
    /// The wrong parameter, in GitLab's words.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Invalid> {
        read::read(&self.0)
    }

    /// Reads one parameter, for names that only a table knows.
    ///
    /// # Errors
    /// See [`Params::read`].
    pub fn one<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Invalid> {
        read::one(&self.0, name)
    }

    /// Returns one parameter as it was sent.
    pub fn raw(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The names of all parameters.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// Extracts parameters as a struct, for handlers that need nothing else from them.
pub struct Input<T>(pub T);

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
        let expected = vec![
            ("X-A".to_owned(), Some("1".to_owned())),
            ("X-B".to_owned(), Some("2".to_owned())),
        ];

        let list = "h[][key]=X-A&h[][value]=1&h[][key]=X-B&h[][value]=2";
        let pairs = |text: &str| form(text).one::<Pairs>("h").map(|pairs| pairs.unwrap_or_default().0);
        assert_eq!(pairs(list).expect("pairs"), expected);
        assert_eq!(pairs("h%5BX-A%5D=1&h%5BX-B%5D=2").expect("pairs"), expected);
        assert_eq!(pairs("h[][key]=X-A").expect("pairs"), [("X-A".to_owned(), None)]);

        assert_eq!(
            pairs("h[][value]=1").expect_err("no key").to_string(),
            "h[key] is missing"
        );

        assert_eq!(pairs("h[]=x").expect_err("no pair").to_string(), "h is invalid");
        assert_eq!(
            form("a[b=1").one::<String>("a[b").expect("a text").as_deref(),
            Some("1")
        );

        let blank = form("a=b+c%20d&&e").one::<String>("a").expect("a text");
        assert_eq!(blank.as_deref(), Some("b c d"));
    }

    #[test]
    fn a_form_of_which_a_part_would_be_lost_is_refused() {
        for (text, words) in [
            ("name=%ff%fe", "name is not valid UTF-8"),
            ("%ff=1", "the name of a parameter is not valid UTF-8"),
            ("a=1&a[]=2", "a[] is given in two forms"),
            ("a[]=1&a[b]=2", "a[b] is given in two forms"),
            ("a[b]=1&a[][b]=2", "a[][b] is given in two forms"),
        ] {
            let refused = add_form(&mut Map::new(), text.as_bytes()).expect_err("it is refused");
            assert!(
                matches!(&refused, ApiError::Error(StatusCode::BAD_REQUEST, said) if said == words),
                "{refused:?}"
            );
        }
    }

    fn status(error: ApiError) -> StatusCode {
        axum::response::IntoResponse::into_response(error).status()
    }

    #[test]
    fn no_body_and_null_are_no_parameters() {
        for body in ["", "null", " null ", "{}"] {
            assert_eq!(read_json(body.as_bytes()).expect("no parameters"), Map::new(), "{body}");
        }

        let names = |count: usize| {
            let pairs: Vec<String> = (0..count).map(|name| format!("\"{name}\":1")).collect();
            read_json(format!("{{{}}}", pairs.join(",")).as_bytes())
                .map(|params| params.len())
                .map_err(status)
        };
        assert_eq!(names(MAX_PARAMETERS), Ok(MAX_PARAMETERS));

        assert_eq!(
            names(MAX_PARAMETERS + 1),
            Err(StatusCode::BAD_REQUEST),
            "as many as a form may have"
        );

        assert_eq!(read_json(b"[]").map_err(status), Err(StatusCode::BAD_REQUEST));
        assert_eq!(read_json(b"{").map_err(status), Err(StatusCode::BAD_REQUEST));
    }

    #[test]
    fn parameters_take_no_more_memory_than_is_allowed() {
        for part in ["[]", r#"{"a":1}"#, "[[[[[[]]]]]]", "0"] {
            let body = format!(r#"{{"a":[{}]}}"#, vec![part; LIMIT / (part.len() + 1) - 8].join(","));
            assert_eq!(
                weigh_json(body.as_bytes()).map_err(status),
                Err(StatusCode::PAYLOAD_TOO_LARGE),
                "{part}"
            );

            assert_eq!(
                read_json(body.as_bytes()).map_err(status),
                Err(StatusCode::PAYLOAD_TOO_LARGE),
                "{part}"
            );
        }

        let text = format!(r#"{{"a":"{}"}}"#, "x".repeat(LIMIT - 8));
        assert!(weigh_json(text.as_bytes()).expect("one long text") < 2 * LIMIT);

        let pairs = |count: usize| weigh_form(vec!["a[][b]=c"; count].join("&").as_bytes()).map_err(status);
        assert!(pairs(MAX_PAIRS).is_ok_and(|weight| weight <= TREE));
        assert_eq!(pairs(MAX_PAIRS + 1), Err(StatusCode::BAD_REQUEST));
    }
}
