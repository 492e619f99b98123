//! The support bundle: its content, and the button that downloads it.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::frame;
use crate::ui::Ui;
use crate::ui::error::PageError;
use crate::ui::form::Sent;
use crate::ui::frame::{Frame, page};
use crate::ui::navigation::Section;
use crate::ui::place::Visit;

const BUNDLE: &str = "/api/v1/support_bundle";

/// The files of the bundle with their content.
const FILES: [(&str, &str); 7] = [
    ("README.txt", "This list"),
    (
        "settings.json",
        "The settings in force and their origin; secrets only as set or not set",
    ),
    ("status.json", "Version, database, queues, nodes, disk, guard and keys"),
    ("workers.json", "The workers of the node that answers"),
    (
        "hooks.json",
        "The state of each webhook, without its URL, name and secrets",
    ),
    ("metrics.txt", "The metrics of the node, without those of projects"),
    ("log.txt", "The last lines of the log of the node"),
];

#[derive(Template)]
#[template(path = "ui/admin/support_bundle.html")]
struct BundlePage {
    frame: Frame,
    files: [(&'static str, &'static str); 7],
    base: String,
}

/// Shows what the bundle contains.
pub(super) async fn show(at: Visit, State(ui): State<Arc<Ui>>) -> Response {
    page(&BundlePage {
        frame: frame(&ui, &at, Section::SupportBundle, "Support bundle"),
        files: FILES,
        base: at.place.page("support_bundle"),
    })
}

/// Sends the bundle as a file.
pub(super) async fn download(at: Visit, _: Sent) -> Result<Response, PageError> {
    let (answered, bytes) = at.person.api.file(BUNDLE).await?;
    let mut response = bytes.into_response();
    for name in [header::CONTENT_TYPE, header::CONTENT_DISPOSITION] {
        if let Some(value) = answered.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }

    Ok(response)
}
