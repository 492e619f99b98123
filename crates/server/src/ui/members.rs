//! Members of a project or group.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Ui;
use super::client::{Listed, Refusal};
use super::error::PageError;
use super::form::{Choice, Fields, Form, Query, Sent};
use super::frame::{Frame, Notice, page, refused_page};
use super::navigation::Section;
use super::place::Visit;
use super::question::Question;
use super::roles::{ROLES, manages, role_word};

/// Largest number of members on a page.
const SHOWN: usize = 50;

/// A member, as the API shows it.
#[derive(Deserialize)]
struct Member {
    id: i64,
    username: String,
    name: String,
    state: String,
    access_level: i64,
    expires_at: Option<String>,
    bot: bool,
}

impl Member {
    fn role(&self) -> &'static str {
        role_word(self.access_level)
    }

    fn is_blocked(&self) -> bool {
        self.state == "blocked"
    }
}

#[derive(Template)]
#[template(path = "ui/members/list.html")]
struct ListPage {
    frame: Frame,
    members: Vec<Member>,
    base: String,
    word: &'static str,

    /// True if the person may add and change members.
    manages: bool,

    /// True if members of the groups above are listed too. They are changed where they belong.
    with_inherited: bool,
    filter: String,
    next: Option<String>,
    form: Form,
    roles: [Choice; 5],
}

#[derive(Template)]
#[template(path = "ui/members/edit.html")]
struct EditPage {
    frame: Frame,
    member: Member,
    action: String,
    back: String,
    form: Form,
    roles: [Choice; 5],
}

/// Lists the members of a place.
pub(super) async fn list(at: Visit, State(ui): State<Arc<Ui>>, Query(query): Query) -> Result<Response, PageError> {
    let mut form = Form::default();
    form.set("access_level", "30");
    let frame = at.frame(&ui, "Members").notice(done(&query));
    Ok(page(&at.list_page(frame, &query, form).await?))
}

/// Adds a member by username.
pub(super) async fn add(at: Visit, State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    let mut form = Form::default();
    form.keep(&sent.fields, &[]);
    let frame = at.frame(&ui, "Members");

    let Some(user) = at.user(&sent.fields, &mut form).await? else {
        return Ok(refused_page(&at.list_page(frame, &Fields::default(), form).await?));
    };

    let mut body = json!({ "user_id": user, "access_level": level(&sent.fields) });
    if let Some(day) = sent.fields.filled("expires_at") {
        body["expires_at"] = json!(day);
    }

    let members = format!("{}/members", at.place.api());
    match at.person.api.send_only(Method::POST, &members, &body).await {
        Ok(()) => Ok(at.lead("members?done=added")),
        Err(refusal) if refusal.status == StatusCode::NOT_FOUND => Err(refusal.into()),
        Err(refusal) => {
            form.refuse(&explained(refusal));
            Ok(refused_page(&at.list_page(frame, &Fields::default(), form).await?))
        }
    }
}

/// Shows the form of a member.
pub(super) async fn edit(at: Visit, State(ui): State<Arc<Ui>>) -> Result<Response, PageError> {
    let member: Member = at.person.api.get(&at.member_api()?).await?;
    // Members open their own page in order to leave.
    if member.id != at.person.actor.user_id && !manages(&at).await? {
        return Err(PageError::Forbidden);
    }

    let mut form = Form::default();
    form.set("access_level", member.access_level.to_string());
    form.set("expires_at", member.expires_at.clone().unwrap_or_default());
    Ok(page(&at.edit_page(&ui, member, form)))
}

/// Changes a member, or removes it after a question.
pub(super) async fn change(at: Visit, State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    let address = at.member_api()?;
    let member: Member = at.person.api.get(&address).await?;
    if sent.fields.has("remove") {
        return at.remove(&ui, &member, &address, &sent.fields).await;
    }

    let expires_at = sent.fields.filled("expires_at");
    let body = json!({ "access_level": level(&sent.fields), "expires_at": expires_at.unwrap_or_default() });
    match at.person.api.send_only(Method::PUT, &address, &body).await {
        Ok(()) => Ok(at.lead("members?done=saved")),
        Err(refusal) => {
            let mut form = Form::default();
            form.keep(&sent.fields, &[]);
            form.refuse(&explained(refusal));
            Ok(refused_page(&at.edit_page(&ui, member, form)))
        }
    }
}

impl Visit {
    fn frame(&self, ui: &Ui, title: &str) -> Frame {
        let address = format!("{}/members", self.place.api());
        Frame::at(ui, &self.person, &self.place, Section::Members, title).json(address)
    }

    /// Leads to a page of the place.
    fn lead(&self, page: &str) -> Response {
        Redirect::to(&self.place.page(page)).into_response()
    }

    fn member_api(&self) -> Result<String, PageError> {
        Ok(format!("{}/members/{}", self.place.api(), self.number("user_id")?))
    }

    async fn list_page(&self, frame: Frame, query: &Fields, form: Form) -> Result<ListPage, PageError> {
        let with_inherited = query.text("members") == "all";
        let filter = query.text("filter").trim().to_owned();
        let number = query.text("page").parse::<u32>().unwrap_or(1).max(1);

        let all = if with_inherited { "/all" } else { "" };
        let text = utf8_percent_encode(&filter, NON_ALPHANUMERIC).to_string();
        let search = if text.is_empty() {
            String::new()
        } else {
            format!("&query={text}")
        };
        let address = format!(
            "{}/members{all}?per_page={SHOWN}&page={number}{search}",
            self.place.api()
        );
        let listed: Listed<Member> = self.person.api.list(&address).await?;

        let base = self.place.page("members");
        let kind = if with_inherited { "all" } else { "direct" };
        Ok(ListPage {
            frame,
            next: listed
                .next
                .map(|next| format!("{base}?members={kind}&filter={text}&page={next}")),
            members: listed.rows,
            base,
            word: self.place.level.word(),
            manages: manages(self).await?,
            with_inherited,
            filter,
            form,
            roles: ROLES,
        })
    }

    /// The id of the user that a form names.
    async fn user(&self, sent: &Fields, form: &mut Form) -> Result<Option<i64>, PageError> {
        #[derive(Deserialize)]
        struct User {
            id: i64,
        }

        let Some(username) = sent.filled("username") else {
            form.wrong("username", "Enter the username of the person");
            return Ok(None);
        };

        let name = utf8_percent_encode(username.trim_start_matches('@'), NON_ALPHANUMERIC);
        let found: Vec<User> = self.person.api.get(&format!("/api/v4/users?username={name}")).await?;
        if found.is_empty() {
            form.wrong(
                "username",
                "No user has this username. An administrator can create users",
            );
        }

        Ok(found.first().map(|user| user.id))
    }

    fn edit_page(&self, ui: &Ui, member: Member, form: Form) -> EditPage {
        let back = self.place.page("members");
        let mut frame = self.frame(ui, "Change member").crumb("Members", &back);
        frame.json = Some(format!("{}/members/{}", self.place.api(), member.id));
        EditPage {
            frame,
            action: format!("{back}/{}", member.id),
            back,
            member,
            form,
            roles: ROLES,
        }
    }

    async fn remove(&self, ui: &Ui, member: &Member, address: &str, sent: &Fields) -> Result<Response, PageError> {
        let back = self.place.page("members");
        let is_self = member.id == self.person.actor.user_id;
        if !sent.has("confirmed") {
            let (title, button) = if is_self {
                ("Leave?", "Leave")
            } else {
                ("Remove member?", "Remove member")
            };
            let question = Question {
                frame: self.frame(ui, title).crumb("Members", &back),
                text: format!(
                    "{} (@{}) loses the role {} in {}. Roles in groups above it stay.",
                    member.name,
                    member.username,
                    member.role(),
                    self.place.full_path
                ),
                action: format!("{back}/{}", member.id),
                button,
                field: "remove",
                back,
            };
            return Ok(question.ask());
        }

        self.person.api.send_only(Method::DELETE, address, &Value::Null).await?;
        if is_self {
            return Ok(Redirect::to("/?done=left").into_response());
        }

        Ok(self.lead("members?done=removed"))
    }
}

/// The role that a form chose.
fn level(sent: &Fields) -> i64 {
    sent.text("access_level").parse().unwrap_or(0)
}

/// A refusal with the reason in words that a person can use.
fn explained(mut refusal: Refusal) -> Refusal {
    refusal.text = match refusal.status {
        StatusCode::FORBIDDEN => "Your role does not allow this. Nobody can give a role above their own".to_owned(),
        StatusCode::CONFLICT => "This person is a member already. Change the role in the list".to_owned(),
        _ => refusal.text,
    };
    refusal
}

/// The message after a change.
fn done(query: &Fields) -> Option<Notice> {
    let text = match query.text("done") {
        "added" => "The member is added.",
        "saved" => "The member is changed.",
        "removed" => "The member is removed.",
        _ => return None,
    };
    Some(Notice::good(text))
}
