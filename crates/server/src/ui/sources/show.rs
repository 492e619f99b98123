//! The page of a source: the words for GitLab's form, the last requests, the settings, and the question before it is
//! deleted.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::Value;

use super::requests::{Asked, SELECTIONS, Seen};
use super::{Administration, Source};
use crate::ui::Ui;
use crate::ui::error::PageError;
use crate::ui::form::{Choice, Fields, Query, Sent};
use crate::ui::frame::{Frame, Notice, page};
use crate::ui::live::live;
use crate::ui::parts::Time;
use crate::ui::question::Question;

/// Number of bytes of a MiB.
const MEBIBYTE: u64 = 1 << 20;

#[derive(Template)]
#[template(path = "ui/sources/show.html")]
pub(super) struct SourcePage {
    pub(super) frame: Frame,
    source: Source,

    /// The address of the page.
    address: String,

    /// A new secret, which is shown once.
    secret: Option<String>,
    seen: Seen,

    /// The address of the stream. Older pages do not change.
    live: Option<String>,
    selections: [Choice; 3],
    selection: &'static str,

    next: Option<String>,
}

impl SourcePage {
    /// The words of the credentials that a request needs.
    fn credentials(&self) -> &'static str {
        match self.source.mode.as_str() {
            "token" => "The secret token",
            "signature" => "A signature",
            "both" => "The secret token and a signature",
            _ => "The secret token or a signature; everything that a request carries must be valid",
        }
    }

    fn largest_body(&self) -> String {
        match self.source.body_limit {
            bytes if bytes.is_multiple_of(MEBIBYTE) => format!("{} MiB", bytes / MEBIBYTE),
            bytes => format!("{bytes} bytes"),
        }
    }

    fn replaced_until(&self) -> Option<Time> {
        self.source.replaced_secrets_until.as_deref().map(Time::new)
    }
}

/// Shows a source.
pub(super) async fn show(
    at: Administration,
    State(ui): State<Arc<Ui>>,
    Query(query): Query,
) -> Result<Response, PageError> {
    let notice = match query.text("done") {
        "saved" => Some(Notice::good("The changes are saved.")),
        _ => None,
    };
    let mut shown = source_page(&ui, &at, at.address()?, &query, None).await?;
    shown.frame = shown.frame.notice(notice);
    Ok(page(&shown))
}

/// Makes the page of the source at an address of the API, with a new secret if there is one.
pub(super) async fn source_page(
    ui: &Ui,
    at: &Administration,
    address: String,
    query: &Fields,
    secret: Option<String>,
) -> Result<SourcePage, PageError> {
    let asked = asked(at, address, query);
    let (source, seen, next) = asked.read().await?;

    let list = at.list();
    let address = source.page(&list);
    let frame = at
        .frame(ui, source.title())
        .crumb("Sources", &list)
        .json(asked.requests());
    Ok(SourcePage {
        frame,
        secret,
        live: asked.is_newest().then(|| format!("{address}/live?{}", asked.query())),
        next: next.map(|next| format!("{address}?{next}#requests")),
        seen,
        selections: SELECTIONS,
        selection: asked.selection(),
        source,
        address,
    })
}

fn asked(at: &Administration, address: String, query: &Fields) -> Asked {
    let events = at.0.place.page("events");
    Asked::new(&at.0.person.api, address, events, query)
}

/// Sends the last requests whenever they have changed.
pub(super) async fn follow(
    at: Administration,
    State(ui): State<Arc<Ui>>,
    cookies: HeaderMap,
    Query(query): Query,
) -> Result<Response, PageError> {
    let asked = asked(&at, at.address()?, &query);
    live(ui, &at.0, cookies, move || {
        let asked = asked.clone();
        async move {
            let (_, seen, _) = asked.read().await?;
            Ok(seen.to_string())
        }
    })
}

/// Asks before a source is deleted.
pub(super) async fn ask(at: Administration, State(ui): State<Arc<Ui>>) -> Result<Response, PageError> {
    Ok(deletion(&ui, &at).await?.ask())
}

/// Deletes a source after a confirmation.
pub(super) async fn delete(at: Administration, State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    if !sent.fields.has("confirmed") {
        return Ok(deletion(&ui, &at).await?.ask());
    }

    let address = at.address()?;
    sent.person
        .api
        .send_only(Method::DELETE, &address, &Value::Null)
        .await?;
    Ok(Redirect::to(&format!("{}?done=deleted", at.list())).into_response())
}

async fn deletion(ui: &Ui, at: &Administration) -> Result<Question, PageError> {
    let source = at.own_source().await?;
    let back = source.page(&at.list());
    Ok(Question {
        frame: at.frame_of(ui, &source, "Delete source"),
        text: format!(
            "Requests to the source {} are refused at once, and GitLab does not send their events again. Its earlier \
             events are kept. This cannot be undone.",
            source.title()
        ),
        action: format!("{back}/delete"),
        button: "Delete",
        field: "delete",
        back,
    })
}
