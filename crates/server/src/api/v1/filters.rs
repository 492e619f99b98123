//! Trial of an event filter on stored events, before a hook uses it.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use quickdraw_domain::hook::EventFilter;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{filter_faults, lookup};
use crate::auth::Admin;
use crate::error::ApiError;
use crate::params::{Invalid, Params, TriggerName};
use crate::state::App;

const DAYS: i64 = 7;
const MAX_DAYS: i64 = 31;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(dry_run))
}

/// A filter to try.
#[derive(ToSchema)]
#[expect(dead_code, reason = "schema of the parameters, which are read one by one")]
struct FilterToTry {
    /// The filter, in the format of a hook's `event_filter`.
    #[schema(value_type = Object)]
    event_filter: (),

    /// Only events of this project: id or full path.
    project: Option<String>,

    /// Only events of this kind, such as `push_hooks`.
    trigger: Option<String>,

    /// Number of days to look back.
    #[schema(default = 7, minimum = 1, maximum = 31)]
    days: Option<i64>,
}

/// Result of a trial.
#[derive(Serialize, ToSchema)]
struct FilterTrial {
    /// Number of examined events, from the newest on; at most 5,000.
    scanned: usize,

    /// Number of events that pass.
    passing: usize,

    /// Number of events that pass because the push does not list the commits that the filter needs.
    unlisted: usize,

    /// Number of events that are stopped because the filter exceeds its budget of work on them.
    over_budget: usize,

    /// False if the trial ended early because it took too much work.
    complete: bool,

    /// Ids of the newest events that pass.
    examples: Vec<String>,

    /// Ids of the newest events that are stopped.
    stopped: Vec<String>,
}

/// Try an event filter on the events of the last days. Administrators only.
#[utoipa::path(post, path = "/event_filters/dry_run", tag = "Events", request_body = FilterToTry,
    responses((status = 200, body = FilterTrial)))]
async fn dry_run(admin: Admin, State(app): State<Arc<App>>, params: Params) -> Result<Json<FilterTrial>, ApiError> {
    let text = match params.raw("event_filter") {
        None => return Err(Invalid::missing("event_filter").into()),
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };
    let filter = EventFilter::parse(&text)
        .map_err(|error| filter_faults::explain(StatusCode::UNPROCESSABLE_ENTITY, "event_filter", &text, &error))?;

    let project = match params.one::<String>("project")? {
        Some(name) => Some(lookup::find_for_admin(&app, &name).await?.id),
        None => None,
    };

    let trigger = params.one::<TriggerName>("trigger")?.map(|name| name.0);
    let days = params.one::<i64>("days")?.unwrap_or(DAYS);
    let days = u64::try_from(days).ok().filter(|_| (1..=MAX_DAYS).contains(&days));
    let days = days.ok_or_else(|| Invalid::value("days"))?;
    let since = app.now().minus(Duration::from_secs(days * 86_400));

    let trial = app
        .engine
        .journal
        .try_filter(admin.0.user_id, &filter, project, trigger, since)
        .await
        .map_err(ApiError::internal)?;

    let ids = |ids: &[quickdraw_domain::EventId]| ids.iter().map(ToString::to_string).collect();
    Ok(Json(FilterTrial {
        scanned: trial.scanned,
        passing: trial.passing,
        unlisted: trial.unlisted,
        over_budget: trial.over_budget,
        complete: trial.complete,
        examples: ids(&trial.examples),
        stopped: ids(&trial.stopped),
    }))
}
