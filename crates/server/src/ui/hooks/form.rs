//! The form that adds or edits a webhook.

mod fields;
mod preview;

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::Method;
use axum::response::{IntoResponse, Redirect, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Map, Value};

use self::fields::{Row, Rows};
use self::preview::Preview;
use crate::ui::Ui;
use crate::ui::client::{Items, Refusal};
use crate::ui::error::PageError;
use crate::ui::form::{Fields, Form, Query, Sent};
use crate::ui::frame::{Frame, page, refused_page};
use crate::ui::navigation::Section;
use crate::ui::place::{Level, Visit};

/// The beginnings of GitLab's refusals that are about one field, and the field.
const ERRORS_OF_FIELDS: [(&str, &str); 2] = [
    ("Invalid url given", "url"),
    ("Invalid branch filter given", "push_events_branch_filter"),
];

/// Shows a refusal, beside its field if it is about one.
fn refuse(form: &mut Form, refusal: &Refusal) {
    let text = refusal.text.as_str();
    let of_field = ERRORS_OF_FIELDS.iter().find(|(start, _)| text.starts_with(start));
    match of_field {
        Some((_, field)) => form.wrong(field, text),
        None => form.refuse(refusal),
    }
}

/// A webhook, as the form needs it.
#[derive(Deserialize)]
struct Known {
    id: i64,
    url: String,
    name: Option<String>,
    #[serde(default)]
    custom_headers: Vec<Key>,
    #[serde(default)]
    url_variables: Vec<Key>,
    token_present: bool,
    signing_token_present: bool,
    tls_client_cert_present: bool,

    /// All other attributes.
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl Known {
    /// The name that people gave the webhook, or its URL.
    fn title(&self) -> &str {
        self.name
            .as_deref()
            .filter(|name| !name.is_empty())
            .unwrap_or(&self.url)
    }
}

/// The name of a value that is never shown.
#[derive(Deserialize)]
struct Key {
    key: String,
}

/// A kind of event, as the catalog describes it.
#[derive(Deserialize)]
struct Trigger {
    attribute: Option<String>,
    meaning: String,
    levels: Vec<TriggerLevel>,
}

#[derive(Deserialize)]
struct TriggerLevel {
    level: String,
    is_on_by_default: bool,
}

/// A trigger with its box.
struct TriggerBox {
    attribute: String,
    words: String,
    meaning: String,
    is_on_by_default: bool,
}

#[derive(Template)]
#[template(path = "ui/hooks/form.html")]
struct FormPage {
    frame: Frame,
    form: Form,

    /// The address that the form is sent to, and the one to go back to.
    action: String,
    back: String,
    is_new: bool,
    is_system: bool,
    triggers: Vec<TriggerBox>,
    masks: Vec<Row>,
    headers: Vec<Row>,
    has_token: bool,
    has_signing_token: bool,
    has_certificate: bool,
    preview: Option<Preview>,
}

/// The page that shows a new signing token, which nobody can read again later.
#[derive(Template)]
#[template(path = "ui/hooks/token.html")]
struct TokenPage {
    frame: Frame,
    token: String,
    hook: String,
}

/// Shows the empty form, or the form with a URL from another page.
pub(in crate::ui) async fn new(
    at: Visit,
    State(ui): State<Arc<Ui>>,
    Query(query): Query,
) -> Result<Response, PageError> {
    // People who may not see the webhooks of a place may not add one.
    let list = format!("{}/hooks?per_page=1", at.place.api());
    let (_, triggers) = tokio::try_join!(async { Ok(at.person.api.get::<Value>(&list).await?) }, triggers(&at))?;
    let mut form = Form::default();
    for trigger in triggers.iter().filter(|trigger| trigger.is_on_by_default) {
        form.set(&trigger.attribute, "true");
    }

    form.set("url", query.text("url"));
    form.set("enable_ssl_verification", "true");
    form.set("branch_filter_strategy", "all_branches");
    Ok(page(&at.form_page(&ui, None, triggers, form, &Fields::default(), None)))
}

/// Adds a webhook, or shows a preview.
pub(in crate::ui) async fn create(at: Visit, State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    at.save(&ui, None, &sent.fields).await
}

/// Shows the form of a webhook.
pub(in crate::ui) async fn edit(at: Visit, State(ui): State<Arc<Ui>>) -> Result<Response, PageError> {
    let known = at.known().await?;
    let triggers = triggers(&at).await?;
    let form = fields::of_hook(&known);
    Ok(page(&at.form_page(
        &ui,
        Some(&known),
        triggers,
        form,
        &Fields::default(),
        None,
    )))
}

/// Changes a webhook, or shows a preview.
pub(in crate::ui) async fn update(at: Visit, State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    let known = at.known().await?;
    at.save(&ui, Some(known), &sent.fields).await
}

/// The kinds of events of a level.
async fn triggers(at: &Visit) -> Result<Vec<TriggerBox>, PageError> {
    let known: Items<Trigger> = at.person.api.get("/api/v1/triggers").await?;
    let level = if at.place.level == Level::Instance {
        "system"
    } else {
        at.place.level.word()
    };

    let mut boxes = Vec::new();
    for trigger in known.items {
        let at_level = trigger.levels.iter().find(|known| known.level == level);
        let (Some(attribute), Some(at_level)) = (trigger.attribute, at_level) else {
            continue;
        };

        boxes.push(TriggerBox {
            words: super::trigger_words(&attribute),
            attribute,
            meaning: trigger.meaning,
            is_on_by_default: at_level.is_on_by_default,
        });
    }

    Ok(boxes)
}

impl Visit {
    async fn known(&self) -> Result<Known, PageError> {
        let address = format!("{}/hooks/{}", self.place.api(), self.number("hook_id")?);
        Ok(self.person.api.get(&address).await?)
    }

    /// Saves a webhook and leads to its page. If something is wrong, the form is shown again.
    async fn save(&self, ui: &Ui, known: Option<Known>, sent: &Fields) -> Result<Response, PageError> {
        let triggers = triggers(self).await?;
        let mut form = Form::default();
        form.keep(sent, &fields::SECRETS);

        let attributes = triggers.iter().map(|trigger| trigger.attribute.as_str());
        let mut body = fields::body(sent, attributes, self.place.level, known.is_some(), &mut form);
        if form.is_refused() {
            return Ok(refused_page(&self.form_page(
                ui,
                known.as_ref(),
                triggers,
                form,
                sent,
                None,
            )));
        }

        if let Some(kind) = sent.filled("preview") {
            let preview = preview::make(self, kind, &body, known.as_ref().map(|known| known.id)).await;
            return Ok(page(&self.form_page(
                ui,
                known.as_ref(),
                triggers,
                form,
                sent,
                Some(preview),
            )));
        }

        let generated = if sent.has("generate_signing_token") {
            let token = fields::signing_token().map_err(PageError::from)?;
            body.insert("signing_token".to_owned(), Value::from(token.clone()));
            Some(token)
        } else {
            None
        };

        match self.send(known.as_ref(), &body, sent).await {
            Ok(id) => Ok(self.saved(ui, id, known.is_none(), generated)),
            Err(refusal) => {
                refuse(&mut form, &refusal);
                Ok(refused_page(&self.form_page(
                    ui,
                    known.as_ref(),
                    triggers,
                    form,
                    sent,
                    None,
                )))
            }
        }
    }

    /// Sends the change to the API. Values that the form no longer has are removed first: while they are there, the URL
    /// must name them. Returns the id of the webhook.
    async fn send(&self, known: Option<&Known>, body: &Map<String, Value>, sent: &Fields) -> Result<i64, Refusal> {
        #[derive(Deserialize)]
        struct Saved {
            id: i64,
        }

        let (api, hooks) = (&self.person.api, format!("{}/hooks", self.place.api()));
        let body = Value::Object(body.clone());
        let Some(known) = known else {
            return api
                .send::<Saved>(Method::POST, &hooks, &body)
                .await
                .map(|saved| saved.id);
        };

        let hook = format!("{hooks}/{}", known.id);
        let saved: Saved = api.send(Method::PUT, &hook, &body).await?;
        for (kind, stored) in [
            ("custom_headers", &known.custom_headers),
            ("url_variables", &known.url_variables),
        ] {
            let kept: Vec<&str> = Rows::names(sent, kind).collect();
            for gone in stored.iter().filter(|stored| !kept.contains(&stored.key.as_str())) {
                let name = utf8_percent_encode(&gone.key, NON_ALPHANUMERIC);
                let address = format!("{hook}/{kind}/{name}");
                api.send_only(Method::DELETE, &address, &Value::Null).await?;
            }
        }

        Ok(saved.id)
    }

    /// Leads to the page of a webhook, or shows its new signing token.
    fn saved(&self, ui: &Ui, id: i64, is_new: bool, generated: Option<String>) -> Response {
        let hook = self.place.page(&format!("hooks/{id}"));
        let Some(token) = generated else {
            let done = if is_new { "added" } else { "saved" };
            return Redirect::to(&format!("{hook}?done={done}")).into_response();
        };

        let frame = Frame::at(ui, &self.person, &self.place, Section::Hooks, "Signing token");
        page(&TokenPage { frame, token, hook })
    }

    fn form_page(
        &self,
        ui: &Ui,
        known: Option<&Known>,
        triggers: Vec<TriggerBox>,
        form: Form,
        sent: &Fields,
        preview: Option<Preview>,
    ) -> FormPage {
        let list = self.place.page("hooks");
        let title = if known.is_some() { "Edit webhook" } else { "Add webhook" };
        let mut frame = Frame::at(ui, &self.person, &self.place, Section::Hooks, title).crumb("Webhooks", &list);

        let hook = known.map(|known| format!("{list}/{}", known.id));
        if let Some((known, hook)) = known.zip(hook.as_ref()) {
            frame = frame.crumb(known.title(), hook);
            frame = frame.json(format!("{}/hooks/{}", self.place.api(), known.id));
        }

        let stored = |keys: fn(&Known) -> &Vec<Key>| known.map(|known| keys(known).as_slice()).unwrap_or_default();
        FormPage {
            frame,
            action: hook
                .as_ref()
                .map_or_else(|| list.clone(), |hook| format!("{hook}/edit")),
            back: hook.unwrap_or(list),
            is_new: known.is_none(),
            is_system: self.place.level == Level::Instance,
            triggers,
            masks: Rows::shown(sent, "url_variables", stored(|known| &known.url_variables)),
            headers: Rows::shown(sent, "custom_headers", stored(|known| &known.custom_headers)),
            has_token: known.is_some_and(|known| known.token_present),
            has_signing_token: known.is_some_and(|known| known.signing_token_present),
            has_certificate: known.is_some_and(|known| known.tls_client_cert_present),
            form,
            preview,
        }
    }
}
