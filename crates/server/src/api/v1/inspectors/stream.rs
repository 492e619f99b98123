//! The requests of an inspector as Server-Sent Events, for people who wait for the next one.

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use quickdraw_domain::inspector::{Inspected, MAX_REQUESTS};
use quickdraw_domain::scope::Scope;
use quickdraw_store::inspectors::InspectedPage;
use tokio::sync::watch;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::find;
use crate::api::v1::stream::accepts_a_stream;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::places::SharedPermit;
use crate::receive::text;
use crate::state::App;
use crate::streams::SHARES;
use crate::views::InspectedRequest;

/// Longest time without a look for new requests. Those of other nodes are noticed after it.
const TICK: Duration = Duration::from_secs(1);
/// Shortest time between two looks.
const PACE: Duration = Duration::from_millis(100);
/// Time for which the permission of the client is not checked again.
const TRUST: Duration = Duration::from_secs(5);
/// Time between two comments on a quiet connection.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);
/// Time within which requests of different nodes can be stored in another order than that of their ids.
const DISORDER_MS: u64 = 10_000;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(follow))
}

/// Stream requests to an inspector as Server-Sent Events. Its owner and administrators.
///
/// Each event `request` has a request as its data, without headers and body, and the id of the request as its id. The
/// stream begins with requests from now on, or after the header `Last-Event-ID`. It ends when the inspector is deleted.
/// Send `Accept: text/event-stream`.
#[utoipa::path(get, path = "/inspectors/{inspector_id}/stream", tag = "Inspectors",
    params(("Last-Event-ID" = Option<String>, Header, description = "Id of the last received request.")),
    responses((status = 200, body = InspectedRequest, content_type = "text/event-stream")))]
async fn follow(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    find(&app, &caller, &id).await?;

    if !accepts_a_stream(&headers) {
        let text = "this endpoint is a stream: send Accept: text/event-stream (curl -N -H 'Accept: text/event-stream')";
        return Err(ApiError::problem(StatusCode::NOT_ACCEPTABLE, text));
    }

    let requester = app.requester(&caller.actor, Scope::Instance);
    let permit = app.streams.permits.acquire(&requester);
    let permit = permit.map_err(|full| full.refusal("open streams", &SHARES))?;

    // Subscribes before the position is read, so that no later request is missed.
    let (arrivals, closing) = (app.inspectors.arrivals(), app.streams.closing());
    let last = text(&headers, "last-event-id").filter(|last| !last.is_empty());
    let position = match last {
        Some(last) => position(last)?,
        None => newest(&app, &id).await?,
    };

    let mut follower = Follower {
        caller,
        id,
        floor: before(position),
        sent: BTreeSet::new(),
        waiting: VecDeque::new(),
        trusted: Instant::now(),
        arrivals,
        closing,
        _permit: permit,
        app,
    };
    follower.skip_up_to(position).await?;

    let events = stream::unfold(follower, |mut follower| async {
        let event = follower.next().await?;
        Some((Ok::<_, Infallible>(event), follower))
    });
    let sse = Sse::new(events).keep_alive(KeepAlive::new().interval(SIGN_OF_LIFE));
    // Asks nginx not to buffer the stream.
    Ok(([("X-Accel-Buffering", "no")], sse).into_response())
}

fn position(last: &str) -> Result<Uuid, ApiError> {
    last.parse().map_err(|_| {
        let text = format!("{last:?} is not the id of a request; send the id of the last event, or no Last-Event-ID");
        ApiError::field("Last-Event-ID", text)
    })
}

/// The id of the newest request, from which the stream continues.
async fn newest(app: &App, id: &str) -> Result<Uuid, ApiError> {
    let page = InspectedPage {
        limit: 1,
        ..InspectedPage::default()
    };
    let newest = app.store().list_inspected(id.to_owned(), page).await?;
    Ok(newest.first().map_or(Uuid::nil(), |request| request.id))
}

/// An id that is smaller than those of all requests which can be stored later than `position`.
fn before(position: Uuid) -> Uuid {
    let milliseconds = position.as_u64_pair().0 >> 16;
    Uuid::from_u64_pair(milliseconds.saturating_sub(DISORDER_MS) << 16, 0)
}

/// A connected client.
struct Follower {
    app: Arc<App>,
    caller: Caller,
    id: String,

    /// Requests up to this id are not read again.
    floor: Uuid,

    /// Requests after the floor that were sent.
    sent: BTreeSet<Uuid>,
    waiting: VecDeque<Inspected>,
    trusted: Instant,
    arrivals: watch::Receiver<u64>,
    closing: watch::Receiver<bool>,
    _permit: SharedPermit,
}

impl Follower {
    /// Counts all requests up to a position as sent.
    async fn skip_up_to(&mut self, position: Uuid) -> Result<(), ApiError> {
        for request in self.read().await? {
            if request.id <= position {
                self.sent.insert(request.id);
            }
        }

        Ok(())
    }

    async fn read(&self) -> Result<Vec<Inspected>, ApiError> {
        let _leave = self.app.streams.look().await;
        let page = InspectedPage {
            before: None,
            after: Some(self.floor),
            limit: MAX_REQUESTS,
        };
        Ok(self.app.store().list_inspected(self.id.clone(), page).await?)
    }

    /// Returns the next event. `None` ends the stream; the client reconnects.
    async fn next(&mut self) -> Option<sse::Event> {
        loop {
            if !self.may_continue().await {
                return None;
            }

            if let Some(request) = self.waiting.pop_front() {
                return self.event(&request);
            }

            // The read below already covers all requests that were announced before.
            self.arrivals.mark_unchanged();
            if !self.look().await {
                return None;
            }

            if self.waiting.is_empty() {
                self.rest().await;
            }
        }
    }

    /// Reads new requests, the oldest first. `false` if the store fails.
    async fn look(&mut self) -> bool {
        let Ok(found) = self.read().await else {
            return false;
        };
        let is_new = |request: &Inspected| !self.sent.contains(&request.id);
        self.waiting = found.into_iter().filter(is_new).collect();
        self.waiting.make_contiguous().reverse();

        true
    }

    fn event(&mut self, request: &Inspected) -> Option<sse::Event> {
        self.sent.insert(request.id);
        self.floor = self.floor.max(before(request.id));
        self.sent = self.sent.split_off(&self.floor);

        let data = serde_json::to_string(&InspectedRequest::from(request)).ok()?;
        let event = sse::Event::default().event("request").data(data);
        Some(event.id(request.id.to_string()))
    }

    /// Waits for a pause, and then for a request or the tick.
    async fn rest(&mut self) {
        let (arrivals, closing) = (&mut self.arrivals, &mut self.closing);
        let woken = async {
            tokio::time::sleep(PACE).await;
            let _ = tokio::time::timeout(TICK, arrivals.changed()).await;
        };
        tokio::select! {
            () = woken => {}
            _ = closing.changed() => {}
        }
    }

    /// Whether the server is not stopping, and the client still has permission.
    async fn may_continue(&mut self) -> bool {
        if *self.closing.borrow() {
            return false;
        }

        if self.trusted.elapsed() < TRUST {
            return true;
        }

        self.trusted = Instant::now();
        self.caller.look_again().await.is_ok() && find(&self.app, &self.caller, &self.id).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_reads_again_the_requests_of_ten_seconds() {
        let id = Uuid::from_u64_pair((1_790_000_000_000 << 16) | 0x7abc, 5);
        let floor = before(id);
        assert_eq!(floor.as_u64_pair().0 >> 16, 1_789_999_990_000);
        assert!(floor < id);
        assert_eq!(before(Uuid::nil()), Uuid::nil());
    }
}
