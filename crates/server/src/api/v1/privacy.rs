//! Who may be seen in numbers, and who is to be forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use quickdraw_insights::people::User;
use quickdraw_insights::privacy::Privacy;
use quickdraw_insights::roster::{Handle, Resolver, Roster, Who};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{covered, invalid, roster};
use crate::auth::Admin;
use crate::error::ApiError;
use crate::params::Input;
use crate::state::App;

/// Most people of the smallest group that is shown.
const LARGEST_GROUP: u32 = 1_000;
/// Longest that facts of a project are kept.
const MOST_DAYS: u32 = 36_600;
/// Most people that a dry run names.
const MOST_NAMED: usize = 100;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(show, change)).routes(routes!(keep)).routes(routes!(erase))
}

/// What is decided.
#[derive(Serialize, ToSchema)]
struct PrivacyView {
    /// Numbers of fewer people are not shown: none of single members, and of no smaller team. 0 shows everybody.
    min_group: u32,
    /// Names in answers are replaced by pseudonyms, also where that is not asked for.
    pseudonyms: bool,
    /// Days for which facts of projects are kept, by their numbers in events. What is not here is kept for ever.
    kept_days: BTreeMap<i64, u32>,
}

impl From<Privacy> for PrivacyView {
    fn from(privacy: Privacy) -> Self {
        let Privacy { min_group, pseudonyms, kept_days, .. } = privacy;
        Self { min_group, pseudonyms, kept_days }
    }
}

/// What is to be changed.
#[derive(Deserialize, ToSchema)]
struct PrivacyChange {
    /// Numbers of fewer people are not shown; 0 shows everybody.
    min_group: Option<u32>,
    /// Names in answers are replaced by pseudonyms.
    pseudonyms: Option<bool>,
    /// Only show what would be decided then.
    #[serde(default)]
    dry_run: bool,
}

/// Show what is decided about privacy in insights. Administrators.
#[utoipa::path(get, path = "/insights/privacy", tag = "Insights", responses((status = 200, body = PrivacyView)))]
async fn show(_: Admin, State(app): State<Arc<App>>) -> Result<Json<PrivacyView>, ApiError> {
    Ok(Json(app.engine.insights.privacy().await.map_err(ApiError::internal)?.into()))
}

/// Decide about privacy in insights. Administrators.
#[utoipa::path(put, path = "/insights/privacy", tag = "Insights", request_body = PrivacyChange,
    responses((status = 200, body = PrivacyView)))]
async fn change(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(asked): Input<PrivacyChange>,
) -> Result<Json<PrivacyView>, ApiError> {
    if asked.min_group.is_some_and(|group| group > LARGEST_GROUP) {
        return Err(invalid(format!("min_group must be at most {LARGEST_GROUP}")));
    }
    let decide = |privacy: &mut Privacy| {
        privacy.min_group = asked.min_group.unwrap_or(privacy.min_group);
        privacy.pseudonyms = asked.pseudonyms.unwrap_or(privacy.pseudonyms);
    };
    if asked.dry_run {
        return Ok(Json(tried(&app, decide).await?.into()));
    }
    Ok(Json(app.engine.insights.change_privacy(decide).await.map_err(ApiError::internal)?.into()))
}

/// What would be decided after a change that is not made.
async fn tried(app: &App, decide: impl Fn(&mut Privacy)) -> Result<Privacy, ApiError> {
    let mut privacy = app.engine.insights.privacy().await.map_err(ApiError::internal)?;
    if !privacy.has_salt() {
        // Nothing of it is kept, and any salt finds the same people.
        privacy = Privacy::new([0; 32]);
    }
    decide(&mut privacy);
    Ok(privacy)
}

/// Refuses what cannot be taken back unless it is confirmed.
fn confirmed(confirm: bool, what: &str) -> Result<(), ApiError> {
    if confirm {
        return Ok(());
    }
    let text = format!("{what} cannot be taken back: look with \"dry_run\": true, then ask with \"confirm\": true");
    Err(ApiError::problem(StatusCode::UNPROCESSABLE_ENTITY, text))
}

/// For how long facts of a project are kept.
#[derive(Deserialize, ToSchema)]
struct Keep {
    /// The project: its number in events, or its path.
    project: String,
    /// Days; null for ever.
    days: Option<u32>,
    /// Only show what would be decided then.
    #[serde(default)]
    dry_run: bool,
    /// Needed with `days`: what is older is deleted, which cannot be taken back.
    #[serde(default)]
    confirm: bool,
}

/// Decide for how long facts of a project are kept. What is older goes within the hour, until events of the
/// journal are counted anew; so `days` needs `confirm`. Administrators.
#[utoipa::path(put, path = "/insights/privacy/kept", tag = "Insights", request_body = Keep,
    responses((status = 200, body = PrivacyView)))]
async fn keep(_: Admin, State(app): State<Arc<App>>, Input(asked): Input<Keep>) -> Result<Json<PrivacyView>, ApiError> {
    if asked.days.is_some_and(|days| !(1..=MOST_DAYS).contains(&days)) {
        return Err(invalid(format!("days must be 1 to {MOST_DAYS}; null keeps facts for ever")));
    }
    let project = covered::project(&app, &asked.project).await?;
    let decide = |privacy: &mut Privacy| {
        match asked.days {
            Some(days) => privacy.kept_days.insert(project, days),
            None => privacy.kept_days.remove(&project),
        };
    };
    if asked.dry_run {
        return Ok(Json(tried(&app, decide).await?.into()));
    }
    if asked.days.is_some() {
        confirmed(asked.confirm, "the deletion of older facts")?;
    }
    Ok(Json(app.engine.insights.change_privacy(decide).await.map_err(ApiError::internal)?.into()))
}

/// Who is to be forgotten.
#[derive(Deserialize, ToSchema)]
struct Erase {
    /// Addresses as `ida@example.com`, usernames as `@ida`, numbers of users as `#77`.
    #[serde(default)]
    handles: Vec<String>,
    /// A member, with all of its handles; it is deleted.
    member_id: Option<i64>,
    /// Only tell who would be forgotten.
    #[serde(default)]
    dry_run: bool,
    /// Needed without `dry_run`: it cannot be taken back.
    #[serde(default)]
    confirm: bool,
}

/// What was forgotten.
#[derive(Serialize, ToSchema)]
struct Erased {
    /// Names and addresses of commits.
    identities: usize,
    /// Accounts.
    accounts: usize,
    /// In a dry run, the first hundred of both by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    people: Option<Vec<String>>,
}

/// Have somebody forgotten in insights, for good: what they did stays and is nobody's. It needs `confirm`; `dry_run` tells who
/// would be forgotten. Events of the journal go with `history.retention`. Administrators.
#[utoipa::path(post, path = "/insights/identities/erase", tag = "Insights", request_body = Erase,
    responses((status = 200, body = Erased)))]
async fn erase(_: Admin, State(app): State<Arc<App>>, Input(asked): Input<Erase>) -> Result<Json<Erased>, ApiError> {
    let mut handles = roster::handles(asked.handles)?;
    let known = roster::read(&app).await?;
    let mut members = Vec::new();
    if let Some(id) = asked.member_id {
        let missing = || ApiError::problem(StatusCode::NOT_FOUND, "there is no member with this number");
        known.members().get(&id).ok_or_else(missing)?;
        // Whoever was merged with it is the same person.
        let same = known.members().iter().filter(|(other, _)| known.root(**other) == known.root(id));
        for (other, member) in same {
            members.push(*other);
            handles.extend(member.handles.clone());
        }
    }
    if handles.is_empty() {
        return Err(invalid("name handles, or a member that has some"));
    }
    let users = app.store().insights_users().await?;
    let emails = addresses(&app, &known, &handles, &users).await?;
    let decide = |privacy: &mut Privacy| {
        emails.iter().for_each(|email| privacy.erase_email(email));
        for handle in &handles {
            match handle {
                Handle::UserId(id) => {
                    privacy.erase_user(*id);
                    let known = users.iter().filter(|user| user.id == *id);
                    known.for_each(|user| privacy.erase_username(&user.username));
                }
                Handle::Username(name) => {
                    privacy.erase_username(name);
                    let found = users.iter().filter(|user| user.username.eq_ignore_ascii_case(name));
                    found.for_each(|user| privacy.erase_user(user.id));
                }
                Handle::Email(email) => privacy.erase_email(email),
            }
        }
    };
    if asked.dry_run {
        let privacy = tried(&app, decide).await?;
        return Ok(Json(would_be_forgotten(&app, &privacy, &users).await?));
    }
    confirmed(asked.confirm, "forgetting somebody")?;
    app.engine.insights.change_privacy(decide).await.map_err(ApiError::internal)?;
    let forget = |roster: &mut Roster| -> Result<(), ApiError> {
        handles.iter().for_each(|handle| roster.forget(handle));
        emails.iter().for_each(|email| roster.forget(&Handle::Email(email.clone())));
        for id in &members {
            if roster.members().contains_key(id) {
                roster.delete_member(*id).map_err(roster::unable)?;
            }
        }
        Ok(())
    };
    roster::change_for_good(&app, forget).await?;
    // What was before the last change names people too. The last change of somebody else can still be taken back.
    roster::change_before(&app, forget).await?;
    let (identities, accounts) = app.engine.insights.forget_people().await.map_err(ApiError::internal)?;
    Ok(Json(Erased { identities, accounts, people: None }))
}

/// Who would be forgotten under what would be decided.
async fn would_be_forgotten(app: &App, privacy: &Privacy, users: &[User]) -> Result<Erased, ApiError> {
    let mut people = Vec::new();
    let mut identities = 0;
    for identity in app.store().find_identities(None).await? {
        if privacy.left_of(&identity.author).is_some() {
            identities += 1;
            people.push(format!("{} <{}>", identity.author.name, identity.author.email));
        }
    }
    let mut accounts = 0;
    for user in users {
        if privacy.left_of_user(user).is_some() {
            accounts += 1;
            people.push(format!("@{}", user.username));
        }
    }
    people.truncate(MOST_NAMED);
    Ok(Erased { identities, accounts, people: Some(people) })
}

/// Addresses of commits that are of whoever has these handles, also by the `.mailmap` and as GitLab's private ones.
async fn addresses(
    app: &App,
    known: &Roster,
    handles: &BTreeSet<Handle>,
    users: &[User],
) -> Result<Vec<String>, ApiError> {
    let mut alone = known.clone();
    for id in known.members().keys() {
        alone.delete_member(*id).map_err(roster::unable)?;
    }
    for handle in handles {
        alone.mark(handle.clone(), None).map_err(roster::unable)?;
    }
    let one = alone.add_member("erased", handles.clone()).map_err(roster::unable)?;
    let resolver = Resolver::new(&alone, users);
    let all = app.store().find_identities(None).await?;
    let theirs = all.into_iter().filter(|identity| resolver.author(&identity.author) == Who::Member(one));
    Ok(theirs.map(|identity| identity.author.email).filter(|email| !email.is_empty()).collect())
}
