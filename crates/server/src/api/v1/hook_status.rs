//! The status of hooks: of all hooks of a project, a group or the instance, and of one hook with its backlog.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use quickdraw_domain::HookId;
use quickdraw_domain::hook::calls::first_hour;
use quickdraw_store::activity::ActivityOf;
use quickdraw_store::hooks::HookWithHealth;
use quickdraw_store::lists;
use quickdraw_store::lists::Start;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{limit, managed, reach};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::Input;
use crate::state::App;
use crate::views::{HookBacklog, HookStatus};

/// Number of hooks in a page if the request does not say it.
const USUAL: i64 = 100;
/// Largest number of attempts that are read for an answer.
const MAX_ATTEMPTS: usize = 12_000;
/// Largest number of open deliveries that are counted for an answer, in each of two states.
const MAX_DELIVERIES: usize = 100_000;
/// Largest number of open deliveries of each state that are sorted by time for an answer.
const MAX_DATED: usize = 12_000;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one))
        .routes(routes!(backlog))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct StatusQuery {
    /// Hooks of this project: id or full path.
    project: Option<String>,

    /// Hooks of this group itself: id or full path. Without a project or a group, the system hooks.
    group: Option<String>,

    /// Only hooks with greater ids: `next` of the previous page.
    after: Option<i64>,

    /// Maximum number of rows.
    #[param(default = 100, minimum = 1, maximum = 100)]
    limit: Option<i64>,
}

/// The status of hooks.
#[derive(Serialize, ToSchema)]
struct HookStatuses {
    /// The hooks, by id.
    items: Vec<HookStatus>,

    /// Value of `after` for the next page; null on the last page.
    next: Option<i64>,

    /// True while silent mode is on, in which no hook is called.
    silent_mode: bool,
}

/// Show whether the hooks of a project, of a group or of the instance work. Maintainers of the project, owners of the
/// group, and administrators.
///
/// The answer has the state of each hook with its reason, the last attempt, the attempts of the last 24 hours, and the
/// deliveries that wait. At most 12,000 attempts are read for an answer, and at most 1,000 open deliveries are counted
/// for each of 100 hooks; with fewer hooks, each gets a larger part.
#[utoipa::path(get, path = "/hooks/status", tag = "Hooks", params(StatusQuery),
    responses((status = 200, body = HookStatuses)))]
async fn list(
    caller: Caller,
    State(app): State<Arc<App>>,
    Input(query): Input<StatusQuery>,
) -> Result<Json<HookStatuses>, ApiError> {
    let scope = managed::scope_of(&app, &caller, query.project.as_deref(), query.group.as_deref()).await?;
    let limit = limit(query.limit.or(Some(USUAL)))?;
    let page = lists::Page {
        start: Start::After(query.after.unwrap_or(0)),
        limit: i64::try_from(limit).unwrap_or(USUAL),
    };

    let hooks = app.store().list_hooks(scope, page).await?.rows;
    let last = hooks.last().filter(|_| hooks.len() == limit);
    let next = last.map(|entry| entry.hook.id.0);

    Ok(Json(HookStatuses {
        items: statuses(&app, &hooks).await?,
        next,
        silent_mode: app.engine.context.is_silent(),
    }))
}

/// Show whether a hook works. Maintainers of its project, owners of its group, and administrators.
///
/// At most 12,000 attempts of the last 24 hours are read, and at most 100,000 open deliveries are counted.
#[utoipa::path(get, path = "/hooks/{hook_id}/status", tag = "Hooks", responses((status = 200, body = HookStatus)))]
async fn one(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<HookStatus>, ApiError> {
    let id = seen(&app, &caller, &id).await?;
    let scope = app.engine.context.directory().hook(id).map(|hook| hook.scope);
    let scope = scope.ok_or_else(nothing)?;
    let entry = app.store().find_hook(scope, id).await?.ok_or_else(nothing)?;
    let status = statuses(&app, &[entry]).await?.pop();

    status.map(Json).ok_or_else(nothing)
}

/// Show since when the deliveries of a hook wait. Maintainers of its project, owners of its group, and administrators.
///
/// Deliveries that have not ended are counted by the hour of their event. At most 12,000 deliveries that wait and
/// 12,000 that are retried are read, those that are due first.
#[utoipa::path(get, path = "/hooks/{hook_id}/backlog", tag = "Hooks", responses((status = 200, body = HookBacklog)))]
async fn backlog(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<HookBacklog>, ApiError> {
    let id = seen(&app, &caller, &id).await?;
    let open = app.store().open_deliveries(id, MAX_DATED).await?;
    Ok(Json(HookBacklog::new(&open, MAX_DATED, app.now())))
}

/// The hook with an id, if the caller may see it.
async fn seen(app: &App, caller: &Caller, id: &str) -> Result<HookId, ApiError> {
    let id = HookId(id.parse().map_err(|_| nothing())?);
    let is_seen = reach::may_see_hook(app, caller, id).await?;
    is_seen.then_some(id).ok_or_else(nothing)
}

/// Reads the status of hooks, at most a page of them.
pub(super) async fn statuses(app: &App, hooks: &[HookWithHealth]) -> Result<Vec<HookStatus>, ApiError> {
    if hooks.is_empty() {
        return Ok(Vec::new());
    }

    let now = app.now();
    let counted = MAX_DELIVERIES / hooks.len();
    let of = ActivityOf {
        hooks: hooks.iter().map(|entry| entry.hook.id).collect(),
        since: first_hour(now),
        attempts: MAX_ATTEMPTS,
        deliveries: counted,
    };
    let activity = app.store().hook_activity(of).await?;

    let index = app.engine.context.directory();
    let both = hooks.iter().zip(&activity);
    Ok(both
        .map(|(entry, activity)| HookStatus::new(entry, activity, counted, &index, now))
        .collect())
}

fn nothing() -> ApiError {
    ApiError::problem(StatusCode::NOT_FOUND, "there is no hook with this id")
}
