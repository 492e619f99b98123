//! Members: `/projects/:id/members` and `/groups/:id/members`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use quickdraw_domain::access::{AccessLevel, Action};
use quickdraw_store::access::MemberFilter;
use quickdraw_store::lists::{Page, Start};
use quickdraw_store::{Error, access};
use serde::Deserialize;
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::page::{Listing, PageQuery};
use super::target::Target;
use crate::error::ApiError;
use crate::params::{Clearable, Day, Level, Line, Params};
use crate::state::App;
use crate::views::Member;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .routes(routes!(list_all))
        .routes(routes!(show_any))
        .routes(routes!(show, edit, remove))
}

/// The members of a scope, for somebody who may see them; and for changes, administer the scope.
struct At(Target);

impl FromRequestParts<Arc<App>> for At {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let action = if parts.method.is_safe() { Action::See } else { Action::Administer };
        let leaves = parts.method == Method::DELETE;
        let target = Target::read(parts, app, if leaves { Action::See } else { action }).await?;
        // Everybody may go.
        if leaves && target.part("user_id") != target.caller.actor.user_id.to_string() {
            target.caller.require(app, target.scope, action).await?;
        }
        Ok(Self(target))
    }
}

impl At {
    async fn may_set(&self, app: &App, level: AccessLevel) -> Result<(), ApiError> {
        self.0.may_give(app, level).await
    }

    async fn member(&self, app: &App) -> Result<access::Member, ApiError> {
        let found = app.store().find_member(self.0.scope, self.0.number("user_id")?).await?;
        found.ok_or_else(|| ApiError::not_found("Member"))
    }
}

/// What a list of members is narrowed to.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct MemberQuery {
    /// Only those with this in login or name; for administrators, in the address too.
    #[param(inline)]
    query: Option<Line<255>>,
    /// Only the users with these numbers.
    #[param(value_type = Option<String>)]
    user_ids: Option<Vec<i64>>,
    /// Not the users with these numbers.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    skip_users: Vec<i64>,
}

impl At {
    fn filter(&self, listing: &Listing) -> Result<MemberFilter, ApiError> {
        let MemberQuery { query, user_ids, skip_users } = listing.params.read()?;
        let by_email = self.0.caller.actor.is_admin;
        Ok(MemberFilter { search: query.map(|text| text.0), by_email, users: user_ids, without: skip_users })
    }
}

/// List the direct members. Members.
#[utoipa::path(get, path = "/", tag = "Members", params(PageQuery, MemberQuery),
    responses((status = 200, body = [Member])))]
async fn list(at: At, State(app): State<Arc<App>>, listing: Listing) -> Result<Response, ApiError> {
    let page = listing.asked()?;
    let members = app.store().list_members(at.0.scope, at.filter(&listing)?, page).await?;
    Ok(listing.answer(page, &members, |member| member.user.id, |member| Member::new(member, &app.external_url)))
}

/// List all members, those of the groups above among them, each with the highest role. Members.
#[utoipa::path(get, path = "/all", tag = "Members", params(PageQuery, MemberQuery),
    responses((status = 200, body = [Member])))]
async fn list_all(at: At, State(app): State<Arc<App>>, listing: Listing) -> Result<Response, ApiError> {
    let page = listing.asked()?;
    let (filter, now) = (at.filter(&listing)?, app.now());
    let members = app.store().list_all_members(at.0.scope, now, filter, page).await?;
    Ok(listing.answer(page, &members, |member| member.user.id, |member| Member::new(member, &app.external_url)))
}

/// Show a member of the scope or of a group above, with the highest role. Members.
#[utoipa::path(get, path = "/all/{user_id}", tag = "Members", responses((status = 200, body = Member)))]
async fn show_any(at: At, State(app): State<Arc<App>>) -> Result<Json<Member>, ApiError> {
    let filter = MemberFilter { users: Some(vec![at.0.number("user_id")?]), ..MemberFilter::default() };
    let page = Page { start: Start::Offset(0), limit: 1 };
    let found = app.store().list_all_members(at.0.scope, app.now(), filter, page).await?.rows;
    let member = found.first().ok_or_else(|| ApiError::not_found("Member"))?;
    Ok(Json(Member::new(member, &app.external_url)))
}

/// Show a direct member. Members.
#[utoipa::path(get, path = "/{user_id}", tag = "Members", responses((status = 200, body = Member)))]
async fn show(at: At, State(app): State<Arc<App>>) -> Result<Json<Member>, ApiError> {
    Ok(Json(Member::new(&at.member(&app).await?, &app.external_url)))
}

/// Who becomes a member.
#[derive(Deserialize, ToSchema)]
struct MemberToAdd {
    /// The user's number.
    user_id: i64,
    /// As what.
    access_level: Level,
    /// The day on which it ends.
    expires_at: Option<Day>,
}

/// Make somebody a member. Maintainers of a project, owners of a group; nobody gives a role above their own.
#[utoipa::path(post, path = "/", tag = "Members", request_body = MemberToAdd,
    responses((status = 201, body = Member)))]
async fn add(at: At, State(app): State<Arc<App>>, params: Params) -> Result<(StatusCode, Json<Member>), ApiError> {
    let MemberToAdd { user_id, access_level, expires_at } = params.read()?;
    at.may_set(&app, access_level.0).await?;
    // Whoever manages a bot's project can take its place: it must not reach further than that.
    let user = app.store().find_user(user_id).await?.ok_or_else(|| ApiError::not_found("User"))?;
    if user.bot_of.is_some() {
        return Err(ApiError::bad_parameter(
            "user_id is that of a bot, which belongs to its own project or group only",
        ));
    }
    let ends = expires_at.map(|day| day.0);
    let made =
        app.store().add_member(at.0.scope, user_id, access_level.0, ends).await.map_err(|error| match error {
            Error::Taken(_) => ApiError::Message(StatusCode::CONFLICT, json!("Member already exists")),
            other => other.into(),
        })?;
    Ok((StatusCode::CREATED, Json(Member::new(&made, &app.external_url))))
}

/// What a member becomes.
#[derive(Deserialize, ToSchema)]
struct MemberToChange {
    /// As what.
    access_level: Level,
    /// The day on which it ends; absent, it stays as it is.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Date)]
    expires_at: Clearable<Day>,
}

/// Change a member's role. As making them one.
#[utoipa::path(put, path = "/{user_id}", tag = "Members", request_body = MemberToChange,
    responses((status = 200, body = Member)))]
async fn edit(at: At, State(app): State<Arc<App>>, params: Params) -> Result<Json<Member>, ApiError> {
    let member = at.member(&app).await?;
    at.may_set(&app, member.level).await?;
    let MemberToChange { access_level, expires_at } = params.read()?;
    at.may_set(&app, access_level.0).await?;
    let ends = match expires_at.0 {
        Some(day) => day.map(|day| day.0),
        None => member.expires_at,
    };
    let changed = app.store().set_member(at.0.scope, member.user.id, access_level.0, ends).await?;
    Ok(Json(Member::new(&changed, &app.external_url)))
}

/// End a membership. As making them one; everybody may end their own.
#[utoipa::path(delete, path = "/{user_id}", tag = "Members", responses((status = 204)))]
async fn remove(at: At, State(app): State<Arc<App>>) -> Result<StatusCode, ApiError> {
    let member = at.member(&app).await?;
    at.may_set(&app, member.level).await?;
    app.store().remove_member(at.0.scope, member.user.id).await?;
    Ok(StatusCode::NO_CONTENT)
}
