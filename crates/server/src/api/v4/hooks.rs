//! Hooks of three levels: `/api/v4/projects/:id/hooks`, `/groups/:id/hooks` and `/hooks`.

mod log;
mod masked;
mod pause;
mod read;
mod restriction;
mod test;
mod values;

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use quickdraw_domain::Edit;
use quickdraw_domain::HookId;
use quickdraw_domain::access::Action;
use quickdraw_domain::guard::judge_url;
use quickdraw_domain::hook::edit::EditError;
use quickdraw_domain::hook::{self, HookEdit, HookUrl, MAX_STATES_OF_SCOPE, Restriction};
use quickdraw_domain::scope::Scope;
use quickdraw_engine::delivery::transport::open_certificate;
use quickdraw_store::Error;
use quickdraw_store::hooks::HookWithHealth;
use serde_json::json;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::read::{HookToChange, HookToMake};
use super::groups::refresh;
use super::page::{Listing, PageQuery};
use super::target::Target;
use crate::error::ApiError;
use crate::params::Params;
use crate::state::{App, KEYS};
use crate::views::Hook;

/// Largest number of system hooks. GitLab has no limit; this one is far above real needs.
const MAX_SYSTEM_HOOKS: i64 = 1000;
/// The refusal of tests and resends in silent mode. GitLab's text comes first.
const SILENT: &str = "Silent mode enabled: no webhook is called; set silent_mode_enabled=false at \
    /api/v4/application/settings to turn it off";
/// Number of times that a change is tried when other requests change the hook at the same time.
const TRIES: usize = 5;

/// Routes for projects and groups. The path before them names the level.
pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    settings()
        .routes(routes!(show, edit, delete))
        .routes(routes!(log::list))
        .routes(routes!(log::show))
        .routes(routes!(log::resend))
        .routes(routes!(test::test))
        .routes(routes!(pause::pause))
        .routes(routes!(pause::resume))
}

/// Routes of system hooks, which have no log, no resend, and a test of their own.
pub(crate) fn system_routes() -> OpenApiRouter<Arc<App>> {
    settings()
        .routes(routes!(show, edit, delete, test::test_system))
        .routes(routes!(log::show))
        .routes(routes!(log::resend))
        .routes(routes!(pause::pause))
        .routes(routes!(pause::resume))
}

fn settings() -> OpenApiRouter<Arc<App>> {
    let (schemas, paths, methods) = routes!(list, create);
    OpenApiRouter::new()
        .routes((schemas, paths, methods.delete(delete_none)))
        .routes(routes!(values::set_header, values::unset_header))
        .routes(routes!(values::set_variable, values::unset_variable))
}

/// The hooks of a scope, for a caller who can manage them.
pub(crate) struct At(Target);

impl FromRequestParts<Arc<App>> for At {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        Target::read(parts, app, Action::Hooks).await.map(Self)
    }
}

impl At {
    const fn scope(&self) -> Scope {
        self.0.scope
    }

    async fn hook(&self, app: &App) -> Result<HookWithHealth, ApiError> {
        let found = app
            .store()
            .find_hook(self.scope(), HookId(self.0.number("hook_id")?))
            .await?;
        found.ok_or_else(ApiError::plain_not_found)
    }

    /// Refuses a test or resend in silent mode, as GitLab does.
    fn refuse_in_silence(app: &App) -> Result<(), ApiError> {
        if app.engine.context.is_silent() {
            return Err(ApiError::Message(StatusCode::UNPROCESSABLE_ENTITY, json!(SILENT)));
        }

        Ok(())
    }

    /// Counts a test or resend against the limit of the caller.
    fn count_manual(&self, app: &App, what: &'static str) -> Result<(), ApiError> {
        Self::refuse_in_silence(app)?;

        let counted = app
            .manual
            .count(what, &app.requester(&self.0.caller.actor, self.scope()));
        counted.map_err(|error| error.with_limit(app.limits.manual_per_minute, app.now()))
    }
}

/// List hooks. Maintainers of the project, owners of the group, and administrators.
#[utoipa::path(get, path = "/", tag = "Hooks", params(PageQuery), responses((status = 200, body = [Hook])))]
async fn list(at: At, State(app): State<Arc<App>>, listing: Listing) -> Result<Response, ApiError> {
    let page = listing.asked()?;
    let hooks = app.store().list_hooks(at.scope(), page).await?;
    Ok(listing.answer(page, &hooks, |entry| entry.hook.id.0, |entry| shown(&app, entry)))
}

/// Create a hook. Maintainers of the project, owners of the group, and administrators.
///
/// By default, a project can have 100 hooks and a group 50.
#[utoipa::path(post, path = "/", tag = "Hooks", request_body = HookToMake, responses((status = 201, body = Hook)))]
async fn create(at: At, State(app): State<Arc<App>>, params: Params) -> Result<(StatusCode, Json<Hook>), ApiError> {
    let mut change = usable(&app, &at, compiling(|| read::change(&params, at.scope(), true)).await?).await?;
    restriction::read(&app, at.scope(), &params, &Restriction::default(), &mut change).await?;
    read::pause(&params, &at.0.caller.actor.username, &mut change)?;

    let now = app.now();
    let blank = HookUrl::parse("https://blank.invalid").map_err(|_| ApiError::plain_not_found())?;
    let new = hook::Hook::new(at.scope(), blank, uuid::Uuid::new_v4(), now);
    let hook = compiling(|| change_hook(&app, &new, change)).await?;

    affordable(&app, &hook, None).await?;

    let most = match at.scope() {
        Scope::Project(_) => app.limits.project_hooks,
        Scope::Group(_) => app.limits.group_hooks,
        Scope::Instance => MAX_SYSTEM_HOOKS,
    };

    let made = app.store().create_hook(hook, most).await.map_err(|error| match error {
        Error::Full(most) => {
            let what = if matches!(at.scope(), Scope::Group(_)) {
                "group"
            } else {
                "project"
            };
            ApiError::unprocessable(format!("Maximum number of {what} hooks ({most}) exceeded"))
        }
        other => other.into(),
    })?;

    refresh(&app).await;
    Ok((StatusCode::CREATED, Json(shown(&app, &made))))
}

/// Show a hook. Maintainers of the project, owners of the group, and administrators.
#[utoipa::path(get, path = "/{hook_id}", tag = "Hooks", responses((status = 200, body = Hook)))]
async fn show(at: At, State(app): State<Arc<App>>) -> Result<Json<Hook>, ApiError> {
    Ok(Json(shown(&app, &at.hook(&app).await?)))
}

/// Change a hook. Maintainers of the project, owners of the group, and administrators.
///
/// Lists of custom headers and URL variables are merged by key. If the called URL changes, secrets that the request
/// does not repeat are dropped.
#[utoipa::path(put, path = "/{hook_id}", tag = "Hooks", request_body = HookToChange,
    responses((status = 200, body = Hook)))]
async fn edit(at: At, State(app): State<Arc<App>>, params: Params) -> Result<Json<Hook>, ApiError> {
    let before = at.hook(&app).await?;
    if !read::has_any(&params) {
        return Err(ApiError::bad_parameter("No parameters provided"));
    }

    let mut change = usable(&app, &at, compiling(|| read::change(&params, at.scope(), false)).await?).await?;
    restriction::read(&app, at.scope(), &params, &before.hook.only, &mut change).await?;
    read::pause(&params, &at.0.caller.actor.username, &mut change)?;

    let changed = update(&app, &at, |hook| change_hook(&app, hook, change.clone())).await?;
    pause::report(&at, &app, &before, &changed).await;
    Ok(Json(shown(&app, &changed)))
}

/// Delete a hook. Maintainers of the project, owners of the group, and administrators.
///
/// With `If-Unmodified-Since`, it is deleted only if it has not changed after that time.
#[utoipa::path(delete, path = "/{hook_id}", tag = "Hooks", responses((status = 204)))]
async fn delete(at: At, State(app): State<Arc<App>>, headers: HeaderMap, _: Params) -> Result<Response, ApiError> {
    let entry = at.hook(&app).await?;
    let since = headers.get("if-unmodified-since").and_then(|value| value.to_str().ok());
    // HTTP dates have whole seconds, so a change within the same second is not after them.
    let since = since.and_then(|text| jiff::fmt::rfc2822::parse(text).ok());

    if since
        .as_ref()
        .is_some_and(|since| entry.hook.updated_at.as_seconds() > since.timestamp().as_second())
    {
        return Err(ApiError::Message(
            StatusCode::PRECONDITION_FAILED,
            json!("412 Precondition Failed"),
        ));
    }

    let unchanged_since = since.is_some().then_some(entry.hook.updated_at);
    if !app
        .store()
        .delete_hook(at.scope(), entry.hook.id, unchanged_since)
        .await?
    {
        // Answers 404 if the hook was deleted meanwhile.
        at.hook(&app).await?;
        return Err(ApiError::Message(
            StatusCode::PRECONDITION_FAILED,
            json!("412 Precondition Failed"),
        ));
    }

    refresh(&app).await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Answers DELETE of the collection with 404 as in GitLab, where other paths answer 405.
async fn delete_none(_: At) -> ApiError {
    ApiError::Error(StatusCode::NOT_FOUND, "404 Not Found".to_owned())
}

/// The view of a hook.
fn shown(app: &App, entry: &HookWithHealth) -> Hook {
    Hook::new(entry, restriction::shown(app, &entry.hook.only), app.now())
}

/// Reads, changes and writes a hook. If another request has changed it meanwhile, the change is applied to the newer
/// hook.
async fn update(
    app: &App,
    at: &At,
    change: impl Fn(&hook::Hook) -> Result<hook::Hook, ApiError>,
) -> Result<HookWithHealth, ApiError> {
    for _ in 0..TRIES {
        let entry = at.hook(app).await?;
        let changed = compiling(|| change(&entry.hook)).await?;
        affordable(app, &changed, Some(changed.id)).await?;

        if let Some(written) = app.store().update_hook(changed, entry.hook.updated_at).await? {
            refresh(app).await;
            return Ok(written);
        }
    }

    Err(ApiError::Message(
        StatusCode::CONFLICT,
        json!("409 Conflict: other requests are changing the hook; try again"),
    ))
}

/// Allows one request at a time to read settings, because compiling their expressions takes up to 25 ms of a thread.
static COMPILING: Semaphore = Semaphore::const_new(1);

/// Reads settings with expressions on a thread on which no other request waits.
async fn compiling<T>(read: impl FnOnce() -> T) -> T {
    // The semaphore is never closed.
    let _one = COMPILING.acquire().await.ok();
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(read),
        _ => read(),
    }
}

/// Refuses expressions that, together with those of the other hooks in the scope, could cost too much per event.
async fn affordable(app: &App, hook: &hook::Hook, known: Option<HookId>) -> Result<(), ApiError> {
    // The expressions were compiled when the settings were read.
    let own = hook.states();
    if own == 0 {
        return Ok(());
    }

    // Counting compiles the expressions of the other hooks if this has not happened yet.
    let (context, scope) = (Arc::clone(&app.engine.context), hook.scope);
    let beside = tokio::task::spawn_blocking(move || context.states_beside(scope, known));
    let beside = beside.await.map_err(|error| ApiError::internal(error.into()))?;
    if own + beside <= MAX_STATES_OF_SCOPE {
        return Ok(());
    }

    let text = format!(
        "The expressions in this webhook's filters have {own} states, those of the other webhooks here {beside}; the \
         maximum for both is {MAX_STATES_OF_SCOPE}. Use wildcards, or shorten repetitions such as {{1,100}}"
    );
    Err(ApiError::unprocessable(text))
}

/// Opens the client certificate of a change, if the request has one. Opening a key takes work and memory, so one key
/// is opened at a time, and few requests can wait.
async fn usable(
    app: &App,
    at: &At,
    (mut change, typed): (HookEdit, Option<read::Typed>),
) -> Result<HookEdit, ApiError> {
    if let Some(read::Typed { pem, password }) = typed {
        let (permits, opening) = &app.keys;
        let requester = app.requester(&at.0.caller.actor, at.scope());
        let _permit = permits
            .acquire(&requester)
            .map_err(|full| full.refusal("client certificates at once", &KEYS))?;

        let opened = opening
            .acquire()
            .await?
            .run(move || open_certificate(&pem, &password))
            .await;
        let opened = opened.map_err(|error| ApiError::internal(error.into()))?;
        let certificate = opened.map_err(|error| ApiError::unprocessable(format!("tls_client_cert {error}")))?;

        change.client_certificate = Edit::Set(certificate);
    }

    Ok(change)
}

/// Applies a change to a hook. Refusals use GitLab's texts, followed by the reason.
fn change_hook(app: &App, hook: &hook::Hook, change: HookEdit) -> Result<hook::Hook, ApiError> {
    let changed = hook.edited(change, app.now()).map_err(|error| refused(&error))?;
    // The first check of the URL. Host names are not resolved here, because a receiver can be set up after its hook.
    judge_url(&changed.url, &app.engine.context.settings().guard)
        .map_err(|rule| ApiError::unprocessable(format!("Invalid url given: {rule}")))?;
    Ok(changed)
}

fn refused(error: &EditError) -> ApiError {
    ApiError::unprocessable(error.to_string())
}
