//! Lists of events, deliveries, attempts and skips. All of them have the same filters, as far as they apply. A filter
//! that cannot apply to a list is refused with the reason (`params/known/inapplicable.rs`).

mod filter;
mod listed;
mod one;

use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::extract::State;
use quickdraw_domain::delivery::Stage;
use quickdraw_domain::event;
use quickdraw_domain::history::{BodyFilter, ObjectReference};
use quickdraw_domain::scope::Place;
use quickdraw_domain::{DeliveryId, EventId};
use quickdraw_store::history::HistoryFilter;
use quickdraw_store::lists::Scanned;
use quickdraw_store::{attempts, deliveries, history};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use self::filter::{EventConditions, Search};
use self::listed::Listed;
use self::one::{name_triggers, put_off};
use super::answers::answers;
use super::limit;
use crate::audit::Note;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::{Class, Params};
use crate::state::App;
use crate::views::{Attempt, Delivery, Event, Page, Skip};

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(events))
        .routes(routes!(deliveries))
        .routes(routes!(attempts))
        .routes(routes!(skips))
        .merge(one::routes())
}

/// The page of a list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct PageQuery {
    /// Only rows before this position: `next` of the previous page.
    before: Option<String>,

    /// Maximum number of rows.
    #[param(default = 20, minimum = 1, maximum = 100)]
    limit: Option<i64>,
}

/// Conditions on the deliveries of events. All of them apply to the same delivery.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct EventDeliveryConditions {
    /// Only events with a delivery to this hook.
    hook: Option<i64>,

    /// Only events with a delivery in this state.
    #[param(inline)]
    state: Option<StateWord>,

    /// Only events with a delivery whose last attempt got one of these statuses: HTTP statuses, or `successful`,
    /// `client_failure`, `server_failure`; separated by commas, at most 100.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    status: Vec<String>,

    /// Only events with a delivery whose last attempt had one of these outcomes, such as `rejected` or `timed_out`,
    /// separated by commas.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    class: Vec<Class>,
}

/// List events of the journal, newest first.
///
/// A page examines at most 20,000 events, and at most 1,000 bodies with `text` or `object`, so it can be short, even
/// empty, although more follow: `next` is null on the last page only. Users who are no administrators name a project
/// that they maintain or a group that they own; for them, the filters on deliveries apply to the hooks of these.
#[utoipa::path(get, path = "/events", tag = "History", params(EventDeliveryConditions, EventConditions, PageQuery),
    responses((status = 200, body = Page<Event>)))]
async fn events(caller: Caller, State(app): State<Arc<App>>, params: Params) -> Result<Json<Page<Event>>, ApiError> {
    let asked: EventDeliveryConditions = params.read()?;
    let found = search::<event::Event>(&app, &caller, &params, asked.hook, |filter| {
        let answers = answers(&asked.status)?;
        let is_of_deliveries =
            asked.hook.is_some() || asked.state.is_some() || !answers.is_any() || !asked.class.is_empty();

        Ok(HistoryFilter {
            // Events without deliveries are shown too, unless the request has a condition on deliveries.
            hooks: filter.hooks.filter(|_| is_of_deliveries),
            state: asked.state.map(Stage::from),
            answers,
            classes: asked.class.into_iter().map(|class| class.0).collect(),
            ..filter
        })
    })
    .await?;

    Ok(Json(shown(&found)))
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

/// Conditions on deliveries.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct DeliveryConditions {
    /// Only deliveries to this hook.
    hook: Option<i64>,

    /// Only deliveries of this event.
    event: Option<Uuid>,

    /// Only deliveries in this state.
    #[param(inline)]
    state: Option<StateWord>,

    /// Only deliveries whose last attempt got one of these statuses: HTTP statuses, or `successful`, `client_failure`,
    /// `server_failure`; separated by commas, at most 100.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    status: Vec<String>,

    /// Only deliveries whose last attempt had one of these outcomes, such as `rejected` or `timed_out`, separated by
    /// commas.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    class: Vec<Class>,
}

/// List deliveries, newest first.
///
/// Filters on events apply to the event of the delivery. A page examines at most 20,000 deliveries, and at most 1,000
/// bodies with `text` or `object`, so it can be short, even empty, although more follow: `next` is null on the last
/// page only. Users who are no administrators name a project that they maintain or a group that they own, and see
/// deliveries to the hooks of these.
#[utoipa::path(get, path = "/deliveries", tag = "History", params(DeliveryConditions, EventConditions, PageQuery),
    responses((status = 200, body = Page<Delivery>)))]
async fn deliveries(
    caller: Caller,
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<Json<Page<Delivery>>, ApiError> {
    let asked: DeliveryConditions = params.read()?;
    let found = search::<deliveries::Delivery>(&app, &caller, &params, asked.hook, |filter| {
        Ok(HistoryFilter {
            event: asked.event.map(EventId),
            state: asked.state.map(Stage::from),
            answers: answers(&asked.status)?,
            classes: asked.class.into_iter().map(|class| class.0).collect(),
            ..filter
        })
    })
    .await?;

    let mut page: Page<Delivery> = shown(&found);
    put_off(&app, &mut page.items).await?;

    Ok(Json(page))
}

/// Conditions on attempts.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct AttemptConditions {
    /// Only attempts to call this hook.
    hook: Option<i64>,

    /// Only attempts to deliver this event.
    event: Option<Uuid>,

    /// Only attempts of this delivery.
    delivery: Option<Uuid>,

    /// Only attempts of deliveries that are in this state now.
    #[param(inline)]
    state: Option<StateWord>,

    /// Only attempts that got one of these statuses: HTTP statuses, or `successful`, `client_failure`,
    /// `server_failure`; separated by commas, at most 100.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    status: Vec<String>,

    /// Only attempts with one of these outcomes, such as `rejected` or `timed_out`, separated by commas.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    class: Vec<Class>,
}

/// List attempts, newest first.
///
/// `since` and `until` apply to the beginning of the attempt, and the other filters on events to the event that was
/// delivered. A page examines at most 20,000 attempts, and at most 1,000 bodies with `text` or `object`, so it can be
/// short, even empty, although more follow: `next` is null on the last page only. Users who are no administrators name
/// a project that they maintain or a group that they own, and see attempts to call the hooks of these.
#[utoipa::path(get, path = "/attempts", tag = "History", params(AttemptConditions, EventConditions, PageQuery),
    responses((status = 200, body = Page<Attempt>)))]
async fn attempts(
    caller: Caller,
    Extension(note): Extension<Note>,
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<Json<Page<Attempt>>, ApiError> {
    let asked: AttemptConditions = params.read()?;
    let found = search::<attempts::Attempt>(&app, &caller, &params, asked.hook, |filter| {
        Ok(HistoryFilter {
            event: asked.event.map(EventId),
            delivery: asked.delivery.map(DeliveryId),
            state: asked.state.map(Stage::from),
            answers: answers(&asked.status)?,
            classes: asked.class.into_iter().map(|class| class.0).collect(),
            ..filter
        })
    })
    .await?;

    note.shows_bodies();

    let mut page: Page<Attempt> = shown(&found);
    name_triggers(&app, &found.rows, &mut page.items).await?;
    Ok(Json(page))
}

/// Conditions on skips.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct SkipConditions {
    /// Only this hook.
    hook: Option<i64>,

    /// Only this event.
    event: Option<Uuid>,
}

/// List events that a subscribed hook did not get, with the reason, newest event first.
///
/// A page examines at most 20,000 skips, and at most 1,000 bodies with `text` or `object`, so it can be short, even
/// empty, although more follow: `next` is null on the last page only. Users who are no administrators name a project
/// that they maintain or a group that they own, and see the skips of the hooks of these.
#[utoipa::path(get, path = "/skips", tag = "History", params(SkipConditions, EventConditions, PageQuery),
    responses((status = 200, body = Page<Skip>)))]
async fn skips(caller: Caller, State(app): State<Arc<App>>, params: Params) -> Result<Json<Page<Skip>>, ApiError> {
    let asked: SkipConditions = params.read()?;
    let found = search::<history::Skip>(&app, &caller, &params, asked.hook, |filter| {
        Ok(HistoryFilter {
            event: asked.event.map(EventId),
            ..filter
        })
    })
    .await?;

    Ok(Json(shown(&found)))
}

/// Finds the newest events about an object, as far as one page examines events and bodies.
pub(super) async fn about(
    app: &Arc<App>,
    places: Option<Vec<Place>>,
    object: ObjectReference,
    most: usize,
) -> Result<Scanned<event::Event, EventId>, ApiError> {
    let search = Search {
        rows: HistoryFilter {
            places,
            ..HistoryFilter::default()
        },
        body: BodyFilter {
            text: None,
            object: Some(object),
        },
    };
    filter::list::<event::Event>(app, &search, None, most).await
}

/// Reads a page of a list. `narrow` adds the conditions that only this list has.
async fn search<R: Listed>(
    app: &Arc<App>,
    caller: &Caller,
    params: &Params,
    hook: Option<i64>,
    narrow: impl FnOnce(HistoryFilter) -> Result<HistoryFilter, ApiError>,
) -> Result<Scanned<R, R::Id>, ApiError> {
    let asked: PageQuery = params.read()?;
    let conditions: EventConditions = params.read()?;
    let before = filter::before::<R>(asked.before.as_deref())?;
    let limit = limit(asked.limit)?;

    let mut search = conditions.read(app, caller, hook).await?;
    search.rows = narrow(search.rows)?;
    filter::list::<R>(app, &search, before, limit).await
}

fn shown<R: Listed, T: ToSchema + for<'a> From<&'a R>>(found: &Scanned<R, R::Id>) -> Page<T> {
    Page {
        items: found.rows.iter().map(T::from).collect(),
        next: found.next.map(R::show),
    }
}
