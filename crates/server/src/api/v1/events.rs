//! Reporting events: a complete body that is sent as it is, or the object from which we compose it.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use quickdraw_domain::compose::{Happened, Instance, Scene, User, compose};
use quickdraw_domain::event::{Skim, Source};
use quickdraw_domain::scope::Place;
use quickdraw_domain::{ProjectId, Trigger};
use quickdraw_engine::{Arrival, Origin};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::api::{find_group, find_project};
use crate::auth::Admin;
use crate::body::{self, Held};
use crate::error::ApiError;
use crate::params::Input;
use crate::receive::{idempotency_key, text};
use crate::state::App;

/// Largest report: the largest body that GitLab sends, and its wrapping.
const LIMIT: usize = (25 << 20) + (1 << 20);

#[derive(Deserialize)]
struct Report<'a> {
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
}

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(report_instance))
        .routes(routes!(report_project))
        .routes(routes!(report_group))
        .routes(routes!(active_in_project))
        .routes(routes!(active_in_group))
}

/// A reported event: a complete body that is sent as it is, or the object that it is composed from.
#[derive(ToSchema)]
#[expect(dead_code, reason = "what `Report` borrows, described")]
struct ReportBody {
    /// What kind it is: `push_hooks`.
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
}

/// The event that was committed.
#[derive(Serialize, ToSchema)]
struct Reported {
    /// Its number in the journal.
    #[schema(format = Uuid)]
    id: String,
}

/// Report an event of a project. It is committed when the answer comes. `Idempotency-Key` is honoured. Administrators.
#[utoipa::path(post, path = "/projects/{id}/events", tag = "Reports", request_body = ReportBody,
    responses((status = 202, body = Reported)))]
async fn report_project(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Reported>), ApiError> {
    let held = read(&app, &headers, body).await?;
    let report = parse(&held)?;
    // A number that the directory knows costs no query; composing needs the project itself.
    let known = id.parse().map(ProjectId).ok().filter(|id| app.belt.knows_project(*id));
    if let (Some(project), Some(payload)) = (known, report.payload) {
        return accept(&app, Place::Project(project), &report, payload.get().as_bytes(), &headers).await;
    }
    let project = find_project(&app, &id).await?;
    let composed = body_of(&app, &report, Scene::Project(&project))?;
    accept(&app, Place::Project(project.id), &report, &composed, &headers).await
}

/// Report an event of a group, as of a project: of members, subgroups, projects, milestones, tokens. Administrators.
#[utoipa::path(post, path = "/groups/{id}/events", tag = "Reports", request_body = ReportBody,
    responses((status = 202, body = Reported)))]
async fn report_group(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Reported>), ApiError> {
    let group = find_group(&app, &id).await?;
    let held = read(&app, &headers, body).await?;
    let report = parse(&held)?;
    let composed = body_of(&app, &report, Scene::Group(&group))?;
    accept(&app, Place::Group(group.id), &report, &composed, &headers).await
}

/// Report an event of the instance, as of a project: what system hooks hear of. Administrators.
#[utoipa::path(post, path = "/events", tag = "Reports", request_body = ReportBody,
    responses((status = 202, body = Reported)))]
async fn report_instance(
    _: Admin,
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Reported>), ApiError> {
    let held = read(&app, &headers, body).await?;
    let report = parse(&held)?;
    let composed = body_of(&app, &report, Scene::Instance)?;
    accept(&app, Place::Instance, &report, &composed, &headers).await
}

/// The body that a report has, or the one that is composed from it.
fn body_of<'a>(app: &App, report: &Report<'a>, scene: Scene<'_>) -> Result<Cow<'a, [u8]>, ApiError> {
    let object = match (report.payload, report.object) {
        (Some(payload), _) => return Ok(Cow::Borrowed(payload.get().as_bytes())),
        (None, Some(object)) => object,
        (None, None) => return Err(missing_body()),
    };
    let user = report.user.clone().unwrap_or_default();
    let instance = Instance { base_url: &app.external_url, upload_links: app.upload_links };
    let (trigger, previous, at) = (trigger(report)?, report.previous, app.belt.clock().now());
    let happened = Happened { trigger, scene, user: &user, object, previous, instance, at };
    compose(&happened).map(Cow::Owned).map_err(unprocessable)
}

async fn accept(
    app: &App,
    place: Place,
    report: &Report<'_>,
    body: &[u8],
    headers: &HeaderMap,
) -> Result<(StatusCode, Json<Reported>), ApiError> {
    let trigger = trigger(report)?;
    let skim = Skim::read(body).map_err(unprocessable)?;
    let arrival = Arrival {
        place,
        trigger,
        source: Source::Api,
        chain: text(headers, "x-gitlab-event-uuid").and_then(|text| Uuid::parse_str(text).ok()),
        git_ref: skim.git_ref,
        key: idempotency_key(headers),
        body,
        origin: Origin::default(),
    };
    let appended = app.belt.ingest(arrival).await?;
    Ok((StatusCode::ACCEPTED, Json(Reported { id: appended.id().to_string() })))
}

async fn read(app: &App, headers: &HeaderMap, body: Body) -> Result<Held, ApiError> {
    body::read(app, headers, body, LIMIT).await.map_err(|body::Refused(status, text)| ApiError::problem(status, text))
}

fn parse(held: &Held) -> Result<Report<'_>, ApiError> {
    serde_json::from_slice(&held.bytes).map_err(|error| {
        let example = r#"{"trigger":"push_hooks","payload":{…}} or {"trigger":"push_hooks","user":{…},"object":{…}}"#;
        ApiError::problem(StatusCode::BAD_REQUEST, format!("the body is no report ({error}); send {example}"))
    })
}

fn trigger(report: &Report<'_>) -> Result<Trigger, ApiError> {
    Trigger::by_name(&report.trigger).ok_or_else(|| {
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
    let project = find_project(&app, &id).await?;
    active(&app, Place::Project(project.id), &query)
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
    let group = find_group(&app, &id).await?;
    active(&app, Place::Group(group.id), &query)
}

fn active(app: &App, place: Place, query: &ActiveQuery) -> Result<Json<Active>, ApiError> {
    let trigger = Trigger::by_name(&query.trigger).or_else(|| Trigger::by_attribute(&query.trigger));
    let trigger = trigger.ok_or_else(|| unprocessable("trigger does not have a valid value"))?;
    Ok(Json(Active { active: app.belt.is_heard(place, trigger) }))
}
