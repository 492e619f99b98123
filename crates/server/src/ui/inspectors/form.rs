//! The form with which an inspector is made and changed.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::Method;
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::{Map, Value, json};

use super::{INSPECTORS, Inspector, address, base, find, frame, frame_of};
use crate::ui::Ui;
use crate::ui::error::PageError;
use crate::ui::form::{Fields, Form, Query, Sent};
use crate::ui::frame::{Frame, page, refused_page};
use crate::ui::place::Visit;

/// Fields that are never sent back to the browser.
const SECRETS: [&str; 2] = ["secret", "signing_token"];

#[derive(Template)]
#[template(path = "ui/inspectors/form.html")]
struct FormPage {
    frame: Frame,
    form: Form,

    /// The inspector that is changed; None for a new one.
    known: Option<Inspector>,
    action: String,
    back: String,
}

/// Shows the form for a new inspector.
pub(super) async fn new(at: Visit, State(ui): State<Arc<Ui>>, Query(query): Query) -> Result<Response, PageError> {
    let mut form = Form::default();
    form.set("name", query.text("name"));
    form.set("status", "200");
    form.set("body", "ok");
    form.set("delay_ms", "0");
    Ok(page(&new_page(&ui, &at, form)))
}

/// Makes an inspector.
pub(super) async fn create(at: Visit, State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    let mut form = Form::default();
    form.keep(&sent.fields, &SECRETS);

    let body = body(&sent.fields, &mut form);
    if !form.is_refused() {
        let api = &sent.person.api;
        match api
            .send::<Inspector>(Method::POST, INSPECTORS, &Value::Object(body))
            .await
        {
            Ok(inspector) => return Ok(to_page(&inspector.page(&base(&at)), "created")),
            Err(refusal) => form.take(refusal)?,
        }
    }

    Ok(refused_page(&new_page(&ui, &at, form)))
}

/// Shows the form of an inspector.
pub(super) async fn edit(at: Visit, State(ui): State<Arc<Ui>>) -> Result<Response, PageError> {
    let known = find(&at).await?;
    let form = filled(&known);
    Ok(page(&edit_page(&ui, &at, known, form)))
}

/// Changes an inspector.
pub(super) async fn update(at: Visit, State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    let known = find(&at).await?;
    let mut form = Form::default();
    form.keep(&sent.fields, &SECRETS);

    let body = body(&sent.fields, &mut form);
    if !form.is_refused() {
        let api = &sent.person.api;
        match api.send_only(Method::PUT, &address(&at)?, &Value::Object(body)).await {
            Ok(()) => return Ok(to_page(&known.page(&base(&at)), "saved")),
            Err(refusal) => form.take(refusal)?,
        }
    }

    Ok(refused_page(&edit_page(&ui, &at, known, form)))
}

fn to_page(page: &str, done: &str) -> Response {
    Redirect::to(&format!("{page}?done={done}")).into_response()
}

/// The fields of the form as the API wants them. A secret that is left empty stays as it is.
fn body(fields: &Fields, form: &mut Form) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("name".to_owned(), json!(fields.text("name").trim()));
    body.insert("body".to_owned(), json!(fields.text("body").replace("\r\n", "\n")));
    for name in SECRETS {
        if let Some(secret) = fields.filled(name) {
            body.insert(name.to_owned(), json!(secret));
        } else if fields.has(&format!("remove_{name}")) {
            body.insert(name.to_owned(), Value::Null);
        }
    }

    for name in ["status", "delay_ms"] {
        match fields.text(name).trim().parse::<i64>() {
            Ok(number) => drop(body.insert(name.to_owned(), json!(number))),
            Err(_) => form.wrong(name, "Type a whole number"),
        }
    }

    let mut headers = Map::new();
    for line in fields.text("headers").lines().filter(|line| !line.trim().is_empty()) {
        match line.split_once(':') {
            Some((name, value)) => drop(headers.insert(name.trim().to_owned(), json!(value.trim()))),
            None => form.wrong(
                "headers",
                format!("Write a name, a colon and a value instead of {line:?}"),
            ),
        }
    }

    body.insert("headers".to_owned(), Value::Object(headers));
    body
}

/// The form with the settings of an inspector.
fn filled(known: &Inspector) -> Form {
    let header = |(name, value): (&String, &Value)| format!("{name}: {}", value.as_str().unwrap_or_default());
    let headers: Vec<String> = known.headers.iter().map(header).collect();

    let mut form = Form::default();
    form.set("name", known.name.as_deref().unwrap_or_default());
    form.set("status", known.status.to_string());
    form.set("body", known.body.as_str());
    form.set("headers", headers.join("\n"));
    form.set("delay_ms", known.delay_ms.to_string());
    form
}

fn new_page(ui: &Ui, at: &Visit, form: Form) -> FormPage {
    let list = base(at);
    FormPage {
        frame: frame(ui, at, "New inspector").crumb("Inspectors", &list),
        form,
        known: None,
        action: list.clone(),
        back: list,
    }
}

fn edit_page(ui: &Ui, at: &Visit, known: Inspector, form: Form) -> FormPage {
    let back = known.page(&base(at));
    let json = format!("{INSPECTORS}/{}", known.id);
    FormPage {
        frame: frame_of(ui, at, &known, "Edit inspector").json(json),
        form,
        known: Some(known),
        action: format!("{back}/edit"),
        back,
    }
}
