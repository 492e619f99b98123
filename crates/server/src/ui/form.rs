//! Forms: the fields that a browser sent, and a form as a page shows it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use subtle::ConstantTimeEq;

use super::Ui;
use super::client::Refusal;
use super::error::PageError;
use super::person::Person;
use crate::body::{self, Kind};

/// Largest form, in bytes.
const LIMIT: usize = 1 << 20;
/// Largest number of fields.
const MAX_FIELDS: usize = 1000;
/// Name of the field with the form token.
const TOKEN: &str = "form_token";

/// The fields of a form in the order of the page. A name can occur several times.
#[derive(Default, Debug)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// The value of a field; empty if the form does not have it.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map_or("", |(_, value)| value)
    }

    /// The value of a field without blanks around it. None if it is empty.
    pub(super) fn filled(&self, name: &str) -> Option<&str> {
        Some(self.text(name).trim()).filter(|value| !value.is_empty())
    }

    /// All values of a field.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        let of_name = self.0.iter().filter(|(known, _)| known == name);
        of_name.map(|(_, value)| value.as_str()).collect()
    }

    /// Checks whether a box is ticked, or a button was pressed.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    async fn read(request: Request, ui: &Ui) -> Result<Self, PageError> {
        let (parts, incoming) = request.into_parts();
        let kind = parts
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        if !kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")) {
            let text = "A form has the content type application/x-www-form-urlencoded.".to_owned();
            return Err(PageError::Refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
        }

        let held = body::read(&ui.app.bodies, &parts.headers, incoming, LIMIT, Kind::Parameters).await;
        let held = held.map_err(|body::Refused(status, text)| PageError::Refused(status, text.to_owned()))?;
        let fields: Vec<_> = url::form_urlencoded::parse(&held.bytes)
            .take(MAX_FIELDS + 1)
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        if fields.len() > MAX_FIELDS {
            let text = format!("A form can have at most {MAX_FIELDS} fields.");
            return Err(PageError::Refused(StatusCode::PAYLOAD_TOO_LARGE, text));
        }

        Ok(Self(fields))
    }
}

/// A choice in a form.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    pub(super) value: &'static str,
    pub(super) word: &'static str,
}

impl Choice {
    pub(super) const fn new(value: &'static str, word: &'static str) -> Self {
        Self { value, word }
    }
}

/// The fields in the query of an address, such as filters.
pub(super) struct Query(pub(super) Fields);

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs = url::form_urlencoded::parse(query.as_bytes()).take(MAX_FIELDS);
        Ok(Self(Fields(
            pairs
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
        )))
    }
}

/// A form of a person who is signed in. A form without the token of the session is refused.
pub(super) struct Sent {
    pub(super) person: Person,
    pub(super) fields: Fields,
}

impl FromRequest<Arc<Ui>> for Sent {
    type Rejection = PageError;

    async fn from_request(request: Request, ui: &Arc<Ui>) -> Result<Self, PageError> {
        let (mut parts, body) = request.into_parts();
        let person = <Person as FromRequestParts<Arc<Ui>>>::from_request_parts(&mut parts, ui).await?;
        let fields = Fields::read(Request::from_parts(parts, body), ui).await?;

        let (sent, own) = (fields.text(TOKEN), &person.form_token);
        if !bool::from(sent.as_bytes().ct_eq(own.as_bytes())) {
            return Err(PageError::Forged);
        }

        Ok(Self { person, fields })
    }
}

/// A form of somebody who is not signed in. Forms of other sites are refused by the guard.
pub(super) struct Strange(pub(super) Fields);

impl FromRequest<Arc<Ui>> for Strange {
    type Rejection = PageError;

    async fn from_request(request: Request, ui: &Arc<Ui>) -> Result<Self, PageError> {
        Fields::read(request, ui).await.map(Self)
    }
}

/// A form as a page shows it: values, and errors beside their fields.
#[derive(Default, Debug)]
pub(super) struct Form {
    values: BTreeMap<String, String>,
    errors: BTreeMap<String, String>,

    /// An error of the form as a whole.
    pub(super) error: Option<String>,
}

impl Form {
    /// Sets the value of a field.
    pub(super) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.values.insert(name.to_owned(), value.into());
    }

    /// Keeps what a person typed. Secrets are never sent back to the browser.
    pub(super) fn keep(&mut self, fields: &Fields, secrets: &[&str]) {
        for (name, value) in &fields.0 {
            if name != TOKEN && !secrets.contains(&name.as_str()) {
                self.values.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
    }

    /// Takes over a refusal of the values in the form. Other refusals have a page of their own.
    pub(super) fn take(&mut self, refusal: Refusal) -> Result<(), PageError> {
        match refusal.status {
            StatusCode::BAD_REQUEST | StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => {
                self.refuse(&refusal);
                Ok(())
            }
            _ => Err(refusal.into()),
        }
    }

    /// Takes over the errors of a refusal.
    pub(super) fn refuse(&mut self, refusal: &Refusal) {
        self.error = Some(refusal.text.clone());
        self.errors.extend(refusal.fields.iter().cloned());
    }

    /// Notes an error of a field.
    pub(super) fn wrong(&mut self, name: &str, text: impl Into<String>) {
        self.error
            .get_or_insert_with(|| "Some values cannot be used".to_owned());
        self.errors.insert(name.to_owned(), text.into());
    }

    /// True if something is wrong.
    pub(super) const fn is_refused(&self) -> bool {
        self.error.is_some()
    }

    /// The value of a field.
    pub(super) fn value(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    /// The error of a field.
    pub(super) fn error_of(&self, name: &str) -> &str {
        self.errors.get(name).map_or("", String::as_str)
    }

    /// All errors of fields, for the summary.
    pub(super) fn errors(&self) -> impl Iterator<Item = (&String, &String)> {
        self.errors.iter()
    }
}
