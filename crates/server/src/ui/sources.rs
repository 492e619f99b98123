//! Sources, the endpoints to which GitLab posts: the list, the forms, the page of a source with its last requests, and
//! the page that helps to connect a GitLab. Only the administration has these pages.

mod connect;
mod form;
mod reasons;
mod requests;
mod secret;
mod show;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::get;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::Ui;
use super::client::Items;
use super::error::PageError;
use super::form::Query;
use super::frame::{Frame, Notice, page};
use super::navigation::Section;
use super::parts::{Badge, Time};
use super::place::{Level, Visit};

/// The address of the sources in the API.
const SOURCES: &str = "/api/v1/sources";
/// Number of sources on a page.
const SHOWN: usize = 30;

/// The pages of sources.
pub(super) fn routes() -> Router<Arc<Ui>> {
    Router::new()
        .route("/{level}/{path}/connect", get(connect::show))
        .route("/{level}/{path}/connect/live", get(connect::follow))
        .route("/{level}/{path}/sources", get(list).post(form::create))
        .route("/{level}/{path}/sources/new", get(form::new))
        .route("/{level}/{path}/sources/{source_id}", get(show::show))
        .route("/{level}/{path}/sources/{source_id}/live", get(show::follow))
        .route(
            "/{level}/{path}/sources/{source_id}/edit",
            get(form::edit).post(form::update),
        )
        .route(
            "/{level}/{path}/sources/{source_id}/secret",
            get(secret::ask).post(secret::rotate),
        )
        .route(
            "/{level}/{path}/sources/{source_id}/delete",
            get(show::ask).post(show::delete),
        )
}

/// A visit to the administration. Projects and groups have no sources.
struct Administration(Visit);

impl FromRequestParts<Arc<Ui>> for Administration {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, ui: &Arc<Ui>) -> Result<Self, PageError> {
        let at = Visit::from_request_parts(parts, ui).await?;
        match at.place.level {
            Level::Instance => Ok(Self(at)),
            Level::Project | Level::Group => Err(PageError::Missing),
        }
    }
}

impl Administration {
    /// The address of the list of sources.
    fn list(&self) -> String {
        self.0.place.page("sources")
    }

    /// The address in the API of the source that a page is about.
    fn address(&self) -> Result<String, PageError> {
        let id = utf8_percent_encode(self.0.text("source_id")?, NON_ALPHANUMERIC);
        Ok(format!("{SOURCES}/{id}"))
    }

    /// The source that a page is about.
    async fn source(&self) -> Result<Source, PageError> {
        Ok(self.0.person.api.get(&self.address()?).await?)
    }

    /// The source that a form changes. The default source belongs to the settings and has no such form.
    async fn own_source(&self) -> Result<Source, PageError> {
        let source = self.source().await?;
        if source.is_default() {
            return Err(PageError::Missing);
        }

        Ok(source)
    }

    fn frame(&self, ui: &Ui, title: impl Into<String>) -> Frame {
        Frame::at(ui, &self.0.person, &self.0.place, Section::Sources, title)
    }

    /// The frame of a page below the page of a source.
    fn frame_of(&self, ui: &Ui, source: &Source, title: &str) -> Frame {
        let list = self.list();
        let frame = self.frame(ui, title).crumb("Sources", &list);
        frame.crumb(source.title(), source.page(&list))
    }
}

/// A source, as the API shows it.
#[derive(Deserialize)]
struct Source {
    id: String,
    url: String,
    name: String,
    mode: String,
    secrets: u32,
    replaced_secrets_until: Option<String>,
    window: u64,
    addresses: Vec<String>,
    rate_limit: Option<u32>,
    sender_rate_limit: Option<u32>,
    body_limit: u64,
    deduplicate: bool,
    instance: Option<String>,
    last_hour: Traffic,
    last_request_at: Option<String>,

    /// A new secret, which the page shows once.
    secret: Option<String>,
}

/// The requests of the last hour.
#[derive(Deserialize, Clone, Copy)]
struct Traffic {
    requests: u64,
    per_minute: f64,
    accepted: u64,
    duplicates: u64,
    refused: u64,
}

impl Source {
    fn is_default(&self) -> bool {
        self.id == "default"
    }

    fn title(&self) -> &str {
        match self.name.as_str() {
            _ if self.is_default() => "Default source",
            "" => &self.id,
            name => name,
        }
    }

    /// The address of its page.
    fn page(&self, list: &str) -> String {
        format!("{list}/{}", utf8_percent_encode(&self.id, NON_ALPHANUMERIC))
    }

    /// The state of the last hour.
    fn badge(&self) -> Badge {
        let hour = &self.last_hour;
        match (&self.last_request_at, hour.refused, hour.accepted + hour.duplicates) {
            (None, ..) => Badge::waiting("Waiting for the first request"),
            (_, 0, 0) => Badge::plain("Quiet").because("No request arrived in the last hour."),
            (_, 0, _) => Badge::good("Receiving"),
            (_, _, 0) => Badge::bad("Refusing").because("All requests of the last hour were refused."),
            _ => Badge::warning("Some refused").because("Some requests of the last hour were refused."),
        }
    }

    fn last_request(&self) -> Option<Time> {
        self.last_request_at.as_deref().map(Time::new)
    }

    /// Checks whether the newest secret should be a signing token.
    fn is_signed(&self) -> bool {
        matches!(self.mode.as_str(), "signature" | "both")
    }
}

#[derive(Template)]
#[template(path = "ui/sources/list.html")]
struct ListPage {
    frame: Frame,
    sources: Vec<Source>,
    base: String,
    next: Option<String>,
}

/// Shows the sources.
async fn list(at: Administration, State(ui): State<Arc<Ui>>, Query(query): Query) -> Result<Response, PageError> {
    let after = query.filled("after").and_then(|after| after.parse::<i64>().ok());
    let after = after.map(|after| format!("&after={after}")).unwrap_or_default();
    let address = format!("{SOURCES}?limit={SHOWN}{after}");
    let found: Items<Source> = at.0.person.api.get(&address).await?;

    let notice = match query.text("done") {
        "deleted" => Some(Notice::good(
            "The source is deleted. Requests with its address are refused; its events are kept.",
        )),
        _ => None,
    };
    let base = at.list();
    Ok(page(&ListPage {
        frame: at.frame(&ui, "Sources").json(address).notice(notice),
        sources: found.items,
        next: found.next.map(|next| format!("{base}?after={next}")),
        base,
    }))
}
