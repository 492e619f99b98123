//! The catalog of the kinds of events: meaning, levels, header, a sample and the fields of the body.

mod fields;

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};

use self::fields::{FieldLine, lines};
use super::Ui;
use super::client::{Items, Refusal};
use super::error::PageError;
use super::form::{Query, Sent};
use super::frame::{Frame, Notice, page, refused_page};
use super::history::kind_words;
use super::person::Person;
use super::tree::Tree;

/// The address of the catalog.
const BASE: &str = "/-/catalog";

/// A kind of event, as the API describes it.
#[derive(Deserialize)]
struct Kind {
    name: String,
    attribute: Option<String>,
    meaning: String,
    header: String,
    is_confidential: bool,
    is_in_gitlab: bool,
    levels: Vec<Level>,
    schema_path: Option<String>,

    /// A realistic body. Only in the answer about one kind.
    sample: Option<Value>,
}

#[derive(Deserialize)]
struct Level {
    level: String,
    is_on_by_default: bool,
    can_be_tested: bool,
    reason: Option<String>,
}

impl Kind {
    fn words(&self) -> String {
        kind_words(&self.name)
    }

    fn href(&self) -> String {
        format!("{BASE}/{}", self.name)
    }

    /// Checks whether a sample can be sent to a webhook.
    fn can_be_sent(&self) -> bool {
        self.attribute.is_some() && self.levels.iter().any(|level| level.can_be_tested)
    }
}

impl Level {
    fn words(&self) -> &'static str {
        match self.level.as_str() {
            "project" => "Project webhooks",
            "group" => "Group webhooks",
            _ => "System hooks",
        }
    }
}

#[derive(Template)]
#[template(path = "ui/catalog/list.html")]
struct ListPage {
    frame: Frame,
    kinds: Vec<Kind>,
}

/// Shows all kinds of events.
pub(super) async fn list(person: Person, State(ui): State<Arc<Ui>>) -> Result<Response, PageError> {
    let address = "/api/v1/triggers";
    let known: Items<Kind> = person.api.get(address).await?;
    let mut kinds = known.items;
    kinds.sort_by_cached_key(Kind::words);

    let frame = Frame::of(&ui, &person, "Catalog of events").json(address);
    Ok(page(&ListPage { frame, kinds }))
}

/// A result of the search for a webhook.
#[derive(Deserialize)]
struct FoundItem {
    kind: String,
    title: String,
    path: Option<String>,
    api_path: String,
}

#[derive(Deserialize)]
struct FoundItems {
    items: Vec<FoundItem>,
}

/// A webhook to which the sample can be sent.
struct Target {
    title: String,
    owner: String,
    api_path: String,
}

#[derive(Template)]
#[template(path = "ui/catalog/one.html")]
struct KindPage {
    frame: Frame,
    kind: Kind,
    tree: Option<Tree>,
    fields: Vec<FieldLine>,

    /// The search for a webhook. None if nothing was searched.
    search: Option<String>,
    targets: Vec<Target>,
}

/// Shows a kind of event.
pub(super) async fn show(
    person: Person,
    State(ui): State<Arc<Ui>>,
    Path(name): Path<String>,
    query: Query,
) -> Result<Response, PageError> {
    let notice = (query.0.text("done") == "sent").then(|| Notice::good("The webhook accepted the sample."));
    let shown = kind_page(&ui, &person, &name, query.0.filled("webhook"), notice).await?;
    Ok(page(&shown))
}

/// Sends a sample to a webhook.
pub(super) async fn send(
    State(ui): State<Arc<Ui>>,
    Path(name): Path<String>,
    sent: Sent,
) -> Result<Response, PageError> {
    let kind: Kind = sent.person.api.get(&api_path(&name)).await?;
    let attribute = kind.attribute.as_deref().ok_or(PageError::Missing)?;
    let hook = sent.fields.text("hook");
    if !is_hook(hook) {
        return Err(PageError::Missing);
    }

    let address = format!("{hook}/test/{attribute}");
    let answer: Result<Value, Refusal> = sent.person.api.send(Method::POST, &address, &json!({})).await;
    match answer {
        Ok(_) => Ok(Redirect::to(&format!("{}?done=sent", kind.href())).into_response()),
        Err(refusal) if refusal.status == StatusCode::UNPROCESSABLE_ENTITY => {
            let notice = Notice::bad(format!("The webhook did not accept the sample: {}", refusal.text));
            let search = sent.fields.filled("webhook");
            let shown = kind_page(&ui, &sent.person, &name, search, Some(notice)).await?;
            Ok(refused_page(&shown))
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// Checks whether a path is that of a webhook of a project or group.
fn is_hook(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match parts.as_slice() {
        ["", "api", "v4", "projects" | "groups", scope, "hooks", hook] => is_number(scope) && is_number(hook),
        _ => false,
    }
}

fn api_path(name: &str) -> String {
    format!("/api/v1/triggers/{}", utf8_percent_encode(name, NON_ALPHANUMERIC))
}

async fn kind_page(
    ui: &Ui,
    person: &Person,
    name: &str,
    search: Option<&str>,
    notice: Option<Notice>,
) -> Result<KindPage, PageError> {
    let address = api_path(name);
    let kind: Kind = person.api.get(&address).await?;
    let schema = async {
        match &kind.schema_path {
            Some(path) => person.api.get::<Value>(path).await.map(|schema| lines(&schema)),
            None => Ok(Vec::new()),
        }
    };
    let targets = async {
        match search {
            Some(text) => targets(person, text).await,
            None => Ok(Vec::new()),
        }
    };

    let (fields, targets) = futures_util::try_join!(schema, targets)?;
    let frame = Frame::of(ui, person, format!("{} events", kind.words()))
        .crumb("Catalog", BASE)
        .notice(notice)
        .json(address);
    Ok(KindPage {
        frame,
        tree: kind.sample.as_ref().map(Tree::new),
        fields,
        search: search.map(str::to_owned),
        targets,
        kind,
    })
}

/// The webhooks of projects and groups with a text in their name or URL.
async fn targets(person: &Person, text: &str) -> Result<Vec<Target>, Refusal> {
    let text = utf8_percent_encode(text, NON_ALPHANUMERIC);
    let found: FoundItems = person.api.get(&format!("/api/v1/search?q={text}")).await?;
    let hooks = found
        .items
        .into_iter()
        .filter(|item| item.kind == "hook" && is_hook(&item.api_path));
    let target = |item: FoundItem| Target {
        title: item.title,
        owner: item.path.unwrap_or_default(),
        api_path: item.api_path,
    };
    Ok(hooks.map(target).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_sent_to_webhooks_of_projects_and_groups_only() {
        assert!(is_hook("/api/v4/projects/1/hooks/2") && is_hook("/api/v4/groups/1/hooks/2"));
        for path in [
            "/api/v4/hooks/2",
            "/api/v4/projects/1/hooks/2/x",
            "/api/v4/projects/a/hooks/2",
            "",
        ] {
            assert!(!is_hook(path), "{path}");
        }
    }
}
