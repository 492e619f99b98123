//! The list of users, and the form for a new one.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::frame;
use super::user_form::{self, SECRETS};
use crate::ui::Ui;
use crate::ui::client::Listed;
use crate::ui::error::PageError;
use crate::ui::form::{Choice, Form, Query, Sent};
use crate::ui::frame::{Frame, Notice, page, refused_page};
use crate::ui::navigation::Section;
use crate::ui::parts::{Badge, Time};
use crate::ui::place::Visit;

/// Number of users on a page.
const SHOWN: usize = 50;

/// The lists of users: the word in the address, and the name.
const KINDS: [Choice; 4] = [
    Choice::new("", "People"),
    Choice::new("admins", "Administrators"),
    Choice::new("blocked", "Blocked"),
    Choice::new("bots", "Bots of tokens"),
];

/// A user, as the API shows it to administrators.
#[derive(Deserialize)]
pub(super) struct User {
    pub(super) id: i64,
    pub(super) username: String,
    pub(super) name: String,
    state: String,
    pub(super) email: Option<String>,
    #[serde(default)]
    pub(super) is_admin: bool,
    pub(super) bot: bool,
    created_at: String,
}

impl User {
    pub(super) fn is_blocked(&self) -> bool {
        self.state == "blocked"
    }

    pub(super) fn badge(&self) -> Badge {
        if self.is_blocked() {
            Badge::bad("Blocked").because("The user cannot sign in, and their access tokens are refused.")
        } else {
            Badge::good("Active")
        }
    }

    pub(super) fn role(&self) -> &'static str {
        match (self.bot, self.is_admin) {
            (true, _) => "Bot of a token",
            (_, true) => "Administrator",
            _ => "User",
        }
    }

    /// None for the first user, who exists since before the first start.
    pub(super) fn created(&self) -> Option<Time> {
        let is_known = !self.created_at.starts_with("1970-");
        is_known.then(|| Time::new(&self.created_at))
    }
}

#[derive(Template)]
#[template(path = "ui/admin/users.html")]
struct ListPage {
    frame: Frame,
    users: Vec<User>,
    base: String,
    kinds: [Choice; 4],
    kind: String,
    search: String,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "ui/admin/new_user.html")]
struct NewPage {
    frame: Frame,
    form: Form,
    base: String,
}

/// Lists users.
pub(super) async fn list(at: Visit, State(ui): State<Arc<Ui>>, Query(query): Query) -> Result<Response, PageError> {
    let kind = query.text("kind").to_owned();
    let search = query.text("search").trim().to_owned();
    let number = query.text("page").parse::<u32>().unwrap_or(1).max(1).to_string();

    let mut pairs = match kind.as_str() {
        "admins" => vec![("admins", "true")],
        "blocked" => vec![("blocked", "true")],
        "bots" => vec![("exclude_humans", "true")],
        _ => vec![("humans", "true")],
    };
    if !search.is_empty() {
        pairs.push(("search", &search));
    }

    let address = format!("/api/v4/users?{}", encoded(&pairs));
    let listed: Listed<User> = at
        .person
        .api
        .list(&format!("{address}&per_page={SHOWN}&page={number}"))
        .await?;

    let base = at.place.page("users");
    let next = listed.next.map(|next| {
        let next = next.to_string();
        format!(
            "{base}?{}",
            encoded(&[("kind", &kind), ("search", &search), ("page", &next)])
        )
    });

    let notice = (query.text("done") == "deleted").then(|| Notice::good("The user is deleted."));
    Ok(page(&ListPage {
        frame: frame(&ui, &at, Section::Users, "Users").json(address).notice(notice),
        users: listed.rows,
        base,
        kinds: KINDS,
        kind,
        search,
        next,
    }))
}

/// A query of an address.
fn encoded(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

/// Shows the form for a new user.
pub(super) async fn new(at: Visit, State(ui): State<Arc<Ui>>) -> Response {
    page(&new_page(&ui, &at, Form::default()))
}

/// Creates a user.
pub(super) async fn create(at: Visit, State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    let mut form = Form::default();
    form.keep(&sent.fields, &SECRETS);

    if let Some(body) = user_form::body(&sent.fields, &mut form) {
        match at.person.api.send::<User>(Method::POST, "/api/v4/users", &body).await {
            Ok(user) => {
                let address = at.place.page(&format!("users/{}?done=created", user.id));
                return Ok(Redirect::to(&address).into_response());
            }
            Err(refusal) if refusal.status == StatusCode::FORBIDDEN => return Err(refusal.into()),
            Err(refusal) => user_form::refuse(&mut form, &refusal),
        }
    }

    Ok(refused_page(&new_page(&ui, &at, form)))
}

fn new_page(ui: &Ui, at: &Visit, form: Form) -> NewPage {
    let base = at.place.page("users");
    NewPage {
        frame: frame(ui, at, Section::Users, "New user").crumb("Users", &base),
        form,
        base,
    }
}
