//! Reading the journal, deliveries and attempts.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use quickdraw_domain::delivery::State as DeliveryState;
use quickdraw_domain::health::Health;
use quickdraw_domain::scope::Scope;
use quickdraw_domain::{AttemptId, DeliveryId, EventId, HookId, ProjectId, Timestamp, Trigger};
use quickdraw_store::attempts::AttemptFilter;
use quickdraw_store::deliveries::{ASKED_BLOCKED, DeliveryFilter};
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
use crate::places::Sharer;
use crate::state::App;
use crate::views::{Attempt, Delivery, DeliveryWithHistory, Event, EventWithDeliveries, Iso, Page, Shown, Skipped};

/// How often a body is in memory while it is shown: packed, unpacked, as what is shown, and as the answer, whose buffer doubles.
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
    /// Only of this kind: `push_hooks`.
    trigger: Option<String>,
    /// Only of this project.
    project_id: Option<i64>,
    /// Only events before this one.
    before: Option<Uuid>,
    /// Most rows of the answer; more than 100 are 100.
    #[param(default = 20, minimum = 1, maximum = 100)]
    limit: Option<i64>,
}

/// List events of the journal, newest first. A filter by kind looks at 20,000 events for a page, so a page can be short
/// and not the last. Administrators.
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

/// Show an event with its body, its deliveries, and the hooks that did not get it. Administrators.
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
    let filter = DeliveryFilter { event: Some(id), limit: 100, ..DeliveryFilter::default() };
    let rows = app.store().list_deliveries(filter).await?.rows;
    let mut deliveries: Vec<Delivery> = rows.iter().map(Delivery::from).collect();
    put_off(&app, &mut deliveries).await?;
    let reader = Sharer::new(&app, &admin.0, Scope::Instance);
    let room = app.memory.answer(&reader, payload.unpacked_len() * COPIES).await?;
    let body = payload.unpack()?;
    // As JSON where it can be shown so; the exact bytes are what is delivered in any case.
    let shown = EventWithDeliveries {
        event: Event::from(&event),
        payload: Shown::json_or_text(&String::from_utf8_lossy(&body)),
        deliveries,
        unlisted: event.unlisted.iter().map(|hook| hook.0).collect(),
        skipped: skips.iter().map(|(hook, why)| Skipped { hook_id: hook.0, reason: why.word() }).collect(),
    };
    Ok(room.keep_with(Json(shown).into_response()))
}

/// How a delivery stands.
#[derive(Deserialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum StateWord {
    /// Was never answered yet.
    Waiting,
    /// Behind another one about the same object, for a hook that wants its events in order.
    Blocked,
    /// Failed at least once and is due again.
    Retrying,
    /// The receiver has it.
    Delivered,
    /// Was tried for the last time.
    GivenUp,
    /// Is no longer owed: its hook was deleted.
    Cancelled,
}

impl StateWord {
    const fn code(self) -> i16 {
        const NEVER: Timestamp = Timestamp::from_micros(0);
        match self {
            Self::Waiting => DeliveryState::Waiting { due_at: NEVER },
            Self::Blocked => return ASKED_BLOCKED,
            Self::Retrying => DeliveryState::Retrying { due_at: NEVER },
            Self::Delivered => DeliveryState::Delivered,
            Self::GivenUp => DeliveryState::GivenUp,
            Self::Cancelled => DeliveryState::Cancelled,
        }
        .code()
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct DeliveryQuery {
    /// Only of this event.
    event_id: Option<Uuid>,
    /// Only to this hook.
    hook_id: Option<i64>,
    /// Only those that stand so.
    #[param(inline)]
    state: Option<StateWord>,
    /// Only deliveries before this one.
    before: Option<Uuid>,
    /// Most rows of the answer; more than 100 are 100.
    #[param(default = 20, minimum = 1, maximum = 100)]
    limit: Option<i64>,
}

/// List deliveries, newest first. Filters by hook and state look at 20,000 deliveries for a page, so a page can be short
/// and not the last. Administrators.
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
        state: query.state.map(StateWord::code),
        before: query.before.map(DeliveryId),
        limit: limit(query.limit)?,
    };
    let mut page: Page<Delivery> = scanned(&app.store().list_deliveries(filter).await?);
    put_off(&app, &mut page.items).await?;
    Ok(Json(page))
}

/// Shows deliveries of paused hooks as due when the pause ends, and those of disabled hooks as due at no time.
async fn put_off(app: &App, deliveries: &mut [Delivery]) -> Result<(), ApiError> {
    if deliveries.iter().all(|delivery| delivery.next_attempt_at.is_none()) {
        return Ok(());
    }
    let ill: HashMap<i64, Health> =
        app.store().ill_hooks().await?.into_iter().map(|(hook, health)| (hook.0, health)).collect();
    let now = app.now();
    for delivery in deliveries {
        let (Some(Iso(due_at)), Some(health)) = (delivery.next_attempt_at, ill.get(&delivery.hook_id)) else {
            continue;
        };
        delivery.next_attempt_at = health.attempted_at(due_at, now).map(Iso);
    }
    Ok(())
}

/// Show a delivery with its attempts. Administrators.
#[utoipa::path(get, path = "/deliveries/{delivery_id}", tag = "History",
    responses((status = 200, body = DeliveryWithHistory)))]
async fn delivery(
    _: Admin,
    Extension(note): Extension<Note>,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<DeliveryWithHistory>, ApiError> {
    let id = DeliveryId(Uuid::parse_str(&id).map_err(|_| nothing("delivery"))?);
    let delivery = app.store().find_delivery(id).await?.ok_or_else(|| nothing("delivery"))?;
    let filter = AttemptFilter { delivery: Some(id), limit: 100, ..AttemptFilter::default() };
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
    /// Only of this delivery.
    delivery_id: Option<Uuid>,
    /// Only to this hook.
    hook_id: Option<i64>,
    /// Only attempts before this one.
    before: Option<i64>,
    /// Most rows of the answer; more than 100 are 100.
    #[param(default = 20, minimum = 1, maximum = 100)]
    limit: Option<i64>,
}

/// List attempts, newest first. Administrators.
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
