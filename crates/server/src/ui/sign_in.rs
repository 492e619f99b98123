//! Signing in and out.

use std::sync::Arc;

use askama::Template;
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use quickdraw_domain::access::TokenScope;

use super::Ui;
use super::error::PageError;
use super::form::{Form, Query, Sent, Strange};
use super::frame::{Frame, page, refused_page};
use super::person::Person;
use crate::error::ApiError;

/// The scopes with which a person can use pages.
const NEEDED: [TokenScope; 2] = [TokenScope::Api, TokenScope::ReadApi];

#[derive(Template)]
#[template(path = "ui/sign_in.html")]
struct SignInPage {
    frame: Frame,
    form: Form,
}

/// Shows the sign-in form. People who are signed in go where they wanted to go.
pub(super) async fn show(person: Option<Person>, Query(query): Query) -> Response {
    let back = own_address(query.text("return_to"));
    if person.is_some() {
        return Redirect::to(back).into_response();
    }

    let mut form = Form::default();
    form.set("return_to", back);
    page(&SignInPage {
        frame: Frame::bare("Sign in"),
        form,
    })
}

/// Signs in with an access token.
pub(super) async fn submit(State(ui): State<Arc<Ui>>, request: Request) -> Result<Response, PageError> {
    let (parts, body) = request.into_parts();
    let Strange(fields) = Strange::from_request(Request::from_parts(parts.clone(), body), &ui).await?;
    let back = own_address(fields.text("return_to"));

    let mut form = Form::default();
    form.keep(&fields, &["token"]);
    let Some(token) = fields.filled("token") else {
        form.wrong("token", "Enter an access token");
        return Ok(refuse(form));
    };

    let actor = match ui.app.access.user_of_token(token).await {
        Ok(actor) => actor,
        Err(ApiError::Message(StatusCode::UNAUTHORIZED, _)) => {
            form.wrong(
                "token",
                "This token is not valid. It may be mistyped, revoked or expired",
            );
            return Ok(refuse(form));
        }
        Err(error) => return Err(error.into()),
    };
    if !actor.scopes.iter().any(|scope| NEEDED.contains(scope)) {
        form.wrong(
            "token",
            "This token is for programs only. A token with the scope api or read_api can sign in",
        );
        return Ok(refuse(form));
    }

    let cookie = ui.app.sessions.begin(&parts, actor.user_id, Some(actor.token)).await?;
    Ok(with_cookie(cookie, back))
}

/// Signs out.
pub(super) async fn leave(State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    let cookie = ui.app.sessions.end(&sent.person.sign_in).await?;
    Ok(with_cookie(cookie, "/-/sign_in"))
}

fn refuse(form: Form) -> Response {
    refused_page(&SignInPage {
        frame: Frame::bare("Sign in"),
        form,
    })
}

fn with_cookie(cookie: HeaderValue, address: &str) -> Response {
    ([(header::SET_COOKIE, cookie)], Redirect::to(address)).into_response()
}

/// An address of this server, or the start page. Browsers read `//host` and `/\host` as addresses of other servers.
fn own_address(address: &str) -> &str {
    let is_own = address.starts_with('/')
        && !address[1..].starts_with(['/', '\\'])
        && !address.bytes().any(|byte| byte.is_ascii_control() || byte == b'\\')
        && HeaderValue::try_from(address).is_ok();
    if is_own { address } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_return_to_addresses_of_this_server_only() {
        for own in ["/", "/gear/rope/-/hooks?page=2", "/admin/hooks"] {
            assert_eq!(own_address(own), own);
        }

        for other in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/\t/evil.example",
            "hooks",
        ] {
            assert_eq!(own_address(other), "/", "{other}");
        }
    }
}
