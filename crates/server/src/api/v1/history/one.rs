//! Shows single events and deliveries.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use quickdraw_domain::health::Health;
use quickdraw_domain::scope::Scope;
use quickdraw_domain::{DeliveryId, EventId, HookId};
use quickdraw_store::attempts::{self, AttemptFilter};
use quickdraw_store::deliveries::DeliveryFilter;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::super::reach;
use crate::audit::Note;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::state::App;
use crate::views::{Attempt, Delivery, DeliveryWithHistory, Event, EventWithDeliveries, Iso, Shown, Skipped};

/// Number of copies of a body in memory while it is shown: packed, unpacked, as the shown value, and in the answer,
/// whose buffer doubles.
const COPIES: usize = 6;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(event)).routes(routes!(delivery))
}

/// Show an event with its body, its deliveries, and the hooks that did not get it.
///
/// Administrators, and users who manage the project or group of the event. They see only the deliveries to hooks that
/// they manage.
#[utoipa::path(get, path = "/events/{event_id}", tag = "History",
    responses((status = 200, body = EventWithDeliveries)))]
async fn event(
    caller: Caller,
    Extension(note): Extension<Note>,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id = EventId(Uuid::parse_str(&id).map_err(|_| nothing("event"))?);
    let (event, payload) = app.store().find_event(id).await?.ok_or_else(|| nothing("event"))?;
    if !reach::may_see_place(&caller, event.place).await? {
        return Err(nothing("event"));
    }

    note.shows_bodies();

    let mut skips = app.store().list_skips(id).await?;
    let filter = DeliveryFilter {
        event: Some(id),
        limit: 100,
        ..DeliveryFilter::default()
    };
    let mut rows = app.store().list_deliveries(filter).await?.rows;
    let mut unlisted = event.unlisted.clone();

    if !caller.actor.is_admin {
        let hooks = rows.iter().map(|row| row.hook).chain(skips.iter().map(|skip| skip.0));
        let hooks: BTreeSet<HookId> = hooks.chain(unlisted.iter().copied()).collect();
        let mut seen = BTreeSet::new();

        for hook in hooks {
            if reach::may_see_hook(&app, &caller, hook).await? {
                seen.insert(hook);
            }
        }

        rows.retain(|row| seen.contains(&row.hook));
        skips.retain(|skip| seen.contains(&skip.0));
        unlisted.retain(|hook| seen.contains(hook));
    }

    let mut deliveries: Vec<Delivery> = rows.iter().map(Delivery::from).collect();

    put_off(&app, &mut deliveries).await?;

    let reader = app.requester(&caller.actor, Scope::Instance);
    let memory = app.memory.answer(&reader, payload.unpacked_len() * COPIES).await?;
    let body = payload.unpack()?;

    // The body is shown as JSON if possible. Deliveries always use the exact bytes.
    let shown = EventWithDeliveries {
        event: Event::from(&event),
        payload: Shown::json_or_text(&String::from_utf8_lossy(&body)),
        deliveries,
        unlisted: unlisted.iter().map(|hook| hook.0).collect(),
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

/// Show a delivery with its attempts.
///
/// Administrators, and users who manage the hook.
#[utoipa::path(get, path = "/deliveries/{delivery_id}", tag = "History",
    responses((status = 200, body = DeliveryWithHistory)))]
async fn delivery(
    caller: Caller,
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
    if !reach::may_see_hook(&app, &caller, delivery.hook).await? {
        return Err(nothing("delivery"));
    }

    let filter = AttemptFilter {
        delivery: Some(id),
        limit: 100,
        ..AttemptFilter::default()
    };
    let attempts = app.store().list_attempts(filter).await?;
    note.shows_bodies();

    let mut history: Vec<Attempt> = attempts.iter().map(Attempt::from).collect();
    let event = app.store().events_by_id(vec![delivery.event]).await?.pop();
    for attempt in &mut history {
        attempt.trigger = event.as_ref().map(|event| event.trigger.row().name);
    }

    let mut delivery = Delivery::from(&delivery);
    put_off(&app, std::slice::from_mut(&mut delivery)).await?;

    Ok(Json(DeliveryWithHistory { delivery, history }))
}

/// Adjusts the due times: deliveries of a hook that is paused after failures are due at the end of the pause, those of
/// a hook that is disabled or paused by a person at no time, and none are due in silent mode.
pub(super) async fn put_off(app: &App, deliveries: &mut [Delivery]) -> Result<(), ApiError> {
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

/// Adds the kinds of events to attempts.
pub(super) async fn name_triggers(
    app: &App,
    found: &[attempts::Attempt],
    shown: &mut [Attempt],
) -> Result<(), ApiError> {
    let mut events = HashMap::new();
    for attempt in found {
        if events.contains_key(&attempt.delivery) {
            continue;
        }

        let delivery = app.store().find_delivery(attempt.delivery).await?;
        events.extend(delivery.map(|delivery| (attempt.delivery, delivery.event)));
    }

    let ids: BTreeSet<EventId> = events.values().copied().collect();
    let known = app.store().events_by_id(ids.into_iter().collect()).await?;
    let triggers: HashMap<EventId, &'static str> =
        known.iter().map(|event| (event.id, event.trigger.row().name)).collect();

    for (attempt, shown) in found.iter().zip(shown) {
        let event = events.get(&attempt.delivery);
        shown.trigger = event.and_then(|event| triggers.get(event)).copied();
    }

    Ok(())
}

fn nothing(what: &str) -> ApiError {
    ApiError::problem(StatusCode::NOT_FOUND, format!("there is no {what} with this id"))
}
