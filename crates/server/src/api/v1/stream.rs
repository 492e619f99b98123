//! The journal as a stream of Server-Sent Events: one connection, opened from outside our reach, over which events come in
//! the order of their commits. Whoever follows says where it was and goes on from there.

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

use super::invalid;
use crate::api::{find_group, find_project};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::{Input, Moment};
use crate::places::{Sharer, Taken};
use crate::receive::text;
use crate::state::App;
use crate::streams::SHARES;
use crate::telemetry::STREAM_EVENTS;
use crate::views;

/// Stands for whoever follows where a delivery names a hook: no hook has this number.
const NO_HOOK: HookId = HookId(0);
/// Batches of a look into the journal.
const LOOK: usize = 64;
/// Events of a look: a batch can hold many, and is then looked at again.
const MOST_LOOKED_AT: usize = 512;
/// Between looks at the end of the journal, at least: news come with every commit.
const PACE: Duration = Duration::from_millis(100);
/// How often whoever follows is told where they are while nothing comes that they asked for.
const TELL: Duration = Duration::from_secs(5);
/// How long a quiet journal is believed to be quiet: what is committed on another node shows after that.
const TICK: Duration = Duration::from_secs(1);
/// How long whoever follows is believed to be allowed to.
const TRUST: Duration = Duration::from_secs(5);
/// A sign of life on a quiet connection, so that both ends notice when it has gone.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(follow))
}

/// Where somebody is in the journal: the next batch, and how many of its events they have.
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
        let parts = text.split_once('-').and_then(|(batch, events)| Some((batch.parse().ok()?, events.parse().ok()?)));
        let (batch, events) = parts.ok_or_else(|| {
            invalid(format!("{text:?} is no position; send the id of the last event that you have, such as 1742-0"))
        })?;
        Ok(Self { batch, events })
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct StreamQuery {
    /// Only events of this project: number or full path. Its maintainers may follow it.
    project: Option<String>,
    /// Only events of this group and of what lies in it: number or full path. Its owners may follow it.
    group: Option<String>,
    /// Only of these kinds, such as `push_hooks,tag_push_hooks`.
    #[serde(default)]
    trigger: Vec<String>,
    /// Only events that pass this filter: JSON, as a hook's `event_filter`. An event on which it takes too much work passes.
    filter: Option<String>,
    /// The id of the last event that came. The header `Last-Event-ID` says the same and wins.
    after: Option<String>,
    /// Where there is no such event: begin with what was received then. Without it, with what is received from now on; on
    /// PostgreSQL what came in the moment before may come too.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Moment>,
}

/// Header fields by their names.
#[derive(Serialize, ToSchema)]
struct Headers {
    /// Kind.
    #[serde(rename = "X-Gitlab-Event")]
    event: String,
    /// Where it happened.
    #[serde(rename = "X-Gitlab-Instance")]
    instance: String,
    /// The chain that it belongs to.
    #[serde(rename = "X-Gitlab-Event-UUID")]
    chain: String,
    /// The same whenever this event comes on a stream: what recognises a second copy.
    #[serde(rename = "Idempotency-Key")]
    key: String,
}

/// An event on a stream.
#[derive(Serialize, ToSchema)]
struct Streamed {
    /// The event.
    #[serde(flatten)]
    event: views::Event,
    /// What the request of a hook says of the event.
    headers: Headers,
    /// The exact body. It is JSON, and a text here so that not a byte of it changes.
    body: String,
}

/// Follow the journal: Server-Sent Events in the order of their commits, at least once. `event` is the kind, `data` the
/// event with its headers and its body, `id` the position to come back with. `position` moves the position without an
/// event, and `lost` tells that retention took some of what should follow. Send `Accept: text/event-stream`. Tests of hooks
/// and duplicates are left out. Maintainers of a project, owners of a group, administrators.
#[utoipa::path(get, path = "/stream", tag = "Events", params(StreamQuery, ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that came.")),
    responses((status = 200, body = Streamed, content_type = "text/event-stream")))]
async fn follow(
    caller: Caller,
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Input(query): Input<StreamQuery>,
) -> Result<Response, ApiError> {
    let scope = match (&query.project, &query.group) {
        (Some(_), Some(_)) => return Err(invalid("give a project or a group, not both")),
        (Some(project), None) => Scope::Project(find_project(&app, project).await?.id),
        (None, Some(group)) => Scope::Group(find_group(&app, group).await?.id),
        (None, None) => Scope::Instance,
    };
    caller.require(&app, scope, Action::Hooks).await?;
    let kind = |name: &String| Trigger::by_name(name).ok_or_else(|| invalid("trigger does not have a valid value"));
    let triggers = query.trigger.iter().map(kind).collect::<Result<Vec<_>, _>>()?;
    let filter = query.filter.as_deref().map(EventFilter::parse).transpose();
    let filter = filter.map_err(|error| invalid(format!("filter {error}")))?;
    let last = text(&headers, "last-event-id").filter(|id| !id.is_empty()).or(query.after.as_deref());
    let last = last.map(Position::from_str).transpose()?;
    if !accepts_a_stream(&headers) {
        let text =
            "this is a stream of events: send Accept: text/event-stream (curl -N -H 'Accept: text/event-stream')";
        return Err(ApiError::problem(StatusCode::NOT_ACCEPTABLE, text));
    }
    let sharer = Sharer::new(&app, &caller.actor, scope);
    let taken = app.streams.places.take(&sharer).map_err(|full| full.refusal("open streams", &SHARES))?;
    // Before the look for where to begin: what is committed after it must be noticed.
    let (news, closing) = (app.engine.context.news(), app.streams.closing());
    let next = app.store().next_append().await?;
    let position = match (last, query.since) {
        (Some(last), _) if last.batch > next => {
            let text = "this position lies ahead of the journal: it is one of another server, or a backup was restored \
                here; begin anew without it, or with since";
            return Err(invalid(text));
        }
        (Some(last), _) => last,
        (None, Some(since)) => Position { batch: app.store().append_since(since.0).await?, events: 0 },
        (None, None) => Position { batch: next, events: 0 },
    };
    caller.is_shown_bodies();
    let follower = Follower {
        caller,
        scope,
        triggers,
        filter,
        position,
        told: last,
        told_at: Instant::now(),
        waiting: VecDeque::new(),
        looked_at: None,
        trusted: Instant::now(),
        news,
        closing,
        room: None,
        _taken: taken,
        app,
    };
    let events = stream::unfold(follower, |mut follower| async {
        let event = follower.next().await?;
        Some((Ok::<_, Infallible>(event), follower))
    });
    let sse = Sse::new(events).keep_alive(KeepAlive::new().interval(SIGN_OF_LIFE));
    // Proxies that gather answers before they pass them on are asked not to: nginx's word for it.
    Ok(([("X-Accel-Buffering", "no")], sse).into_response())
}

fn accepts_a_stream(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.any(|value| value.to_ascii_lowercase().contains("text/event-stream"))
}

/// Somebody who follows.
struct Follower {
    app: Arc<App>,
    caller: Caller,
    scope: Scope,
    triggers: Vec<Trigger>,
    filter: Option<EventFilter>,
    /// Where they are.
    position: Position,
    /// Where they know that they are; nothing before they were told where they begin.
    told: Option<Position>,
    told_at: Instant,
    /// What comes next, with where they are after each.
    waiting: VecDeque<(Next, Position)>,
    /// When the end of the journal was last looked at.
    looked_at: Option<Instant>,
    trusted: Instant,
    news: watch::Receiver<u64>,
    closing: watch::Receiver<bool>,
    /// For the body that was sent last: it is somewhere on its way.
    room: Option<OwnedSemaphorePermit>,
    _taken: Taken,
}

/// What can come next.
enum Next {
    /// An event that they want, if its body passes the filter.
    Event(Box<Event>),
    /// One that is not there any more.
    Lost,
    /// Nothing: what they did not ask for lies behind them.
    Passed,
}

impl Follower {
    /// What they are sent next; `None` ends the stream, and they come back.
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
        // Whoever asks for the next has taken the last.
        self.room = None;
        self.check().await?;
        if let Some((next, after)) = self.waiting.pop_front() {
            self.position = after;
            return match next {
                Next::Event(event) => self.show(&event).await,
                Next::Lost => Ok(Some(self.lost())),
                Next::Passed if self.told_at.elapsed() >= TELL => Ok(Some(self.tell())),
                Next::Passed => Ok(None),
            };
        }
        // What is news from here on is not seen by the look that follows.
        self.news.mark_unchanged();
        if self.look().await? {
            return Ok(Some(self.lost()));
        }
        if !self.waiting.is_empty() {
            return Ok(None);
        }
        if self.told != Some(self.position) {
            // Where they begin, or behind events that they did not ask for: they need not pass over them again.
            return Ok(Some(self.tell()));
        }
        let rested = self.looked_at.replace(Instant::now()).map_or(PACE, |looked_at| looked_at.elapsed());
        tokio::select! {
            () = rest(&mut self.news, PACE.saturating_sub(rested)) => {}
            _ = self.closing.changed() => {}
        }
        Ok(None)
    }

    /// Looks at what follows in the journal, and keeps what they want of it. Tells whether something is lost.
    async fn look(&mut self) -> Result<bool, Ended> {
        let app = Arc::clone(&self.app);
        let _leave = app.streams.look().await;
        let followed = app.store().appends(self.position.batch, LOOK).await?;
        if followed.lost {
            // The first batch is what is left of those that went.
            self.position = Position { batch: followed.batches.first().map_or(0, |batch| batch.number) + 1, events: 0 };
            return Ok(true);
        }
        let mut ahead = Vec::new();
        for batch in &followed.batches {
            let had = if batch.number == self.position.batch { self.position.events } else { 0 };
            let last = batch.events.len().saturating_sub(1);
            for (index, event) in batch.events.iter().enumerate().skip(had) {
                let after = match index == last {
                    true => Position { batch: batch.number + 1, events: 0 },
                    false => Position { batch: batch.number, events: index + 1 },
                };
                ahead.push((*event, after));
            }
        }
        ahead.truncate(MOST_LOOKED_AT);
        if ahead.is_empty() {
            return Ok(false);
        }
        let found = app.store().events_by_id(ahead.iter().map(|(id, _)| *id).collect()).await?;
        let mut found: HashMap<EventId, Event> = found.into_iter().map(|event| (event.id, event)).collect();
        let is_new = |event: &Event| matches!(event.place, Place::Project(id) if !app.engine.context.knows_project(id));
        if matches!(self.scope, Scope::Group(_)) && found.values().any(is_new) {
            // A project that another node made lies in no group here yet.
            app.engine.context.refresh_directory().await.map_err(Ended::Directory)?;
        }
        for (id, after) in ahead {
            let next = match found.remove(&id) {
                Some(event) if self.wants(&event) => Next::Event(Box::new(event)),
                Some(_) => Next::Passed,
                None => Next::Lost,
            };
            // Of many that they do not want, the last says where they are.
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

    /// Whether it goes on: they may still follow, and we are not stopping.
    async fn check(&mut self) -> Result<(), Ended> {
        if *self.closing.borrow() {
            return Err(Ended::Over);
        }
        if self.trusted.elapsed() >= TRUST {
            let app = Arc::clone(&self.app);
            let allowed = self.caller.look_again(&app).await.is_ok()
                && self.caller.require(&app, self.scope, Action::Hooks).await.is_ok();
            if !allowed {
                return Err(Ended::Over);
            }
            self.trusted = Instant::now();
        }
        Ok(())
    }

    /// An event as it is sent; nothing if the filter stops it.
    async fn show(&mut self, event: &Event) -> Result<Option<sse::Event>, Ended> {
        let app = Arc::clone(&self.app);
        let found = {
            let _leave = app.streams.look().await;
            app.store().find_event(event.id).await?
        };
        let Some((_, payload)) = found else { return Ok(Some(self.lost())) };
        self.room = app.streams.room(payload.unpacked_len()).await;
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
            // A filter that gives up lets the event pass, because a stream has no place for a skip reason.
            if app.engine.journal.ask_filter(asker, filter, body.clone(), &mut work).await == Some(Answer::Stopped) {
                return Ok(None);
            }
        }
        let delivery = DeliveryId::of(event.id, NO_HOOK);
        // As a hook right where it happened is told: a push is a Push Hook, whoever follows.
        let beside = match event.place {
            Place::Project(id) => Scope::Project(id),
            Place::Group(id) => Scope::Group(id),
            Place::Instance | Place::Elsewhere => Scope::Instance,
        };
        let about = About::new(beside, event, delivery, &self.app.external_url);
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
        let Ok(data) = serde_json::to_string(&streamed) else { return Ok(None) };
        metrics::counter!(STREAM_EVENTS).increment(1);
        Ok(Some(self.at_position(sse::Event::default().event(event.trigger.row().name).data(data))))
    }

    fn tell(&mut self) -> sse::Event {
        self.at_position(sse::Event::default().event("position").data("{}"))
    }

    fn lost(&mut self) -> sse::Event {
        let detail = "some of what should follow is no longer kept: a replay cannot bring it back either";
        self.at_position(sse::Event::default().event("lost").data(json!({ "detail": detail }).to_string()))
    }

    fn at_position(&mut self, event: sse::Event) -> sse::Event {
        self.told = Some(self.position);
        self.told_at = Instant::now();
        event.id(self.position.to_string())
    }
}

/// Waits for a while, and then for news, or until it is time to look all the same.
async fn rest(news: &mut watch::Receiver<u64>, pause: Duration) {
    tokio::time::sleep(pause).await;
    let _ = tokio::time::timeout(TICK, news.changed()).await;
}

/// Why a stream ends.
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
