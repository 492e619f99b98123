//! Acting as another user, as in GitLab: an administrator names the user in the header `Sudo`, or in the parameter
//! `sudo` of the query or the body.

use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use quickdraw_domain::access::TokenScope;
use quickdraw_store::access::Actor;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::body::Held;
use crate::error::ApiError;

/// The name of the parameter and of the header.
pub(crate) const NAME: &str = "sudo";

/// A body that was read before the handler, because it can name a user.
#[derive(Clone)]
pub(crate) struct EarlyBody {
    /// The user that it names.
    pub(crate) user: Option<String>,

    /// The body. Its memory is released when the request is answered.
    pub(crate) held: Arc<Held>,
}

/// The right of a caller to act as another user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Right {
    /// The caller may do so.
    Granted,

    /// The caller is no administrator.
    NotAdmin,

    /// The token of the administrator lacks the scope `sudo`.
    NoScope,
}

impl Right {
    pub(crate) fn of(actor: &Actor) -> Self {
        if !actor.is_admin {
            Self::NotAdmin
        } else if actor.scopes.contains(&TokenScope::Sudo) {
            Self::Granted
        } else {
            Self::NoScope
        }
    }

    /// Refuses a caller who may not act as another user.
    ///
    /// # Errors
    /// 403 in GitLab's words.
    pub(crate) fn check(self) -> Result<(), ApiError> {
        match self {
            Self::Granted => Ok(()),
            Self::NotAdmin => Err(ApiError::Message(
                StatusCode::FORBIDDEN,
                json!("403 Forbidden - Must be admin to use sudo"),
            )),
            Self::NoScope => Err(ApiError::insufficient_scope(&[TokenScope::Sudo])),
        }
    }
}

/// Returns the user as whom a request wants to act: an id or a username. As in GitLab, parameters take precedence over
/// the header.
pub(crate) fn wanted(parts: &Parts) -> Option<String> {
    if let Some(user) = parts.extensions.get::<EarlyBody>().and_then(|early| early.user.clone()) {
        return Some(user);
    }

    let query = parts.uri.query().unwrap_or_default();
    let in_query = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == NAME);
    if let Some((_, user)) = in_query {
        return Some(user.into_owned());
    }

    // A header that is no text names nobody, and must not be ignored.
    let line = parts.headers.get(NAME)?;
    Some(String::from_utf8_lossy(line.as_bytes()).trim().to_owned())
}

/// Finds the user that a body names: a form or JSON. A body that cannot be read names nobody; reading its parameters
/// reports the error.
pub(crate) fn named_in(parts: &Parts, body: &[u8]) -> Option<String> {
    let contains_name = body.windows(NAME.len()).any(|window| window == NAME.as_bytes());
    if !contains_name {
        return None;
    }

    if is_form(parts) {
        let named = url::form_urlencoded::parse(body)
            .filter(|(name, _)| name == NAME)
            .last();
        return named.map(|(_, user)| user.into_owned());
    }

    match serde_json::from_slice::<Named>(body).ok()?.sudo? {
        Value::Null => None,
        Value::String(user) => Some(user),
        other => Some(other.to_string()),
    }
}

/// The only parameter of a body that is read early.
#[derive(Deserialize)]
struct Named {
    sudo: Option<Value>,
}

fn is_form(parts: &Parts) -> bool {
    parts
        .headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form-urlencoded"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(uri: &str, headers: &[(&'static str, &str)]) -> Parts {
        let mut request = axum::http::Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }

        request.body(()).expect("a request").into_parts().0
    }

    #[test]
    fn a_parameter_takes_precedence_over_the_header() {
        assert_eq!(wanted(&parts("/api/v4/user", &[])), None);
        assert_eq!(
            wanted(&parts("/api/v4/user", &[("sudo", " ida ")])).as_deref(),
            Some("ida")
        );
        assert_eq!(
            wanted(&parts("/api/v4/user?sudo=7", &[("sudo", "ida")])).as_deref(),
            Some("7")
        );
    }

    #[test]
    fn a_body_names_a_user_as_json_or_as_a_form() {
        let check = |kind: &str, body: &str, expected: Option<&str>| {
            let parts = parts("/", &[("content-type", kind)]);
            assert_eq!(named_in(&parts, body.as_bytes()).as_deref(), expected, "{body}");
        };

        check("application/json", r#"{"sudo":"ida"}"#, Some("ida"));
        check("application/json", r#"{"name":"n","sudo":7}"#, Some("7"));
        check("application/json", r#"{"sudo":null}"#, None);
        check("application/json", r#"{"name":"sudo"}"#, None);
        check("application/json", r#"{"sudo""#, None);
        check("application/x-www-form-urlencoded", "a=b&sudo=ida", Some("ida"));
    }
}
