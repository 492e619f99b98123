//! The forms with which a source is added and changed.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::Method;
use axum::response::{IntoResponse, Redirect, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::show::source_page;
use super::{Administration, SOURCES, Source};
use crate::ui::Ui;
use crate::ui::client::Refusal;
use crate::ui::error::PageError;
use crate::ui::form::{Choice, Fields, Form, Sent};
use crate::ui::frame::{Frame, page, refused_page};

/// The kinds of secret of a new source. They are also modes of the API.
const KINDS: [Choice; 2] = [
    Choice::new("token", "Secret token, for every version of GitLab"),
    Choice::new("signature", "Signing token, for GitLab 19.0 and later"),
];

/// The credentials that a source can require.
const MODES: [Choice; 4] = [
    Choice::new("token", "The secret token"),
    Choice::new("signature", "A signature"),
    Choice::new("both", "The secret token and a signature"),
    Choice::new("any", "The secret token or a signature"),
];

#[derive(Template)]
#[template(path = "ui/sources/form.html")]
struct FormPage {
    frame: Frame,
    form: Form,
    is_new: bool,
    modes: &'static [Choice],
    action: String,
    back: String,
}

/// Shows the form for a new source.
pub(super) async fn new(at: Administration, State(ui): State<Arc<Ui>>) -> Result<Response, PageError> {
    let mut form = Form::default();
    form.set("mode", KINDS[0].value);
    Ok(page(&new_page(&ui, &at, form)))
}

/// Adds a source, and shows its page with the secret.
pub(super) async fn create(at: Administration, State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    let mut form = Form::default();
    form.keep(&sent.fields, &[]);

    let mut body = common(&sent.fields);
    if let Some(instance) = sent.fields.filled("instance") {
        body.insert("instance".to_owned(), json!(instance));
    }

    let created: Result<Source, Refusal> = sent.person.api.send(Method::POST, SOURCES, &Value::Object(body)).await;
    match created {
        Ok(source) => {
            let id = utf8_percent_encode(&source.id, NON_ALPHANUMERIC);
            let shown = source_page(&ui, &at, format!("{SOURCES}/{id}"), &Fields::default(), source.secret).await?;
            Ok(page(&shown))
        }
        Err(refusal) => {
            form.take(refusal)?;
            Ok(refused_page(&new_page(&ui, &at, form)))
        }
    }
}

/// Shows the form for a known source.
pub(super) async fn edit(at: Administration, State(ui): State<Arc<Ui>>) -> Result<Response, PageError> {
    let source = at.own_source().await?;
    let form = filled(&source);
    Ok(page(&edit_page(&ui, &at, &source, form)))
}

/// Changes a source.
pub(super) async fn update(at: Administration, State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    let source = at.own_source().await?;
    let mut form = Form::default();
    form.keep(&sent.fields, &[]);

    let mut body = common(&sent.fields);
    body.insert("instance".to_owned(), json!(sent.fields.filled("instance")));
    body.insert("deduplicate".to_owned(), json!(sent.fields.has("deduplicate")));
    for (name, can_be_empty) in [
        ("window", false),
        ("body_limit", false),
        ("rate_limit", true),
        ("sender_rate_limit", true),
    ] {
        let Some(text) = sent.fields.filled(name) else {
            if can_be_empty {
                body.insert(name.to_owned(), Value::Null);
            } else {
                form.wrong(name, "Type a number");
            }
            continue;
        };

        match text.parse::<i64>() {
            Ok(number) => drop(body.insert(name.to_owned(), json!(number))),
            Err(_) => form.wrong(name, "Type a whole number without separators"),
        }
    }

    if !form.is_refused() {
        let address = at.address()?;
        let changed = sent
            .person
            .api
            .send_only(Method::PUT, &address, &Value::Object(body))
            .await;
        match changed {
            Ok(()) => {
                let address = format!("{}?done=saved", source.page(&at.list()));
                return Ok(Redirect::to(&address).into_response());
            }
            Err(refusal) => form.take(refusal)?,
        }
    }

    Ok(refused_page(&edit_page(&ui, &at, &source, form)))
}

/// The fields that both forms have.
fn common(fields: &Fields) -> Map<String, Value> {
    let addresses = fields.text("addresses").split([',', ' ', '\r', '\n', '\t']);
    let addresses: Vec<&str> = addresses.filter(|address| !address.is_empty()).collect();

    let mut body = Map::new();
    body.insert("name".to_owned(), json!(fields.text("name").trim()));
    body.insert("mode".to_owned(), json!(fields.text("mode")));
    body.insert("addresses".to_owned(), json!(addresses));
    body
}

/// The form with the settings of a source.
fn filled(source: &Source) -> Form {
    let limit = |limit: Option<u32>| limit.map(|limit| limit.to_string()).unwrap_or_default();
    let mut form = Form::default();
    form.set("name", source.name.as_str());
    form.set("mode", source.mode.as_str());
    form.set("instance", source.instance.as_deref().unwrap_or_default());
    form.set("addresses", source.addresses.join("\n"));
    form.set("window", source.window.to_string());
    form.set("body_limit", source.body_limit.to_string());
    form.set("rate_limit", limit(source.rate_limit));
    form.set("sender_rate_limit", limit(source.sender_rate_limit));
    form.set("deduplicate", source.deduplicate.to_string());
    form
}

fn new_page(ui: &Ui, at: &Administration, form: Form) -> FormPage {
    let list = at.list();
    FormPage {
        frame: at.frame(ui, "Add source").crumb("Sources", &list),
        form,
        is_new: true,
        modes: &KINDS,
        action: list.clone(),
        back: list,
    }
}

fn edit_page(ui: &Ui, at: &Administration, source: &Source, form: Form) -> FormPage {
    let back = source.page(&at.list());
    let json = format!("{SOURCES}/{}", source.id);
    FormPage {
        frame: at.frame_of(ui, source, "Edit source").json(json),
        form,
        is_new: false,
        modes: &MODES,
        action: format!("{back}/edit"),
        back,
    }
}
