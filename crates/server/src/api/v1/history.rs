//! Reading the journal, deliveries and attempts.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use quickdraw_domain::delivery::State as DeliveryState;
use quickdraw_domain::{AttemptId, DeliveryId, EventId, HookId, ProjectId, Timestamp, Trigger};
use quickdraw_store::attempts::AttemptFilter;
use quickdraw_store::deliveries::DeliveryFilter;
use quickdraw_store::events::EventFilter;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::auth::Admin;
use crate::error::ApiError;
use crate::params::Params;
use crate::state::App;
use crate::views;

const DEFAULT: i64 = 20;
const MOST: i64 = 100;

pub(super) async fn events(_: Admin, State(app): State<Arc<App>>, params: Params) -> Result<Json<Value>, ApiError> {
    let trigger = match params.text("trigger")? {
        Some(name) => Some(Trigger::by_name(&name).ok_or_else(|| invalid("trigger"))?),
        None => None,
    };
    let filter = EventFilter {
        project: params.integer("project_id")?.map(ProjectId),
        trigger,
        before: uuid(&params, "before")?.map(EventId),
        limit: limit(&params)?,
    };
    let full = filter.limit;
    let events = app.store().list_events(filter).await?;
    let next = events.last().filter(|_| events.len() == full).map(|event| event.id.to_string());
    Ok(page(events.iter().map(views::event).collect(), next))
}

pub(super) async fn event(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let id = EventId(Uuid::parse_str(&id).map_err(|_| nothing("event"))?);
    let (event, payload) = app.store().find_event(id).await?.ok_or_else(|| nothing("event"))?;
    let skips = app.store().list_skips(id).await?;
    let filter = DeliveryFilter { event: Some(id), limit: 100, ..DeliveryFilter::default() };
    let deliveries = app.store().list_deliveries(filter).await?;
    let mut view = views::event(&event);
    let body = payload.unpack()?;
    let text = String::from_utf8_lossy(&body).into_owned();
    // As JSON where it can be shown so; the exact bytes are what is delivered in any case.
    let shown = RawValue::from_string(text.clone()).ok().and_then(|raw| serde_json::to_value(raw).ok());
    view["payload"] = shown.unwrap_or(Value::String(text));
    view["deliveries"] = deliveries.iter().map(views::delivery).collect();
    view["skipped"] =
        skips.iter().map(|(hook, reason)| json!({ "hook_id": hook.0, "reason": reason.word() })).collect();
    Ok(Json(view))
}

pub(super) async fn deliveries(_: Admin, State(app): State<Arc<App>>, params: Params) -> Result<Json<Value>, ApiError> {
    let state = match params.text("state")? {
        Some(word) => {
            let all = (0..=4).map(|code| DeliveryState::from_code(code, Timestamp::default()));
            let found = all.into_iter().find(|state| state.word() == word);
            Some(found.ok_or_else(|| invalid("state"))?.code())
        }
        None => None,
    };
    let filter = DeliveryFilter {
        event: uuid(&params, "event_id")?.map(EventId),
        hook: params.integer("hook_id")?.map(HookId),
        state,
        before: uuid(&params, "before")?.map(DeliveryId),
        limit: limit(&params)?,
    };
    let full = filter.limit;
    let deliveries = app.store().list_deliveries(filter).await?;
    let next = deliveries.last().filter(|_| deliveries.len() == full).map(|delivery| delivery.id.to_string());
    Ok(page(deliveries.iter().map(views::delivery).collect(), next))
}

pub(super) async fn delivery(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let id = DeliveryId(Uuid::parse_str(&id).map_err(|_| nothing("delivery"))?);
    let delivery = app.store().find_delivery(id).await?.ok_or_else(|| nothing("delivery"))?;
    let filter = AttemptFilter { delivery: Some(id), limit: 100, ..AttemptFilter::default() };
    let attempts = app.store().list_attempts(filter).await?;
    let mut view = views::delivery(&delivery);
    view["history"] = attempts.iter().map(views::attempt).collect();
    Ok(Json(view))
}

pub(super) async fn attempts(_: Admin, State(app): State<Arc<App>>, params: Params) -> Result<Json<Value>, ApiError> {
    let filter = AttemptFilter {
        delivery: uuid(&params, "delivery_id")?.map(DeliveryId),
        hook: params.integer("hook_id")?.map(HookId),
        before: params.integer("before")?.map(AttemptId),
        limit: limit(&params)?,
    };
    let full = filter.limit;
    let attempts = app.store().list_attempts(filter).await?;
    let next = attempts.last().filter(|_| attempts.len() == full).map(|attempt| attempt.id.to_string());
    Ok(page(attempts.iter().map(views::attempt).collect(), next))
}

pub(super) fn page(items: Vec<Value>, next: Option<String>) -> Json<Value> {
    Json(json!({ "items": items, "next": next }))
}

pub(super) fn limit(params: &Params) -> Result<usize, ApiError> {
    let limit = params.integer("limit")?.unwrap_or(DEFAULT).clamp(1, MOST);
    usize::try_from(limit).map_err(|_| invalid("limit"))
}

fn uuid(params: &Params, name: &str) -> Result<Option<Uuid>, ApiError> {
    params.text(name)?.map(|text| Uuid::parse_str(&text).map_err(|_| invalid(name))).transpose()
}

fn invalid(name: &str) -> ApiError {
    ApiError::problem(StatusCode::BAD_REQUEST, format!("{name} does not have a valid value"))
}

fn nothing(what: &str) -> ApiError {
    ApiError::problem(StatusCode::NOT_FOUND, format!("there is no {what} with this id"))
}
