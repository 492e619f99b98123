//! The roster: members with their handles, and teams with dates.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use quickdraw_insights::roster::{Enrolment, Handle, Member, Roster, RosterError, Team};
use quickdraw_store::documents::{self, Document};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::whole::WholeQuery;
use crate::auth::Admin;
use crate::error::ApiError;
use crate::params::{Input, Line, Params};
use crate::state::App;
use crate::views::Page;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(undo))
        .routes(routes!(list_members, add_member))
        .routes(routes!(edit_member, delete_member))
        .routes(routes!(merge, unmerge))
        .routes(routes!(list_teams, add_team))
        .routes(routes!(delete_team))
        .routes(routes!(enrol))
        .routes(routes!(leave))
}

pub(super) async fn read(app: &App) -> Result<Roster, ApiError> {
    Ok(documents::read(app.store(), Document::Roster).await?)
}

/// Changes the roster, and keeps the one before for an undo. A concurrent change is never overwritten: the closure
/// then runs again on the newer roster.
pub(super) async fn change<T>(
    app: &App,
    then: impl Fn(&mut Roster) -> Result<T, ApiError>,
) -> Result<(Roster, T), ApiError> {
    let (roster, (before, made)) = change_for_good(app, |roster| Ok((roster.clone(), then(roster)?))).await?;
    keep_before(app, Some(before)).await?;
    Ok((roster, made))
}

/// Changes the roster like `change`, but without an undo.
pub(super) async fn change_for_good<T>(
    app: &App,
    then: impl Fn(&mut Roster) -> Result<T, ApiError>,
) -> Result<(Roster, T), ApiError> {
    let changed = documents::change(app.store(), Document::Roster, |roster| then(roster).map(Some));
    let conflict = || {
        ApiError::problem(
            StatusCode::CONFLICT,
            "other requests are changing the roster; try again",
        )
    };
    changed.await?.ok_or_else(conflict)
}

/// Keeps the roster of before a change for an undo.
pub(super) async fn keep_before(app: &App, before: Option<Roster>) -> Result<(), ApiError> {
    let kept = documents::change(app.store(), Document::RosterBefore, |known: &mut Option<Roster>| {
        known.clone_from(&before);
        Ok::<_, ApiError>(Some(()))
    });
    kept.await.map(drop)
}

/// Changes the roster that is kept for an undo, if there is one.
pub(super) async fn change_before(
    app: &App,
    then: impl Fn(&mut Roster) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    let kept = documents::change(
        app.store(),
        Document::RosterBefore,
        |known: &mut Option<Roster>| match known {
            Some(before) => then(before).map(Some),
            None => Ok(Some(())),
        },
    );

    let conflict = || {
        ApiError::problem(
            StatusCode::CONFLICT,
            "other requests are changing the roster; try again",
        )
    };
    kept.await?.map(drop).ok_or_else(conflict)
}

/// Undo the last change of members, teams, marks or the `.mailmap`. Administrators only.
///
/// A second undo restores the change.
#[utoipa::path(post, path = "/insights/identities/undo", tag = "Insights", responses((status = 204),
    (status = 404, description = "There is no change to undo.")))]
async fn undo(_: Admin, State(app): State<Arc<App>>, _: Params) -> Result<StatusCode, ApiError> {
    let before: Option<Roster> = documents::read(app.store(), Document::RosterBefore).await?;
    let missing = || ApiError::problem(StatusCode::NOT_FOUND, "there is no change to undo");
    let roster = before.ok_or_else(missing)?;

    change(&app, |known| {
        *known = roster.clone();
        Ok(())
    })
    .await?;

    Ok(StatusCode::NO_CONTENT)
}

pub(super) fn unable(error: RosterError) -> ApiError {
    ApiError::problem(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
}

/// Parses handles.
pub(super) fn handles(texts: Vec<String>) -> Result<BTreeSet<Handle>, ApiError> {
    texts
        .into_iter()
        .map(|text| Handle::try_from(text).map_err(unable))
        .collect()
}

/// A member of the roster.
#[derive(Serialize, ToSchema)]
struct MemberView {
    /// Id of the member.
    id: i64,

    /// Display name.
    name: String,

    /// Handles by which events name the member: e-mail addresses such as `ida@example.com`, usernames such as `@ida`,
    /// account ids such as `#77`.
    handles: Vec<String>,

    /// Id of the member that this one is merged into, until they are separated again.
    merged_into: Option<i64>,
}

impl From<(&i64, &Member)> for MemberView {
    fn from((id, member): (&i64, &Member)) -> Self {
        let handles = member.handles.iter().cloned().map(String::from).collect();
        Self {
            id: *id,
            name: member.name.clone(),
            handles,
            merged_into: member.merged_into,
        }
    }
}

/// A member to create.
#[derive(Deserialize, ToSchema)]
struct NewMember {
    /// Display name.
    #[schema(value_type = String, max_length = 255)]
    name: Line<255>,

    /// Handles: e-mail addresses such as `ida@example.com`, usernames such as `@ida`, account ids such as `#77`. A
    /// handle belongs to one member only.
    #[serde(default)]
    handles: Vec<String>,
}

/// Changes to a member. Absent fields stay as they are.
#[derive(Deserialize, ToSchema)]
struct MemberChange {
    /// Display name.
    #[schema(value_type = Option<String>, max_length = 255)]
    name: Option<Line<255>>,

    /// All handles, which replace the existing ones.
    handles: Option<Vec<String>>,
}

/// The target of a merge.
#[derive(Deserialize, ToSchema)]
struct MergeInto {
    /// Id of the member to merge into.
    into: i64,
}

/// List the members of the roster. Administrators only.
#[utoipa::path(get, path = "/insights/members", tag = "Insights", params(WholeQuery),
    responses((status = 200, body = Page<MemberView>)))]
async fn list_members(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(query): Input<WholeQuery>,
) -> Result<Json<Page<MemberView>>, ApiError> {
    let roster = read(&app).await?;
    let page = query.page(roster.members().iter(), |(id, _)| **id, MemberView::from)?;
    Ok(Json(page))
}

/// Create a member of the roster. Administrators only.
///
/// Earlier work under the handles of the member counts for the member immediately.
#[utoipa::path(post, path = "/insights/members", tag = "Insights", request_body = NewMember,
    responses((status = 201, body = MemberView)))]
async fn add_member(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(new): Input<NewMember>,
) -> Result<(StatusCode, Json<MemberView>), ApiError> {
    let handles = handles(new.handles)?;
    let (roster, id) = change(&app, |roster| {
        roster.add_member(&new.name.0, handles.clone()).map_err(unable)
    })
    .await?;

    Ok((StatusCode::CREATED, Json(one(&roster, id)?)))
}

/// Change a member of the roster. Administrators only.
#[utoipa::path(put, path = "/insights/members/{member_id}", tag = "Insights", request_body = MemberChange,
    responses((status = 200, body = MemberView)))]
async fn edit_member(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Input(asked): Input<MemberChange>,
) -> Result<Json<MemberView>, ApiError> {
    let id = existing(&app, &id).await?;
    let handles = asked.handles.map(handles).transpose()?;
    let name = asked.name.as_ref().map(|name| name.0.as_str());
    let (roster, ()) = change(&app, |roster| {
        roster.change_member(id, name, handles.clone()).map_err(unable)
    })
    .await?;

    Ok(Json(one(&roster, id)?))
}

/// Delete a member of the roster. Administrators only.
///
/// The work of the member still counts, but is unmatched.
#[utoipa::path(delete, path = "/insights/members/{member_id}", tag = "Insights", responses((status = 204)))]
async fn delete_member(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    _: Params,
) -> Result<StatusCode, ApiError> {
    let id = existing(&app, &id).await?;
    change(&app, |roster| roster.delete_member(id).map_err(unable)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Merge a member into another member. Administrators only.
///
/// Both members keep their handles and teams, so that the merge can be undone.
#[utoipa::path(post, path = "/insights/members/{member_id}/merge", tag = "Insights", request_body = MergeInto,
    responses((status = 200, body = MemberView)))]
async fn merge(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Input(asked): Input<MergeInto>,
) -> Result<Json<MemberView>, ApiError> {
    let id = existing(&app, &id).await?;
    let (roster, ()) = change(&app, |roster| roster.merge(id, asked.into).map_err(unable)).await?;
    Ok(Json(one(&roster, id)?))
}

/// Separate a merged member again. Administrators only.
#[utoipa::path(delete, path = "/insights/members/{member_id}/merge", tag = "Insights",
    responses((status = 200, body = MemberView)))]
async fn unmerge(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    _: Params,
) -> Result<Json<MemberView>, ApiError> {
    let id = existing(&app, &id).await?;
    let (roster, ()) = change(&app, |roster| roster.unmerge(id).map_err(unable)).await?;
    Ok(Json(one(&roster, id)?))
}

async fn existing(app: &App, id: &str) -> Result<i64, ApiError> {
    let roster = read(app).await?;
    let known = id.parse().ok().filter(|id| roster.members().contains_key(id));
    known.ok_or_else(|| ApiError::problem(StatusCode::NOT_FOUND, "there is no member with this id"))
}

fn one(roster: &Roster, id: i64) -> Result<MemberView, ApiError> {
    let member = roster.members().get_key_value(&id).map(MemberView::from);
    member.ok_or_else(|| ApiError::problem(StatusCode::NOT_FOUND, "there is no member with this id"))
}

/// A team of the roster.
#[derive(Serialize, ToSchema)]
struct TeamView {
    /// Id of the team.
    id: i64,

    /// Display name.
    name: String,

    /// Members of the team, with dates.
    people: Vec<EnrolmentView>,
}

/// A period in which a member belongs to a team.
#[derive(Serialize, ToSchema)]
struct EnrolmentView {
    /// Id of the member.
    member_id: i64,

    /// First day; null if it has no beginning.
    #[schema(format = Date)]
    from: Option<String>,

    /// Day after the last day; null if it has no end.
    #[schema(format = Date)]
    to: Option<String>,
}

impl From<(&i64, &Team)> for TeamView {
    fn from((id, team): (&i64, &Team)) -> Self {
        let view = |one: &Enrolment| EnrolmentView {
            member_id: one.member,
            from: one.from.map(|day| day.to_string()),
            to: one.to.map(|day| day.to_string()),
        };

        Self {
            id: *id,
            name: team.name.clone(),
            people: team.people.iter().map(view).collect(),
        }
    }
}

/// A team to create.
#[derive(Deserialize, ToSchema)]
struct NewTeam {
    /// Display name.
    #[schema(value_type = String, max_length = 255)]
    name: Line<255>,
}

/// A member to add to a team.
#[derive(Deserialize, ToSchema)]
struct NewEnrolment {
    /// Id of the member.
    member_id: i64,

    /// First day. Default: no beginning.
    #[schema(format = Date)]
    from: Option<String>,

    /// Day after the last day. Default: no end.
    #[schema(format = Date)]
    to: Option<String>,
}

/// List the teams of the roster. Administrators only.
#[utoipa::path(get, path = "/insights/teams", tag = "Insights", params(WholeQuery),
    responses((status = 200, body = Page<TeamView>)))]
async fn list_teams(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(query): Input<WholeQuery>,
) -> Result<Json<Page<TeamView>>, ApiError> {
    let roster = read(&app).await?;
    let page = query.page(roster.teams().iter(), |(id, _)| **id, TeamView::from)?;
    Ok(Json(page))
}

/// Create a team of the roster. Administrators only.
#[utoipa::path(post, path = "/insights/teams", tag = "Insights", request_body = NewTeam,
    responses((status = 201, body = TeamView)))]
async fn add_team(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(new): Input<NewTeam>,
) -> Result<(StatusCode, Json<TeamView>), ApiError> {
    let (roster, id) = change(&app, |roster| roster.add_team(&new.name.0).map_err(unable)).await?;
    Ok((StatusCode::CREATED, Json(team(&roster, id)?)))
}

/// Delete a team of the roster. Administrators only.
///
/// Its members stay in the roster.
#[utoipa::path(delete, path = "/insights/teams/{team_id}", tag = "Insights", responses((status = 204)))]
async fn delete_team(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    _: Params,
) -> Result<StatusCode, ApiError> {
    let id = existing_team(&app, &id).await?;
    change(&app, |roster| roster.delete_team(id).map_err(unable)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Add a member to a team for a period. Administrators only.
///
/// Work of the member in this period counts for the team.
#[utoipa::path(post, path = "/insights/teams/{team_id}/members", tag = "Insights", request_body = NewEnrolment,
    responses((status = 201, body = TeamView)))]
async fn enrol(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Input(new): Input<NewEnrolment>,
) -> Result<(StatusCode, Json<TeamView>), ApiError> {
    let id = existing_team(&app, &id).await?;
    let day = |name: &str, text: Option<&String>| {
        let read = |text: &String| {
            text.parse()
                .map_err(|_| ApiError::field(name, format!("{name} is not a date, such as 2026-05-01")))
        };
        text.map(read).transpose()
    };
    let (from, to) = (day("from", new.from.as_ref())?, day("to", new.to.as_ref())?);

    let enrolment = Enrolment {
        member: new.member_id,
        from,
        to,
    };
    let (roster, ()) = change(&app, |roster| roster.enrol(id, enrolment.clone()).map_err(unable)).await?;
    Ok((StatusCode::CREATED, Json(team(&roster, id)?)))
}

/// Remove a member from a team, for the past too. Administrators only.
#[utoipa::path(delete, path = "/insights/teams/{team_id}/members/{member_id}", tag = "Insights",
    responses((status = 204)))]
async fn leave(
    _: Admin,
    State(app): State<Arc<App>>,
    Path((id, member)): Path<(String, String)>,
    _: Params,
) -> Result<StatusCode, ApiError> {
    let (id, member) = (existing_team(&app, &id).await?, existing(&app, &member).await?);
    change(&app, |roster| roster.leave(id, member).map_err(unable)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn existing_team(app: &App, id: &str) -> Result<i64, ApiError> {
    let roster = read(app).await?;
    let known = id.parse().ok().filter(|id| roster.teams().contains_key(id));
    known.ok_or_else(|| ApiError::problem(StatusCode::NOT_FOUND, "there is no team with this id"))
}

fn team(roster: &Roster, id: i64) -> Result<TeamView, ApiError> {
    let team = roster.teams().get_key_value(&id).map(TeamView::from);
    team.ok_or_else(|| ApiError::problem(StatusCode::NOT_FOUND, "there is no team with this id"))
}
