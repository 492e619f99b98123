//! Reads the journal, deliveries and attempts.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use quickdraw_domain::delivery::Stage;
use quickdraw_domain::health::Health;
use quickdraw_domain::scope::Scope;
use quickdraw_domain::{AttemptId, DeliveryId, EventId, HookId, ProjectId, Trigger};
use quickdraw_store::attempts::AttemptFilter;
use quickdraw_store::deliveries::DeliveryFilter;
use quickdraw_store::events::EventFilter;
use serde::Deserialize;

use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{invalid, limit, page, scanned};
use crate::audit::Note;
use crate::auth::Admin;
use crate::error::ApiError;
use crate::params::Input;
use crate::state::App;
use crate::views::{Attempt, Delivery, DeliveryWithHistory, Event, EventWithDeliveries, Iso, Page, Shown, Skipped};

/// Number of copies of a body in memory while it is shown: packed, unpacked, as the shown value, and in the answer,
/// whose buffer doubles.
const COPIES: usize = 6;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(events))
        .routes(routes!(event))
        .routes(routes!(deliveries))
        .routes(routes!(delivery))
        .routes(routes!(attempts))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct EventQuery {
    /// Only events of this kind, such as `push_hooks`.
    trigger: Option<String>,

    /// Only events of this project.
    project_id: Option<i64>,

    /// Only events before this id.
    before: Option<Uuid>,

    /// Maximum number of rows; values above 100 count as 100.
    #[param(default = 20, minimum = 1, maximum = 100)]
    limit: Option<i64>,
}

/// List events of the journal, newest first. Administrators only.
///
/// A filter by kind examines at most 20,000 events for a page, so a page can be short although more follow.
#[utoipa::path(get, path = "/events", tag = "History", params(EventQuery),
    responses((status = 200, body = Page<Event>)))]
async fn events(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(query): Input<EventQuery>,
) -> Result<Json<Page<Event>>, ApiError> {
    let kind = |name: String| Trigger::by_name(&name).ok_or_else(|| invalid("trigger does not have a valid value"));
    let filter = EventFilter {
        project: query.project_id.map(ProjectId),
        trigger: query.trigger.map(kind).transpose()?,
        before: query.before.map(EventId),
        limit: limit(query.limit)?,
    };
    Ok(Json(scanned(&app.store().list_events(filter).await?)))
}

/// Show an event with its body, its deliveries, and the hooks that did not get it. Administrators only.
#[utoipa::path(get, path = "/events/{event_id}", tag = "History",
    responses((status = 200, body = EventWithDeliveries)))]
async fn event(
    admin: Admin,
    Extension(note): Extension<Note>,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id = EventId(Uuid::parse_str(&id).map_err(|_| nothing("event"))?);
    let (event, payload) = app.store().find_event(id).await?.ok_or_else(|| nothing("event"))?;
    note.shows_bodies();

    let skips = app.store().list_skips(id).await?;
    let filter = DeliveryFilter {
        event: Some(id),
        limit: 100,
        ..DeliveryFilter::default()
    };
    let rows = app.store().list_deliveries(filter).await?.rows;
    let mut deliveries: Vec<Delivery> = rows.iter().map(Delivery::from).collect();

    put_off(&app, &mut deliveries).await?;

    let reader = app.requester(&admin.0, Scope::Instance);
    let memory = app.memory.answer(&reader, payload.unpacked_len() * COPIES).await?;
    let body = payload.unpack()?;

    // The body is shown as JSON if possible. Deliveries always use the exact bytes.
    let shown = EventWithDeliveries {
        event: Event::from(&event),
        payload: Shown::json_or_text(&String::from_utf8_lossy(&body)),
        deliveries,
        unlisted: event.unlisted.iter().map(|hook| hook.0).collect(),
        skipped: skips
            .iter()
            .map(|(hook, why)| Skipped {
                hook_id: hook.0,
                reason: why.word(),
            })
            .collect(),
    };
    Ok(memory.keep_with(Json(shown).into_response()))
}

/// State of a delivery.
#[derive(Deserialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum StateWord {
    /// Has no answer yet.
    Waiting,

    /// Waits for an earlier delivery about the same object, because the hook wants its events in order.
    Blocked,

    /// Failed at least once, and will be attempted again.
    Retrying,

    /// Accepted by the receiver.
    Delivered,

    /// Failed for good: no attempt follows.
    GivenUp,

    /// No longer owed, because the hook was deleted.
    Cancelled,
}

impl From<StateWord> for Stage {
    fn from(word: StateWord) -> Self {
        match word {
            StateWord::Waiting => Self::Waiting,
            StateWord::Blocked => Self::Blocked,
            StateWord::Retrying => Self::Retrying,
            StateWord::Delivered => Self::Delivered,
            StateWord::GivenUp => Self::GivenUp,
            StateWord::Cancelled => Self::Cancelled,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct DeliveryQuery {
    /// Only deliveries of this event.
    event_id: Option<Uuid>,

    /// Only deliveries to this hook.
    hook_id: Option<i64>,

    /// Only deliveries in this state.
    #[param(inline)]
    state: Option<StateWord>,

    /// Only deliveries before this id.
    before: Option<Uuid>,

    /// Maximum number of rows; values above 100 count as 100.
    #[param(default = 20, minimum = 1, maximum = 100)]
    limit: Option<i64>,
}

/// List deliveries, newest first. Administrators only.
///
/// Filters by hook and state examine at most 20,000 deliveries for a page, so a page can be short although more
/// follow.
#[utoipa::path(get, path = "/deliveries", tag = "History", params(DeliveryQuery),
    responses((status = 200, body = Page<Delivery>)))]
async fn deliveries(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(query): Input<DeliveryQuery>,
) -> Result<Json<Page<Delivery>>, ApiError> {
    let filter = DeliveryFilter {
        event: query.event_id.map(EventId),
        hook: query.hook_id.map(HookId),
        state: query.state.map(Stage::from),
        before: query.before.map(DeliveryId),
        limit: limit(query.limit)?,
    };
    let mut page: Page<Delivery> = scanned(&app.store().list_deliveries(filter).await?);
    put_off(&app, &mut page.items).await?;

    Ok(Json(page))
}

/// Adjusts the due times: deliveries of a hook that is paused after failures are due at the end of the pause, those of
/// a hook that is disabled or paused by a person at no time, and none are due in silent mode.
async fn put_off(app: &App, deliveries: &mut [Delivery]) -> Result<(), ApiError> {
    if deliveries.iter().all(|delivery| delivery.next_attempt_at.is_none()) {
        return Ok(());
    }

    let failing: HashMap<i64, Health> = app
        .store()
        .failing_hooks()
        .await?
        .into_iter()
        .map(|(hook, health)| (hook.0, health))
        .collect();

    let (now, directory) = (app.now(), app.engine.context.directory());
    for delivery in deliveries {
        if directory.silence().is_on() || directory.is_paused(HookId(delivery.hook_id)) {
            delivery.next_attempt_at = None;
        }

        let (Some(Iso(due_at)), Some(health)) = (delivery.next_attempt_at, failing.get(&delivery.hook_id)) else {
            continue;
        };
        delivery.next_attempt_at = health.attempted_at(due_at, now).map(Iso);
    }

    Ok(())
}

/// Show a delivery with its attempts. Administrators only.
#[utoipa::path(get, path = "/deliveries/{delivery_id}", tag = "History",
    responses((status = 200, body = DeliveryWithHistory)))]
async fn delivery(
    _: Admin,
    Extension(note): Extension<Note>,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<DeliveryWithHistory>, ApiError> {
    let id = DeliveryId(Uuid::parse_str(&id).map_err(|_| nothing("delivery"))?);
    let delivery = app
        .store()
        .find_delivery(id)
        .await?
        .ok_or_else(|| nothing("delivery"))?;

    let filter = AttemptFilter {
        delivery: Some(id),
        limit: 100,
        ..AttemptFilter::default()
    };
    let attempts = app.store().list_attempts(filter).await?;
    note.shows_bodies();

    let history = attempts.iter().map(Attempt::from).collect();
    let mut delivery = Delivery::from(&delivery);
    put_off(&app, std::slice::from_mut(&mut delivery)).await?;

    Ok(Json(DeliveryWithHistory { delivery, history }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct AttemptQuery {
    /// Only attempts of this delivery.
    delivery_id: Option<Uuid>,

    /// Only attempts to this hook.
    hook_id: Option<i64>,

    /// Only attempts before this id.
    before: Option<i64>,

    /// Maximum number of rows; values above 100 count as 100.
    #[param(default = 20, minimum = 1, maximum = 100)]
    limit: Option<i64>,
}

/// List attempts, newest first. Administrators only.
#[utoipa::path(get, path = "/attempts", tag = "History", params(AttemptQuery),
    responses((status = 200, body = Page<Attempt>)))]
async fn attempts(
    _: Admin,
    Extension(note): Extension<Note>,
    State(app): State<Arc<App>>,
    Input(query): Input<AttemptQuery>,
) -> Result<Json<Page<Attempt>>, ApiError> {
    let limit = limit(query.limit)?;
    let filter = AttemptFilter {
        delivery: query.delivery_id.map(DeliveryId),
        hook: query.hook_id.map(HookId),
        before: query.before.map(AttemptId),
        limit,
    };
    let attempts = app.store().list_attempts(filter).await?;

    note.shows_bodies();
    Ok(Json(page(&attempts, limit, |attempt| attempt.id.to_string())))
}

fn nothing(what: &str) -> ApiError {
    ApiError::problem(StatusCode::NOT_FOUND, format!("there is no {what} with this id"))
}
