//! Members: `/projects/:id/members` and `/groups/:id/members`.

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use quickdraw_domain::access::{AccessLevel, Action};
use quickdraw_store::access::Member;
use serde_json::{Value, json};

use super::page::Listing;
use super::target::Target;
use super::users::{date, day, view as user_view};
use crate::error::ApiError;
use crate::params::Params;
use crate::state::App;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/", get(list).post(add)).route("/{user_id}", get(show).put(edit).delete(remove))
}

/// The members of a scope, for somebody who may see them; and for changes, administer the scope.
struct At(Target);

impl FromRequestParts<Arc<App>> for At {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let action = if parts.method.is_safe() { Action::See } else { Action::Administer };
        Target::read(parts, app, action).await.map(Self)
    }
}

impl At {
    /// Nobody gives or takes a role above their own.
    async fn may_set(&self, app: &App, level: AccessLevel) -> Result<(), ApiError> {
        let actor = &self.0.caller.0;
        let role = app.store().role(self.0.scope, actor.user_id, app.belt.clock().now()).await?;
        if actor.is_admin || role.is_some_and(|role| role >= level) { Ok(()) } else { Err(ApiError::forbidden()) }
    }

    async fn member(&self, app: &App) -> Result<Member, ApiError> {
        let found = app.store().find_member(self.0.scope, self.0.number("user_id")?).await?;
        found.ok_or_else(|| ApiError::not_found("Member"))
    }
}

async fn list(at: At, State(app): State<Arc<App>>, listing: Listing) -> Result<Response, ApiError> {
    let asked = listing.asked()?;
    let members = app.store().list_members(at.0.scope, asked.rows()).await?;
    Ok(listing.answer(&asked, members.total, members.rows.iter().map(|member| view(member, &app))))
}

async fn show(at: At, State(app): State<Arc<App>>) -> Result<Json<Value>, ApiError> {
    Ok(Json(view(&at.member(&app).await?, &app)))
}

async fn add(at: At, State(app): State<Arc<App>>, params: Params) -> Result<(StatusCode, Json<Value>), ApiError> {
    let user = params.integer("user_id")?.ok_or_else(|| ApiError::bad_parameter("user_id is missing"))?;
    if app.store().find_member(at.0.scope, user).await?.is_some() {
        return Err(ApiError::Message(StatusCode::CONFLICT, json!("Member already exists")));
    }
    Ok((StatusCode::CREATED, Json(set(&at, &app, user, &params).await?)))
}

async fn edit(at: At, State(app): State<Arc<App>>, params: Params) -> Result<Json<Value>, ApiError> {
    let member = at.member(&app).await?;
    at.may_set(&app, member.level).await?;
    Ok(Json(set(&at, &app, member.user.id, &params).await?))
}

async fn remove(at: At, State(app): State<Arc<App>>) -> Result<StatusCode, ApiError> {
    let member = at.member(&app).await?;
    at.may_set(&app, member.level).await?;
    app.store().remove_member(at.0.scope, member.user.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn set(at: &At, app: &App, user: i64, params: &Params) -> Result<Value, ApiError> {
    let level = params.integer("access_level")?.ok_or_else(|| ApiError::bad_parameter("access_level is missing"))?;
    let level = AccessLevel::by_number(level)
        .ok_or_else(|| ApiError::bad_parameter("access_level does not have a valid value"))?;
    at.may_set(app, level).await?;
    let expires_at = match params.text("expires_at")?.filter(|text| !text.is_empty()) {
        Some(text) => Some(day(&text).ok_or_else(|| ApiError::bad_parameter("expires_at is invalid"))?),
        None => None,
    };
    Ok(view(&app.store().set_member(at.0.scope, user, level, expires_at).await?, app))
}

fn view(member: &Member, app: &App) -> Value {
    let mut view = user_view(&member.user, &app.external_url, false);
    view["access_level"] = json!(member.level.number());
    view["expires_at"] = json!(member.expires_at.map(date));
    view
}
