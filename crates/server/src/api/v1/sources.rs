//! Sources: the endpoints to which GitLab instances post their events.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use quickdraw_domain::signature::SigningToken;
use quickdraw_domain::source::{ActiveSecret, Addresses, BoundTo, Mode, Source as Settings};
use quickdraw_domain::{Edit, Secret, SourceId, Timestamp};
use quickdraw_engine::{RequestRecord, Traffic};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::answers;
use super::period::Period;
use super::whole::WholeQuery;
use super::{MAX_PER_PAGE, limit};
use crate::api::v4::refresh;
use crate::auth::Admin;
use crate::error::{ApiError, FieldError, Kind};
use crate::params::{Clearable, Input, Invalid, Line, Params, TriggerName, When};
use crate::state::App;
use crate::views::{Page, Source, SourceRequest};

/// Largest number of sources, in addition to the default one.
const MAX_SOURCES: i64 = 1000;
const LONGEST_WINDOW: u64 = 86_400;
const LONGEST_OVERLAP: u64 = 30 * 86_400;
const SHORTEST_SECRET: usize = 8;
/// Number of times that a change is tried when other requests change the source at the same time.
const TRIES: usize = 5;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, edit, delete))
        .routes(routes!(replace_secret))
        .routes(routes!(show_secret))
        .routes(routes!(requests))
}

/// Credentials that a source requires.
#[derive(Deserialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum ModeWord {
    /// The request must carry at least one credential, and every credential that it carries must be valid.
    Any,

    /// The request must carry the token.
    Token,

    /// The request must carry a signature of the body. The token does not replace it.
    Signature,

    /// The request must carry the token and a signature.
    Both,
}

impl From<ModeWord> for Mode {
    fn from(word: ModeWord) -> Self {
        match word {
            ModeWord::Any => Self::Any,
            ModeWord::Token => Self::Token,
            ModeWord::Signature => Self::Signature,
            ModeWord::Both => Self::Both,
        }
    }
}

/// Settings of a source. Absent fields stay as they are.
#[derive(Deserialize, ToSchema)]
struct SourceSettings {
    /// Secret of a new source: the value that GitLab sends as `X-Gitlab-Token`, or a signing token (`whsec_…`). If it
    /// is absent, a secret is generated and shown once, in this answer; for the modes `signature` and `both` it is a
    /// signing token. An existing secret is replaced with `POST …/secret`.
    #[schema(value_type = Option<String>, min_length = 8, max_length = 255)]
    secret: Option<Line<255>>,

    /// Display name.
    #[schema(value_type = Option<String>, max_length = 255)]
    name: Option<Line<255>>,

    /// Credentials that the source requires.
    #[schema(inline)]
    mode: Option<ModeWord>,

    /// Largest allowed difference between the time of a signature and the server's clock, in seconds.
    #[schema(default = 300, minimum = 1, maximum = 86_400)]
    window: Option<i64>,

    /// IP addresses and blocks that can post, such as `10.0.0.0/8`. An empty list allows all addresses.
    addresses: Option<Vec<String>>,

    /// Maximum number of requests per minute without a valid credential from one IP address (IPv6: from one /64); null
    /// for no limit. Requests with a valid credential do not count.
    #[serde(default)]
    #[schema(value_type = Option<i64>, default = 100, minimum = 1)]
    rate_limit: Clearable<i64>,

    /// Maximum number of requests per minute with a valid credential, from all IP addresses and counted on each node;
    /// null for no limit. GitLab does not send an event again that this limit refuses.
    #[serde(default)]
    #[schema(value_type = Option<i64>, default = 6_000, minimum = 1)]
    sender_rate_limit: Clearable<i64>,

    /// Largest body in bytes.
    #[schema(default = 26_214_400, minimum = 1, maximum = 26_214_400)]
    body_limit: Option<i64>,

    /// True if an event that arrives through several GitLab hooks is delivered once only. All copies are stored.
    #[schema(default = true)]
    deduplicate: Option<bool>,

    /// URL of the GitLab that the source belongs to, such as `https://gitlab.example.com`. Requests with another
    /// `X-Gitlab-Instance` are refused. `any` accepts all instances. If it is null, or absent for a new source, the
    /// source is bound to the first instance that a request names, unless another source is already bound to that
    /// instance.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 255)]
    instance: Clearable<Line<255>>,
}

/// Replacement of a secret.
#[derive(Deserialize, ToSchema)]
struct SecretToReplace {
    /// The new secret. If it is absent, a secret is generated and shown once, in this answer.
    #[schema(value_type = Option<String>, min_length = 8, max_length = 255)]
    secret: Option<Line<255>>,

    /// Seconds for which earlier secrets remain valid. Use 0 after a leak.
    #[schema(default = 86_400, minimum = 0, maximum = 2_592_000)]
    overlap: Option<i64>,
}

/// List sources, the default source first. Administrators only.
#[utoipa::path(get, path = "/sources", tag = "Sources", params(WholeQuery),
    responses((status = 200, body = Page<Source>)))]
async fn list(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(query): Input<WholeQuery>,
) -> Result<Json<Page<Source>>, ApiError> {
    let now = app.now();
    let others = app.store().list_sources().await?;
    let all = std::iter::once(app.sources.default_source()).chain(&others);
    let traffic = traffic(&app).await?;

    let page = query.page(all, |source| source.id.0, |source| view(&app, source, &traffic, now))?;
    Ok(Json(page))
}

/// Create a source. Administrators only.
///
/// The URL of the source contains a random key that cannot be guessed.
#[utoipa::path(post, path = "/sources", tag = "Sources", request_body = SourceSettings,
    responses((status = 201, body = Source)))]
async fn create(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(asked): Input<SourceSettings>,
) -> Result<(StatusCode, Json<Source>), ApiError> {
    let now = app.now();
    let (secret, made) = secret(asked.secret.as_ref(), asked.mode.map(Mode::from).unwrap_or_default())?;

    let name = asked
        .name
        .as_ref()
        .map_or_else(|| "source".to_owned(), |name| name.0.clone());

    let blank = Settings {
        id: SourceId(0),
        key: uuid::Uuid::new_v4().simple().to_string(),
        name,
        mode: Mode::Any,
        secrets: vec![ActiveSecret { secret, until: None }],
        window: Settings::WINDOW,
        addresses: Addresses::default(),
        per_minute: Some(Settings::PER_MINUTE),
        sender_per_minute: Some(Settings::SENDER_PER_MINUTE),
        body_limit: Settings::BODY_LIMIT,
        deduplicate: true,
        created_at: now,
        updated_at: now,
    };
    let source = asked.apply(blank, now)?;
    let instance = asked.instance()?;

    let source = app
        .store()
        .create_source(source, MAX_SOURCES)
        .await
        .map_err(|error| match error {
            quickdraw_store::Error::Full(most) => ApiError::problem(
                StatusCode::UNPROCESSABLE_ENTITY,
                format!("the maximum of {most} sources is reached"),
            ),
            other => other.into(),
        })?;
    // No request can arrive between the two writes, because the URL is not known to anyone yet.
    if !instance.is_keep() {
        app.store().set_instance(source.id, instance.value()).await?;
    }

    refresh(&app).await;
    Ok((
        StatusCode::CREATED,
        Json(Source {
            secret: made,
            ..view(&app, &source, &HashMap::new(), now)
        }),
    ))
}

/// Show a source. Administrators only.
#[utoipa::path(get, path = "/sources/{source_id}", tag = "Sources", responses((status = 200, body = Source)))]
async fn show(_: Admin, State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Source>, ApiError> {
    let now = app.now();
    let source = find(&app, &id).await?;
    Ok(Json(view(&app, &source, &traffic(&app).await?, now)))
}

/// Change a source. Administrators only.
///
/// The default source is changed in the settings instead.
#[utoipa::path(put, path = "/sources/{source_id}", tag = "Sources", request_body = SourceSettings,
    responses((status = 200, body = Source)))]
async fn edit(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Input(asked): Input<SourceSettings>,
) -> Result<Json<Source>, ApiError> {
    let now = app.now();
    if asked.secret.is_some() {
        return Err(ApiError::problem(
            StatusCode::UNPROCESSABLE_ENTITY,
            "replace the secret with POST …/secret",
        ));
    }

    let instance = asked.instance()?;
    let changed = update(&app, &id, |source| asked.apply(source, now)).await?;
    if !instance.is_keep() {
        app.store().set_instance(changed.id, instance.value()).await?;
        refresh(&app).await;
    }

    Ok(Json(view(&app, &changed, &traffic(&app).await?, now)))
}

/// Delete a source. Administrators only.
///
/// The events that it received are kept.
#[utoipa::path(delete, path = "/sources/{source_id}", tag = "Sources", responses((status = 204)))]
async fn delete(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    _: Params,
) -> Result<StatusCode, ApiError> {
    not_default(&id)?;
    if !app.store().delete_source(id).await? {
        return Err(nothing());
    }

    refresh(&app).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Replace the secret of a source. Administrators only.
///
/// Earlier secrets remain valid for a time, so that senders can change over.
#[utoipa::path(post, path = "/sources/{source_id}/secret", tag = "Sources", request_body = SecretToReplace,
    responses((status = 201, body = Source)))]
async fn replace_secret(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Input(asked): Input<SecretToReplace>,
) -> Result<(StatusCode, Json<Source>), ApiError> {
    let now = app.now();
    let overlap = u64::try_from(asked.overlap.unwrap_or(86_400))
        .ok()
        .filter(|seconds| *seconds <= LONGEST_OVERLAP);
    let overlap = Duration::from_secs(overlap.ok_or_else(|| Invalid::value("overlap"))?);
    let (secret, made) = secret(asked.secret.as_ref(), find(&app, &id).await?.mode)?;

    let changed = update(&app, &id, |mut source| {
        source.replace_secret(secret.clone(), overlap, now);
        source.updated_at = now;
        Ok(source)
    })
    .await?;

    Ok((
        StatusCode::CREATED,
        Json(Source {
            secret: made,
            ..view(&app, &changed, &traffic(&app).await?, now)
        }),
    ))
}

/// The secret of a source.
#[derive(Serialize, ToSchema)]
struct ShownSecret {
    /// The newest secret, which GitLab's webhooks should have: a secret token, or a signing token (`whsec_…`).
    secret: String,

    /// True for the default source if the setting `source.secret` of this node determines the secret. If it is false,
    /// all nodes of the database accept the secret.
    is_setting: bool,
}

/// Show the secret of a source. Administrators only, with a token of the scope `api`.
///
/// Each request leaves an entry in the audit log.
#[utoipa::path(post, path = "/sources/{source_id}/secret/show", tag = "Sources",
    responses((status = 200, body = ShownSecret)))]
async fn show_secret(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    _: Params,
) -> Result<Json<ShownSecret>, ApiError> {
    let source = find(&app, &id).await?;
    let newest = source.secrets.first().ok_or_else(nothing)?;
    Ok(Json(ShownSecret {
        secret: newest.secret.expose().to_owned(),
        is_setting: source.key.is_empty() && app.sources.secret_is_set,
    }))
}

/// Conditions on requests to a source.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct RequestQuery {
    /// Only requests that named this kind of event in `X-Gitlab-Event`, such as `push_hooks`; several separated by
    /// commas.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    trigger: Vec<TriggerName>,

    /// Only requests that were answered with these statuses: HTTP statuses, or `successful`, `client_failure`,
    /// `server_failure`; separated by commas, at most 100.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    status: Vec<String>,

    /// Only requests of this time or later: `2026-03-16T09:30:00Z`, a day, or a span back from now such as `2h`.
    #[param(value_type = Option<String>)]
    since: Option<When>,

    /// Only requests before this time, written like `since`.
    #[param(value_type = Option<String>)]
    until: Option<When>,

    /// Maximum number of rows. The list has no further page.
    #[param(default = 100, minimum = 1, maximum = 100)]
    limit: Option<i64>,
}

/// List the last 100 requests to a source, newest first, including refused ones with the reason. Administrators only.
///
/// Filters select among these requests. Earlier requests are not kept.
#[utoipa::path(get, path = "/sources/{source_id}/requests", tag = "Sources", params(RequestQuery),
    responses((status = 200, body = Page<SourceRequest>)))]
async fn requests(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Input(query): Input<RequestQuery>,
) -> Result<Json<Page<SourceRequest>>, ApiError> {
    let limit = limit(query.limit.or(Some(MAX_PER_PAGE)))?;
    let answers = answers(&query.status)?;
    let period = Period::read(query.since, query.until, app.now())?;
    let headers: Vec<&str> = query.trigger.iter().map(|trigger| trigger.0.row().header).collect();

    let source = find(&app, &id).await?;
    let seen = app
        .engine
        .journal
        .last_requests(source.id)
        .await
        .map_err(ApiError::internal)?;

    let is_wanted = |request: &&RequestRecord| {
        let header = request.event.as_deref().unwrap_or_default();
        let is_of_kind = headers.is_empty() || headers.contains(&header);
        is_of_kind && answers.contain(Some(request.status)) && period.contains(Timestamp::from_micros(request.at))
    };
    let wanted = seen.iter().filter(is_wanted).take(limit);
    Ok(Json(Page::whole(wanted.map(SourceRequest::from))))
}

/// The requests of the last hour of all sources.
async fn traffic(app: &App) -> Result<HashMap<SourceId, Traffic>, ApiError> {
    quickdraw_engine::traffic(&app.engine.journal)
        .await
        .map_err(ApiError::internal)
}

fn view(app: &App, source: &Settings, traffic: &HashMap<SourceId, Traffic>, now: Timestamp) -> Source {
    let directory = app.engine.context.directory();
    let traffic = traffic.get(&source.id).copied().unwrap_or_default();
    Source::new(source, directory.bound_to(source.id), &app.external_url, traffic, now)
}

impl SourceSettings {
    /// Reads the change of the instance.
    fn instance(&self) -> Result<Edit<BoundTo>, ApiError> {
        let read = |Line(text): &Line<255>| {
            BoundTo::parse(text).map_err(|error| unusable("instance", format!("instance {error}")))
        };
        self.instance.0.as_ref().try_map(read)
    }

    fn apply(&self, mut source: Settings, now: Timestamp) -> Result<Settings, ApiError> {
        if let Some(name) = &self.name {
            source.name.clone_from(&name.0);
        }

        if let Some(mode) = self.mode {
            source.mode = mode.into();
        }

        if let Some(window) = self.window {
            let window = u64::try_from(window)
                .ok()
                .filter(|seconds| (1..=LONGEST_WINDOW).contains(seconds));
            source.window = Duration::from_secs(window.ok_or_else(|| Invalid::value("window"))?);
        }

        if let Some(addresses) = &self.addresses {
            source.addresses = Addresses::parse(addresses.iter().map(String::as_str))
                .map_err(|error| unusable("addresses", format!("addresses {error}")))?;
        }

        let rate = per_minute("rate_limit", &self.rate_limit)?;
        source.per_minute = rate.apply(source.per_minute);
        let rate = per_minute("sender_rate_limit", &self.sender_rate_limit)?;
        source.sender_per_minute = rate.apply(source.sender_per_minute);

        if let Some(limit) = self.body_limit {
            let limit = usize::try_from(limit)
                .ok()
                .filter(|limit| (1..=Settings::BODY_LIMIT).contains(limit));
            source.body_limit = limit.ok_or_else(|| Invalid::value("body_limit"))?;
        }

        source.deduplicate = self.deduplicate.unwrap_or(source.deduplicate);
        source.updated_at = now;
        Ok(source)
    }
}

/// The refusal of a field whose text cannot be read.
fn unusable(field: &str, detail: String) -> ApiError {
    let error = FieldError::new(field, detail);
    ApiError::fields_with(StatusCode::UNPROCESSABLE_ENTITY, Kind::InvalidParameter, vec![error])
}

/// Reads a rate limit.
fn per_minute(name: &'static str, given: &Clearable<i64>) -> Result<Edit<u32>, Invalid> {
    given.0.as_ref().try_map(|number| {
        let number = u32::try_from(*number).ok().filter(|number| *number > 0);
        number.ok_or_else(|| Invalid::value(name))
    })
}

/// Returns the given secret, or generates one in the form that the mode needs. A generated secret is also returned as
/// text, to be shown once.
fn secret(given: Option<&Line<255>>, mode: Mode) -> Result<(Secret, Option<String>), ApiError> {
    if let Some(Line(text)) = given {
        if text.len() < SHORTEST_SECRET {
            let text = format!("secret is shorter than {SHORTEST_SECRET} characters");
            return Err(ApiError::field("secret", text));
        }

        if text.starts_with("whsec_")
            && let Err(error) = SigningToken::parse(text)
        {
            return Err(ApiError::field("secret", format!("secret {error}")));
        }

        let secret = Secret::new(text.as_str());
        secret
            .check_header()
            .map_err(|error| ApiError::field("secret", format!("secret {error}")))?;
        return Ok((secret, None));
    }

    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| ApiError::internal(anyhow::anyhow!("failed to read random bytes: {error}")))?;

    let text = match mode {
        // GitLab accepts signing tokens in this form only.
        Mode::Signature | Mode::Both => SigningToken::from_key(&bytes).to_text().expose().to_owned(),
        Mode::Any | Mode::Token => hex::encode(bytes),
    };
    Ok((Secret::new(text.clone()), Some(text)))
}

async fn find(app: &App, id: &str) -> Result<Settings, ApiError> {
    if id == "default" {
        return Ok(app.sources.default_source().clone());
    }

    app.store().find_source(id.to_owned()).await?.ok_or_else(nothing)
}

/// Reads, changes and writes a source. If another request has changed it meanwhile, the change is applied to the
/// newer source.
async fn update(
    app: &App,
    id: &str,
    change: impl Fn(Settings) -> Result<Settings, ApiError>,
) -> Result<Settings, ApiError> {
    not_default(id)?;

    for _ in 0..TRIES {
        let known = app.store().find_source(id.to_owned()).await?.ok_or_else(nothing)?;
        let since = known.updated_at;
        if let Some(written) = app.store().update_source(change(known)?, since).await? {
            refresh(app).await;
            return Ok(written);
        }
    }

    Err(ApiError::problem(
        StatusCode::CONFLICT,
        "other requests are changing the source; try again",
    ))
}

fn not_default(id: &str) -> Result<(), ApiError> {
    if id == "default" {
        let text = "the default source is configured in the settings (source.*); change it there";
        return Err(ApiError::problem(StatusCode::UNPROCESSABLE_ENTITY, text));
    }

    Ok(())
}

fn nothing() -> ApiError {
    ApiError::problem(StatusCode::NOT_FOUND, "there is no source with this id")
}
