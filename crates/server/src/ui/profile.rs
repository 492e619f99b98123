//! The profile of the person who is signed in: password, sessions and access tokens.

mod password;
mod sessions;
mod tokens;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::Ui;
use super::error::PageError;
use super::frame::{Frame, page};
use super::navigation::{Entry, Sections};
use super::person::Person;

/// The pages of the profile: address and name.
const PAGES: [(&str, &str); 4] = [
    ("/-/profile", "Profile"),
    ("/-/profile/password", "Password"),
    ("/-/profile/sessions", "Sessions"),
    ("/-/profile/tokens", "Access tokens"),
];

pub(super) fn routes() -> Router<Arc<Ui>> {
    Router::new()
        .route("/-/profile", get(show))
        .route("/-/profile/password", get(password::show).post(password::change))
        .route("/-/profile/sessions", get(sessions::show).post(sessions::end))
        .route("/-/profile/tokens", get(tokens::show).post(tokens::change))
}

/// The frame of a page of the profile.
fn frame(ui: &Ui, person: &Person, address: &str) -> Frame {
    let title = PAGES.iter().find(|(known, _)| *known == address);
    let mut frame = Frame::of(ui, person, title.map_or("Profile", |(_, name)| name));

    let entries = PAGES.iter().map(|(href, name)| Entry {
        name,
        href: (*href).to_owned(),
        is_current: *href == address,
        ..Entry::default()
    });

    frame.sections = Sections(entries.collect());
    if address != PAGES[0].0 {
        frame = frame.crumb("Profile", PAGES[0].0);
    }

    frame
}

#[derive(Deserialize)]
struct User {
    username: String,
    name: String,
    email: Option<String>,
    is_admin: Option<bool>,
}

#[derive(Template)]
#[template(path = "ui/profile/show.html")]
struct ProfilePage {
    frame: Frame,
    user: User,
}

/// Shows the account.
async fn show(person: Person, State(ui): State<Arc<Ui>>) -> Result<Response, PageError> {
    let user: User = person.api.get("/api/v4/user").await?;
    let frame = frame(&ui, &person, "/-/profile").json("/api/v4/user");
    Ok(page(&ProfilePage { frame, user }))
}
