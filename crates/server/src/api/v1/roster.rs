//! Who is who: members with their handles, and teams with dates.

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

use super::invalid;
use crate::auth::Admin;
use crate::error::ApiError;
use crate::params::{Input, Line, Params};
use crate::state::App;

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

/// The roster.
pub(super) async fn read(app: &App) -> Result<Roster, ApiError> {
    Ok(documents::read(app.store(), Document::Roster).await?)
}

/// Changes the roster, unless somebody else did meanwhile; then what they wrote.
pub(super) async fn change<T>(
    app: &App,
    then: impl Fn(&mut Roster) -> Result<T, ApiError>,
) -> Result<(Roster, T), ApiError> {
    let (roster, (before, made)) = change_for_good(app, |roster| Ok((roster.clone(), then(roster)?))).await?;
    keep_before(app, Some(before)).await?;
    Ok((roster, made))
}

/// The same, where nobody takes it back.
pub(super) async fn change_for_good<T>(
    app: &App,
    then: impl Fn(&mut Roster) -> Result<T, ApiError>,
) -> Result<(Roster, T), ApiError> {
    let changed = documents::change(app.store(), Document::Roster, |roster| then(roster).map(Some));
    let conflict = || ApiError::problem(StatusCode::CONFLICT, "others are changing who is who; try again");
    changed.await?.ok_or_else(conflict)
}

/// Keeps what was before a change, for whoever takes it back.
pub(super) async fn keep_before(app: &App, before: Option<Roster>) -> Result<(), ApiError> {
    let kept = documents::change(app.store(), Document::RosterBefore, |known: &mut Option<Roster>| {
        known.clone_from(&before);
        Ok::<_, ApiError>(Some(()))
    });
    kept.await.map(drop)
}

/// Changes what is kept of the time before the last change, if something is.
pub(super) async fn change_before(
    app: &App,
    then: impl Fn(&mut Roster) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    let kept = documents::change(app.store(), Document::RosterBefore, |known: &mut Option<Roster>| match known {
        Some(before) => then(before).map(Some),
        None => Ok(Some(())),
    });
    let conflict = || ApiError::problem(StatusCode::CONFLICT, "others are changing who is who; try again");
    kept.await?.map(drop).ok_or_else(conflict)
}

/// Take the last change of members, teams, marks and the `.mailmap` back; the same again makes it anew. Administrators.
#[utoipa::path(post, path = "/insights/identities/undo", tag = "Insights", responses((status = 204),
    (status = 404, description = "There is no change that could be taken back.")))]
async fn undo(_: Admin, State(app): State<Arc<App>>, _: Params) -> Result<StatusCode, ApiError> {
    let before: Option<Roster> = documents::read(app.store(), Document::RosterBefore).await?;
    let missing = || ApiError::problem(StatusCode::NOT_FOUND, "there is no change that could be taken back");
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

/// Reads handles.
pub(super) fn handles(texts: Vec<String>) -> Result<BTreeSet<Handle>, ApiError> {
    texts.into_iter().map(|text| Handle::try_from(text).map_err(unable)).collect()
}

/// A member, for what is counted.
#[derive(Serialize, ToSchema)]
struct MemberView {
    /// Its number.
    id: i64,
    /// Shown name.
    name: String,
    /// What events know it by: addresses as `ida@example.com`, usernames as `@ida`, numbers of users as `#77`.
    handles: Vec<String>,
    /// It is this other one, until they are taken apart again.
    merged_into: Option<i64>,
}

impl From<(&i64, &Member)> for MemberView {
    fn from((id, member): (&i64, &Member)) -> Self {
        let handles = member.handles.iter().cloned().map(String::from).collect();
        Self { id: *id, name: member.name.clone(), handles, merged_into: member.merged_into }
    }
}

/// A member to be made.
#[derive(Deserialize, ToSchema)]
struct NewMember {
    /// Shown name.
    #[schema(value_type = String, max_length = 255)]
    name: Line<255>,
    /// Addresses as `ida@example.com`, usernames as `@ida`, numbers of users as `#77`. Each is one member's only.
    #[serde(default)]
    handles: Vec<String>,
}

/// What is to be changed of a member; absent attributes stay.
#[derive(Deserialize, ToSchema)]
struct MemberChange {
    /// Shown name.
    #[schema(value_type = Option<String>, max_length = 255)]
    name: Option<Line<255>>,
    /// All handles, in place of those that it has.
    handles: Option<Vec<String>>,
}

/// Whom a member is merged into.
#[derive(Deserialize, ToSchema)]
struct MergeInto {
    /// The member that it is.
    into: i64,
}

/// List the members for what is counted. Administrators.
#[utoipa::path(get, path = "/insights/members", tag = "Insights", responses((status = 200, body = [MemberView])))]
async fn list_members(_: Admin, State(app): State<Arc<App>>) -> Result<Json<Vec<MemberView>>, ApiError> {
    let roster = read(&app).await?;
    Ok(Json(roster.members().iter().map(MemberView::from).collect()))
}

/// Add a member for what is counted. What its handles did before is its own at once. Administrators.
#[utoipa::path(post, path = "/insights/members", tag = "Insights", request_body = NewMember,
    responses((status = 201, body = MemberView)))]
async fn add_member(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(new): Input<NewMember>,
) -> Result<(StatusCode, Json<MemberView>), ApiError> {
    let handles = handles(new.handles)?;
    let (roster, id) = change(&app, |roster| roster.add_member(&new.name.0, handles.clone()).map_err(unable)).await?;
    Ok((StatusCode::CREATED, Json(one(&roster, id)?)))
}

/// Change a member. Administrators.
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
    let (roster, ()) = change(&app, |roster| roster.change_member(id, name, handles.clone()).map_err(unable)).await?;
    Ok(Json(one(&roster, id)?))
}

/// Delete a member. What it did stays, unmatched. Administrators.
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

/// Say that a member is another one. Nothing of either is lost. Administrators.
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

/// Say that a member is somebody again. Administrators.
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
    known.ok_or_else(|| ApiError::problem(StatusCode::NOT_FOUND, "there is no member with this number"))
}

fn one(roster: &Roster, id: i64) -> Result<MemberView, ApiError> {
    let member = roster.members().get_key_value(&id).map(MemberView::from);
    member.ok_or_else(|| ApiError::problem(StatusCode::NOT_FOUND, "there is no member with this number"))
}

/// A team, for what is counted.
#[derive(Serialize, ToSchema)]
struct TeamView {
    /// Its number.
    id: i64,
    /// Shown name.
    name: String,
    /// Who is in it, and when.
    people: Vec<EnrolmentView>,
}

/// When somebody is in a team.
#[derive(Serialize, ToSchema)]
struct EnrolmentView {
    /// The member's number.
    member_id: i64,
    /// First day; null for always.
    #[schema(format = Date)]
    from: Option<String>,
    /// First day that is no longer one; null for ever.
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
        Self { id: *id, name: team.name.clone(), people: team.people.iter().map(view).collect() }
    }
}

/// A team to be made.
#[derive(Deserialize, ToSchema)]
struct NewTeam {
    /// Shown name.
    #[schema(value_type = String, max_length = 255)]
    name: Line<255>,
}

/// Who comes into a team.
#[derive(Deserialize, ToSchema)]
struct NewEnrolment {
    /// The member's number.
    member_id: i64,
    /// First day; without it, always.
    #[schema(format = Date)]
    from: Option<String>,
    /// First day that is no longer one; without it, for ever.
    #[schema(format = Date)]
    to: Option<String>,
}

/// List the teams for what is counted. Administrators.
#[utoipa::path(get, path = "/insights/teams", tag = "Insights", responses((status = 200, body = [TeamView])))]
async fn list_teams(_: Admin, State(app): State<Arc<App>>) -> Result<Json<Vec<TeamView>>, ApiError> {
    let roster = read(&app).await?;
    Ok(Json(roster.teams().iter().map(TeamView::from).collect()))
}

/// Add a team for what is counted. Administrators.
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

/// Delete a team. Its people stay members. Administrators.
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

/// Put a member into a team, for some time. What they do counts for it on those days. Administrators.
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
        let read =
            |text: &String| text.parse().map_err(|_| invalid(format!("{name} is not a date, such as 2026-05-01")));
        text.map(read).transpose()
    };
    let (from, to) = (day("from", new.from.as_ref())?, day("to", new.to.as_ref())?);
    let enrolment = Enrolment { member: new.member_id, from, to };
    let (roster, ()) = change(&app, |roster| roster.enrol(id, enrolment.clone()).map_err(unable)).await?;
    Ok((StatusCode::CREATED, Json(team(&roster, id)?)))
}

/// Take a member out of a team, as if they had never been in it. Administrators.
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
    known.ok_or_else(|| ApiError::problem(StatusCode::NOT_FOUND, "there is no team with this number"))
}

fn team(roster: &Roster, id: i64) -> Result<TeamView, ApiError> {
    let team = roster.teams().get_key_value(&id).map(TeamView::from);
    team.ok_or_else(|| ApiError::problem(StatusCode::NOT_FOUND, "there is no team with this number"))
}
