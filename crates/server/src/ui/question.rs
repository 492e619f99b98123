//! The page that asks before something is removed. With the script, a dialog asks instead.

use askama::Template;
use axum::response::Response;

use super::frame::{Frame, page};

/// A question with two answers: to go on, or to go back.
#[derive(Template)]
#[template(path = "ui/question.html")]
pub(super) struct Question {
    pub(super) frame: Frame,
    pub(super) text: String,

    /// The address that the form is sent to, with the name of its button.
    pub(super) action: String,
    pub(super) button: &'static str,

    /// The name of the button, with which the handler knows what is confirmed.
    pub(super) field: &'static str,

    /// The address to go back to.
    pub(super) back: String,
}

impl Question {
    pub(super) fn ask(&self) -> Response {
        page(self)
    }
}
