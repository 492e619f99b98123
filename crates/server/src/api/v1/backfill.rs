//! Telling afterwards what happened before anything was received: it counts for insights, and is delivered to nobody.

use std::fmt;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use futures_util::future::try_join_all;
use quickdraw_domain::Trigger;
use quickdraw_domain::event::{Origin, Skim};
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

use crate::auth::Admin;
use crate::body;
use crate::error::ApiError;
use crate::state::App;

/// Largest request: the largest body that GitLab sends, and its wrapping.
const LIMIT: usize = (25 << 20) + (1 << 20);
/// Most events of one request.
const MOST: usize = 1_000;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(backfill))
}

#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(borrow, deserialize_with = "first")]
    events: Vec<Told<'a>>,
}

/// One event more than there may be, which is enough to refuse them; the rest is skipped, because a list of very many takes more
/// memory than its text.
fn first<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Told<'de>>, D::Error> {
    deserializer.deserialize_seq(First)
}

struct First;

impl<'de> Visitor<'de> for First {
    type Value = Vec<Told<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut first = Vec::new();
        while first.len() <= MOST {
            let Some(told) = list.next_element()? else { return Ok(first) };
            first.push(told);
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(first)
    }
}

#[derive(Deserialize)]
struct Told<'a> {
    trigger: Option<String>,
    received_at: Option<String>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

/// What happened.
#[derive(ToSchema)]
#[schema(as = Backfill)]
#[expect(dead_code, reason = "what `Asked` borrows, described")]
struct AskedBody {
    /// At most 1,000.
    events: Vec<ToldBody>,
}

/// An event as it would have been received.
#[derive(ToSchema)]
#[schema(as = BackfillEvent)]
#[expect(dead_code, reason = "what `Told` borrows, described")]
struct ToldBody {
    /// What kind it is, as `push_hooks`; by default what the payload says of itself.
    trigger: Option<String>,
    /// When it would have been received. By default now.
    received_at: Option<String>,
    /// The body that would have been received.
    #[schema(value_type = Object)]
    payload: (),
}

/// What became of it.
#[derive(Serialize, ToSchema)]
struct Backfilled {
    /// Events that were committed. They are counted within moments.
    taken: usize,
    /// Events that were told before, word for word.
    known: usize,
    /// Events of kinds that count for nothing, which are not kept.
    passed_over: usize,
}

/// Tell what happened before anything was received. It counts for insights and is delivered to nobody; what was received as
/// well counts once. Administrators.
#[utoipa::path(post, path = "/insights/backfill", tag = "Insights", request_body = AskedBody,
    responses((status = 200, body = Backfilled)))]
async fn backfill(
    _: Admin,
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Backfilled>, ApiError> {
    let refused = |body::Refused(status, text)| ApiError::problem(status, text);
    let held = body::read(&app, &headers, body, LIMIT, body::Kind::Reported).await.map_err(refused)?;
    let asked: Asked<'_> = serde_json::from_slice(&held.bytes).map_err(|error| {
        let text = format!("the body is no backfill ({error}); send {{\"events\":[{{\"payload\":{{…}}}}]}}");
        ApiError::problem(StatusCode::BAD_REQUEST, text)
    })?;
    if asked.events.len() > MOST {
        return Err(unprocessable(format!("at most {MOST} events at once")));
    }
    let told = asked.events.iter().enumerate().map(|(at, told)| {
        read(told).map_err(|why| unprocessable(format!("events[{at}]: {why}; nothing of this request was taken")))
    });
    let told = told.collect::<Result<Vec<_>, _>>()?;
    let events = told.iter().filter(|(trigger, _)| counts(*trigger));
    let journal = &app.engine.journal;
    let appended = try_join_all(events.map(|(trigger, record)| {
        let event = journal.new_event(Place::Elsewhere, *trigger, Origin::Backfill);
        // The same body again is known: a backfill that broke off can be repeated.
        let key = format!("{trigger} {}", hex::encode(Sha256::digest(record)));
        journal.ingest(event, Some(key), record)
    }));
    let appended = appended.await?;
    let taken = appended.iter().filter(|appended| matches!(appended, Appended::New { .. })).count();
    Ok(Json(Backfilled { taken, known: appended.len() - taken, passed_over: told.len() - appended.len() }))
}

/// Its kind, and what the journal keeps.
fn read(told: &Told<'_>) -> Result<(Trigger, Vec<u8>), String> {
    let skim = Skim::read(told.payload.get().as_bytes()).map_err(|error| error.to_string())?;
    let trigger = match &told.trigger {
        Some(name) => {
            let named = Trigger::by_name(name).ok_or_else(|| format!("there is no trigger {name:?}"))?;
            named.for_body(&skim)
        }
        None => Trigger::recognise(None, &skim),
    };
    if trigger == Trigger::UNKNOWN {
        return Err("the payload does not say what it is (object_kind); give a trigger".to_owned());
    }
    let record = Record { received_at: told.received_at.clone(), payload: told.payload };
    if record.received_at.is_some() && record.received_at().is_none() {
        return Err("received_at is no time; write 2026-03-16T08:30:00Z".to_owned());
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
        let read = |text: &str| serde_json::from_str::<Asked<'_>>(text).map(|asked| asked.events.len());
        assert_eq!(read(&events(MOST)).expect("as many as there may be"), MOST);
        assert_eq!(read(&events(5 * MOST)).expect("JSON"), MOST + 1);
        assert!(read(r#"{"events":{}}"#).is_err());
    }
}
