//! Alert rules: the list with their states, the form with a trial, and the webhooks that get alerts.

mod rule;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};

use self::rule::{CONDITIONS, Evaluation, Metric, Rule, SCOPES, STATISTICS, body, choices};
use super::Ui;
use super::client::{Items, Refusal};
use super::error::PageError;
use super::form::{self, Form, Query, Sent};
use super::frame::{Frame, Notice, page, refused_page};
use super::history::Choice;
use super::navigation::Section;
use super::place::{Level, Visit};
use super::question::Question;

/// The address of the rules in the API.
const RULES: &str = "/api/v1/insights/alerts";
/// Number of rules in a page.
const ROWS: usize = 30;
/// Largest number of results of a trial that are shown.
const MAX_RESULTS: usize = 50;

/// The pages of alerts.
pub(super) fn routes() -> Router<Arc<Ui>> {
    Router::new()
        .route("/{level}/{path}/alerts", get(list))
        .route("/{level}/{path}/alerts/new", get(new).post(create))
        .route("/{level}/{path}/alerts/{alert_id}", get(show).post(edit))
        .route("/{level}/{path}/alerts/{alert_id}/delete", get(ask).post(delete))
}

/// A system hook, which can get alerts.
#[derive(Deserialize)]
struct Hook {
    insight_alert_events: bool,
}

#[derive(Template)]
#[template(path = "ui/alerts/list.html")]
struct ListPage {
    frame: Frame,
    rules: Vec<Rule>,
    base: String,
    next: Option<String>,

    /// True if no system hook gets alerts.
    is_unheard: bool,
}

/// The result of a trial.
struct Trial {
    /// The number of projects with the condition, in words.
    words: String,
    results: Vec<Evaluation>,

    /// Number of further results.
    hidden: usize,
}

#[derive(Template)]
#[template(path = "ui/alerts/form.html")]
struct FormPage {
    frame: Frame,
    form: Form,
    metrics: Vec<Choice>,
    statistics: &'static [form::Choice],
    conditions: &'static [form::Choice],
    scopes: &'static [form::Choice],

    /// The rule that is changed; None for a new one.
    rule: Option<Rule>,
    trial: Option<Trial>,

    /// The unit of the watched number.
    unit: String,
    base: String,
}

/// Shows the rules. Only the instance has some.
async fn list(at: Visit, State(ui): State<Arc<Ui>>, query: Query) -> Result<Response, PageError> {
    of_instance(&at)?;
    let after = query.0.filled("after").and_then(|after| after.parse::<i64>().ok());
    let after = after.map(|after| format!("&after={after}")).unwrap_or_default();
    let address = format!("{RULES}?limit={ROWS}{after}");
    let api = &at.person.api;
    let (listed, hooks) = futures_util::join!(
        api.get::<Items<Rule>>(&address),
        api.list::<Hook>("/api/v4/hooks?per_page=100")
    );
    let listed = listed?;

    let notice = match query.0.text("done") {
        "created" => Some(Notice::good("The alert is added. It is evaluated within a minute.")),
        "saved" => Some(Notice::good("The changes are saved.")),
        "deleted" => Some(Notice::good("The alert is deleted.")),
        _ => None,
    };
    let base = at.place.page("alerts");
    let frame = Frame::at(&ui, &at.person, &at.place, Section::Alerts, "Alerts").json(address);
    Ok(page(&ListPage {
        frame: frame.notice(notice),
        rules: listed.items,
        next: listed.next.map(|next| format!("{base}?after={next}")),
        base,
        is_unheard: !hooks?.rows.iter().any(|hook| hook.insight_alert_events),
    }))
}

/// Shows the form for a new rule.
async fn new(at: Visit, State(ui): State<Arc<Ui>>) -> Result<Response, PageError> {
    of_instance(&at)?;
    Ok(page(&at.alert_form(&ui, rule::blank(), None, None).await?))
}

/// Tries a new rule, or creates it.
async fn create(at: Visit, State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    of_instance(&at)?;
    submit(&at, &ui, &sent, None).await
}

/// Shows a rule in its form.
async fn show(at: Visit, State(ui): State<Arc<Ui>>) -> Result<Response, PageError> {
    let rule = find(&at).await?;
    let form = rule.form();
    Ok(page(&at.alert_form(&ui, form, Some(rule), None).await?))
}

/// Tries a changed rule, or saves it.
async fn edit(at: Visit, State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    let rule = find(&at).await?;
    submit(&at, &ui, &sent, Some(rule)).await
}

async fn submit(at: &Visit, ui: &Ui, sent: &Sent, known: Option<Rule>) -> Result<Response, PageError> {
    let mut form = Form::default();
    form.keep(&sent.fields, &[]);
    let body = body(&sent.fields, &mut form);
    if form.is_refused() {
        return Ok(refused_page(&at.alert_form(ui, form, known, None).await?));
    }

    let api = &at.person.api;
    if sent.fields.text("do") == "try" {
        let address = format!("{RULES}/try");
        return match api.send::<Items<Evaluation>>(Method::POST, &address, &body).await {
            Ok(found) => Ok(page(&at.alert_form(ui, form, known, Some(trial(found.items))).await?)),
            Err(refusal) => refused(at, ui, form, known, refusal).await,
        };
    }

    let (method, address, done) = match &known {
        Some(rule) => (Method::PUT, format!("{RULES}/{}", rule.id), "saved"),
        None => (Method::POST, RULES.to_owned(), "created"),
    };
    match api.send::<Value>(method, &address, &body).await {
        Ok(_) => Ok(Redirect::to(&at.place.page(&format!("alerts?done={done}"))).into_response()),
        Err(refusal) => refused(at, ui, form, known, refusal).await,
    }
}

/// The form with a refusal of the API. An unknown project is a value like any other.
async fn refused(
    at: &Visit,
    ui: &Ui,
    mut form: Form,
    known: Option<Rule>,
    refusal: Refusal,
) -> Result<Response, PageError> {
    match refusal.status {
        StatusCode::NOT_FOUND if form.value("scope") == "one" => form.wrong("project", refusal.text),
        _ => form.take(rule::in_words_of_the_form(refusal))?,
    }

    Ok(refused_page(&at.alert_form(ui, form, known, None).await?))
}

/// The results of a trial, those with the condition first.
fn trial(mut results: Vec<Evaluation>) -> Trial {
    results.sort_by_key(|result| !result.is_violated);
    let met = results.iter().filter(|result| result.is_violated).count();
    let words = match (met, results.len()) {
        (_, 0) => "There is no project yet, so nothing was counted.".to_owned(),
        (0, 1) => "The condition is not met now.".to_owned(),
        (1, 1) => "The condition is met now.".to_owned(),
        (met, count) => format!("The condition is met for {met} of {count} projects now."),
    };
    let hidden = results.len().saturating_sub(MAX_RESULTS);
    results.truncate(MAX_RESULTS);
    Trial { words, results, hidden }
}

/// Asks before a rule is deleted, for browsers without a script.
async fn ask(at: Visit, State(ui): State<Arc<Ui>>) -> Result<Response, PageError> {
    let rule = find(&at).await?;
    Ok(deletion(&ui, &at, &rule).ask())
}

/// Deletes a rule after a confirmation.
async fn delete(at: Visit, State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    let rule = find(&at).await?;
    if !sent.fields.has("confirmed") {
        return Ok(deletion(&ui, &at, &rule).ask());
    }

    let address = format!("{RULES}/{}", rule.id);
    at.person.api.send_only(Method::DELETE, &address, &json!({})).await?;
    Ok(Redirect::to(&at.place.page("alerts?done=deleted")).into_response())
}

fn deletion(ui: &Ui, at: &Visit, rule: &Rule) -> Question {
    let base = at.place.page("alerts");
    Question {
        frame: Frame::at(ui, &at.person, &at.place, Section::Alerts, "Delete alert").crumb("Alerts", &base),
        text: format!(
            "The alert {} is deleted. If it fires now, system hooks are informed that it has ended.",
            rule.name
        ),
        action: format!("{base}/{}/delete", rule.id),
        button: "Delete",
        field: "delete",
        back: base,
    }
}

/// Refuses the pages of projects and groups, which have no alert rules.
fn of_instance(at: &Visit) -> Result<(), PageError> {
    match at.place.level {
        Level::Instance => Ok(()),
        Level::Project | Level::Group => Err(PageError::Missing),
    }
}

/// The rule that a page is about.
async fn find(at: &Visit) -> Result<Rule, PageError> {
    of_instance(at)?;
    let id = at.number("alert_id")?;
    Ok(at.person.api.get(&format!("{RULES}/{id}")).await?)
}

impl Visit {
    async fn alert_form(
        &self,
        ui: &Ui,
        form: Form,
        rule: Option<Rule>,
        trial: Option<Trial>,
    ) -> Result<FormPage, PageError> {
        let metrics: Items<Metric> = self.person.api.get("/api/v1/insights/metrics").await?;
        let base = self.place.page("alerts");
        let title = rule.as_ref().map_or("Add alert", |_| "Edit alert");
        let mut frame = Frame::at(ui, &self.person, &self.place, Section::Alerts, title).crumb("Alerts", &base);
        if let Some(rule) = &rule {
            frame = frame.json(format!("{RULES}/{}", rule.id));
        }

        Ok(FormPage {
            frame,
            unit: rule::unit(&metrics.items, form.value("metric")),
            metrics: choices(metrics.items, form.value("metric")),
            statistics: &STATISTICS,
            conditions: &CONDITIONS,
            scopes: &SCOPES,
            form,
            rule,
            trial,
            base,
        })
    }
}
