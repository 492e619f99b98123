//! Preview of the filters of a hook on the newest events.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use quickdraw_domain::audience::{Filtered, SkipReason};
use quickdraw_domain::hook::{EventFilter, HookEdit};
use quickdraw_domain::{Edit, Trigger};
use quickdraw_engine::FilteredEvent;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::managed;
use super::{hook, recent};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::{Params, TriggerName};
use crate::state::App;
use crate::views::Iso;

/// Number of events to which the filters are applied.
const EVENTS: usize = 50;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(preview))
}

/// Filters to preview.
#[derive(ToSchema)]
#[expect(dead_code, reason = "schema of the parameters, which are read one by one")]
struct FiltersToPreview {
    /// Branch filter of pushes, in the format of a hook's `push_events_branch_filter`.
    push_events_branch_filter: Option<String>,

    /// Format of the branch filter: `wildcard`, `regex` or `all_branches`.
    branch_filter_strategy: Option<String>,

    /// Conditions on the body, in the format of a hook's `event_filter`.
    #[schema(value_type = Option<Object>)]
    event_filter: (),

    /// Kind of event. Pushes by default.
    trigger: Option<String>,

    /// Project of the hook: id or full path.
    project: Option<String>,

    /// Group of the hook: id or full path. Without a project or a group, events of the whole instance.
    group: Option<String>,
}

/// An event, and the result of the filters.
#[derive(Serialize, ToSchema)]
struct FilteredView {
    /// Id of the event.
    #[schema(format = Uuid)]
    event_id: String,

    /// Branch or tag of a push.
    r#ref: Option<String>,

    /// Time of arrival.
    received_at: Iso,

    /// True if the event passes.
    passes: bool,

    /// Reason: `branch_filter` or `event_filter` stops the event, `branch_filter_gave_up` or `event_filter_gave_up` if
    /// the filter takes too much work on it, or `unlisted` if it passes only because the push does not list the commits
    /// that the filter needs. Null if it passes.
    reason: Option<&'static str>,
}

/// Result of filters on the newest events.
#[derive(Serialize, ToSchema)]
struct FiltersPreview {
    /// Number of events to which the filters were applied: the newest 50 of the kind, or fewer.
    scanned: usize,

    /// Number of events that pass.
    passing: usize,

    /// False if the preview ended early because the filters took too much work.
    complete: bool,

    /// The events, newest first.
    items: Vec<FilteredView>,
}

/// Apply a branch filter and an event filter to the newest 50 events of a kind. Maintainers of the project, owners of
/// the group, and administrators.
///
/// Nothing is saved. A filter that cannot be saved is refused with the reason. At most 20,000 events are examined in
/// search of the kind.
#[utoipa::path(post, path = "/previews/filter", tag = "Hooks", request_body = FiltersToPreview,
    responses((status = 200, body = FiltersPreview)))]
async fn preview(
    caller: Caller,
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<Json<FiltersPreview>, ApiError> {
    let named = |name: &str| params.one::<String>(name);
    let (project, group) = (named("project")?, named("group")?);
    let scope = managed::scope_of(&app, &caller, project.as_deref(), group.as_deref()).await?;
    let trigger = params
        .one::<TriggerName>("trigger")?
        .map_or(Trigger::PUSH, |name| name.0);

    let edit = HookEdit {
        push_events_branch_filter: named("push_events_branch_filter")?.map_or(Edit::Keep, Edit::Set),
        branch_filter_strategy: named("branch_filter_strategy")?,
        event_filter: event_filter(&params)?,
        ..HookEdit::default()
    };
    let blank = hook(&app, scope, None).await?;
    let now = app.now();

    // Compiling an expression takes up to 25 ms of a thread.
    let permit = app.calculations.acquire().await?;
    let edited = permit.run(move || blank.edited(edit, now)).await;
    let edited = edited.map_err(|error| ApiError::internal(error.into()))?;
    let edited = edited.map_err(|error| refused(&error.to_string()))?;

    let events = recent(&app, scope, trigger, EVENTS).await?;
    let wanted = events.len();
    let asker = caller.actor.user_id;
    let filtered = app.engine.journal.preview_filters(asker, edited, events).await;
    let filtered = filtered.map_err(ApiError::internal)?;

    let items: Vec<FilteredView> = filtered.iter().map(FilteredView::from).collect();
    Ok(Json(FiltersPreview {
        scanned: items.len(),
        passing: items.iter().filter(|item| item.passes).count(),
        complete: items.len() == wanted,
        items,
    }))
}

/// Reads the event filter, which is an object or the text of one.
fn event_filter(params: &Params) -> Result<Edit<EventFilter>, ApiError> {
    let text = match params.raw("event_filter") {
        None | Some(Value::Null) => return Ok(Edit::Keep),
        Some(Value::String(text)) if text.trim().is_empty() => return Ok(Edit::Keep),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };

    let filter = EventFilter::parse(&text);
    filter
        .map(Edit::Set)
        .map_err(|error| refused(&format!("event_filter {error}")))
}

fn refused(text: &str) -> ApiError {
    ApiError::problem(StatusCode::UNPROCESSABLE_ENTITY, text)
}

impl From<&FilteredEvent> for FilteredView {
    fn from(one: &FilteredEvent) -> Self {
        let reason = match one.filtered {
            Filtered::Passes => None,
            Filtered::PassesUnlisted => Some("unlisted"),
            Filtered::Stopped(reason) => Some(SkipReason::word(reason)),
        };

        Self {
            event_id: one.event.id.to_string(),
            r#ref: one.event.git_ref.clone(),
            received_at: Iso(one.event.received_at),
            passes: !matches!(one.filtered, Filtered::Stopped(_)),
            reason,
        }
    }
}
