//! Reporting events: a complete body that is sent as it is, or the object from which we compose it.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use quickdraw_domain::compose::operation::MAX_NAME;
use quickdraw_domain::compose::{Scene, User};
use quickdraw_domain::event::{Event, Origin, Skim};
use quickdraw_domain::scope::Place;
use quickdraw_domain::{GroupId, ProjectId, Trigger};
use quickdraw_engine::{Report, ReportError, Reported, Step};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::api::{find_group, find_project};
use crate::aside;
use crate::auth::Admin;
use crate::body::{self, Held, Kind};
use crate::error::ApiError;
use crate::params::Input;
use crate::receive::{ambiguous, idempotency_key, text};
use crate::state::App;

/// Largest report: the largest body that GitLab sends, and its wrapping.
const LIMIT: usize = (25 << 20) + (1 << 20);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Told<'a> {
    trigger: String,
    /// Sent as it is, byte for byte.
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    /// Composed into a body.
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    user: Option<User>,
    /// What was different before.
    #[serde(borrow)]
    previous: Option<&'a RawValue>,
    /// The operation that it is a save of.
    #[serde(borrow)]
    operation: Option<Cow<'a, str>>,
    /// Whether other saves follow.
    #[serde(default)]
    more: bool,
}

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(report_instance))
        .routes(routes!(report_project))
        .routes(routes!(report_group))
        .routes(routes!(active_in_project))
        .routes(routes!(active_in_group))
        .routes(routes!(active_on_instance))
}

/// A reported event: a complete body that is sent as it is, or the object that it is composed from.
#[derive(ToSchema)]
#[expect(dead_code, reason = "what `Told` borrows, described")]
struct ReportBody {
    /// What kind it is: `push_hooks`. An issue or comment that says that it is confidential is reported under the confidential
    /// trigger, whatever stands here.
    trigger: String,
    /// A complete body, sent byte for byte.
    #[schema(value_type = Option<Object>)]
    payload: Option<()>,
    /// What a body is composed from.
    #[schema(value_type = Option<Object>)]
    object: Option<()>,
    /// Who did it, for a composed body.
    #[schema(value_type = Option<Object>)]
    user: Option<()>,
    /// Attributes of the object that were different before, for the `changes` of a composed body.
    #[schema(value_type = Option<Object>)]
    previous: Option<()>,
    /// A name of at most 255 bytes for what its reporter does now, such as a request's id: all saves of one object under it are one
    /// event, whose `changes` are those from before the first to after the last.
    operation: Option<String>,
    /// Other saves of the operation follow. The report is kept, and becomes part of the event with the last save, which has no
    /// `more`, or a minute after the newest one if that never comes.
    more: Option<bool>,
}

/// What was committed.
#[derive(Serialize, ToSchema)]
struct Taken {
    /// The event's number in the journal. Absent for a save that others follow.
    #[schema(format = Uuid)]
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// The operation that goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<String>,
}

/// Report an event of a project. It is committed when the answer comes. `Idempotency-Key` is honoured. Administrators.
#[utoipa::path(post, path = "/projects/{id}/events", tag = "Reports", request_body = ReportBody,
    responses((status = 202, body = Taken)))]
async fn report_project(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Taken>), ApiError> {
    let held = read(&app, &headers, body).await?;
    aside::by_weight(held.bytes.len(), of_project(app, id, headers, held)).await
}

async fn of_project(
    app: Arc<App>,
    id: String,
    headers: HeaderMap,
    held: Held,
) -> Result<(StatusCode, Json<Taken>), ApiError> {
    let told = parse(&held)?;
    // A number that the directory knows costs no query; composing needs the project itself.
    let known = id.parse().map(ProjectId).ok().filter(|id| app.engine.context.knows_project(*id));
    if let (Some(project), Some(payload), None) = (known, told.payload, told.object) {
        return accept(&app, Place::Project(project), &told, payload, &headers).await;
    }
    let project = find_project(&app, &id).await?;
    take(&app, &told, Scene::Project(&project), Place::Project(project.id), &headers).await
}

/// Report an event of a group, as of a project: of members, subgroups, projects, milestones, tokens. Administrators.
#[utoipa::path(post, path = "/groups/{id}/events", tag = "Reports", request_body = ReportBody,
    responses((status = 202, body = Taken)))]
async fn report_group(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Taken>), ApiError> {
    let group = find_group(&app, &id).await?;
    let held = read(&app, &headers, body).await?;
    let held_bytes = held.bytes.len();
    let taken = async move {
        let told = parse(&held)?;
        take(&app, &told, Scene::Group(&group), Place::Group(group.id), &headers).await
    };
    aside::by_weight(held_bytes, taken).await
}

/// Report an event of the instance, as of a project: what system hooks hear of. Administrators.
#[utoipa::path(post, path = "/events", tag = "Reports", request_body = ReportBody,
    responses((status = 202, body = Taken)))]
async fn report_instance(
    _: Admin,
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Taken>), ApiError> {
    let held = read(&app, &headers, body).await?;
    let held_bytes = held.bytes.len();
    let taken = async move {
        let told = parse(&held)?;
        take(&app, &told, Scene::Instance, Place::Instance, &headers).await
    };
    aside::by_weight(held_bytes, taken).await
}

/// Takes the body that a report has, or composes one from its object.
async fn take(
    app: &App,
    told: &Told<'_>,
    scene: Scene<'_>,
    place: Place,
    headers: &HeaderMap,
) -> Result<(StatusCode, Json<Taken>), ApiError> {
    let object = match (told.payload, told.object) {
        (Some(_), Some(_)) => {
            return Err(unprocessable(
                "the report has both a \"payload\" and an \"object\": a complete body is not composed",
            ));
        }
        (Some(payload), None) => return accept(app, place, told, payload, headers).await,
        (None, Some(object)) => object,
        (None, None) => return Err(missing_body()),
    };
    let user = told.user.clone().unwrap_or_default();
    if told.user.is_some() && user.id == 0 && user.username.is_empty() && user.name.is_empty() {
        return Err(unprocessable("the user of the report has no id, no username and no name"));
    }
    let report = Report {
        scene,
        trigger: trigger(told)?,
        user: &user,
        object,
        previous: told.previous,
        chain: chain(headers),
        key: idempotency_key(headers),
        operation: step(told)?,
    };
    let taken = match app.engine.journal.report(report).await {
        Ok(Reported::Event(id)) => Taken { id: Some(id.to_string()), operation: None },
        Ok(Reported::Saved) => Taken { id: None, operation: told.operation.as_deref().map(str::to_owned) },
        Err(ReportError::Compose(error)) => return Err(unprocessable(error)),
        Err(ReportError::Store(error)) => return Err(error.into()),
    };
    Ok((StatusCode::ACCEPTED, Json(taken)))
}

/// The operation that a report is a save of.
fn step<'a>(told: &'a Told<'_>) -> Result<Option<Step<'a>>, ApiError> {
    match told.operation.as_deref() {
        Some(operation) if (1..=MAX_NAME).contains(&operation.len()) => Ok(Some(Step { operation, more: told.more })),
        Some(_) => Err(unprocessable(format!("operation is empty or longer than {MAX_NAME} bytes"))),
        None if told.more => {
            Err(unprocessable("\"more\" needs an \"operation\": the name of what other saves follow in"))
        }
        None => Ok(None),
    }
}

fn chain(headers: &HeaderMap) -> Option<Uuid> {
    text(headers, "x-gitlab-event-uuid").and_then(|text| Uuid::parse_str(text).ok())
}

/// Takes a complete body.
async fn accept(
    app: &App,
    place: Place,
    told: &Told<'_>,
    payload: &RawValue,
    headers: &HeaderMap,
) -> Result<(StatusCode, Json<Taken>), ApiError> {
    if told.operation.is_some() || told.more {
        return Err(unprocessable(
            "a complete \"payload\" is one event; \"operation\" and \"more\" go with an \"object\"",
        ));
    }
    let body = payload.get().as_bytes();
    let trigger = trigger(told)?;
    let skim = Skim::read(body).map_err(unprocessable)?;
    let journal = &app.engine.journal;
    let event = Event {
        chain: chain(headers),
        git_ref: skim.git_ref.clone(),
        ..journal.new_event(place, trigger.for_body(&skim), Origin::Api)
    };
    let appended = journal.ingest(event, idempotency_key(headers), body).await?;
    Ok((StatusCode::ACCEPTED, Json(Taken { id: Some(appended.id().to_string()), operation: None })))
}

async fn read(app: &App, headers: &HeaderMap, body: Body) -> Result<Held, ApiError> {
    if let Some(words) = ambiguous(headers) {
        return Err(ApiError::problem(StatusCode::BAD_REQUEST, words));
    }
    let held = body::read(app, headers, body, LIMIT, Kind::Reported).await;
    held.map_err(|body::Refused(status, text)| ApiError::problem(status, text))
}

fn parse(held: &Held) -> Result<Told<'_>, ApiError> {
    serde_json::from_slice(&held.bytes).map_err(|error| {
        let example = r#"{"trigger":"push_hooks","payload":{…}} or {"trigger":"push_hooks","user":{…},"object":{…}}"#;
        ApiError::problem(StatusCode::BAD_REQUEST, format!("the body is no report ({error}); send {example}"))
    })
}

fn trigger(told: &Told<'_>) -> Result<Trigger, ApiError> {
    Trigger::by_name(&told.trigger).ok_or_else(|| {
        let names: Vec<&str> = Trigger::all().map(|trigger| trigger.row().name).collect();
        unprocessable(format!("there is no trigger of this name; use one of {}", names.join(", ")))
    })
}

fn missing_body() -> ApiError {
    unprocessable("the report has no body: give a complete one as \"payload\", or an \"object\" to compose it from")
}

fn unprocessable(error: impl ToString) -> ApiError {
    ApiError::problem(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ActiveQuery {
    /// Which kind: `push_hooks` or `push_events`.
    trigger: String,
}

/// Whether anybody listens.
#[derive(Serialize, ToSchema)]
struct Active {
    /// Whether it is worth composing a body.
    active: bool,
}

/// Tell whether any hook hears of a kind of event in a project. Administrators.
#[utoipa::path(get, path = "/projects/{id}/active_hooks", tag = "Reports", params(ActiveQuery),
    responses((status = 200, body = Active)))]
async fn active_in_project(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Input(query): Input<ActiveQuery>,
) -> Result<Json<Active>, ApiError> {
    // Asked before every event: a number that the directory knows costs no query.
    let known = id.parse().map(ProjectId).ok().filter(|id| app.engine.context.knows_project(*id));
    let project = match known {
        Some(project) => project,
        None => find_project(&app, &id).await?.id,
    };
    active(&app, Place::Project(project), &query)
}

/// Tell whether any hook hears of a kind of event in a group. Administrators.
#[utoipa::path(get, path = "/groups/{id}/active_hooks", tag = "Reports", params(ActiveQuery),
    responses((status = 200, body = Active)))]
async fn active_in_group(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Input(query): Input<ActiveQuery>,
) -> Result<Json<Active>, ApiError> {
    let known = id.parse().map(GroupId).ok().filter(|id| app.engine.context.knows_group(*id));
    let group = match known {
        Some(group) => group,
        None => find_group(&app, &id).await?.id,
    };
    active(&app, Place::Group(group), &query)
}

/// Tell whether any system hook hears of a kind of event of the instance. Administrators.
#[utoipa::path(get, path = "/active_hooks", tag = "Reports", params(ActiveQuery),
    responses((status = 200, body = Active)))]
async fn active_on_instance(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(query): Input<ActiveQuery>,
) -> Result<Json<Active>, ApiError> {
    active(&app, Place::Instance, &query)
}

fn active(app: &App, place: Place, query: &ActiveQuery) -> Result<Json<Active>, ApiError> {
    let trigger = Trigger::by_name(&query.trigger).or_else(|| Trigger::by_attribute(&query.trigger));
    let trigger = trigger.ok_or_else(|| unprocessable("trigger does not have a valid value"))?;
    Ok(Json(Active { active: app.engine.context.is_subscribed(place, trigger) }))
}
