//! One replay: its progress, and buttons that pause, resume or cancel it.

use std::sync::Arc;

use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::{Value, json};

use super::Replay;
use crate::ui::Ui;
use crate::ui::client::{Api, Refusal};
use crate::ui::error::PageError;
use crate::ui::form::{Query, Sent};
use crate::ui::frame::{Frame, Notice, page};
use crate::ui::history::Wanted;
use crate::ui::live::live;
use crate::ui::navigation::Section;
use crate::ui::parts::{Badge, Time};
use crate::ui::place::Visit;

/// The part of the page that changes while the replay runs.
#[derive(Template)]
#[template(path = "ui/replays/progress.html")]
struct Progress {
    badge: Badge,
    replayed: i64,

    /// Number of deliveries that were counted before the replay began.
    of: Option<i64>,
    delivered: i64,
    given_up: i64,
    pending: i64,
    finished: Option<Time>,
}

impl HtmlSafe for Progress {}

#[derive(Template)]
#[template(path = "ui/replays/one.html")]
struct ReplayPage {
    frame: Frame,
    progress: Progress,
    live: String,
    chosen: Vec<String>,
    since: Time,
    until: Time,
    rate: i64,
    by: String,
    created: Time,
    action: String,
    can_pause: bool,
    can_resume: bool,
    can_cancel: bool,
}

/// The question before a replay is cancelled.
#[derive(Template)]
#[template(path = "ui/replays/cancel.html")]
struct CancelPage {
    frame: Frame,
    action: String,
}

/// The replay that a page asked for.
#[derive(Clone)]
struct Asked {
    api: Api,
    address: String,
    of: Option<i64>,
}

impl Asked {
    fn new(at: &Visit, query: &Query) -> Result<Self, PageError> {
        Ok(Self {
            api: at.person.api.clone(),
            address: format!("/api/v1/replays/{}", at.number("replay_id")?),
            of: query.0.filled("of").and_then(|of| of.parse().ok()),
        })
    }

    async fn read(&self) -> Result<Replay, Refusal> {
        self.api.get(&format!("{}?results=true", self.address)).await
    }

    fn progress(&self, replay: &Replay) -> Progress {
        let results = replay.results.as_ref();
        Progress {
            badge: replay.badge(),
            replayed: replay.replayed,
            of: self.of.map(|of| of.max(replay.replayed)).filter(|of| *of > 0),
            delivered: results.map_or(0, |results| results.delivered),
            given_up: results.map_or(0, |results| results.given_up),
            pending: results.map_or(0, |results| results.pending),
            finished: replay.finished_at.as_deref().map(Time::new),
        }
    }
}

/// Shows a replay.
pub(in crate::ui) async fn show(at: Visit, State(ui): State<Arc<Ui>>, query: Query) -> Result<Response, PageError> {
    let asked = Asked::new(&at, &query)?;
    let replay = asked.read().await?;
    let mut wanted = Wanted::default();
    replay.wanted(&mut wanted);
    let names = wanted.find(&asked.api).await?;

    let notice = match query.0.text("done") {
        "started" => Some("The replay runs in the background. It goes on after a restart of the server."),
        "pause" => Some("The replay is paused."),
        "resume" => Some("The replay runs again."),
        "cancel" => Some("The replay is cancelled. Deliveries that were rescheduled before are still sent."),
        _ => None,
    };

    let base = at.place.page("replays");
    let action = format!("{base}/{}", replay.id);
    let of = asked.of.map(|of| format!("?of={of}")).unwrap_or_default();
    let title = format!("Replay {}", replay.id);
    let frame = Frame::at(&ui, &at.person, &at.place, Section::Replays, title)
        .crumb("Replays", &base)
        .json(format!("{}?results=true", asked.address))
        .notice(notice.map(Notice::good));
    Ok(page(&ReplayPage {
        frame,
        progress: asked.progress(&replay),
        live: format!("{action}/live{of}"),
        chosen: replay.chosen(&names),
        since: Time::new(&replay.filter.since),
        until: Time::new(&replay.filter.until),
        rate: replay.rate,
        created: Time::new(&replay.created_at),
        can_pause: replay.state == "running",
        can_resume: replay.state == "paused",
        can_cancel: matches!(replay.state.as_str(), "running" | "paused"),
        by: replay.created_by,
        action: format!("{action}{of}"),
    }))
}

/// Sends the progress whenever it has changed.
pub(in crate::ui) async fn follow(
    at: Visit,
    State(ui): State<Arc<Ui>>,
    cookies: HeaderMap,
    query: Query,
) -> Result<Response, PageError> {
    let asked = Asked::new(&at, &query)?;
    live(ui, &at, cookies, move || {
        let asked = asked.clone();
        async move { Ok(asked.progress(&asked.read().await?).to_string()) }
    })
}

/// Pauses, resumes or cancels a replay.
pub(in crate::ui) async fn change(
    at: Visit,
    State(ui): State<Arc<Ui>>,
    query: Query,
    sent: Sent,
) -> Result<Response, PageError> {
    let asked = Asked::new(&at, &query)?;
    let base = at.place.page("replays");
    let page_of_replay = format!("{base}/{}", at.number("replay_id")?);
    let of = asked.of.map(|of| format!("&of={of}")).unwrap_or_default();

    let step = match sent.fields.text("do") {
        step @ ("pause" | "resume") => step,
        "cancel" if sent.fields.has("confirmed") => "cancel",
        "cancel" => {
            let frame =
                Frame::at(&ui, &at.person, &at.place, Section::Replays, "Cancel the replay?").crumb("Replays", &base);
            let action = page_of_replay;
            return Ok(page(&CancelPage { frame, action }));
        }
        _ => return Err(PageError::Missing),
    };

    let address = format!("{}/{step}", asked.address);
    let changed: Result<Value, Refusal> = sent.person.api.send(Method::POST, &address, &json!({})).await;
    changed?;
    Ok(Redirect::to(&format!("{page_of_replay}?done={step}{of}")).into_response())
}
