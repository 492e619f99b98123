//! The report console: a form that composes the body of an event from an object, shows it, and reports the event.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::Method;
use axum::response::{IntoResponse, Redirect, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Ui;
use super::client::{Items, Refusal};
use super::error::PageError;
use super::form::{Fields, Form, Query, Sent};
use super::frame::{Frame, page, refused_page};
use super::history::{Choice, kind_words};
use super::navigation::Section;
use super::place::{Level, Visit};
use super::roles::manages;
use super::tree::Tree;

/// The parts of a report, which people write in JSON.
const PARTS: [&str; 3] = ["object", "user", "previous"];

/// A kind of event, as the API describes it.
#[derive(Deserialize)]
struct Kind {
    name: String,
    levels: Vec<KindLevel>,
    sample_path: Option<String>,
}

#[derive(Deserialize)]
struct KindLevel {
    level: String,
}

/// The report from which the sample of a kind is composed.
#[derive(Deserialize)]
struct Sample {
    report: Option<Map<String, Value>>,
}

/// The result of a dry run.
#[derive(Deserialize)]
struct Preview {
    trigger: String,
    payload: Value,
}

#[derive(Deserialize)]
struct Reported {
    id: String,
}

/// The composed body, as the page shows it.
struct Composed {
    kind: String,
    tree: Tree,
}

#[derive(Template)]
#[template(path = "ui/report/form.html")]
struct FormPage {
    frame: Frame,
    form: Form,
    kinds: Vec<Choice>,
    action: String,
    back: String,
    composed: Option<Composed>,
}

/// Shows the form. A chosen kind fills it with the report of its sample.
pub(super) async fn show(at: Visit, State(ui): State<Arc<Ui>>, query: Query) -> Result<Response, PageError> {
    if !manages(&at).await? {
        return Err(PageError::Forbidden);
    }

    let kinds = at.reportable().await?;
    let asked = query.0.filled("trigger");
    let chosen = asked.filter(|asked| kinds.iter().any(|kind| kind.value == *asked));

    let mut form = Form::default();
    if let Some(trigger) = chosen {
        form.set("trigger", trigger);
        let name = utf8_percent_encode(trigger, NON_ALPHANUMERIC);
        let sample: Sample = at.person.api.get(&format!("/api/v1/triggers/{name}")).await?;
        for (name, value) in sample.report.into_iter().flatten() {
            form.set(&name, serde_json::to_string_pretty(&value).unwrap_or_default());
        }
    }

    Ok(page(&at.console(&ui, form, kinds, None)))
}

/// Shows the composed body, or reports the event.
pub(super) async fn send(at: Visit, State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    let mut form = Form::default();
    form.keep(&sent.fields, &[]);
    let body = body(&sent.fields, &mut form);
    if form.is_refused() {
        let kinds = at.reportable().await?;
        return Ok(refused_page(&at.console(&ui, form, kinds, None)));
    }

    let answer = if sent.fields.text("do") == "report" {
        match at.report::<Reported>(body).await {
            Ok(reported) => {
                let event = at.place.page(&format!("events/{}?done=reported", reported.id));
                return Ok(Redirect::to(&event).into_response());
            }
            Err(refusal) => Err(refusal),
        }
    } else {
        let mut dry = body;
        dry.insert("dry_run".to_owned(), Value::Bool(true));
        at.report::<Preview>(dry).await
    };

    let kinds = at.reportable().await?;
    Ok(match answer {
        Ok(preview) => {
            let composed = Composed {
                kind: kind_words(&preview.trigger),
                tree: Tree::new(&preview.payload),
            };
            page(&at.console(&ui, form, kinds, Some(composed)))
        }
        Err(refusal) => {
            form.refuse(&refusal);
            refused_page(&at.console(&ui, form, kinds, None))
        }
    })
}

/// The body of the report. Parts that are no JSON are noted in the form.
fn body(sent: &Fields, form: &mut Form) -> Map<String, Value> {
    let mut body = Map::new();
    match sent.filled("trigger") {
        Some(trigger) => drop(body.insert("trigger".to_owned(), trigger.into())),
        None => form.wrong("trigger", "Choose a kind of event"),
    }

    for name in PARTS {
        let Some(text) = sent.filled(name) else { continue };
        match serde_json::from_str::<Value>(text) {
            Ok(value) => drop(body.insert(name.to_owned(), value)),
            Err(error) => form.wrong(name, format!("This is no JSON: {error}")),
        }
    }

    if sent.filled("object").is_none() {
        form.wrong("object", "The object is missing. Choose a kind to get an example");
    }

    body
}

impl Visit {
    /// The kinds that can be composed from an object at this level.
    async fn reportable(&self) -> Result<Vec<Choice>, PageError> {
        let known: Items<Kind> = self.person.api.get("/api/v1/triggers").await?;
        let level = match self.place.level {
            Level::Instance => "system",
            level => level.word(),
        };

        let mut kinds = Vec::new();
        for kind in known.items {
            let is_here = kind.levels.iter().any(|known| known.level == level);
            if is_here && kind.sample_path.is_some() {
                kinds.push(Choice::new(kind.name.as_str(), kind_words(&kind.name)));
            }
        }

        kinds.sort_by(|one, other| one.words.cmp(&other.words));
        Ok(kinds)
    }

    /// Sends a report of this place.
    async fn report<T: serde::de::DeserializeOwned>(&self, body: Map<String, Value>) -> Result<T, Refusal> {
        let address = match self.place.level {
            Level::Project => format!("/api/v1/projects/{}/events", self.place.id),
            Level::Group => format!("/api/v1/groups/{}/events", self.place.id),
            Level::Instance => "/api/v1/events".to_owned(),
        };
        self.person.api.send(Method::POST, &address, &Value::Object(body)).await
    }

    fn console(&self, ui: &Ui, form: Form, kinds: Vec<Choice>, composed: Option<Composed>) -> FormPage {
        let back = self.place.page("events");
        let frame = Frame::at(ui, &self.person, &self.place, Section::Events, "Report an event")
            .crumb("Events", &back)
            .json("/api/v1/triggers");
        FormPage {
            frame,
            form,
            kinds,
            action: self.place.page("report"),
            back,
            composed,
        }
    }
}
