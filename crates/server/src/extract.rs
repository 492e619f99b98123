//! Extractors: parts of a request that a handler can take as an argument. They pass the state of the application on to
//! the room that reads the part.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;

use crate::auth::{Admin, AdminCaller, Caller};
use crate::body::{self, Kind};
use crate::error::ApiError;
use crate::params::{self, Input, Params};
use crate::state::App;
use crate::sudo;

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        Self::authenticate(parts, &app.access, app.known.get()).await
    }
}

impl FromRequestParts<Arc<App>> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        Self::new(Caller::from_request_parts(parts, app).await?)
    }
}

/// The address of the client, past the proxies that are trusted.
pub(crate) struct ClientAddress(pub(crate) IpAddr);

impl FromRequestParts<Arc<App>> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        let address = app.audit.client(&parts.extensions, &parts.headers);
        Ok(Self(address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))))
    }
}

impl FromRequestParts<Arc<App>> for AdminCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        Self::new(Caller::from_request_parts(parts, app).await?)
    }
}

impl FromRequest<Arc<App>> for Params {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        Self::receive(request, &app.bodies, &app.memory, app.known.get()).await
    }
}

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Input<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        Ok(Self(Params::from_request(request, app).await?.read()?))
    }
}

/// Reads the parameters in the body of an administrator's request before its handler, because they can name the user as
/// whom the administrator acts. Bodies of all other callers stay unread until their role is checked.
pub(crate) async fn read_sudo(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    // These operations read long bodies themselves, and take the user from the header or the query.
    let path = request.uri().path();
    let reads_itself = path.ends_with("/events") || path.ends_with("/insights/backfill");
    if reads_itself || request.body().is_end_stream() {
        return next.run(request).await;
    }

    let actor = app.access.actor_of(request.headers()).await;
    let may_act = actor.is_some_and(|actor| sudo::Right::of(&actor) == sudo::Right::Granted);
    if !may_act {
        return next.run(request).await;
    }

    let (mut parts, incoming) = request.into_parts();
    let held = match body::read(&app.bodies, &parts.headers, incoming, params::LIMIT, Kind::Parameters).await {
        Ok(held) => Arc::new(held),
        Err(body::Refused(status, text)) => return ApiError::Error(status, text.to_owned()).into_response(),
    };

    let user = sudo::named_in(&parts, &held.bytes);
    parts.extensions.insert(sudo::EarlyBody { user, held });
    next.run(Request::from_parts(parts, Body::empty())).await
}
