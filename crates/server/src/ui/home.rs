//! The start page: the projects and groups of a person.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};

use super::Ui;
use super::error::PageError;
use super::form::Query;
use super::frame::{Frame, page};
use super::person::Person;
use super::portal;
use super::scopes::Lists;
use super::start;

#[derive(Template)]
#[template(path = "ui/home.html")]
struct HomePage {
    frame: Frame,
    lists: Lists,
    is_admin: bool,
}

/// Shows the projects and groups that the person may see. On an empty instance, administrators see the first steps.
pub(super) async fn show(
    person: Person,
    State(ui): State<Arc<Ui>>,
    Query(query): Query,
) -> Result<Response, PageError> {
    if let Some(portal) = &person.portal {
        return Ok(Redirect::to(&portal::home(&ui, portal.scope).await?).into_response());
    }

    let (groups, projects) = ("/api/v4/groups", "/api/v4/projects");
    let lists = Lists::read(&person.api, groups, projects, &query, "/".to_owned()).await?;

    let frame = Frame::of(&ui, &person, "Your projects")
        .json(projects)
        .notice(start::done(&query));
    Ok(page(&HomePage {
        frame,
        lists,
        is_admin: person.actor.is_admin,
    }))
}
