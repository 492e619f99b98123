//! Trying an event filter before a hook has it.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use quickdraw_domain::Trigger;
use quickdraw_domain::hook::EventFilter;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::invalid;
use crate::api::find_project;
use crate::auth::Admin;
use crate::error::ApiError;
use crate::params::{Invalid, Params};
use crate::state::App;

const DAYS: i64 = 7;
const MOST_DAYS: i64 = 31;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(dry_run))
}

/// A filter to be tried.
#[derive(ToSchema)]
#[expect(dead_code, reason = "what is read from the parameters, described")]
struct FilterToTry {
    /// The filter, as a hook's `event_filter`.
    #[schema(value_type = Object)]
    event_filter: (),
    /// Only on events of this project: number or full path.
    project_id: Option<String>,
    /// Only on this kind: `push_hooks`.
    trigger: Option<String>,
    /// On how many days back.
    #[schema(default = 7, minimum = 1, maximum = 31)]
    days: Option<i64>,
}

/// What a filter would have done.
#[derive(Serialize, ToSchema)]
struct Tried {
    /// Events that were looked at, the newest first; 5,000 at most.
    looked_at: usize,
    /// Those that pass.
    passing: usize,
    /// Those of them that pass because the push does not list the commits that the filter asks for.
    unlisted: usize,
    /// Those that are stopped because the filter takes more work on them than is allowed.
    gave_up: usize,
    /// Whether all of that time were looked at: a trial ends when it has taken too much work.
    complete: bool,
    /// The newest that pass.
    examples: Vec<String>,
    /// The newest that are stopped.
    stopped: Vec<String>,
}

/// Try an event filter on what came in the last days. Administrators.
#[utoipa::path(post, path = "/event_filters/dry_run", tag = "Events", request_body = FilterToTry,
    responses((status = 200, body = Tried)))]
async fn dry_run(admin: Admin, State(app): State<Arc<App>>, params: Params) -> Result<Json<Tried>, ApiError> {
    let text = match params.raw("event_filter") {
        None => return Err(Invalid::missing("event_filter").into()),
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };
    let filter = EventFilter::parse(&text)
        .map_err(|error| ApiError::problem(StatusCode::UNPROCESSABLE_ENTITY, format!("event_filter {error}")))?;
    let project = match params.one::<String>("project_id")? {
        Some(name) => Some(find_project(&app, &name).await?.id),
        None => None,
    };
    let kind = |name: String| Trigger::by_name(&name).ok_or_else(|| invalid("trigger does not have a valid value"));
    let trigger = params.one::<String>("trigger")?.map(kind).transpose()?;
    let days = params.one::<i64>("days")?.unwrap_or(DAYS);
    let days = u64::try_from(days).ok().filter(|_| (1..=MOST_DAYS).contains(&days));
    let days = days.ok_or_else(|| Invalid::value("days"))?;
    let since = app.now().minus(Duration::from_secs(days * 86_400));
    let trial = app
        .engine
        .journal
        .try_filter(admin.0.user_id, &filter, project, trigger, since)
        .await
        .map_err(ApiError::internal)?;
    let ids = |ids: &[quickdraw_domain::EventId]| ids.iter().map(ToString::to_string).collect();
    Ok(Json(Tried {
        looked_at: trial.looked_at,
        passing: trial.passing,
        unlisted: trial.unlisted,
        gave_up: trial.gave_up,
        complete: trial.complete,
        examples: ids(&trial.examples),
        stopped: ids(&trial.stopped),
    }))
}
