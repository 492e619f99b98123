//! The page of an inspector: its address, its requests as they arrive, and its answer.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Redirect, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::requests::{Asked, Kept};
use super::{Inspector, address, base, find, frame, frame_of};
use crate::ui::Ui;
use crate::ui::error::PageError;
use crate::ui::form::{Query, Sent};
use crate::ui::frame::{Frame, Notice, page};
use crate::ui::live::live_of_person;
use crate::ui::place::Visit;
use crate::ui::question::Question;
use crate::ui::roles::manages;

#[derive(Template)]
#[template(path = "ui/inspectors/show.html")]
struct InspectorPage {
    frame: Frame,
    inspector: Inspector,

    /// The address of the page.
    address: String,
    kept: Kept,

    /// The address of the stream. Older pages do not change.
    live: Option<String>,
    next: Option<String>,

    /// The form for a webhook with this address; None for people who may not add a webhook here.
    add_hook: Option<String>,
    has_owner: bool,
}

/// Shows an inspector.
pub(super) async fn show(at: Visit, State(ui): State<Arc<Ui>>, Query(query): Query) -> Result<Response, PageError> {
    let inspector = find(&at).await?;
    let list = base(&at);
    let page_of_inspector = inspector.page(&list);
    let asked = Asked {
        api: at.person.api.clone(),
        address: address(&at)?,
        page: page_of_inspector.clone(),
        before: query.filled("before").map(str::to_owned),
    };
    let (found, manages) = tokio::join!(asked.read(), manages(&at));
    let (kept, next) = found?;

    let notice = match query.text("done") {
        "created" => Some("The inspector is ready. Send requests to its address."),
        "saved" => Some("The changes are saved. Later requests get the new answer."),
        "cleared" => Some("All requests are deleted."),
        _ => None,
    };
    let hook = utf8_percent_encode(&inspector.url, NON_ALPHANUMERIC);
    let frame = frame(&ui, &at, inspector.title()).crumb("Inspectors", &list);
    Ok(page(&InspectorPage {
        frame: frame.json(asked.requests()).notice(notice.map(Notice::good)),
        kept,
        live: asked.before.is_none().then(|| format!("{page_of_inspector}/live")),
        next: next.map(|next| format!("{page_of_inspector}?before={next}#requests")),
        add_hook: manages?.then(|| at.place.page(&format!("hooks/new?url={hook}"))),
        has_owner: inspector.owner.id != at.person.actor.user_id,
        address: page_of_inspector,
        inspector,
    }))
}

/// Sends the newest requests whenever they have changed.
pub(super) async fn follow(at: Visit, State(ui): State<Arc<Ui>>, cookies: HeaderMap) -> Result<Response, PageError> {
    let inspector = find(&at).await?;
    let asked = Asked {
        api: at.person.api.clone(),
        address: address(&at)?,
        page: inspector.page(&base(&at)),
        before: None,
    };
    live_of_person(ui, &at, cookies, move || {
        let asked = asked.clone();
        async move {
            let (kept, _) = asked.read().await?;
            Ok(kept.to_string())
        }
    })
}

/// Deletes all requests that the inspector keeps, after a confirmation.
pub(super) async fn clear(at: Visit, State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    let inspector = find(&at).await?;
    let page_of_inspector = inspector.page(&base(&at));
    if !sent.fields.has("confirmed") {
        let text = format!(
            "All requests that the inspector {} keeps are deleted. Its address stays.",
            inspector.title()
        );
        return Ok(question(&ui, &at, &inspector, ("Delete all requests", "clear"), text).ask());
    }

    let requests = format!("{}/requests", address(&at)?);
    sent.person
        .api
        .send_only(Method::DELETE, &requests, &Value::Null)
        .await?;
    Ok(Redirect::to(&format!("{page_of_inspector}?done=cleared")).into_response())
}

/// Asks before an inspector is deleted.
pub(super) async fn ask(at: Visit, State(ui): State<Arc<Ui>>) -> Result<Response, PageError> {
    Ok(deletion(&ui, &at).await?.ask())
}

/// Deletes an inspector after a confirmation.
pub(super) async fn delete(at: Visit, State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    if !sent.fields.has("confirmed") {
        return Ok(deletion(&ui, &at).await?.ask());
    }

    let address = address(&at)?;
    sent.person
        .api
        .send_only(Method::DELETE, &address, &Value::Null)
        .await?;
    Ok(Redirect::to(&format!("{}?done=deleted", base(&at))).into_response())
}

async fn deletion(ui: &Ui, at: &Visit) -> Result<Question, PageError> {
    let inspector = find(at).await?;
    let text = format!(
        "The inspector {} is deleted with its requests. Requests to its address get the status 404.",
        inspector.title()
    );
    Ok(question(ui, at, &inspector, ("Delete inspector", "delete"), text))
}

/// A question about an inspector: its title, and the last part of the address.
fn question(ui: &Ui, at: &Visit, inspector: &Inspector, words: (&str, &'static str), text: String) -> Question {
    let (title, action) = words;
    let back = inspector.page(&base(at));
    Question {
        frame: frame_of(ui, at, inspector, title),
        text,
        action: format!("{back}/{action}"),
        button: "Delete",
        field: action,
        back,
    }
}
