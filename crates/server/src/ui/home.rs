//! The start page: the projects and groups of a person.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};

use super::Ui;
use super::error::PageError;
use super::frame::{Frame, page};
use super::person::Person;
use super::portal;
use super::scopes::{Group, Project};

/// Largest number of projects and of groups on the page.
const SHOWN: usize = 50;

#[derive(Template)]
#[template(path = "ui/home.html")]
struct HomePage {
    frame: Frame,
    projects: Vec<Project>,
    groups: Vec<Group>,
    has_more: bool,
}

/// Shows the projects and groups that the person may see.
pub(super) async fn show(person: Person, State(ui): State<Arc<Ui>>) -> Result<Response, PageError> {
    if let Some(portal) = &person.portal {
        return Ok(Redirect::to(&portal::home(&ui, portal.scope).await?).into_response());
    }

    let (projects, groups) = (
        format!("/api/v4/projects?per_page={SHOWN}"),
        format!("/api/v4/groups?per_page={SHOWN}"),
    );
    let (projects, groups) =
        tokio::try_join!(person.api.list::<Project>(&projects), person.api.list::<Group>(&groups))?;

    let frame = Frame::of(&ui, &person, "Your projects").json("/api/v4/projects");
    Ok(page(&HomePage {
        frame,
        has_more: projects.next.is_some() || groups.next.is_some(),
        projects: projects.rows,
        groups: groups.rows,
    }))
}
