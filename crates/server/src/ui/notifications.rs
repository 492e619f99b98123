//! Notification rules of a project, a group or the instance: the list, the form, tests and the history.

mod rule;

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::{Value, json};

use self::rule::{Choice, Message, Rule, body, choices_of_kinds, filled};
use super::Ui;
use super::client::Items;
use super::error::PageError;
use super::form::{Form, Query, Sent};
use super::frame::{Frame, Notice, page, refused_page};
use super::navigation::Section;
use super::place::Visit;
use super::question::Question;

/// The address of the rules in the API.
const RULES: &str = "/api/v1/notifications";
/// Fields of the form that are never sent back to the browser.
const SECRETS: [&str; 1] = ["url"];

#[derive(Template)]
#[template(path = "ui/notifications/list.html")]
struct ListPage {
    frame: Frame,
    rules: Vec<Rule>,
    base: String,
    level: &'static str,
}

#[derive(Template)]
#[template(path = "ui/notifications/form.html")]
struct FormPage {
    frame: Frame,
    form: Form,
    kinds: Vec<Choice>,

    /// The rule that is changed; None for a new one.
    rule: Option<Rule>,
    messages: Vec<Message>,
    base: String,
}

/// Shows the rules of a place.
pub(super) async fn list(at: Visit, State(ui): State<Arc<Ui>>, Query(query): Query) -> Result<Response, PageError> {
    let address = format!("{RULES}?limit=100&{}", at.place.filter());
    let listed: Items<Rule> = at.person.api.get(&address).await?;

    let notice = match query.text("done") {
        "deleted" => Some(Notice::good("The notification rule is deleted.")),
        _ => None,
    };
    let frame = Frame::at(&ui, &at.person, &at.place, Section::Notifications, "Notifications");
    Ok(page(&ListPage {
        frame: frame.json(address).notice(notice),
        rules: listed.items,
        base: at.place.page("notifications"),
        level: at.place.level.word(),
    }))
}

/// Shows the form for a new rule.
pub(super) async fn new(at: Visit, State(ui): State<Arc<Ui>>) -> Result<Response, PageError> {
    // A person who may not see the rules may not create one.
    let address = format!("{RULES}?limit=1&{}", at.place.filter());
    let _: Items<Rule> = at.person.api.get(&address).await?;

    Ok(page(&new_page(&ui, &at, rule::blank(&at.place))))
}

/// Creates a rule.
pub(super) async fn create(at: Visit, State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    let mut form = Form::default();
    form.keep(&sent.fields, &SECRETS);

    let mut asked = body(&sent.fields, &mut form);
    asked.extend(rule::owner(&at.place));
    if !form.is_refused() {
        match at
            .person
            .api
            .send::<Rule>(Method::POST, RULES, &Value::Object(asked))
            .await
        {
            Ok(rule) => {
                let address = format!("{}/{}?done=created", at.place.page("notifications"), rule.id);
                return Ok(Redirect::to(&address).into_response());
            }
            Err(refusal) => form.take(refusal)?,
        }
    }

    Ok(refused_page(&new_page(&ui, &at, form)))
}

fn new_page(ui: &Ui, at: &Visit, form: Form) -> FormPage {
    let base = at.place.page("notifications");
    let frame = Frame::at(
        ui,
        &at.person,
        &at.place,
        Section::Notifications,
        "New notification rule",
    );
    FormPage {
        frame: frame.crumb("Notifications", &base),
        kinds: choices_of_kinds(&at.place, &form),
        form,
        rule: None,
        messages: Vec::new(),
        base,
    }
}

/// Shows a rule: its settings, and the messages that it sent.
pub(super) async fn show(at: Visit, State(ui): State<Arc<Ui>>, Query(query): Query) -> Result<Response, PageError> {
    let rule = find(&at).await?;
    let form = filled(&rule);
    let shown = rule_page(&ui, &at, rule, form).await?;

    let newest = shown.messages.first().and_then(|message| message.error.clone());
    let notice = match query.text("done") {
        "created" => Some(Notice::good(
            "The notification rule is created. Send a test to see a message.",
        )),
        "saved" => Some(Notice::good("The changes are saved.")),
        "sent" => Some(Notice::good("The test is sent.")),
        "failed" => {
            let error = newest.unwrap_or_default();
            Some(Notice::bad(format!("The test was not sent: {error}")))
        }
        _ => None,
    };
    Ok(page(&FormPage {
        frame: shown.frame.notice(notice),
        ..shown
    }))
}

/// Changes a rule.
pub(super) async fn edit(at: Visit, State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    let rule = find(&at).await?;
    let mut form = Form::default();
    form.keep(&sent.fields, &SECRETS);

    let asked = body(&sent.fields, &mut form);
    if !form.is_refused() {
        let address = format!("{RULES}/{}", rule.id);
        match at
            .person
            .api
            .send::<Rule>(Method::PUT, &address, &Value::Object(asked))
            .await
        {
            Ok(rule) => {
                let address = format!("{}/{}?done=saved", at.place.page("notifications"), rule.id);
                return Ok(Redirect::to(&address).into_response());
            }
            Err(refusal) => form.take(refusal)?,
        }
    }

    Ok(refused_page(&rule_page(&ui, &at, rule, form).await?))
}

/// Sends a test. The page of the rule shows the result.
pub(super) async fn test(at: Visit, _: Sent) -> Result<Response, PageError> {
    let rule = find(&at).await?;
    let sent = at
        .person
        .api
        .send_only(Method::POST, &format!("{RULES}/{}/test", rule.id), &json!({}))
        .await;

    let done = match sent {
        Ok(()) => "sent",
        Err(refusal) if refusal.status == StatusCode::UNPROCESSABLE_ENTITY => "failed",
        Err(refusal) => return Err(refusal.into()),
    };
    let address = format!("{}/{}?done={done}", at.place.page("notifications"), rule.id);
    Ok(Redirect::to(&address).into_response())
}

/// Asks before a rule is deleted, for browsers without a script.
pub(super) async fn ask(at: Visit, State(ui): State<Arc<Ui>>) -> Result<Response, PageError> {
    let rule = find(&at).await?;
    Ok(deletion(&ui, &at, &rule).ask())
}

/// Deletes a rule after a confirmation.
pub(super) async fn delete(at: Visit, State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    let rule = find(&at).await?;
    if !sent.fields.has("confirmed") {
        return Ok(deletion(&ui, &at, &rule).ask());
    }

    let address = format!("{RULES}/{}", rule.id);
    at.person.api.send_only(Method::DELETE, &address, &json!({})).await?;
    let address = format!("{}?done=deleted", at.place.page("notifications"));
    Ok(Redirect::to(&address).into_response())
}

fn deletion(ui: &Ui, at: &Visit, rule: &Rule) -> Question {
    let base = at.place.page("notifications");
    let frame = Frame::at(
        ui,
        &at.person,
        &at.place,
        Section::Notifications,
        "Delete notification rule",
    );
    Question {
        frame: frame.crumb("Notifications", &base),
        text: format!(
            "The rule {} is deleted with its waiting news and its history.",
            rule.name
        ),
        action: format!("{base}/{}/delete", rule.id),
        button: "Delete",
        field: "delete",
        back: base,
    }
}

async fn rule_page(ui: &Ui, at: &Visit, rule: Rule, form: Form) -> Result<FormPage, PageError> {
    let base = at.place.page("notifications");
    let json = format!("{RULES}/{}", rule.id);
    let messages: Items<Message> = at.person.api.get(&format!("{json}/messages")).await?;

    let frame = Frame::at(ui, &at.person, &at.place, Section::Notifications, rule.name.clone());
    Ok(FormPage {
        frame: frame.crumb("Notifications", &base).json(json),
        kinds: choices_of_kinds(&at.place, &form),
        form,
        rule: Some(rule),
        messages: messages.items,
        base,
    })
}

/// The rule that a page is about. A rule of another place is missing.
async fn find(at: &Visit) -> Result<Rule, PageError> {
    let id = at.number("notification")?;
    let rule: Rule = at.person.api.get(&format!("{RULES}/{id}")).await?;
    if rule.is_of(&at.place) {
        Ok(rule)
    } else {
        Err(PageError::Missing)
    }
}
