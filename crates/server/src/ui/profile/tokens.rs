//! The page on which people create and revoke their access tokens.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use quickdraw_domain::access::TokenScope;
use serde::Deserialize;
use serde_json::{Value, json};

use super::frame;
use crate::ui::Ui;
use crate::ui::error::PageError;
use crate::ui::form::{Fields, Form, Sent};
use crate::ui::frame::{Frame, Notice, page, refused_page};
use crate::ui::parts::Time;
use crate::ui::person::Person;

const ADDRESS: &str = "/-/profile/tokens";
/// Largest number of tokens that the page shows.
const SHOWN: usize = 100;

#[derive(Deserialize)]
struct Token {
    id: i64,
    name: String,
    scopes: Vec<String>,
    created_at: String,
    last_used_at: Option<String>,
    expires_at: Option<String>,
}

impl Token {
    fn created(&self) -> Time {
        Time::new(&self.created_at)
    }

    fn last_used(&self) -> Option<Time> {
        self.last_used_at.as_deref().map(Time::new)
    }

    fn scopes(&self) -> String {
        self.scopes.join(", ")
    }
}

/// A scope that the form offers.
struct Choice {
    word: &'static str,
    help: &'static str,
    is_chosen: bool,
}

const fn help(scope: TokenScope) -> &'static str {
    match scope {
        TokenScope::Api => "Everything that you may do",
        TokenScope::ReadApi => "Read everything that you may see",
        TokenScope::Sudo => "Act as another user, together with another scope",
        TokenScope::Report => "Report events, and nothing else",
        TokenScope::Metrics => "Read the metrics of the server, and nothing else",
        TokenScope::ReadInsights => "Read insights, and nothing else",
    }
}

#[derive(Template)]
#[template(path = "ui/profile/tokens.html")]
struct TokensPage {
    frame: Frame,
    form: Form,
    choices: Vec<Choice>,
    tokens: Vec<Token>,

    /// The text of a new token, which is shown once.
    created: Option<String>,
}

/// The question before a token is revoked. With the script, a dialog asks instead.
#[derive(Template)]
#[template(path = "ui/profile/revoke.html")]
struct RevokePage {
    frame: Frame,
    id: i64,
}

#[derive(Deserialize)]
struct Created {
    token: String,
}

/// Shows the tokens.
pub(super) async fn show(person: Person, State(ui): State<Arc<Ui>>) -> Result<Response, PageError> {
    let shown = TokensPage::of(&ui, &person, &Fields::default()).await?;
    Ok(page(&shown))
}

/// Creates a token, or revokes one.
pub(super) async fn change(State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    let Sent { person, fields } = sent;
    if let Some(id) = fields.filled("revoke") {
        let id: i64 = id.parse().map_err(|_| PageError::Missing)?;
        if !fields.has("confirmed") {
            let mut frame = frame(&ui, &person, ADDRESS);
            frame.title = "Revoke access token".to_owned();
            return Ok(page(&RevokePage { frame, id }));
        }

        let path = format!("/api/v4/personal_access_tokens/{id}");
        person.api.send_only(Method::DELETE, &path, &json!({})).await?;

        let mut shown = TokensPage::of(&ui, &person, &Fields::default()).await?;
        shown.frame.notice = Some(Notice::good(
            "The token is revoked. Programs that use it are refused now.",
        ));
        return Ok(page(&shown));
    }

    let scopes: Vec<&str> = fields.all("scopes");
    let mut body = json!({ "name": fields.text("name").trim(), "scopes": scopes });
    if let Some(day) = fields.filled("expires_at") {
        body["expires_at"] = Value::from(day);
    }

    let created = person
        .api
        .send(Method::POST, "/api/v4/user/personal_access_tokens", &body)
        .await;

    match created {
        Ok(Created { token }) => {
            let mut shown = TokensPage::of(&ui, &person, &Fields::default()).await?;
            shown.created = Some(token);
            Ok(page(&shown))
        }
        Err(refusal) if refusal.status == StatusCode::FORBIDDEN => Err(refusal.into()),
        Err(refusal) => {
            let mut shown = TokensPage::of(&ui, &person, &fields).await?;
            shown.form.keep(&fields, &[]);
            shown.form.refuse(&refusal);

            Ok(refused_page(&shown))
        }
    }
}

impl TokensPage {
    async fn of(ui: &Ui, person: &Person, fields: &Fields) -> Result<Self, PageError> {
        let actor = &person.actor;
        let id = actor.user_id;
        let api = format!("/api/v4/personal_access_tokens?user_id={id}&state=active");
        let tokens = person
            .api
            .list(&format!("{api}&sort=created_desc&per_page={SHOWN}"))
            .await?;

        let offered = TokenScope::ALL
            .into_iter()
            .filter(|scope| actor.is_admin || !scope.is_of_admins());
        let choices = offered.map(|scope| Choice {
            word: scope.word(),
            help: help(scope),
            is_chosen: fields.all("scopes").contains(&scope.word()),
        });

        Ok(Self {
            frame: frame(ui, person, ADDRESS).json(api),
            form: Form::default(),
            choices: choices.collect(),
            tokens: tokens.rows,
            created: None,
        })
    }
}
