//! Reported events: a complete body that is sent unchanged, or an object from which a body is composed.

mod preview;

use std::borrow::Cow;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use quickdraw_domain::access::Action;
use quickdraw_domain::compose::{Happened, Scene, User};
use quickdraw_domain::envelope::Envelope;
use quickdraw_domain::event::{Event, Origin};
use quickdraw_domain::report::operation::MAX_NAME;
use quickdraw_domain::scope::{Place, Scope};
use quickdraw_domain::{GroupId, ProjectId, Trigger};
use quickdraw_engine::{Filing, ReportError, Reported, Step, check_projects};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use self::preview::{Answer, ReportPreview};
use super::body_faults::{self, Expected, Field};
use crate::api::{find_group, find_project};
use crate::aside;
use crate::auth::{Admin, Caller};
use crate::body::{self, Held, Kind};
use crate::error::{self, ApiError, FieldError};
use crate::params::{Input, near};
use crate::receive::{ambiguous, idempotency_key, text};
use crate::state::App;

/// Largest report in bytes: GitLab's largest body, and 1 MiB around it.
const LIMIT: usize = (25 << 20) + (1 << 20);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenReport<'a> {
    trigger: String,

    /// Sent byte for byte.
    #[serde(borrow)]
    payload: Option<&'a RawValue>,

    /// Composed into a body.
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    user: Option<User>,

    /// Earlier values of changed attributes.
    #[serde(borrow)]
    previous: Option<&'a RawValue>,

    /// The operation that this save belongs to.
    #[serde(borrow)]
    operation: Option<Cow<'a, str>>,

    /// More saves of the operation follow.
    #[serde(default)]
    more: bool,

    /// Check and compose only.
    #[serde(default)]
    dry_run: bool,
}

/// The fields of [`GivenReport`], for errors.
const REPORT: &[Field] = &[
    Field::required("trigger", Expected::Text),
    Field::optional("payload", Expected::Anything),
    Field::optional("object", Expected::Anything),
    Field::optional("user", Expected::Open(USER)),
    Field::optional("previous", Expected::Anything),
    Field::optional("operation", Expected::Text),
    Field::with_default("more", Expected::Flag),
    Field::with_default("dry_run", Expected::Flag),
];

/// The fields of the user of a report.
const USER: &[Field] = &[
    Field::with_default("id", Expected::Number),
    Field::with_default("name", Expected::Text),
    Field::with_default("username", Expected::Text),
    Field::optional("email", Expected::Text),
    Field::optional("avatar_url", Expected::Text),
];

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(report_instance))
        .routes(routes!(report_project))
        .routes(routes!(report_group))
        .routes(routes!(active_in_project))
        .routes(routes!(active_in_group))
        .routes(routes!(active_on_instance))
}

/// A reported event: either a complete `payload`, or an `object` from which a body is composed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "schema of the struct that borrows from the body")]
struct ReportBody {
    /// Kind of event, such as `push_hooks`. A confidential issue or comment is always reported under the confidential
    /// trigger, even if another trigger is given here.
    trigger: String,

    /// A complete body, sent byte for byte.
    #[schema(value_type = Option<Object>)]
    payload: Option<()>,

    /// The object from which a body is composed.
    #[schema(value_type = Option<Object>)]
    object: Option<()>,

    /// The user who acted, for a composed body.
    #[schema(value_type = Option<Object>)]
    user: Option<()>,

    /// Earlier values of the changed attributes, for the `changes` of a composed body.
    #[schema(value_type = Option<Object>)]
    previous: Option<()>,

    /// Name of the operation, such as the id of a request; at most 255 bytes. All saves of one object in one
    /// operation become one event, whose `changes` compare the state before the first save with the state after the
    /// last.
    operation: Option<String>,

    /// True if more saves of the operation follow. The report is kept, and becomes part of the event with the last
    /// save, which is sent without `more`. If the last save never arrives, the event is created one minute after the
    /// newest save.
    more: Option<bool>,

    /// True to check the report and show its body, without storing an event. It excludes `operation`.
    dry_run: Option<bool>,
}

/// Result of a report.
#[derive(Serialize, ToSchema)]
struct AcceptedReport {
    /// Id of the stored event. Absent for a save that more saves follow.
    #[schema(format = Uuid)]
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,

    /// Name of the operation that more saves follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<String>,
}

/// Report an event of a project. Maintainers of the project, and administrators.
///
/// The token needs the scope `report` or `api`. The event is stored before the answer is sent. A repeated
/// `Idempotency-Key` does not store it again. A body that another user than an administrator reports can name only
/// projects that this user maintains.
#[utoipa::path(post, path = "/projects/{id}/events", tag = "Reports", request_body = ReportBody,
    responses((status = 202, body = AcceptedReport), (status = 200, description = "With `dry_run`.", body = ReportPreview)))]
async fn report_project(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Answer>), ApiError> {
    // The body of a caller without the role is not read.
    let project = project_id(&app, &id).await?;
    let within = reporter_of(&caller, Scope::Project(project)).await?;

    let held = read(&app, &headers, body).await?;
    aside::by_weight(held.bytes.len(), of_project(app, project, within, headers, held)).await
}

async fn of_project(
    app: Arc<App>,
    project: ProjectId,
    within: Option<Scope>,
    headers: HeaderMap,
    held: Held,
) -> Result<(StatusCode, Json<Answer>), ApiError> {
    let reported = parse(&held)?;
    if let (Some(payload), None) = (reported.payload, reported.object) {
        return accept(&app, Place::Project(project), within, &reported, payload, &headers).await;
    }

    // Composing needs the whole project.
    let project = find_project(&app, &project.to_string()).await?;
    let scene = Scene::Project(&project);
    accept_report(&app, &reported, scene, Place::Project(project.id), within, &headers).await
}

/// Checks that a caller may report events of a scope. Returns the scope whose projects the body may name; `None` for
/// administrators, who may name all projects.
async fn reporter_of(caller: &Caller, scope: Scope) -> Result<Option<Scope>, ApiError> {
    caller.require(scope, Action::Hooks).await?;
    Ok((!caller.actor.is_admin).then_some(scope))
}

/// Finds the id of a project. A project in the directory is found without a query.
async fn project_id(app: &App, id: &str) -> Result<ProjectId, ApiError> {
    let known = id.parse().map(ProjectId).ok();
    match known.filter(|id| app.engine.context.knows_project(*id)) {
        Some(project) => Ok(project),
        None => Ok(find_project(app, id).await?.id),
    }
}

/// Report an event of a group: members, subgroups, projects, milestones or tokens. Owners of the group, and
/// administrators.
///
/// The request works as for a project.
#[utoipa::path(post, path = "/groups/{id}/events", tag = "Reports", request_body = ReportBody,
    responses((status = 202, body = AcceptedReport), (status = 200, description = "With `dry_run`.", body = ReportPreview)))]
async fn report_group(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Answer>), ApiError> {
    let group = find_group(&app, &id).await?;
    let within = reporter_of(&caller, Scope::Group(group.id)).await?;
    let held = read(&app, &headers, body).await?;
    let held_bytes = held.bytes.len();

    let accepted = async move {
        let reported = parse(&held)?;
        let place = Place::Group(group.id);
        accept_report(&app, &reported, Scene::Group(&group), place, within, &headers).await
    };
    aside::by_weight(held_bytes, accepted).await
}

/// Report an event of the instance, for system hooks. Administrators only.
///
/// The request works as for a project.
#[utoipa::path(post, path = "/events", tag = "Reports", request_body = ReportBody,
    responses((status = 202, body = AcceptedReport), (status = 200, description = "With `dry_run`.", body = ReportPreview)))]
async fn report_instance(
    _: Admin,
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Answer>), ApiError> {
    let held = read(&app, &headers, body).await?;
    let held_bytes = held.bytes.len();

    let accepted = async move {
        let reported = parse(&held)?;
        accept_report(&app, &reported, Scene::Instance, Place::Instance, None, &headers).await
    };
    aside::by_weight(held_bytes, accepted).await
}

/// Stores the payload of a report, or composes a body from its object.
async fn accept_report(
    app: &App,
    reported: &GivenReport<'_>,
    scene: Scene<'_>,
    place: Place,
    within: Option<Scope>,
    headers: &HeaderMap,
) -> Result<(StatusCode, Json<Answer>), ApiError> {
    let object = match (reported.payload, reported.object) {
        (Some(_), Some(_)) => {
            return Err(unprocessable(
                "the report has both a \"payload\" and an \"object\"; remove one of them",
            ));
        }
        (Some(payload), None) => return accept(app, place, within, reported, payload, headers).await,
        (None, Some(object)) => object,
        (None, None) => return Err(missing_body()),
    };

    let user = reported.user.clone().unwrap_or_default();
    if reported.user.is_some() && user.id == 0 && user.username.is_empty() && user.name.is_empty() {
        return Err(unprocessable(
            "the user of the report has no id, no username and no name",
        ));
    }

    let happened = app.engine.context.happened(scene, trigger(reported)?, &user, object);
    let happened = Happened {
        previous: reported.previous,
        ..happened
    };

    if reported.dry_run {
        if reported.operation.is_some() || reported.more {
            return Err(unprocessable(
                "\"dry_run\" shows one report; remove \"operation\" and \"more\"",
            ));
        }

        return preview::composed(app, &happened, within);
    }

    let filing = Filing {
        chain: chain(headers),
        key: idempotency_key(headers),
        operation: step(reported)?,
        within,
    };

    let accepted = match app.engine.journal.report(&happened, filing).await {
        Ok(Reported::Event(id)) => AcceptedReport {
            id: Some(id.to_string()),
            operation: None,
        },
        Ok(Reported::Saved) => AcceptedReport {
            id: None,
            operation: reported.operation.as_deref().map(str::to_owned),
        },
        Err(ReportError::Compose(error)) => return Err(wrong("object", &error)),
        Err(ReportError::Foreign(error)) => return Err(wrong("object", &error)),
        Err(ReportError::Store(error)) => return Err(error.into()),
    };
    Ok((StatusCode::ACCEPTED, Json(Answer::Accepted(accepted))))
}

/// Reads the operation that a report belongs to.
fn step<'a>(reported: &'a GivenReport<'_>) -> Result<Option<Step<'a>>, ApiError> {
    match reported.operation.as_deref() {
        Some(operation) if (1..=MAX_NAME).contains(&operation.len()) => Ok(Some(Step {
            operation,
            more: reported.more,
        })),
        Some(_) => Err(unprocessable(format!(
            "operation is empty or longer than {MAX_NAME} bytes"
        ))),
        None if reported.more => Err(unprocessable(
            "\"more\" needs an \"operation\", the name of the operation that continues",
        )),
        None => Ok(None),
    }
}

fn chain(headers: &HeaderMap) -> Option<Uuid> {
    text(headers, "x-gitlab-event-uuid").and_then(|text| Uuid::parse_str(text).ok())
}

/// Stores a complete body.
async fn accept(
    app: &App,
    place: Place,
    within: Option<Scope>,
    reported: &GivenReport<'_>,
    payload: &RawValue,
    headers: &HeaderMap,
) -> Result<(StatusCode, Json<Answer>), ApiError> {
    if reported.operation.is_some() || reported.more {
        return Err(unprocessable(
            "a \"payload\" is one complete event; use \"operation\" and \"more\" with an \"object\" only",
        ));
    }

    let body = payload.get().as_bytes();
    let trigger = trigger(reported)?;
    let envelope = Envelope::read(body).map_err(|error| wrong("payload", &error))?;
    let journal = &app.engine.journal;
    let trigger = trigger.for_body(&envelope);

    if let Some(scope) = within {
        check_projects(&app.engine.context, trigger, body, scope).map_err(|error| wrong("payload", &error))?;
    }

    if reported.dry_run {
        return Ok(ReportPreview::answer(trigger, body));
    }

    let event = Event {
        chain: chain(headers),
        git_ref: envelope.git_ref.as_deref().map(str::to_owned),
        ..journal.new_event(place, trigger, Origin::Api)
    };
    let appended = journal
        .ingest(event, idempotency_key(headers), body, Some(&envelope))
        .await?;

    Ok((
        StatusCode::ACCEPTED,
        Json(Answer::Accepted(AcceptedReport {
            id: Some(appended.id().to_string()),
            operation: None,
        })),
    ))
}

async fn read(app: &App, headers: &HeaderMap, body: Body) -> Result<Held, ApiError> {
    if let Some(words) = ambiguous(headers) {
        return Err(ApiError::problem(StatusCode::BAD_REQUEST, words));
    }

    let held = body::read(&app.bodies, headers, body, LIMIT, Kind::Reported).await;
    held.map_err(|body::Refused(status, text)| ApiError::problem(status, text))
}

fn parse(held: &Held) -> Result<GivenReport<'_>, ApiError> {
    serde_json::from_slice(&held.bytes).map_err(|error| {
        let name = Trigger::PUSH.row().name;
        let complete = format!(r#"{{"trigger":"{name}","payload":{{…}}}}"#);
        let composed = format!(r#"{{"trigger":"{name}","user":{{…}},"object":{{…}}}}"#);

        body_faults::explain(&held.bytes, REPORT, &error, &format!("{complete} or {composed}"))
    })
}

fn trigger(reported: &GivenReport<'_>) -> Result<Trigger, ApiError> {
    Trigger::by_name(&reported.trigger).ok_or_else(|| unknown_trigger(&reported.trigger))
}

/// The 422 for a trigger that does not exist, with the names of all triggers.
fn unknown_trigger(given: &str) -> ApiError {
    let names: Vec<&str> = Trigger::all().map(|trigger| trigger.row().name).collect();
    let meant = near::nearest(given, names.iter().copied());
    let choices: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();

    let hint = meant.map(|meant| format!("did you mean {meant}? ")).unwrap_or_default();
    let detail = format!(
        "there is no trigger with this name; {hint}use one of {}",
        choices.join(", ")
    );

    let error = FieldError {
        field: "trigger".to_owned(),
        detail,
        choices,
        did_you_mean: meant.map(str::to_owned),
    };
    refused(error)
}

/// The 422 for a field with a wrong value.
fn wrong(field: &str, error: &impl ToString) -> ApiError {
    refused(FieldError::new(field, error.to_string()))
}

fn refused(fault: FieldError) -> ApiError {
    let kind = error::Kind::InvalidParameter;
    ApiError::fields_with(StatusCode::UNPROCESSABLE_ENTITY, kind, vec![fault])
}

fn missing_body() -> ApiError {
    unprocessable("the report has no body: give a complete \"payload\", or an \"object\" to compose it from")
}

fn unprocessable(error: impl ToString) -> ApiError {
    ApiError::problem(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ActiveQuery {
    /// Kind of event, as trigger (`push_hooks`) or attribute (`push_events`).
    trigger: String,
}

/// Subscriptions to a kind of event.
#[derive(Serialize, ToSchema)]
struct Active {
    /// True if at least one hook is subscribed. Otherwise no body needs to be composed.
    active: bool,
}

/// Show whether any hook is subscribed to a kind of event in a project. Maintainers of the project, and
/// administrators.
#[utoipa::path(get, path = "/projects/{id}/active_hooks", tag = "Reports", params(ActiveQuery),
    responses((status = 200, body = Active)))]
async fn active_in_project(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Input(query): Input<ActiveQuery>,
) -> Result<Json<Active>, ApiError> {
    // Forges ask this before every event.
    let project = project_id(&app, &id).await?;
    caller.require(Scope::Project(project), Action::Hooks).await?;
    active(&app, Place::Project(project), &query)
}

/// Show whether any hook is subscribed to a kind of event in a group. Owners of the group, and administrators.
#[utoipa::path(get, path = "/groups/{id}/active_hooks", tag = "Reports", params(ActiveQuery),
    responses((status = 200, body = Active)))]
async fn active_in_group(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Input(query): Input<ActiveQuery>,
) -> Result<Json<Active>, ApiError> {
    let known = id
        .parse()
        .map(GroupId)
        .ok()
        .filter(|id| app.engine.context.knows_group(*id));
    let group = match known {
        Some(group) => group,
        None => find_group(&app, &id).await?.id,
    };
    caller.require(Scope::Group(group), Action::Hooks).await?;
    active(&app, Place::Group(group), &query)
}

/// Show whether any system hook is subscribed to a kind of event of the instance. Administrators only.
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
    let trigger = trigger.ok_or_else(|| unknown_trigger(&query.trigger))?;
    Ok(Json(Active {
        active: app.engine.context.is_subscribed(place, trigger),
    }))
}
