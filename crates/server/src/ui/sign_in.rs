//! Signing in and out.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use askama::Template;
use axum::extract::{FromRequest, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use quickdraw_domain::Secret;
use quickdraw_domain::access::TokenScope;

use super::Ui;
use super::error::PageError;
use super::form::{Fields, Form, Query, Sent, Strange};
use super::frame::{Frame, page, refused_page};
use super::person::Person;
use crate::audit::SignIn;
use crate::error::ApiError;
use crate::passwords::Refused;

/// The scopes with which a person can use pages.
const NEEDED: [TokenScope; 2] = [TokenScope::Api, TokenScope::ReadApi];

#[derive(Template)]
#[template(path = "ui/sign_in.html")]
struct SignInPage {
    frame: Frame,
    form: Form,

    /// The OpenID Connect provider, if there is one.
    provider: Option<Provider>,
}

/// A provider at which people can sign in.
struct Provider {
    name: String,
    href: String,
}

impl SignInPage {
    fn of(ui: &Ui, form: Form) -> Self {
        let back = utf8_percent_encode(form.value("return_to"), NON_ALPHANUMERIC);
        let provider = ui.app.oidc.as_ref().map(|oidc| Provider {
            name: oidc.settings().name.clone(),
            href: format!("/-/sign_in/oidc?return_to={back}"),
        });

        Self {
            frame: Frame::bare("Sign in"),
            provider,
            form,
        }
    }
}

/// Shows the sign-in form. People who are signed in go where they wanted to go.
pub(super) async fn show(person: Option<Person>, State(ui): State<Arc<Ui>>, Query(query): Query) -> Response {
    let back = own_address(query.text("return_to"));
    if person.is_some_and(|person| person.portal.is_none()) {
        return Redirect::to(back).into_response();
    }

    let mut form = Form::default();
    form.set("return_to", back);
    page(&SignInPage::of(&ui, form))
}

/// Signs in with a username and a password, or with an access token.
pub(super) async fn submit(State(ui): State<Arc<Ui>>, request: Request) -> Result<Response, PageError> {
    let (parts, body) = request.into_parts();
    let Strange(fields) = Strange::from_request(Request::from_parts(parts.clone(), body), &ui).await?;
    let back = own_address(fields.text("return_to"));

    let mut form = Form::default();
    form.keep(&fields, &["token", "password"]);

    let found = match fields.filled("token") {
        Some(token) => by_token(&ui, token, &mut form).await?,
        None => by_password(&ui, &parts, &fields, &mut form).await?,
    };

    let Some(known) = found else {
        return Ok(refuse(&ui, form));
    };

    // A browser has one session, and each sign-in begins a new one.
    if let Ok(Some(old)) = ui.app.sessions.find(&parts.headers).await {
        ui.app.sessions.end(old.actor.user_id, old.session).await?;
    }

    let cookie = ui.app.sessions.begin(&parts, known.user_id, known.token).await?;
    let act = act(&ui, &parts, StatusCode::SEE_OTHER);
    ui.app
        .audit
        .sign_in(act.of(known.user_id, &known.username).with(known.with))
        .await;

    let mut response = with_cookie(cookie, back);

    // Otherwise the portal would still come first.
    if ui.app.portals.has_cookie(&parts.headers) {
        let deleted = ui.app.portals.delete_cookie();
        response.headers_mut().append(header::SET_COOKIE, deleted);
    }

    Ok(response)
}

/// A user who may sign in.
struct Known {
    user_id: i64,
    username: String,

    /// The token, if the user has signed in with one.
    token: Option<i64>,

    /// The names of the fields that were used.
    with: &'static str,
}

/// An entry of the audit log about this page.
fn act(ui: &Ui, parts: &Parts, status: StatusCode) -> SignIn {
    SignIn::new("/-/sign_in", status).from(ui.app.audit.client(&parts.extensions, &parts.headers))
}

async fn by_token(ui: &Ui, token: &str, form: &mut Form) -> Result<Option<Known>, PageError> {
    let actor = match ui.app.access.user_of_token(token).await {
        Ok(actor) => actor,
        Err(ApiError::Message(StatusCode::UNAUTHORIZED, _)) => {
            form.wrong(
                "token",
                "This token is not valid. It may be mistyped, revoked or expired",
            );

            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };

    if !actor.scopes.iter().any(|scope| NEEDED.contains(scope)) {
        form.wrong(
            "token",
            "This token is for programs only. A token with the scope api or read_api can sign in",
        );

        return Ok(None);
    }

    Ok(Some(Known {
        user_id: actor.user_id,
        username: actor.username,
        token: Some(actor.token),
        with: "token",
    }))
}

async fn by_password(ui: &Ui, parts: &Parts, fields: &Fields, form: &mut Form) -> Result<Option<Known>, PageError> {
    let Some(username) = fields.filled("username") else {
        form.wrong("username", "Enter your username and password, or an access token");
        return Ok(None);
    };

    let password = Secret::new(fields.text("password"));
    let address = ui.app.audit.client(&parts.extensions, &parts.headers);
    let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));

    match ui.app.passwords.sign_in(username, &password, address).await {
        Ok(user) => Ok(Some(Known {
            user_id: user.id,
            username: user.username,
            token: None,
            with: "username password",
        })),
        Err(Refused::Wrong(user)) => {
            // The words are the same for an unknown user, so that nobody can find out who has an account.
            form.wrong("password", "The username or the password is wrong");

            if let Some(user) = user {
                let act = act(ui, parts, StatusCode::UNPROCESSABLE_ENTITY);
                ui.app
                    .audit
                    .sign_in_later(act.of(user.id, &user.username).with("username password"));
            }

            Ok(None)
        }
        Err(Refused::Blocked) => Err(ApiError::from(quickdraw_store::Error::Blocked).into()),
        Err(Refused::Wait(time)) => {
            let seconds = time.as_secs() + 1;
            form.wrong(
                "password",
                format!("There were too many failed attempts. Try again in {seconds} seconds"),
            );

            Ok(None)
        }
        Err(Refused::Failed(error)) => Err(error.into()),
    }
}

/// Signs out, or leaves a portal.
pub(super) async fn leave(State(ui): State<Arc<Ui>>, parts: Parts, sent: Sent) -> Result<Response, PageError> {
    let person = sent.person;
    let Some(session) = person.session else {
        return Ok(with_cookie(ui.app.portals.delete_cookie(), "/-/sign_in"));
    };

    let cookie = ui.app.sessions.end(person.actor.user_id, session).await?;
    let act = SignIn::new("/-/sign_out", StatusCode::SEE_OTHER);
    let address = ui.app.audit.client(&parts.extensions, &parts.headers);
    let act = act.from(address).of(person.actor.user_id, &person.actor.username);

    ui.app.audit.sign_in(act).await;
    Ok(with_cookie(cookie, "/-/sign_in"))
}

fn refuse(ui: &Ui, form: Form) -> Response {
    refused_page(&SignInPage::of(ui, form))
}

pub(super) fn with_cookie(cookie: HeaderValue, address: &str) -> Response {
    ([(header::SET_COOKIE, cookie)], Redirect::to(address)).into_response()
}

/// An address of this server, or the start page. Browsers read `//host` and `/\host` as addresses of other servers.
pub(super) fn own_address(address: &str) -> &str {
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
