//! Replays: many deliveries once more, chosen by filter.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use quickdraw_domain::Trigger;
use quickdraw_domain::delivery::State as DeliveryState;
use quickdraw_domain::outcome::Answers;
use quickdraw_domain::replay::{Filter, Progress};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{invalid, limit, page};
use crate::api::find_project;
use crate::auth::Admin;
use crate::error::ApiError;
use crate::params::{Input, Invalid, Line, Moment};
use crate::state::App;
use crate::views::{Page, Replay};

const DEFAULT_RATE: i64 = 50;
const MOST_RATE: i64 = 10_000;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(cancel))
}

/// How a delivery ended.
#[derive(Deserialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Ended {
    /// The receiver has it.
    Delivered,
    /// It was tried for the last time.
    GivenUp,
}

/// What to replay. All conditions hold together.
#[derive(Deserialize, ToSchema)]
struct ReplayToMake {
    /// Events that arrived then or later: `2026-03-16T09:30:00Z`, or a day.
    from: Moment,
    /// Events that arrived before then; by default all until now.
    to: Option<Moment>,
    /// Only of this kind: `push_hooks`.
    trigger: Option<String>,
    /// Only of this project: number or full path.
    project_id: Option<Line<255>>,
    /// Only to this hook.
    hook_id: Option<i64>,
    /// Only those that ended so.
    #[schema(inline)]
    state: Option<Ended>,
    /// Only those whose last answer was one of these: numbers of HTTP statuses, or `successful`, `client_failure`,
    /// `server_failure`; several with commas between them, at most 100.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    status: Vec<String>,
    /// Only events with exactly this text in their body.
    text: Option<Line<255>>,
    /// Most deliveries a second.
    #[schema(default = 50, minimum = 1, maximum = 10_000)]
    rate: Option<i64>,
    /// Only count, and change nothing.
    #[serde(default)]
    #[schema(default = false)]
    dry_run: bool,
}

/// What a replay would do.
#[derive(Serialize, ToSchema)]
struct Counted {
    /// So many deliveries would be sent once more.
    matched: usize,
    /// Whether everything was looked at. If not, there may be more.
    complete: bool,
}

/// Send deliveries once more, with their original bytes and ids, to where their hooks call today; or only count them. It
/// goes on by itself, through restarts as well. Administrators.
#[utoipa::path(post, path = "/replays", tag = "Replays", request_body = ReplayToMake,
    responses((status = 201, body = Replay), (status = 200, description = "With `dry_run`.", body = Counted)))]
async fn create(
    Admin(actor): Admin,
    State(app): State<Arc<App>>,
    Input(asked): Input<ReplayToMake>,
) -> Result<Response, ApiError> {
    let now = app.now();
    let kind = |name: &String| Trigger::by_name(name).ok_or_else(|| invalid("trigger does not have a valid value"));
    let project = match &asked.project_id {
        Some(name) => Some(find_project(&app, &name.0).await?.id.0),
        None => None,
    };
    if Answers::parse(&asked.status).is_none() {
        return Err(Invalid::value("status").into());
    }
    let rate = asked.rate.unwrap_or(DEFAULT_RATE);
    if !(1..=MOST_RATE).contains(&rate) {
        return Err(Invalid::value("rate").into());
    }
    let state = asked.state.map(|state| match state {
        Ended::Delivered => DeliveryState::Delivered.code(),
        Ended::GivenUp => DeliveryState::GivenUp.code(),
    });
    let filter = Filter {
        from: asked.from.0.as_micros(),
        to: asked.to.map_or(now, |to| to.0.min(now)).as_micros(),
        trigger: asked.trigger.as_ref().map(kind).transpose()?.map(|trigger| trigger.row().code),
        project,
        hook: asked.hook_id,
        state,
        status: asked.status,
        text: asked.text.map(|text| text.0),
    };
    if filter.from >= filter.to {
        return Err(invalid("from does not lie before to and before now"));
    }
    if asked.dry_run {
        let preview = app.engine.journal.preview_replay(&filter).await.map_err(ApiError::internal)?;
        return Ok(Json(Counted { matched: preview.matched, complete: preview.complete }).into_response());
    }
    let made = app.store().create_replay(filter, rate, actor.username, now).await?;
    Ok((StatusCode::CREATED, Json(Replay::from(&made))).into_response())
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ReplayQuery {
    /// Only replays before this one.
    before: Option<i64>,
    /// Most rows of the answer; more than 100 are 100.
    #[param(default = 20, minimum = 1, maximum = 100)]
    limit: Option<i64>,
}

/// List replays, newest first. Administrators.
#[utoipa::path(get, path = "/replays", tag = "Replays", params(ReplayQuery),
    responses((status = 200, body = Page<Replay>)))]
async fn list(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(query): Input<ReplayQuery>,
) -> Result<Json<Page<Replay>>, ApiError> {
    let limit = limit(query.limit)?;
    let replays = app.store().list_replays(query.before, false, limit).await?;
    Ok(Json(page(&replays, limit, |replay| replay.id.to_string())))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ShowQuery {
    /// Count what became of the deliveries as well. All deliveries of the replay's time are looked at for it.
    #[serde(default)]
    #[param(default = false)]
    results: bool,
}

/// Show a replay and how far it came. Administrators.
#[utoipa::path(get, path = "/replays/{replay_id}", tag = "Replays", params(ShowQuery),
    responses((status = 200, body = Replay)))]
async fn show(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Input(query): Input<ShowQuery>,
) -> Result<Json<Replay>, ApiError> {
    let found = app.store().find_replay(number(&id)?).await?.ok_or_else(nothing)?;
    let mut view = Replay::from(&found);
    if query.results {
        view.results = Some(app.store().replay_results(found).await?.into());
    }
    Ok(Json(view))
}

/// Pause a replay. What it made due already is delivered. Administrators.
#[utoipa::path(post, path = "/replays/{replay_id}/pause", tag = "Replays", responses((status = 200, body = Replay)))]
async fn pause(_: Admin, State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Replay>, ApiError> {
    set(&app, &id, Progress::Paused).await
}

/// Let a paused replay go on. Administrators.
#[utoipa::path(post, path = "/replays/{replay_id}/resume", tag = "Replays", responses((status = 200, body = Replay)))]
async fn resume(_: Admin, State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Replay>, ApiError> {
    set(&app, &id, Progress::Running).await
}

/// End a replay for good. What it made due already is delivered. Administrators.
#[utoipa::path(post, path = "/replays/{replay_id}/cancel", tag = "Replays", responses((status = 200, body = Replay)))]
async fn cancel(_: Admin, State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Replay>, ApiError> {
    set(&app, &id, Progress::Cancelled).await
}

async fn set(app: &App, id: &str, progress: Progress) -> Result<Json<Replay>, ApiError> {
    let id = number(id)?;
    if let Some(changed) = app.store().set_progress(id, progress, app.now()).await? {
        return Ok(Json(Replay::from(&changed)));
    }
    let ended = app.store().find_replay(id).await?.ok_or_else(nothing)?;
    let text = format!("this replay is {} and cannot be changed; make another", ended.progress.word());
    Err(ApiError::problem(StatusCode::CONFLICT, text))
}

fn number(id: &str) -> Result<i64, ApiError> {
    id.parse().map_err(|_| nothing())
}

fn nothing() -> ApiError {
    ApiError::problem(StatusCode::NOT_FOUND, "there is no replay with this id")
}
