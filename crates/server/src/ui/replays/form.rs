//! The form that makes a replay. It counts the deliveries before anything is sent.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::Method;
use axum::response::{IntoResponse, Redirect, Response};
use quickdraw_domain::Timestamp;
use quickdraw_domain::time::parse_duration;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Replay, selected};
use crate::ui::Ui;
use crate::ui::deliveries::{choices, hooks};
use crate::ui::error::PageError;
use crate::ui::form::{Fields, Form, Query, Sent};
use crate::ui::frame::{Frame, Notice, page, refused_page};
use crate::ui::history::{Choice, kinds};
use crate::ui::navigation::Section;
use crate::ui::place::{Level, Visit};

/// The fields of the form that the API knows under the same name, as texts.
const TEXTS: [&str; 6] = ["trigger", "state", "status", "text", "skipped", "hook"];
/// Filters of deliveries that a replay does not have.
const LEFT_OUT: [(&str, &str); 3] = [("class", "last failure"), ("object", "object"), ("event", "event")];
/// The final states of deliveries.
const ENDED: [(&str, &str); 2] = [("given_up", "Given up"), ("delivered", "Delivered")];
/// The reasons of skips that a replay can deliver.
const SKIPPED: [(&str, &str); 2] = [("silent_mode", "Silent mode"), ("rate_limit", "Rate limit")];

/// Result of a dry run.
#[derive(Deserialize)]
struct Counted {
    matched: usize,
    complete: bool,
}

#[derive(Template)]
#[template(path = "ui/replays/form.html")]
struct FormPage {
    frame: Frame,
    form: Form,
    action: String,
    kinds: Vec<Choice>,
    hooks: Vec<Choice>,
    states: Vec<Choice>,
    reasons: Vec<Choice>,

    /// The result of the count, in words.
    counted: Option<String>,

    /// The ids of the selected deliveries. Empty: they are chosen by a filter.
    deliveries: Vec<String>,

    /// The selected deliveries in words.
    selected: String,

    /// The number of deliveries, if it is exact.
    of: Option<usize>,
}

/// Shows the form. It takes over the filters of the deliveries, or the selected deliveries.
pub(in crate::ui) async fn new(at: Visit, State(ui): State<Arc<Ui>>, query: Query) -> Result<Response, PageError> {
    let mut form = Form::default();
    let asked = &query.0;
    if asked.has("selected") && asked.has("delivery") {
        form.set("rate", "50");
        return Ok(page(&at.replay_form(&ui, form, ids(asked), None).await?));
    }

    form.set("since", asked.filled("since").unwrap_or("1d"));
    form.set("rate", "50");

    // A delivery that has not ended cannot be replayed, so other states are not taken over.
    let is_ended = |state: &&str| ENDED.iter().any(|(known, _)| known == state);
    form.set("state", asked.filled("state").filter(is_ended).unwrap_or("given_up"));
    form.keep(asked, &LEFT_OUT.map(|(name, _)| name));

    let left_out = LEFT_OUT.iter().filter(|(name, _)| asked.filled(name).is_some());
    let left_out: Vec<&str> = left_out.map(|(_, words)| *words).collect();
    let notice = if asked.has("selected") {
        Some(Notice::bad(
            "No delivery was selected. Choose deliveries by a filter here.",
        ))
    } else if left_out.is_empty() {
        None
    } else {
        let names = left_out.join(" and ");
        let text = format!("A replay cannot choose deliveries by {names}, so this filter was left out.");
        Some(Notice::bad(text))
    };

    let shown = at.replay_form(&ui, form, Vec::new(), None).await?;
    let frame = shown.frame.notice(notice);
    Ok(page(&FormPage { frame, ..shown }))
}

/// Counts the deliveries, or makes the replay.
pub(in crate::ui) async fn create(at: Visit, State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    let mut form = Form::default();
    let body = body(&at, &sent.fields, &mut form, ui.app.now());
    form.keep(&sent.fields, &[]);
    let ids = ids(&sent.fields);
    if form.is_refused() {
        return Ok(refused_page(&at.replay_form(&ui, form, ids, None).await?));
    }

    let api = &sent.person.api;
    if sent.fields.text("do") != "start" {
        let mut dry = body;
        dry.insert("dry_run".to_owned(), Value::Bool(true));
        let counted = api
            .send::<Counted>(Method::POST, "/api/v1/replays", &Value::Object(dry))
            .await;
        return Ok(match counted {
            Ok(counted) => page(&at.replay_form(&ui, form, ids, Some(&counted)).await?),
            Err(refusal) => {
                form.refuse(&refusal);
                refused_page(&at.replay_form(&ui, form, ids, None).await?)
            }
        });
    }

    match api
        .send::<Replay>(Method::POST, "/api/v1/replays", &Value::Object(body))
        .await
    {
        Ok(made) => {
            let of = sent.fields.filled("of").and_then(|of| of.parse::<u64>().ok());
            let of = of.map(|of| format!("&of={of}")).unwrap_or_default();
            let address = at.place.page(&format!("replays/{}?done=started{of}", made.id));
            Ok(Redirect::to(&address).into_response())
        }
        Err(refusal) => {
            form.refuse(&refusal);
            Ok(refused_page(&at.replay_form(&ui, form, ids, None).await?))
        }
    }
}

/// The body of the request that makes the replay. Spans such as `2h` become times, so that the count and the replay
/// have the same period.
fn body(at: &Visit, sent: &Fields, form: &mut Form, now: Timestamp) -> Map<String, Value> {
    let mut body = Map::new();
    match at.place.level {
        Level::Project => drop(body.insert("project".to_owned(), at.place.id.to_string().into())),
        Level::Group => drop(body.insert("group".to_owned(), at.place.id.to_string().into())),
        Level::Instance => {}
    }

    rate(sent, &mut body, form);
    if sent.has("delivery") {
        body.insert("deliveries".to_owned(), ids(sent).into());
        return body;
    }

    for name in TEXTS {
        if let Some(value) = sent.filled(name) {
            body.insert(name.to_owned(), value.into());
        }
    }

    // Skipped events have no delivery yet, so they have no state either.
    if body.contains_key("skipped") {
        body.remove("state");
        body.remove("status");
    }

    for name in ["since", "until"] {
        if let Some(value) = sent.filled(name) {
            let value = absolute(value, now);
            form.set(name, value.as_str());
            body.insert(name.to_owned(), value.into());
        }
    }

    if !body.contains_key("since") {
        form.wrong("since", "Choose the beginning of the period, such as 2h or 2026-03-16");
    }

    body
}

fn rate(sent: &Fields, body: &mut Map<String, Value>, form: &mut Form) {
    match sent.filled("rate").map(str::parse::<i64>) {
        Some(Ok(rate)) => drop(body.insert("rate".to_owned(), rate.into())),
        Some(Err(_)) => form.wrong("rate", "The rate is a whole number from 1 to 10,000"),
        None => {}
    }
}

/// The ids of the selected deliveries.
fn ids(fields: &Fields) -> Vec<String> {
    fields.all("delivery").into_iter().map(str::to_owned).collect()
}

/// The time that a text means. Other texts stay as they are, and the API refuses them.
pub(in crate::ui) fn absolute(text: &str, now: Timestamp) -> String {
    parse_duration(text).map_or_else(|| text.to_owned(), |span| now.minus(span).to_iso())
}

impl Visit {
    async fn replay_form(
        &self,
        ui: &Ui,
        form: Form,
        deliveries: Vec<String>,
        counted: Option<&Counted>,
    ) -> Result<FormPage, PageError> {
        let chosen = Some(form.value("hook")).filter(|hook| !hook.is_empty());
        let (kinds, hooks) = futures_util::join!(kinds(&self.person.api), hooks(self, chosen));

        let words = counted.map(|counted| match (counted.matched, counted.complete) {
            (0, true) => "No delivery matches. Nothing would be sent.".to_owned(),
            (1, true) => "1 delivery would be sent again.".to_owned(),
            (count, true) => format!("{count} deliveries would be sent again."),
            (count, false) => format!("At least {count} deliveries would be sent again. The count ended early."),
        });

        let action = self.place.page("replays");
        let frame = Frame::at(ui, &self.person, &self.place, Section::Replays, "New replay").crumb("Replays", &action);
        Ok(FormPage {
            frame,
            action,
            kinds: kinds?,
            hooks: hooks?,
            states: choices(&ENDED),
            reasons: choices(&SKIPPED),
            counted: words,
            selected: selected(deliveries.len()),
            deliveries,
            of: counted
                .filter(|counted| counted.complete)
                .map(|counted| counted.matched),
            form,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_becomes_a_time() {
        let now = Timestamp::from_seconds(7200);
        assert_eq!(absolute("1h", now), "1970-01-01T01:00:00.000Z");
        assert_eq!(absolute("2026-03-16", now), "2026-03-16");
    }
}
