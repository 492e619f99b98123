//! Signing in at an OpenID Connect provider. The browser goes to the provider and comes back with a code, which the
//! server exchanges for the account.
//!
//! A cookie keeps the values of the sign-in meanwhile. Without the cookie, a code is refused, so that nobody can sign a
//! person in to another account.

mod choice;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quickdraw_domain::Secret;
use quickdraw_engine::oidc::{Account, Oidc, OidcError};
use quickdraw_store::Error;
use quickdraw_store::access::{Identity, NewUser, User, UserEdit};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::Ui;
use super::error::PageError;
use super::form::{Fields, Query};
use super::sign_in::{own_address, with_cookie};
use crate::audit::SignIn;
use crate::error::ApiError;
use crate::sessions::cookie;
use choice::{Choice, choose};

/// Time for which a person may stay at the provider, in seconds.
const PATIENCE: u32 = 600;
/// Longest value of the cookie.
const MAX_COOKIE: usize = 4000;
/// Longest address to which a person returns; a longer one is replaced by the start page.
const MAX_BACK: usize = 1000;
/// Number of usernames that are tried for a new user.
const TRIES: usize = 20;

/// The values of a sign-in that began.
#[derive(Serialize, Deserialize)]
struct Pending {
    state: String,
    nonce: String,
    verifier: String,
    back: String,
}

/// Leads the browser to the provider.
pub(super) async fn begin(State(ui): State<Arc<Ui>>, Query(query): Query) -> Result<Response, PageError> {
    let oidc = provider(&ui)?;
    let begun = oidc.begin().await.map_err(refused)?;
    let back = own_address(query.text("return_to"));

    let pending = Pending {
        state: begun.state,
        nonce: begun.nonce,
        verifier: begun.verifier,
        back: if back.len() > MAX_BACK { "/" } else { back }.to_owned(),
    };

    let value = serde_json::to_vec(&pending).map_err(|error| ApiError::internal(error.into()))?;
    let line = set_cookie(&ui, &URL_SAFE_NO_PAD.encode(value), PATIENCE);
    Ok(with_cookie(line, &begun.url))
}

/// Signs in a person who comes back from the provider.
pub(super) async fn callback(
    State(ui): State<Arc<Ui>>,
    Query(query): Query,
    request: Request,
) -> Result<Response, PageError> {
    let oidc = provider(&ui)?;
    let (parts, _) = request.into_parts();
    let pending = pending(&ui, &parts.headers).ok_or_else(expired)?;

    let is_own = pending.state.as_bytes().ct_eq(query.text("state").as_bytes());
    if !bool::from(is_own) {
        return Err(expired());
    }

    // RFC 9207: an answer that names another provider is not for this sign-in.
    let issuer = query.text("iss");
    if !issuer.is_empty() && issuer != oidc.settings().issuer {
        let error = OidcError::Refused("it names another issuer".to_owned());
        return Err(refused(error));
    }

    let Some(code) = query.filled("code") else {
        return Err(not_allowed(&query));
    };
    let verifier = Secret::new(pending.verifier);
    let account = oidc
        .finish(&Secret::new(code), &pending.nonce, &verifier)
        .await
        .map_err(refused)?;
    let user = user_of(&ui, &parts, oidc, &account).await?;

    if let Ok(Some(old)) = ui.app.sessions.find(&parts.headers).await {
        ui.app.sessions.end(old.actor.user_id, old.session).await?;
    }

    let line = ui.app.sessions.begin(&parts, user.id, None).await?;
    audit(&ui, &parts, &user, StatusCode::SEE_OTHER).await;

    let mut response = with_cookie(line, own_address(&pending.back));
    response
        .headers_mut()
        .append(header::SET_COOKIE, set_cookie(&ui, "", 0));
    Ok(response)
}

/// Finds the user of an account, or creates one.
async fn user_of(ui: &Ui, parts: &Parts, oidc: &Oidc, account: &Account) -> Result<User, PageError> {
    let store = ui.app.store();
    let now = ui.app.now();

    let identity = Identity {
        issuer: account.issuer.clone(),
        subject: account.subject.clone(),
    };

    let known = store.find_identity(identity.clone()).await.map_err(ApiError::from)?;
    let same_email = match &account.verified_email {
        Some(email) if known.is_none() => store.users_by_email(email.clone()).await.map_err(ApiError::from)?,
        _ => Vec::new(),
    };

    let user = match choose(oidc.settings(), account, known, same_email) {
        Choice::Use(user) => user,
        Choice::Link(user) => {
            store
                .add_identity(identity, user.id, now)
                .await
                .map_err(ApiError::from)?;

            user
        }
        Choice::Create(new) => create(ui, &identity, new).await?,
        Choice::Refuse(text) => return Err(PageError::Refused(StatusCode::FORBIDDEN, text)),
    };

    if user.blocked {
        audit(ui, parts, &user, StatusCode::FORBIDDEN).await;
        return Err(ApiError::from(Error::Blocked).into());
    }

    let Some(is_admin) = choice::role(oidc.settings(), account, &user) else {
        return Ok(user);
    };
    let edit = UserEdit {
        is_admin: Some(is_admin),
        ..UserEdit::default()
    };
    let changed = store.update_user(user.id, edit).await.map_err(ApiError::from)?;

    ui.app.access.forget();
    changed.ok_or(PageError::Missing)
}

/// Creates a user. If the username belongs to somebody else, the new user gets a number behind it.
async fn create(ui: &Ui, identity: &Identity, new: NewUser) -> Result<User, PageError> {
    let mut email = new.email.clone();
    for number in 1..=TRIES {
        let username = if number == 1 {
            new.username.clone()
        } else {
            format!("{}-{number}", new.username)
        };

        let one = NewUser {
            username,
            email: email.clone(),
            ..new.clone()
        };

        match ui
            .app
            .store()
            .create_user_with_identity(identity.clone(), one, ui.app.now())
            .await
        {
            Ok(user) => return Ok(user),
            // The address stays with the other user, and the new one has none.
            Err(Error::Taken("email")) => email = None,
            Err(Error::Taken("username")) => {}
            Err(error) => return Err(ApiError::from(error).into()),
        }
    }

    let text = "There are too many users with your name. Ask an administrator to create a user for you.";
    Err(PageError::Refused(StatusCode::CONFLICT, text.to_owned()))
}

async fn audit(ui: &Ui, parts: &Parts, user: &User, status: StatusCode) {
    let address = ui.app.audit.client(&parts.extensions, &parts.headers);
    let act = SignIn::new("/-/sign_in/oidc", status).from(address);
    ui.app.audit.sign_in(act.of(user.id, &user.username)).await;
}

fn provider(ui: &Ui) -> Result<&Oidc, PageError> {
    ui.app.oidc.as_ref().ok_or(PageError::Missing)
}

fn pending(ui: &Ui, headers: &HeaderMap) -> Option<Pending> {
    let value = cookie(headers, cookie_name(ui))?;
    if value.len() > MAX_COOKIE {
        return None;
    }

    let bytes = URL_SAFE_NO_PAD.decode(value).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn cookie_name(ui: &Ui) -> &'static str {
    if ui.app.is_secure() {
        "__Host-quickdraw-oidc"
    } else {
        "quickdraw-oidc"
    }
}

fn set_cookie(ui: &Ui, value: &str, seconds: u32) -> HeaderValue {
    let secure = if ui.app.is_secure() { "; Secure" } else { "" };
    let name = cookie_name(ui);
    // `Lax`, because the browser comes back from another site.
    let line = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::try_from(line).expect("base64 can be in a header")
}

fn expired() -> PageError {
    let text =
        "This sign-in began more than ten minutes ago, or in another browser. Go to the sign-in page and begin again.";
    PageError::Refused(StatusCode::BAD_REQUEST, text.to_owned())
}

/// The provider sent no code, because the person or the provider refused.
fn not_allowed(query: &Fields) -> PageError {
    let reason: String = query.text("error_description").chars().take(200).collect();
    let reason = if reason.is_empty() {
        query.text("error").chars().take(200).collect()
    } else {
        reason
    };

    let text = format!("The provider did not sign you in: {reason}");
    PageError::Refused(StatusCode::FORBIDDEN, text)
}

/// An error of the provider. The log has the reason, which says nothing to the person.
fn refused(error: OidcError) -> PageError {
    let (status, text) = match &error {
        OidcError::Busy => (
            StatusCode::SERVICE_UNAVAILABLE,
            "Too many people sign in at the same time. Try again in a moment.",
        ),
        OidcError::Provider(_) => (
            StatusCode::BAD_GATEWAY,
            "The provider does not answer as expected. Try again in a moment, or sign in with a password. The log of the \
             server has the reason.",
        ),
        OidcError::Refused(_) => (
            StatusCode::FORBIDDEN,
            "The answer of the provider cannot be trusted. Go to the sign-in page and begin again. The log of the server \
             has the reason.",
        ),
    };

    tracing::warn!(%error, "failed to sign a person in at the OpenID Connect provider");
    PageError::Refused(status, text.to_owned())
}
