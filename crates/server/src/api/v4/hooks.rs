//! Hooks at three levels: `/api/v4/projects/:id/hooks`, `/groups/:id/hooks` and `/hooks`.

mod log;
mod read;
mod test;
mod values;

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use quickdraw_domain::HookId;
use quickdraw_domain::access::Action;
use quickdraw_domain::guard::judge_url;
use quickdraw_domain::hook::edit::EditError;
use quickdraw_domain::hook::{Hook, HookEdit, HookUrl};
use quickdraw_domain::scope::Scope;
use quickdraw_store::Error;
use quickdraw_store::hooks::HookWithHealth;
use serde_json::{Value, json};

use super::groups::refresh;
use super::page::Listing;
use super::target::Target;
use crate::error::ApiError;
use crate::params::Params;
use crate::state::App;
use crate::views;

/// Most system hooks. GitLab has no limit there; this is one that nobody meets by intent.
const MOST_ON_INSTANCE: i64 = 1000;
/// How often a change is tried again when somebody else changed the hook meanwhile.
const TRIES: usize = 5;

/// The same for projects and groups; what comes before the collection names the level.
pub(crate) fn routes() -> Router<Arc<App>> {
    settings()
        .route("/{hook_id}", get(show).put(edit).delete(delete))
        .route("/{hook_id}/events", get(log::list))
        .route("/{hook_id}/events/{hook_event_id}/resend", post(log::resend))
        .route("/{hook_id}/test/{trigger}", post(test::test))
}

/// System hooks have no log and no resend, and a test of their own.
pub(crate) fn system_routes() -> Router<Arc<App>> {
    settings().route("/{hook_id}", get(show).put(edit).delete(delete).post(test::test_system))
}

fn settings() -> Router<Arc<App>> {
    let values = |kind| put(move |at, app, params| values::set(kind, at, app, params));
    Router::new()
        .route("/", get(list).post(create))
        .route(
            "/{hook_id}/custom_headers/{key}",
            values(values::Kind::CustomHeader).delete(|at, app| values::unset(values::Kind::CustomHeader, at, app)),
        )
        .route(
            "/{hook_id}/url_variables/{key}",
            values(values::Kind::UrlVariable).delete(|at, app| values::unset(values::Kind::UrlVariable, at, app)),
        )
}

/// The hooks of a scope, for somebody who may see and change them.
pub(crate) struct At(Target);

impl FromRequestParts<Arc<App>> for At {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        Target::read(parts, app, Action::Hooks).await.map(Self)
    }
}

impl At {
    const fn scope(&self) -> Scope {
        self.0.scope
    }

    async fn hook(&self, app: &App) -> Result<HookWithHealth, ApiError> {
        let found = app.store().find_hook(self.scope(), HookId(self.0.number("hook_id")?)).await?;
        found.ok_or_else(ApiError::plain_not_found)
    }

    /// Counts a test or a resend against the limit of whoever asks.
    fn count_by_hand(&self, app: &App, what: &'static str) -> Result<(), ApiError> {
        app.by_hand.count((what, self.scope(), self.0.caller.0.user_id))
    }
}

async fn list(at: At, State(app): State<Arc<App>>, listing: Listing) -> Result<Response, ApiError> {
    let asked = listing.asked()?;
    let hooks = app.store().list_hooks(at.scope(), asked.rows()).await?;
    let now = app.belt.clock().now();
    Ok(listing.answer(&asked, hooks.total, hooks.rows.iter().map(|entry| views::hook(entry, now))))
}

async fn create(at: At, State(app): State<Arc<App>>, params: Params) -> Result<(StatusCode, Json<Value>), ApiError> {
    let change = read::change(&params, at.scope(), true)?;
    if change.url.as_ref().is_none_or(|url| url.trim().is_empty()) {
        return Err(ApiError::bad_parameter("url is missing"));
    }
    let now = app.belt.clock().now();
    let blank = HookUrl::parse("https://blank.invalid").map_err(|_| ApiError::plain_not_found())?;
    let hook = change_hook(&app, &Hook::new(at.scope(), blank, uuid::Uuid::new_v4(), now), change)?;
    let most = match at.scope() {
        Scope::Project(_) => app.limits.project_hooks,
        Scope::Group(_) => app.limits.group_hooks,
        Scope::Instance => MOST_ON_INSTANCE,
    };
    let made = app.store().create_hook(hook, most).await.map_err(|error| match error {
        Error::Full(most) => {
            let what = if matches!(at.scope(), Scope::Group(_)) { "group" } else { "project" };
            ApiError::unprocessable(format!("Maximum number of {what} hooks ({most}) exceeded"))
        }
        other => other.into(),
    })?;
    refresh(&app).await;
    Ok((StatusCode::CREATED, Json(views::hook(&made, now))))
}

async fn show(at: At, State(app): State<Arc<App>>) -> Result<Json<Value>, ApiError> {
    Ok(Json(views::hook(&at.hook(&app).await?, app.belt.clock().now())))
}

async fn edit(at: At, State(app): State<Arc<App>>, params: Params) -> Result<Json<Value>, ApiError> {
    let _ = at.hook(&app).await?;
    if params.is_empty() {
        return Err(ApiError::bad_parameter("No parameters provided"));
    }
    let change = read::change(&params, at.scope(), false)?;
    let changed = update(&app, &at, |hook| change_hook(&app, hook, change.clone())).await?;
    Ok(Json(views::hook(&changed, app.belt.clock().now())))
}

async fn delete(at: At, State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, ApiError> {
    let entry = at.hook(&app).await?;
    let since = headers.get("if-unmodified-since").and_then(|value| value.to_str().ok());
    // HTTP dates have whole seconds, so a change within that second is not after it.
    let since = since.and_then(|text| jiff::fmt::rfc2822::parse(text).ok());
    if since.is_some_and(|since| entry.hook.updated_at.as_seconds() > since.timestamp().as_second()) {
        return Err(ApiError::Message(StatusCode::PRECONDITION_FAILED, json!("412 Precondition Failed")));
    }
    if !app.store().delete_hook(at.scope(), entry.hook.id).await? {
        return Err(ApiError::plain_not_found());
    }
    refresh(&app).await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Reads a hook, changes it, and writes it if nobody else did meanwhile; else tries again with what they wrote.
async fn update(
    app: &App,
    at: &At,
    change: impl Fn(&Hook) -> Result<Hook, ApiError>,
) -> Result<HookWithHealth, ApiError> {
    for _ in 0..TRIES {
        let entry = at.hook(app).await?;
        let changed = change(&entry.hook)?;
        if let Some(written) = app.store().update_hook(changed, entry.hook.updated_at).await? {
            refresh(app).await;
            return Ok(written);
        }
    }
    Err(ApiError::Message(StatusCode::CONFLICT, json!("409 Conflict: the hook is being changed by others")))
}

/// Makes a change; texts of the refusals are GitLab's, with the reason behind them.
fn change_hook(app: &App, hook: &Hook, change: HookEdit) -> Result<Hook, ApiError> {
    let changed = hook.edited(change, app.belt.clock().now()).map_err(|error| refused(&error))?;
    // The first gate. Names are not looked up here: a receiver may be set up after its hook.
    judge_url(&changed.url, &app.belt.settings().guard)
        .map_err(|rule| ApiError::unprocessable(format!("Invalid url given: {rule}")))?;
    Ok(changed)
}

fn refused(error: &EditError) -> ApiError {
    ApiError::unprocessable(error.to_string())
}
