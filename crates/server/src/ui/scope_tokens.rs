//! Access tokens of a project or group.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Ui;
use super::client::Listed;
use super::error::PageError;
use super::form::{Choice, Fields, Form, Query, Sent};
use super::frame::{Frame, Notice, page, refused_page};
use super::navigation::Section;
use super::parts::Time;
use super::place::Visit;
use super::question::Question;
use super::roles::{ROLES, role_word};

/// Largest number of tokens on a page.
const SHOWN: usize = 50;

/// The scopes that tokens of projects and groups can have, with what each of them allows.
const SCOPES: [Choice; 4] = [
    Choice::new("api", "Everything that its role allows"),
    Choice::new("read_api", "Read everything that its role allows"),
    Choice::new("report", "Report events, and nothing else"),
    Choice::new("read_insights", "Read insights, and nothing else"),
];

/// A token, as the API shows it.
#[derive(Deserialize)]
struct Token {
    id: i64,
    name: String,
    active: bool,
    created_at: String,
    scopes: Vec<String>,
    last_used_at: Option<String>,
    expires_at: Option<String>,
    access_level: Option<i64>,
}

impl Token {
    fn role(&self) -> &'static str {
        self.access_level.map_or("", role_word)
    }

    fn created(&self) -> Time {
        Time::new(&self.created_at)
    }

    fn last_used(&self) -> Option<Time> {
        self.last_used_at.as_deref().map(Time::new)
    }
}

#[derive(Template)]
#[template(path = "ui/scope_tokens/list.html")]
struct ListPage {
    frame: Frame,
    tokens: Vec<Token>,
    base: String,
    word: &'static str,

    /// True if revoked and expired tokens are listed.
    is_past: bool,
    next: Option<String>,
    form: Form,
    scopes: [Choice; 4],

    /// The scopes that are ticked.
    ticked: Vec<String>,
    roles: [Choice; 5],
}

impl ListPage {
    fn is_ticked(&self, scope: &Choice) -> bool {
        self.ticked.iter().any(|ticked| ticked == scope.value)
    }
}

/// The page that shows a new token, which nobody can read again later.
#[derive(Template)]
#[template(path = "ui/scope_tokens/new.html")]
struct NewPage {
    frame: Frame,
    name: String,
    token: String,
    back: String,
}

/// Lists the tokens of a place.
pub(super) async fn list(at: Visit, State(ui): State<Arc<Ui>>, Query(query): Query) -> Result<Response, PageError> {
    let mut form = Form::default();
    form.set("access_level", "40");
    Ok(page(&tokens_page(&at, &ui, &query, form, Vec::new()).await?))
}

/// Makes a token and shows it once.
pub(super) async fn create(at: Visit, State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    #[derive(Deserialize)]
    struct Made {
        name: String,
        token: String,
    }

    let mut form = Form::default();
    form.keep(&sent.fields, &[]);
    let ticked: Vec<String> = sent.fields.all("scopes").into_iter().map(str::to_owned).collect();
    if sent.fields.filled("name").is_none() {
        form.wrong("name", "Enter a name that says what the token is for");
    }

    if ticked.is_empty() {
        form.wrong("scopes", "Choose at least one scope");
    }

    if form.is_refused() {
        let shown = tokens_page(&at, &ui, &Fields::default(), form, ticked).await?;
        return Ok(refused_page(&shown));
    }

    let level: i64 = sent.fields.text("access_level").parse().unwrap_or(0);
    let mut body = json!({ "name": sent.fields.filled("name"), "scopes": ticked, "access_level": level });
    if let Some(day) = sent.fields.filled("expires_at") {
        body["expires_at"] = json!(day);
    }

    let address = format!("{}/access_tokens", at.place.api());
    match at.person.api.send::<Made>(Method::POST, &address, &body).await {
        Ok(made) => {
            let back = at.place.page("access_tokens");
            let frame = Frame::at(&ui, &at.person, &at.place, Section::Tokens, "New access token");
            Ok(page(&NewPage {
                frame: frame.crumb("Access tokens", &back),
                name: made.name,
                token: made.token,
                back,
            }))
        }
        Err(mut refusal) => {
            if refusal.status == StatusCode::FORBIDDEN {
                "Your role does not allow this. Nobody can give a role above their own".clone_into(&mut refusal.text);
            }

            form.refuse(&refusal);
            let shown = tokens_page(&at, &ui, &Fields::default(), form, ticked).await?;
            Ok(refused_page(&shown))
        }
    }
}

/// Revokes a token after a question.
pub(super) async fn revoke(at: Visit, State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    let id = at.number("token_id")?;
    let address = format!("{}/access_tokens/{id}", at.place.api());
    let back = at.place.page("access_tokens");
    if sent.fields.has("confirmed") {
        at.person.api.send_only(Method::DELETE, &address, &Value::Null).await?;
        return Ok(Redirect::to(&format!("{back}?done=revoked")).into_response());
    }

    let token: Token = at.person.api.get(&address).await?;
    let frame = Frame::at(&ui, &at.person, &at.place, Section::Tokens, "Revoke access token?");
    let question = Question {
        frame: frame.crumb("Access tokens", &back),
        text: format!(
            "Programs that use the token “{}” are refused from then on. It cannot be used again.",
            token.name
        ),
        action: format!("{back}/{id}"),
        button: "Revoke access token",
        field: "revoke",
        back,
    };
    Ok(question.ask())
}

async fn tokens_page(
    at: &Visit,
    ui: &Ui,
    query: &Fields,
    form: Form,
    ticked: Vec<String>,
) -> Result<ListPage, PageError> {
    let is_past = query.text("state") == "inactive";
    let state = if is_past { "inactive" } else { "active" };
    let number = query.text("page").parse::<u32>().unwrap_or(1).max(1);
    let address = format!("{}/access_tokens?state={state}", at.place.api());
    let listed: Listed<Token> = at
        .person
        .api
        .list(&format!("{address}&per_page={SHOWN}&page={number}"))
        .await?;

    let done = (query.text("done") == "revoked").then(|| Notice::good("The access token is revoked."));
    let base = at.place.page("access_tokens");
    Ok(ListPage {
        frame: Frame::at(ui, &at.person, &at.place, Section::Tokens, "Access tokens")
            .json(address)
            .notice(done),
        tokens: listed.rows,
        next: listed.next.map(|next| format!("{base}?state={state}&page={next}")),
        base,
        word: at.place.level.word(),
        is_past,
        form,
        scopes: SCOPES,
        ticked,
        roles: ROLES,
    })
}
