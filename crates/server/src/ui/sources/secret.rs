//! The form with which the secret of a source is rotated.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::Method;
use axum::response::Response;
use serde_json::json;

use super::show::source_page;
use super::{Administration, Source};
use crate::ui::Ui;
use crate::ui::error::PageError;
use crate::ui::form::{Choice, Fields, Form, Sent};
use crate::ui::frame::{Frame, page};

/// The times for which earlier secrets remain valid, in seconds.
const OVERLAPS: [Choice; 5] = [
    Choice::new("86400", "One day"),
    Choice::new("3600", "One hour"),
    Choice::new("604800", "One week"),
    Choice::new("2592000", "30 days"),
    Choice::new("0", "Not at all, because the secret has leaked"),
];

#[derive(Template)]
#[template(path = "ui/sources/secret.html")]
struct SecretPage {
    frame: Frame,
    source: Source,
    form: Form,
    overlaps: [Choice; 5],
    address: String,
}

/// Asks how long the earlier secrets remain valid.
pub(super) async fn ask(at: Administration, State(ui): State<Arc<Ui>>) -> Result<Response, PageError> {
    let source = at.own_source().await?;
    Ok(page(&SecretPage {
        frame: at.frame_of(&ui, &source, "Rotate secret"),
        form: Form::default(),
        overlaps: OVERLAPS,
        address: source.page(&at.list()),
        source,
    }))
}

/// Replaces the secret, and shows the new one once.
pub(super) async fn rotate(at: Administration, State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    let wanted = sent.fields.text("overlap");
    let overlap = OVERLAPS.iter().find(|choice| choice.value == wanted);
    let overlap: i64 = overlap
        .and_then(|choice| choice.value.parse().ok())
        .ok_or(PageError::Missing)?;

    let address = at.address()?;
    let body = json!({ "overlap": overlap });
    let rotated: Source = sent
        .person
        .api
        .send(Method::POST, &format!("{address}/secret"), &body)
        .await?;
    let shown = source_page(&ui, &at, address, &Fields::default(), rotated.secret).await?;
    Ok(page(&shown))
}
