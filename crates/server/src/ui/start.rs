//! The start page of a project, which is its overview, and that of a group: its subgroups and projects.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::Ui;
use super::error::PageError;
use super::form::{Fields, Query};
use super::frame::{Frame, Notice, page};
use super::navigation::Section;
use super::overview;
use super::place::{Level, Visit};
use super::scopes::Lists;

/// A group, as its start page shows it.
#[derive(Deserialize)]
struct Group {
    description: Option<String>,
    visibility: String,
}

#[derive(Template)]
#[template(path = "ui/places/group.html")]
struct GroupPage {
    frame: Frame,
    name: String,
    group: Group,
    lists: Lists,

    /// Id of the group, if the person may add to it.
    may_add_to: Option<i64>,
}

/// Shows the start page of a place.
pub(super) async fn show(at: Visit, State(ui): State<Arc<Ui>>, Query(query): Query) -> Result<Response, PageError> {
    if at.place.level != Level::Group {
        return overview::of(&at, &ui, &query).await;
    }

    let (address, own) = (at.place.api(), at.place.start());
    let (subgroups, projects) = (format!("{address}/subgroups"), format!("{address}/projects"));
    let api = &at.person.api;
    let lists = Lists::read(api, &subgroups, &projects, &query, own);
    let (group, lists) = tokio::try_join!(api.get::<Group>(&address), lists)?;

    let frame = Frame::at(&ui, &at.person, &at.place, Section::Projects, "Subgroups and projects")
        .json(address)
        .notice(done(&query));
    Ok(page(&GroupPage {
        frame,
        group,
        lists,
        may_add_to: at.person.actor.is_admin.then_some(at.place.id),
        name: at.place.name,
    }))
}

/// The message after a change that leads to a start page.
pub(super) fn done(query: &Fields) -> Option<Notice> {
    let text = match query.text("done") {
        "group-added" => "The group is created.",
        "project-added" => "The project is created.",
        "deleted" => "It is deleted, with its webhooks.",
        "left" => "You are no longer a member.",
        _ => return None,
    };
    Some(Notice::good(text))
}
