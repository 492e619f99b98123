//! The page of a user: the account, blocking, deletion and access tokens.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use quickdraw_domain::access::TokenScope;
use serde::Deserialize;
use serde_json::{Value, json};

use super::frame;
use super::tokens::{Token, help};
use super::user_form::{self, SECRETS};
use super::users::User;
use crate::ui::Ui;
use crate::ui::client::Listed;
use crate::ui::error::PageError;
use crate::ui::form::{Fields, Form, Query, Sent};
use crate::ui::frame::{Frame, Notice, page, refused_page};
use crate::ui::navigation::Section;
use crate::ui::place::Visit;
use crate::ui::question::Question;

/// Largest number of tokens that the page shows.
const SHOWN: usize = 50;
/// Number of the user to whom the root token belongs.
const ROOT: i64 = 1;

/// A scope that the form offers.
struct ScopeChoice {
    word: &'static str,
    help: &'static str,
    is_chosen: bool,
}

#[derive(Template)]
#[template(path = "ui/admin/user.html")]
struct UserPage {
    frame: Frame,
    user: User,
    form: Form,

    /// False for the person who looks at the page, and for the user of the root token.
    may_be_blocked: bool,
    tokens: Vec<Token>,
    has_more_tokens: bool,
    scopes: Vec<ScopeChoice>,
    token_form: Form,
    base: String,
    tokens_base: String,
    audit: String,
}

/// The page that shows a new token, which nobody can read again later.
#[derive(Template)]
#[template(path = "ui/scope_tokens/new.html")]
struct NewTokenPage {
    frame: Frame,
    name: String,
    token: String,
    back: String,
}

/// Shows a user.
pub(super) async fn show(at: Visit, State(ui): State<Arc<Ui>>, Query(query): Query) -> Result<Response, PageError> {
    let user = find(&at).await?;
    let form = user_form::filled(&user);
    let text = match query.text("done") {
        "created" => Some("The user is created."),
        "saved" => Some("The changes are saved."),
        "blocked" => Some("The user is blocked. Their sessions have ended, and their tokens are refused."),
        "unblocked" => Some("The user is unblocked."),
        "revoked" => Some("The access token is revoked."),
        _ => None,
    };

    let mut shown = user_page(&ui, &at, user, form, &Fields::default()).await?;
    shown.frame = shown.frame.notice(text.map(Notice::good));
    Ok(page(&shown))
}

/// Changes a user.
pub(super) async fn save(at: Visit, State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    let user = find(&at).await?;
    let mut form = Form::default();
    form.keep(&sent.fields, &SECRETS);

    if let Some(body) = user_form::changes(&sent.fields, &mut form, may_be_blocked(&at, &user)) {
        match at.person.api.send_only(Method::PUT, &api(user.id), &body).await {
            Ok(()) => return Ok(lead(&at, user.id, "saved")),
            Err(refusal) if refusal.status == StatusCode::FORBIDDEN => return Err(refusal.into()),
            Err(refusal) => user_form::refuse(&mut form, &refusal),
        }
    }

    let shown = user_page(&ui, &at, user, form, &Fields::default()).await?;
    Ok(refused_page(&shown))
}

/// Blocks a user after a question.
pub(super) async fn block(at: Visit, State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    let user = find(&at).await?;
    if !sent.fields.has("confirmed") {
        let text = format!(
            "{} (@{}) cannot sign in any more, open sessions end, and access tokens are refused. Memberships stay.",
            user.name, user.username
        );
        return Ok(question(&ui, &at, &user, ("Block user?", "Block user", "block"), text).ask());
    }

    let address = format!("{}/block", api(user.id));
    at.person.api.send_only(Method::POST, &address, &json!({})).await?;
    Ok(lead(&at, user.id, "blocked"))
}

/// Unblocks a user.
pub(super) async fn unblock(at: Visit, _: Sent) -> Result<Response, PageError> {
    let user = find(&at).await?;
    let address = format!("{}/unblock", api(user.id));
    at.person.api.send_only(Method::POST, &address, &json!({})).await?;
    Ok(lead(&at, user.id, "unblocked"))
}

/// Asks before a user is deleted, for browsers without a script.
pub(super) async fn ask(at: Visit, State(ui): State<Arc<Ui>>) -> Result<Response, PageError> {
    let user = find(&at).await?;
    Ok(deletion(&ui, &at, &user).ask())
}

/// Deletes a user after a question.
pub(super) async fn delete(at: Visit, State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    let user = find(&at).await?;
    if !sent.fields.has("confirmed") {
        return Ok(deletion(&ui, &at, &user).ask());
    }

    at.person
        .api
        .send_only(Method::DELETE, &api(user.id), &Value::Null)
        .await?;
    Ok(Redirect::to(&at.place.page("users?done=deleted")).into_response())
}

/// Makes an access token for a user, and shows it once.
pub(super) async fn create_token(at: Visit, State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    #[derive(Deserialize)]
    struct Made {
        name: String,
        token: String,
    }

    let user = find(&at).await?;
    let mut form = Form::default();
    form.keep(&sent.fields, &[]);
    if sent.fields.filled("token_name").is_none() {
        form.wrong("token_name", "Enter a name that says what the token is for");
    }

    let scopes = sent.fields.all("scopes");
    if scopes.is_empty() {
        form.wrong("scopes", "Choose at least one scope");
    }

    if !form.is_refused() {
        let mut body = json!({ "name": sent.fields.filled("token_name"), "scopes": scopes });
        if let Some(day) = sent.fields.filled("expires_at") {
            body["expires_at"] = json!(day);
        }

        let address = format!("{}/personal_access_tokens", api(user.id));
        match at.person.api.send::<Made>(Method::POST, &address, &body).await {
            Ok(made) => {
                let base = at.place.page("users");
                let back = format!("{base}/{}", user.id);
                let frame = frame(&ui, &at, Section::Users, "New access token").crumb("Users", base);
                return Ok(page(&NewTokenPage {
                    frame: frame.crumb(user.name, &back),
                    name: made.name,
                    token: made.token,
                    back,
                }));
            }
            Err(refusal) if refusal.status == StatusCode::FORBIDDEN => return Err(refusal.into()),
            Err(mut refusal) => {
                // The form of the account has a field with this name.
                for (name, _) in &mut refusal.fields {
                    if name == "name" {
                        "token_name".clone_into(name);
                    }
                }

                form.refuse(&refusal);
            }
        }
    }

    let account = user_form::filled(&user);
    let mut shown = user_page(&ui, &at, user, account, &sent.fields).await?;
    shown.token_form = form;
    Ok(refused_page(&shown))
}

async fn user_page(ui: &Ui, at: &Visit, user: User, form: Form, sent: &Fields) -> Result<UserPage, PageError> {
    let query = format!("user_id={}&state=active&sort=created_desc&per_page={SHOWN}", user.id);
    let tokens: Listed<Token> = at
        .person
        .api
        .list(&format!("/api/v4/personal_access_tokens?{query}"))
        .await?;

    let offered = TokenScope::ALL
        .into_iter()
        .filter(|scope| user.is_admin || !scope.is_of_admins());
    let scopes = offered.map(|scope| ScopeChoice {
        word: scope.word(),
        help: help(scope),
        is_chosen: sent.all("scopes").contains(&scope.word()),
    });

    let users = at.place.page("users");
    let username: String = url::form_urlencoded::byte_serialize(user.username.as_bytes()).collect();
    Ok(UserPage {
        frame: frame(ui, at, Section::Users, user.name.clone())
            .crumb("Users", &users)
            .json(api(user.id)),
        may_be_blocked: may_be_blocked(at, &user),
        form,
        has_more_tokens: tokens.next.is_some(),
        tokens: tokens.rows,
        scopes: scopes.collect(),
        token_form: Form::default(),
        base: format!("{users}/{}", user.id),
        tokens_base: at.place.page("access_tokens"),
        audit: format!("{}?username={username}", at.place.page("audit")),
        user,
    })
}

fn deletion(ui: &Ui, at: &Visit, user: &User) -> Question {
    let text = format!(
        "{} (@{}) is deleted with all access tokens, SSH keys and memberships. Events and audit entries stay. To take \
         away access only, block the user.",
        user.name, user.username
    );
    question(ui, at, user, ("Delete user?", "Delete user", "delete"), text)
}

/// A question about a user: its title, its button, and the last part of the address.
fn question(ui: &Ui, at: &Visit, user: &User, words: (&str, &'static str, &'static str), text: String) -> Question {
    let (title, button, action) = words;
    let base = at.place.page("users");
    let back = format!("{base}/{}", user.id);
    Question {
        frame: frame(ui, at, Section::Users, title)
            .crumb("Users", base)
            .crumb(user.name.clone(), &back),
        text,
        action: format!("{back}/{action}"),
        button,
        field: action,
        back,
    }
}

/// The API blocks and deletes neither its caller nor the user of the root token, and both stay administrators.
fn may_be_blocked(at: &Visit, user: &User) -> bool {
    user.id != ROOT && user.id != at.person.actor.user_id
}

fn lead(at: &Visit, user: i64, done: &str) -> Response {
    Redirect::to(&at.place.page(&format!("users/{user}?done={done}"))).into_response()
}

fn api(user: i64) -> String {
    format!("/api/v4/users/{user}")
}

async fn find(at: &Visit) -> Result<User, PageError> {
    let id = at.number("user_id")?;
    Ok(at.person.api.get(&api(id)).await?)
}
