//! Members: `/projects/:id/members` and `/groups/:id/members`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use quickdraw_domain::access::{AccessLevel, Action};
use quickdraw_domain::directory::{Change, MemberChange};
use quickdraw_store::access::MemberFilter;
use quickdraw_store::lists::{Page, Start};
use quickdraw_store::{Error, access};
use serde::Deserialize;
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::changes::{self, Holder};
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

/// The members of a scope, for a caller who can see them, or administer the scope for changes.
struct At(Target);

impl FromRequestParts<Arc<App>> for At {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let action = if parts.method.is_safe() {
            Action::See
        } else {
            Action::Administer
        };

        let leaves = parts.method == Method::DELETE;
        let target = Target::read(parts, app, if leaves { Action::See } else { action }).await?;
        // Every member can leave.
        if leaves && target.part("user_id") != target.caller.actor.user_id.to_string() {
            target.caller.require(target.scope, action).await?;
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

    /// Reports a change of a member, which is already carried out: a failure is logged.
    async fn report(&self, app: &App, member: &access::Member, change: MemberChange) {
        let Some(holder) = Holder::find(app, self.0.scope).await else {
            return;
        };

        let change = Change::Member(change, changes::membership(member, holder.of()));
        changes::report(app, &self.0.caller.actor, &[change]).await;
    }
}

/// Filters of a list of members.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct MemberQuery {
    /// Only users with this text in their username or name; for administrators, in their e-mail address too.
    #[param(inline)]
    query: Option<Line<255>>,

    /// Only users with these ids.
    #[param(value_type = Option<String>)]
    user_ids: Option<Vec<i64>>,

    /// Exclude users with these ids.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    skip_users: Vec<i64>,
}

impl At {
    fn filter(&self, listing: &Listing) -> Result<MemberFilter, ApiError> {
        let MemberQuery {
            query,
            user_ids,
            skip_users,
        } = listing.params.read()?;

        let by_email = self.0.caller.actor.is_admin;
        Ok(MemberFilter {
            search: query.map(|text| text.0),
            by_email,
            users: user_ids,
            without: skip_users,
        })
    }
}

/// List the direct members. Members and administrators.
#[utoipa::path(get, path = "/", tag = "Members", params(PageQuery, MemberQuery),
    responses((status = 200, body = [Member])))]
async fn list(at: At, State(app): State<Arc<App>>, listing: Listing) -> Result<Response, ApiError> {
    let page = listing.asked()?;
    let members = app.store().list_members(at.0.scope, at.filter(&listing)?, page).await?;

    Ok(listing.answer(
        page,
        &members,
        |member| member.user.id,
        |member| Member::new(member, &app.external_url),
    ))
}

/// List all members, including those inherited from parent groups, each with the highest role. Members and
/// administrators.
#[utoipa::path(get, path = "/all", tag = "Members", params(PageQuery, MemberQuery),
    responses((status = 200, body = [Member])))]
async fn list_all(at: At, State(app): State<Arc<App>>, listing: Listing) -> Result<Response, ApiError> {
    let page = listing.asked()?;
    let (filter, now) = (at.filter(&listing)?, app.now());
    let members = app.store().list_all_members(at.0.scope, now, filter, page).await?;

    Ok(listing.answer(
        page,
        &members,
        |member| member.user.id,
        |member| Member::new(member, &app.external_url),
    ))
}

/// Show a direct or inherited member with the highest role. Members and administrators.
#[utoipa::path(get, path = "/all/{user_id}", tag = "Members", responses((status = 200, body = Member)))]
async fn show_any(at: At, State(app): State<Arc<App>>) -> Result<Json<Member>, ApiError> {
    let filter = MemberFilter {
        users: Some(vec![at.0.number("user_id")?]),
        ..MemberFilter::default()
    };

    let page = Page {
        start: Start::Offset(0),
        limit: 1,
    };

    let found = app
        .store()
        .list_all_members(at.0.scope, app.now(), filter, page)
        .await?
        .rows;
    let member = found.first().ok_or_else(|| ApiError::not_found("Member"))?;
    Ok(Json(Member::new(member, &app.external_url)))
}

/// Show a direct member. Members and administrators.
#[utoipa::path(get, path = "/{user_id}", tag = "Members", responses((status = 200, body = Member)))]
async fn show(at: At, State(app): State<Arc<App>>) -> Result<Json<Member>, ApiError> {
    Ok(Json(Member::new(&at.member(&app).await?, &app.external_url)))
}

/// A member to add.
#[derive(Deserialize, ToSchema)]
struct MemberToAdd {
    /// Id of the user.
    user_id: i64,

    /// Role of the member.
    access_level: Level,

    /// Day on which the membership ends.
    expires_at: Option<Day>,
}

/// Add a member. Maintainers of the project, owners of the group, and administrators.
///
/// A caller cannot give a role above their own.
#[utoipa::path(post, path = "/", tag = "Members", request_body = MemberToAdd,
    responses((status = 201, body = Member)))]
async fn add(at: At, State(app): State<Arc<App>>, params: Params) -> Result<(StatusCode, Json<Member>), ApiError> {
    let MemberToAdd {
        user_id,
        access_level,
        expires_at,
    } = params.read()?;

    at.may_set(&app, access_level.0).await?;

    // A caller who manages a bot's project can use its tokens, so the bot must not get access to more than this
    // project.
    let user = app
        .store()
        .find_user(user_id)
        .await?
        .ok_or_else(|| ApiError::not_found("User"))?;

    if user.bot_of.is_some() {
        return Err(ApiError::bad_parameter(
            "user_id is a bot, which can only be a member of its own project or group",
        ));
    }

    let ends = expires_at.map(|day| day.0);
    let made = app
        .store()
        .add_member(at.0.scope, user_id, access_level.0, ends)
        .await
        .map_err(|error| match error {
            Error::Taken(_) => ApiError::Message(StatusCode::CONFLICT, json!("Member already exists")),
            other => other.into(),
        })?;
    at.report(&app, &made, MemberChange::Added).await;

    Ok((StatusCode::CREATED, Json(Member::new(&made, &app.external_url))))
}

/// Changes to a member.
#[derive(Deserialize, ToSchema)]
struct MemberToChange {
    /// Role of the member.
    access_level: Level,

    /// Day on which the membership ends. If absent, it stays as it is.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Date)]
    expires_at: Clearable<Day>,
}

/// Change the role of a member. Maintainers of the project, owners of the group, and administrators.
///
/// A caller cannot give a role above their own, or change a member whose role is above their own.
#[utoipa::path(put, path = "/{user_id}", tag = "Members", request_body = MemberToChange,
    responses((status = 200, body = Member)))]
async fn edit(at: At, State(app): State<Arc<App>>, params: Params) -> Result<Json<Member>, ApiError> {
    let member = at.member(&app).await?;
    at.may_set(&app, member.level).await?;

    let MemberToChange {
        access_level,
        expires_at,
    } = params.read()?;

    at.may_set(&app, access_level.0).await?;

    let ends = expires_at.0.map(|day| day.0).apply(member.expires_at);
    let changed = app
        .store()
        .set_member(at.0.scope, member.user.id, access_level.0, ends)
        .await?;
    if (changed.level, changed.expires_at) != (member.level, member.expires_at) {
        at.report(&app, &changed, MemberChange::Changed).await;
    }

    Ok(Json(Member::new(&changed, &app.external_url)))
}

/// Remove a member. Maintainers of the project, owners of the group, and administrators.
///
/// Every member can remove themselves.
#[utoipa::path(delete, path = "/{user_id}", tag = "Members", responses((status = 204)))]
async fn remove(at: At, State(app): State<Arc<App>>, _: Params) -> Result<StatusCode, ApiError> {
    let member = at.member(&app).await?;
    at.may_set(&app, member.level).await?;
    if app.store().remove_member(at.0.scope, member.user.id).await? {
        at.report(&app, &member, MemberChange::Removed).await;
    }

    Ok(StatusCode::NO_CONTENT)
}
