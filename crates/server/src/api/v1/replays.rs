//! Replays: jobs that reschedule many finished deliveries, chosen by a filter.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use quickdraw_domain::Timestamp;
use quickdraw_domain::access::Action;
use quickdraw_domain::audience::SkipReason;
use quickdraw_domain::replay::{self, Filter, MAX_DELIVERIES, Progress};
use quickdraw_domain::scope::Scope;
use quickdraw_engine::may_replay;
use quickdraw_store::replays::{self as store, NewReplay, ReplayFilter};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answers::answers;
use super::period::Period;
use super::{limit, managed, page};
use crate::auth::Caller;
use crate::error::{ApiError, FieldError, Kind};
use crate::params::{Input, Invalid, Line, Moment, Params, TriggerName, When, near};
use crate::state::App;
use crate::views::{Page, Replay};

const DEFAULT_RATE: i64 = 50;
const MAX_RATE: i64 = 10_000;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(cancel))
}

/// Final state of a delivery.
#[derive(Deserialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Ended {
    /// Accepted by the receiver.
    Delivered,

    /// Failed for good.
    GivenUp,
}

/// Conditions that a delivery must meet to be replayed. All of them apply.
#[derive(Deserialize, ToSchema)]
struct ReplayToMake {
    /// Only events that arrived at this time or later: `2026-03-16T09:30:00Z`, or a day. Required, unless `deliveries`
    /// names the deliveries.
    since: Option<Moment>,

    /// Only events that arrived before this time. Default: now.
    until: Option<Moment>,

    /// Only events of this kind, such as `push_hooks`.
    #[schema(value_type = Option<String>)]
    trigger: Option<TriggerName>,

    /// Only events of this project: id or full path. Users who are no administrators must give a project or a group.
    project: Option<Line<255>>,

    /// Only events of this group, its subgroups and projects: id or full path.
    group: Option<Line<255>>,

    /// Only deliveries to this hook.
    hook: Option<i64>,

    /// Only deliveries with this final state.
    #[schema(inline)]
    state: Option<Ended>,

    /// Only deliveries whose last answer had one of these statuses: HTTP statuses, or `successful`, `client_failure`,
    /// `server_failure`; separated by commas, at most 100.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    status: Vec<String>,

    /// Only events whose body contains exactly this text.
    text: Option<Line<255>>,

    /// Only these deliveries, by id; at most 100. It excludes `skipped`.
    #[serde(default)]
    #[schema(max_items = 100)]
    deliveries: Vec<Uuid>,

    /// Deliver events that webhooks did not get for this reason, instead of sending ended deliveries again:
    /// `silent_mode` or `rate_limit`. It excludes `state` and `status`.
    skipped: Option<String>,

    /// Maximum number of deliveries per second.
    #[schema(default = 50, minimum = 1, maximum = 10_000)]
    rate: Option<i64>,

    /// Only count the deliveries, without replaying them.
    #[serde(default)]
    #[schema(default = false)]
    dry_run: bool,
}

/// Result of a dry run.
#[derive(Serialize, ToSchema)]
struct ReplayPreview {
    /// Number of deliveries that would be replayed.
    matched: usize,

    /// False if the count ended early, so that there may be more.
    complete: bool,
}

/// Create a replay, which sends finished deliveries again. Maintainers of the project, owners of the group, and
/// administrators.
///
/// The replay of a user who is no administrator is bound to the project or group, and to its own hooks: those of groups
/// above it and system hooks get nothing.
///
/// Deliveries keep their original bytes and ids, and go to the current URLs of their hooks. With `skipped`, events that
/// webhooks did not get for a reason are delivered for the first time. The replay runs in the background and continues
/// after a restart. With `dry_run`, deliveries are only counted.
#[utoipa::path(post, path = "/replays", tag = "Replays", request_body = ReplayToMake,
    responses((status = 201, body = Replay), (status = 200, description = "With `dry_run`.", body = ReplayPreview)))]
async fn create(
    caller: Caller,
    State(app): State<Arc<App>>,
    Input(asked): Input<ReplayToMake>,
) -> Result<Response, ApiError> {
    let (project, group) = (asked.project.as_ref(), asked.group.as_ref());
    let named = managed::scope_of(&app, &caller, project.map(|name| &*name.0), group.map(|name| &*name.0)).await?;
    let scope = if caller.actor.is_admin { Scope::Instance } else { named };
    let now = app.now();
    answers(&asked.status)?;

    let rate = asked.rate.unwrap_or(DEFAULT_RATE);
    if !(1..=MAX_RATE).contains(&rate) {
        return Err(Invalid::value("rate").into());
    }

    let state = asked.state.map(|state| match state {
        Ended::Delivered => replay::Ended::Delivered,
        Ended::GivenUp => replay::Ended::GivenUp,
    });

    if asked.skipped.is_some() && (asked.state.is_some() || !asked.status.is_empty()) {
        return Err(ApiError::field(
            "skipped",
            "skipped excludes state and status, because skipped events have no delivery yet",
        ));
    }

    if asked.deliveries.len() > MAX_DELIVERIES {
        let detail = format!("deliveries has at most {MAX_DELIVERIES} ids; choose others by a filter");
        return Err(ApiError::field("deliveries", detail));
    }

    if asked.skipped.is_some() && !asked.deliveries.is_empty() {
        return Err(ApiError::field(
            "skipped",
            "skipped excludes deliveries, because skipped events have no delivery yet",
        ));
    }

    let begin = match asked.since {
        Some(since) => since.0,
        None if asked.deliveries.is_empty() => return Err(Invalid::missing("since").into()),
        None => Timestamp::default(),
    };

    let skipped = asked.skipped.as_deref().map(skip_reason).transpose()?;
    let mut filter = Filter {
        skipped: skipped.map(SkipReason::code),
        from: begin.as_micros(),
        to: asked.until.map_or(now, |to| to.0.min(now)).as_micros(),
        trigger: asked.trigger.map(|trigger| trigger.0.row().code),
        project: match named {
            Scope::Project(id) => Some(id.0),
            Scope::Group(_) | Scope::Instance => None,
        },
        group: match named {
            Scope::Group(id) => Some(id.0),
            Scope::Project(_) | Scope::Instance => None,
        },
        hook: asked.hook,
        state,
        status: asked.status,
        text: asked.text.map(|text| text.0),
        deliveries: Vec::new(),
    };
    filter.select(asked.deliveries);
    if filter.from >= filter.to {
        return Err(ApiError::field("since", "since must be before until and before now"));
    }

    if asked.dry_run {
        // A preview examines many deliveries, so a limit applies to the number of previews at once.
        let _permit = app.calculations.acquire().await?;
        let preview = app
            .engine
            .journal
            .preview_replay(&filter, scope)
            .await
            .map_err(ApiError::internal)?;

        return Ok(Json(ReplayPreview {
            matched: preview.matched,
            complete: preview.complete,
        })
        .into_response());
    }

    check_running(&app, scope).await?;

    let new = NewReplay {
        scope,
        filter,
        rate,
        created_by: caller.actor.username,
    };
    let made = app.store().create_replay(new, now).await?;
    Ok((StatusCode::CREATED, Json(Replay::from(&made))).into_response())
}

fn skip_reason(word: &str) -> Result<SkipReason, ApiError> {
    let known = SkipReason::from_word(word).filter(|reason| Filter::deliverable().contains(reason));
    known.ok_or_else(|| {
        let words: Vec<&str> = Filter::deliverable().iter().map(|reason| reason.word()).collect();
        let meant = near::nearest(word, words.iter().copied()).map(str::to_owned);
        let choices = words.into_iter().map(str::to_owned).collect();
        ApiError::fields(
            Kind::InvalidParameter,
            vec![FieldError::choice("skipped", choices, meant)],
        )
    })
}

/// Progress of a replay.
#[derive(Deserialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum ProgressWord {
    /// Sends deliveries.
    Running,

    /// A user paused it.
    Paused,

    /// Has rescheduled all its deliveries.
    Finished,

    /// A user cancelled it.
    Cancelled,
}

impl From<ProgressWord> for Progress {
    fn from(word: ProgressWord) -> Self {
        match word {
            ProgressWord::Running => Self::Running,
            ProgressWord::Paused => Self::Paused,
            ProgressWord::Finished => Self::Finished,
            ProgressWord::Cancelled => Self::Cancelled,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ReplayQuery {
    /// Only replays of this project: id or full path. Users who are no administrators must give a project or a group.
    project: Option<String>,

    /// Only replays of this group, its subgroups and projects: id or full path.
    group: Option<String>,

    /// Only replays in this state.
    #[param(inline)]
    state: Option<ProgressWord>,

    /// Only replays that were created at this time or later: `2026-03-16T09:30:00Z`, a day, or a span back from now
    /// such as `2h`.
    #[param(value_type = Option<String>)]
    since: Option<When>,

    /// Only replays that were created before this time, written like `since`.
    #[param(value_type = Option<String>)]
    until: Option<When>,

    /// Only replays before this id: `next` of the previous page.
    before: Option<i64>,

    /// Maximum number of rows.
    #[param(default = 20, minimum = 1, maximum = 100)]
    limit: Option<i64>,
}

/// List replays, newest first. Maintainers of the project, owners of the group, and administrators.
///
/// Replays of administrators are shown to administrators only. With a project or group, these are the ones that name it
/// or a project or group in it.
#[utoipa::path(get, path = "/replays", tag = "Replays", params(ReplayQuery),
    responses((status = 200, body = Page<Replay>)))]
async fn list(
    caller: Caller,
    State(app): State<Arc<App>>,
    Input(query): Input<ReplayQuery>,
) -> Result<Json<Page<Replay>>, ApiError> {
    let limit = limit(query.limit)?;
    let period = Period::read(query.since, query.until, app.now())?;
    let within = managed::scope_of(&app, &caller, query.project.as_deref(), query.group.as_deref()).await?;
    let filter = ReplayFilter {
        within,
        of_admins: caller.actor.is_admin,
        before: query.before,
        progress: query.state.map(Progress::from),
        since: period.since,
        until: period.until,
        // The row after the page proves that another page follows.
        limit: limit + 1,
    };
    let replays = app.store().list_replays(filter).await?;
    Ok(Json(page(&replays, limit, |replay| replay.id.to_string())))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ShowQuery {
    /// Include the states of the replayed deliveries. All deliveries of the replay's period are read for this.
    #[serde(default)]
    #[param(default = false)]
    results: bool,
}

/// Show a replay and its progress. Maintainers of the project, owners of the group, and administrators.
#[utoipa::path(get, path = "/replays/{replay_id}", tag = "Replays", params(ShowQuery),
    responses((status = 200, body = Replay)))]
async fn show(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Input(query): Input<ShowQuery>,
) -> Result<Json<Replay>, ApiError> {
    let found = find(&app, &caller, &id).await?;
    let mut view = Replay::from(&found);
    if query.results {
        view.results = Some(app.store().replay_results(found).await?.into());
    }

    Ok(Json(view))
}

/// Pause a replay. Maintainers of the project, owners of the group, and administrators.
///
/// Deliveries that are already rescheduled are still sent.
#[utoipa::path(post, path = "/replays/{replay_id}/pause", tag = "Replays", responses((status = 200, body = Replay)))]
async fn pause(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    _: Params,
) -> Result<Json<Replay>, ApiError> {
    set(&app, &caller, &id, Progress::Paused).await
}

/// Resume a paused replay. Maintainers of the project, owners of the group, and administrators.
#[utoipa::path(post, path = "/replays/{replay_id}/resume", tag = "Replays", responses((status = 200, body = Replay)))]
async fn resume(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    _: Params,
) -> Result<Json<Replay>, ApiError> {
    set(&app, &caller, &id, Progress::Running).await
}

/// Cancel a replay for good. Maintainers of the project, owners of the group, and administrators.
///
/// Deliveries that are already rescheduled are still sent.
#[utoipa::path(post, path = "/replays/{replay_id}/cancel", tag = "Replays", responses((status = 200, body = Replay)))]
async fn cancel(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    _: Params,
) -> Result<Json<Replay>, ApiError> {
    set(&app, &caller, &id, Progress::Cancelled).await
}

async fn set(app: &App, caller: &Caller, id: &str, progress: Progress) -> Result<Json<Replay>, ApiError> {
    let found = find(app, caller, id).await?;
    if progress == Progress::Running && found.progress == Progress::Paused {
        check_running(app, found.scope).await?;
    }

    let id = found.id;
    if let Some(changed) = app.store().set_progress(id, progress, app.now()).await? {
        return Ok(Json(Replay::from(&changed)));
    }

    let ended = app.store().find_replay(id).await?.ok_or_else(nothing)?;
    let text = format!(
        "this replay is {} and cannot be changed; create a new one",
        ended.progress.word()
    );
    Err(ApiError::problem(StatusCode::CONFLICT, text))
}

/// Refuses another running replay if too many of the project or group, or of all users, are running. Administrators are
/// not limited.
async fn check_running(app: &App, scope: Scope) -> Result<(), ApiError> {
    if scope == Scope::Instance || may_replay(&app.engine.context, scope).await? {
        return Ok(());
    }

    let text = "too many replays of this project or group, or of all users, are running; wait for one to finish, or \
        pause or cancel it";
    Err(ApiError::problem(StatusCode::CONFLICT, text))
}

/// Finds a replay whose scope the caller may manage. All other replays do not exist for the caller.
async fn find(app: &App, caller: &Caller, id: &str) -> Result<store::Replay, ApiError> {
    let found = app.store().find_replay(number(id)?).await?.ok_or_else(nothing)?;
    if !caller.may(found.scope, Action::Hooks).await? {
        return Err(nothing());
    }

    Ok(found)
}

fn number(id: &str) -> Result<i64, ApiError> {
    id.parse().map_err(|_| nothing())
}

fn nothing() -> ApiError {
    ApiError::problem(StatusCode::NOT_FOUND, "there is no replay with this id")
}
