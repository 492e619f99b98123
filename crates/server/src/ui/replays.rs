//! Replays of a project, a group or the instance: jobs that send ended deliveries again.

pub(super) mod form;
pub(super) mod one;

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::Ui;
use super::client::Items;
use super::error::PageError;
use super::form::Query;
use super::frame::{Frame, page};
use super::history::{Filters, Names, Wanted, kind_words};
use super::navigation::Section;
use super::parts::{Badge, Time};
use super::place::Visit;

/// A replay, as the API shows it.
#[derive(Deserialize)]
struct Replay {
    id: i64,
    state: String,
    filter: Filter,
    rate: i64,
    replayed: i64,
    created_by: String,
    created_at: String,
    finished_at: Option<String>,
    results: Option<Results>,
}

#[derive(Deserialize)]
struct Filter {
    since: String,
    until: String,
    trigger: Option<String>,
    hook: Option<i64>,
    state: Option<String>,
    status: Vec<String>,
    text: Option<String>,
    skipped: Option<String>,
    #[serde(default)]
    deliveries: Vec<String>,
}

/// The states of the deliveries since the replay began.
#[derive(Deserialize)]
struct Results {
    delivered: i64,
    given_up: i64,
    pending: i64,
}

impl Replay {
    fn badge(&self) -> Badge {
        match self.state.as_str() {
            "running" => Badge::waiting("Running"),
            "paused" => Badge::warning("Paused"),
            "finished" => Badge::good("Finished"),
            "cancelled" => Badge::plain("Cancelled"),
            other => Badge::plain(other),
        }
    }

    fn wanted(&self, wanted: &mut Wanted) {
        if let Some(hook) = self.filter.hook {
            wanted.hook(hook);
        }
    }

    /// The deliveries that the replay chooses, in words.
    fn chosen(&self, names: &Names) -> Vec<String> {
        let filter = &self.filter;
        let mut words = Vec::new();
        match (filter.skipped.as_deref(), filter.state.as_deref()) {
            (None, None) if !filter.deliveries.is_empty() => words.push(selected(filter.deliveries.len())),
            (Some("silent_mode"), _) => words.push("Skipped by silent mode".to_owned()),
            (Some("rate_limit"), _) => words.push("Skipped by the rate limit".to_owned()),
            (Some(other), _) => words.push(format!("Skipped: {other}")),
            (None, Some("delivered")) => words.push("Delivered ones".to_owned()),
            (None, Some(_)) => words.push("Given up ones".to_owned()),
            (None, None) => words.push("All ended ones".to_owned()),
        }

        words.extend(filter.trigger.as_deref().map(kind_words));
        words.extend(filter.hook.map(|hook| names.hook(hook).title));
        if !filter.status.is_empty() {
            words.push(format!("Status {}", filter.status.join(", ")));
        }

        words.extend(filter.text.as_deref().map(|text| format!("With the text {text}")));
        words
    }
}

/// A number of selected deliveries in words.
fn selected(count: usize) -> String {
    match count {
        1 => "1 selected delivery".to_owned(),
        count => format!("{count} selected deliveries"),
    }
}

/// A row of the list.
struct Row {
    href: String,
    id: i64,
    badge: Badge,
    chosen: Vec<String>,
    replayed: i64,
    rate: i64,
    by: String,
    created: Time,
}

#[derive(Template)]
#[template(path = "ui/replays/list.html")]
struct ListPage {
    frame: Frame,
    rows: Vec<Row>,
    base: String,
    next: Option<String>,

    /// True for administrators, who see their replays everywhere.
    is_admin: bool,
}

/// Shows the replays of a place.
pub(super) async fn list(at: Visit, State(ui): State<Arc<Ui>>, query: Query) -> Result<Response, PageError> {
    let filters = Filters::read(&at.place, &["before"], &query.0);
    let address = filters.address("replays", None);
    let found: Items<Replay> = at.person.api.get(&address).await?;

    let mut wanted = Wanted::default();
    found.items.iter().for_each(|replay| replay.wanted(&mut wanted));
    let names = wanted.find(&at.person.api).await?;

    let base = at.place.page("replays");
    let row = |replay: &Replay| Row {
        href: format!("{base}/{}", replay.id),
        id: replay.id,
        badge: replay.badge(),
        chosen: replay.chosen(&names),
        replayed: replay.replayed,
        rate: replay.rate,
        by: replay.created_by.clone(),
        created: Time::new(&replay.created_at),
    };
    let frame = Frame::at(&ui, &at.person, &at.place, Section::Replays, "Replays").json(address);
    Ok(page(&ListPage {
        frame,
        rows: found.items.iter().map(row).collect(),
        next: found.next.map(|next| format!("{base}?before={next}")),
        base,
        is_admin: at.person.actor.is_admin,
    }))
}
