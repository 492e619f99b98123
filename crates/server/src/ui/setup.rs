//! The set-up page, to which the set-up link leads: the first administrator chooses a name and a password. After that,
//! a checklist shows the next steps.

use std::sync::Arc;

use askama::Template;
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use quickdraw_domain::password::Password;
use quickdraw_domain::scope::check_path_segment;
use quickdraw_store::Error;
use quickdraw_store::access::FirstAdministrator;

use super::Ui;
use super::error::PageError;
use super::form::{Fields, Form, Strange};
use super::frame::{Frame, page, refused_page};
use super::person::Person;
use super::sign_in::with_cookie;
use crate::audit::SignIn;
use crate::error::ApiError;
use crate::setup;

/// Number of the user to whom the root token belongs.
const FIRST_USER: i64 = 1;
/// Longest displayed name, in characters.
const LONGEST_NAME: usize = 255;

#[derive(Template)]
#[template(path = "ui/setup.html")]
struct SetupPage {
    frame: Frame,
    form: Form,
    address: Address,
}

/// The address that the settings give, compared with the address in the browser.
struct Address {
    external_url: String,

    /// The address in the browser, if it is another one.
    other: Option<String>,
}

impl Address {
    fn of(ui: &Ui, parts: &Parts) -> Self {
        let external_url = ui.app.external_url.clone();
        let host = parts.headers.get("host").and_then(|host| host.to_str().ok());
        let own = external_url.split_once("://").map_or("", |(_, rest)| rest);
        let own = own.split('/').next().unwrap_or_default();
        let other = host.filter(|host| !host.eq_ignore_ascii_case(own)).map(str::to_owned);

        Self { external_url, other }
    }
}

/// Shows the form, if the link is valid.
pub(super) async fn show(
    State(ui): State<Arc<Ui>>,
    Path(secret): Path<String>,
    request: Request,
) -> Result<Response, PageError> {
    check(&ui, &secret).await?;

    let (parts, _) = request.into_parts();
    let mut form = Form::default();
    let user = ui.app.store().find_user(FIRST_USER).await.map_err(ApiError::from)?;
    if let Some(user) = user {
        form.set("username", user.username);
        form.set("name", user.name);
    }

    Ok(page(&SetupPage {
        frame: Frame::bare("Set up Quickdraw"),
        form,
        address: Address::of(&ui, &parts),
    }))
}

async fn check(ui: &Ui, secret: &str) -> Result<(), PageError> {
    let is_valid = setup::is_valid(ui.app.store(), secret, ui.app.now());
    if is_valid.await.map_err(ApiError::from)? {
        return Ok(());
    }

    let text = "This set-up link was used already, is older than 30 minutes, or was replaced by a newer one. Run \
                quickdraw setup-link on the server for a new link."
        .to_owned();
    Err(PageError::Refused(StatusCode::GONE, text))
}

/// Sets name, username and password of the first administrator, and signs the person in.
pub(super) async fn submit(
    State(ui): State<Arc<Ui>>,
    Path(secret): Path<String>,
    request: Request,
) -> Result<Response, PageError> {
    let (parts, body) = request.into_parts();
    let Strange(fields) = Strange::from_request(Request::from_parts(parts.clone(), body), &ui).await?;
    check(&ui, &secret).await?;

    let mut form = Form::default();
    form.keep(&fields, &["password", "password_again"]);

    let refused = |form| {
        Ok(refused_page(&SetupPage {
            frame: Frame::bare("Set up Quickdraw"),
            form,
            address: Address::of(&ui, &parts),
        }))
    };

    let Some(chosen) = Chosen::read(&fields, &mut form) else {
        return refused(form);
    };
    let administrator = FirstAdministrator {
        username: chosen.username.clone(),
        name: chosen.name,
        hash: ui.app.passwords.hash(chosen.password).await?,
    };

    let user = match setup::finish(ui.app.store(), &secret, administrator, ui.app.now()).await {
        Ok(Some(user)) => user,
        Ok(None) => return check(&ui, &secret).await.and(Err(PageError::Missing)),
        Err(Error::Taken(_)) => {
            form.wrong("username", "Another user has this username. Choose another one");
            return refused(form);
        }
        Err(error) => return Err(ApiError::from(error).into()),
    };

    ui.app.access.forget();

    let address = ui.app.audit.client(&parts.extensions, &parts.headers);
    let act = SignIn::new("/-/setup", StatusCode::SEE_OTHER).from(address);
    let act = act.of(user.id, &user.username).with("name username password");
    ui.app.audit.sign_in(act).await;

    let cookie = ui.app.sessions.begin(&parts, user.id, None).await?;
    Ok(with_cookie(cookie, "/-/start"))
}

/// The values of the form.
struct Chosen {
    name: String,
    username: String,
    password: Password,
}

impl Chosen {
    /// Reads the values, and notes every error.
    fn read(fields: &Fields, form: &mut Form) -> Option<Self> {
        let name = fields.filled("name").unwrap_or_default();
        if name.is_empty() {
            form.wrong("name", "Enter a name");
        } else if name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
            form.wrong(
                "name",
                format!("A name has at most {LONGEST_NAME} characters on one line"),
            );
        }

        let username = fields.filled("username").unwrap_or_default();
        if let Err(error) = check_path_segment(username) {
            form.wrong("username", format!("The username {error}"));
        }

        let password = Password::parse(fields.text("password"), username);
        if let Err(error) = &password {
            form.wrong("password", format!("The password {error}"));
        }

        if fields.text("password") != fields.text("password_again") {
            form.wrong("password_again", "The two passwords are different");
        }

        let password = password.ok().filter(|_| !form.is_refused())?;
        Some(Self {
            name: name.to_owned(),
            username: username.to_owned(),
            password,
        })
    }
}

#[derive(Template)]
#[template(path = "ui/start.html")]
struct StartPage {
    frame: Frame,
    external_url: String,
    is_admin: bool,
}

/// Shows the checklist.
pub(super) async fn start(person: Person, State(ui): State<Arc<Ui>>) -> Result<Response, PageError> {
    // A visitor of a portal has no account.
    if person.portal.is_some() {
        return Err(PageError::Missing);
    }

    let frame = Frame::of(&ui, &person, "First steps");
    Ok(page(&StartPage {
        frame,
        external_url: ui.app.external_url.clone(),
        is_admin: person.actor.is_admin,
    }))
}
