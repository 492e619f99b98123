//! The forms that create groups and projects. Only administrators can.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::Method;
use axum::response::{IntoResponse, Redirect, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Ui;
use super::error::PageError;
use super::form::{Choice, Fields, Form, Query, Sent};
use super::frame::{Frame, page, refused_page};
use super::person::Person;
use super::place::Place;
use super::scope_settings::VISIBILITIES;

/// The kind of object that a form creates.
#[derive(Clone, Copy)]
enum Kind {
    Group,
    Project,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Project => "project",
        }
    }

    /// The address of the form, and of the list in the API.
    const fn addresses(self) -> (&'static str, &'static str) {
        match self {
            Self::Group => ("/-/groups/new", "/api/v4/groups"),
            Self::Project => ("/-/projects/new", "/api/v4/projects"),
        }
    }

    /// The parameter of the API for the id of the group around it.
    const fn parent(self) -> &'static str {
        match self {
            Self::Group => "parent_id",
            Self::Project => "namespace_id",
        }
    }
}

/// A group, as the form needs it.
#[derive(Deserialize)]
struct Group {
    id: i64,
    full_path: String,
}

#[derive(Template)]
#[template(path = "ui/places/new.html")]
struct NewPage {
    frame: Frame,
    form: Form,
    word: &'static str,
    is_project: bool,
    action: &'static str,
    visibilities: [Choice; 3],
}

/// Shows the form of a group.
pub(super) async fn group(
    person: Person,
    State(ui): State<Arc<Ui>>,
    Query(query): Query,
) -> Result<Response, PageError> {
    Kind::Group.show(&ui, &person, query.filled("parent")).await
}

/// Creates a group.
pub(super) async fn create_group(State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    Kind::Group.create(&ui, &sent).await
}

/// Shows the form of a project.
pub(super) async fn project(
    person: Person,
    State(ui): State<Arc<Ui>>,
    Query(query): Query,
) -> Result<Response, PageError> {
    Kind::Project.show(&ui, &person, query.filled("group")).await
}

/// Creates a project.
pub(super) async fn create_project(State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    Kind::Project.create(&ui, &sent).await
}

impl Kind {
    async fn show(self, ui: &Ui, person: &Person, parent: Option<&str>) -> Result<Response, PageError> {
        if !person.actor.is_admin {
            return Err(PageError::Forbidden);
        }

        let mut form = Form::default();
        form.set("visibility", "private");
        if let Some(parent) = parent {
            let address = format!("/api/v4/groups/{}", utf8_percent_encode(parent, NON_ALPHANUMERIC));
            let group: Group = person.api.get(&address).await?;
            form.set("group", group.full_path);
        }

        Ok(page(&self.page(ui, person, form)))
    }

    async fn create(self, ui: &Ui, sent: &Sent) -> Result<Response, PageError> {
        #[derive(Deserialize)]
        struct Made {
            #[serde(alias = "path_with_namespace")]
            full_path: String,
        }

        let Sent { person, fields } = sent;
        if !person.actor.is_admin {
            return Err(PageError::Forbidden);
        }

        let mut form = Form::default();
        form.keep(fields, &[]);
        let body = self.body(person, fields, &mut form).await;
        if form.is_refused() {
            return Ok(refused_page(&self.page(ui, person, form)));
        }

        let (_, list) = self.addresses();
        match person.api.send::<Made>(Method::POST, list, &Value::Object(body)).await {
            Ok(made) => {
                let start = Place::named(self.word(), &made.full_path).start();
                Ok(Redirect::to(&format!("{start}?done={}-added", self.word())).into_response())
            }
            Err(refusal) => {
                form.refuse(&refusal);
                Ok(refused_page(&self.page(ui, person, form)))
            }
        }
    }

    /// The parameters for the API. Notes what is wrong in the form.
    async fn body(self, person: &Person, fields: &Fields, form: &mut Form) -> Map<String, Value> {
        let mut body = Map::new();
        for name in ["name", "path", "description", "visibility", "default_branch"] {
            if let Some(value) = fields.filled(name) {
                body.insert(name.to_owned(), Value::from(value));
            }
        }

        for (name, words) in [("name", "Enter a name"), ("path", "Enter a path, such as rope")] {
            if !body.contains_key(name) {
                form.wrong(name, words);
            }
        }

        match (self, fields.filled("group")) {
            (_, Some(path)) => {
                let name = utf8_percent_encode(path, NON_ALPHANUMERIC);
                match person.api.get::<Group>(&format!("/api/v4/groups/{name}")).await {
                    Ok(group) => {
                        body.insert(self.parent().to_owned(), Value::from(group.id));
                    }
                    Err(_) => form.wrong("group", "There is no group with this path"),
                }
            }
            (Self::Project, None) => form.wrong("group", "Enter the full path of a group, such as gear"),
            (Self::Group, None) => {}
        }

        body
    }

    fn page(self, ui: &Ui, person: &Person, form: Form) -> NewPage {
        let (action, list) = self.addresses();
        NewPage {
            frame: Frame::of(ui, person, format!("New {}", self.word())).json(list),
            form,
            word: self.word(),
            is_project: matches!(self, Self::Project),
            action,
            visibilities: VISIBILITIES,
        }
    }
}
