//! The person who looks at a page.

use std::sync::Arc;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::Method;
use axum::http::request::Parts;

use super::Ui;
use super::client::Api;
use super::error::PageError;
use crate::sessions::SignIn;

/// A person who is signed in.
pub(super) struct Person {
    pub(super) sign_in: SignIn,

    /// The API, as this person may use it.
    pub(super) api: Api,
}

impl Person {
    async fn find(parts: &Parts, ui: &Ui) -> Result<Option<Self>, PageError> {
        let found = ui.app.sessions.find(&parts.headers).await?;
        Ok(found.map(|sign_in| Self {
            api: Api::new(&ui.api, sign_in.actor.clone(), parts),
            sign_in,
        }))
    }
}

impl FromRequestParts<Arc<Ui>> for Person {
    type Rejection = PageError;

    /// Leads people who are not signed in to the sign-in page, and from there back to the page.
    async fn from_request_parts(parts: &mut Parts, ui: &Arc<Ui>) -> Result<Self, PageError> {
        if let Some(person) = Self::find(parts, ui).await? {
            return Ok(person);
        }

        let is_page = parts.method == Method::GET;
        let page = super::place::shown_path(parts);
        Err(PageError::SignIn(is_page.then_some(page)))
    }
}

impl OptionalFromRequestParts<Arc<Ui>> for Person {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, ui: &Arc<Ui>) -> Result<Option<Self>, PageError> {
        Self::find(parts, ui).await
    }
}
