//! The audit log with its filters. Each entry is a sentence.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::audit_words::Action;
use super::frame;
use super::names::{Kind, Names, Wanted};
use crate::ui::Ui;
use crate::ui::client::{Api, Items, Refusal};
use crate::ui::error::PageError;
use crate::ui::form::{Form, Query};
use crate::ui::frame::{Frame, page, refused_page};
use crate::ui::history::{Filters, found_or_refused};
use crate::ui::navigation::Section;
use crate::ui::parts::{Badge, Time};
use crate::ui::place::Visit;

/// The filters of the log, as the API names them.
const FILTERS: [&str; 7] = ["username", "user_id", "method", "path", "status", "since", "until"];

/// The methods of entries, with their meaning.
const METHODS: [(&str, &str); 6] = [
    ("POST", "POST: new objects and actions"),
    ("PUT", "PUT: changes"),
    ("PATCH", "PATCH: changes"),
    ("DELETE", "DELETE: deletions"),
    ("GET", "GET: bodies that were read, and refused reads"),
    ("MOVE", "MOVE: moves because of an event"),
];

/// An entry, as the API shows it.
#[derive(Deserialize)]
struct Entry {
    at: String,
    user_id: i64,
    username: String,
    on_behalf_of: Option<Behalf>,
    address: Option<String>,
    method: String,
    path: String,
    status: u16,
    attributes: Vec<String>,
}

#[derive(Deserialize)]
struct Behalf {
    username: String,
}

/// An entry in words.
struct Row {
    entry: Entry,
    text: String,

    /// False if the user has been deleted, or never existed.
    has_user: bool,
}

impl Row {
    fn time(&self) -> Time {
        Time::new(&self.entry.at)
    }

    fn badge(&self) -> Badge {
        let because = |badge: Badge| badge.because(format!("HTTP status {}", self.entry.status));
        because(match self.entry.status {
            ..400 => Badge::good("Done"),
            401 | 403 | 404 => Badge::warning("Refused"),
            400..500 => Badge::plain("Invalid"),
            _ => Badge::bad("Failed"),
        })
    }

    fn user(&self) -> &str {
        match self.entry.username.as_str() {
            "" => "Somebody",
            name => name,
        }
    }
}

#[derive(Template)]
#[template(path = "ui/admin/audit.html")]
struct AuditPage {
    frame: Frame,
    form: Form,
    methods: [(&'static str, &'static str); 6],
    rows: Vec<Row>,
    base: String,
    users: String,
    next: Option<String>,
    is_filtered: bool,
}

/// Shows entries, newest first.
pub(super) async fn list(at: Visit, State(ui): State<Arc<Ui>>, Query(query): Query) -> Result<Response, PageError> {
    let filters = Filters::read(&at.place, &FILTERS, &query);
    let address = filters.address("audit", query.filled("before"));
    let found = read(&at.person.api, &address).await;

    let mut form = filters.form();
    let (rows, next) = found_or_refused(found, &mut form, Vec::new)?;
    let is_refused = form.is_refused();
    let base = at.place.page("audit");
    let shown = AuditPage {
        frame: frame(&ui, &at, Section::Audit, "Audit log").json(address),
        form,
        methods: METHODS,
        rows,
        users: at.place.page("users"),
        next: next.map(|next| format!("{base}?{}", filters.of_page(&[("before", &next)]))),
        is_filtered: !filters.is_empty(),
        base,
    };
    Ok(if is_refused { refused_page(&shown) } else { page(&shown) })
}

/// Reads a page of entries with the names in them, and the position of the next page.
async fn read(api: &Api, address: &str) -> Result<(Vec<Row>, Option<String>), Refusal> {
    let found: Items<Entry> = api.get(address).await?;
    let mut wanted = Wanted::default();
    for entry in &found.items {
        Action::read(&entry.method, &entry.path).wanted(&mut wanted);
        if entry.user_id > 0 {
            wanted.add(Kind::User, entry.user_id);
        }
    }

    let names = wanted.find(api).await?;
    let rows = found.items.into_iter().map(|entry| row(entry, &names));
    Ok((rows.collect(), found.next))
}

fn row(entry: Entry, names: &Names) -> Row {
    let action = Action::read(&entry.method, &entry.path);
    let text = action.sentence(names, entry.status < 400);
    Row {
        text,
        has_user: names.of(Kind::User, entry.user_id).is_some(),
        entry,
    }
}
