//! One request that an inspector keeps: its headers, its body, and the checks of its credentials.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::requests::Request;
use super::{address, base, find, frame_of};
use crate::ui::Ui;
use crate::ui::error::PageError;
use crate::ui::form::Query;
use crate::ui::frame::{Frame, page};
use crate::ui::parts::{Badge, Time};
use crate::ui::place::Visit;
use crate::ui::tree::{self, Tree};

/// Largest number of headers that the page shows, and characters of each.
const MAX_HEADERS: usize = 60;
const MAX_CHARACTERS: usize = 300;

#[derive(Deserialize)]
struct Header {
    name: String,
    value: String,
}

/// The headers and the body. The body is read as text, because its text is shown, too.
#[derive(Deserialize)]
struct Content {
    headers: Vec<Header>,
    payload: Box<RawValue>,
}

#[derive(Template)]
#[template(path = "ui/inspectors/request.html")]
struct RequestPage {
    frame: Frame,
    request: Request,
    checks: [(&'static str, Badge); 3],
    status: Badge,
    at: Time,
    headers: Vec<Header>,

    /// The number of headers that the page leaves out.
    left_out: usize,

    /// The body in parts, if it is JSON and the person did not ask for the text.
    tree: Option<Tree>,
    raw: String,
    is_cut: bool,
    is_json: bool,
    address: String,
}

/// Shows a request.
pub(super) async fn show(at: Visit, State(ui): State<Arc<Ui>>, Query(query): Query) -> Result<Response, PageError> {
    let inspector = find(&at).await?;
    let id = utf8_percent_encode(at.text("request_id")?, NON_ALPHANUMERIC);
    let json = format!("{}/requests/{id}", address(&at)?);
    let found: Box<RawValue> = at.person.api.get(&json).await?;
    let (Ok(request), Ok(content)) = (
        serde_json::from_str::<Request>(found.get()),
        serde_json::from_str::<Content>(found.get()),
    ) else {
        return Err(PageError::Missing);
    };

    // A body that is not JSON is a JSON text in the answer.
    let text = content.payload.get();
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    let plain = value.as_str().map(str::to_owned);
    let is_json = plain.is_none();
    let is_raw = !is_json || query.text("view") == "raw";
    let text = plain.unwrap_or_else(|| text.to_owned());
    let (raw, is_whole) = if is_raw { tree::raw(&text) } else { ("", true) };

    let mut headers = content.headers;
    let left_out = headers.len().saturating_sub(MAX_HEADERS);
    headers.truncate(MAX_HEADERS);
    for header in &mut headers {
        header.name = shortened(&header.name);
        header.value = shortened(&header.value);
    }

    let frame = frame_of(&ui, &at, &inspector, request.title());
    Ok(page(&RequestPage {
        frame: frame.json(json),
        checks: request.checks(),
        status: Badge::status(Some(request.status)),
        at: Time::new(&request.at),
        headers,
        left_out,
        tree: (!is_raw).then(|| Tree::new(&value)),
        raw: raw.to_owned(),
        is_cut: !is_whole,
        is_json,
        address: format!("{}/requests/{id}", inspector.page(&base(&at))),
        request,
    }))
}

/// The beginning of a header, which the client chose.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
