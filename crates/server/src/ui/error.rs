//! Pages that say why there is no other page.

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use quickdraw_store::Error;

use super::client::Refusal;
use super::frame::{Frame, page};
use crate::error::ApiError;

/// A request that gets no page.
pub(super) enum PageError {
    /// The person has to sign in first, and comes back to this address.
    SignIn(Option<String>),

    /// There is no such page, or none that the person may see.
    Missing,

    /// The role of the person does not allow it.
    Forbidden,

    /// The link of a portal has ended, or was altered.
    PortalEnded,

    /// A form that did not come from a page of this session.
    Forged,

    /// Another refusal, with its reason.
    Refused(StatusCode, String),
}

impl From<Refusal> for PageError {
    fn from(refusal: Refusal) -> Self {
        match refusal.status {
            StatusCode::NOT_FOUND => Self::Missing,
            StatusCode::FORBIDDEN => Self::Forbidden,
            status => {
                let mut text = refusal.text;
                for (name, detail) in refusal.fields {
                    text.push_str(&format!(". {name}: {detail}"));
                }

                Self::Refused(status, text)
            }
        }
    }
}

impl From<ApiError> for PageError {
    fn from(error: ApiError) -> Self {
        if matches!(error, ApiError::Store(Error::Blocked)) {
            let text = "Your account is blocked. Ask an administrator to unblock it.";
            return Self::Refused(StatusCode::FORBIDDEN, text.to_owned());
        }

        let status = error.into_response().status();
        let text = if status == StatusCode::SERVICE_UNAVAILABLE {
            "The database does not answer. Nothing is lost; try again in a moment."
        } else {
            "The page could not be made. The log of the server has the reason."
        };
        Self::Refused(status, text.to_owned())
    }
}

#[derive(Template)]
#[template(path = "ui/error.html")]
struct ErrorPage {
    frame: Frame,
    text: String,

    /// False where the start page would show nothing either.
    has_start: bool,
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let has_start = !matches!(self, Self::PortalEnded);
        let (status, title, text) = match self {
            Self::SignIn(back) => return sign_in(back.as_deref()),
            Self::Missing => (
                StatusCode::NOT_FOUND,
                "Page not found",
                "There is no such page, or your role does not allow you to see it. Check the address, or ask a \
                 maintainer for access."
                    .to_owned(),
            ),
            Self::Forbidden => (
                StatusCode::FORBIDDEN,
                "Not allowed",
                "Your role does not allow this. Ask an owner or a maintainer for a higher role.".to_owned(),
            ),
            Self::PortalEnded => (
                StatusCode::GONE,
                "This link has ended",
                "The link is not valid any more. Go back to the page that showed it, and open it from there again."
                    .to_owned(),
            ),
            Self::Forged => (
                StatusCode::FORBIDDEN,
                "Form expired",
                "The form does not belong to this session. Go back, load the page again, and send the form once more."
                    .to_owned(),
            ),
            Self::Refused(status, text) => (status, "That did not work", text),
        };

        let frame = Frame::bare(title);
        let mut response = page(&ErrorPage { frame, text, has_start });
        *response.status_mut() = status;
        response
    }
}

fn sign_in(back: Option<&str>) -> Response {
    let back = back.filter(|back| *back != "/");
    let address = back.map_or_else(
        || "/-/sign_in".to_owned(),
        |back| format!("/-/sign_in?return_to={}", utf8_percent_encode(back, NON_ALPHANUMERIC)),
    );
    let mut response = Redirect::to(&address).into_response();
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Answers addresses of places that have no page.
pub(super) async fn missing() -> PageError {
    PageError::Missing
}
