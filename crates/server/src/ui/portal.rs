//! The link of a portal: it shows the webhooks of one project or group to somebody without an account.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use quickdraw_domain::scope::Scope;
use quickdraw_store::scopes::Name;

use super::Ui;
use super::error::PageError;
use super::person::allow_framing;
use super::place::Place;
use crate::error::ApiError;

/// Opens the link. The browser gets a cookie, so that the pages have the same addresses as for signed-in users.
pub(super) async fn open(
    State(ui): State<Arc<Ui>>,
    Path(secret): Path<String>,
    request: Request,
) -> Result<Response, PageError> {
    let (parts, _) = request.into_parts();
    allow_framing(&parts);

    let visit = ui.app.portals.open(&secret).await?.ok_or(PageError::PortalEnded)?;
    let cookie = ui.app.portals.set_cookie(&secret, &visit.session);
    let home = home(&ui, visit.session.scope).await?;
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(&home)).into_response())
}

/// The first page of a portal: the webhooks of the project or group.
pub(super) async fn home(ui: &Ui, scope: Scope) -> Result<String, PageError> {
    let store = ui.app.store();
    let place = match scope {
        Scope::Project(id) => store
            .find_project(Name::Id(id.0))
            .await
            .map_err(ApiError::from)?
            .map(Place::of_project),
        Scope::Group(id) => store
            .find_group(Name::Id(id.0))
            .await
            .map_err(ApiError::from)?
            .map(Place::of_group),
        Scope::Instance => None,
    };

    Ok(place.ok_or(PageError::PortalEnded)?.page("hooks"))
}
