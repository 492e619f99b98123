//! The page on which people change their password.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde_json::json;

use super::frame;
use crate::ui::Ui;
use crate::ui::error::PageError;
use crate::ui::form::{Form, Sent};
use crate::ui::frame::{Frame, Notice, page, refused_page};
use crate::ui::person::Person;

const ADDRESS: &str = "/-/profile/password";

#[derive(Template)]
#[template(path = "ui/profile/password.html")]
struct PasswordPage {
    frame: Frame,
    form: Form,
}

/// Shows the form.
pub(super) async fn show(person: Person, State(ui): State<Arc<Ui>>) -> Result<Response, PageError> {
    // A visitor of a portal has no account.
    if person.portal.is_some() {
        return Err(PageError::Missing);
    }

    Ok(page(&PasswordPage {
        frame: frame(&ui, &person, ADDRESS),
        form: Form::default(),
    }))
}

/// Changes the password.
pub(super) async fn change(State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    let Sent { person, fields } = sent;
    let mut form = Form::default();

    if fields.text("password") != fields.text("password_again") {
        form.wrong("password_again", "The two new passwords are different");
    } else {
        let body = json!({
            "current_password": fields.text("current_password"),
            "password": fields.text("password"),
        });

        if let Err(refusal) = person.api.send_only(Method::PUT, "/api/v1/user/password", &body).await {
            if refusal.status == StatusCode::FORBIDDEN {
                return Err(refusal.into());
            }

            form.refuse(&refusal);
        }
    }

    let frame = frame(&ui, &person, ADDRESS);
    if form.is_refused() {
        return Ok(refused_page(&PasswordPage { frame, form }));
    }

    let notice = Notice::good("Your password is changed. All other sessions have ended.");
    let frame = frame.notice(Some(notice));
    Ok(page(&PasswordPage { frame, form }))
}
