//! Personal access tokens of all users, which administrators can revoke.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::Method;
use axum::response::{IntoResponse, Redirect, Response};
use quickdraw_domain::access::TokenScope;
use serde::Deserialize;
use serde_json::Value;

use super::frame;
use super::names::{Kind, Wanted};
use crate::ui::Ui;
use crate::ui::client::Listed;
use crate::ui::error::PageError;
use crate::ui::form::{Choice, Query, Sent};
use crate::ui::frame::{Frame, Notice, page};
use crate::ui::navigation::Section;
use crate::ui::parts::{Badge, Time};
use crate::ui::place::Visit;
use crate::ui::question::Question;

/// Number of tokens on a page.
const SHOWN: usize = 50;

/// The lists of tokens: the word in the address, and the name.
const STATES: [Choice; 2] = [
    Choice::new("active", "Active"),
    Choice::new("inactive", "Revoked and expired"),
];

/// A token, as the API shows it.
#[derive(Deserialize)]
pub(super) struct Token {
    pub(super) id: i64,
    pub(super) name: String,
    revoked: bool,
    active: bool,
    created_at: String,
    pub(super) scopes: Vec<String>,
    user_id: i64,
    last_used_at: Option<String>,
    pub(super) expires_at: Option<String>,
}

impl Token {
    pub(super) fn created(&self) -> Time {
        Time::new(&self.created_at)
    }

    pub(super) fn last_used(&self) -> Option<Time> {
        self.last_used_at.as_deref().map(Time::new)
    }

    fn badge(&self) -> Badge {
        match (self.revoked, self.active) {
            (true, _) => Badge::bad("Revoked"),
            (false, true) => Badge::good("Active"),
            (false, false) => Badge::plain("Expired"),
        }
    }
}

/// The meaning of a scope.
pub(super) const fn help(scope: TokenScope) -> &'static str {
    match scope {
        TokenScope::Api => "Everything that the user may do",
        TokenScope::ReadApi => "Read everything that the user may see",
        TokenScope::Sudo => "Act as another user, together with another scope",
        TokenScope::Report => "Report events, and nothing else",
        TokenScope::Metrics => "Read the metrics of the server, and nothing else",
        TokenScope::ReadInsights => "Read insights, and nothing else",
    }
}

/// A token with the name of its user.
struct Row {
    token: Token,
    user: String,
}

#[derive(Template)]
#[template(path = "ui/admin/tokens.html")]
struct ListPage {
    frame: Frame,
    rows: Vec<Row>,
    base: String,
    users: String,
    states: [Choice; 2],
    state: &'static str,
    search: String,
    next: Option<String>,
}

/// Lists tokens.
pub(super) async fn list(at: Visit, State(ui): State<Arc<Ui>>, Query(query): Query) -> Result<Response, PageError> {
    let is_past = query.text("state") == "inactive";
    let state = if is_past { "inactive" } else { "active" };
    let search = query.text("search").trim().to_owned();
    let number = query.text("page").parse::<u32>().unwrap_or(1).max(1);

    let encoded = |more: &[(&str, &str)]| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("state", state);
        if !search.is_empty() {
            query.append_pair("search", &search);
        }

        query.extend_pairs(more).finish()
    };

    let address = format!(
        "/api/v4/personal_access_tokens?{}",
        encoded(&[("sort", "created_desc")])
    );
    let listed: Listed<Token> = at
        .person
        .api
        .list(&format!("{address}&per_page={SHOWN}&page={number}"))
        .await?;

    let base = at.place.page("access_tokens");
    let next = listed
        .next
        .map(|next| format!("{base}?{}", encoded(&[("page", &next.to_string())])));
    let notice = (query.text("done") == "revoked")
        .then(|| Notice::good("The access token is revoked. Programs that use it are refused now."));

    let rows = named(&at, listed.rows).await?;
    Ok(page(&ListPage {
        frame: frame(&ui, &at, Section::Tokens, "Access tokens")
            .json(address)
            .notice(notice),
        rows,
        base,
        users: at.place.page("users"),
        states: STATES,
        state,
        search,
        next,
    }))
}

/// Adds the names of users to tokens.
async fn named(at: &Visit, tokens: Vec<Token>) -> Result<Vec<Row>, PageError> {
    let mut wanted = Wanted::default();
    for token in &tokens {
        wanted.add(Kind::User, token.user_id);
    }

    let names = wanted.find(&at.person.api).await?;
    let row = |token: Token| {
        let user = names.of(Kind::User, token.user_id).map(str::to_owned);
        Row {
            user: user.unwrap_or_else(|| format!("User {}", token.user_id)),
            token,
        }
    };
    Ok(tokens.into_iter().map(row).collect())
}

/// Asks before a token is revoked, for browsers without a script.
pub(super) async fn ask(at: Visit, State(ui): State<Arc<Ui>>) -> Result<Response, PageError> {
    let token = find(&at).await?;
    Ok(question(&ui, &at, &token, false).ask())
}

/// Revokes a token after a question.
pub(super) async fn revoke(
    at: Visit,
    State(ui): State<Arc<Ui>>,
    Query(query): Query,
    sent: Sent,
) -> Result<Response, PageError> {
    let token = find(&at).await?;
    let is_from_user = query.text("from") == "user";
    if !sent.fields.has("confirmed") {
        return Ok(question(&ui, &at, &token, is_from_user).ask());
    }

    let address = format!("/api/v4/personal_access_tokens/{}", token.id);
    at.person.api.send_only(Method::DELETE, &address, &Value::Null).await?;

    let back = back(&at, &token, is_from_user);
    Ok(Redirect::to(&format!("{back}?done=revoked")).into_response())
}

/// The page that a revoked token leads back to: the user, or the list of all tokens.
fn back(at: &Visit, token: &Token, is_from_user: bool) -> String {
    if is_from_user {
        at.place.page(&format!("users/{}", token.user_id))
    } else {
        at.place.page("access_tokens")
    }
}

fn question(ui: &Ui, at: &Visit, token: &Token, is_from_user: bool) -> Question {
    let base = at.place.page("access_tokens");
    let from = if is_from_user { "?from=user" } else { "" };
    Question {
        frame: frame(ui, at, Section::Tokens, "Revoke access token?").crumb("Access tokens", &base),
        text: format!(
            "Programs that use the token “{}” are refused from then on. It cannot be used again.",
            token.name
        ),
        action: format!("{base}/{}{from}", token.id),
        button: "Revoke access token",
        field: "revoke",
        back: back(at, token, is_from_user),
    }
}

async fn find(at: &Visit) -> Result<Token, PageError> {
    let id = at.number("token_id")?;
    Ok(at
        .person
        .api
        .get(&format!("/api/v4/personal_access_tokens/{id}"))
        .await?)
}
