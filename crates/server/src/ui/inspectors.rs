//! Inspectors: addresses that keep the requests which they get. Every user has inspectors of their own, and finds them
//! at each project and group and in the administration.

mod form;
mod request;
mod requests;
mod show;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Ui;
use super::client::Items;
use super::error::PageError;
use super::form::Query;
use super::frame::{Frame, Notice, page};
use super::navigation::Section;
use super::parts::{Badge, Time};
use super::place::Visit;

/// The address of the inspectors in the API.
const INSPECTORS: &str = "/api/v1/inspectors";
/// Number of inspectors on a page.
const SHOWN: usize = 20;

/// The pages of inspectors.
pub(super) fn routes() -> Router<Arc<Ui>> {
    Router::new()
        .route("/{level}/{path}/inspectors", get(list).post(form::create))
        .route("/{level}/{path}/inspectors/new", get(form::new))
        .route("/{level}/{path}/inspectors/{inspector_id}", get(show::show))
        .route("/{level}/{path}/inspectors/{inspector_id}/live", get(show::follow))
        .route(
            "/{level}/{path}/inspectors/{inspector_id}/edit",
            get(form::edit).post(form::update),
        )
        .route("/{level}/{path}/inspectors/{inspector_id}/clear", post(show::clear))
        .route(
            "/{level}/{path}/inspectors/{inspector_id}/delete",
            get(show::ask).post(show::delete),
        )
        .route(
            "/{level}/{path}/inspectors/{inspector_id}/requests/{request_id}",
            get(request::show),
        )
}

/// An inspector, as the API shows it.
#[derive(Deserialize)]
struct Inspector {
    id: String,
    url: String,
    name: Option<String>,
    owner: Owner,
    secret_present: bool,
    signing_token_present: bool,
    status: u16,
    headers: Map<String, Value>,
    body: String,
    delay_ms: u64,
    requests: u64,
    last_request_at: Option<String>,
    expires_at: String,
}

#[derive(Deserialize)]
struct Owner {
    id: i64,
    username: String,
}

impl Inspector {
    /// The name, or the last characters of the address, by which people tell inspectors apart.
    fn title(&self) -> String {
        match self.name.as_deref() {
            Some(name) if !name.is_empty() => name.to_owned(),
            _ => format!(
                "Inspector …{}",
                self.id.get(self.id.len().saturating_sub(6)..).unwrap_or_default()
            ),
        }
    }

    /// The address of its page.
    fn page(&self, list: &str) -> String {
        format!("{list}/{}", utf8_percent_encode(&self.id, NON_ALPHANUMERIC))
    }

    fn badge(&self) -> Badge {
        match self.requests {
            0 => Badge::waiting("Waiting for the first request"),
            1 => Badge::good("1 request"),
            many => Badge::good(format!("{many} requests")),
        }
    }

    fn last_request(&self) -> Option<Time> {
        self.last_request_at.as_deref().map(Time::new)
    }

    fn expires(&self) -> Time {
        Time::new(&self.expires_at)
    }

    /// The answer in words.
    fn answer(&self) -> String {
        match self.delay_ms {
            0 => format!("{}, at once", self.status),
            delay => format!("{}, after {delay} ms", self.status),
        }
    }
}

/// The list of inspectors at a place.
fn base(at: &Visit) -> String {
    at.place.page("inspectors")
}

/// The address in the API of the inspector that a page is about.
fn address(at: &Visit) -> Result<String, PageError> {
    let id = utf8_percent_encode(at.text("inspector_id")?, NON_ALPHANUMERIC);
    Ok(format!("{INSPECTORS}/{id}"))
}

async fn find(at: &Visit) -> Result<Inspector, PageError> {
    Ok(at.person.api.get(&address(at)?).await?)
}

/// The frame of a page of an inspector.
fn frame_of(ui: &Ui, at: &Visit, inspector: &Inspector, title: impl Into<String>) -> Frame {
    let list = base(at);
    let frame = frame(ui, at, title).crumb("Inspectors", &list);
    frame.crumb(inspector.title(), inspector.page(&list))
}

fn frame(ui: &Ui, at: &Visit, title: impl Into<String>) -> Frame {
    Frame::at(ui, &at.person, &at.place, Section::Inspectors, title)
}

#[derive(Template)]
#[template(path = "ui/inspectors/list.html")]
struct ListPage {
    frame: Frame,
    inspectors: Vec<Inspector>,
    base: String,
    next: Option<String>,

    /// The number of the person who looks at the page. Inspectors of others show their owner.
    me: i64,
}

/// Shows the inspectors of the person. Administrators see those of all users.
async fn list(at: Visit, State(ui): State<Arc<Ui>>, Query(query): Query) -> Result<Response, PageError> {
    let before = query
        .filled("before")
        .map(|before| utf8_percent_encode(before, NON_ALPHANUMERIC));
    let before = before.map(|before| format!("&before={before}")).unwrap_or_default();
    let address = format!("{INSPECTORS}?limit={SHOWN}{before}");
    let found: Items<Inspector> = at.person.api.get(&address).await?;

    let notice = match query.text("done") {
        "deleted" => Some(Notice::good("The inspector is deleted with its requests.")),
        _ => None,
    };
    let base = base(&at);
    Ok(page(&ListPage {
        frame: frame(&ui, &at, "Inspectors").json(address).notice(notice),
        inspectors: found.items,
        next: found.next.map(|next| format!("{base}?before={next}")),
        base,
        me: at.person.actor.user_id,
    }))
}
