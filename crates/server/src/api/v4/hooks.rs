//! `/api/v4/projects/:id/hooks`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{OriginalUri, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use quickdraw_domain::guard::judge_url;
use quickdraw_domain::hook::{BranchFilter, Hook, HookUrl};
use quickdraw_domain::scope::Scope;
use quickdraw_domain::signature::SigningToken;
use quickdraw_domain::{HookId, Secret, Trigger, TriggerSet};
use serde_json::Value;

use super::groups::refresh;
use super::page::Asked;
use crate::api::find_project;
use crate::auth::Admin;
use crate::error::ApiError;
use crate::params::Params;
use crate::state::App;
use crate::views;

pub(super) async fn list(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    let project = find_project(&app, &id).await?;
    let asked = Asked::read(&params)?;
    let hooks = app.store().list_hooks(Scope::Project(project.id), asked.rows()).await?;
    let now = app.belt.clock().now();
    let rows = hooks.rows.iter().map(|entry| views::hook(entry, now)).collect();
    Ok(asked.answer(rows, hooks.total, &headers, &uri))
}

pub(super) async fn create(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    params: Params,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let project = find_project(&app, &id).await?;
    let hook = read(&app, Scope::Project(project.id), &params)?;
    let made = app.store().create_hook(hook).await?;
    refresh(&app).await;
    Ok((StatusCode::CREATED, Json(views::hook(&made, app.belt.clock().now()))))
}

pub(super) async fn show(
    _: Admin,
    State(app): State<Arc<App>>,
    Path((id, hook_id)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let project = find_project(&app, &id).await?;
    let found = app.store().find_hook(Scope::Project(project.id), number(&hook_id)?).await?;
    let entry = found.ok_or_else(ApiError::plain_not_found)?;
    Ok(Json(views::hook(&entry, app.belt.clock().now())))
}

pub(super) async fn delete(
    _: Admin,
    State(app): State<Arc<App>>,
    Path((id, hook_id)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let project = find_project(&app, &id).await?;
    if !app.store().delete_hook(Scope::Project(project.id), number(&hook_id)?).await? {
        return Err(ApiError::plain_not_found());
    }
    refresh(&app).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Attributes of GitLab's that are not there yet.
const NOT_YET: [&str; 3] = ["custom_headers", "url_variables", "custom_webhook_template"];

fn number(hook_id: &str) -> Result<HookId, ApiError> {
    hook_id.parse().map(HookId).map_err(|_| ApiError::bad_parameter("hook_id is invalid"))
}

/// Reads a new hook from the parameters; texts of the refusals are GitLab's, with the reason behind them.
fn read(app: &App, scope: Scope, params: &Params) -> Result<Hook, ApiError> {
    // A hook that silently lacks its headers or template would be worse than none.
    for name in NOT_YET {
        if params.has(name) {
            return Err(ApiError::unprocessable(format!("{name} is not supported yet; leave it out")));
        }
    }
    let url = params.text("url")?.filter(|url| !url.trim().is_empty());
    let url = url.ok_or_else(|| ApiError::bad_parameter("url is missing"))?;
    let url =
        HookUrl::parse(&url).map_err(|error| ApiError::unprocessable(format!("Invalid url given: it {error}")))?;
    // The first gate. Names are not looked up here: a receiver may be set up after its hook.
    judge_url(&url, &app.belt.settings().guard)
        .map_err(|rule| ApiError::unprocessable(format!("Invalid url given: {rule}")))?;
    let strategy = params.text("branch_filter_strategy")?.unwrap_or_else(|| "wildcard".to_owned());
    if !["wildcard", "regex", "all_branches"].contains(&strategy.as_str()) {
        return Err(ApiError::bad_parameter("branch_filter_strategy does not have a valid value"));
    }
    let filter = params.text("push_events_branch_filter")?;
    let branch_filter = BranchFilter::parse(&strategy, filter.as_deref())
        .map_err(|error| ApiError::unprocessable(format!("Invalid branch filter given: it {error}")))?;
    let mut triggers = TriggerSet::default();
    for trigger in Trigger::all() {
        let row = trigger.row();
        if let Some(attribute) = row.attribute.filter(|_| row.levels.contain(scope)) {
            triggers.set(trigger, params.flag(attribute)?.unwrap_or_else(|| row.on_by_default.contain(scope)));
        }
    }
    let signing_token = match params.text("signing_token")?.filter(|token| !token.is_empty()) {
        Some(token) => Some(
            SigningToken::parse(&token).map_err(|error| ApiError::unprocessable(format!("signing_token {error}")))?,
        ),
        None => None,
    };
    let now = app.belt.clock().now();
    Ok(Hook {
        id: HookId(0),
        scope,
        url,
        token: params.line("token", 255)?.filter(|token| !token.is_empty()).map(Secret::new),
        signing_token,
        triggers,
        enable_ssl_verification: params.flag("enable_ssl_verification")?.unwrap_or(true),
        branch_filter,
        name: params.line("name", 255)?,
        description: params.line("description", 2048)?,
        uuid: uuid::Uuid::new_v4(),
        created_at: now,
        updated_at: now,
    })
}
