//! Previews of the form: the verdict of the guard, a template with a real event, and filters with recent pushes.

use axum::http::Method;
use quickdraw_domain::Trigger;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::ui::client::Refusal;
use crate::ui::place::{Level, Visit};

/// The result of a preview, as the page shows it.
pub(super) struct Preview {
    /// `good` or `bad`.
    pub(super) kind: &'static str,
    pub(super) title: String,
    pub(super) lines: Vec<String>,

    /// A body in JSON.
    pub(super) body: Option<String>,
}

impl Preview {
    fn new(is_good: bool, title: impl Into<String>, lines: Vec<String>) -> Self {
        Self {
            kind: if is_good { "good" } else { "bad" },
            title: title.into(),
            lines,
            body: None,
        }
    }
}

#[derive(Deserialize)]
struct UrlPreview {
    verdict: String,
    detail: Option<String>,
    shown_url: Option<String>,
    warning: Option<String>,
}

#[derive(Deserialize)]
struct TemplatePreview {
    is_sample: bool,
    body: Option<Value>,
    errors: Vec<Problem>,
    warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Problem {
    line: Option<usize>,
    message: String,
}

#[derive(Deserialize)]
struct FilterPreview {
    scanned: usize,
    passing: usize,
    complete: bool,
}

/// Makes a preview of what the form says. A refusal is a preview, too.
pub(super) async fn make(at: &Visit, kind: &str, body: &Map<String, Value>, hook: Option<i64>) -> Preview {
    let mut asked = Map::new();
    match at.place.level {
        Level::Project => drop(asked.insert("project".to_owned(), at.place.id.to_string().into())),
        Level::Group => drop(asked.insert("group".to_owned(), at.place.id.to_string().into())),
        Level::Instance => {}
    }

    let mut take = |names: &[&str]| {
        for name in names {
            asked.extend(body.get(*name).map(|value| ((*name).to_owned(), value.clone())));
        }
    };

    match kind {
        "url" => {
            take(&["url", "url_variables"]);
            asked.extend(hook.map(|hook| ("hook".to_owned(), hook.into())));
            of_url(at, asked).await
        }
        "template" => {
            take(&["custom_webhook_template"]);
            asked.insert("trigger".to_owned(), json!(Trigger::PUSH.row().name));
            of_template(at, asked).await
        }
        _ => {
            take(&["push_events_branch_filter", "branch_filter_strategy", "event_filter"]);
            of_filter(at, asked).await
        }
    }
}

async fn ask<T: DeserializeOwned>(at: &Visit, path: &str, asked: Map<String, Value>) -> Result<T, Refusal> {
    at.person.api.send(Method::POST, path, &Value::Object(asked)).await
}

async fn of_url(at: &Visit, asked: Map<String, Value>) -> Preview {
    let found = match ask::<UrlPreview>(at, "/api/v1/previews/url", asked).await {
        Ok(found) => found,
        Err(refusal) => return Preview::new(false, "The URL cannot be checked", vec![refusal.text]),
    };

    let title = match found.verdict.as_str() {
        "allowed" => "The URL may be called",
        "blocked" => "The URL is blocked",
        _ => "The URL is not valid",
    };
    let shown = found.shown_url.map(|url| format!("It is shown as {url}"));
    let lines = found.detail.into_iter().chain(found.warning).chain(shown).collect();
    Preview::new(found.verdict == "allowed", title, lines)
}

async fn of_template(at: &Visit, asked: Map<String, Value>) -> Preview {
    if asked
        .get("custom_webhook_template")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .is_empty()
    {
        return Preview::new(
            true,
            "Without a template, the body of the event is sent as it is",
            Vec::new(),
        );
    }

    let found = match ask::<TemplatePreview>(at, "/api/v1/previews/template", asked).await {
        Ok(found) => found,
        Err(refusal) => return Preview::new(false, "The template cannot be used", vec![refusal.text]),
    };

    let mut lines: Vec<String> = Vec::new();
    for problem in &found.errors {
        let line = problem.line.map(|line| format!("Line {line}: ")).unwrap_or_default();
        lines.push(format!("{line}{}", problem.message));
    }
    lines.extend(found.warnings);

    let source = if found.is_sample {
        "a sample of a push"
    } else {
        "the last push"
    };
    let title = if found.errors.is_empty() {
        format!("The body for {source}")
    } else {
        format!("The template does not work with {source}")
    };
    let mut preview = Preview::new(found.errors.is_empty(), title, lines);
    preview.body = found.body.and_then(|body| serde_json::to_string_pretty(&body).ok());
    preview
}

async fn of_filter(at: &Visit, asked: Map<String, Value>) -> Preview {
    let found = match ask::<FilterPreview>(at, "/api/v1/previews/filter", asked).await {
        Ok(found) => found,
        Err(refusal) => return Preview::new(false, "The filters cannot be used", vec![refusal.text]),
    };

    let title = match found.scanned {
        0 => "There is no push yet to try the filters with".to_owned(),
        scanned => format!("The filters match {} of the last {scanned} pushes", found.passing),
    };
    let early = "The preview ended early, because the filters take too much work.";
    let lines = (!found.complete).then(|| early.to_owned()).into_iter().collect();
    Preview::new(found.complete, title, lines)
}
