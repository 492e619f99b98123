//! Events of a project, a group or the instance: the journal with its filters, which updates by itself.

mod contribution;
pub(super) mod one;

use std::sync::Arc;

use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::Ui;
use super::client::{Api, Items, Refusal};
use super::error::PageError;
use super::form::{Form, Query};
use super::frame::{Frame, page, refused_page};
use super::history::{Choice, Event, Filters, PlaceLink, Wanted, found_or_refused, kinds};
use super::live::live;
use super::navigation::Section;
use super::parts::Time;
use super::place::{Level, Visit};

/// The filters of the list.
const FILTERS: [&str; 6] = ["trigger", "since", "until", "object", "text", "source"];

/// A row of the list.
struct Row {
    href: String,
    kind: String,
    place: PlaceLink,
    git_ref: String,
    origin: String,
    received: Time,
}

/// The rows of the list, which the page shows and the stream sends.
#[derive(Template)]
#[template(path = "ui/events/rows.html")]
struct Rows {
    rows: Vec<Row>,

    /// Whether the rows are of several projects.
    has_places: bool,
    is_filtered: bool,
}

impl HtmlSafe for Rows {}

#[derive(Template)]
#[template(path = "ui/events/list.html")]
struct ListPage {
    frame: Frame,
    form: Form,
    kinds: Vec<Choice>,
    rows: Rows,
    base: String,

    /// The address of the stream. Older pages do not change.
    live: Option<String>,
    next: Option<String>,

    /// The form that reports an event.
    report: String,
    is_instance: bool,
}

/// The list that a page asked for.
#[derive(Clone)]
struct Asked {
    api: Api,
    filters: Filters,
    base: String,
    has_places: bool,
}

impl Asked {
    fn new(at: &Visit, query: &Query) -> Self {
        Self {
            api: at.person.api.clone(),
            filters: Filters::read(&at.place, &FILTERS, &query.0),
            base: at.place.page("events"),
            has_places: at.place.level != Level::Project,
        }
    }

    fn address(&self, before: Option<&str>) -> String {
        self.filters.address("events", before)
    }

    /// Reads the rows of a page, and the position of the next one.
    async fn read(&self, before: Option<&str>) -> Result<(Rows, Option<String>), Refusal> {
        let found: Items<Event> = self.api.get(&self.address(before)).await?;

        let mut wanted = Wanted::default();
        if self.has_places {
            found.items.iter().for_each(|event| wanted.place_of(event));
        }

        let names = wanted.find(&self.api).await?;
        let row = |event: &Event| Row {
            href: format!("{}/{}", self.base, event.id),
            kind: event.kind(),
            place: names.place_of(event),
            git_ref: event.short_ref().to_owned(),
            origin: event.origin(),
            received: event.received(),
        };
        Ok((self.rows(found.items.iter().map(row).collect()), found.next))
    }

    const fn rows(&self, rows: Vec<Row>) -> Rows {
        Rows {
            rows,
            has_places: self.has_places,
            is_filtered: !self.filters.is_empty(),
        }
    }
}

/// Shows the events of a place.
pub(super) async fn list(at: Visit, State(ui): State<Arc<Ui>>, query: Query) -> Result<Response, PageError> {
    let asked = Asked::new(&at, &query);
    let before = query.0.filled("before");
    let (found, kinds) = futures_util::join!(asked.read(before), kinds(&at.person.api));

    let mut form = asked.filters.form();
    let (rows, next) = found_or_refused(found, &mut form, || asked.rows(Vec::new()))?;

    let is_refused = form.is_refused();
    let live = (before.is_none() && !is_refused).then(|| format!("{}/live?{}", asked.base, asked.filters.of_page(&[])));
    let frame = Frame::at(&ui, &at.person, &at.place, Section::Events, "Events").json(asked.address(before));
    let list = ListPage {
        frame,
        form,
        kinds: kinds?,
        rows,
        live,
        next: next.map(|next| format!("{}?{}", asked.base, asked.filters.of_page(&[("before", &next)]))),
        report: at.place.page("report"),
        is_instance: at.place.level == Level::Instance,
        base: asked.base,
    };
    Ok(if is_refused { refused_page(&list) } else { page(&list) })
}

/// Sends the rows of the first page whenever they have changed.
pub(super) async fn follow(
    at: Visit,
    State(ui): State<Arc<Ui>>,
    cookies: HeaderMap,
    query: Query,
) -> Result<Response, PageError> {
    let asked = Asked::new(&at, &query);
    live(ui, &at, cookies, move || {
        let asked = asked.clone();
        async move {
            let (rows, _) = asked.read(None).await?;
            Ok(rows.to_string())
        }
    })
}
