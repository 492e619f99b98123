//! Inspectors: private addresses that keep requests and answer as their owner chose. Every user has a few; those of
//! others exist for administrators only.

mod requests;
mod stream;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use quickdraw_domain::inspector::{Answer, AnswerError, Inspector as Settings, LIFETIME, MAX_IN_ALL, MAX_OF_USER};
use quickdraw_domain::signature::SigningToken;
use quickdraw_domain::{Edit, Secret};
use quickdraw_store::inspectors::ListedInspector;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::limit;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::{Clearable, Input, Line, Params, Prose};
use crate::state::App;
use crate::views::{Inspector, Page};

/// Number of times that a change is tried when other requests change the inspector at the same time.
const TRIES: usize = 5;
/// Length of a key in bytes.
const KEY_BYTES: usize = 16;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, edit, delete))
        .merge(requests::routes())
        .merge(stream::routes())
}

/// Settings of an inspector. Absent fields stay as they are.
#[derive(Deserialize, ToSchema)]
struct InspectorSettings {
    /// Display name; null or empty for none.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 255)]
    name: Clearable<Line<255>>,

    /// Secret that `X-Gitlab-Token` and `X-Hub-Signature-256` are compared with; null or empty for none.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 255)]
    secret: Clearable<Line<255>>,

    /// Signing token (`whsec_…`) that `webhook-signature` is verified with; null or empty for none.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 255)]
    signing_token: Clearable<Line<255>>,

    /// HTTP status of the answer.
    #[schema(default = 200, minimum = 200, maximum = 599)]
    status: Option<i64>,

    /// Body of the answer, at most 64 KiB. It must be empty if the status is 204, 205 or 304.
    #[serde(default)]
    #[schema(value_type = Option<String>, default = "ok", max_length = 65_536)]
    body: Clearable<Prose<65_536>>,

    /// Headers of the answer, at most 10. They replace all earlier ones. Only `Content-Type`, `Retry-After`,
    /// `X-Request-Id` and names that begin with `X-Webhook-` are possible.
    headers: Option<HashMap<String, String>>,

    /// Time between the request and the answer, in milliseconds.
    #[schema(default = 0, minimum = 0, maximum = 10_000)]
    delay_ms: Option<i64>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Query {
    /// Only inspectors that were created before this one: `next` of the previous page.
    before: Option<String>,

    /// Maximum number of rows.
    #[param(default = 20, minimum = 1, maximum = 100)]
    limit: Option<i64>,
}

/// List your inspectors, newest first. Administrators see the inspectors of all users.
#[utoipa::path(get, path = "/inspectors", tag = "Inspectors", params(Query),
    responses((status = 200, body = Page<Inspector>)))]
async fn list(
    caller: Caller,
    State(app): State<Arc<App>>,
    Input(query): Input<Query>,
) -> Result<Json<Page<Inspector>>, ApiError> {
    let limit = limit(query.limit)?;
    let owner = (!caller.actor.is_admin).then_some(caller.actor.user_id);
    let now = app.now();

    // There are never many, so the page is taken from all of them.
    let mut found = app.store().list_inspectors(owner).await?;
    found.retain(|listed| listed.inspector.is_alive(now));
    if let Some(before) = &query.before {
        let last = found.iter().position(|listed| listed.inspector.key == *before);
        let last =
            last.ok_or_else(|| ApiError::field("before", "before is not the id of an inspector in this list"))?;
        found.drain(..=last);
    }

    let has_more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().filter(|_| has_more);

    Ok(Json(Page {
        next: last.map(|listed| listed.inspector.key.clone()),
        items: found.iter().map(|listed| view(&app, listed)).collect(),
    }))
}

/// Create an inspector: an address that keeps the requests which it gets.
///
/// The URL contains a random key that cannot be guessed. Every method is accepted, and everyone who knows the URL can
/// send requests: at most 100 a minute from one IP address, and 600 in all. The inspector keeps the newest 200 requests
/// with bodies of at most 256 KiB, 5 MiB in all, and is deleted after seven days. A user can have 10 inspectors.
/// Project and group access tokens cannot create any. Webhooks of this server can call its inspectors.
#[utoipa::path(post, path = "/inspectors", tag = "Inspectors", request_body = InspectorSettings,
    responses((status = 201, body = Inspector)))]
async fn create(
    caller: Caller,
    State(app): State<Arc<App>>,
    asked: Result<Input<InspectorSettings>, ApiError>,
) -> Result<(StatusCode, Json<Inspector>), ApiError> {
    if caller.actor.bot_of.is_some() {
        let text = "a project or group access token cannot create an inspector; use a personal access token";
        return Err(ApiError::problem(StatusCode::FORBIDDEN, text));
    }

    let Input(asked) = asked?;
    let now = app.now();
    let blank = Settings {
        key: new_key()?,
        owner: caller.actor.user_id,
        name: None,
        secret: None,
        signing_token: None,
        answer: Answer::default(),
        created_at: now,
        updated_at: now,
        expires_at: now.plus(LIFETIME),
    };
    let inspector = asked.apply(blank)?;

    let key = inspector.key.clone();
    app.store().create_inspector(inspector).await.map_err(full)?;
    let created = app.store().find_inspector(key).await?.ok_or_else(nothing)?;
    Ok((StatusCode::CREATED, Json(view(&app, &created))))
}

/// Show an inspector. Its owner and administrators.
#[utoipa::path(get, path = "/inspectors/{inspector_id}", tag = "Inspectors",
    responses((status = 200, body = Inspector)))]
async fn show(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Inspector>, ApiError> {
    Ok(Json(view(&app, &find(&app, &caller, &id).await?)))
}

/// Change an inspector. Its owner and administrators.
///
/// Later requests get the new answer. The checks of earlier requests stay as they are.
#[utoipa::path(put, path = "/inspectors/{inspector_id}", tag = "Inspectors", request_body = InspectorSettings,
    responses((status = 200, body = Inspector)))]
async fn edit(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    asked: Result<Input<InspectorSettings>, ApiError>,
) -> Result<Json<Inspector>, ApiError> {
    let mut listed = find(&app, &caller, &id).await?;
    let Input(asked) = asked?;

    for _ in 0..TRIES {
        let since = listed.inspector.updated_at;
        let mut changed = asked.apply(listed.inspector)?;
        changed.updated_at = app.now().max(since.plus(Duration::from_micros(1)));

        let is_written = app.store().update_inspector(changed, since).await?;
        listed = find(&app, &caller, &id).await?;
        if is_written {
            return Ok(Json(view(&app, &listed)));
        }
    }

    let text = "other requests are changing the inspector; try again";
    Err(ApiError::problem(StatusCode::CONFLICT, text))
}

/// Delete an inspector with its requests. Its owner and administrators.
#[utoipa::path(delete, path = "/inspectors/{inspector_id}", tag = "Inspectors", responses((status = 204)))]
async fn delete(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    _: Params,
) -> Result<StatusCode, ApiError> {
    find(&app, &caller, &id).await?;
    app.store().delete_inspector(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl InspectorSettings {
    fn apply(&self, mut inspector: Settings) -> Result<Settings, ApiError> {
        let name = self.name.0.as_ref().map(|Line(name)| name.clone());
        inspector.name = name.apply(inspector.name);
        inspector.secret = secret(&self.secret)?.apply(inspector.secret);
        inspector.signing_token = signing_token(&self.signing_token)?.apply(inspector.signing_token);

        let answer = &mut inspector.answer;
        if let Some(status) = self.status {
            answer.status = u16::try_from(status).map_err(|_| refused(&AnswerError::Status))?;
        }

        match &self.body.0 {
            Edit::Keep => {}
            Edit::Clear => answer.body.clear(),
            Edit::Set(Prose(body)) => answer.body.clone_from(body),
        }

        if let Some(headers) = &self.headers {
            answer.headers = headers
                .iter()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            answer.headers.sort();
        }

        if let Some(delay) = self.delay_ms {
            let delay = u64::try_from(delay).map_err(|_| refused(&AnswerError::Delay))?;
            answer.delay = Duration::from_millis(delay);
        }

        answer.check().map_err(|error| refused(&error))?;
        Ok(inspector)
    }
}

fn refused(error: &AnswerError) -> ApiError {
    ApiError::field(error.field(), error.to_string())
}

fn secret(given: &Clearable<Line<255>>) -> Result<Edit<Secret>, ApiError> {
    given.0.as_ref().try_map(|Line(text)| {
        let secret = Secret::new(text.as_str());
        let checked = secret.check_header();
        checked.map_err(|error| ApiError::field("secret", format!("secret {error}")))?;
        Ok(secret)
    })
}

fn signing_token(given: &Clearable<Line<255>>) -> Result<Edit<Secret>, ApiError> {
    given.0.as_ref().try_map(|Line(text)| {
        let parsed = SigningToken::parse(text);
        parsed.map_err(|error| ApiError::field("signing_token", format!("signing_token {error}")))?;
        Ok(Secret::new(text.as_str()))
    })
}

fn new_key() -> Result<String, ApiError> {
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| ApiError::internal(anyhow::anyhow!("failed to read random bytes: {error}")))?;
    Ok(hex::encode(bytes))
}

fn full(error: quickdraw_store::Error) -> ApiError {
    let quickdraw_store::Error::Full(most) = error else {
        return error.into();
    };

    let text = if usize::try_from(most) == Ok(MAX_OF_USER) {
        format!("you have the maximum of {MAX_OF_USER} inspectors; delete one of them")
    } else {
        format!("all users together have the maximum of {MAX_IN_ALL} inspectors; delete one, or try again tomorrow")
    };
    ApiError::problem(StatusCode::UNPROCESSABLE_ENTITY, text)
}

fn view(app: &App, listed: &ListedInspector) -> Inspector {
    Inspector::new(listed, &app.external_url)
}

/// Finds an inspector that the caller may see. All others do not exist for the caller.
async fn find(app: &App, caller: &Caller, id: &str) -> Result<ListedInspector, ApiError> {
    let found = app.store().find_inspector(id.to_owned()).await?;
    let alive = found.filter(|listed| listed.inspector.is_alive(app.now()));
    let listed = alive.ok_or_else(nothing)?;

    if !is_visible(caller, &listed) {
        caller.is_refused_silently();
        return Err(nothing());
    }

    Ok(listed)
}

fn is_visible(caller: &Caller, listed: &ListedInspector) -> bool {
    caller.actor.is_admin || caller.actor.user_id == listed.inspector.owner
}

fn nothing() -> ApiError {
    ApiError::problem(StatusCode::NOT_FOUND, "there is no inspector with this id")
}
