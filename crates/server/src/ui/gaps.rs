//! Gaps: the completeness of the received events by project, and the events that never arrived.

mod one;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::Ui;
use super::error::PageError;
use super::form::Query;
use super::frame::{Frame, page};
use super::navigation::Section;
use super::parts::{Badge, Time, sentence};
use super::place::{Level, Visit};

/// Number of sequences in a page.
const ROWS: usize = 60;
/// Smallest share of received events with which a sequence is shown as nearly complete.
const NEARLY: f64 = 0.95;

/// The pages of gaps.
pub(super) fn routes() -> Router<Arc<Ui>> {
    Router::new()
        .route("/{level}/{path}/gaps", get(list))
        .route("/{level}/{path}/gaps/{source_project_id}", get(one::show))
        .route("/{level}/{path}/gaps/{source_project_id}/live", get(one::follow))
}

/// Completeness of one sequence of a project, as the API shows it.
#[derive(Deserialize)]
struct Sequence {
    source_project_id: i64,
    path_with_namespace: Option<String>,
    kind: String,
    known: i64,
    missing: i64,
    completeness: f64,
    first_iid: Option<i64>,
    last_iid: Option<i64>,
    coverage_starts: String,
}

/// A page of completeness.
#[derive(Deserialize, Default)]
struct Sequences {
    as_of: String,
    items: Vec<Sequence>,
    next: Option<String>,
}

impl Sequence {
    /// The objects of the sequence.
    fn words(&self) -> String {
        match self.kind.as_str() {
            "push" => "Pushes".to_owned(),
            "merge_request" => "Merge requests".to_owned(),
            "issue" => "Issues".to_owned(),
            "pipeline" => "Pipelines".to_owned(),
            "commit" => "Commits in pushes".to_owned(),
            other => sentence(&other.replace('_', " ")),
        }
    }

    fn project(&self) -> String {
        let number = || format!("Project {}", self.source_project_id);
        self.path_with_namespace.clone().unwrap_or_else(number)
    }

    fn badge(&self) -> Badge {
        match (self.missing, self.completeness) {
            (0, _) => Badge::good("Complete"),
            (_, share) if share >= NEARLY => Badge::warning("Gaps"),
            _ => Badge::bad("Gaps"),
        }
    }

    /// The share in percent, rounded down, so that only a complete sequence shows 100 %.
    fn percent(&self) -> String {
        format!("{} %", (self.completeness * 1000.0).floor() / 10.0)
    }

    /// The missing events, with the direction in which the number can be wrong.
    fn lost(&self) -> String {
        match (self.missing, self.kind.as_str()) {
            (0, _) => "0".to_owned(),
            (missing, "push") => format!("at least {missing}"),
            (missing, "commit") => missing.to_string(),
            (missing, _) => format!("at most {missing}"),
        }
    }

    /// The numbers of the objects that arrived.
    fn numbers(&self) -> Option<String> {
        let (first, last) = (self.first_iid?, self.last_iid?);
        Some(format!("{first} to {last}"))
    }

    fn since(&self) -> Time {
        Time::new(&self.coverage_starts)
    }
}

#[derive(Template)]
#[template(path = "ui/gaps/list.html")]
struct ListPage {
    frame: Frame,
    rows: Vec<Sequence>,
    base: String,

    /// True if only sequences with missing events are shown.
    only_missing: bool,
    as_of: Option<Time>,
    next: Option<String>,
    word: &'static str,
}

/// Shows the completeness of the projects of a group or the instance. A project has a page with everything.
async fn list(at: Visit, State(ui): State<Arc<Ui>>, query: Query) -> Result<Response, PageError> {
    if at.place.level == Level::Project {
        return one::of_project(&at, &ui, &query).await;
    }

    let only_missing = query.0.text("show") != "all";
    let mut address = format!("/api/v1/insights/completeness?missing={only_missing}&limit={ROWS}");
    let filter = at.place.filter();
    if !filter.is_empty() {
        address.push_str(&format!("&{filter}"));
    }

    if let Some(after) = query.0.filled("after").and_then(|after| after.parse::<i64>().ok()) {
        address.push_str(&format!("&after={after}"));
    }

    let found = match at.person.api.get::<Sequences>(&address).await {
        Ok(found) => found,
        // No event has named a project of the group.
        Err(refusal) if refusal.status == StatusCode::NOT_FOUND => Sequences::default(),
        Err(refusal) => return Err(refusal.into()),
    };

    let base = at.place.page("gaps");
    let show = if only_missing { "missing" } else { "all" };
    let frame = Frame::at(&ui, &at.person, &at.place, Section::Gaps, "Gaps").json(address);
    Ok(page(&ListPage {
        frame,
        next: found.next.map(|next| format!("{base}?show={show}&after={next}")),
        as_of: (!found.as_of.is_empty()).then(|| Time::new(&found.as_of)),
        rows: found.items,
        base,
        only_missing,
        word: at.place.level.word(),
    }))
}
