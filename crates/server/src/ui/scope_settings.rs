//! Settings of a project or group: name, path, visibility, transfer, archive and deletion.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Ui;
use super::client::Refusal;
use super::error::PageError;
use super::form::{Choice, Fields, Form, Query, Sent};
use super::frame::{Frame, Notice, page, refused_page};
use super::navigation::Section;
use super::place::{Level, Place, Visit};
use super::roles::manages;

/// The values of visibility, with GitLab's words.
pub(super) const VISIBILITIES: [Choice; 3] = [
    Choice::new("private", "Private: visible to members"),
    Choice::new("internal", "Internal: visible to signed-in users"),
    Choice::new("public", "Public: visible to all"),
];

/// A project or group, as the API shows it.
#[derive(Deserialize)]
struct Known {
    name: String,
    path: String,
    #[serde(alias = "path_with_namespace")]
    full_path: String,
    description: Option<String>,
    visibility: String,
    default_branch: Option<String>,
    #[serde(default)]
    archived: bool,
}

impl Known {
    fn form(&self) -> Form {
        let mut form = Form::default();
        form.set("name", &self.name);
        form.set("path", &self.path);
        form.set("description", self.description.as_deref().unwrap_or_default());
        form.set("visibility", &self.visibility);
        form.set("default_branch", self.default_branch.as_deref().unwrap_or_default());
        form
    }

    /// The full path of the group around it.
    fn parent(&self) -> Option<&str> {
        self.full_path.rsplit_once('/').map(|(parent, _)| parent)
    }
}

#[derive(Template)]
#[template(path = "ui/scope_settings/show.html")]
struct SettingsPage {
    frame: Frame,
    known: Known,
    base: String,
    word: &'static str,
    is_project: bool,
    is_admin: bool,
    form: Form,

    /// The forms that move and that delete it.
    transfer: Form,
    deletion: Form,
    visibilities: [Choice; 3],
}

/// Shows the settings of a place.
pub(super) async fn show(at: Visit, State(ui): State<Arc<Ui>>, Query(query): Query) -> Result<Response, PageError> {
    let known = at.settings().await?;
    let form = known.form();
    let mut shown = at.settings_page(&ui, known, form);
    shown.frame = shown.frame.notice(done(&query));
    Ok(page(&shown))
}

/// Saves name, path, description and visibility.
pub(super) async fn save(at: Visit, State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    let known = at.settings().await?;
    let fields = &sent.fields;
    let mut body = json!({
        "name": fields.text("name").trim(),
        "description": fields.text("description"),
        "visibility": fields.text("visibility"),
    });

    // A path that stays is not sent, so that events of a GitLab can go on to change it.
    let path = fields.text("path").trim();
    if path != known.path {
        body["path"] = json!(path);
    }

    if let Some(branch) = fields.filled("default_branch") {
        body["default_branch"] = json!(branch);
    }

    match at.person.api.send::<Known>(Method::PUT, &at.place.api(), &body).await {
        Ok(saved) => Ok(at.lead_to(&saved.full_path, "saved")),
        Err(refusal) => {
            let mut form = Form::default();
            form.keep(fields, &[]);
            form.refuse(&allowed(refusal)?);
            Ok(refused_page(&at.settings_page(&ui, known, form)))
        }
    }
}

/// Archives a project, or restores it.
pub(super) async fn archive(at: Visit, sent: Sent) -> Result<Response, PageError> {
    let (action, done) = if sent.fields.has("restore") {
        ("unarchive", "restored")
    } else {
        ("archive", "archived")
    };
    let address = format!("{}/{action}", at.place.api());
    at.person.api.send_only(Method::POST, &address, &json!({})).await?;
    Ok(at.lead_to(&at.place.full_path, done))
}

/// Moves a project or group into another group.
pub(super) async fn transfer(at: Visit, State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    let known = at.settings().await?;
    match at.moved(sent.fields.text("namespace").trim()).await {
        Ok(path) => Ok(at.lead_to(&path, "moved")),
        Err(refusal) => {
            let form = known.form();
            let mut shown = at.settings_page(&ui, known, form);
            shown.transfer.keep(&sent.fields, &[]);
            let text = match refusal.status {
                StatusCode::NOT_FOUND => "There is no such group, or you are no member of it".to_owned(),
                StatusCode::FORBIDDEN => "Your role does not allow this. Owners of both groups can move it".to_owned(),
                _ => refusal.text,
            };
            shown.transfer.wrong("namespace", text);
            Ok(refused_page(&shown))
        }
    }
}

/// Deletes a project or group whose full path was typed.
pub(super) async fn delete(at: Visit, State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    let known = at.settings().await?;
    if sent.fields.text("typed").trim() != known.full_path {
        let form = known.form();
        let mut shown = at.settings_page(&ui, known, form);
        shown.deletion.keep(&sent.fields, &[]);
        shown
            .deletion
            .wrong("typed", "This is not the path. Type it as it is above");
        return Ok(refused_page(&shown));
    }

    at.person
        .api
        .send_only(Method::DELETE, &at.place.api(), &Value::Null)
        .await?;
    let parent = known.parent().map(|parent| Place::named("group", parent).start());
    let address = parent.unwrap_or_else(|| "/".to_owned());
    Ok(Redirect::to(&format!("{address}?done=deleted")).into_response())
}

impl Visit {
    async fn settings(&self) -> Result<Known, PageError> {
        if self.place.level == Level::Instance {
            return Err(PageError::Missing);
        }

        if !manages(self).await? {
            return Err(PageError::Forbidden);
        }

        Ok(self.person.api.get(&self.place.api()).await?)
    }

    /// Leads to the settings, also if the path has changed.
    fn lead_to(&self, full_path: &str, done: &str) -> Response {
        let place = Place {
            full_path: full_path.to_owned(),
            ..self.place.clone()
        };
        Redirect::to(&format!("{}?done={done}", place.page("settings"))).into_response()
    }

    /// Moves the place. Returns its new full path. A group without a new parent becomes a top-level group.
    async fn moved(&self, namespace: &str) -> Result<String, Refusal> {
        #[derive(Deserialize)]
        struct Group {
            id: i64,
        }

        let (api, address) = (&self.person.api, format!("{}/transfer", self.place.api()));
        if self.place.level == Level::Project {
            let body = json!({ "namespace": namespace });
            let moved: Known = api.send(Method::PUT, &address, &body).await?;
            return Ok(moved.full_path);
        }

        let body = if namespace.is_empty() {
            json!({})
        } else {
            let name = utf8_percent_encode(namespace, NON_ALPHANUMERIC);
            let group: Group = api.get(&format!("/api/v4/groups/{name}")).await?;
            json!({ "group_id": group.id })
        };
        api.send_only(Method::POST, &address, &body).await?;
        let moved: Known = api.get(&self.place.api()).await?;
        Ok(moved.full_path)
    }

    fn settings_page(&self, ui: &Ui, known: Known, form: Form) -> SettingsPage {
        let frame = Frame::at(ui, &self.person, &self.place, Section::Settings, "Settings");
        SettingsPage {
            frame: frame.json(self.place.api()),
            known,
            base: self.place.page("settings"),
            word: self.place.level.word(),
            is_project: self.place.level == Level::Project,
            is_admin: self.person.actor.is_admin,
            form,
            transfer: Form::default(),
            deletion: Form::default(),
            visibilities: VISIBILITIES,
        }
    }
}

/// Passes on refusals of values. Other refusals have pages of their own.
fn allowed(refusal: Refusal) -> Result<Refusal, PageError> {
    match refusal.status {
        StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Err(refusal.into()),
        _ => Ok(refusal),
    }
}

/// The message after a change.
fn done(query: &Fields) -> Option<Notice> {
    let text = match query.text("done") {
        "saved" => "The settings are saved.",
        "moved" => "It is moved. Webhooks of the new group get its events from now on.",
        "archived" => "The project is archived. Its events are still delivered.",
        "restored" => "The project is restored from the archive.",
        _ => return None,
    };
    Some(Notice::good(text))
}
