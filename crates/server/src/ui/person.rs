//! The person who looks at a page.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use quickdraw_store::access::{Actor, PortalSession};

use super::Ui;
use super::client::Api;
use super::error::PageError;
use crate::auth::{Limit, SignedIn};

/// A person who is signed in, or who opened the link of a portal.
pub(super) struct Person {
    /// The user. A visitor of a portal has a part of the rights of the user who created the link.
    pub(super) actor: Actor,

    /// Number of the session; none for a visitor of a portal.
    pub(super) session: Option<i64>,

    /// The token that each form of this session has.
    pub(super) form_token: String,

    /// The portal session of a visitor.
    pub(super) portal: Option<PortalSession>,

    /// The API, as this person may use it.
    pub(super) api: Api,
}

/// A mark of a request whose answer may be shown in an iframe of a platform.
#[derive(Clone, Default)]
pub(super) struct Framing(Arc<AtomicBool>);

impl Framing {
    /// Allows it, because the answer belongs to a portal session.
    pub(super) fn allow(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_allowed(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Allows a platform to show the answer to a request in an iframe.
pub(super) fn allow_framing(parts: &Parts) {
    if let Some(framing) = parts.extensions.get::<Framing>() {
        framing.allow();
    }
}

/// The rights with which a part of a page is shown: the user, and the session or the portal session.
#[derive(PartialEq, Eq)]
pub(super) struct Rights {
    actor: Actor,
    session: Option<i64>,
    portal: Option<i64>,
}

impl Rights {
    /// Finds the rights of a request. None if the session has ended.
    pub(super) async fn find(headers: &HeaderMap, ui: &Ui) -> Option<Self> {
        if let Some(visit) = ui.app.portals.find(headers).await.ok()? {
            let (actor, _) = Limit::of(&visit.session);
            return Some(Self {
                actor,
                session: None,
                portal: Some(visit.session.id),
            });
        }

        let sign_in = ui.app.sessions.find(headers).await.ok()??;
        Some(Self {
            actor: sign_in.actor,
            session: Some(sign_in.session),
            portal: None,
        })
    }
}

impl Person {
    /// The rights of this person.
    pub(super) fn rights(&self) -> Rights {
        Rights {
            actor: self.actor.clone(),
            session: self.session,
            portal: self.portal.as_ref().map(|portal| portal.id),
        }
    }

    /// Finds the person of a request. A portal comes first, because the person opened its link last.
    async fn find(parts: &Parts, ui: &Ui) -> Result<Option<Self>, PageError> {
        if let Some(visit) = ui.app.portals.find(&parts.headers).await? {
            allow_framing(parts);

            let (actor, limit) = Limit::of(&visit.session);
            let signed_in = SignedIn {
                actor: actor.clone(),
                session: None,
                limit: Some(limit),
            };
            return Ok(Some(Self {
                actor,
                session: None,
                form_token: visit.form_token,
                portal: Some(visit.session),
                api: Api::new(&ui.api, signed_in, parts),
            }));
        }

        let Some(sign_in) = ui.app.sessions.find(&parts.headers).await? else {
            return Ok(None);
        };
        let signed_in = SignedIn {
            actor: sign_in.actor.clone(),
            session: Some(sign_in.session),
            limit: None,
        };
        Ok(Some(Self {
            actor: sign_in.actor,
            session: Some(sign_in.session),
            form_token: sign_in.form_token,
            portal: None,
            api: Api::new(&ui.api, signed_in, parts),
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

        if ui.app.portals.has_cookie(&parts.headers) {
            allow_framing(parts);
            return Err(PageError::PortalEnded);
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
