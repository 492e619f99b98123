//! Backfill: imports events from before the first received one. They count for insights and are not delivered.

use std::fmt;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use futures_util::future::try_join_all;
use quickdraw_domain::Trigger;
use quickdraw_domain::envelope::Envelope;
use quickdraw_domain::event::Origin;
use quickdraw_domain::scope::Place;
use quickdraw_insights::backfill::Record;
use quickdraw_insights::counts;
use quickdraw_store::events::Appended;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body_faults::{self, Expected, Field};
use crate::auth::Admin;
use crate::body;
use crate::error::ApiError;
use crate::state::App;

/// Largest request in bytes: GitLab's largest body, and 1 MiB around it.
const LIMIT: usize = (25 << 20) + (1 << 20);
/// Largest number of events in a request.
const MAX_EVENTS: usize = 1_000;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(backfill))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenBackfill<'a> {
    #[serde(borrow, deserialize_with = "first")]
    events: Vec<BackfillEvent<'a>>,
}

/// Keeps at most one event more than allowed, which is enough to refuse the request. The others are skipped without
/// being stored, because a parsed list takes more memory than its text.
fn first<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<BackfillEvent<'de>>, D::Error> {
    deserializer.deserialize_seq(First)
}

struct First;

impl<'de> Visitor<'de> for First {
    type Value = Vec<BackfillEvent<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut first = Vec::new();
        while first.len() <= MAX_EVENTS {
            let Some(reported) = list.next_element()? else {
                return Ok(first);
            };
            first.push(reported);
        }

        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(first)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BackfillEvent<'a> {
    trigger: Option<String>,
    received_at: Option<String>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

/// The fields of [`GivenBackfill`], for errors.
const BACKFILL: &[Field] = &[Field::required("events", Expected::Items(EVENT))];

/// The fields of an event to import.
const EVENT: &[Field] = &[
    Field::optional("trigger", Expected::Text),
    Field::optional("received_at", Expected::Text),
    Field::required("payload", Expected::Anything),
];

/// Events to import.
#[derive(ToSchema)]
#[schema(as = Backfill)]
#[expect(dead_code, reason = "schema of the struct that borrows from the body")]
struct BackfillBody {
    /// At most 1,000 events.
    events: Vec<BackfillEventBody>,
}

/// One event to import.
#[derive(ToSchema)]
#[schema(as = BackfillEvent)]
#[expect(dead_code, reason = "schema of the struct that borrows from the body")]
struct BackfillEventBody {
    /// Kind of event, such as `push_hooks`. Default: the kind that the payload states.
    trigger: Option<String>,

    /// Time at which the event would have been received. Default: now.
    received_at: Option<String>,

    /// The body that GitLab would have sent.
    #[schema(value_type = Object)]
    payload: (),
}

/// Result of a backfill.
#[derive(Serialize, ToSchema)]
struct BackfillResult {
    /// Number of events that were stored. Insights count them within moments.
    added: usize,

    /// Number of events that an earlier backfill already stored with exactly the same text.
    known: usize,

    /// Number of events of kinds that no metric counts. They are not stored.
    ignored: usize,
}

/// Import events from the time before the first received event. Administrators only.
///
/// The events count in insights and are not delivered. An event that was also received counts once.
#[utoipa::path(post, path = "/insights/backfill", tag = "Insights", request_body = BackfillBody,
    responses((status = 200, body = BackfillResult)))]
async fn backfill(
    _: Admin,
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<BackfillResult>, ApiError> {
    let refused = |body::Refused(status, text)| ApiError::problem(status, text);
    let held = body::read(&app.bodies, &headers, body, LIMIT, body::Kind::Reported)
        .await
        .map_err(refused)?;
    let given: GivenBackfill<'_> = serde_json::from_slice(&held.bytes)
        .map_err(|error| body_faults::explain(&held.bytes, BACKFILL, &error, r#"{"events":[{"payload":{…}}]}"#))?;

    if given.events.len() > MAX_EVENTS {
        return Err(unprocessable(format!(
            "at most {MAX_EVENTS} events are allowed in one request"
        )));
    }

    let reported = given.events.iter().enumerate().map(|(at, reported)| {
        read(reported).map_err(|why| unprocessable(format!("events[{at}]: {why}; no event of this request was stored")))
    });
    let reported = reported.collect::<Result<Vec<_>, _>>()?;
    let events = reported.iter().filter(|(trigger, _)| counts(*trigger));
    let journal = &app.engine.journal;

    let appended = try_join_all(events.map(|(trigger, record)| {
        let event = journal.new_event(Place::Elsewhere, *trigger, Origin::Backfill);
        // The key is a digest of the event, so a backfill that broke off can be repeated without storing an event
        // twice.
        let key = format!("{trigger} {}", hex::encode(Sha256::digest(record)));
        journal.ingest(event, Some(key), record, None)
    }));
    let appended = appended.await?;
    let added = appended
        .iter()
        .filter(|appended| matches!(appended, Appended::New { .. }))
        .count();

    Ok(Json(BackfillResult {
        added,
        known: appended.len() - added,
        ignored: reported.len() - appended.len(),
    }))
}

/// Reads the trigger of an event, and builds the record that the journal keeps.
fn read(reported: &BackfillEvent<'_>) -> Result<(Trigger, Vec<u8>), String> {
    let envelope = Envelope::read(reported.payload.get().as_bytes()).map_err(|error| error.to_string())?;
    let trigger = match &reported.trigger {
        Some(name) => {
            let named = Trigger::by_name(name).ok_or_else(|| format!("there is no trigger {name:?}"))?;
            named.for_body(&envelope)
        }
        None => Trigger::recognise(None, &envelope),
    };
    if trigger == Trigger::UNKNOWN {
        return Err("the payload does not state its kind (object_kind); give a trigger".to_owned());
    }

    let record = Record {
        received_at: reported.received_at.clone(),
        payload: reported.payload,
    };
    if record.received_at.is_some() && record.received_at().is_none() {
        return Err("received_at is not a time, such as 2026-03-16T08:30:00Z".to_owned());
    }

    Ok((trigger, serde_json::to_vec(&record).map_err(|error| error.to_string())?))
}

fn unprocessable(text: String) -> ApiError {
    ApiError::problem(StatusCode::UNPROCESSABLE_ENTITY, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_events_no_more_are_kept_than_it_takes_to_refuse_them() {
        let events = |count: usize| format!(r#"{{"events":[{}]}}"#, vec![r#"{"payload":{}}"#; count].join(","));
        let read = |text: &str| serde_json::from_str::<GivenBackfill<'_>>(text).map(|given| given.events.len());
        assert_eq!(
            read(&events(MAX_EVENTS)).expect("the largest allowed number of events"),
            MAX_EVENTS
        );

        assert_eq!(read(&events(5 * MAX_EVENTS)).expect("JSON"), MAX_EVENTS + 1);
        assert!(read(r#"{"events":{}}"#).is_err());
    }
}
