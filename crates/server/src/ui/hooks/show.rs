//! The page of a webhook: its state, its recent requests, and what a person can do with it.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::Method;
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::{Value, json};

use super::charts::{self, Waiting};
use super::kinds::{Kind, kinds};
use super::recent::{Filters, PERIODS, Recent};
use super::status::Status;
use super::{Hook, shortened};
use crate::ui::Ui;
use crate::ui::charts::Chart;
use crate::ui::client::Refusal;
use crate::ui::error::PageError;
use crate::ui::form::{Fields, Query, Sent};
use crate::ui::frame::{Frame, Notice, page, refused_page};
use crate::ui::history::{Choice, OUTCOMES};
use crate::ui::navigation::Section;
use crate::ui::place::{Level, Visit};
use crate::ui::question::Question;

#[derive(Template)]
#[template(path = "ui/hooks/show.html")]
struct HookPage {
    frame: Frame,
    hook: Hook,
    status: Status,

    /// Attempts, durations and backlog.
    charts: [Chart; 3],
    kinds: Vec<Kind>,
    filters: Filters,
    outcomes: [Choice; 12],
    periods: [Choice; 5],
    recent: Recent,

    /// The address of the page.
    address: String,

    /// The address of its updates. Only the newest requests are updated.
    live: Option<String>,
    is_system: bool,
}

/// Shows a webhook.
pub(in crate::ui) async fn show(
    at: Visit,
    State(ui): State<Arc<Ui>>,
    Query(query): Query,
) -> Result<Response, PageError> {
    let mut shown = hook_page(&ui, &at, &query).await?;
    shown.frame = shown.frame.notice(notice(query.text("done")));
    Ok(page(&shown))
}

/// The notice about what was just done.
fn notice(done: &str) -> Option<Notice> {
    let text = match done {
        "added" => "The webhook is added. Test it to see whether the receiver answers.",
        "saved" => "The changes are saved.",
        "tested" => "The test succeeded: the receiver accepted the request.",
        "sent" => "The test is sent. The first row of the recent events shows its result.",
        "paused" => "The webhook is paused. Its events wait until you resume it.",
        "resumed" => "The webhook is resumed. Deliveries that waited are sent now.",
        _ => return None,
    };
    Some(Notice::good(text))
}

async fn hook_page(ui: &Ui, at: &Visit, query: &Fields) -> Result<HookPage, PageError> {
    let id = at.number("hook_id")?;
    let address = at.place.page(&format!("hooks/{id}"));
    let json = format!("{}/hooks/{id}", at.place.api());
    let filters = Filters::read(query);
    let list = filters.address(at, id);

    // The webhook comes first: its refusal is the right one.
    let api = &at.person.api;
    let hook: Hook = api.get(&json).await?;
    let (status, waiting, recent, kinds) = tokio::try_join!(
        Status::read(api, id),
        Waiting::read(api, id),
        Recent::read(api, &list, &filters, &address),
        kinds(at),
    )?;

    let frame = Frame::at(ui, &at.person, &at.place, Section::Hooks, hook.title());
    let live = filters
        .is_first_page()
        .then(|| format!("{address}/live?{}", filters.query()));
    Ok(HookPage {
        frame: frame
            .crumb("Webhooks", at.place.page("hooks"))
            .json(Status::address(id)),
        hook,
        charts: [charts::attempts(&status), charts::durations(&status), waiting.chart()],
        status,
        kinds,
        filters,
        outcomes: OUTCOMES.map(|(value, words)| Choice::new(value, words)),
        periods: PERIODS.map(|(value, words)| Choice::new(value, words)),
        recent,
        address,
        live,
        is_system: at.place.level == Level::Instance,
    })
}

/// Sends a test. The page shows the result in place.
pub(in crate::ui) async fn test(at: Visit, State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    let id = at.number("hook_id")?;
    let hook = format!("{}/hooks/{id}", at.place.api());
    let (address, done) = if at.place.level == Level::Instance {
        (hook, "sent")
    } else {
        let kind = sent.fields.text("trigger");
        let is_word = !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let kind = if is_word { kind } else { "none" };
        (format!("{hook}/test/{kind}"), "tested")
    };

    let answer = at.person.api.send_only(Method::POST, &address, &json!({})).await;
    let Err(refusal) = answer else {
        return Ok(to_hook(&at, id, done));
    };

    let answer = shortened(&words(refusal)?);
    let text = format!("The test failed: {answer}. Its request is in the list of recent events.");
    let mut shown = hook_page(&ui, &at, &Fields::default()).await?;
    shown.frame = shown.frame.notice(Some(Notice::bad(text)));
    Ok(refused_page(&shown))
}

/// The words of a refusal that the page shows. Other refusals have a page of their own.
pub(super) fn words(refusal: Refusal) -> Result<String, PageError> {
    let status = refusal.status.as_u16();
    if matches!(status, 400 | 409 | 422 | 429) {
        return Ok(refusal.text);
    }

    Err(refusal.into())
}

/// Pauses a webhook.
pub(in crate::ui) async fn pause(at: Visit, _: Sent) -> Result<Response, PageError> {
    switch(&at, "pause", "paused").await
}

/// Resumes a webhook.
pub(in crate::ui) async fn resume(at: Visit, _: Sent) -> Result<Response, PageError> {
    switch(&at, "resume", "resumed").await
}

async fn switch(at: &Visit, operation: &str, done: &str) -> Result<Response, PageError> {
    let id = at.number("hook_id")?;
    let address = format!("{}/hooks/{id}/{operation}", at.place.api());
    at.person.api.send_only(Method::POST, &address, &json!({})).await?;
    Ok(to_hook(at, id, done))
}

/// Leads to the page of a webhook, with a notice.
fn to_hook(at: &Visit, id: i64, done: &str) -> Response {
    let address = at.place.page(&format!("hooks/{id}?done={done}"));
    Redirect::to(&address).into_response()
}

/// Asks before a webhook is deleted.
pub(in crate::ui) async fn ask(at: Visit, State(ui): State<Arc<Ui>>) -> Result<Response, PageError> {
    Ok(deletion(&ui, &at).await?.ask())
}

/// Deletes a webhook after a confirmation.
pub(in crate::ui) async fn delete(at: Visit, State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    if !sent.fields.has("confirmed") {
        return Ok(deletion(&ui, &at).await?.ask());
    }

    let address = format!("{}/hooks/{}", at.place.api(), at.number("hook_id")?);
    at.person.api.send_only(Method::DELETE, &address, &Value::Null).await?;
    let address = format!("{}?done=deleted", at.place.page("hooks"));
    Ok(Redirect::to(&address).into_response())
}

async fn deletion(ui: &Ui, at: &Visit) -> Result<Question, PageError> {
    let id = at.number("hook_id")?;
    let hook: Hook = at.person.api.get(&format!("{}/hooks/{id}", at.place.api())).await?;
    let address = at.place.page(&format!("hooks/{id}"));
    let frame = Frame::at(ui, &at.person, &at.place, Section::Hooks, "Delete webhook");

    Ok(Question {
        frame: frame
            .crumb("Webhooks", at.place.page("hooks"))
            .crumb(hook.title(), &address),
        text: format!(
            "The webhook {} is deleted. Deliveries that wait are cancelled, and this cannot be undone.",
            hook.title()
        ),
        action: format!("{address}/delete"),
        button: "Delete",
        field: "delete",
        back: address,
    })
}
