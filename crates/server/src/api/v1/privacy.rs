//! Privacy of insights: minimum group size, pseudonyms, retention of facts, and erasure of people.

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

use super::{projects, roster};
use crate::auth::Admin;
use crate::error::ApiError;
use crate::params::Input;
use crate::state::App;

/// Largest minimum group size.
const LARGEST_GROUP: u32 = 1_000;
/// Longest retention of facts, in days.
const MAX_DAYS: u32 = 36_600;
/// Largest number of people that a dry run lists.
const MAX_NAMED: usize = 100;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(show, change))
        .routes(routes!(keep))
        .routes(routes!(erase))
}

/// Privacy settings of insights.
#[derive(Serialize, ToSchema)]
struct PrivacyView {
    /// Minimum group size: numbers about fewer people are hidden, including those of single members. 0 hides nothing.
    min_group: u32,

    /// True if answers always contain pseudonyms instead of names.
    pseudonyms: bool,

    /// Retention of facts in days, by project id in received bodies. Facts of other projects are kept without a
    /// limit.
    #[schema(value_type = BTreeMap<String, u32>)]
    kept_days: BTreeMap<i64, u32>,
}

impl From<Privacy> for PrivacyView {
    fn from(privacy: Privacy) -> Self {
        let Privacy {
            min_group,
            pseudonyms,
            kept_days,
            ..
        } = privacy;

        Self {
            min_group,
            pseudonyms,
            kept_days,
        }
    }
}

/// Changes to the privacy settings. Absent fields stay as they are.
#[derive(Deserialize, ToSchema)]
struct PrivacyChange {
    /// Minimum group size: numbers about fewer people are hidden. 0 hides nothing. At most 1,000.
    min_group: Option<u32>,

    /// Always replace names in answers by pseudonyms.
    pseudonyms: Option<bool>,

    /// Only show the resulting settings, without storing them.
    #[serde(default)]
    dry_run: bool,
}

/// Show the privacy settings of insights. Administrators only.
#[utoipa::path(get, path = "/insights/privacy", tag = "Insights", responses((status = 200, body = PrivacyView)))]
async fn show(_: Admin, State(app): State<Arc<App>>) -> Result<Json<PrivacyView>, ApiError> {
    Ok(Json(
        app.engine.insights.privacy().await.map_err(ApiError::internal)?.into(),
    ))
}

/// Change the privacy settings of insights. Administrators only.
#[utoipa::path(put, path = "/insights/privacy", tag = "Insights", request_body = PrivacyChange,
    responses((status = 200, body = PrivacyView)))]
async fn change(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(asked): Input<PrivacyChange>,
) -> Result<Json<PrivacyView>, ApiError> {
    if asked.min_group.is_some_and(|group| group > LARGEST_GROUP) {
        let text = format!("min_group must be at most {LARGEST_GROUP}");
        return Err(ApiError::field("min_group", text));
    }

    let decide = |privacy: &mut Privacy| {
        privacy.min_group = asked.min_group.unwrap_or(privacy.min_group);
        privacy.pseudonyms = asked.pseudonyms.unwrap_or(privacy.pseudonyms);
    };
    if asked.dry_run {
        return Ok(Json(tried(&app, decide).await?.into()));
    }

    Ok(Json(
        app.engine
            .insights
            .change_privacy(decide)
            .await
            .map_err(ApiError::internal)?
            .into(),
    ))
}

/// Returns the privacy settings after a change, without storing them.
async fn tried(app: &App, decide: impl Fn(&mut Privacy)) -> Result<Privacy, ApiError> {
    let mut privacy = app.engine.insights.privacy().await.map_err(ApiError::internal)?;
    if !privacy.has_salt() {
        // This salt is not stored, and every salt finds the same people.
        privacy = Privacy::new([0; 32]);
    }

    decide(&mut privacy);
    Ok(privacy)
}

/// Refuses an action that cannot be undone unless the request confirms it.
fn confirmed(confirm: bool, what: &str) -> Result<(), ApiError> {
    if confirm {
        return Ok(());
    }

    let text = format!("{what} cannot be undone: try it with \"dry_run\": true, then send \"confirm\": true");
    Err(ApiError::problem(StatusCode::UNPROCESSABLE_ENTITY, text))
}

/// Retention of a project's facts.
#[derive(Deserialize, ToSchema)]
struct RetentionChange {
    /// The project: its id in Quickdraw, or its full path.
    project: String,

    /// Retention in days; null for no limit.
    days: Option<u32>,

    /// Only show the resulting settings, without storing them.
    #[serde(default)]
    dry_run: bool,

    /// Required with `days`, because older facts are deleted, which cannot be undone.
    #[serde(default)]
    confirm: bool,
}

/// Set the retention of a project's facts. Administrators only.
///
/// Older facts are deleted within the hour. A rebuild from the journal restores those whose events still exist.
/// `days` needs `confirm`.
#[utoipa::path(put, path = "/insights/privacy/kept", tag = "Insights", request_body = RetentionChange,
    responses((status = 200, body = PrivacyView)))]
async fn keep(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(asked): Input<RetentionChange>,
) -> Result<Json<PrivacyView>, ApiError> {
    if asked.days.is_some_and(|days| !(1..=MAX_DAYS).contains(&days)) {
        return Err(ApiError::field(
            "days",
            format!("days must be from 1 to {MAX_DAYS}, or null to keep facts without a limit"),
        ));
    }

    let project = projects::of_project(&app, &asked.project).await?.newest();
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

    Ok(Json(
        app.engine
            .insights
            .change_privacy(decide)
            .await
            .map_err(ApiError::internal)?
            .into(),
    ))
}

/// People to erase.
#[derive(Deserialize, ToSchema)]
struct Erasure {
    /// Handles: e-mail addresses such as `ida@example.com`, usernames such as `@ida`, account ids such as `#77`.
    #[serde(default)]
    handles: Vec<String>,

    /// Id of a member. The member is deleted, and all of its handles are erased.
    member_id: Option<i64>,

    /// Only list the people that would be erased.
    #[serde(default)]
    dry_run: bool,

    /// Required without `dry_run`, because an erasure cannot be undone.
    #[serde(default)]
    confirm: bool,
}

/// Result of an erasure.
#[derive(Serialize, ToSchema)]
struct ErasureResult {
    /// Number of identities of commits.
    identities: usize,

    /// Number of accounts.
    accounts: usize,

    /// The first 100 identities and accounts by name, in a dry run only.
    #[serde(skip_serializing_if = "Option::is_none")]
    people: Option<Vec<String>>,
}

/// Erase a person from insights for good. Administrators only.
///
/// The work of the person still counts, but belongs to nobody. The request needs `confirm`; `dry_run` lists the people
/// that would be erased. The journal keeps its events until `history.retention` has passed.
#[utoipa::path(post, path = "/insights/identities/erase", tag = "Insights", request_body = Erasure,
    responses((status = 200, body = ErasureResult)))]
async fn erase(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(asked): Input<Erasure>,
) -> Result<Json<ErasureResult>, ApiError> {
    let mut handles = roster::handles(asked.handles)?;
    let known = roster::read(&app).await?;
    let mut members = Vec::new();

    if let Some(id) = asked.member_id {
        let missing = || ApiError::problem(StatusCode::NOT_FOUND, "there is no member with this id");
        known.members().get(&id).ok_or_else(missing)?;

        // Members that are merged with this one are the same person.
        let same = known
            .members()
            .iter()
            .filter(|(other, _)| known.root(**other) == known.root(id));
        for (other, member) in same {
            members.push(*other);
            handles.extend(member.handles.clone());
        }
    }

    if handles.is_empty() {
        return Err(ApiError::field("handles", "give handles, or a member with handles"));
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

    confirmed(asked.confirm, "erasing a person")?;
    app.engine
        .insights
        .change_privacy(decide)
        .await
        .map_err(ApiError::internal)?;

    let forget = |roster: &mut Roster| -> Result<(), ApiError> {
        handles.iter().for_each(|handle| roster.forget(handle));
        emails
            .iter()
            .for_each(|email| roster.forget(&Handle::Email(email.clone())));

        for id in &members {
            if roster.members().contains_key(id) {
                roster.delete_member(*id).map_err(roster::unable)?;
            }
        }

        Ok(())
    };
    roster::change_for_good(&app, forget).await?;

    // The roster before the last change names people too, and is kept so that the change can be undone.
    roster::change_before(&app, forget).await?;

    let (identities, accounts) = app.engine.insights.forget_people().await.map_err(ApiError::internal)?;
    Ok(Json(ErasureResult {
        identities,
        accounts,
        people: None,
    }))
}

/// Lists the people that the given privacy settings erase.
async fn would_be_forgotten(app: &App, privacy: &Privacy, users: &[User]) -> Result<ErasureResult, ApiError> {
    let mut people = Vec::new();
    let mut identities = 0;

    for identity in app.store().find_identities(None).await? {
        if privacy.replacement_of(&identity.author).is_some() {
            identities += 1;
            people.push(format!("{} <{}>", identity.author.name, identity.author.email));
        }
    }

    let mut accounts = 0;
    for user in users {
        if privacy.replacement_of_user(user).is_some() {
            accounts += 1;
            people.push(format!("@{}", user.username));
        }
    }

    people.truncate(MAX_NAMED);
    Ok(ErasureResult {
        identities,
        accounts,
        people: Some(people),
    })
}

/// Finds the e-mail addresses in commits that belong to the person with these handles, including those of the
/// `.mailmap` and GitLab's private addresses.
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
    let theirs = all
        .into_iter()
        .filter(|identity| resolver.author(&identity.author) == Who::Member(one));

    Ok(theirs
        .map(|identity| identity.author.email)
        .filter(|email| !email.is_empty())
        .collect())
}
