//! The journal as a stream of Server-Sent Events: a client opens one connection and gets events in the order of their
//! commits. After a disconnect, it sends its last position and continues from there.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use quickdraw_domain::access::Action;
use quickdraw_domain::event::{Event, Origin};
use quickdraw_domain::hook::EventFilter;
use quickdraw_domain::hook::filter::{Answer, LARGEST_BODY};
use quickdraw_domain::request::About;
use quickdraw_domain::scope::{Place, Scope};
use quickdraw_domain::work::Work;
use quickdraw_domain::{DeliveryId, EventId, HookId, Trigger};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, watch};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{filter_faults, managed};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::{Input, Moment, TriggerName};
use crate::places::SharedPermit;
use crate::receive::text;
use crate::state::App;
use crate::streams::SHARES;
use crate::streams::open::{Listed, NewStream};
use crate::telemetry::STREAM_EVENTS;
use crate::views;

/// Stands for the client where a delivery names a hook. No hook has this id.
const NO_HOOK: HookId = HookId(0);
/// Number of batches that are read from the journal at once.
const BATCHES: usize = 64;
/// Largest number of events that are examined at once. The rest of a larger batch is examined the next time.
const MAX_SCANNED: usize = 512;
/// Shortest time between two reads at the end of the journal, because every commit wakes the stream.
const PACE: Duration = Duration::from_millis(100);
/// Time between two `position` events while no requested event arrives.
const POSITION_EVERY: Duration = Duration::from_secs(5);
/// Longest time without a read at the end of the journal. Commits of other nodes are noticed after it.
const TICK: Duration = Duration::from_secs(1);
/// Time for which the permission of the client is not checked again.
const TRUST: Duration = Duration::from_secs(5);
/// Time between two comments on a quiet connection, with which both ends notice a lost connection.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(follow))
}

/// A position in the journal: a batch, and the number of its events that the client already has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Position {
    batch: i64,
    events: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.batch, self.events)
    }
}

impl FromStr for Position {
    type Err = ApiError;

    fn from_str(text: &str) -> Result<Self, ApiError> {
        let parts = text
            .split_once('-')
            .and_then(|(batch, events)| Some((batch.parse().ok()?, events.parse().ok()?)));
        let (batch, events) = parts.ok_or_else(|| {
            ApiError::field(
                "Last-Event-ID",
                format!("{text:?} is not a position; send the id of the last received event, such as 1742-0"),
            )
        })?;

        Ok(Self { batch, events })
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct StreamQuery {
    /// Only events of this project: id or full path. Requires the role of a maintainer.
    project: Option<String>,

    /// Only events of this group, its subgroups and projects: id or full path. Requires the role of an owner.
    group: Option<String>,

    /// Only events of these kinds, such as `push_hooks,tag_push_hooks`.
    #[serde(default)]
    #[param(value_type = Vec<String>)]
    trigger: Vec<TriggerName>,

    /// Only events that pass this filter: JSON in the format of a hook's `event_filter`. An event passes if the
    /// filter exceeds its budget of work.
    filter: Option<String>,

    /// Id of the last received event. The header `Last-Event-ID` has the same meaning and takes precedence.
    after: Option<String>,

    /// Start with events that were received at this time or later, if no last event is given. Default: events from
    /// now on. On PostgreSQL, events from just before this time can be included.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Moment>,
}

/// Headers of the event, by name.
#[derive(Serialize, ToSchema)]
struct Headers {
    /// Kind of event.
    #[serde(rename = "X-Gitlab-Event")]
    event: String,

    /// URL of the instance on which it happened.
    #[serde(rename = "X-Gitlab-Instance")]
    instance: String,

    /// Id of the chain that the event belongs to.
    #[serde(rename = "X-Gitlab-Event-UUID")]
    chain: String,

    /// Key of the event. It is the same each time the event is streamed, so that clients can recognise repeats.
    #[serde(rename = "Idempotency-Key")]
    key: String,
}

/// An event on the stream.
#[derive(Serialize, ToSchema)]
struct Streamed {
    /// The event.
    #[serde(flatten)]
    event: views::Event,

    /// Headers of the event, as in a request to a hook.
    headers: Headers,

    /// The exact body. It is JSON as a string, so that no byte changes.
    body: String,
}

/// Stream events as Server-Sent Events. Maintainers of the project, owners of the group, and administrators.
///
/// Events arrive at least once, in the order in which they were committed. `event` is the kind, `data` the event with
/// its headers and body, and `id` the position from which to continue. A `position` event moves the position without an
/// event. A `lost` event reports that retention has deleted some of the following events. Send
/// `Accept: text/event-stream`. Tests, backfilled events and duplicates are not streamed.
#[utoipa::path(get, path = "/stream", tag = "Events", params(StreamQuery, ("Last-Event-ID" = Option<String>, Header, description = "Id of the last received event.")),
    responses((status = 200, body = Streamed, content_type = "text/event-stream")))]
async fn follow(
    caller: Caller,
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Input(query): Input<StreamQuery>,
) -> Result<Response, ApiError> {
    let scope = managed::scope_of(&app, &caller, query.project.as_deref(), query.group.as_deref()).await?;

    let triggers = query.trigger.iter().map(|trigger| trigger.0).collect();
    let filter = match query.filter.as_deref() {
        Some(text) => {
            let filter = EventFilter::parse(text);
            Some(filter.map_err(|error| filter_faults::explain(StatusCode::BAD_REQUEST, "filter", text, &error))?)
        }
        None => None,
    };
    let last = text(&headers, "last-event-id")
        .filter(|id| !id.is_empty())
        .or(query.after.as_deref());
    let last = last.map(Position::from_str).transpose()?;

    if !accepts_a_stream(&headers) {
        let text = "this endpoint is a stream: send Accept: text/event-stream (curl -N -H 'Accept: text/event-stream')";
        return Err(ApiError::problem(StatusCode::NOT_ACCEPTABLE, text));
    }

    let requester = app.requester(&caller.actor, scope);
    let permit = app
        .streams
        .permits
        .acquire(&requester)
        .map_err(|full| full.refusal("open streams", &SHARES))?;

    // Subscribes before the position is read, so that no later commit is missed.
    let (commits, closing) = (app.engine.context.commits_of_events(), app.streams.closing());
    let next = app.store().next_append().await?;

    let position = match (last, query.since) {
        (Some(last), _) if last.batch > next => {
            let text = "this position is after the end of the journal: it belongs to another server, or a backup was \
                restored here; start without a position, or with since";
            return Err(ApiError::field("Last-Event-ID", text));
        }
        (Some(last), _) => last,
        (None, Some(since)) => Position {
            batch: app.store().append_since(since.0).await?,
            events: 0,
        },
        (None, None) => Position { batch: next, events: 0 },
    };

    caller.is_shown_bodies();

    let opened = app.streams.open.add(NewStream {
        user: caller.actor.username.clone(),
        scope,
        triggers: query.trigger.iter().map(|trigger| trigger.0).collect(),
        has_filter: filter.is_some(),
        opened_at: app.now(),
    });
    opened.moved(position.to_string(), position.batch);

    let follower = Follower {
        caller,
        scope,
        triggers,
        filter,
        position,
        sent_position: last,
        reported_at: Instant::now(),
        waiting: VecDeque::new(),
        read_at: None,
        trusted: Instant::now(),
        commits,
        closing,
        ending: opened.ending(),
        opened,
        memory: None,
        _permit: permit,
        app,
    };
    let events = stream::unfold(follower, |mut follower| async {
        let event = follower.next().await?;
        Some((Ok::<_, Infallible>(event), follower))
    });
    let sse = Sse::new(events).keep_alive(KeepAlive::new().interval(SIGN_OF_LIFE));
    // Asks nginx not to buffer the stream.
    Ok(([("X-Accel-Buffering", "no")], sse).into_response())
}

pub(super) fn accepts_a_stream(headers: &HeaderMap) -> bool {
    let mut accepted = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    accepted.any(|value| value.to_ascii_lowercase().contains("text/event-stream"))
}

/// A connected client.
struct Follower {
    app: Arc<App>,
    caller: Caller,
    scope: Scope,
    triggers: Vec<Trigger>,
    filter: Option<EventFilter>,

    /// Position of the client.
    position: Position,

    /// Last position that was sent; `None` before the first one.
    sent_position: Option<Position>,
    reported_at: Instant,

    /// Events that come next, each with the position after it.
    waiting: VecDeque<(Next, Position)>,

    /// Time of the last read at the end of the journal.
    read_at: Option<Instant>,
    trusted: Instant,
    commits: watch::Receiver<u64>,
    closing: watch::Receiver<bool>,

    /// Becomes true when somebody ends this stream.
    ending: watch::Receiver<bool>,
    opened: Listed,

    /// Memory for the last body, which is still being sent.
    memory: Option<OwnedSemaphorePermit>,
    _permit: SharedPermit,
}

/// A step of the stream.
enum Next {
    /// A requested event, which is sent if its body passes the filter.
    Event(Box<Event>),

    /// An event that is no longer stored.
    Lost,

    /// Events that were not requested.
    Passed,
}

impl Follower {
    /// Returns the next event for the client. `None` ends the stream; the client reconnects.
    async fn next(&mut self) -> Option<sse::Event> {
        loop {
            match self.advance().await {
                Ok(Some(event)) => return Some(event),
                Ok(None) => {}
                Err(Ended::Store(error)) => {
                    tracing::warn!(%error, "a stream ended because the store failed");
                    return None;
                }
                Err(Ended::Directory(error)) => {
                    tracing::warn!(%error, "a stream ended because the directory could not be read");
                    return None;
                }
                Err(Ended::Over) => return None,
            }
        }
    }

    async fn advance(&mut self) -> Result<Option<sse::Event>, Ended> {
        // A request for the next event means that the last one was sent.
        self.memory = None;
        self.check().await?;

        if let Some((next, after)) = self.waiting.pop_front() {
            self.position = after;
            return match next {
                Next::Event(event) => self.show(&event).await,
                Next::Lost => Ok(Some(self.lost())),
                Next::Passed if self.reported_at.elapsed() >= POSITION_EVERY => Ok(Some(self.position_event())),
                Next::Passed => Ok(None),
            };
        }

        // The read below already covers all commits that were announced before.
        self.commits.mark_unchanged();
        if self.look().await? {
            return Ok(Some(self.lost()));
        }

        if !self.waiting.is_empty() {
            return Ok(None);
        }

        if self.sent_position != Some(self.position) {
            // Sends the first position, or one after events that were not requested, so that the client does not
            // start before them again.
            return Ok(Some(self.position_event()));
        }

        let rested = self
            .read_at
            .replace(Instant::now())
            .map_or(PACE, |read_at| read_at.elapsed());
        tokio::select! {
            () = rest(&mut self.commits, PACE.saturating_sub(rested)) => {}
            _ = self.closing.changed() => {}
            _ = self.ending.changed() => {}
        }

        Ok(None)
    }

    /// Reads the next events of the journal, and keeps the requested ones. Returns true if some events were lost.
    async fn look(&mut self) -> Result<bool, Ended> {
        let app = Arc::clone(&self.app);
        let _leave = app.streams.look().await;
        let followed = app.store().appends(self.position.batch, BATCHES).await?;

        if followed.lost {
            // The first batch is the rest of a range that was partly deleted.
            self.position = Position {
                batch: followed.batches.first().map_or(0, |batch| batch.number) + 1,
                events: 0,
            };

            return Ok(true);
        }

        let mut ahead = Vec::new();
        for batch in &followed.batches {
            let had = if batch.number == self.position.batch {
                self.position.events
            } else {
                0
            };

            let last = batch.events.len().saturating_sub(1);
            for (index, event) in batch.events.iter().enumerate().skip(had) {
                let after = match index == last {
                    true => Position {
                        batch: batch.number + 1,
                        events: 0,
                    },
                    false => Position {
                        batch: batch.number,
                        events: index + 1,
                    },
                };
                ahead.push((*event, after));
            }
        }

        ahead.truncate(MAX_SCANNED);
        if ahead.is_empty() {
            return Ok(false);
        }

        let found = app
            .store()
            .events_by_id(ahead.iter().map(|(id, _)| *id).collect())
            .await?;
        let mut found: HashMap<EventId, Event> = found.into_iter().map(|event| (event.id, event)).collect();
        let is_new = |event: &Event| matches!(event.place, Place::Project(id) if !app.engine.context.knows_project(id));
        if matches!(self.scope, Scope::Group(_)) && found.values().any(is_new) {
            // The directory of this node may not know a project that another node has created.
            app.engine.context.refresh_directory().await.map_err(Ended::Directory)?;
        }

        for (id, after) in ahead {
            let next = match found.remove(&id) {
                Some(event) if self.wants(&event) => Next::Event(Box::new(event)),
                Some(_) => Next::Passed,
                None => Next::Lost,
            };
            // Of consecutive events that were not requested, only the last position matters.
            match (&next, self.waiting.back_mut()) {
                (Next::Passed, Some((Next::Passed, last))) => *last = after,
                _ => self.waiting.push_back((next, after)),
            }
        }

        Ok(false)
    }

    fn wants(&self, event: &Event) -> bool {
        !matches!(event.origin, Origin::Test | Origin::Backfill)
            && event.duplicate_of.is_none()
            && (self.triggers.is_empty() || self.triggers.contains(&event.trigger))
            && self.app.engine.context.is_in(event.place, self.scope)
    }

    /// Checks whether the stream can continue: the client still has permission, and the server is not stopping.
    async fn check(&mut self) -> Result<(), Ended> {
        if *self.closing.borrow() || *self.ending.borrow() {
            return Err(Ended::Over);
        }

        if self.trusted.elapsed() >= TRUST {
            let allowed =
                self.caller.look_again().await.is_ok() && self.caller.require(self.scope, Action::Hooks).await.is_ok();
            if !allowed {
                return Err(Ended::Over);
            }

            self.trusted = Instant::now();
        }

        Ok(())
    }

    /// Builds the event to send; `None` if the filter stops it.
    async fn show(&mut self, event: &Event) -> Result<Option<sse::Event>, Ended> {
        let app = Arc::clone(&self.app);
        let found = {
            let _leave = app.streams.look().await;
            app.store().find_event(event.id).await?
        };
        let Some((_, payload)) = found else {
            return Ok(Some(self.lost()));
        };

        self.memory = app.streams.memory(payload.unpacked_len()).await;

        let body = match payload.unpack() {
            Ok(body) => body,
            Err(error) => {
                tracing::error!(%error, event = %event.id, "an event cannot be unpacked");
                return Ok(None);
            }
        };

        if let Some(filter) = self.filter.as_ref().filter(|_| body.len() <= LARGEST_BODY) {
            let mut work = Work::new(u64::MAX);
            let asker = self.caller.actor.user_id;

            // If the filter exceeds its budget, the event passes, because a stream cannot show a skip reason.
            if app
                .engine
                .journal
                .ask_filter(asker, filter, body.clone(), &mut work)
                .await
                == Some(Answer::Stopped)
            {
                return Ok(None);
            }
        }

        let delivery = DeliveryId::of(event.id, NO_HOOK);

        // The headers are those that a hook of the event's own scope would get, independent of the scope of the
        // stream.
        let is_system = matches!(event.place, Place::Instance | Place::Elsewhere);
        let about = About::new(is_system, event, delivery, &self.app.external_url);

        let streamed = Streamed {
            event: views::Event::from(event),
            headers: Headers {
                event: about.event.to_owned(),
                instance: about.instance.to_owned(),
                chain: about.chain.to_string(),
                key: delivery.to_string(),
            },
            body: String::from_utf8_lossy(&body).into_owned(),
        };
        let Ok(data) = serde_json::to_string(&streamed) else {
            return Ok(None);
        };
        metrics::counter!(STREAM_EVENTS).increment(1);
        self.opened.sent(self.app.now());

        Ok(Some(self.at_position(
            sse::Event::default().event(event.trigger.row().name).data(data),
        )))
    }

    fn position_event(&mut self) -> sse::Event {
        self.at_position(sse::Event::default().event("position").data("{}"))
    }

    fn lost(&mut self) -> sse::Event {
        let detail = "retention has deleted some of the following events; a replay cannot restore them";
        self.at_position(
            sse::Event::default()
                .event("lost")
                .data(json!({ "detail": detail }).to_string()),
        )
    }

    fn at_position(&mut self, event: sse::Event) -> sse::Event {
        self.sent_position = Some(self.position);
        self.reported_at = Instant::now();
        self.opened.moved(self.position.to_string(), self.position.batch);
        event.id(self.position.to_string())
    }
}

/// Waits for a pause, and then for a commit of events or the tick.
async fn rest(commits: &mut watch::Receiver<u64>, pause: Duration) {
    tokio::time::sleep(pause).await;

    let _ = tokio::time::timeout(TICK, commits.changed()).await;
}

/// Reason for the end of a stream.
enum Ended {
    Over,
    Directory(anyhow::Error),
    Store(quickdraw_store::Error),
}

impl From<quickdraw_store::Error> for Ended {
    fn from(error: quickdraw_store::Error) -> Self {
        Self::Store(error)
    }
}
